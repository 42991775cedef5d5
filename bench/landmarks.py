"""Landmarks by randomly pivoted Cholesky: dualnet against the published Python code, same array, one run.

Measures the seconds to choose k = 1,000 of n = 50,000 standard normal rows of d = 20 for the
kernel exp(-|x - y|^2 / (2 h^2)), h = sqrt(d), together with the partial Cholesky factor
(n x k), by

- dualnet, f64 and f32 (accelerated: proposals in blocks, rejection);
- simple_rpcholesky and accelerated_rpcholesky of github.com/eepperly/Randomly-Pivoted-Cholesky
  (f64), whose folder is given by --reference.

All get the same number of threads (dualnet's own, OPENBLAS_NUM_THREADS) and are run in turn,
one of each a round, so that a busy machine hurts all alike. Each figure is the median of
--repeats runs; the relative residual of the trace is printed so that equal work is seen to
be compared. The published code's diagonal is given as ones, which spares it n exponentials.

    git clone https://github.com/eepperly/Randomly-Pivoted-Cholesky RIVAL
    cargo build --release -p dualnet --example landmark_speed
    python bench/landmarks.py --reference RIVAL      # numpy, scipy, scikit-learn
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

BINARY = Path(__file__).resolve().parent.parent / "target/release/examples/landmark_speed"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, required=True, help="the published code")
    parser.add_argument("-n", type=int, default=50_000)
    parser.add_argument("-d", type=int, default=20)
    parser.add_argument("-k", type=int, default=1_000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without-simple", action="store_true", help="45 s a run less")
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--json", type=Path, help="append one JSON line a figure to this file")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def worker(args):
    """One run of the published code, in a process whose threads are fixed."""
    import numpy as np

    sys.path.insert(0, str(args.reference))
    import matrix
    import rpcholesky

    method, path, bandwidth = args.worker
    x = np.load(path)
    a = matrix.KernelMatrix(x, kernel="gaussian", bandwidth=float(bandwidth))
    a._function_vec = lambda i, j: np.ones(len(i))
    run = getattr(rpcholesky, method)
    start = perf_counter()
    found = run(a, args.k)
    seconds = perf_counter() - start
    print(json.dumps({"seconds": seconds, "residual": 1 - found.trace() / len(x)}))


def published(method, path, bandwidth, threads, args):
    env = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--reference", str(args.reference), "-k", str(args.k)]
    command += ["--worker", method, path, str(bandwidth)]
    out = json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
    return out["seconds"], out["residual"]


def dualnet(precision, path, bandwidth, threads, args):
    command = [args.binary, path, args.k, bandwidth, threads, precision, 0, 1]
    run = subprocess.run(list(map(str, command)), check=True, capture_output=True)
    out = json.loads(run.stdout)
    return out["seconds"][0], out["residual"][0]


def machine():
    import numpy
    import scipy

    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    field = lambda key: next((s.split(":")[1] for s in info.splitlines() if s.startswith(key)), "")
    flags = " ".join(f for f in field("flags").split() if f.startswith(("avx", "fma", "amx")))
    print(f"{field('model name').strip()}, {os.cpu_count()} cores, {platform.system()}; {flags}")
    print(f"Python {platform.python_version()}, numpy {numpy.__version__}, scipy {scipy.__version__}")
    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    print(f"BLAS of numpy: {blas['name']} {blas['version']}")


def main():
    args = arguments()
    if args.worker:
        return worker(args)
    import numpy as np

    machine()
    bandwidth = args.d**0.5
    contenders = {
        "dualnet f64": lambda *a: dualnet("f64", *a),
        "dualnet f32": lambda *a: dualnet("f32", *a),
        "accelerated": lambda *a: published("accelerated_rpcholesky", *a),
    }
    if not args.without_simple:
        contenders["simple"] = lambda *a: published("simple_rpcholesky", *a)
    flops = args.n * args.k**2
    print(f"n = {args.n}, d = {args.d}, k = {args.k}, h = {bandwidth:.3f}; n k^2 = {flops:.2e}")
    print("threads  contender     seconds   residual   Gflop/s  times dualnet f64")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "x.npy")
        np.save(path, np.random.default_rng(0).standard_normal((args.n, args.d)))
        for threads in args.threads:
            runs = {name: [] for name in contenders}
            for _ in range(args.repeats):
                for name, run in contenders.items():
                    runs[name].append(run(path, bandwidth, threads, args))
            seconds = {name: median(s for s, _ in of) for name, of in runs.items()}
            for name, of in runs.items():
                s, r = seconds[name], median(r for _, r in of)
                ratio = s / seconds["dualnet f64"]
                print(f"{threads:7}  {name:12} {s:8.3f}   {r:.5f}  {flops / s / 1e9:8.1f}  {ratio:8.1f}", flush=True)
                if args.json:
                    line = {"threads": threads, "contender": name, "seconds": s, "residual": r, "all": of}
                    with args.json.open("a") as file:
                        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
