"""The rivals of the study: `fit_predict(name, task, x, y, x_new, threads)` for each.

All see the same standardised, one-hot encoded matrix. Labels are strings or floats.
Settings that are tuned are tuned on the training rows alone.
"""

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC, SVR

SEED = 0
LAMBDAS = np.logspace(-8, 2, 21)
RIDGE_GAMMAS = 2.0 ** np.arange(-6, 4)


def _by_task(classifier, regressor):
    def build(task, threads, x):
        return classifier(threads, x) if task == "classification" else regressor(threads, x)

    return build


def _svm_grid(model, x, **extra):
    scale = 1.0 / (x.shape[1] * max(x.var(), 1e-12))
    grid = {"C": [1.0, 10.0, 100.0], "gamma": [scale / 4, scale, scale * 4], **extra}
    return GridSearchCV(model, grid, cv=3)


BUILD = {
    "random forest": _by_task(
        lambda threads, x: RandomForestClassifier(500, n_jobs=threads, random_state=SEED),
        lambda threads, x: RandomForestRegressor(500, n_jobs=threads, random_state=SEED),
    ),
    "LightGBM": _by_task(
        lambda threads, x: LGBMClassifier(n_jobs=threads, random_state=SEED, verbose=-1),
        lambda threads, x: LGBMRegressor(n_jobs=threads, random_state=SEED, verbose=-1),
    ),
    "hist. boosting": _by_task(
        lambda threads, x: HistGradientBoostingClassifier(random_state=SEED),
        lambda threads, x: HistGradientBoostingRegressor(random_state=SEED),
    ),
    "RBF SVM": _by_task(
        lambda threads, x: _svm_grid(SVC(), x),
        lambda threads, x: _svm_grid(SVR(), x, epsilon=[0.02, 0.1]),
    ),
    "linear": _by_task(
        lambda threads, x: LogisticRegressionCV(Cs=np.logspace(-3, 2, 6), cv=3, max_iter=300),
        lambda threads, x: RidgeCV(alphas=np.logspace(-4, 4, 17)),
    ),
}
NAMES = [*BUILD, "RBF ridge"]


def _rbf_ridge(x, y, x_new):
    """RBF kernel ridge; width and lambda by exact leave-one-out squared error."""
    centre = y.mean(axis=0)
    squares = ((x**2).sum(1)[:, None] + (x**2).sum(1)[None, :] - 2 * x @ x.T).clip(0)
    new = ((x_new**2).sum(1)[:, None] + (x**2).sum(1)[None, :] - 2 * x_new @ x.T).clip(0)
    scale = 1.0 / (x.shape[1] * max(x.var(), 1e-12))
    best = (np.inf, None, None)
    for gamma in RIDGE_GAMMAS * scale:
        values, vectors = np.linalg.eigh(np.exp(-gamma * squares))
        rotated, energy = vectors.T @ (y - centre), vectors**2
        for ridge in LAMBDAS:
            inverse = 1.0 / (values.clip(0) + ridge)
            dual = vectors @ (rotated * inverse[:, None])
            loss = np.mean((dual / (energy @ inverse)[:, None]) ** 2)
            if loss < best[0]:
                best = (loss, gamma, dual)
    return np.exp(-best[1] * new) @ best[2] + centre


def fit_predict(name, task, x, y, x_new, threads):
    """Predictions of rival `name` for the rows of `x_new`."""
    if name == "RBF ridge":
        if task == "regression":
            return _rbf_ridge(x, y[:, None], x_new)[:, 0]
        labels, index = np.unique(y, return_inverse=True)
        return labels[_rbf_ridge(x, np.eye(len(labels))[index], x_new).argmax(1)]
    if task == "regression":
        # SVR's C and epsilon are in units of the target
        centre, scale = y.mean(), y.std() or 1.0
        model = BUILD[name](task, threads, x).fit(x, (y - centre) / scale)
        return model.predict(x_new) * scale + centre
    return BUILD[name](task, threads, x).fit(x, y).predict(x_new)
