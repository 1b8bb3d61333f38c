#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times a network found by a search on one thread: integer engine, ONNX Runtime, C package, float.

Runs all of them interleaved, --rounds times, and prints the least CPU time of a run per image, which other processes on
the machine lengthen the least, as a Markdown table. Requires gcc and, for ONNX Runtime, Node.js after `npm ci
--ignore-scripts` in tests/onnx.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

DRIVER = r"""
#include "net.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(int argc, char **argv) {
  static unsigned char in[NET_INPUT_SIZE];
  static int out[NET_OUTPUT_SIZE];
  int images = argc > 1 ? atoi(argv[1]) : 1, i;
  double least = 1e9;
  for (i = 0; i < NET_INPUT_SIZE; ++i) in[i] = (unsigned char)(rand() % 256);
  for (i = 0; i < images; ++i) {
    const clock_t start = clock();
    double ms;
    net_run((void *)in, (void *)out);
    ms = (clock() - start) * 1e3 / CLOCKS_PER_SEC;
    if (ms < least) least = ms;
  }
  printf("%f\n", least);
  return 0;
}
"""

RUNTIME = r"""
const ort = require(process.argv[1] + '/tests/onnx/node_modules/onnxruntime-node');
(async ([model, runs, ...dims]) => {
  const session = await ort.InferenceSession.create(model, {graphOptimizationLevel: 'all', intraOpNumThreads: 1, interOpNumThreads: 1});
  const x = new ort.Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(0.5), dims.map(Number));
  const feed = {[session.inputNames[0]]: x};
  let least = Infinity;
  for (let i = 0; i < runs; ++i) {
    const start = process.cpuUsage();
    await session.run(feed);
    const {user, system} = process.cpuUsage(start);
    least = Math.min(least, (user + system) / 1e3 / dims[0]);
  }
  console.log(least);
})(process.argv.slice(2));
"""


def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("folder", metavar="RUN", help="folder of a run")
    p.add_argument("--data", help="test images [the run's own]")
    p.add_argument("--images", type=int, default=200, help="of a round")
    p.add_argument("--batches", default="1", help="images at a time, like 1,32")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--shape", default="3,32,32", help="shape of one image")
    p.add_argument("--binary", default=str(ROOT / "build/mixgrad"))
    return p.parse_args()


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"device.py: {command[0]} failed:\n{done.stderr.strip()}")
    return done.stdout.strip()


def commands_of(a, batch, place):
    """Commands that print milliseconds, by name, and the one that prints the binary's own as JSON."""
    data = ["--data", a.data] if a.data else []
    run(a.binary, "export", a.folder, *data, "--to", "c", "--out", place / "net")
    (place / "net/time.c").write_text(DRIVER)
    run("gcc", "-O3", "-march=native", "net.c", "time.c", "-o", "time", cwd=place / "net")
    run(a.binary, "export", a.folder, *data, "--to", "onnx", "--out", place / "net.onnx")
    runs = max(1, a.images // batch)
    others = {"ONNX Runtime, int8 (QDQ)": ["node", "-e", RUNTIME, ROOT, place / "net.onnx", runs, batch, *a.shape.split(",")]}
    if batch == 1:
        others["C package (gcc -O3 -march=native)"] = [place / "net/time", a.images]
    return others, [a.binary, "bench", "inference", a.folder, *data, "--images", a.images, "--batch", batch, "--json"]


def measure(a, batch):
    """The least milliseconds per image, by name."""
    least = {}
    with tempfile.TemporaryDirectory() as place:
        others, own = commands_of(a, batch, pathlib.Path(place))
        for _ in range(a.rounds):
            times = json.loads(run(*own))
            taken = {"integer engine": times["integer_ms"], "float evaluation": times["float_ms"], "discrete evaluation": times["discrete_ms"]}
            taken |= {name: float(run(*command)) for name, command in others.items()}
            least = {name: min(ms, least.get(name, ms)) for name, ms in taken.items()}
    return least


def main():
    a = parse()
    print("| on one thread | images at a time | ms an image | of ONNX Runtime's |\n|---|---|---|---|")
    for batch in map(int, a.batches.split(",")):
        least = measure(a, batch)
        for name, ms in least.items():
            print(f"| {name} | {batch} | {ms:.3f} | {ms / least['ONNX Runtime, int8 (QDQ)']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
