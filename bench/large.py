"""Many rows under 2 GiB: `dualnet fit`, by the method named below, against Nystroem with ridge of scikit-learn at equal test error.

    scripts/fetch-data regression && cargo build --release
    bench/.venv/bin/python bench/large.py [--sets casp made] [--repeat 3] [--threads 2] [--out FILE]

- casp: 45,730 rows of 9 columns, a tenth of them to test;
- made: 10^6 rows of 20 standard normal columns and 50,000 to test, y = 10 sin(pi x0 x1 / 2) + 5 x2^2 + 10 |x3| + 5 x4 + 3 sin(x5 + ... + x9)
  + 2 x10 x11 + noise of variance 1.

Ours is the whole command with --memory 2G: reading .npz, encoding, choosing lambda, fitting, testing; nets are those that `fit` itself chose before
(named below; --auto lets it choose each time). The rival: StandardScaler, Nystroem (RBF), Ridge (Cholesky) in f32 from arrays in memory, fit and test
alone. Its gamma and alpha are the best of a grid with 500 landmarks of 12,000 rows on 4,000 others, chosen before and not counted. Its number of landmarks is the
first of a ladder whose test error is not above ours, also searched before; that one is timed, in turn with ours, medians of --repeat. Where none
of the ladder gets there, the largest is timed and its error shown. Seconds of the processors are shown beside those of the clock: on a busy machine they say more.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import program

# set: (net of ours, method, landmarks, ladder of the rival). Beyond 1,024 landmarks of 10^6 rows the rival takes more than 12 GB.
OURS = {
    "casp": (["--net", "fc-relu-4", "--kernel", "ntk"], "falkon", 4096, [1024, 1536, 2048, 3072, 4096, 6144, 8192]),
    "made": ([], "nystrom", 256, [256, 512, 768, 1024]),
}
GAMMAS, ALPHAS = [0.25, 0.5, 1, 2, 4, 8], [1e-3, 1e-2, 1e-1, 1]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(OURS), choices=list(OURS))
    parser.add_argument("--method", choices=["falkon", "nystrom", "features", "pcg", "auto"])
    parser.add_argument("--features", type=int, help="landmarks or features of ours")
    parser.add_argument("--rows", type=int, help="of made")
    parser.add_argument("--auto", action="store_true", help="let fit choose the net")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--settings", nargs=2, type=float, help="gamma (in units of 1 / columns) and alpha of the rival, found before")
    parser.add_argument("--ladder", nargs="+", type=int)
    parser.add_argument("--binary", type=Path, default=program.BINARY)
    parser.add_argument("--out", type=Path, help="where to write the figures")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def make(name, folder, rows):
    """Writes train.npz and test.npz; shapes."""
    import numpy as np

    if name == "casp":
        path = program.DATA / "fetched" / "regression" / "casp" / "CASP.csv"
        data = np.loadtxt(path, delimiter=",", skiprows=1)
        data = data[np.random.default_rng(0).permutation(len(data))].astype(np.float32)
        x, y, tested = data[:, 1:], data[:, 0], len(data) // 10
    else:
        draws, tested = np.random.default_rng(1), 50_000
        x = draws.standard_normal(((rows or 1_000_000) + tested, 20), dtype=np.float32)
        y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1] / 2) + 5 * x[:, 2] ** 2 + 10 * np.abs(x[:, 3]) + 5 * x[:, 4]
        y += 3 * np.sin(x[:, 5:10].sum(1)) + 2 * x[:, 10] * x[:, 11] + draws.standard_normal(len(x), dtype=np.float32)
    np.savez(folder / "test.npz", x=x[:tested], y=y[:tested])
    np.savez(folder / "train.npz", x=x[tested:], y=y[tested:])
    return x.shape[0] - tested, x.shape[1]


def ours(net, method, folder, features, options):
    command = [options.binary, "fit", folder / "train.npz", "--test", folder / "test.npz", "--method", method]
    command += [] if options.auto else net
    if method in ("falkon", "nystrom", "features"):
        command += ["--features", features]
    command += ["--memory", "2G", "--threads", options.threads, "--task", "regression", "--json", "--quiet"]
    report, seconds, cpu, memory = program.measured(command)
    return {"rmse": report["test"]["rmse"], "seconds": seconds, "cpu": cpu, "memory": memory, "report": report}


def rival(folder, what, options):
    """What the worker tells of `what`: `tune`, or landmarks, gamma and alpha."""
    words = [sys.executable, __file__, "--threads", options.threads, "--worker", folder, *what]
    report, _, _, memory = program.measured(words)
    return report | {"memory": memory}


def worker(options):
    program.threads(options.threads)
    from resource import RUSAGE_SELF, getrusage

    import numpy as np
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    folder, *what = options.worker
    with np.load(Path(folder) / "train.npz") as train, np.load(Path(folder) / "test.npz") as test:
        x, y, new, truth = train["x"], train["y"], test["x"], test["y"]

    def run(x, y, new, truth, landmarks, gamma, alpha):
        cpu = lambda: getrusage(RUSAGE_SELF).ru_utime + getrusage(RUSAGE_SELF).ru_stime
        start, before = perf_counter(), cpu()
        scaler = StandardScaler().fit(x)
        features = Nystroem(gamma=gamma / x.shape[1], n_components=landmarks, random_state=0)
        f = features.fit_transform(scaler.transform(x))
        model = Ridge(alpha=alpha, solver="cholesky", copy_X=False).fit(f, y - y.mean())
        # Parts of the test rows, so that their features need no more room than those of the training rows.
        errors = [model.predict(features.transform(scaler.transform(part))) for part in np.array_split(new, len(new) // 5000 + 1)]
        rmse = float(np.sqrt(np.mean((np.concatenate(errors) + y.mean() - truth) ** 2)))
        return {"rmse": rmse, "seconds": perf_counter() - start, "cpu": cpu() - before}

    if what[0] == "tune":
        order = np.random.default_rng(2).permutation(len(x))
        fitted, judged = order[:12_000], order[12_000:16_000]
        grid = [(g, a) for g in GAMMAS for a in ALPHAS]
        best = min(grid, key=lambda s: run(x[fitted], y[fitted], x[judged], y[judged], 500, *s)["rmse"])
        print(json.dumps({"gamma": best[0], "alpha": best[1]}))
    else:
        print(json.dumps(run(x, y, new, truth, int(what[0]), float(what[1]), float(what[2]))))


def contest(name, options):
    net, method, landmarks, ladder = OURS[name]
    method, landmarks, ladder = options.method or method, options.features or landmarks, options.ladder or ladder
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        rows, columns = make(name, folder, options.rows)
        mine = [ours(net, method, folder, landmarks, options)]
        if options.settings:
            gamma, alpha = options.settings
        else:
            found = rival(folder, ["tune"], options)
            gamma, alpha = found["gamma"], found["alpha"]
        for size in ladder:
            theirs = [rival(folder, [size, gamma, alpha], options)]
            print(f"    Nystroem with {size}: RMSE {theirs[0]['rmse']:.4f}", flush=True)
            if theirs[0]["rmse"] <= mine[0]["rmse"]:
                break
        for _ in range(options.repeat - 1):
            mine.append(ours(net, method, folder, landmarks, options))
            theirs.append(rival(folder, [size, gamma, alpha], options))
    middle = lambda runs, what: median(run[what] for run in runs)
    report = mine[0]["report"]
    told = report.get("iterative") or {}
    steps = "+".join(str(p["steps"]) for p in [*told.get("lambdas", []), *([told["refit"]] if told.get("refit") else [])])
    count = told.get("landmarks") or (report.get("features") or {}).get("dim")
    label = f"dualnet {report['method']}, {report['net']} {report['kernel']} {report['encoding']}, {count} (steps {steps}, {told.get('tiles')})"
    print(f"\n{name}: {rows:,} x {columns}")
    print("| | test RMSE | seconds | seconds of the processors | GiB |\n|---|---:|---:|---:|---:|")
    for label, runs in ((label, mine), (f"Nystroem {size}, gamma {gamma}/{columns}, Ridge alpha {alpha}", theirs)):
        print(f"| {label} | {runs[0]['rmse']:.4f} | {middle(runs, 'seconds'):.1f} | {middle(runs, 'cpu'):.1f} | {max(r['memory'] for r in runs):.2f} |")
    ratio = {what: middle(theirs, what) / middle(mine, what) for what in ("seconds", "cpu")}
    print(f"ratio {ratio['seconds']:.1f}, of the processors {ratio['cpu']:.1f}", flush=True)
    return {"set": name, "rows": rows, "ours": mine, "theirs": theirs, "landmarks": size, "gamma": gamma, "alpha": alpha, "ratio": ratio}


def main():
    options = arguments()
    if options.worker:
        return worker(options)
    program.machine(options.threads)
    figures = [contest(name, options) for name in options.sets]
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
