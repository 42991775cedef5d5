"""Kernel error and test error of every map against dimension and time, and the picture of it.

    scripts/fetch-data mnist && cargo build --release
    bench/.venv/bin/python bench/feature_plots.py [--sizes 256 512 ...]      # measures, then draws docs/features-dense.svg
    bench/.venv/bin/python bench/feature_plots.py --draw                     # draws what was measured before

MNIST, --rows images to fit (6,000) and a quarter of them to test, pixels centred and on one scale, NTK of fc-relu-2 without biases. For each map and number of
columns: the relative error of the kernel that `dualnet features` prints (256 rows), its seconds for the rows, the seconds of ridge on them
(numpy: sums of products and ten decompositions) and the share of the test images that it gets wrong; lambda is chosen on a tenth of the training images.
The exact kernel's own error is that of `dualnet fit --method pcg`.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import program

program.threads(2)
import numpy as np  # noqa: E402  (threads are counted at the import)

METHODS = ["random", "sketch", "nystrom", "rpcholesky"]
NET = "fc-relu-2"
FIGURES = program.HERE / "figures" / "features_dense.json"
PICTURE = program.ROOT / "docs" / "features-dense.svg"


def data(rows, tested):
    x, labels = program.mnist("mnist")
    order = np.random.default_rng(0).permutation(len(x))[: rows + tested]
    x, labels = x[order], labels[order]
    x = (x - x[:rows].mean(0)) / x[:rows].std()
    return x[:rows], labels[:rows], x[rows:], labels[rows:]


def ridge(f, labels, g, truth):
    """Test error of ridge on features, lambda by rows held out, and its seconds."""
    start = perf_counter()
    y = np.eye(10)[labels] - np.eye(10)[labels].mean(0)
    some = len(f) * 9 // 10
    square = lambda a, b: a.T @ b
    part, all_rows = square(f[:some], f[:some]), square(f, f)
    unit, eye = np.trace(all_rows) / len(f), np.eye(f.shape[1])
    solve = lambda s, a, b, n, ridge: np.linalg.solve(s + n * ridge * unit * eye, square(a, b))
    path = 10.0 ** -np.arange(2, 8)
    wrong = lambda w, f, labels: float(((f @ w).argmax(1) != labels).mean())
    left = lambda r: wrong(solve(part, f[:some], y[:some], some, r), f[some:], labels[some:])
    best = min(path, key=left)
    error = wrong(solve(all_rows, f, y, len(f), best), g, truth)
    return error, perf_counter() - start


def measure(options):
    program.machine(2, np)
    x, labels, new, truth = data(options.rows, options.rows // 4)
    points = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        np.savez(folder / "train.npz", x=x, y=labels)
        np.savez(folder / "test.npz", x=new, y=truth)
        command = ["fit", folder / "train.npz", "--test", folder / "test.npz", "--net", NET, "--kernel", "ntk", "--method", "pcg"]
        report = program.dualnet(*command)
        exact = {"error": 1 - report["test"]["accuracy"], "seconds": report["seconds"]}
        print(f"exact kernel by pcg: {100 * exact['error']:.2f} % wrong, {exact['seconds']:.1f} s")
        print(f"{'map':<12}{'columns':>8}{'kernel error':>14}{'wrong, %':>10}{'map, s':>8}{'ridge, s':>10}")
        for dim in options.sizes:
            for method in METHODS:
                if method == "sketch" and dim < x.shape[1] + 16:
                    continue  # which keeps the columns, and one for each higher degree
                f, g, told = program.maps(NET, dim, method, x, new, folder)
                error, solved = ridge(f, labels, g, truth)
                point = {"method": method, "dim": dim, "kernel": told["error"]["ntk"], "test": error}
                points.append(point | {"map_seconds": told["seconds"], "ridge_seconds": solved})
                print(f"{method:<12}{dim:>8}{told['error']['ntk']:14.4f}{100 * error:10.2f}{told['seconds']:8.2f}{solved:10.2f}", flush=True)
    options.json.write_text(json.dumps({"rows": options.rows, "exact": exact, "points": points}, indent=1) + "\n")


def draw(options):
    import matplotlib.pyplot as plt
    from snnk_plots import BLUE, GREEN, GREY, PURPLE, RED, STYLE, label, powers, save, ticks_within

    found = json.loads(options.json.read_text())
    styles = {"rpcholesky": (BLUE, "o-"), "nystrom": (GREEN, "s-"), "sketch": (PURPLE, "v--"), "random": (RED, "^--")}
    plt.rcParams.update(STYLE | {"svg.hashsalt": "features"})
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), sharex="col", sharey="row", layout="constrained")
    across = {"columns": lambda p: p["dim"], f"seconds of the map, {found['rows']:,} rows": lambda p: p["map_seconds"]}
    down = {"error of the kernel, relative": lambda p: p["kernel"], "test images wrong, %": lambda p: 100 * p["test"]}
    for row, (y_name, y_of) in enumerate(down.items()):
        axes[row, 0].set_ylabel(y_name)
        for column, (x_name, x_of) in enumerate(across.items()):
            axis = axes[row, column]
            for method, (color, style) in styles.items():
                points = [p for p in found["points"] if p["method"] == method]
                xs, ys = [x_of(p) for p in points], [y_of(p) for p in points]
                axis.plot(xs, ys, style, color=color, markersize=4)
            all_x = [x_of(p) for p in found["points"]]
            powers(axis, sorted({p["dim"] for p in found["points"]}) if column == 0 else ticks_within(all_x))
            powers(axis, [0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3] if row == 0 else [2, 3, 4, 5, 7, 10, 15], "y")
            if row == 1:
                axis.axhline(100 * found["exact"]["error"], color=GREY, linewidth=0.9)
                axis.set_xlabel(x_name)
                if column == 0:
                    label(axis, min(all_x), 100 * found["exact"]["error"], "exact kernel", GREY, xytext=(0, 7))
    for k, (method, (color, _)) in enumerate(styles.items()):
        label(axes[0, 0], 0.98, 0.95 - 0.08 * k, method, color, xycoords="axes fraction", xytext=(0, 0), ha="right")
    save(figure, options.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--json", type=Path, default=FIGURES)
    parser.add_argument("--draw", action="store_true", help="draw what was measured before")
    parser.add_argument("--out", type=Path, default=PICTURE)
    options = parser.parse_args()
    if not options.draw:
        measure(options)
    draw(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
