"""Draws the picture of docs/compress.md from what bench/compress.py prints (a JSON object a line).

    bench/.venv/bin/python bench/compress.py --parts quality > bench/figures/compress.jsonl
    bench/.venv/bin/python bench/compress.py --parts time > bench/figures/compress_time.jsonl
    bench/.venv/bin/python bench/compress_plots.py       # docs/compress-pareto.svg

Needs matplotlib. Quality against the bytes of the layers in f32 and against the time of `dualnet embed`, calibration set B; a point is the mean over
the seeds that the run has.
"""

import json
from collections import defaultdict
from statistics import mean

import matplotlib.pyplot as plt
from snnk_plots import BLUE, DOCS, FIGURES, GREEN, GREY, PURPLE, RED, STYLE, save

COLOURS = {"neurons": BLUE, "svd": RED, "drop-layers": GREEN, "relu": PURPLE, "prune": GREY}
TITLES = {"cosine": "Mean cosine to the original", "retrieval": "Retrieval, mean reciprocal rank"}
ORIGINAL_MEGABYTES = 42.6
# where labels of neighbours would cover each other, in points from their own
PLACES = {
    "original": ((-7, -3), "right"),
    "neurons m=192": ((-9, -13), "center"),
    "drop-layers 3 of 6": ((0, 7), "center"),
    "svd r=76": ((7, -8), "left"),
}


def read(name):
    """The rows of a file of results."""
    return [json.loads(line) for line in (FIGURES / name).read_text().splitlines() if line.startswith("{")]


def main():
    runs = defaultdict(list)
    for row in read("compress.jsonl"):
        if row.get("set") == "B" and "run" in row:
            runs[row["run"]].append(row)
    times = {row["shape"]: row["of the original"] for row in read("compress_time.jsonl")}
    plt.rcParams.update(STYLE)
    figure, axes = plt.subplots(2, 2, figsize=(8.6, 6.4), layout="constrained", sharey="row")
    for row, (quality, title) in zip(axes, TITLES.items()):
        row[0].set_ylabel(title)
        for axis, label in zip(row, ("Layers in f32, MB", "Time of embedding, of the original's")):
            for name, some in runs.items():
                if "no steps" in name and "neurons" not in name:
                    continue
                shape = name.split(",")[0]
                by_bytes = axis is row[0]
                x = mean(r.get("megabytes", ORIGINAL_MEGABYTES) for r in some) if by_bytes else times[shape]
                y = mean(r[quality] for r in some)
                colour = COLOURS.get(name.split()[0], "black")
                full = "full" if "no steps" not in name else "none"
                axis.plot(x, y, "*" if name == "original" else "o", color=colour, fillstyle=full, markersize=7)
                short = shape if full == "full" else name
                at, align = PLACES.get(shape, ((7, -3), "left"))
                axis.annotate(short, (x, y), xytext=at, textcoords="offset points", fontsize=8, ha=align, color=colour)
            axis.margins(0.16, 0.12)
            axis.set_xlabel(label)
    save(figure, DOCS / "compress-pareto.svg")


if __name__ == "__main__":
    main()
