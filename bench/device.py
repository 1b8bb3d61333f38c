#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times a network found by a search, one image at a time on one thread: C package, engines, ONNX Runtime, float.

Runs all of them interleaved, --rounds times, and prints the medians as a Markdown table. Requires gcc and, for ONNX
Runtime, Node.js after `npm ci --ignore-scripts` in tests/onnx.
"""

import argparse
import json
import pathlib
import statistics
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
  struct timespec a, b;
  for (i = 0; i < NET_INPUT_SIZE; ++i) in[i] = (unsigned char)(rand() % 256);
  clock_gettime(CLOCK_MONOTONIC, &a);
  for (i = 0; i < images; ++i) net_run((void *)in, (void *)out);
  clock_gettime(CLOCK_MONOTONIC, &b);
  printf("%f\n", ((b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) * 1e-6) / images);
  return 0;
}
"""

RUNTIME = r"""
const ort = require(process.argv[1] + '/tests/onnx/node_modules/onnxruntime-node');
(async ([model, images, ...dims]) => {
  const session = await ort.InferenceSession.create(model, {graphOptimizationLevel: 'all', intraOpNumThreads: 1, interOpNumThreads: 1});
  const x = new ort.Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(0.5), dims.map(Number));
  const feed = {[session.inputNames[0]]: x};
  await session.run(feed);
  const start = process.hrtime.bigint();
  for (let i = 0; i < images; ++i) await session.run(feed);
  console.log(Number(process.hrtime.bigint() - start) / 1e6 / images);
})(process.argv.slice(2));
"""


def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("folder", help="folder of a run")
    p.add_argument("--data", help="test images [the run's own]")
    p.add_argument("--images", default="200")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--shape", default="3,32,32", help="shape of one image")
    p.add_argument("--binary", default=str(ROOT / "build/mixgrad"))
    return p.parse_args()


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"device.py: {command[0]} failed:\n{done.stderr.strip()}")
    return done.stdout.strip()


def prepare(a, place):
    """The commands to run, by name; each prints milliseconds."""
    data = ["--data", a.data] if a.data else []
    run(a.binary, "export", a.folder, *data, "--to", "c", "--out", place / "net")
    (place / "net/time.c").write_text(DRIVER)
    run("gcc", "-O3", "-march=native", "net.c", "time.c", "-o", "time", cwd=place / "net")
    run(a.binary, "export", a.folder, *data, "--to", "onnx", "--out", place / "net.onnx")
    return {
        "C package (gcc -O3 -march=native)": [place / "net/time", a.images],
        "ONNX Runtime, int8 (QDQ)": ["node", "-e", RUNTIME, ROOT, place / "net.onnx", a.images, "1", *a.shape.split(",")],
    }


def measure(a):
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        commands = prepare(a, pathlib.Path(folder))
        for _ in range(a.rounds):
            data = ["--data", a.data] if a.data else []
            own = json.loads(run(a.binary, "bench", "inference", a.folder, *data, "--images", a.images, "--json"))
            for name, key in (("integer engine", "integer_ms"), ("float evaluation", "float_ms"), ("discrete evaluation", "discrete_ms")):
                times.setdefault(name, []).append(own[key])
            for name, command in commands.items():
                times.setdefault(name, []).append(float(run(*command)))
    return times


def main():
    times = measure(parse())
    print("| one image, one thread | ms | least | most | of float |\n|---|---|---|---|---|")
    whole = statistics.median(times["float evaluation"])
    for name, ms in times.items():
        print(f"| {name} | {statistics.median(ms):.3f} | {min(ms):.3f} | {max(ms):.3f} | {statistics.median(ms) / whole:.2f} |")


if __name__ == "__main__":
    main()
