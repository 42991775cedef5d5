"""All of MNIST and Fashion-MNIST with the exact three-layer NTK, beside an RBF SVM and gradient boosting.

    scripts/fetch-data mnist fashion-mnist && cargo build --release
    bench/.venv/bin/python bench/mnist_exact.py [--sets mnist fashion-mnist] [--rows 60000] [--svm-rows 60000] [--out FILE]

`dualnet fit DATA --net fc-relu-3 --kernel ntk --method pcg --metric none --memory 12G`: one command, from reading the files to the predictions of the 10,000
test images. The rivals get the pixels divided by 255, and the same rows: SVC with gamma "scale" and C = 10, and HistGradientBoosting as it comes.
Their seconds are those of fit and test alone, each in a process of its own. With --rows below 60,000 the first rows are taken; the table says how many each
method saw. SVC has one thread and takes the time of all the others together; --svm-rows gives it fewer.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import program

METHODS = ["dualnet", "RBF SVM", "hist. boosting"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["mnist", "fashion-mnist"])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--svm-rows", type=int, help="default: as --rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="12G")
    parser.add_argument("--binary", type=Path, default=program.BINARY)
    parser.add_argument("--out", type=Path, help="where to write the figures")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def ours(name, rows, options):
    data = program.DATA / "fetched" / name
    command = ["fit", data, "--net", "fc-relu-3", "--kernel", "ntk", "--method", "pcg", "--metric", "none", "--memory", options.memory]
    with tempfile.TemporaryDirectory() as folder:
        if rows < 60_000:
            import numpy as np

            folder = Path(folder)
            for part, count in (("train", rows), ("test", 10_000)):
                x, y = program.mnist(name, part)
                np.savez(folder / f"{part}.npz", x=x[:count], y=y[:count])
            command[1:2] = [folder / "train.npz", "--test", folder / "test.npz"]
        words = [options.binary, *command, "--threads", options.threads, "--json", "--quiet"]
        report, seconds, cpu, memory = program.measured(words)
    steps = [point["steps"] for point in [*report["iterative"]["lambdas"], report["iterative"]["refit"]]]
    note = f"lambda {report['lambda']:.0e}, {report['encoding']}, steps {'+'.join(map(str, steps))}"
    return report["test"]["accuracy"], seconds, cpu, memory, note


def rival(method, name, rows, options):
    words = [sys.executable, __file__, "--worker", method, name, "--rows", rows, "--threads", options.threads]
    report, _, cpu, memory = program.measured(words)
    return report["accuracy"], report["seconds"], cpu, memory, report["version"]


def worker(options):
    program.threads(options.threads)
    import sklearn
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.svm import SVC

    method, name = options.worker
    (x, y), (new, truth) = program.mnist(name), program.mnist(name, "test")
    model = SVC(C=10, cache_size=2000) if method == "RBF SVM" else HistGradientBoostingClassifier(random_state=0)
    start = perf_counter()
    model.fit(x[: options.rows], y[: options.rows])
    accuracy = float((model.predict(new) == truth).mean())
    version = f"scikit-learn {sklearn.__version__}"
    print(json.dumps({"accuracy": accuracy, "seconds": perf_counter() - start, "version": version}))


def main():
    options = arguments()
    if options.worker:
        return worker(options)
    program.machine(options.threads)
    figures = []
    print("| data | method | rows | accuracy | seconds | seconds of the processors | GiB | |\n|---|---|---:|---:|---:|---:|---:|---|")
    for name in options.sets:
        for method in options.methods:
            rows = (options.svm_rows or options.rows) if method == "RBF SVM" else options.rows
            run = ours(name, rows, options) if method == "dualnet" else rival(method, name, rows, options)
            accuracy, seconds, cpu, memory, note = run
            figures.append({"data": name, "method": method, "rows": rows, "accuracy": accuracy, "seconds": seconds})
            figures[-1] |= {"cpu": cpu, "memory": memory, "note": note}
            print(f"| {name} | {method} | {rows:,} | {accuracy:.4f} | {seconds:.0f} | {cpu:.0f} | {memory:.1f} | {note} |", flush=True)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
