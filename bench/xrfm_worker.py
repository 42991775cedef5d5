"""Fits xRFM with its defaults; runs in an environment of its own (bench/metric.py starts it).

    python xrfm_worker.py TASK IN.npz OUT.npy THREADS

IN.npz holds x, y and x_new (standardised, one-hot; y as numbers of classes or standardised values). A fifth of the rows are the validation
rows that xRFM asks for; OUT.npy gets the predictions.
"""

import contextlib
import os
import sys

import numpy as np


def main():
    task, source, target, threads = sys.argv[1:]
    import torch
    from xrfm import xRFM

    torch.set_num_threads(int(threads))
    data = np.load(source)
    x, y, x_new = data["x"].astype(np.float32), data["y"], data["x_new"].astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    held, kept = order[: len(x) // 5], order[len(x) // 5 :]
    metric = "mse" if task == "regression" else "brier"
    y = y.astype(np.float32)[:, None] if task == "regression" else y.astype(np.int64)
    with open(os.devnull, "w") as silence, contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
        model = xRFM(device=torch.device("cpu"), tuning_metric=metric, random_state=0)
        parts = [torch.as_tensor(part) for part in (x[kept], y[kept], x[held], y[held])]
        model.fit(*parts)
        guess = np.asarray(model.predict(torch.as_tensor(x_new)))
    np.save(target, guess.reshape(len(x_new), -1)[:, 0])


if __name__ == "__main__":
    main()
