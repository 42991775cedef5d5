"""Bundled nets against random features of scikit-learn on MNIST: accuracy against seconds.

60,000 images to train on, 10,000 to test. dualnet's seconds are those of the whole command (start, reading the files, choosing
scale, encoding and lambda, fitting, testing), the rivals' those of fit and test alone, from arrays in memory; their gamma and alpha
are the best of a few on a part of the training set, which is not counted. Each size runs --repeat times; medians are shown.

    scripts/fetch-data mnist && cargo build --release
    bench/.venv/bin/python bench/mnist_features.py [--sizes 512 1024 ...] [--threads 2] [--out bench/results/mnist.json]
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
from time import perf_counter, sleep

HERE = Path(__file__).resolve().parent
BINARY = HERE.parent / "target" / "release" / "dualnet"
DATA = HERE.parent / "data" / "fetched" / "mnist"
SIZES = [512, 1024, 2048, 4096, 8192]
BUDGETS = [5, 10, 20, 40, 60]
NETS = {"cos": ("cos", "auto"), "relu": ("relu", "auto"), "relu, gaussian": ("relu", "gaussian")}


def images(name):
    import numpy as np

    data = (DATA / name).read_bytes()
    axes = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape[0], -1)


def load():
    import numpy as np

    x, t = images("train-images-idx3-ubyte"), images("t10k-images-idx3-ubyte")
    y, u = images("train-labels-idx1-ubyte").ravel(), images("t10k-labels-idx1-ubyte").ravel()
    return x.astype(np.float32) / 255, y, t.astype(np.float32) / 255, u


def ours(net, size, options):
    """Accuracy, seconds and peak memory of one command."""
    activation, directions = net
    command = [options.binary, "fit", DATA, "--net", f"bundled:{activation}-1-{size}", "--directions", directions]
    command += ["--precision", "f32", "--threads", str(options.threads), "--json", "--quiet"]
    start = perf_counter()
    peak = 0
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen([str(c) for c in command], stdout=out)
        while child.poll() is None:  # the peak that wait4 reports would be that of this process
            try:
                lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
                peak = max([peak, *(int(l.split()[1]) for l in lines if l.startswith("VmHWM"))])
            except OSError:
                pass
            sleep(0.02)
        seconds = perf_counter() - start
        if child.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed")
        out.seek(0)
        report = json.load(out)
    return report["test"]["accuracy"], seconds, peak / 2**20, report


def rival(name, size, data, settings):
    """Accuracy and seconds of features and ridge."""
    from sklearn.kernel_approximation import Nystroem, RBFSampler
    from sklearn.linear_model import RidgeClassifier

    x, y, t, u = data
    start = perf_counter()
    gamma, alpha = settings
    if name == "RBFSampler":
        features = RBFSampler(gamma=gamma, n_components=size, random_state=0)
    else:
        features = Nystroem(gamma=gamma, n_components=size, random_state=0)
    model = RidgeClassifier(alpha=alpha, solver="cholesky")
    model.fit(features.fit_transform(x), y)
    accuracy = float((model.predict(features.transform(t)) == u).mean())
    return accuracy, perf_counter() - start


def tuned(name, data):
    """Best gamma and alpha of a few with 1,000 features of 12,000 images, on 3,000 others."""
    x, y, _, _ = data
    part = (x[:12000], y[:12000], x[-3000:], y[-3000:])
    grid = [(g, a) for g in (0.005, 0.01, 0.02, 0.04) for a in (1e-3, 1e-1, 1.0)]
    return max(grid, key=lambda s: rival(name, 1000, part, s)[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--without-rivals", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "mnist.json")
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # before numpy is loaded
    import numpy
    import sklearn

    flags = next((l for l in open("/proc/cpuinfo") if l.startswith("flags")), "").split()
    print(f"threads {options.threads}, numpy {numpy.__version__}, scikit-learn {sklearn.__version__}, {platform.machine()},",
          "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2")
    data = load()
    settings = {} if options.without_rivals else {name: tuned(name, data) for name in ("RBFSampler", "Nystroem")}
    for name, (gamma, alpha) in settings.items():
        print(f"{name}: gamma {gamma}, alpha {alpha}")
    results = []
    print("\n| features | method | accuracy | seconds | GiB |\n|---:|---|---:|---:|---:|")
    for size in options.sizes:
        runs = {}
        for _ in range(options.repeat):  # interleaved, so that all see the same machine
            for name in options.nets:
                runs.setdefault(f"dualnet {name}", []).append(ours(NETS[name], size, options)[:3])
            for name in settings:
                runs.setdefault(name, []).append((*rival(name, size, data, settings[name]), None))
        for name, each in runs.items():
            accuracy, seconds = each[0][0], median(r[1] for r in each)
            memory = each[0][2] and max(r[2] for r in each)
            results.append({"method": name, "features": size, "accuracy": accuracy, "seconds": seconds, "gib": memory})
            shown = "" if memory is None else f"{memory:.2f}"
            print(f"| {size} | {name} | {accuracy:.4f} | {seconds:.1f} | {shown} |", flush=True)
    print("\nBest accuracy within a budget of seconds:\n")
    methods = sorted({r["method"] for r in results})
    print("| method | " + " | ".join(f"{b} s" for b in BUDGETS) + " |\n|---|" + "---:|" * len(BUDGETS))
    for name in methods:
        best = [max((r["accuracy"] for r in results if r["method"] == name and r["seconds"] <= b), default=None) for b in BUDGETS]
        print(f"| {name} | " + " | ".join("" if b is None else f"{b:.4f}" for b in best) + " |")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
