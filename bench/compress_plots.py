"""Draws the pictures of docs/compress.md from what bench/compress.py prints (a JSON object a line).

    bench/.venv/bin/python bench/compress.py --parts quality speed int8 > bench/figures/compress.jsonl
    bench/.venv/bin/python bench/compress_plots.py       # docs/compress-pareto.svg

Needs matplotlib. Left: quality against the bytes of the layers in f32; right: against the speed of `dualnet embed`. A point is the mean over the
calibration sets and seeds that the run has.
"""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt
from snnk_plots import BLUE, DOCS, FIGURES, GREEN, GREY, PURPLE, RED, STYLE, save

COLOURS = {"neurons": BLUE, "svd": RED, "drop-layers": GREEN, "relu": PURPLE, "prune": GREY}


def main():
    rows = [json.loads(line) for line in (FIGURES / "compress.jsonl").read_text().splitlines() if line.startswith("{")]
    runs = defaultdict(list)
    for row in rows:
        if row.get("set") == "B" and "run" in row:
            runs[row["run"]].append(row)
    original = runs.pop("original")
    average = {name: {key: mean(r[key] for r in some) for key in ("cosine", "retrieval", "megabytes", "tokens a second")}
               for name, some in runs.items() if all("tokens a second" in r for r in some)}
    whole = {"cosine": 1.0, "retrieval": original[-1]["retrieval"], "megabytes": 42.6, "tokens a second": original[-1]["tokens a second"]}
    plt.rcParams.update(STYLE)
    figure, axes = plt.subplots(2, 2, figsize=(8.6, 6.2), layout="constrained", sharex="col", sharey="row")
    for line, (quality, title) in zip(axes, (("cosine", "Mean cosine to the original"), ("retrieval", "Retrieval, mean reciprocal rank"))):
        for axis, (cost, label) in zip(line, (("megabytes", "Layers in f32, MB"), ("tokens a second", "Tokens a second, two threads"))):
            for name, point in average.items():
                method = name.split()[0]
                distilled = "distilled" in name
                axis.plot(point[cost], point[quality], "o" if distilled else "s", color=COLOURS[method],
                          fillstyle="full" if distilled else "none", markersize=6)
                short = name.replace(", local and distilled", "").replace(", distilled", "").replace("neurons ", "")
                axis.annotate(short, (point[cost], point[quality]), xytext=(6, -3), textcoords="offset points", fontsize=7)
            axis.plot(whole[cost], whole[quality], "*", color="black", markersize=9)
            axis.annotate("original", (whole[cost], whole[quality]), xytext=(-6, -12), textcoords="offset points", fontsize=7,
                          ha="right")
            axis.margins(0.16)
            if quality == "retrieval":
                axis.set_xlabel(label)
        line[0].set_title(title)
    figure.suptitle("MiniLM made smaller (calibration set B, texts of four other sources). Full: distilled; open: without steps", fontsize=9)
    save(figure, DOCS / "compress-pareto.svg")


if __name__ == "__main__":
    main()
