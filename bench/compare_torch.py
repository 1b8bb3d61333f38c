#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares mixgrad's search step with PyTorch's (torch_search.py): prints times, ratios and the project's targets.

Every measurement runs in its own process, so that its peak memory can be measured. A round runs each kind of step once.
A ratio is the median of the ratios within each round, so that a slowdown of the machine affects both sides.
This process stays small (no torch, no numpy), because on Linux a child's ru_maxrss includes its parent's peak memory.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent
SEVEN_BITS = "2,3,4,5,6,7,8"
LAYOUTS = ["nchw", "nhwc"]


# --- running ------------------------------------------------------------------------------------------------------

def environment(o, kind):
    """Sets the number of threads; with --keep-memory, PyTorch's processes keep freed memory between steps."""
    env = dict(os.environ, OMP_NUM_THREADS=str(o.threads))
    if o.keep_memory and kind.startswith("torch"):
        env.update(MALLOC_MMAP_THRESHOLD_=str(1 << 30), MALLOC_TRIM_THRESHOLD_=str(1 << 40))
    return env


def run(command, env):
    """Returns the JSON object that a command prints last; if the command fails, exits with its error message."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"compare_torch: {command[0]}: {error.strerror}")
    if done.returncode != 0:
        sys.exit(f"compare_torch: {' '.join(command)} failed:\n{done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def common_flags(o):
    return ["--model", o.model, "--batch", str(o.batch), "--threads", str(o.threads), "--steps", str(o.steps)]


def search_flags(o, act_bits):
    return ["--scheme", o.scheme, "--weight-bits", o.weight_bits, "--act-bits", act_bits]


def mixgrad(o, *flags):
    return [o.binary, "bench", "step", "--json", *common_flags(o), *flags]


def pytorch(o, layout, *flags):
    return [o.python, str(BENCH / "torch_search.py"), "step", *common_flags(o), "--layout", layout, *flags]


def kinds(o):
    """Every kind of step, by name, in the order of a round."""
    search, floating = ["--phase", "search", *search_flags(o, o.act_bits)], ["--phase", "float"]
    out = {"mixgrad search": mixgrad(o, *search)}
    if o.dtype:
        out[f"mixgrad search {o.dtype}"] = mixgrad(o, *search, "--dtype", o.dtype)
    out["mixgrad search, 7 act"] = mixgrad(o, "--phase", "search", *search_flags(o, SEVEN_BITS))
    out["mixgrad fine-tuning"] = mixgrad(o, "--phase", "finetune", *search_flags(o, o.act_bits))
    out["mixgrad float"] = mixgrad(o, *floating)
    for layout in LAYOUTS:
        out[f"torch search {layout}"] = pytorch(o, layout, *search)
        out[f"torch obvious {layout}"] = pytorch(o, layout, *search, "--form", "obvious")
        out[f"torch float {layout}"] = pytorch(o, layout, *floating)
    return out


def measure(o):
    """{kind: one result per round}"""
    commands = kinds(o)
    runs = {name: [] for name in commands}
    for i in range(o.rounds):
        for name, command in commands.items():
            progress(f"round {i + 1}/{o.rounds}: {name}")
            runs[name].append(run(command, environment(o, name)))
    progress("")
    return runs


def progress(text):
    """Shows one line on a terminal, which the next overwrites; prints nothing to a log."""
    if sys.stderr.isatty():
        print(text, end="\033[K\r", file=sys.stderr, flush=True)


# --- figures ------------------------------------------------------------------------------------------------------

def median(results, field):
    return statistics.median(r[field] for r in results)


def faster_layout(runs, step):
    """The name of PyTorch's faster layout for a step, which ratios compare with."""
    return min((f"torch {step} {layout}" for layout in LAYOUTS), key=lambda name: median(runs[name], "ms"))


def ratios(o, runs):
    """The project's targets: (description, ratio, limit, whether the ratio must be at least the limit)."""
    def ratio(above, below, field="ms", below_field=None):
        pairs = zip(runs[above], runs[below])
        return statistics.median(a[field] / b[below_field or field] for a, b in pairs)

    ours, theirs, their_float = "mixgrad search", faster_layout(runs, "search"), faster_layout(runs, "float")
    obvious = faster_layout(runs, "obvious")
    bars = [
        (f"{theirs} / {ours}", ratio(theirs, ours), 3.6, True),
        (f"{obvious} / {ours}", ratio(obvious, ours), 6.5, True),
        (f"{ours} / {their_float}", ratio(ours, their_float), 0.65, False),
        (f"{ours} / its convolutions if they were direct", ratio(ours, ours, "ms", "direct_conv_ms"), 0.8, False),
    ]
    if o.dtype:
        other = f"mixgrad search {o.dtype}"
        bars.append((f"{other} / {ours} with direct convolutions", ratio(other, ours, "ms", "direct_ms"), 0.5, False))
        bars.append((f"{theirs} / {other}", ratio(theirs, other), 5, True))
    return bars + [
        (f"mixgrad search, 7 act / {ours}", ratio("mixgrad search, 7 act", ours), 1.25, False),
        (f"mixgrad fine-tuning / {ours}", ratio("mixgrad fine-tuning", ours), 0.7, False),
        (f"mixgrad float / {ours}", ratio("mixgrad float", ours), 1.15, False),
        (f"peak memory, {ours} / {theirs}", ratio(ours, theirs, "peak_rss_mib"), 0.1, False),
    ]


def reached(bar):
    _, ratio, limit, at_least = bar
    return ratio >= limit if at_least else ratio <= limit


def machine():
    """What the figures depend on, apart from the programs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"cpu": cpu, "cores": os.cpu_count(), "load_before": os.getloadavg()[0]}


# --- printing -----------------------------------------------------------------------------------------------------

def print_table(runs):
    print("| step | ms | least | most | images/s | convolutions, ms | peak memory, MiB |")
    print("|---|---|---|---|---|---|---|")
    for name, results in runs.items():
        times = [r["ms"] for r in results]
        conv = f"{median(results, 'conv_ms'):.1f}" if "conv_ms" in results[0] else ""
        print(f"| {name} | {statistics.median(times):.1f} | {min(times):.1f} | {max(times):.1f} "
              f"| {median(results, 'images_per_s'):.0f} | {conv} | {median(results, 'peak_rss_mib'):.0f} |")


def print_bars(bars):
    print("| ratio of | ratio | wanted | |")
    print("|---|---|---|---|")
    for bar in bars:
        what, ratio, limit, at_least = bar
        print(f"| {what} | {ratio:.2f} | {'>=' if at_least else '<='} {limit} | {'yes' if reached(bar) else 'no'} |")


def write_json(path, o, runs, bars, where):
    figures = {
        "machine": where,
        "options": vars(o),
        "runs": runs,
        "median_ms": {name: median(results, "ms") for name, results in runs.items()},
        "bars": [{"ratio_of": what, "ratio": ratio, "limit": limit, "at_least": at_least,
                  "reached": reached((what, ratio, limit, at_least))} for what, ratio, limit, at_least in bars],
    }
    Path(path).write_text(json.dumps(figures, indent=1) + "\n")


# --- the command --------------------------------------------------------------------------------------------------

def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare PyTorch's mixtures with the golden cases")
    parser.add_argument("--golden", default=os.environ.get("MIXGRAD_GOLDEN") or str(BENCH.parent.parent / "shared/golden"))
    parser.add_argument("--binary", default=str(BENCH.parent / "build/mixgrad"))
    parser.add_argument("--python", default="/usr/bin/python3", help="Python with torch and numpy (Debian: python3-torch)")
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--scheme", default="per-channel")
    parser.add_argument("--weight-bits", default="2,4,8")
    parser.add_argument("--act-bits", default="2,4,8")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", help="also measure mixgrad's search step with this --dtype")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="timed steps per measurement")
    parser.add_argument("--keep-memory", action="store_true", help="let glibc keep PyTorch's freed memory, for faster steps")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    o = parser.parse_args()
    if min(o.batch, o.threads, o.rounds, o.steps) < 1:
        parser.error("--batch, --threads, --rounds and --steps must be at least 1")
    return o


def main():
    o = options()
    if o.check:
        sys.exit(subprocess.run([o.python, str(BENCH / "torch_search.py"), "check", o.golden]).returncode)
    where = machine()
    runs = measure(o)
    bars = ratios(o, runs)
    version = next(r[0]["torch"] for name, r in runs.items() if name.startswith("torch"))
    print(f"{where['cpu']}, {o.threads} of {where['cores']} threads, load {where['load_before']:.1f} before; "
          f"PyTorch {version}; {o.model}, batch {o.batch}, {o.scheme}, {o.rounds} rounds of {o.steps} steps\n")
    print_table(runs)
    print()
    print_bars(bars)
    if o.json:
        write_json(o.json, o, runs, bars, where)


if __name__ == "__main__":
    main()
