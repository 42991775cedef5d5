"""`dualnet fit` against scikit-learn's models on a few tables: quality and seconds.

Measures the score on a held-out fold (accuracy or R2) and the wall seconds of one fit and
prediction, each command or model given the same --threads. The models are those that a
reader would try first, with their defaults, plus the same RBF support vector machine and
kernel ridge that the study of 57 tables tunes (bench/tables.py has all tables and folds).
dualnet's seconds are of the whole command: start, reading the CSV files, choosing the
kernel, fitting, testing.

    scripts/fetch-data && cargo build --release
    bench/.venv/bin/python bench/fit_sklearn.py [--tables concrete vowel] [--threads 2]
"""

import argparse
import os
import sys
import warnings
from pathlib import Path
from time import perf_counter

BINARY = Path(__file__).resolve().parent.parent / "target" / "release" / "dualnet"
TABLES = ["concrete", "airfoil", "laser", "winequality_white", "vowel", "segment", "spambase", "letter"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--binary", type=Path, default=BINARY, help="the dualnet command")
    parser.add_argument("--without-dualnet", action="store_true", help="the rivals alone")
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # before numpy is loaded
    import datasets
    import rivals
    from tables import dualnet, rival

    warnings.filterwarnings("ignore")
    methods = ([] if options.without_dualnet else ["dualnet"]) + rivals.NAMES
    print("| table | rows | columns | " + " | ".join(methods) + " |")
    print("|---|---:|---:|" + "---:|" * len(methods))
    for name in options.tables:
        table = datasets.load(name)
        train, test = datasets.folds(table)[0]
        cells = []
        for method in methods:
            start = perf_counter()
            if method == "dualnet":
                score, _ = dualnet(method, table, train, test, options.threads, options.binary)
            else:
                score, _ = rival(method, table, train, test, options.threads)
            cells.append(f"{score:.4f} ({perf_counter() - start:.2f} s)")
        print(f"| {name} | {len(train)} | {len(table.columns)} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
