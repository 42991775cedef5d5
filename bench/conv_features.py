"""Features of Myrtle-5 on Fashion-MNIST: kernel error and test error, by their number and by time.

    scripts/fetch-data fashion-mnist && cargo build --release
    bench/.venv/bin/python bench/conv_features.py pool     # minutes
    bench/.venv/bin/python bench/conv_features.py full     # an hour or more
    bench/.venv/bin/python bench/conv_features.py plot     # docs/conv-features.svg

pool: the first 2,000 training images, standardised by one mean and deviation, and the draws of
fashion_mnist.py, whose figures of the exact kernel on the very same rows are read from
figures/fashion_mnist.json. Features of the pool by `dualnet features`; then, as there, ridge on one-hot
targets with lambda by exact leave-one-out, of the kernel F F^T.

full: `dualnet fit` on all 60,000 images, tested on the 10,000, or --images-of N, tested on as many, to choose
options by leave-one-out; Myrtle-5 and fc-relu-3 by the same numbers of features.

Each run is written to --out at once; runs that are there are not repeated. Times are those of the
command, on --threads threads.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from statistics import mean, stdev

import numpy as np

import fashion_mnist as few

HERE = Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["pool", "full", "plot"])
    parser.add_argument("--dims", type=int, nargs="*", default=[256, 512, 1024, 2048, 4096, 8192])
    parser.add_argument("--nets", nargs="*", default=["myrtle-5", "fc-relu-3"], help="of full")
    parser.add_argument("--images-of", type=int, dest="count", help="of full: as many training images; default: all")
    parser.add_argument("--more", nargs="*", default=["whiten=mean"], help="of full: options of fit, as whiten=mean")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=Path, default=few.IMAGES, help="folder of the IDX files")
    parser.add_argument("--out", type=Path, default=HERE / "figures" / "conv_features.json")
    parser.add_argument("--svg", type=Path, default=HERE.parent / "docs" / "conv-features.svg")
    parser.add_argument("--binary", type=Path, default=few.BINARY, help="the dualnet command")
    options = parser.parse_args()
    options.pool = 2000
    return options


class Figures:
    """What was measured, kept in a file."""

    def __init__(self, path):
        self.path = path
        self.runs = json.loads(path.read_text()) if path.exists() else []

    def of(self, part):
        return [run for run in self.runs if run["part"] == part]

    def has(self, **key):
        return any(all(run.get(name) == value for name, value in key.items()) for run in self.runs)

    def add(self, run):
        self.runs.append(run)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.runs, indent=1) + "\n")
        print(json.dumps(run), flush=True)


def command(options, line):
    done = subprocess.run([str(part) for part in [options.binary, *line]], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def accuracies(k, y, n, draws):
    """Of ridge on n images, as fashion_mnist.py judges it: draws, or at half of the pool the halves."""
    half = len(y) // 2
    found = []
    for seed in range(draws):
        train, test = few.draw(y, n, seed) if n != half else (np.arange(half), np.arange(half, len(y)))
        found.append(float((few.ridge(k, y, train, test)[0] == y[test]).mean()))
    return found


def pool(options, figures):
    x, y = few.load(options)
    with tempfile.TemporaryDirectory() as folder:
        images, out = Path(folder) / "x.npy", Path(folder) / "f.npz"
        np.save(images, x)
        for dim in options.dims:
            if figures.has(part="pool", dim=dim):
                continue
            line = ["features", "myrtle-5", "--x", images, "--get", "ntk", "--dim", dim, "-o", out, "--threads", options.threads, "--json"]
            report = command(options, line)
            with np.load(out) as arrays:
                f = arrays["ntk"].astype(np.float64)
            k = f @ f.T
            figures.add({
                "part": "pool", "dim": dim, "error": report["error"]["ntk"], "ms": 1000 * report["seconds"] / len(x),
                "accuracy": {str(n): accuracies(k, y, n, draws) for n, draws in ((160, 10), (640, 10), (1000, 1))},
            })


def full(options, figures):
    for net in options.nets:
        for dim in options.dims:
            key = {"part": "full", "net": net, "dim": dim, "n": options.count or 60_000, "more": options.more}
            if figures.has(**key):
                continue
            line = ["fit", options.images, "--net", net, "--method", "features", "--features", dim, "--threads", options.threads, "--json"]
            line += [word for pair in options.more for word in (f"--{pair.split('=')[0]}", pair.split("=")[1])]
            line += ["--images", options.count] if options.count else []
            report = command(options, line)
            chosen = {name: report[name] for name in ("kernel", "lambda", "seconds", "threads", "loo_rows")}
            figures.add(key | chosen | {"error": report["features"]["kernel_error"], "loo": report["loo"], "test": report["test"]})


def plot(options, figures):
    import matplotlib.pyplot as plt

    from snnk_plots import BLUE, GREEN, GREY, RED, STYLE, label, powers, save

    plt.rcParams.update(STYLE | {"svg.hashsalt": "conv features"})
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 6.4), layout="constrained")
    runs = sorted(figures.of("pool"), key=lambda run: run["dim"])
    exact = [run for run in json.loads((few.HERE / "figures" / "fashion_mnist.json").read_text())["runs"] if run["method"] == "myrtle-5 ntk"]
    dims, times = [run["dim"] for run in runs], [run["ms"] for run in runs]
    for axis, xs in ((axes[0, 0], dims), (axes[0, 1], times)):
        axis.plot(xs, [run["error"] for run in runs], "o-", color=BLUE, markersize=4)
        powers(axis, [0.02, 0.05, 0.1, 0.2], "y")
        axis.set_ylabel("relative error of the NTK")
    colors = {"160": GREEN, "640": BLUE, "1000": RED}
    wrong = lambda found: 100 * (1 - mean(found))
    for n, color in colors.items():
        errors = [wrong(run["accuracy"][n]) for run in runs]
        reference = wrong([run["accuracy"] for run in exact if run["n"] == int(n)])
        for axis, xs in ((axes[1, 0], dims), (axes[1, 1], times)):
            axis.plot(xs, errors, "o-", color=color, markersize=4)
            axis.axhline(reference, color=color, linestyle=":", linewidth=1)
        # Those of 640 and of 1,000 images nearly meet.
        side = {"640": "bottom", "1000": "top"}.get(n, "center")
        label(axes[1, 0], dims[-1], errors[-1], f"{int(n):,} images", color, annotation_clip=False, va=side)
    for net, color, style in (("myrtle-5", GREY, "s-"), ("fc-relu-3", GREY, "D:")):
        whole = sorted((run for run in figures.of("full") if run["net"] == net and run["n"] == 60_000), key=lambda run: run["dim"])
        if whole:
            errors = [100 * (1 - run["test"]["accuracy"]) for run in whole]
            axes[1, 0].plot([run["dim"] for run in whole], errors, style, color=color, markersize=4)
            label(axes[1, 0], whole[-1]["dim"], errors[-1], f"60,000, {net}", color, annotation_clip=False)
    for row in axes:
        powers(row[0], [256, 1024, 4096])
        row[0].set_xlabel("features")
        powers(row[1], [1, 2, 5, 10, 20, 50, 100])
        row[1].set_xlabel("ms an image, one thread")
        row[0].set_xlim(220, 30_000)
    for axis in axes[1]:
        axis.set_ylabel("test error, %")
    label(axes[1, 1], times[0], axes[1, 1].get_ylim()[1], "dotted: the exact kernel", GREY, va="top")
    save(figure, options.svg)


def main():
    options = arguments()
    figures = Figures(options.out)
    {"pool": pool, "full": full, "plot": plot}[options.part](options, figures)
    if options.part == "pool":
        for run in figures.of("pool"):
            spread = lambda found: f"{100 * mean(found):.1f}" + (f" ± {100 * stdev(found):.1f}" if len(found) > 1 else "")
            print(f"{run['dim']:>6} {run['error']:.4f} {run['ms']:.1f} ms", *(f"{n}: {spread(a)}" for n, a in run["accuracy"].items()))


if __name__ == "__main__":
    main()
