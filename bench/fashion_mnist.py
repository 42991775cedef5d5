"""Few images: kernels of Myrtle-5 against a dense NTK, an RBF-SVM and a CNN on Fashion-MNIST.

The pool is the first 2,000 training images. The kernel of the pool is computed once, as a job that
can be killed and is taken up by the same command (about an hour on two cores); --kernel names one
that is there. Every training set is then a part of its rows.

Learning curves: n = 10, 40, 160 and 640 images with equally many of each class, drawn 10 times (the
same draws for all methods), tested on the rest of the pool. Halves: the first 1,000 of the pool to
train on, the second 1,000 to test. One mean and one standard deviation, of all pixels of the pool,
standardise the images for all methods.

    bench/env && bench/.venv/bin/pip install -r bench/requirements-torch.txt   # for the CNN
    scripts/fetch-data fashion-mnist && cargo build --release
    bench/.venv/bin/python bench/fashion_mnist.py [--kernel k.npz] [--draws 10] [--methods ...]

- myrtle-5 ntk, nngp; dense ntk (fc-relu-3): ridge on one-hot targets less 1/10; of 37 lambdas the
  one with the least exact leave-one-out error.
- rbf svm: C and gamma by cross-validation in up to five folds, of 5 x 5.
- cnn: three 3x3 convolutions of 32, 64, 128 channels with batch norm, ReLU and max pooling, dropout
  .2, a linear layer; AdamW (1e-3, weight decay 5e-4) with a cosine schedule and a warm-up, batches of
  up to 64, flips and shifts by up to 2 pixels, 60 to 300 epochs. How many of them: the best on a fifth
  kept out; then trained anew on all images for that many. (With a global mean before the linear layer
  it is 2 to 4 percent worse at n = 160.)

With one image of a class nothing can be left out: ridge then has lambda = 1e-4 (of the mean of the
diagonal), the SVM C = 10 and scikit-learn's gamma, the CNN all its epochs. Each run is written to
--out at once; runs that are there are not repeated.
"""

import argparse
import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter

import numpy as np

HERE = Path(__file__).resolve().parent
BINARY = HERE.parent / "target" / "release" / "dualnet"
IMAGES = HERE.parent / "data" / "fetched" / "fashion-mnist"
METHODS = ["myrtle-5 ntk", "myrtle-5 nngp", "dense ntk", "rbf svm", "cnn"]
CLASSES = 10


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", type=Path, help="arrays nngp and ntk of the pool (.npz); default: computed as a job")
    parser.add_argument("--pool", type=int, default=2000, help="images of the pool (2000)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 40, 160, 640])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--without-halves", action="store_true", help="learning curves alone")
    parser.add_argument("--seen", type=int, default=40000, help="images the CNN sees, with repetition (40000; 60 to 300 epochs)")
    parser.add_argument("--threads", type=int, default=0, help="0: one for each core")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of the IDX files")
    parser.add_argument("--work", type=Path, default=HERE / "results" / "fashion_mnist", help="folder of the job and its kernels")
    parser.add_argument("--out", type=Path, default=HERE / "figures" / "fashion_mnist.json")
    parser.add_argument("--binary", type=Path, default=BINARY, help="the dualnet command")
    return parser.parse_args()


# data ------------------------------------------------------------------------------------


def idx(folder, name):
    file = folder / name
    if not file.exists():
        file = folder / f"{name}.gz"
    if not file.exists():
        raise SystemExit(f"{folder / name} is not there; run scripts/fetch-data fashion-mnist, or name a folder with --images")
    data = file.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def load(options):
    """Images (n, 28, 28, 1) in f32 and labels of the pool."""
    x = idx(options.images, "train-images-idx3-ubyte")[: options.pool].astype(np.float64) / 255
    y = idx(options.images, "train-labels-idx1-ubyte")[: options.pool].astype(int)
    return ((x - x.mean()) / x.std()).astype(np.float32)[..., None], y


def draw(y, n, seed):
    """Rows to train on, equally many of each class where the pool has them, and all others."""
    rng = np.random.default_rng([n, seed])
    order = rng.permutation(len(y))
    rank = np.empty(len(y), int)  # how many of its class stand before a row
    for label in range(CLASSES):
        rows = order[y[order] == label]
        rank[rows] = np.arange(len(rows))
    order = order[np.argsort(rank[order], kind="stable")]
    return order[:n], order[n:]


# kernels ---------------------------------------------------------------------------------


def kernel(options, net, x, more):
    """NNGP and NTK of the pool by `dualnet kernel`."""
    options.work.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(x.tobytes()).hexdigest()[:12]
    file, out = (options.work / f"{net}-{len(x)}-{digest}{end}" for end in (".npy", ".npz"))
    if not out.exists():
        np.save(file, x)
        line = [options.binary, "kernel", net, "--x", file, "-o", out, "--threads", options.threads]
        line += [f"{file.with_suffix('')}.job" if word == "JOB" else word for word in more]
        if subprocess.run([str(part) for part in line], check=False).returncode:
            raise SystemExit(f"dualnet kernel {net} failed; --binary names another program")
    return arrays(out, len(x))


def arrays(file, n):
    with np.load(file) as found:
        both = {name: found[name].astype(np.float64) for name in ("nngp", "ntk")}
    for name, k in both.items():
        if k.shape != (n, n):
            raise SystemExit(f"{name} of {file} is {k.shape}, expected {(n, n)}: the kernel of the pool")
    return both


def ridge(k, y, train, test):
    """Predicted classes of `test`, and lambda over the mean of the diagonal, least in exact leave-one-out error."""
    targets = np.eye(CLASSES)[y[train]] - 1 / CLASSES
    values, vectors = np.linalg.eigh(k[np.ix_(train, train)])
    scale = np.trace(k[np.ix_(train, train)]) / len(train)
    turned = vectors.T @ targets
    best = None
    single = np.bincount(y[train]).max() == 1
    for power in [-4] if single else np.arange(-8, 1.01, 0.25):
        weights = 1 / (np.maximum(values, 0) + scale * 10**power)
        alpha = vectors @ (weights[:, None] * turned)
        left_out = alpha / (vectors**2 @ weights)[:, None]  # y - what the others predict
        error = float((left_out**2).mean())
        if best is None or error < best[0]:
            best = error, power, alpha
    return (k[np.ix_(test, train)] @ best[2]).argmax(1), float(10 ** best[1])


# rivals ----------------------------------------------------------------------------------


def svm(distances, variance, y, train, test):
    """SVC with exp(-gamma |x - x'|^2); gamma in units of scikit-learn's "scale"."""
    from sklearn.model_selection import StratifiedKFold
    from sklearn.svm import SVC

    def score(gamma, c, rows, others):
        k = np.exp(-gamma / variance * distances[:, rows])
        return SVC(C=c, kernel="precomputed").fit(k[rows], y[rows]).predict(k[others])

    folds = min(5, np.bincount(y[train])[np.unique(y[train])].min())
    if folds < 2:
        return score(1.0, 10.0, train, test), {"C": 10.0, "gamma": 1.0}
    parts = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(train, y[train]))
    found = []
    for gamma in (0.1, 0.3, 1.0, 3.0, 10.0):
        for c in (0.1, 1.0, 10.0, 100.0, 1000.0):
            right = sum((score(gamma, c, train[a], train[b]) == y[train[b]]).sum() for a, b in parts)
            found.append((right, -abs(np.log(gamma)), gamma, c))
    gamma, c = max(found)[2:]
    return score(gamma, c, train, test), {"C": c, "gamma": gamma}


def network():
    from torch import nn

    layers, width = [], 1
    for wider in (32, 64, 128):
        layers += [nn.Conv2d(width, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU(), nn.MaxPool2d(2)]
        width = wider
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(9 * width, CLASSES))  # 28 -> 14 -> 7 -> 3


def augmented(x):
    """Flipped by chance, and shifted by up to 2 pixels; what comes in from outside is background."""
    import torch
    from torch.nn.functional import pad

    n, _, height, width = x.shape
    x = torch.where(torch.rand(n, 1, 1, 1) < 0.5, x.flip(3), x)
    x = pad(x, (2, 2, 2, 2), value=float(x.min()))
    down, right = torch.randint(5, (2, n))
    rows = (down[:, None] + torch.arange(height))[:, :, None]
    columns = (right[:, None] + torch.arange(width))[:, None, :]
    return x[torch.arange(n)[:, None, None], 0, rows, columns][:, None]


def trained(x, y, epochs, seed, watch=None):
    """A network, and the accuracy on `watch` after each epoch."""
    import torch

    torch.manual_seed(seed)
    model, batch = network(), min(64, max(len(y) // 4, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=5e-4)
    steps = epochs * -(-len(y) // batch)
    warm = max(1, min(steps // 10, 50))
    rate = lambda step: min((step + 1) / warm, 0.5 + 0.5 * np.cos(np.pi * step / steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    history = []
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(y))
        for rows in order.split(batch):
            if len(rows) == 1:  # batch norm needs two
                rows = order[-2:]
            loss = torch.nn.functional.cross_entropy(model(augmented(x[rows])), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if watch:
            history.append(float((predicted(model, watch[0]) == watch[1]).float().mean()))
    return model, history


def predicted(model, x):
    import torch

    model.eval()
    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in x.split(500)])


def cnn(images, labels, train, test, seed, options):
    try:
        import torch
    except ModuleNotFoundError:
        raise SystemExit("the CNN needs PyTorch: pip install -r bench/requirements-torch.txt, or leave cnn out of --methods") from None
    from sklearn.model_selection import train_test_split

    if options.threads:
        torch.set_num_threads(options.threads)
    x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    y = torch.from_numpy(labels)
    epochs = int(np.clip(options.seen // len(train), 60, 300))
    if np.bincount(labels[train]).max() > 1:
        fifth = max(CLASSES, len(train) // 5)
        enough = np.bincount(labels[train])[np.unique(labels[train])].min() > 1
        rest, kept = train_test_split(train, test_size=fifth, random_state=seed, stratify=labels[train] if enough else None)
        _, history = trained(x[rest], y[rest], epochs, seed, (x[kept], y[kept]))
        # The last of the best: validation sets are small, ties are frequent.
        epochs = max(range(epochs), key=lambda e: (history[e], e)) + 1
    model, _ = trained(x[train], y[train], epochs, seed)
    return predicted(model, x[test]).numpy(), {"epochs": epochs}


# the runs --------------------------------------------------------------------------------


class Contest:
    """The methods on one pool."""

    def __init__(self, options):
        self.options = options
        self.x, self.y = load(options)
        flat = self.x.reshape(len(self.x), -1)
        self.kernels = {}
        if any(method.startswith("myrtle-5") for method in options.methods):
            found = arrays(options.kernel, len(self.x)) if options.kernel else kernel(options, "myrtle-5", self.x, ["--job", "JOB"])
            self.kernels |= {f"myrtle-5 {name}": k for name, k in found.items()}
        if "dense ntk" in options.methods:
            self.kernels["dense ntk"] = kernel(options, "fc-relu-3", flat.astype(np.float64), [])["ntk"]
        norms = (flat.astype(np.float64) ** 2).sum(1)
        self.distances = np.maximum(norms[:, None] + norms - 2 * flat.astype(np.float64) @ flat.T, 0)
        self.variance = flat.shape[1] * flat.astype(np.float64).var()

    def predict(self, method, train, test, seed):
        """Classes of `test`, and what was chosen."""
        if method in self.kernels:
            classes, strength = ridge(self.kernels[method], self.y, train, test)
            return classes, {"lambda": strength}
        if method == "rbf svm":
            return svm(self.distances, self.variance, self.y, train, test)
        return cnn(self.x, self.y, train, test, seed, self.options)

    def run(self, method, part, n, seed):
        half = len(self.y) // 2
        train, test = draw(self.y, n, seed) if part == "curve" else (np.arange(half), np.arange(half, len(self.y)))
        start = perf_counter()
        classes, chosen = self.predict(method, train, test, seed)
        accuracy = float((classes == self.y[test]).mean())
        return {"method": method, "part": part, "n": len(train), "draw": seed, "tested": len(test),
                "accuracy": accuracy, "seconds": round(perf_counter() - start, 3), "chosen": chosen}


def report(runs, methods):
    """Aligned: mean and standard deviation over draws, and the halves."""
    columns = sorted({(run["part"], run["n"]) for run in runs})
    name = {"curve": "n = {}", "halves": "halves, {}"}
    print("".join(["\naccuracy, %   ", *(f"{name[part].format(n):>16}" for part, n in columns)]))
    for method in methods:
        cells = []
        for column in columns:
            found = [100 * run["accuracy"] for run in runs if run["method"] == method and (run["part"], run["n"]) == column]
            text = f"{mean(found):.1f}" if found else "-"
            cells.append(f"{text} +- {stdev(found):.1f}" if len(found) > 1 else text)
        print("".join([f"{method:<14}", *(f"{cell:>16}" for cell in cells)]))


def main():
    options = arguments()
    if options.pool < 4 * CLASSES:
        raise SystemExit(f"a pool of {options.pool} is too small; take 40 images or more")
    contest = Contest(options)
    saved = json.loads(options.out.read_text()) if options.out.exists() else {"pool": options.pool, "runs": []}
    if saved["pool"] != options.pool:
        raise SystemExit(f"{options.out} is of a pool of {saved['pool']}; name another with --out")
    runs = saved["runs"]
    key = lambda run: (run["method"], run["part"], run["n"], run["draw"])
    known = {key(run) for run in runs}
    half = options.pool // 2
    plan = [("curve", n, seed) for n in options.sizes if n < options.pool for seed in range(options.draws)]
    plan += [] if options.without_halves else [("halves", half, 0)]
    for method in options.methods:
        for part, n, seed in plan:
            if (method, part, n, seed) not in known:
                runs.append(contest.run(method, part, n, seed))
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(saved, indent=1) + "\n")
                print(f"{method}, {part} of {n}, draw {seed}: {runs[-1]['accuracy']:.3f} in {runs[-1]['seconds']} s", file=sys.stderr)
    report(runs, options.methods)
    return 0


if __name__ == "__main__":
    sys.exit(main())
