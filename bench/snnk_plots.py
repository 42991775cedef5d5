"""Draws the pictures of docs/snnk.md from figures that other programs measured.

    cargo run --release --example urf_error > bench/figures/urf_error.csv
    for m in 256 1024; do cargo run --release --example bundle_error -- $m 8; done > bench/figures/bundle_error.csv
    cargo run --release --example projection_variance > bench/figures/projection_variance.csv
    bench/.venv/bin/python bench/snnk_plots.py error         # docs/snnk-error.svg
    bench/.venv/bin/python bench/snnk_plots.py depth         # docs/snnk-depth.svg
    bench/.venv/bin/python bench/snnk_plots.py variance      # docs/snnk-variance.svg
    bench/.venv/bin/python bench/snnk_plots.py bundled PATH  # docs/snnk-bundled.svg, from bundled_tables.py
    bench/.venv/bin/python bench/snnk_plots.py mnist PATH    # docs/snnk-mnist.svg, from mnist_features.py

Needs matplotlib. A repeated header line within a CSV file is skipped.
"""

import argparse
import csv
import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
FIGURES, DOCS = HERE / "figures", HERE.parent / "docs"
# Colours that people with any colour vision tell apart (Okabe and Ito), dark enough for text on white.
BLUE, RED, GREEN, PURPLE, GREY = "#0064a0", "#b84a00", "#00785a", "#9a4d84", "#595959"
STYLE = {
    "font.size": 9, "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
    "axes.titlesize": 9, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.edgecolor": GREY,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.grid": True, "grid.color": "#e4e4e4", "grid.linewidth": 0.6, "lines.linewidth": 1.3,
    "xtick.color": GREY, "ytick.color": GREY, "xtick.minor.size": 0, "ytick.minor.size": 0,
    "figure.facecolor": "white", "svg.fonttype": "none", "svg.hashsalt": "snnk",
}


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def read(path):
    """Rows of a CSV file with numbers as numbers; headers repeated by several runs in one file are left out."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: number(cell) for key, cell in row.items()} for row in rows if any(row[key] != key for key in row)]


def save(figure, out):
    """SVG with the same bytes for the same figures; PNG as well if asked for by the name."""
    figure.savefig(out, metadata={"Date": None, "Creator": None} if out.suffix == ".svg" else None, dpi=110)
    print(out)


def label(axis, x, y, text, color, **place):
    """A word at a point of a line, in its colour."""
    axis.annotate(text, (x, y), color=color, fontsize=8, **({"xytext": (5, 0), "textcoords": "offset points", "va": "center"} | place))


def powers(axis, ticks, which="x"):
    """Logarithmic axis with plain numbers at `ticks`."""
    line = axis.xaxis if which == "x" else axis.yaxis
    (axis.set_xscale if which == "x" else axis.set_yscale)("log")
    line.set_major_locator(matplotlib.ticker.FixedLocator(ticks))
    line.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda t, _: f"{t:,.10g}"))
    line.set_minor_locator(matplotlib.ticker.NullLocator())


def slope(xs, ys):
    """Of the straight line through the logarithms."""
    xs, ys = [math.log(x) for x in xs], [math.log(y) for y in ys]
    a, b = mean(xs), mean(ys)
    return sum((x - a) * (y - b) for x, y in zip(xs, ys)) / sum((x - a) ** 2 for x in xs)


def relu_variance(degrees):
    """Of relu(g.x) relu(g.y) for unit vectors at an angle: its second moment less the square of its mean (Cho and Saul 2009)."""
    t = math.radians(degrees)
    second = (3 * math.sin(t) * math.cos(t) + (math.pi - t) * (1 + 2 * math.cos(t) ** 2)) / (2 * math.pi)
    first = (math.sin(t) + (math.pi - t) * math.cos(t)) / (2 * math.pi)
    return second - first**2


def error(rows, variances):
    """Pointwise error against m: one panel for each function, one for ReLU-SNNK against its own kernel."""
    norms = {0.25: BLUE, 0.5: GREEN, 1.0: RED}
    names = ["cos", "sin", "gaussian", "sech", "relu", "gelu", "tanh", "softplus"]
    figure, axes = plt.subplots(3, 3, figsize=(9, 8.2), sharex=True, sharey=True, layout="constrained")
    lines = defaultdict(list)
    for row in rows:
        lines[row["function"], row["split"], row["norm"]].append(row)
    for axis, name in zip(axes.flat, names):
        split = "windowed" if (name, "windowed", 1.0) in lines else "balanced"
        axis.set_title(f"{name}, {'windowed series' if split == 'windowed' else split}")
        for norm, color in norms.items():
            line = sorted(lines[name, split, norm], key=lambda r: r["m"])
            if not line:
                continue
            m = [r["m"] for r in line]
            axis.plot(m, [r["predicted"] for r in line], color=color, linestyle="--" if split == "windowed" else "-", linewidth=1)
            axis.plot(m, [r["error"] for r in line], "o", color=color, markersize=3.5)
            if axis in axes[:, 0]:
                label(axis, m[-1], line[-1]["predicted"], f"{norm:g}", color)
        line = sorted(lines[name, "constant", 0.5], key=lambda r: r["m"])
        if name == "gaussian" and line:
            axis.plot([r["m"] for r in line], [r["error"] for r in line], "x", color=GREEN, markersize=4)
            label(axis, 64, 0.0013, "crosses: constant scale, norm 0.5", GREEN, xytext=(0, 0))
    own_kernel(axes.flat[8], variances)
    powers(axes[0, 0], [64, 256, 1024, 4096])
    powers(axes[0, 0], [0.001, 0.01, 0.1, 1], "y")
    axes[0, 0].set_xlim(50, 7500)
    for axis in axes[2]:
        axis.set_xlabel("features m")
    for axis in axes[:, 0]:
        axis.set_ylabel("root mean square error")
    notes = [(axes[0, 0], "dots measured, lines predicted;\nat their ends |x| = |w|"), (axes[1, 1], "dashed: bound of scatter, plus truncation"),
             (axes[1, 0], "at norm 1 the variance is infinite")]
    for axis, note in notes:
        label(axis, 64, 0.0017 if "\n" in note else 0.0013, note, GREY, xytext=(0, 0))
    return figure


def own_kernel(axis, variances):
    """Error of ReLU features against the kernel that they estimate, x and w of length 1 at a right angle."""
    axis.set_title("ReLU-SNNK against its own kernel")
    m = [64, 4096]
    axis.plot(m, [(relu_variance(90) / m) ** 0.5 for m in m], color=PURPLE, linewidth=1)
    kept = [r for r in variances if r["kernel"] == "arc-cosine-1" and r["vectors"] == "dense" and r["degrees"] == 90 and r["d"] == 64]
    for row in kept:
        if row["kind"] in ("Gaussian", "Orthogonal"):
            marker = "o" if row["kind"] == "Gaussian" else "^"
            axis.plot(row["d"], row["variance"] ** 0.5, marker, color=PURPLE, markersize=4)
    label(axis, 64, 0.009, "o Gaussian, ^ orthogonal rows", PURPLE, xytext=(0, 0))
    label(axis, 64, 0.0035, "Its kernel is not relu(w.x): against a ReLU\nlayer the error does not fall with m.", GREY, xytext=(0, 0))


def depth(rows):
    """Error against depth, all layers bundled, and against how many of five layers are."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.9), sharey=True, layout="constrained")
    chosen = [
        ("all layers bundled, by depth", lambda r: r["depth"] == r["bundled"], "depth"),
        ("network of 5 layers, some bundled", lambda r: r["depth"] == 5, "bundled"),
    ]
    sizes = sorted({r["features"] for r in rows})
    colors = {"given": RED, "fitted": BLUE}
    for axis, (title, keep, by) in zip(axes, chosen):
        ends = []
        for form in ("given", "fitted"):
            for size in sizes:
                points = defaultdict(list)
                for row in rows:
                    if keep(row) and row["form"] == form and row["features"] == size:
                        points[row[by]].append(row["relative_error"])
                if not points:
                    continue
                xs, color, dark = sorted(points), colors[form], size == max(sizes)
                single = [(x + (-0.04 if dark else 0.04), y) for x in xs for y in points[x]]
                axis.plot(*zip(*single), "_", color=color, markersize=5, alpha=0.5)
                axis.plot(xs, [mean(points[x]) for x in xs], "-" if dark else "--", marker="o", markersize=3.5, color=color)
                ends.append((mean(points[xs[-1]]), xs[-1], f"{form}, m = {size:,.0f}", color))
        axis.set_title(title)
        axis.set_xticks(range(1, 6))
        axis.set_xlabel("hidden layers" if by == "depth" else "layers bundled")
    axes[0].set_ylabel("error of the outputs, relative")
    axes[0].set_ylim(0, None)
    axes[0].set_xlim(0.7, 5.3)
    axes[1].set_xlim(0.7, 6.6)
    apart(axes[1], ends, 5.1, 0.045)
    label(axes[0], 0.75, 0.05, "dashes: single seeds", GREY, xytext=(0, 0))
    return figure


def variance(rows):
    """Variance of orthogonal and structured rows over that of Gaussian ones, against the angle, arc-cosine kernel of order 1."""
    sizes = sorted({r["d"] for r in rows})
    figure, axes = plt.subplots(1, len(sizes), figsize=(9, 3.3), sharey=True, layout="constrained")
    kinds = [("Orthogonal", "dense", BLUE, "-"), ("Structured", "dense", RED, "-"), ("Structured", "axes", RED, ":")]
    for axis, d in zip(axes, sizes):
        axis.axhline(1, color=GREY, linewidth=1)
        for kind, vectors, color, dash in kinds:
            kept = [r for r in rows if r["kernel"] == "arc-cosine-1" and r["d"] == d and r["kind"] == kind and r["vectors"] == vectors]
            # At 180 degrees both are 0.
            kept = sorted((r for r in kept if r["degrees"] < 180), key=lambda r: r["degrees"])
            axis.plot([r["degrees"] for r in kept], [r["ratio"] for r in kept], dash, marker="o", markersize=2.5, color=color)
        axis.set_title(f"m = d = {d:.0f}")
        axis.set_xticks([0, 45, 90, 135])
        axis.set_xlabel("angle of x and w, degrees")
    axes[0].set_ylim(0.5, 1.1)
    axes[0].set_ylabel("variance over that of Gaussian rows")
    words = [(1.018, "Gaussian", GREY), (0.61, "orthogonal", BLUE), (0.842, "structured", RED), (0.948, "structured, x, w on axes", RED)]
    for y, word, color in words:
        label(axes[min(2, len(sizes) - 1)], 0, y, word, color, xytext=(0, 0))
    return figure


def scale_of(task):
    return "accuracy" if task == "classification" else "R2"


def bundled(results):
    """Score against learned numbers: a point a table and width for each method, and the means of both widths."""
    methods = {"bundled relu": BLUE, "bundled relu, gaussian": GREEN, "MLP": RED, "pruned MLP": PURPLE}
    tasks = [t for t in ("classification", "regression") if any(r["task"] == t for r in results)]
    figure, axes = plt.subplots(1, len(tasks), figsize=(4.6 * len(tasks), 4.2), squeeze=False, layout="constrained")
    for axis, task in zip(axes[0], tasks):
        rows = [r for r in results if r["task"] == task]
        widths = sorted({r["width"] for r in rows})
        ends = []
        for method, color in methods.items():
            axis.plot([r["learned"] for r in rows], [r[method] for r in rows], ".", color=color, markersize=4, alpha=0.35)
            at = [[r for r in rows if r["width"] == width] for width in widths]
            xs = [math.exp(mean(math.log(r["learned"]) for r in each)) for each in at]
            ys = [mean(r[method] for r in each) for each in at]
            axis.plot(xs, ys, "-o", color=color, markersize=5)
            ends.append((ys[-1], xs[-1], method, color))
        low, high = min(min(r[m] for m in methods) for r in rows), max(max(r[m] for m in methods) for r in rows)
        powers(axis, ticks_within([r["learned"] for r in rows]))
        axis.set_xlim(right=8 * max(r["learned"] for r in rows))
        axis.set_ylim(max(low, -0.2) - 0.03, high + 0.03)
        apart(axis, ends, max(r["learned"] for r in rows))
        axis.set_title(f"{task}, {len({r['table'] for r in rows})} tables, h = {' and '.join(str(w) for w in widths)}")
        axis.set_xlabel("learned numbers")
        axis.set_ylabel(scale_of(task))
    return figure


def mnist(results):
    """Accuracy against seconds, a line for each method, the numbers of features at the points."""
    colors = dict(zip(sorted({r["method"] for r in results}), (RED, PURPLE, BLUE, GREEN, GREY, "#000000")))
    figure, axis = plt.subplots(figsize=(8, 4.6), layout="constrained")
    ends = []
    for method, color in colors.items():
        line = sorted((r for r in results if r["method"] == method), key=lambda r: r["seconds"])
        dash = "-" if method.startswith("dualnet") else "--"
        axis.plot([r["seconds"] for r in line], [100 * r["accuracy"] for r in line], dash, marker="o", markersize=4, color=color)
        ends.append((100 * line[-1]["accuracy"], line[-1]["seconds"], method, color))
        for row in line if method == "dualnet cos" else []:
            label(axis, row["seconds"], 100 * row["accuracy"], f"{row['features']:,}", color, xytext=(-6, 6), ha="right")
    seconds = [r["seconds"] for r in results]
    powers(axis, ticks_within(seconds))
    axis.set_xlim(right=4 * max(seconds))
    low = sorted(100 * r["accuracy"] for r in results)
    axis.set_ylim(low[0] - 0.5, low[-1] + 1.2)
    apart(axis, ends, max(seconds))
    axis.set_xlabel("seconds, fit and test")
    axis.set_ylabel("accuracy on the test images, %")
    return figure


def ticks_within(values):
    """1, 2 and 5 times powers of ten, as many as the values span."""
    low, high = min(values), max(values)
    all_ticks = [k * 10.0**p for p in range(-3, 8) for k in (1, 2, 5)]
    return [t for t in all_ticks if low * 0.6 <= t <= high * 1.2]


def apart(axis, ends, right, gap=0.05):
    """Names of lines to the right of everything, each near the height of its end and none over another."""
    bottom, top = axis.get_ylim()
    at, gap = bottom, gap * (top - bottom)
    for y, x, name, color in sorted(ends):
        at = max(y, at + gap)
        label(axis, right, at, name, color, xytext=(8, 0))
        axis.plot([x, right], [y, at], color=color, linewidth=0.5, alpha=0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", choices=["error", "depth", "variance", "bundled", "mnist"])
    parser.add_argument("path", nargs="?", type=Path, help="figures to draw, if not those of bench/figures or bench/results")
    parser.add_argument("--out", type=Path, help="default: docs/snnk-PICTURE.svg")
    options = parser.parse_args()
    plt.rcParams.update(STYLE)
    out = options.out or DOCS / f"snnk-{options.picture}.svg"
    path = options.path
    if options.picture == "error":
        rows = read(path or FIGURES / "urf_error.csv")
        figure = error(rows, read(FIGURES / "projection_variance.csv"))
        slopes(rows)
    elif options.picture == "depth":
        figure = depth(read(path or FIGURES / "bundle_error.csv"))
    elif options.picture == "variance":
        figure = variance(read(path or FIGURES / "projection_variance.csv"))
    else:
        results = json.loads((path or HERE / "results" / f"{options.picture}.json").read_text())
        figure = (bundled if options.picture == "bundled" else mnist)(results)
    save(figure, out)


def slopes(rows):
    """Prints how the error of each line falls with m: -0.5 where the variance is finite and nothing else errs."""
    lines = defaultdict(list)
    for row in rows:
        lines[row["function"], row["split"], row["norm"]].append(row)
    found = {key: slope([r["m"] for r in line], [r["error"] for r in line]) for key, line in lines.items()}
    for kind, keep in (("transforms", lambda k: k[1] != "windowed"), ("windowed series", lambda k: k[1] == "windowed")):
        some = [s for key, s in found.items() if keep(key)]
        if some:
            print(f"slopes of {kind}: {min(some):.3f} to {max(some):.3f}, mean {mean(some):.3f}, {len(some)} lines")


if __name__ == "__main__":
    main()
