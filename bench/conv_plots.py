"""Draws docs/conv_accuracy.svg from the figures of fashion_mnist.py.

    bench/.venv/bin/python bench/conv_plots.py [bench/figures/fashion_mnist.json] [-o docs/conv_accuracy.svg]

Needs matplotlib.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, stdev

import matplotlib.pyplot as plt

from snnk_plots import BLUE, DOCS, FIGURES, GREEN, GREY, PURPLE, RED, STYLE, label, powers, save

METHODS = {
    "myrtle-5 ntk": ("Myrtle-5 NTK", BLUE, "o-"), "myrtle-5 nngp": ("Myrtle-5 NNGP", GREEN, "s-"),
    "cnn": ("CNN", RED, "^--"), "rbf svm": ("RBF-SVM", PURPLE, "v:"), "dense ntk": ("dense NTK", GREY, "D-."),
}


def accuracies(runs):
    """{method: {n: [percent, ...]}}, the halves among them."""
    found = {}
    for run in runs:
        found.setdefault(run["method"], {}).setdefault(run["n"], []).append(100 * run["accuracy"])
    return found


def spread(labels, gap):
    """Heights of labels, moved apart where they would overlap, about their common mean."""
    labels = sorted(labels)
    heights = [labels[0][0]]
    for height, *_ in labels[1:]:
        heights.append(max(height, heights[-1] + gap))
    back = mean(heights) - mean(height for height, *_ in labels)
    return [(height - back, *rest) for height, (_, *rest) in zip(heights, labels)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, nargs="?", default=FIGURES / "fashion_mnist.json")
    parser.add_argument("-o", "--out", type=Path, default=DOCS / "conv_accuracy.svg")
    options = parser.parse_args()
    found = accuracies(json.loads(options.figures.read_text())["runs"])
    plt.rcParams.update(STYLE | {"svg.hashsalt": "conv"})
    figure, axis = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    labels, sizes = [], sorted({n for points in found.values() for n in points})
    for k, (method, (name, color, style)) in enumerate((m, s) for m, s in METHODS.items() if m in found):
        points = sorted(found[method].items())
        # Beside one another, so that the bars can be told apart.
        xs = [n * 1.03 ** (k - 2) for n, _ in points]
        ys = [mean(values) for _, values in points]
        bars = [stdev(values) if len(values) > 1 else 0 for _, values in points]
        axis.errorbar(xs, ys, bars, fmt=style, color=color, markersize=4, elinewidth=0.8, capsize=2)
        labels.append((ys[-1], name, color))
    low, high = axis.get_ylim()
    for height, name, color in spread(labels, (high - low) / 20):
        label(axis, sizes[-1], height, name, color, xytext=(12, 0), annotation_clip=False)
    powers(axis, sizes)
    axis.set_xlim(sizes[0] / 1.3, sizes[-1] * 2.6)
    axis.set_xlabel("training images of Fashion-MNIST")
    axis.set_ylabel("test accuracy, % (mean and sd over draws)")
    save(figure, options.out)


if __name__ == "__main__":
    main()
