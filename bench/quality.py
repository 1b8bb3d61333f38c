#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Accuracy at size budgets: the searches and the baselines, all from one float network, and an ablation of quantizers.

Each run is a `mixgrad search` in its own folder. All runs train for the same number of epochs after the float network:
the baselines fine-tune during the epochs that others search. Every choice (epoch, network within the target) is made on
the validation images; test accuracy is only reported.

A finished run adds a line to results.csv, from which quality_tables.py makes the tables and the figure. A run whose
flags and float network are in results.csv is not repeated. Started again, a stopped script continues its runs.
"""
import argparse
import csv
import fcntl
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import quality_tables

ROOT = Path(__file__).resolve().parent.parent

METHODS = {
    "per-channel-0": "--method fisher --scheme per-channel --weight-bits 0,1,2,4,8",
    "per-channel": "--method fisher --scheme per-channel --weight-bits 1,2,4,8",
    "per-layer": "--method fisher --scheme per-layer --weight-bits 1,2,4,8",
    "dnas-0": "--method dnas --scheme per-channel --weight-bits 0,1,2,4,8",
    "dnas": "--method dnas --scheme per-channel --weight-bits 1,2,4,8",
    "sensitivity": "--method sensitivity --scheme per-layer --weight-bits 1,2,4,8",
    "random": "--method random --scheme per-channel --weight-bits 1,2,4,8",
    "random-0": "--method random --scheme per-channel --weight-bits 0,1,2,4,8",
    "uniform": "--method uniform --scheme per-layer --weight-bits 1,2,4,8",
}

ABLATED = {  # name: (flags, budget)
    "uniform 2 bits": ("--method uniform --scheme per-layer --weight-bits 2", "25"),
    "fisher at 20%": (METHODS["per-channel-0"], "20"),
    "dnas at 20%": (METHODS["dnas-0"], "20"),
}
VARIANTS = {  # the first is what the others are compared with
    "minmax": "--weight-quantizer minmax",
    "mse, signed grid": "--weight-quantizer mse --weight-grid signed",
    "mse, odd grid": "--weight-quantizer mse --weight-grid odd",
    "lsq, signed grid": "--weight-quantizer lsq --weight-grid signed",
    "lsq, odd grid": "--weight-quantizer lsq --weight-grid odd",
    "minmax, distillation": "--weight-quantizer minmax --distill 0.5",
    "minmax, twice the learning rate": "--weight-quantizer minmax --search-lr 0.004",
    "lsq, odd grid, distillation": "--weight-quantizer lsq --weight-grid odd --distill 0.5",
    "lsq, odd grid, twice the learning rate": "--weight-quantizer lsq --weight-grid odd --search-lr 0.004",
    "lsq, odd grid, both": "--weight-quantizer lsq --weight-grid odd --distill 0.5 --search-lr 0.004",
}


# --- what to run --------------------------------------------------------------------------------------------------

def planned(o):
    """Every run as the first columns of its line, ordered by seed, so that a table of all methods exists early."""
    for seed in range(o.seeds):
        if o.part == "quality":
            for budget in o.budgets:
                for method in o.methods:
                    yield run(o, seed, method, "", budget, METHODS[method])
        else:
            for variant, extra in VARIANTS.items():
                for method, (flags, budget) in ABLATED.items():
                    yield run(o, seed, method, variant, budget, f"{flags} {extra}")


def run(o, seed, method, variant, budget, flags):
    return {"part": o.part, "setting": setting(o), "float_network": o.float_network, "method": method, "variant": variant,
            "budget": budget, "seed": str(seed), "flags": f"{flags} --target size={budget}% --seed {seed}"}


def setting(o):
    """The flags that all runs share and that change results. Not the path of the data: it differs between machines."""
    kind, _, rest = o.data.partition(":")
    search, finetune = o.epochs
    data = f"{kind}:{rest}" if rest.isdigit() else kind
    return (f"--model {o.model} --data {data} --search-epochs {search} --finetune-epochs {finetune} --dtype {o.dtype} "
            + o.search_flags).strip()


def title(line):
    return ", ".join(filter(None, [line["method"], line["variant"], f"{line['budget']}%", f"seed {line['seed']}"]))


def key(line):
    return line["setting"], line["float_network"], line["flags"]


def folder(o, line):
    words = "".join(c if c.isalnum() or c in ".-" else " " for c in title(line)).split()
    return o.out / "runs" / f"{'-'.join(words)}-{checksum(repr(key(line)).encode())[:8]}"


def command(o, line):
    shared = shlex.split(line["setting"])
    shared[shared.index("--data") + 1] = o.data
    return [o.binary, "search", *shared, *shlex.split(line["flags"]), "--init", str(o.init), "--threads", str(o.threads),
            "--out", str(folder(o, line)), "--resume", "--quiet"]


# --- running ------------------------------------------------------------------------------------------------------

def checksum(content):
    return hashlib.sha256(content).hexdigest()[:16]


def say(text):
    print(text, file=sys.stderr, flush=True)


def train_float(o):
    """Trains the float network, or continues; does nothing if it is there."""
    flags = ["--model", o.model, "--data", o.data, "--epochs", str(o.float_epochs), *shlex.split(o.train_flags)]
    out = o.out / f"float-{o.model.replace('/', '-')}-{checksum(repr(flags).encode())[:8]}"
    words = [o.binary, "train", *flags, "--threads", str(o.threads), "--out", str(out), "--resume", "--quiet"]
    say("+ " + shlex.join(words))
    if subprocess.run(words, stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit("quality: training of the float network failed")
    return out / "float.safetensors"


def version(o):
    """The program's version and a checksum of its file, since builds of one version differ."""
    try:
        text = subprocess.run([o.binary, "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"quality: --binary: {error}")
    return f"{text.splitlines()[0]} ({checksum(Path(o.binary).read_bytes())[:8]})"


def results(path):
    """The results of a finished run, from its folder."""
    s = json.loads((path / "summary.json").read_text())
    epochs = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    tuned = [e["val_accuracy"] for e in epochs if e["phase"] == "finetune"]
    size = s["cost"]["size"]
    return {
        "outcome": "done",
        "float_accuracy": s["float_accuracy"],
        "val_accuracy": max(tuned) if tuned and not s["kept_start"] else s["repair"]["quality"],
        "test_accuracy": s["final_accuracy"],
        "search_accuracy": s["search_accuracy"],
        "size_bits": round(size),
        "share_of_uniform8": round(size / s["cost_uniform8"]["size"], 4),
        "seconds": round(s["seconds"]["total"], 1),
    }


def add_line(o, line):
    """Replaces results.csv by a file with one more line, so that it is complete whenever the script is killed."""
    path = o.out / "results.csv"
    lines = quality_tables.load(path) + [line]
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, quality_tables.COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def finish(o, line, code, errors):
    """Records an ended run; returns whether it has a result."""
    if code == 0:
        line.update(results(folder(o, line)))
    elif code == 2 and "target:" in errors and "can't be met" in errors:
        line["outcome"] = "out of reach"
    else:
        say(f"quality: {title(line)}: failed (exit code {code}):\n{errors.strip()}")
        return False
    add_line(o, {**line, "version": o.version})
    say(f"{title(line)}: {line.get('test_accuracy', line['outcome'])}")
    return True


def work(o, lock):
    """Makes all runs that are missing, --jobs at a time; returns the number of those that failed."""
    done = {key(line) for line in quality_tables.load(o.out / "results.csv")}
    waiting = [line for line in planned(o) if key(line) not in done]
    say(f"{len(waiting)} runs to do")
    running, failed = [], 0
    try:
        while waiting or running:
            while waiting and len(running) < o.jobs:
                line, errors = waiting.pop(0), tempfile.TemporaryFile("w+")
                words = command(o, line)
                say("+ " + shlex.join(words))
                # The lock is passed on: if this script is killed, the next one does not start beside its runs.
                process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=errors, pass_fds=[lock.fileno()],
                                           start_new_session=True)
                running.append((process, line, errors))
            time.sleep(0.2)
            for ended in [r for r in running if r[0].poll() is not None]:
                running.remove(ended)
                process, line, errors = ended
                errors.seek(0)
                failed += not finish(o, line, process.returncode, errors.read())
    finally:
        for process, _, _ in running:  # checkpoints are safe from kill
            process.kill()
            process.wait()
    return failed


def locked(o):
    """Keeps other scripts from writing to the same folder, until this one and its runs have ended."""
    lock = open(o.out / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"quality: --out: another quality.py, or a run that it started, is writing to {o.out}")
    return lock


# --- the command --------------------------------------------------------------------------------------------------

def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="cifar10:DIR, or any other data set that mixgrad knows")
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--init", type=Path, metavar="FILE", help="float network (float.safetensors) [trained first]")
    parser.add_argument("--float-epochs", type=int, default=24, help="[%(default)s]")
    parser.add_argument("--train-flags", default="", help='more flags of mixgrad train: "--lr 0.1 --seed 1"')
    parser.add_argument("--search-flags", default="", help="more flags of mixgrad search, for every run")
    parser.add_argument("--out", type=Path, default="runs/quality", help="results.csv, figure and runs [%(default)s]")
    parser.add_argument("--binary", default=str(ROOT / "build/mixgrad"))
    parser.add_argument("--part", choices=["quality", "ablation"], default="quality")
    parser.add_argument("--methods", default=",".join(METHODS), help="[%(default)s]; not for --part ablation")
    parser.add_argument("--budgets", default="20,12.5,30,50,25",
                        help="sizes in %% of uniform 8-bit, in the order of the runs [%(default)s]; not for --part ablation")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 [%(default)s]")
    parser.add_argument("--epochs", default="4,20", metavar="SEARCH,FINETUNE", help="[%(default)s]")
    parser.add_argument("--dtype", default="f32", help="type of the search's activations [%(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="of each run [%(default)s]")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time [%(default)s]")
    parser.add_argument("--table", action="store_true", help="only print the tables and draw the figure of finished runs")
    o = parser.parse_args()
    if not o.table and not o.data:
        parser.error("--data is required")
    if o.init and not o.init.is_file():
        parser.error(f"--init: no file {o.init}")
    if min(o.float_epochs, o.seeds, o.threads, o.jobs) < 1:
        parser.error("--float-epochs, --seeds, --threads and --jobs must be at least 1")
    o.methods, o.budgets, o.epochs = o.methods.split(","), o.budgets.split(","), o.epochs.split(",")
    for method in o.methods:
        if method not in METHODS:
            parser.error(f"--methods: {method} is not one of {', '.join(METHODS)}")
    try:
        o.budgets = [f"{float(b):g}" for b in o.budgets]
        o.epochs = [int(e) for e in o.epochs]
    except ValueError:
        parser.error("--budgets and --epochs are numbers, separated by commas")
    if len(o.epochs) != 2:
        parser.error("--epochs has two numbers: SEARCH,FINETUNE")
    return o


def main():
    o = options()
    failed = 0
    if not o.table:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        o.out.mkdir(parents=True, exist_ok=True)
        with locked(o) as lock:
            o.version = version(o)
            o.init = o.init or train_float(o)
            o.float_network = checksum(o.init.read_bytes())
            failed = work(o, lock)
    quality_tables.show(o.out / "results.csv")
    if failed:
        sys.exit(f"quality: {failed} runs failed; start it again to repeat them")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
