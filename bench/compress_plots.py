"""Draws the picture of docs/compress.md from what bench/compress.py prints (a JSON object a line).

    bench/.venv/bin/python bench/compress.py --parts quality > bench/figures/compress.jsonl
    bench/.venv/bin/python bench/compress_plots.py       # docs/compress-pareto.svg

Needs matplotlib. Quality against the bytes of the layers in f32, calibration set B; a point is the mean over the seeds that the run has.
"""

import json
from collections import defaultdict
from statistics import mean

import matplotlib.pyplot as plt
from snnk_plots import BLUE, DOCS, FIGURES, GREEN, GREY, PURPLE, RED, STYLE, save

COLOURS = {"neurons": BLUE, "svd": RED, "drop-layers": GREEN, "relu": PURPLE, "prune": GREY}
TITLES = {"cosine": "Mean cosine to the original", "retrieval": "Retrieval, mean reciprocal rank"}
ORIGINAL_MEGABYTES = 42.6


def main():
    rows = [json.loads(line) for line in (FIGURES / "compress.jsonl").read_text().splitlines() if line.startswith("{")]
    runs = defaultdict(list)
    for row in rows:
        if row.get("set") == "B" and "run" in row:
            runs[row["run"]].append(row)
    plt.rcParams.update(STYLE)
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.6), layout="constrained")
    for axis, (quality, title) in zip(axes, TITLES.items()):
        for name, some in runs.items():
            x, y = mean(r.get("megabytes", ORIGINAL_MEGABYTES) for r in some), mean(r[quality] for r in some)
            colour = COLOURS.get(name.split()[0], "black")
            full = "full" if "no steps" not in name else "none"
            axis.plot(x, y, "*" if name == "original" else "o", color=colour, fillstyle=full, markersize=7)
            short = name.replace(", local and distilled", "").replace(", distilled", "")
            left = name == "original"
            axis.annotate(short, (x, y), xytext=(-7 if left else 7, -3), textcoords="offset points", fontsize=8,
                          ha="right" if left else "left", color=colour)
        axis.margins(0.08, 0.12)
        axis.set_title(title)
        axis.set_xlabel("Layers in f32, MB")
    save(figure, DOCS / "compress-pareto.svg")


if __name__ == "__main__":
    main()
