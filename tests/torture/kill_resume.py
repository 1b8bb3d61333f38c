#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills runs with SIGKILL at random moments, resumes them, and compares their results with an uninterrupted run's.

    tests/torture/kill_resume.py MIXGRAD [--kills 50] [--cases all] [--seed 0]

Every case is run once uninterrupted, then repeatedly with kills until there have been enough. A third of the kills
waits for a checkpoint that is being written. model.safetensors (float.safetensors), history.jsonl and metrics.jsonl,
except times, must be equal byte for byte, and so must the list of files. Prints figures, or exits with 1 at the first
difference."""
import argparse, collections, json, pathlib, random, shutil, signal, subprocess, sys, tempfile, time

COMMON = ["--batch-size", "40", "--seed", "3"]
EPOCHS = ["--warmup-epochs", "2", "--search-epochs", "3", "--finetune-epochs", "2"]
CASES = {
    "channels": ["search", *EPOCHS],
    "gumbel": ["search", *EPOCHS, "--method", "dnas", "--sampler", "gumbel", "--weight-quantizer", "lsq", "--distill", "0.5", "--arch-split", "0.3", "--act-bits", "2,4,8", "--target", "size=40%,macs=45%"],
    "pruning": ["search", *EPOCHS, "--weight-bits", "0,2,4,8", "--strength", "1e-5", "--patience", "1", "--refine"],
    "trained": ["search", *EPOCHS, "--method", "dnas", "--weight-quantizer", "minmax", "--arch-lr", "0.3", "--strength", "1e-5"],
    "sensitivity": ["search", *EPOCHS, "--method", "sensitivity", "--scheme", "per-layer", "--target", "size=50%"],
    "train": ["train", "--epochs", "4"],
}
UNTOUCHED = "before the first checkpoint"


def write_cifar(folder):
    """Images whose brightness tells their class, with noise."""
    folder.mkdir()
    rng = random.Random(1)
    for name, records in [(f"data_batch_{i}.bin", 40) for i in range(1, 6)] + [("test_batch.bin", 70)]:
        content = bytearray()
        for _ in range(records):
            label = rng.randrange(10)
            content += bytes([label]) + bytes(20 * label + b % 50 for b in rng.randbytes(3072))
        (folder / name).write_bytes(content)


def left_by(folder):
    """Everything that must not depend on kills."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["seconds"]
    others = {p.name: p.read_bytes() for pattern in ("*.safetensors", "history.jsonl") for p in folder.glob(pattern)}
    return sorted(p.name for p in folder.iterdir()), lines, others


def place_of(folder):
    """The phase of the newest checkpoint: what the kill hit."""
    file = folder / "checkpoint.safetensors"
    if not file.exists():
        file = folder / "checkpoint.previous.safetensors"
    if not file.exists():
        return UNTOUCHED
    content = file.read_bytes()
    metadata = json.loads(content[8:8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    return metadata["phase"] + ("" if metadata["step"] == "0" else ", within an epoch")


class Torture:
    def __init__(self, mixgrad, root, seed):
        self.mixgrad, self.root, self.rng = mixgrad, root, random.Random(seed)
        self.kills = self.half_written = 0
        self.places = collections.Counter()
        write_cifar(root / "cifar")

    def start(self, case, out, *more):
        command = [self.mixgrad, *CASES[case], *COMMON, "--data", f"cifar10:{self.root / 'cifar'}", "--quiet", "--out", str(out), *more]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def finish(self, process):
        error = process.communicate()[1]
        complaints = [line for line in error.splitlines() if not line.startswith("mixgrad: note: ")]
        if process.returncode != 0 or complaints:
            sys.exit(f"exit code {process.returncode}: {error}")

    def wait(self, process, folder, seconds, for_write):
        """Until `seconds` are over or, `for_write`, a checkpoint is being written after that. False when the run ended before."""
        end = time.monotonic() + seconds
        while process.poll() is None:
            now = time.monotonic()
            if now >= end and (not for_write or any(folder.glob(".mixgrad-*.tmp"))):
                return True
            time.sleep(0.0005 if for_write else min(0.01, max(end - now, 0)))
        return False

    def disturb(self, case, folder, seconds, most_kills):
        """A run under kills, to its end."""
        for _ in range(most_kills):
            for_write = self.rng.random() < 1 / 3
            often = self.rng.choice(["0", "0", "0.002", "5"])
            process = self.start(case, folder, "--resume", "--threads", self.rng.choice("12"), "--checkpoint-minutes", "0" if for_write else often)
            if not self.wait(process, folder, self.rng.uniform(0, seconds), for_write):
                self.finish(process)
                return
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.kills += process.returncode == -signal.SIGKILL
            self.half_written += any(folder.glob(".mixgrad-*.tmp"))
            self.places[place_of(folder)] += 1
        self.finish(self.start(case, folder, "--resume", "--threads", "2"))

    def run(self, cases, kills):
        undisturbed = {}
        for case in cases:
            start = time.monotonic()
            self.finish(self.start(case, self.root / case, "--threads", "2"))
            undisturbed[case] = left_by(self.root / case), time.monotonic() - start
        runs = 0
        while self.kills < kills:
            case = cases[runs % len(cases)]
            expected, seconds = undisturbed[case]
            folder = self.root / "disturbed"
            before = self.kills
            self.disturb(case, folder, 0.7 * seconds, min(kills - self.kills, -(-kills // len(cases))))
            if left_by(folder) != expected:
                sys.exit(f"{case}: after {self.kills - before} kills, {folder} differs from {self.root / case}")
            shutil.rmtree(folder)
            runs += 1
        print(f"{self.kills} kills survived in {runs} runs of {len(cases)} kinds, {self.half_written} of them with a file half written; "
              "every run ended with the bytes of an undisturbed one")
        print("last checkpoint at the kill: " + ", ".join(f"{place} {n}" for place, n in sorted(self.places.items())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixgrad")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--cases", default=",".join(CASES), help="of " + ", ".join(CASES))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="mixgrad-torture-"))
    Torture(args.mixgrad, root, args.seed).run(args.cases.split(","), args.kills)
    shutil.rmtree(root)  # stays where something differs, to be looked at


if __name__ == "__main__":
    main()
