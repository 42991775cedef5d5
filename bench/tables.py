"""The study of 57 tables: `dualnet fit` against the usual models on the same folds.

Measures accuracy (43 classification tables) and R2 (14 regression tables) on held-out
folds, the mean rank of each method per task, and processor seconds per fit. Every single result is
appended to the results file as it comes, so a run that was stopped goes on where it was.

    scripts/fetch-data
    bench/.venv/bin/python bench/tables.py run                 # everything that is missing
    bench/.venv/bin/python bench/tables.py run --methods dualnet --fresh
    bench/.venv/bin/python bench/tables.py report [--per-table]

One process, --threads threads (2) for the methods that can use them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "tables.jsonl"
BINARY = HERE.parent / "target" / "release" / "dualnet"
# what `dualnet` is told besides the files: nothing (it chooses), or one kernel for all tables
DUALNET = {"dualnet": [], "dualnet fixed": ["--net", str(HERE / "fixed_net.json"), "--kernel", "ntk"]}
# method -> (mean accuracy, mean R2, mean R2 without puma32h) of the earlier study
REFERENCE = {
    "dualnet fixed": (0.8648, 0.7904, 0.8364),
    "dualnet": (0.8664, 0.7939, 0.8398),
    "random forest": (0.8598, 0.8358, 0.829),
    "LightGBM": (0.8518, 0.8298, None),
    "hist. boosting": (0.8478, 0.8310, None),
    "RBF SVM": (0.8626, 0.766, None),
    "RBF ridge": (0.8605, 0.775, None),
    "linear": (0.8089, 0.627, None),
}


def read_results(path):
    """All results so far: (table, fold, method) -> record; a later line wins."""
    if not path.exists():
        return {}
    records = map(json.loads, path.read_text().splitlines())
    return {(r["table"], r["fold"], r["method"]): r for r in records}


def cpu_seconds():
    """Processor time of this process and its children: fair on a busy machine."""
    return sum(os.times()[:4])


def dualnet(method, table, train, test, threads, binary):
    """One fit by the command line; returns (score, what it chose)."""
    import datasets

    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "train.csv", Path(folder) / "test.csv"
        for rows, file in zip((train, test), files):
            datasets.write_csv(table, rows, file)
        line = [str(binary), "fit", str(files[0]), "--target", "target", "--test", str(files[1])]
        line += ["--task", table.task]  # whole numbers from 3 to 9 would be taken as classes
        line += ["--json", "--quiet", "--threads", str(threads), *DUALNET[method]]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{table.name}: dualnet failed: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    if answer["task"] != table.task:
        raise SystemExit(f"{table.name}: dualnet took the task for {answer['task']}")
    score = answer["test"]["accuracy" if table.task == "classification" else "r2"]
    return score, {key: answer[key] for key in ("net", "kernel", "lambda", "loo")}


def rival(method, table, train, test, threads):
    """One fit of a rival; returns (score, nothing to add)."""
    import datasets
    import rivals

    x = datasets.encode(table, train)
    guess = rivals.fit_predict(
        method, table.task, x[train], table.target[train], x[test], threads
    )
    truth = table.target[test]
    if table.task == "classification":
        return float((guess == truth).mean()), {}
    return float(1 - ((guess - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()), {}


def run(options):
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # before numpy is loaded
    import datasets
    import rivals

    warnings.filterwarnings("ignore")  # rare classes, iterations of the logistic regression
    methods = options.methods or [*DUALNET, *rivals.NAMES]
    unknown = [method for method in methods if method not in [*DUALNET, *rivals.NAMES]]
    if unknown:
        raise SystemExit(f"unknown method {unknown[0]!r}; known: {[*DUALNET, *rivals.NAMES]}")
    options.results.parent.mkdir(parents=True, exist_ok=True)
    known = {} if options.fresh else read_results(options.results)
    large = datasets.largest()
    tables = [datasets.load(name) for name in options.tables or datasets.names()]
    for table in sorted(tables, key=lambda table: table.rows):
        pairs = datasets.folds(table)[: 1 if table.name in large else None]
        for fold, (train, test) in enumerate(pairs):
            for method in methods:
                if (table.name, fold, method) in known:
                    continue
                start = cpu_seconds()
                if method in DUALNET:
                    score, extra = dualnet(
                        method, table, train, test, options.threads, options.binary
                    )
                else:
                    score, extra = rival(method, table, train, test, options.threads)
                seconds = cpu_seconds() - start
                record = {
                    "table": table.name, "task": table.task, "fold": fold, "method": method,
                    "score": score, "cpu_seconds": round(seconds, 4), "threads": options.threads,
                }
                with options.results.open("a") as file:
                    file.write(json.dumps(record | extra) + "\n")
                print(f"{table.name} {fold} {method}: {score:.4f} {seconds:.1f}s", file=sys.stderr)


def summarise(results):
    """{task: (methods, {table: {method: mean score}}, {method: median CPU seconds})}.

    A table counts when every method that has results for the task has all its folds.
    """
    import numpy as np

    summary = {}
    for task in ("classification", "regression"):
        records = [r for r in results.values() if r["task"] == task]
        methods = list(dict.fromkeys(r["method"] for r in records))
        methods.sort(key=lambda m: list(REFERENCE).index(m) if m in REFERENCE else 99)
        cells = {}
        for r in records:
            cells.setdefault(r["table"], {}).setdefault(r["method"], {})[r["fold"]] = r["score"]
        rows = {}
        for table, by_method in sorted(cells.items()):
            folds = set().union(*by_method.values())
            if all(by_method.get(m, {}).keys() == folds for m in methods):
                rows[table] = {m: float(np.mean(list(by_method[m].values()))) for m in methods}
        seconds = {
            m: float(np.median([r["cpu_seconds"] for r in records if r["method"] == m]))
            for m in methods
        }
        summary[task] = (methods, rows, seconds)
    return summary


def ranks(rows, methods):
    """Mean rank of each method over the tables (1 is best; ties share)."""
    import numpy as np

    scores = np.round([[row[m] for m in methods] for row in rows.values()], 6)
    better = (scores[:, None, :] > scores[:, :, None]).sum(2)
    equal = (scores[:, None, :] == scores[:, :, None]).sum(2)
    return dict(zip(methods, (better + (equal + 1) / 2).mean(0)))


def report(options):
    import numpy as np

    for task, (methods, rows, seconds) in summarise(read_results(options.results)).items():
        if not rows:
            print(f"{task}: no table is complete yet")
            continue
        place = ranks(rows, methods)
        classes = task == "classification"
        columns = ["mean accuracy"] if classes else ["mean R2", "without puma32h"]
        print(f"\n## {task}: {len(rows)} tables\n")
        print("| method | " + " | ".join(columns) + " | mean rank | median CPU s | earlier study |")
        print("|---|" + "---:|" * (len(columns) + 3))
        for m in methods:
            values = [np.mean([row[m] for row in rows.values()])]
            earlier = [REFERENCE.get(m, (None,) * 3)[0 if classes else 1]]
            if not classes:
                values.append(np.mean([row[m] for t, row in rows.items() if t != "puma32h"]))
                earlier.append(REFERENCE.get(m, (None,) * 3)[2])
            cells = [f"{v:.4f}" for v in values] + [f"{place[m]:.2f}", f"{seconds[m]:.2f}"]
            cells.append(" / ".join(f"{v:.4f}" for v in earlier if v is not None) or "-")
            print(f"| {m} | " + " | ".join(cells) + " |")
        if options.per_table:
            print("\n| table | " + " | ".join(methods) + " |\n|---|" + "---:|" * len(methods))
            for table, row in rows.items():
                print(f"| {table} | " + " | ".join(f"{row[m]:.4f}" for m in methods) + " |")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    go = verbs.add_parser("run", help="compute what is missing")
    go.add_argument("--methods", nargs="+", help="only these methods")
    go.add_argument("--tables", nargs="+", help="only these tables")
    go.add_argument("--threads", type=int, default=2)
    go.add_argument("--binary", type=Path, default=BINARY, help="the dualnet command")
    go.add_argument("--fresh", action="store_true", help="compute again what is there")
    show = verbs.add_parser("report", help="print the tables as Markdown")
    show.add_argument("--per-table", action="store_true")
    for verb in (go, show):
        verb.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    (run if options.verb == "run" else report)(options)


if __name__ == "__main__":
    main()
