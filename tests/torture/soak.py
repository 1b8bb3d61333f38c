#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that memory does not grow: many short searches in one process, and one long search.

    tests/torture/soak.py BUILD [--searches 200] [--minutes 40]

BUILD is the build directory. Prints resident memory and its growth; exits with 1 if it grows by more than 2%."""
import argparse, os, pathlib, re, signal, subprocess, sys, tempfile, time

MOST_GROWTH = 0.02


def resident_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def mean(values):
    return sum(values) / len(values)


def check(name, samples):
    """Compares the last fifth of the samples with the second: during the first, memory is still warming up."""
    fifth = len(samples) // 5
    before, after = mean(samples[fifth:2 * fifth]), mean(samples[-fifth:])
    growth = after / before - 1
    print(f"{name}: {before:.1f} MiB resident, {after:.1f} at the end ({100 * growth:+.2f}%), at most {max(samples):.1f}")
    return growth <= MOST_GROWTH


def short_searches(build, count):
    env = dict(os.environ, MIXGRAD_SOAK=str(count))
    run = subprocess.run([f"{build}/tests/mixgrad-tests", "-tc=soak*"], env=env, stdout=subprocess.PIPE, text=True)
    samples = [float(s) for s in re.findall(r"resident ([0-9.]+) MiB", run.stdout)]
    if run.returncode != 0 and len(samples) < count:
        sys.exit(run.stdout)
    return check(f"{len(samples)} searches in one process", samples)


def long_search(build, minutes):
    with tempfile.TemporaryDirectory(prefix="mixgrad-soak-") as folder:
        command = [f"{build}/mixgrad", "search", "--data", "glyphs:4000", "--search-epochs", "100000", "--act-bits", "2,4,8", "--quiet", "--out", f"{folder}/run"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        samples, end = [], time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            time.sleep(60 * minutes / 300)
            if process.poll() is not None:
                sys.exit(f"the search ended by itself with exit code {process.returncode}")
            samples.append(resident_mib(process.pid))
        process.send_signal(signal.SIGKILL)
        process.wait()
    return check(f"a search of {minutes:g} minutes", samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=40)
    args = parser.parse_args()
    flat = [short_searches(args.build, args.searches)] if args.searches else []
    flat += [long_search(args.build, args.minutes)] if args.minutes else []
    sys.exit(0 if all(flat) else 1)


if __name__ == "__main__":
    main()
