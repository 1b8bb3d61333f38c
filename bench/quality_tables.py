#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tables (Markdown) and a figure (SVG) from the results.csv of quality.py: quality_tables.py FILE.

Runs are compared if they have the same setting and float network. Figures are means over the seeds, with the lowest and
the highest in parentheses. The figure is written next to the file and requires matplotlib.
"""
import csv
import math
import os
import statistics
import sys
from pathlib import Path

COLUMNS = ["part", "setting", "float_network", "method", "variant", "budget", "seed", "outcome", "float_accuracy",
           "val_accuracy", "test_accuracy", "search_accuracy", "size_bits", "share_of_uniform8", "seconds", "version",
           "flags"]
LABELS = {
    "per-channel-0": "search, per channel, with 0 bits",
    "per-channel": "search, per channel",
    "per-layer": "search, per layer",
    "dnas-0": "trained alpha, per channel, with 0 bits",
    "dnas": "trained alpha, per channel",
    "sensitivity": "sensitivity, per layer",
    "random": "random, per channel",
    "random-0": "random, per channel, with 0 bits",
    "uniform": "uniform",
}


# --- reading ------------------------------------------------------------------------------------------------------

def load(path):
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def grouped(lines, *columns):
    out = {}
    for line in lines:
        out.setdefault(tuple(line[c] for c in columns), []).append(line)
    return out


def newest(lines):
    """One line per seed: a later one, made with other flags of its method, replaces an earlier one."""
    return list({line["seed"]: line for line in lines}.values())


def reached(lines):
    return [line for line in newest(lines) if line["outcome"] == "done"]


def values(lines, column="test_accuracy"):
    return [float(line[column]) for line in lines]


def mean(lines, column="test_accuracy"):
    return statistics.fmean(values(lines, column))


def in_order(names, order):
    return sorted(set(names), key=lambda n: order.index(n) if n in order else len(order))


# --- tables -------------------------------------------------------------------------------------------------------

def spread(numbers, form):
    text = form(statistics.fmean(numbers))
    return text + (f" ({form(min(numbers))} to {form(max(numbers))})" if len(numbers) > 1 else "")


def cell(lines, text):
    """A cell about one method at one budget; `text` makes it from the runs that met the budget."""
    done = reached(lines)
    return text(done) if done else "out of reach" if lines else ""


def accuracy(lines):
    return spread(values(lines), "{:.4f}".format)


def lost(lines):
    """Percentage points below the float network, and the size used."""
    points = 100 * (mean(lines, "float_accuracy") - mean(lines))
    return f"{points:.2f} at {100 * mean(lines, 'share_of_uniform8'):.1f}%"


def seeds(cells):
    counts = sorted({len(reached(lines)) for lines in cells if reached(lines)})
    return "" if not counts else f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def print_rows(head, rows):
    print(row(head) + "\n|" + "---|" * len(head))
    for cells in rows:
        print(row(cells))
    print()


def print_quality(lines):
    cells = grouped(lines, "method", "budget")
    methods = in_order((m for m, _ in cells), list(LABELS))
    budgets = sorted({b for _, b in cells}, key=float)
    for title, text in [("Test accuracy", accuracy), ("Points lost from float, at the share of uniform 8-bit used", lost)]:
        print(f"{title}:\n")
        print_rows(["method", "seeds"] + [f"at most {b}%" for b in budgets],
                   [[LABELS.get(m, m), seeds([cells.get((m, b), []) for b in budgets])]
                    + [cell(cells.get((m, b), []), text) for b in budgets] for m in methods])


def print_ablation(lines):
    """Every variant's accuracy, and its gain over the first variant in points."""
    cells = grouped(lines, "method", "variant")
    methods, variants = (list(dict.fromkeys(name[i] for name in cells)) for i in (0, 1))

    def text(method, variant):
        done, base = reached(cells.get((method, variant), [])), reached(cells.get((method, variants[0]), []))
        if not done or not base or variant == variants[0]:
            return cell(cells.get((method, variant), []), accuracy)
        return f"{accuracy(done)}, {100 * (mean(done) - mean(base)):+.2f}"

    print(f"Test accuracy, and points gained over {variants[0]}:\n")
    print_rows(["weights", "seeds"] + methods,
               [[v, seeds([cells.get((m, v), []) for m in methods])] + [text(m, v) for m in methods] for v in variants])


# --- memory for equal accuracy ------------------------------------------------------------------------------------

def curve(cells, method, seed=None):
    """A method's (log size, accuracy) by size: the means over the seeds, or one seed's."""
    points = []
    for (name, _), lines in cells.items():
        lines = [line for line in reached(lines) if seed in (None, line["seed"])]
        if name == method and lines:
            points.append((math.log(mean(lines, "size_bits")), mean(lines)))
    return sorted(points)


def size_for(accuracy, points):
    """The least log size at which a curve reaches an accuracy, and whether it is only an upper bound; None if nowhere."""
    previous = None
    for x, y in points:
        if y >= accuracy:
            if previous is None:
                return x, y > accuracy
            share = (accuracy - previous[1]) / (y - previous[1])
            return previous[0] + share * (x - previous[0]), False
        previous = x, y
    return None


def saving(point, points):
    """How much smaller the curve is than a (log size, accuracy) at its accuracy: (share, only a lower bound), or None."""
    found = size_for(point[1], points)
    return found and (1 - math.exp(found[0] - point[0]), found[1])


def saving_text(found):
    return "not reached" if found is None else f"{'≥ ' if found[1] else ''}{100 * found[0]:.0f}%"


def saving_cell(cells, lines, method):
    """Less memory than per layer: from the means, then the range over all pairs of a seed of each method."""
    def at(some):
        return math.log(mean(some, "size_bits")), mean(some)

    points = curve(cells, method)
    if len(points) < 2:
        return ""
    all_seeds = {line["seed"] for (name, _), group in cells.items() if name == method for line in reached(group)}
    pairs = [saving(at([line]), curve(cells, method, seed)) for line in lines for seed in all_seeds]
    pairs.sort(key=lambda p: -math.inf if p is None else p[0])
    text, low, high = (saving_text(s) for s in (saving(at(lines), points), pairs[0], pairs[-1]))
    return text if low == high else f"{text} ({low} to {high})"


def print_savings(lines):
    """The papers' claim in its own form: less memory at the accuracy of a network chosen layer by layer."""
    cells = grouped(lines, "method", "budget")
    layers = sorted((float(b), reached(group)) for (m, b), group in cells.items() if m == "per-layer" and reached(group))
    methods = [m for m in ("per-channel", "per-channel-0") if len(curve(cells, m)) > 1]
    if layers and methods:
        print("Less memory than per layer at its accuracy (between budgets: interpolated over the logarithm of the size):\n")
        print_rows(["per layer at most", "KiB", "test accuracy"] + [LABELS[m] for m in methods],
                   [[f"{b:g}%", f"{mean(group, 'size_bits') / 8192:.1f}", accuracy(group)]
                    + [saving_cell(cells, group, m) for m in methods] for b, group in layers])


# --- figure -------------------------------------------------------------------------------------------------------

def draw(path, lines):
    try:
        import matplotlib
    except ImportError:
        print("quality: no figure without matplotlib: apt-get install python3-matplotlib", file=sys.stderr)
        return
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "mixgrad", "font.size": 9})  # the same file from the same results
    from matplotlib import pyplot, ticker

    cells = grouped(lines, "method", "budget")
    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    for method, mark in zip(in_order((m for m, _ in cells), list(LABELS)), "osD^vx"):
        done = [reached(group) for (name, _), group in cells.items() if name == method]
        done = sorted((d for d in done if d), key=lambda d: mean(d, "size_bits"))
        if not done:
            continue
        y = [mean(d) for d in done]
        below, above = ([sign * (m - f(values(d))) for m, d in zip(y, done)] for sign, f in ((1, min), (-1, max)))
        axes.errorbar([mean(d, "size_bits") / 8192 for d in done], y, yerr=[below, above],
                      label=LABELS.get(method, method), marker=mark, markersize=4, linewidth=1, capsize=2)
    floats = mean([line for line in lines if line["outcome"] == "done"], "float_accuracy")
    axes.axhline(floats, color="gray", linestyle="--", label="float")
    axes.set(xscale="log", xlabel="weights, KiB", ylabel="test accuracy")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend()
    temporary = path.with_suffix(".tmp")
    figure.savefig(temporary, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    os.replace(temporary, path)
    print(f"figure: {path}", file=sys.stderr)


def show(path):
    lines = load(path)
    if not lines:
        print(f"quality: no finished runs in {path}", file=sys.stderr)
    figures = 0
    for (setting, network), group in grouped(lines, "setting", "float_network").items():
        done = [line for line in group if line["outcome"] == "done"]
        floats = f", accuracy {mean(done, 'float_accuracy'):.4f}" if done else ""
        print(f"`{setting}`, float network {network}{floats}\n")
        parts = {part: some for (part,), some in grouped(group, "part").items()}
        if "quality" in parts:
            print_quality(parts["quality"])
            print_savings(parts["quality"])
            if any(line["outcome"] == "done" for line in parts["quality"]):
                figures += 1
                draw(path.with_name("quality.svg" if figures == 1 else f"quality-{figures}.svg"), parts["quality"])
        if "ablation" in parts:
            print_ablation(parts["ablation"])


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: quality_tables.py FILE")
    show(Path(sys.argv[1]))
