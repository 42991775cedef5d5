"""Protein (casp, 45,730 x 9) from a CSV file: bundled nets against scikit-learn, test RMSE and seconds.

Random splits of 80/20, the same for all; dualnet reads two CSV files, the others arrays. Nystroem's gamma and alpha and the MLP's
alpha are the best of a few on a fifth of the training rows.

    scripts/fetch-data regression && cargo build --release
    bench/.venv/bin/python bench/casp_stream.py [--splits 5] [--threads 2]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter

HERE = Path(__file__).resolve().parent
BINARY = HERE.parent / "target" / "release" / "dualnet"
NETS = ["bundled:relu-1-1024", "bundled:relu-1-4096", "bundled:cos-1-4096", "bundled:relu-2-2048"]


def ours(net, train, test, options):
    command = [options.binary, "fit", train, "--test", test, "--target", "RMSD", "--net", net, "--json", "--quiet"]
    command += ["--threads", str(options.threads), "--task", "regression"]
    start = perf_counter()
    out = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout
    return json.loads(out)["test"]["rmse"], perf_counter() - start


def rivals(seed):
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def nystroem(gamma, alpha, size=2048):
        return make_pipeline(StandardScaler(), Nystroem(gamma=gamma, n_components=size, random_state=seed), Ridge(alpha=alpha))

    def mlp(alpha):
        return make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(256, 128), alpha=alpha, early_stopping=True, random_state=seed))

    return {
        "HistGradientBoosting": [lambda: HistGradientBoostingRegressor(random_state=seed)],
        "random forest": [lambda: RandomForestRegressor(200, n_jobs=-1, random_state=seed)],
        "RBF Nystroem 2,048 + ridge": [lambda g=g, a=a: nystroem(g, a) for g in (0.1, 0.5, 2.0) for a in (1e-2, 1.0)],
        "MLP 256-128": [lambda a=a: mlp(a) for a in (1e-4, 1e-2)],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--binary", type=Path, default=BINARY)
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)
    import numpy as np

    path = HERE.parent / "data" / "fetched" / "regression" / "casp" / "CASP.csv"
    head = path.read_text().splitlines()[0]
    data = np.loadtxt(path, delimiter=",", skiprows=1)
    results = {}
    for split in range(options.splits):
        order = np.random.default_rng(split).permutation(len(data))
        cut = len(data) // 5
        test, train = data[order[:cut]], data[order[cut:]]
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / "train.csv", Path(folder) / "test.csv"]
            for file, rows in zip(files, (train, test)):
                np.savetxt(file, rows, delimiter=",", header=head, comments="", fmt="%.17g")
            for net in NETS:
                results.setdefault(f"dualnet {net}", []).append(ours(net, *files, options))
        x, y, t, u = train[:, 1:], train[:, 0], test[:, 1:], test[:, 0]
        for name, models in rivals(split).items():
            best = models[0]
            if len(models) > 1:
                k = len(x) // 5
                best = min(models, key=lambda m: np.mean((m().fit(x[:k], y[:k]).predict(x[k : 2 * k]) - y[k : 2 * k]) ** 2))
            start = perf_counter()
            rmse = float(np.sqrt(np.mean((best().fit(x, y).predict(t) - u) ** 2)))
            results.setdefault(name, []).append((rmse, perf_counter() - start))
    print("| method | test RMSE | +- | seconds |\n|---|---:|---:|---:|")
    for name, runs in sorted(results.items(), key=lambda item: mean(r[0] for r in item[1])):
        rmse = [r[0] for r in runs]
        spread = stdev(rmse) if len(rmse) > 1 else 0
        print(f"| {name} | {mean(rmse):.4f} | {spread:.4f} | {mean(r[1] for r in runs):.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
