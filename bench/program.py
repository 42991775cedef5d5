"""Calls of the program from the studies, and what they share: runs with their seconds and peak memory, images, ridge on features."""

import gzip
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BINARY = ROOT / "target" / "release" / "dualnet"
DATA = ROOT / "data"


def threads(count):
    """Threads of numpy, to be called before it is imported."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(count)


def machine(count, *packages):
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    wide = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    names = "".join(f", {p.__name__} {p.__version__}" for p in packages)
    print(f"{count} threads of {os.cpu_count()}, {platform.machine()} with {wide}, load {os.getloadavg()[0]:.1f}{names}")


def measured(command):
    """(what it prints as JSON, seconds, seconds of the processor, GiB at most) of a command, in a process of its own."""
    with tempfile.TemporaryFile("w+") as out:
        start = perf_counter()
        child = subprocess.Popen([str(word) for word in command], stdout=out)
        _, status, used = os.wait4(child.pid, 0)
        seconds = perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"failed: {' '.join(map(str, command))}")
        out.seek(0)
        return json.load(out), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20


def dualnet(*words, count=2, binary=BINARY):
    """The report of a run of the program."""
    return measured([binary, *words, "--json", "--quiet", "--threads", count])[0]


def mnist(name, part="train"):
    """(images (n, 784) in 0 to 1, labels) of a data set in data/fetched."""
    import numpy as np

    def array(file):
        path = DATA / "fetched" / name / file
        data = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{file}.gz").read_bytes())
        shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape[0], -1)

    prefix = {"train": "train", "test": "t10k"}[part]
    images, labels = array(f"{prefix}-images-idx3-ubyte"), array(f"{prefix}-labels-idx1-ubyte")
    return images.astype(np.float32) / 255, labels.ravel().astype(np.int64)


def maps(net, dim, method, x, new, folder, kind="ntk", seed=0, count=2):
    """Features of `x`, from which data-dependent maps choose their landmarks, and of `new`; seconds to make those of `x`; the kernel error."""
    import numpy as np

    np.save(folder / "x.npy", x)
    np.save(folder / "new.npy", new)
    map_folder = folder / "map"
    if map_folder.exists():
        for file in map_folder.iterdir():
            file.unlink()
        map_folder.rmdir()
    options = ["--get", kind, "--dim", dim, "--seed", seed, "--method", method, "--map", map_folder]
    report = dualnet("features", net, "--x", folder / "x.npy", *options, "-o", folder / "f.npz", count=count)
    dualnet("features", "--x", folder / "new.npy", "--map", map_folder, "-o", folder / "g.npz", count=count)
    read = lambda file: np.load(folder / file)[kind].astype(np.float64)
    return read("f.npz"), read("g.npz"), report


def kernel(net, x, new, folder, kind="ntk", precision="f64"):
    """K(x, x) and K(new, x)."""
    import numpy as np

    np.save(folder / "both.npy", np.concatenate([x, new]))
    command = ["kernel", net, "--x", folder / "both.npy", "--get", kind, "--precision", precision]
    dualnet(*command, "-o", folder / "k.npz")
    k = np.load(folder / "k.npz")[kind]
    n = len(x)
    return k[:n, :n].astype(np.float64), k[n:, :n].astype(np.float64)
