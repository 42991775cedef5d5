"""How many features ridge regression needs: its risk over that of the exact kernel, against the statistical dimension.

    scripts/fetch-data regression mnist && cargo build --release
    bench/.venv/bin/python bench/statistical_dimension.py [--seeds 3] [--json bench/figures/statistical_dimension.json]
    bench/.venv/bin/python bench/statistical_dimension.py --sets MNIST --methods random ...  # a part anew
    bench/.venv/bin/python bench/statistical_dimension.py --draw      # docs/features-dimension.svg from that file

Three sets: airfoil (1,200 rows), compactiv (1,500) and MNIST (1,500 images, ten outputs); the rest of the rows, at most 1,000, test. Columns
are standardised (MNIST: centred, one scale). NTK of fc-relu-2 without biases. The statistical dimension is d = tr K (K + n lambda)^-1; lambda is
that of d = n / 10. (At the lambda of least leave-one-out error d is printed too: it is near n where data are scarce, and no map of fewer columns
does.) For maps of d/2, d, 2 d, 4 d and 8 d columns, with the same ridge:

- risk: of estimating a known function at the rows themselves, E |f - f*|^2 / n = |(I - H) f*|^2 / n + s^2 tr H^2 / n, where H maps targets to
  fitted values, f* is what the exact kernel fits to the data and s^2 the mean of the squares it leaves (divided by 1 - d / n);
- test: mean squared error on the test rows.

Both as ratios to the exact kernel's, means over seeds. All but the features and the kernel is plain numpy.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean

import program

program.threads(2)
import numpy as np  # noqa: E402  (threads are counted at the import)

METHODS = ["random", "sketch", "nystrom", "rpcholesky"]
TIMES = [0.5, 1, 2, 4, 8]
PART = 10
NET = "fc-relu-2"
FIGURES = program.HERE / "figures" / "statistical_dimension.json"
PICTURE = program.ROOT / "docs" / "features-dimension.svg"


def table(name, rows):
    """Standardised columns and target of a table: (x, y, new x, new y)."""
    if name == "airfoil":
        data = np.loadtxt(program.DATA / "airfoil.csv", delimiter=",", skiprows=1)
    else:
        lines = (program.DATA / "fetched/regression/compactiv/compactiv.dat").read_text().splitlines()
        data = np.array([line.split(",") for line in lines if line.strip() and line[0] != "@"], float)
    data = data[np.random.default_rng(0).permutation(len(data))]
    x, y = data[:, :-1], data[:, -1:]
    x = (x - x[:rows].mean(0)) / np.where(x[:rows].std(0) > 0, x[:rows].std(0), 1)
    y = (y - y[:rows].mean(0)) / y[:rows].std(0)
    return x[:rows], y[:rows], x[rows : rows + 1000], y[rows : rows + 1000]


def images(rows):
    x, labels = program.mnist("mnist")
    order = np.random.default_rng(0).permutation(len(x))[: rows + 1000]
    x, y = x[order].astype(float), np.eye(10)[labels[order]]
    x = (x - x[:rows].mean(0)) / x[:rows].std()
    y = y - y[:rows].mean(0)
    return x[:rows], y[:rows], x[rows:], y[rows:]


SETS = {"airfoil": lambda: table("airfoil", 1200), "compactiv": lambda: table("compactiv", 1500), "MNIST": lambda: images(1500)}


class Exact:
    """The kernel's own ridge at the lambda of least leave-one-out error."""

    def __init__(self, k, cross, y, truth):
        n = len(k)
        values, vectors = np.linalg.eigh(k)
        values = values.clip(0)
        turned = vectors.T @ y
        path = []
        for ridge in np.trace(k) / n * np.logspace(-8, 1, 37):
            inverse = 1 / (values + ridge)
            left = (vectors @ (turned * inverse[:, None])) / (vectors**2 @ inverse)[:, None]
            path.append(((left**2).mean(), ridge))
        self.best = (values / (values + min(path)[1])).sum()
        low, high = np.trace(k) / n * np.array([1e-8, 1e4])
        for _ in range(60):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if (values / (values + middle)).sum() > n / PART else (low, middle)
        self.ridge = high
        shares = values / (values + self.ridge)
        self.dimension = shares.sum()
        self.function = vectors @ (shares[:, None] * turned)
        outputs = y.shape[1]
        self.noise = ((y - self.function) ** 2).sum() / (n - self.dimension) / outputs
        bias = ((1 - shares)[:, None] * (vectors.T @ self.function)) ** 2
        self.risk = bias.sum() / n / outputs + self.noise * (shares**2).sum() / n
        predicted = cross @ (vectors @ (turned / (values + self.ridge)[:, None]))
        self.test = ((predicted - truth) ** 2).mean()

    def ratios(self, f, g, y, truth):
        """Of risk and test error, of features f of the rows and g of the test rows."""
        n, outputs = len(f), y.shape[1]
        inverse = np.linalg.inv(f @ f.T + self.ridge * np.eye(n))
        bias = ((self.ridge * inverse @ self.function) ** 2).sum()
        variance = ((np.eye(n) - self.ridge * inverse) ** 2).sum()
        risk = bias / n / outputs + self.noise * variance / n
        return risk / self.risk, ((g @ (f.T @ (inverse @ y)) - truth) ** 2).mean() / self.test


def measure(options):
    program.machine(2, np)
    found = json.loads(options.json.read_text()) if options.json.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name in options.sets:
            x, y, new, truth = SETS[name]()
            exact = Exact(*program.kernel(NET, x, new, folder), y, truth)
            d = exact.dimension
            scale = exact.ridge / len(x)
            print(f"\n{name}: n {len(x)}, n lambda / n {scale:.2e}, d {d:.0f}, test MSE {exact.test:.4f}; d of least leave-one-out error {exact.best:.0f}")
            print(f"{'map':<12}{'columns':>8}{'of d':>6}{'risk':>8}{'test':>8}   (over those of the exact kernel)")
            here = next((f for f in found if f["set"] == name), {"points": []})
            found = [f for f in found if f is not here]
            points = [p for p in here["points"] if p["method"] not in options.methods]
            found.append({"set": name, "n": len(x), "d": d, "best": exact.best, "test": exact.test, "seeds": options.seeds, "points": points})
            for method in options.methods:
                for times in TIMES:
                    dim = round(times * d)
                    if dim > len(x) and method in ("nystrom", "rpcholesky"):
                        continue  # there are no more rows to choose
                    if dim < x.shape[1] + 16 and method == "sketch":
                        continue  # which keeps the columns, and one for each higher degree
                    ratios = []
                    for seed in range(options.seeds):
                        f, g, _ = program.maps(NET, dim, method, x, new, folder, seed=seed)
                        ratios.append(exact.ratios(f, g, y, truth))
                    risk, test = (mean(r[i] for r in ratios) for i in (0, 1))
                    points.append({"method": method, "times": times, "dim": dim, "risk": risk, "test": test})
                    print(f"{method:<12}{dim:>8}{times:>6}{risk:8.3f}{test:8.3f}", flush=True)
            options.json.write_text(json.dumps(found, indent=1) + "\n")


def draw(options):
    import matplotlib.pyplot as plt
    from snnk_plots import BLUE, GREEN, GREY, PURPLE, RED, STYLE, label, powers, save

    styles = {"rpcholesky": (BLUE, "o-"), "nystrom": (GREEN, "s-"), "sketch": (PURPLE, "v--"), "random": (RED, "^--")}
    sets = json.loads(options.json.read_text())
    plt.rcParams.update(STYLE | {"svg.hashsalt": "dimension"})
    figure, axes = plt.subplots(2, len(sets), figsize=(3.1 * len(sets), 5.4), sharex=True, sharey="row", layout="constrained")
    for column, found in enumerate(sets):
        for axis, what in zip(axes[:, column], ("risk", "test")):
            axis.axhline(1.1, color=GREY, linewidth=0.8)
            axis.axvline(4, color=GREY, linewidth=0.8, linestyle=":")
            for method, (color, style) in styles.items():
                points = [p for p in found["points"] if p["method"] == method]
                axis.plot([p["times"] for p in points], [p[what] for p in points], style, color=color, markersize=4)
        axes[0, column].set_title(f"{found['set']}, n = {found['n']:,}, d = {found['d']:.0f}")
        axes[1, column].set_xlabel("columns / statistical dimension")
    for axis in axes.flat:
        powers(axis, TIMES)
        powers(axis, [1.1, 1.5, 2, 3, 5, 10], "y")
    for axis, top in zip(axes[:, 0], (8, 3.5)):
        axis.set_ylim(0.93, top)
    axes[0, 0].set_ylabel("ridge risk over the exact one")
    axes[1, 0].set_ylabel("test error over the exact one")
    for k, (method, (color, _)) in enumerate(styles.items()):
        label(axes[0, -1], 8, 6.5 / 1.25**k, method, color, xytext=(0, 0), ha="right")
    save(figure, options.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=FIGURES)
    parser.add_argument("--draw", action="store_true", help="draw what was measured before")
    parser.add_argument("--out", type=Path, default=PICTURE)
    options = parser.parse_args()
    draw(options) if options.draw else measure(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
