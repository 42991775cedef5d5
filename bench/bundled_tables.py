"""Bundled nets against multilayer perceptrons with as many learned numbers, on tables of the study.

For each hidden width h of the perceptron (d h + h + h k + k numbers for d columns and k outputs) a bundled net gets as many features as make
its solved-for matrix, k (m + 1), of the same size; its tower is drawn, not learned, and takes d m numbers more (not stored: drawn again
from a seed and at most 2,048 rows). "pruned" is a perceptron of four times the width, cut to the same count by magnitude and trained on.
All see the folds of the study; the perceptrons get standardised columns, alpha is the best of three on a fifth of the training rows.

    scripts/fetch-data && cargo build --release
    bench/.venv/bin/python bench/bundled_tables.py [--tables ...] [--widths 8 32] [--out bench/results/bundled.json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from statistics import mean

HERE = Path(__file__).resolve().parent
BINARY = HERE.parent / "target" / "release" / "dualnet"
TABLES = ["vowel", "segment", "satimage", "spambase", "magic", "phoneme", "pima", "vehicle", "wdbc", "ring",
          "airfoil", "concrete", "casp", "compactiv", "winequality_white", "laser"]


def ours(table, train, test, net, directions, options):
    import datasets

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "train.csv", Path(folder) / "test.csv"]
        for rows, file in zip((train, test), files):
            datasets.write_csv(table, rows, file)
        line = [options.binary, "fit", files[0], "--target", "target", "--test", files[1], "--task", table.task]
        line += ["--net", net, "--directions", directions, "--json", "--quiet", "--threads", options.threads]
        done = subprocess.run([str(part) for part in line], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{table.name}: {done.stderr.strip()}")
    return json.loads(done.stdout)["test"]["accuracy" if table.task == "classification" else "r2"]


def perceptron(task, width, alpha, seed, steps=400):
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if task == "classification" else MLPRegressor
    options = {"learning_rate_init": 0.005, "n_iter_no_change": 20, "tol": 1e-5}
    return kind(hidden_layer_sizes=(width,), alpha=alpha, max_iter=steps, random_state=seed, **options)


def score(task, model, x, y):
    import numpy as np

    guess = model.predict(x)
    if task == "classification":
        return float((guess == y).mean())
    return float(1 - ((guess - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def prune(model, keep, x, y, task, epochs=60):
    """Keeps the `keep` largest weights (biases are kept besides) and trains on with the others at 0."""
    import numpy as np

    sizes = sum(b.size for b in model.intercepts_)
    each = np.concatenate([np.abs(w).ravel() for w in model.coefs_])
    bar = np.sort(each)[::-1][min(each.size, max(1, keep - sizes)) - 1]
    masks = [np.abs(w) >= bar for w in model.coefs_]
    for _ in range(epochs):
        for w, mask in zip(model.coefs_, masks):
            w *= mask
        model.partial_fit(x, y)
    for w, mask in zip(model.coefs_, masks):
        w *= mask
    return model


def best_alpha(task, width, x, y):
    import numpy as np

    order = np.random.default_rng(0).permutation(len(y))  # tables may be sorted
    out, kept = np.split(order, [max(20, len(y) // 5)])
    fit = lambda a: perceptron(task, width, a, 0).fit(x[kept], y[kept])
    return max((1e-4, 1e-2, 1.0), key=lambda a: score(task, fit(a), x[out], y[out]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--widths", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--folds", type=int, default=2, help="folds of each table")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "bundled.json")
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)
    import datasets
    import numpy as np

    warnings.filterwarnings("ignore")
    methods = ["bundled relu", "bundled relu, gaussian", "MLP", "pruned MLP"]
    results = []
    print("| table | h | learned | features | " + " | ".join(methods) + " |\n|---|---:|---:|---:|" + "---:|" * len(methods))
    for name in options.tables:
        table = datasets.load(name)
        for width in options.widths:
            scores = {method: [] for method in methods}
            for train, test in datasets.folds(table)[: options.folds]:
                x = datasets.encode(table, train)
                y = table.target
                shift, spread = 0.0, 1.0
                if table.task == "regression":
                    shift, spread = y[train].mean(), y[train].std()
                y = (y - shift) / spread if table.task == "regression" else y
                # Two classes take one output of a perceptron, and two columns of a ridge.
                k = len(np.unique(y)) if table.task == "classification" else 1
                outputs = 1 if k == 2 else k
                learned = x.shape[1] * width + width + width * outputs + outputs
                m = max(8, learned // k - 1)
                scores["bundled relu"].append(ours(table, train, test, f"bundled:relu-1-{m}", "pairs", options))
                scores["bundled relu, gaussian"].append(ours(table, train, test, f"bundled:relu-1-{m}", "gaussian", options))
                alpha = best_alpha(table.task, width, x[train], y[train])
                model = perceptron(table.task, width, alpha, 0).fit(x[train], y[train])
                scores["MLP"].append(score(table.task, model, x[test], y[test]))
                wide = perceptron(table.task, 4 * width, alpha, 0).fit(x[train], y[train])
                wide = prune(wide, learned, x[train], y[train], table.task)
                scores["pruned MLP"].append(score(table.task, wide, x[test], y[test]))
            row = {"table": name, "task": table.task, "width": width, "learned": learned, "features": m}
            row |= {method: mean(each) for method, each in scores.items()}
            results.append(row)
            top = max(row[method] for method in methods)
            cells = [f"**{row[m]:.4f}**" if row[m] == top else f"{row[m]:.4f}" for m in methods]
            print(f"| {name} | {width} | {learned} | {m} | " + " | ".join(cells) + " |", flush=True)
    for width in options.widths:
        for task in ("classification", "regression"):
            rows = [r for r in results if r["task"] == task and r["width"] == width]
            if rows:
                wins = {m: sum(r[m] == max(r[o] for o in methods) for r in rows) for m in methods}
                print(f"\nh = {width}, {task}, {len(rows)} tables: " + "; ".join(f"{m} {mean(r[m] for r in rows):.4f} (best on {wins[m]})" for m in methods))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
