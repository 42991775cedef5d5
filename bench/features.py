"""Features of nets: error and time per row against the published random features of the NTK.

    scripts/fetch-data fashion-mnist && cargo build --release
    git clone https://github.com/jaehlee/ntk-sketching-neural-tangents RIVAL
    bench/.venv/bin/pip install neural-tangents==0.6.5 jax==0.4.30 jaxlib==0.4.30
    git clone https://github.com/insuhan/ntk-sketch-rf PUBLISHED    # needs torch and quadprog
    bench/.venv/bin/python bench/features.py [--rival RIVAL] [--published PUBLISHED] [--parts activations dense conv ...] [--json FILE]

- activations: 1,000 digits (data/digits.csv), columns standardised, NTK of fc-ACTIVATION-2, --dim 4096:
  relative error |F F^T - K| / |K| (Frobenius), mean of 10 seeds, and seconds for the 1,000 rows.
- dense: 1,000 Fashion-MNIST images as rows of 784, NTK of fc-relu-3, beside the random features of
  neural-tangents' pull request 142 in its authors' repository (feature_dim0 = feature_dim1 = sketch_dim
  = m, so that the features are 2 m columns; ours has m columns in all).
- sketch: the same digits by `--method sketch`.
- published: 1,000 Fashion-MNIST rows, NTK of fc-relu-1 and -3, beside the NTK sketch of ntk-sketch-rf.
- scikit: the digits, Gaussian kernel and powers of it, beside RBFSampler, Nystroem, PolynomialCountSketch.
- sparse: 20 Newsgroups, seconds against non-zeros; --picture draws it (scripts/fetch-data topics).
- conv: 16 random images of 32x32x3 as in the rival's own test, and 16 of Fashion-MNIST, Myrtle-5.

Everything on one core, medians of five runs. The rival's layers run one after the other, as in its own
tests (they ask for values while they are traced, which a compilation of the whole forbids), in batches
of 100 rows or 2 images, its fastest; the first run, which compiles its operations, is not counted.
Seconds of ours include writing the file.
"""

import argparse
import gzip
import json
import os
import platform
import subprocess
import sys
import tempfile
import typing
from pathlib import Path
from statistics import mean, median
from time import perf_counter

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np  # noqa: E402  (threads are counted at the import)
import sketches  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BINARY = ROOT / "target" / "release" / "dualnet"
ACTIVATIONS = "relu leaky_relu abs erf gelu sin cos gaussian tanh silu elu softplus sigmoid rbf".split()
LAYERS = [2, 1, 1]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rival", type=Path, help="folder of ntk-sketching-neural-tangents; default: ours alone")
    parser.add_argument("--published", type=Path, help="folder of ntk-sketch-rf; default: ours alone")
    parser.add_argument("--picture", type=Path, help="where to draw the time of sparse rows (.svg)")
    parser.add_argument("--parts", nargs="+", default=["activations", "sketch", "dense", "conv"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser.parse_args()


class Refused(Exception):
    """What the program says instead of an answer."""


def run(*words):
    done = subprocess.run([BINARY, *map(str, words), "--json", "--threads", "1"], capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def exact(net, x, folder, precision="f64"):
    np.save(folder / "x.npy", x)
    run("kernel", net, "--x", folder / "x.npy", "--get", "ntk", "--precision", precision, "-o", folder / "k.npz")
    return np.load(folder / "k.npz")["ntk"].astype(np.float64)


def relative(f, k):
    f = np.asarray(f, np.float64)
    return float(np.linalg.norm(f @ f.T - k) / np.linalg.norm(k))


def ours(net, dim, k, folder, seed, method="random", kernel="ntk"):
    """Of folder / x.npy; what `exact` was given last."""
    options = ["--get", kernel, "--dim", dim, "--seed", seed, "--method", method, "-o", folder / "f.npz"]
    report = run("features", net, "--x", folder / "x.npy", *options)
    return relative(np.load(folder / "f.npz")[kernel], k), report["seconds"]


class Rival:
    """Random features of pull request 142."""

    def __init__(self, folder):
        import jax
        import neural_tangents
        from neural_tangents._src import utils

        # Written for an older version of neural-tangents, whose names have moved.
        sys.modules["neural_tangents.utils"] = utils
        sys.modules["neural_tangents.utils.typing"] = typing
        sys.path.insert(0, str(folder))
        import features

        from neural_tangents._src.stax import linear

        features.stax._pool_kernel = linear._pool_kernel
        features.stax.Pooling = linear._Pooling
        features.stax.Padding = linear.Padding
        self.jax, self.features, self.version = jax, features, neural_tangents.__version__

    def dense(self, m, depth):
        f, layers = self.features, []
        for _ in range(depth):
            layers += [f.DenseFeatures(1, W_std=2**0.5), f.ReluFeatures(m, m, m)]
        return layers + [f.DenseFeatures(1, W_std=2**0.5)]

    def myrtle(self, m):
        f, layers = self.features, []
        for count in LAYERS:
            layers += [f.ConvFeatures(1, filter_size=3, W_std=2**0.5), f.ReluFeatures(m, m, m)] * count
            layers += [f.AvgPoolFeatures(2, 2)]
        layers += [f.AvgPoolFeatures(2, 2)] * 2
        return layers + [f.FlattenFeatures(), f.DenseFeatures(1, W_std=2**0.5)]

    def measure(self, layers, x, k, seed, batch):
        jax, f = self.jax, self.features
        init, _, apply = f.serial(*layers)
        _, drawn = init(jax.random.PRNGKey(seed), (x.shape, (-1, 0)))
        parts = [jax.numpy.asarray(x[i : i + batch], "float32") for i in range(0, len(x), batch)]

        def whole():
            mapped = [apply(f._inputs_to_features(part), drawn).ntk_feat for part in parts]
            return np.concatenate([np.asarray(part) for part in mapped])

        found = whole()
        times = []
        for _ in range(5):
            start = perf_counter()
            whole()
            times.append(perf_counter() - start)
        return relative(found, k), median(times)


def fashion(count):
    path = ROOT / "data" / "fetched" / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    x = np.frombuffer(gzip.open(path).read(), np.uint8, offset=16).reshape(-1, 28, 28)[:count] / 255.0
    return (x - x.mean()) / x.std()


def digits():
    x = np.loadtxt(ROOT / "data" / "digits.csv", delimiter=",", skiprows=1, max_rows=1000, usecols=range(64))
    deviation = x.std(0)
    return (x - x.mean(0)) / np.where(deviation > 0, deviation, 1)


def activations(folder, seeds, method):
    x, title = digits(), f"1,000 digits, NTK of fc-ACTIVATION-2, {method}, 4,096"
    print(f"{title:<56}{'error':>8}{'seconds':>9}")
    rows = []
    for activation in ACTIVATIONS:
        net = f"fc-{activation}-2"
        k = exact(net, x, folder)
        try:
            found = [ours(net, 4096, k, folder, seed, method) for seed in range(seeds)]
        except Refused as why:
            print(f"{activation:<56}refused: {str(why).splitlines()[-1]}", flush=True)
            continue
        rows.append({"net": net, "error": mean(e for e, _ in found), "seconds": median(s for _, s in found)})
        print(f"{activation:<56}{rows[-1]['error']:8.4f}{rows[-1]['seconds']:9.3f}", flush=True)
    return rows


def contest(title, net, x, contenders, folder, rival, batch):
    """`contenders`: ("ours", M) or ("pull request 142", m)."""
    k = exact(net, x, folder, "f64" if x.ndim == 2 else "f32")
    print(f"{title:<44}{'columns':>9}{'error':>8}{'ms a row':>10}")
    rows = []
    for name, m in contenders:
        if name == "ours":
            found = [ours(net, m, k, folder, seed) for seed in range(5)]
            columns = m
        elif rival is None:
            continue
        else:
            image = x if x.ndim != 3 else x[..., None]
            layers = rival.dense(m, 3) if x.ndim == 2 else rival.myrtle(m)
            found = [rival.measure(layers, image, k, seed, batch) for seed in range(3)]
            columns = 2 * m
        error, seconds = mean(e for e, _ in found), median(s for _, s in found)
        row = {"net": net, "map": name, "m": m, "columns": columns, "error": error, "ms": 1e3 * seconds / len(x)}
        rows.append(row)
        print(f"{name:<44}{columns:>9}{error:8.4f}{row['ms']:10.3f}", flush=True)
    return rows


def main():
    args = arguments()
    rival = Rival(args.rival) if args.rival else None
    version = f"neural-tangents {rival.version}, jax {rival.jax.__version__}" if rival else "no rival"
    flags = [flag for flag in ["avx2", "avx512f"] if flag in Path("/proc/cpuinfo").read_text()]
    print(f"1 thread, {version}, numpy {np.__version__}, {platform.machine()} {' '.join(flags)}")
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if "activations" in args.parts:
            figures["activations"] = activations(folder, args.seeds, "random")
        if "sketch" in args.parts:
            figures["sketch"] = activations(folder, args.seeds, "sketch")
        if "published" in args.parts:
            rival_sketch = sketches.Published(args.published) if args.published else None
            title = "Fashion-MNIST, 784 columns"
            x = fashion(1000).reshape(1000, -1)
            figures["published"] = sketches.published(x, exact, ours, relative, folder, rival_sketch, title)
        if "scikit" in args.parts:
            figures["scikit"] = sketches.scikit(digits(), ours, relative, folder)
        if "sparse" in args.parts:
            figures["sparse"] = sketches.sparse(run, folder, args.picture)
        theirs = "pull request 142"
        if "dense" in args.parts:
            sizes = [("ours", 512), ("ours", 1024), ("ours", 4096), (theirs, 512), (theirs, 1024), (theirs, 4096)]
            x = fashion(1000).reshape(1000, -1)
            figures["dense"] = contest("Fashion-MNIST, 784 columns, fc-relu-3", "fc-relu-3", x, sizes, folder, rival, 100)
        if "conv" in args.parts:
            sizes = [("ours", 512), ("ours", 1024), ("ours", 4096), (theirs, 256), (theirs, 512)]
            x = np.random.default_rng(0).standard_normal((16, 32, 32, 3))
            figures["conv 32x32x3"] = contest("random 32x32x3, Myrtle-5", "myrtle-5", x, sizes, folder, rival, 2)
            x = np.pad(fashion(16), ((0, 0), (2, 2), (2, 2)))
            figures["conv fashion"] = contest("Fashion-MNIST in 32x32, Myrtle-5", "myrtle-5", x, sizes, folder, rival, 2)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
