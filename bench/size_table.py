#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Accuracy at size limits: three variants of the search, and the baselines, all from one float network.

Every run is a `mixgrad search` in its own folder under --out; runs that already have a summary.json are skipped, so the
script can be stopped and restarted. All methods train for the same number of epochs after the float network.
Prints one Markdown table of test accuracies: the mean over the seeds, with the lowest and the highest.
"""

import argparse
import json
import pathlib
import subprocess
import sys

METHODS = {  # name: (flags, whether to run it with every seed)
    "search, per channel": (["--scheme", "per-channel", "--weight-bits", "2,4,8"], True),
    "search, per channel, with pruning": (["--scheme", "per-channel", "--weight-bits", "0,2,4,8", "--tau-start", "1", "--tau-end", "0.02"], True),
    "search, per layer": (["--scheme", "per-layer", "--weight-bits", "2,4,8"], True),
    "sensitivity, per layer": (["--method", "sensitivity", "--scheme", "per-layer", "--weight-bits", "2,4,8"], False),
    "random, per channel": (["--method", "random", "--scheme", "per-channel", "--weight-bits", "2,4,8"], False),
    "uniform": (["--method", "uniform", "--scheme", "per-layer", "--weight-bits", "2,4,8"], False),
}


def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", required=True, help="cifar10:DIR, or any other data set that mixgrad knows")
    p.add_argument("--model", default="resnet8")
    p.add_argument("--out", default="runs/size-table", help="folder for the runs")
    p.add_argument("--binary", default="build/mixgrad")
    p.add_argument("--shares", default="30,50", help="limits, in %% of the uniform 8-bit size")
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--epochs", default="12,5,7", help="float, search, fine-tuning")
    p.add_argument("--dtype", default="auto", help="type of activations in search and fine-tuning")
    p.add_argument("--threads", default="2")
    p.add_argument("--table", action="store_true", help="only print the table of finished runs")
    return p.parse_args()


def run(command):
    print("+", *command, file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def folder_name(method, share, seed):
    return f"{method.replace(', ', '-').replace(' ', '-')}-{share}-{seed}"


def runs(a):
    """(method, share, seed), ordered by seed, so that a table of all methods is available early."""
    for seed in range(a.seeds):
        for share in a.shares.split(","):
            for method, (_, every_seed) in METHODS.items():
                if every_seed or seed == 0:
                    yield method, share, seed


def make(a):
    out = pathlib.Path(a.out)
    warmup, search, finetune = a.epochs.split(",")
    common = ["--data", a.data, "--model", a.model, "--threads", a.threads, "--quiet", "--overwrite"]
    start = out / "float" / "float.safetensors"
    if not start.exists():
        run([a.binary, "train", *common, "--epochs", warmup, "--out", str(start.parent)])
    for method, share, seed in runs(a):
        folder = out / folder_name(method, share, seed)
        if not (folder / "summary.json").exists():
            run([a.binary, "search", *common, "--init", str(start), "--search-epochs", search, "--finetune-epochs", finetune,
                 "--dtype", a.dtype, "--seed", str(seed), "--target", f"size={share}%", *METHODS[method][0], "--out", str(folder)])


def cell(summaries):
    if not summaries:
        return "", ""
    accuracy = [s["final_accuracy"] for s in summaries]
    used = max(s["cost"]["size"] / s["cost_uniform8"]["size"] for s in summaries)
    text = f"{sum(accuracy) / len(accuracy):.4f}"
    if len(accuracy) > 1:
        text += f" ({min(accuracy):.4f} to {max(accuracy):.4f})"
    return text, f"{100 * used:.1f}%"


def table(a):
    shares = a.shares.split(",")
    done = {}
    for key in runs(a):
        summary = pathlib.Path(a.out) / folder_name(*key) / "summary.json"
        if summary.exists():
            done.setdefault(key[:2], []).append(json.loads(summary.read_text()))
    print("| method | seeds |" + "".join(f" at most {s}% | used |" for s in shares))
    print("|---|---|" + "---|---|" * len(shares))
    for method in METHODS:
        found = [done.get((method, s), []) for s in shares]
        cells = "".join(" {} | {} |".format(*cell(f)) for f in found)
        print(f"| {method} | {max(len(f) for f in found)} |{cells}")
    if done:
        print(f"\nfloat: {next(iter(done.values()))[0]['float_accuracy']:.4f}")


if __name__ == "__main__":
    arguments = parse()
    if not arguments.table:
        make(arguments)
    table(arguments)
