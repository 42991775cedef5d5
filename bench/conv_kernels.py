"""Kernels of convolutional networks: dualnet against neural-tangents, per pair of images, one run.

Measures the seconds for one pair of images (NNGP and NTK in one pass) of Myrtle-5 with global
pooling ("gap"), of Myrtle-5 with flatten in its place ("flatten"), and of four convolutions and
flatten without pooling ("plain"), for images of 8x8, 16x16 and 32x32 with 3 channels:

    bench/env && cargo build --release
    bench/.venv/bin/python bench/conv_kernels.py                  # everything: a quarter of an hour
    bench/.venv/bin/python bench/conv_kernels.py --sizes 8 16 --repeats 5 --budget .3
    bench/.venv/bin/python bench/conv_kernels.py --prototype pair.c

Each figure is the median of --repeats runs, taken in turn (one of each contender a round) so
that a busy machine hurts all alike. Both get two sets of images, which have no symmetry to use.

dualnet's figure is the computing time that `dualnet kernel --x --x2` reports (preparing the
images included), over as many pairs as take about --budget seconds. neural-tangents is
jit-compiled and warmed up, on k x k images. It computes the covariance of each of the 2k images
with itself in every call, so a call works on k^2 + 2k maps of covariances. There are two figures
for it: seconds over k^2 pairs, as timed; and seconds over k^2 + 2k, what a pair costs in a batch so
large that the 2k do not count (its memory permitting). The second is the one to judge by.

On CPUs neural-tangents is two to three times as fast in f64 as in f32 (XLA takes another way for
convolutions of one channel), so both precisions are measured: ratios are at equal precision, and
who wants neural-tangents at its best compares with its f64.

Both must agree (largest difference over the largest entry; see TOLERANCE). Then come ratios of
dualnet to itself: other activations, f64, and image widths that are not multiples of 16.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from dense_gram import machine, relative

BINARY = Path(__file__).resolve().parent.parent / "target" / "release" / "dualnet"
CHANNELS = 3
# Images on each side of a call of neural-tangents with all pairs of positions, by size.
TANGENTS_IMAGES = {8: 12, 16: 4, 32: 2}
TOLERANCE = {"f32": 2e-3, "f64": 1e-7}
NETS = {
    "gap": "conv act conv act avg_pool conv act avg_pool conv act global_avg_pool dense",
    "flatten": "conv act conv act avg_pool conv act avg_pool conv act flatten dense",
    "plain": "conv act conv act conv act conv act flatten dense",
}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 16, 32], help="heights and widths")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=NETS)
    parser.add_argument("--precisions", nargs="+", default=["f32", "f64"], choices=["f32", "f64"])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=1.5, help="seconds of a run of dualnet (1.5)")
    parser.add_argument("--widths", type=int, nargs="*", default=[28, 20, 12], help="for the time per entry, beside 32 x 32")
    parser.add_argument("--prototype", type=Path, help="a C program to compile and to time beside 32x32, gap, f32, one thread")
    parser.add_argument("--without-tangents", action="store_true", help="dualnet alone")
    parser.add_argument("--without-ratios", action="store_true", help="neural-tangents alone")
    parser.add_argument("--binary", type=Path, default=BINARY, help="the dualnet command")
    parser.add_argument("--json", type=Path, help="append one JSON line a figure to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def images(count, size, precision, seed):
    import numpy as np

    x = np.random.default_rng(seed).standard_normal((count, *size, CHANNELS))
    return x.astype({"f32": np.float32, "f64": np.float64}[precision])


# dualnet ---------------------------------------------------------------------------------


class Dualnet:
    """One net, image size and precision: the pairs for a run of a given length, and the run."""

    def __init__(self, setting, folder, budget):
        self.setting, self.folder = setting, Path(folder)
        self.net = self.folder / "net.json"
        layers = [setting["activation"] if word == "act" else word for word in NETS[setting["net"]].split()]
        self.net.write_text(json.dumps({"layers": layers}))
        per_pair = self.call([self.save("x", 16, 1)], ["--dry-run"])["seconds_per_pair"]
        side = round((budget / per_pair) ** 0.5 / 8) * 8  # whole tiles
        self.count = min(max(side, 16), 1024)
        self.files = [self.save("x", self.count, 1), self.save("x2", self.count, 2)]

    def save(self, name, count, seed):
        import numpy as np

        file = self.folder / f"{name}.npy"
        np.save(file, images(count, self.setting["size"], self.setting["precision"], seed))
        return file

    def call(self, files, more=()):
        line = [self.setting["binary"], "kernel", self.net, "--json", "--quiet", *more]
        for option, file in zip(("--x", "--x2"), files):
            line += [option, file]
        line += ["--threads", self.setting["threads"], "--precision", self.setting["precision"]]
        line = [str(part) for part in line]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(line)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def seconds(self):
        """For one pair."""
        out = self.folder / "k.npz"
        return self.call(self.files, ["-o", out])["seconds"] / self.count**2

    def kernels(self, x, y):
        import numpy as np

        files = [self.folder / "a.npy", self.folder / "b.npy"]
        for file, values in zip(files, (x, y)):
            np.save(file, values)
        self.call(files, ["-o", self.folder / "ab.npz"])
        with np.load(self.folder / "ab.npz") as arrays:
            return arrays["nngp"], arrays["ntk"]


# neural-tangents -------------------------------------------------------------------------


def tangents_kernel(net, activation, precision):
    """(x, y) -> (nngp, ntk) of neural-tangents, jit-compiled."""
    import jax

    jax.config.update("jax_enable_x64", precision == "f64")
    from neural_tangents import stax

    layers = {
        "conv": lambda: stax.Conv(1, (3, 3), padding="SAME", W_std=2**0.5),
        "act": {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}[activation],
        "avg_pool": lambda: stax.AvgPool((2, 2), strides=(2, 2)),
        "global_avg_pool": stax.GlobalAvgPool,
        "flatten": stax.Flatten,
        "dense": lambda: stax.Dense(1, 2**0.5),
    }
    kernel_fn = stax.serial(*(layers[word]() for word in NETS[net].split()))[2]
    both = jax.jit(lambda x, y: kernel_fn(x, y, ("nngp", "ntk")))
    return lambda x, y: tuple(jax.block_until_ready(both(x, y)))


# one setting in a process of its own (threads and precision are fixed at import) ----------


def timed(run):
    start = perf_counter()
    run()
    return perf_counter() - start


def worker(setting):
    """Time the contenders for one setting; print one JSON line."""
    import numpy as np

    seconds, difference, side = {}, None, setting["tangents"]
    with tempfile.TemporaryDirectory() as folder:
        ours = Dualnet(setting, folder, setting["budget"])
        contenders = {"dualnet": ours.seconds}
        if side:
            x, y = (images(side, setting["size"], setting["precision"], seed) for seed in (3, 4))
            tangents = tangents_kernel(setting["net"], setting["activation"], setting["precision"])
            theirs = [np.asarray(k) for k in tangents(x, y)]  # also the warm-up
            difference = max(relative(a, b) for a, b in zip(ours.kernels(x, y), theirs))
            contenders["neural-tangents"] = lambda: timed(lambda: tangents(x, y))
        if setting["prototype"]:
            program = compiled(setting["prototype"], Path(folder))
            contenders["prototype"] = lambda: prototype_seconds(program)
        for _ in range(setting["repeats"]):
            for label, run in contenders.items():
                seconds.setdefault(label, []).append(run())
    medians = {label: median(values) for label, values in seconds.items()}
    if side:
        call = medians.pop("neural-tangents")
        medians["neural-tangents"] = call / side**2
        medians["neural-tangents, large batch"] = call / (side**2 + 2 * side)
    print(json.dumps(setting | {"images": ours.count, "seconds": medians, "difference": difference}))


def compiled(source, folder):
    program = folder / "prototype"
    subprocess.run(["cc", "-O3", "-march=native", source, "-lm", "-o", program], check=True)
    return program


def prototype_seconds(program):
    """The last figure in ms that it prints."""
    done = subprocess.run([program], capture_output=True, text=True, check=True, cwd=program.parent)
    words = done.stdout.split()
    return float(words[max(k for k, word in enumerate(words) if word.startswith("ms")) - 1]) / 1e3


def run(setting):
    """One setting in a child that has only as many CPUs and threads as it may use."""
    threads = setting["threads"]
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
        f" intra_op_parallelism_threads={threads}",
    }
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = str(threads)
    mask = sorted(os.sched_getaffinity(0))[:threads]
    child = subprocess.run(
        [sys.executable, __file__, "--worker", json.dumps(setting)],
        env=environment, capture_output=True, text=True, check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, mask),
    )
    if child.returncode != 0:
        raise SystemExit(child.stderr.strip()[-2000:])
    return json.loads(child.stdout.strip().splitlines()[-1])


# the tables ------------------------------------------------------------------------------


def against_tangents(options, base):
    """One line a setting; how many disagree."""
    heads = ["image", "net", "prec", "thr", "dualnet, ms", "NT as timed, ms", "x", "NT large batch, ms", "x"]
    heads += ["prototype, ms"] * bool(options.prototype) + ["agree"]
    print("\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    wrong = 0
    for size in options.sizes:
        for net in options.nets:
            for precision in options.precisions:
                for threads in options.threads:
                    likewise = (size, net, precision, threads) == (32, "gap", "f32", 1)
                    prototype = options.prototype if likewise else None
                    result = run(base | {
                        "size": [size, size], "net": net, "activation": "relu", "precision": precision,
                        "threads": threads, "prototype": prototype and str(prototype.resolve()),
                        "tangents": 0 if options.without_tangents else tangents_images(size, net),
                    })
                    wrong += not report(result, options)
    return wrong


def tangents_images(size, net):
    """Images a side for about a second of neural-tangents, which keeps equal positions alone where nothing pools."""
    if net == "plain":
        return 64
    return TANGENTS_IMAGES.get(size) or max(2, min(16, round(64 / size)))


def report(result, options):
    """Print one line; whether both agree."""
    seconds = result["seconds"]
    cells = [f"{result['size'][0]}x{result['size'][1]}", result["net"], result["precision"], result["threads"]]
    cells.append(f"{1e3 * seconds['dualnet']:.4g}")
    for label in ("neural-tangents", "neural-tangents, large batch"):
        value = seconds.get(label)
        cells += [f"{1e3 * value:.4g}", f"{value / seconds['dualnet']:.0f}"] if value else ["-", "-"]
    if options.prototype:
        cells.append(f"{1e3 * seconds['prototype']:.4g}" if "prototype" in seconds else "-")
    difference = result["difference"]
    agree = difference is None or difference <= TOLERANCE[result["precision"]]
    cells.append("-" if difference is None else "yes" if agree else f"NO: {difference:.1e}")
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    log(result, options)
    return agree


def against_itself(options, base):
    """Variants of 32x32 with ReLU in f32, on one thread, all in turn in each round."""
    plain = {"net": "gap", "activation": "relu", "precision": "f32", "size": [32, 32]}
    variants = [plain] + [plain | {"activation": a} for a in ("gelu", "erf")] + [plain | {"precision": "f64"}]
    variants += [plain | {"size": [width, width]} for width in options.widths]
    variants += [plain | {"net": "flatten"}] + [plain | {"net": "flatten", "activation": a} for a in ("gelu", "erf")]
    variants += [plain | {"net": "flatten", "precision": "f64"}]
    seconds = [[] for _ in variants]
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for k, variant in enumerate(variants):
            place = Path(folder) / str(k)
            place.mkdir()
            runs.append(Dualnet(base | variant | {"threads": 1}, place, options.budget))
        for _ in range(options.repeats):
            for times, one in zip(seconds, runs):
                times.append(one.seconds())
    print("\n| image | net | activation | prec | ms a pair | ns an entry | x ReLU f32 | x an entry |\n" + "|---" * 8 + "|")
    base_of = {}
    for variant, times in zip(variants, seconds):
        entry = 1e9 * median(times) / (variant["size"][0] * variant["size"][1]) ** 2
        first = base_of.setdefault(variant["net"], (median(times), entry))
        same = variant["size"] == [32, 32]
        cells = ["{}x{}".format(*variant["size"]), variant["net"], variant["activation"], variant["precision"]]
        cells += [f"{1e3 * median(times):.4g}", f"{entry:.3g}", f"{median(times) / first[0]:.2f}" if same else "-"]
        print("| " + " | ".join(cells + [f"{entry / first[1]:.2f}"]) + " |", flush=True)
        log(variant | {"threads": 1, "seconds": {"dualnet": median(times)}}, options)


def log(result, options):
    if options.json:
        with options.json.open("a") as file:
            file.write(json.dumps(result) + "\n")


def main():
    options = arguments()
    if options.worker:
        worker(json.loads(options.worker))
        return 0
    if not options.binary.exists():
        raise SystemExit(f"{options.binary} is not there; run cargo build --release, or name one with --binary")
    print(machine())
    print(f"NNGP and NTK, {CHANNELS} channels, medians of {options.repeats}; x = times dualnet's")
    base = {"repeats": options.repeats, "budget": options.budget, "binary": str(options.binary.resolve())}
    wrong = against_tangents(options, base)
    if not options.without_ratios:
        # One CPU, as the settings above have it.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
        against_itself(options, base)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
