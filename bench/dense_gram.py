"""Dense Gram matrices: dualnet against neural-tangents and plain numpy, same arrays, one run.

Measures the seconds to compute the n x n kernel of a fully connected network of DEPTH
hidden layers (sigma_w^2 = 2, no bias) for relu, erf and gelu, with n = 4,000 points of
d = 20 and d = 784 from a normal distribution, in f32 and f64, with 1 and 2 threads:

    bench/env && cargo build --release
    bench/.venv/bin/python bench/dense_gram.py             # everything: some minutes
    bench/.venv/bin/python bench/dense_gram.py -n 1000 --dims 20 --activations relu

Each figure is the median of --repeats runs, taken in turn (one of each contender a round)
so that a busy machine hurts all alike. dualnet's is the computing time that it reports;
neural-tangents is jit-compiled and warmed up, both kernels in one call ("nngp, ntk") and
the NNGP alone; numpy is what one would write: x @ x.T and the formula on whole matrices.
Every pair of contenders must agree (relative to the largest entry; see TOLERANCE).
JAX is given --threads through XLA's intra-op pool and the process's CPU mask.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

BINARY = Path(__file__).resolve().parent.parent / "target" / "release" / "dualnet"
DEPTH = 3
# f32 forms acos near 1 from a rounded cosine: an angle is good to the root of the precision
TOLERANCE = {"f32": 2e-3, "f64": 1e-7}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=4000, help="points (4000)")
    parser.add_argument("--dims", type=int, nargs="+", default=[20, 784])
    parser.add_argument("--activations", nargs="+", default=["relu", "erf", "gelu"])
    parser.add_argument("--precisions", nargs="+", default=["f32", "f64"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without-dualnet", action="store_true", help="the rivals alone")
    parser.add_argument("--binary", type=Path, default=BINARY, help="the dualnet command")
    parser.add_argument("--json", type=Path, help="append one JSON line a figure to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


# numpy, as one would write it ------------------------------------------------------------


def numpy_dual(name, np):
    """(c, p, q) -> (k, kdot) on whole matrices, from the textbook formulas."""
    def relu(c, p, q):
        norm = np.sqrt(p * q)
        cosine = np.clip(c / norm, -1, 1)
        angle = np.arccos(cosine)
        kdot = (np.pi - angle) / (2 * np.pi)
        return norm * (np.sqrt(1 - cosine**2) + (np.pi - angle) * cosine) / (2 * np.pi), kdot

    def erf_dual(c, p, q):
        scale = (1 + 2 * p) * (1 + 2 * q)
        return (
            2 / np.pi * np.arcsin(2 * c / np.sqrt(scale)),
            4 / np.pi / np.sqrt(scale - 4 * c**2),
        )

    def gelu(c, p, q):
        scale = (1 + p) * (1 + q)
        det = scale - c**2
        root = np.sqrt(det)
        angle = np.arctan2(c, root)
        k = c / 4 + (c * angle + (c**2 + p * q * det) / (scale * root)) / (2 * np.pi)
        return k, 0.25 + angle / (2 * np.pi) + c / (2 * np.pi * root) * (
            1 / det + (1 - p * q) / scale + 1
        )

    return {"relu": relu, "erf": erf_dual, "gelu": gelu}[name]


def numpy_kernels(x, activation, np):
    """NNGP and NTK of the network, every layer on the whole matrix."""
    dual = numpy_dual(activation, np)
    c = 2 * (x @ x.T) / x.shape[1]
    ntk = c
    for _ in range(DEPTH):
        variance = np.diag(c).copy()
        k, kdot = dual(c, variance[:, None], variance[None, :])
        c = 2 * k
        ntk = c + 2 * kdot * ntk
    return c, ntk


# neural-tangents -------------------------------------------------------------------------


def tangents_kernels(activation, precision):
    """{label: x -> kernels} of neural-tangents, jit-compiled."""
    import jax

    jax.config.update("jax_enable_x64", precision == "f64")
    from neural_tangents import stax

    nonlinearity = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}[activation]
    hidden = [stax.Dense(1, 2**0.5), nonlinearity()] * DEPTH
    kernel_fn = stax.serial(*hidden, stax.Dense(1, 2**0.5))[2]
    both = jax.jit(lambda x: kernel_fn(x, None, ("nngp", "ntk")))
    alone = jax.jit(lambda x: kernel_fn(x, None, "nngp"))
    return {
        "both": lambda x: tuple(jax.block_until_ready(both(x))),
        "nngp": lambda x: (jax.block_until_ready(alone(x)),),
    }


# one setting in a process of its own (threads and precision are fixed at import) ----------


def worker(setting):
    """Time the contenders for one setting; print one JSON line."""
    import numpy as np

    n, d, activation, precision, threads = (
        setting[key] for key in ("n", "d", "activation", "precision", "threads")
    )
    x = np.random.default_rng(0).standard_normal((n, d))
    x = x.astype({"f32": np.float32, "f64": np.float64}[precision])
    tangents = tangents_kernels(activation, precision)
    contenders = {
        "numpy both": lambda: numpy_kernels(x, activation, np),
        "neural-tangents both": lambda: tangents["both"](x),
        "neural-tangents nngp": lambda: tangents["nngp"](x),
    }
    seconds, answers = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.npy"
        np.save(file, x)
        for label, run in contenders.items():
            answers[label] = [np.asarray(k) for k in run()]  # also the warm-up
        for _ in range(setting["repeats"]):
            for label, run in contenders.items():
                start = perf_counter()
                run()
                seconds.setdefault(label, []).append(perf_counter() - start)
            for wanted in ("both", "nngp") if setting["binary"] else ():
                label = f"dualnet {wanted}"
                answers[label], spent = dualnet(setting, file, wanted, Path(folder) / "k.npz")
                seconds.setdefault(label, []).append(spent)
    difference = {
        label: max(relative(a, b) for a, b in zip(answer, answers["neural-tangents both"]))
        for label, answer in answers.items()
    }
    medians = {label: median(values) for label, values in seconds.items()}
    print(json.dumps(setting | {"seconds": medians, "difference": difference}))


def relative(a, b):
    """Largest difference, in units of the largest entry."""
    import numpy as np

    return float(np.max(np.abs(a - b)) / np.max(np.abs(b)))


def dualnet(setting, file, wanted, out):
    """Run the command; return its kernels and the computing seconds that it reports."""
    import numpy as np

    net = f"fc-{setting['activation']}-{DEPTH}"
    line = [setting["binary"], "kernel", net, "--x", str(file), "--json", "--quiet"]
    line += ["--threads", str(setting["threads"]), "--precision", setting["precision"]]
    line += ["--get", "nngp,ntk" if wanted == "both" else "nngp", "-o", str(out)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(line)}: {done.stderr.strip()}")
    with np.load(out) as arrays:
        kernels = [arrays[key] for key in (("nngp", "ntk") if wanted == "both" else ("nngp",))]
    return kernels, json.loads(done.stdout)["seconds"]


# the run ---------------------------------------------------------------------------------


def machine():
    """Versions and the CPU, for the head of the report."""
    packages = ("neural-tangents", "jax", "jaxlib", "numpy", "scipy")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    cpu, flags = platform.processor(), ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(
            map(str.strip, line.split(":", 1)) for line in info.read_text().splitlines() if ":" in line
        )
        cpu = fields.get("model name", cpu)
        wanted = {"avx2", "fma", "avx512f", "avx512vl", "avx512_bf16"}
        flags = " ".join(sorted(wanted & set(fields.get("flags", "").split())))
    return f"{versions}\nPython {platform.python_version()}; {cpu}; {flags}"


def run(setting):
    """One setting in a child that has only as many CPUs and threads as it may use."""
    threads = setting["threads"]
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(threads)
    single = "true" if threads > 1 else "false"
    environment["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={single} intra_op_parallelism_threads={threads}"
    )
    environment["JAX_PLATFORMS"] = "cpu"
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    mask = sorted(os.sched_getaffinity(0))[:threads]
    child = subprocess.run(
        [sys.executable, __file__, "--worker", json.dumps(setting)],
        env=environment, capture_output=True, text=True, check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, mask),
    )
    if child.returncode != 0:
        raise SystemExit(child.stderr.strip()[-2000:])
    return json.loads(child.stdout.strip().splitlines()[-1])


def main():
    options = arguments()
    if options.worker:
        worker(json.loads(options.worker))
        return 0
    binary = None if options.without_dualnet else str(options.binary)
    if binary and not options.binary.exists():
        raise SystemExit(f"{binary} is not there; run cargo build --release, or --without-dualnet")
    print(machine())
    print(f"n = {options.n}, depth {DEPTH}, medians of {options.repeats} in seconds; x = times dualnet's")
    heads = ["d", "act", "prec", "thr", "dualnet both", "NT both", "x", "numpy both", "x"]
    heads += ["dualnet nngp", "NT nngp", "x", "agree"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    wrong = 0
    for d in options.dims:
        for activation in options.activations:
            for precision in options.precisions:
                for threads in options.threads:
                    result = run({
                        "n": options.n, "d": d, "activation": activation, "precision": precision,
                        "threads": threads, "repeats": options.repeats, "binary": binary,
                    })
                    wrong += not report(result, options.json)
    return 1 if wrong else 0


def report(result, log):
    """Print one line of the table; whether all agree."""
    seconds = result["seconds"]

    def cell(label):
        return f"{seconds[label]:.3f}" if label in seconds else "-"

    def times(label, base):
        return f"{seconds[label] / seconds[base]:.1f}" if base in seconds else "-"

    agree = max(result["difference"].values()) <= TOLERANCE[result["precision"]]
    cells = [
        result["d"], result["activation"], result["precision"], result["threads"],
        cell("dualnet both"),
        cell("neural-tangents both"), times("neural-tangents both", "dualnet both"),
        cell("numpy both"), times("numpy both", "dualnet both"),
        cell("dualnet nngp"), cell("neural-tangents nngp"),
        times("neural-tangents nngp", "dualnet nngp"),
        "yes" if agree else f"NO: {result['difference']}",
    ]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    if log:
        with log.open("a") as file:
            file.write(json.dumps(result) + "\n")
    return agree


if __name__ == "__main__":
    sys.exit(main())
