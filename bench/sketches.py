"""The parts of features.py that measure sketches: against themselves, the published NTK sketch, scikit-learn, and sparse text."""

import sys
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import numpy as np

TOPICS = Path(__file__).resolve().parent.parent / "data" / "fetched" / "topics"
# NNGP exp(-gamma |x - y|^2) and (gamma x . y + 1)^n of rows of d columns, w_std chosen accordingly.
RBF = "b_std = 0.0\nlayers = [{{dense = {{w_std = {w}}}}}, {{rbf = {{gamma = 1.0}}}}, {{dense = {{w_std = 1.0}}}}]\n"
POWER = "layers = [{{dense = {{w_std = {w}, b_std = 1.0}}}}, {{hermite = {{degree = {n}}}}}, {{dense = {{w_std = 1.0, b_std = 0.0}}}}]\n"


def timed(work):
    """The result of the last and the median seconds of five runs."""
    times = []
    for _ in range(5):
        start = perf_counter()
        found = work()
        times.append(perf_counter() - start)
    return found, median(times)


class Published:
    """NTK sketch of a whole ReLU net, ntk-sketch-rf (Zandieh et al. 2021), ntk_sketch.py."""

    def __init__(self, folder):
        sys.path.insert(0, str(folder))
        import ntk_sketch
        import torch

        torch.set_num_threads(1)
        self.code, self.torch = ntk_sketch, torch

    def measure(self, x, k, depth, m, degree, seed, relative):
        """`degree` is a power of two: the code shapes no other."""
        code, torch = self.code, self.torch
        np.random.seed(seed)
        n, d = x.shape
        sketch = code.TensorSketch(d=d, m=m, q=degree, dev="cpu")
        coefficients = torch.FloatTensor(code.get_poly_approx_ntk(depth, degree))
        rows = torch.FloatTensor(x)
        found, seconds = timed(lambda: code.OblvFeat(sketch, rows, coefficients))
        # Ours has variance 2 a layer, and means over columns.
        f = found.T.numpy().astype(np.float64) * np.sqrt(2.0 / d)
        return relative(f, k), seconds, f.shape[1]


def published(x, exact, ours, relative, folder, rival, title):
    """ReLU nets without biases: ours by both sketches and random features, theirs."""
    rows = []
    print(f"{title:<44}{'columns':>9}{'error':>8}{'ms a row':>10}")
    for depth in [1, 3]:
        net = f"fc-relu-{depth}"
        k = exact(net, x, folder)

        def show(name, m, errors, seconds, columns):
            rows.append({"net": net, "map": name, "m": m, "columns": columns, "error": mean(errors), "ms": 1e3 * seconds / len(x)})
            print(f"{net + ', ' + name:<44}{columns:>9}{rows[-1]['error']:8.4f}{rows[-1]['ms']:10.3f}", flush=True)

        for m in [1024, 4096, 8192]:
            for method in ["random", "sketch"]:
                found = [ours(net, m, k, folder, seed, method) for seed in range(5)]
                show(method, m, [e for e, _ in found], median(s for _, s in found), m)
            if rival is None:
                continue
            for degree in [2, 8, 16]:
                found = [rival.measure(x, k, depth, m, degree, seed, relative) for seed in range(3)]
                show(f"ntk-sketch-rf, degree {degree}", m, [e for e, _, _ in found], median(s for _, s, _ in found), found[0][2])
    return rows


def scikit(x, ours, relative, folder):
    """Kernels that scikit-learn's maps express: Gaussian ones, and powers."""
    from sklearn.kernel_approximation import Nystroem, PolynomialCountSketch, RBFSampler
    from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel

    d = x.shape[1]
    np.save(folder / "x.npy", x)
    rows = []

    def net(text):
        path = folder / "net.toml"
        path.write_text(text)
        return path

    def show(kernel, name, m, found):
        row = {"kernel": kernel, "map": name, "m": m, "error": mean(e for e, _ in found), "ms": 1e3 * median(s for _, s in found) / len(x)}
        rows.append(row)
        print(f"{kernel + ', ' + name:<44}{m:>9}{row['error']:8.4f}{row['ms']:10.3f}", flush=True)

    def theirs(make, k):
        found = []
        for seed in range(5):
            mapper = make(seed).fit(x)
            f, seconds = timed(lambda: mapper.transform(x))
            found.append((relative(f, k), seconds))
        return found

    print(f"{'scikit-learn, 1,000 digits':<44}{'columns':>9}{'error':>8}{'ms a row':>10}")
    gamma = 0.25 / d
    cases = [
        ("rbf", RBF.format(w=float(np.sqrt(gamma * d))), rbf_kernel(x, gamma=gamma), {
            "RBFSampler": lambda m, seed: RBFSampler(gamma=gamma, n_components=m, random_state=seed),
            "Nystroem": lambda m, seed: Nystroem(kernel="rbf", gamma=gamma, n_components=m, random_state=seed),
        }),
    ]
    for degree in [2, 4]:
        cases.append((f"power {degree}", POWER.format(w=0.5, n=degree), polynomial_kernel(x, degree=degree, gamma=0.25 / d, coef0=1), {
            "PolynomialCountSketch": lambda m, seed, n=degree: PolynomialCountSketch(
                degree=n, gamma=0.25 / d, coef0=1, n_components=m, random_state=seed
            ),
            "Nystroem": lambda m, seed, n=degree: Nystroem(
                kernel="poly", degree=n, gamma=0.25 / d, coef0=1, n_components=m, random_state=seed
            ),
        }))
    for kernel, text, k, rivals in cases:
        for m in [256, 1024]:
            # Powers have no activation to draw features of; the series of a Gaussian is refused for rows of this length.
            for method in ["random" if kernel == "rbf" else "sketch", "rpcholesky"]:
                show(kernel, method, m, [ours(net(text), m, k, folder, seed, method, "nngp") for seed in range(5)])
            for name, make in rivals.items():
                show(kernel, name, m, theirs(lambda seed: make(m, seed), k))
    return rows


def sparse(run, folder, picture):
    """Embedding time against non-zeros: 20 Newsgroups, tf-idf of words and of longer and longer phrases, the same rows."""
    import scipy.sparse
    from sklearn.feature_extraction.text import TfidfVectorizer

    lines = (TOPICS / "20newsgroups-train.tab").read_text(encoding="utf-8", errors="replace").splitlines()[3:]
    texts = [line.split("\t")[-1] for line in lines][:8000]
    rows = []
    print(f"{'20 Newsgroups, tf-idf, 8,000 rows, M = 512':<44}{'columns':>9}{'nonzeros':>10}{'seconds':>9}{'input':>8}{'ntk':>8}")
    for longest in [1, 2, 3, 4, 5]:
        x = TfidfVectorizer(ngram_range=(1, longest), dtype=np.float32).fit_transform(texts)
        # Rows of length sqrt d, as standardised columns have.
        x = x * np.float32(np.sqrt(x.shape[1]))
        scipy.sparse.save_npz(folder / "x.npz", x.tocsr(), compressed=False)
        options = ["--x", folder / "x.npz", "--dim", 512, "--get", "ntk", "-o", folder / "f.npz"]
        reports = [run("features", "fc-relu-1", *options) for _ in range(5)]
        row = {
            "phrases": longest, "columns": x.shape[1], "nonzeros": int(x.nnz), "seconds": median(r["seconds"] for r in reports),
            "input_error": reports[0]["input"]["error"], "error": reports[0]["error"]["ntk"],
        }
        rows.append(row)
        print(f"{f'words to phrases of {longest}':<44}{row['columns']:>9}{row['nonzeros']:>10}{row['seconds']:9.3f}"
              f"{row['input_error']:8.4f}{row['error']:8.4f}", flush=True)
    slope, constant = np.polyfit([r["nonzeros"] for r in rows], [r["seconds"] for r in rows], 1)
    print(f"slope {1e9 * slope:.1f} ns a non-zero, {1e6 * constant / len(texts):.1f} us a row besides")
    if picture:
        draw(rows, slope, constant, picture)
    return {"rows": rows, "ns_a_nonzero": 1e9 * slope, "us_a_row": 1e6 * constant / len(texts)}


def draw(rows, slope, constant, picture):
    import matplotlib.pyplot as plt

    from snnk_plots import BLUE, RED, STYLE, label, save

    plt.rcParams.update(STYLE | {"svg.hashsalt": "sparse features"})
    x = np.array([r["nonzeros"] for r in rows]) / 1e6
    figure, axes = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
    line = np.array([0, x.max()])
    axes.plot(line, constant + slope * 1e6 * line, color=RED)
    axes.plot(x, [r["seconds"] for r in rows], "o", color=BLUE)
    label(axes, 0.55 * x.max(), constant + slope * 0.5e6 * x.max(), f"{1e9 * slope:.0f} ns a non-zero", RED, va="top")
    axes.set_xlabel("non-zeros of 8,000 texts, millions")
    axes.set_ylabel("seconds, one thread")
    axes.set_xlim(0)
    axes.set_ylim(0)
    save(figure, picture)
