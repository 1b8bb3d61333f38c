#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Networks picked from one front against a dedicated search per budget, all from one float network.

For each seed: one `mixgrad front`; from it, networks for every budget with no fine-tuning, with some, and by
sensitivity; and a `mixgrad search` for every budget. A finished run adds a line to results.csv, and is not repeated.
The area under a front is the mean test accuracy over the logarithm of the budget, by the trapezoidal rule.
"""
import argparse
import csv
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ["method", "budget", "seed", "float_accuracy", "test_accuracy", "share_of_budget", "seconds", "cpu_seconds"]
TUNED = "front + {} epochs"


def run(o, folder, words):
    """Runs the program, unless its folder is finished; returns the seconds and CPU seconds that it took."""
    command = [o.binary, *words, "--threads", str(o.threads), "--out", str(folder), "--resume", "--quiet"]
    print("+ " + shlex.join(command), file=sys.stderr, flush=True)
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"front: {shlex.join(command)} failed")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime


def line_of(folder, method, budget, seed, taken):
    s = json.loads((folder / "summary.json").read_text())
    size = s["targets"]["size"]
    return {"method": method, "budget": budget, "seed": seed, "float_accuracy": s["float_accuracy"],
            "test_accuracy": s["final_accuracy"], "share_of_budget": round(size["found"] / size["limit"], 4),
            "seconds": round(taken[0], 1), "cpu_seconds": round(taken[1], 1)}


def load(o):
    path = o.out / "results.csv"
    return list(csv.DictReader(open(path))) if path.exists() else []


def add(o, line):
    lines = load(o) + [line]
    temporary = o.out / "results.tmp"
    with open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    os.replace(temporary, o.out / "results.csv")
    print(line, file=sys.stderr, flush=True)


def work(o):
    shared = ["--data", o.data, "--init", str(o.init), *shlex.split(o.search_flags)]

    def length(epochs):
        return ["--search-epochs", str(epochs[0]), "--finetune-epochs", str(epochs[1])]

    def missing(method, budget, seed):
        return not any((d["method"], d["budget"], d["seed"]) == (method, budget, str(seed)) for d in load(o))

    for seed in range(o.seeds):
        front = o.out / f"front-{seed}"
        if missing("front", "", seed):
            taken = run(o, front, ["front", *shared, *length(o.front_epochs), "--seed", str(seed)])
            add(o, {"method": "front", "budget": "", "seed": seed, "seconds": round(taken[0], 1),
                    "cpu_seconds": round(taken[1], 1)})
        ways = {"front": [], TUNED.format(o.tuned): ["--finetune-epochs", str(o.tuned), *shlex.split(o.tune_flags)],
                "front by sensitivity": ["--pick-by", "sensitivity"]}
        for budget in o.budgets:
            for method, flags in ways.items():
                if missing(method, budget, seed):
                    folder = o.out / f"{method.replace(' ', '-')}-{budget}-{seed}"
                    taken = run(o, folder, ["pick", str(front), "--target", f"size={budget}%", "--seed", str(seed), *flags])
                    add(o, line_of(folder, method, budget, seed, taken))
            if missing("search", budget, seed):
                folder = o.out / f"search-{budget}-{seed}"
                taken = run(o, folder, ["search", *shared, *length(o.epochs), "--target", f"size={budget}%", "--seed",
                                       str(seed)])
                add(o, line_of(folder, "search", budget, seed, taken))


# --- tables -------------------------------------------------------------------------------------------------------

def area(points):
    """Mean accuracy over log(budget)."""
    points = sorted(points)
    total = sum((math.log(b2) - math.log(b1)) * (a1 + a2) / 2 for (b1, a1), (b2, a2) in zip(points, points[1:]))
    return total / (math.log(points[-1][0]) - math.log(points[0][0]))


def tables(o):
    lines = load(o)
    networks = [d for d in lines if d["budget"]]
    methods = list(dict.fromkeys(d["method"] for d in networks))
    budgets = sorted({d["budget"] for d in networks}, key=float)

    def values(method, budget, column="test_accuracy"):
        return [float(d[column]) for d in networks if (d["method"], d["budget"]) == (method, budget)]

    print("test accuracy in %, mean of seeds ± sample deviation\n\n| of uniform 8 bits | " +
          " | ".join(f"{b}%" for b in budgets) + " |\n|---" * 1 + "|---" * len(budgets) + "|")
    for method in methods:
        cells = []
        for budget in budgets:
            v = [100 * a for a in values(method, budget)]
            cells.append("" if not v else f"{statistics.mean(v):.1f}" + (f" ± {statistics.stdev(v):.1f}" if len(v) > 1 else ""))
        print(f"| {method} | " + " | ".join(cells) + " |")
    print("\n| | CPU minutes, 8 budgets | area: mean accuracy over log size | area an hour, of the searches' |\n|---|---|---|---|")
    rates = {}
    for method in methods:
        points = [(float(b), statistics.mean(values(method, b))) for b in budgets if values(method, b)]
        if len(points) < len(budgets):
            continue
        seconds = sum(statistics.mean(values(method, b, "cpu_seconds")) for b in budgets)
        if method != "search":
            seconds += statistics.mean(float(d["cpu_seconds"]) for d in lines if not d["budget"])
        rates[method] = (seconds, area(points))
    for method, (seconds, mean) in rates.items():
        share = f"{mean / seconds / (rates['search'][1] / rates['search'][0]):.2f}" if "search" in rates else ""
        print(f"| {method} | {seconds / 60:.1f} | {100 * mean:.2f} | {share} |")
    used = [float(d["share_of_budget"]) for d in networks if d["method"].startswith("front")]
    if used:
        print(f"\nof the budgets of picked networks, {100 * min(used):.1f} to {100 * max(used):.1f}% are used")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="cifar10:DIR, or any other data set that mixgrad knows")
    parser.add_argument("--init", type=Path, metavar="FILE", help="float network (float.safetensors of mixgrad train)")
    parser.add_argument("--out", type=Path, default="runs/front", help="results.csv and runs [%(default)s]")
    parser.add_argument("--binary", default=str(ROOT / "build/mixgrad"))
    parser.add_argument("--budgets", default="10,13,18,24,32,42,56,75", help="in %% of uniform 8 bits [%(default)s]")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 [%(default)s]")
    parser.add_argument("--epochs", default="4,8", metavar="SEARCH,FINETUNE", help="of a search [%(default)s]")
    parser.add_argument("--front-epochs", default="8,2", metavar="SEARCH,FINETUNE", help="of the front [%(default)s]")
    parser.add_argument("--tuned", type=int, default=2, help="epochs of fine-tuning a picked network [%(default)s]")
    parser.add_argument("--search-flags", default="--weight-bits 0,2,4,8", help="[%(default)s]")
    parser.add_argument("--tune-flags", default="", help="more flags of the fine-tuned picks")
    parser.add_argument("--threads", type=int, default=2, help="of each run [%(default)s]")
    parser.add_argument("--table", action="store_true", help="only print the tables of finished runs")
    o = parser.parse_args()
    o.budgets = o.budgets.split(",")
    o.epochs, o.front_epochs = ([int(e) for e in text.split(",")] for text in (o.epochs, o.front_epochs))
    if not o.table:
        if not o.data or not o.init:
            parser.error("--data and --init are required")
        o.out.mkdir(parents=True, exist_ok=True)
        work(o)
    tables(o)


if __name__ == "__main__":
    main()
