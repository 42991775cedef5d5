"""The study of feature learning: `dualnet fit` with the metric it learns and gates, against none and against rivals.

Measures accuracy and Brier score (34 classification tables) and R2 (14 regression tables) on held-out folds, all methods on the same folds;
and, with --noise 10, the same after ten columns of pure noise were added to each table. Every result is appended to the results file as it
comes, so a run that was stopped goes on where it was.

    scripts/fetch-data && cargo build --release
    python3.11 -m venv bench/.venv-xrfm && bench/.venv-xrfm/bin/pip install xrfm==0.4.3
    bench/.venv/bin/python bench/metric.py run [--task regression] [--methods gated plain] [--tables ...]
    bench/.venv/bin/python bench/metric.py report [--per-table]

The report takes the tables and folds that all methods named in it have finished, and says how many these are.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import tables

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "figures" / "metric.jsonl"
XRFM = HERE / ".venv-xrfm" / "bin" / "python"
OURS = {"gated": "auto", "plain": "none", "full": "full", "diagonal": "diagonal"}
RIVALS = ["random forest", "LightGBM", "RBF SVM"]
DEFAULT = ["gated", "plain", "xRFM", *RIVALS]
# the study leaves these of the 43 classification tables out
LEFT_OUT = {"australian", "banana", "chess", "marketing", "mushroom", "optdigits", "penbased", "texture", "twonorm"}
NOISE_SEED = 77


def ours(metric, table, train, test, options):
    """One fit by the command line: (score, what else it told)."""
    import datasets

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "train.csv", Path(folder) / "test.csv"]
        for rows, file in zip((train, test), files):
            datasets.write_csv(table, rows, file)
        line = [options.binary, "fit", files[0], "--target", "target", "--test", files[1], "--task", table.task]
        line += ["--metric", metric, "--json", "--quiet", "--threads", options.threads]
        done = subprocess.run([str(part) for part in line], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{table.name}: dualnet failed: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    score = answer["test"]["accuracy" if table.task == "classification" else "r2"]
    found = answer.get("metric") or {}
    extra = {"kind": found.get("kind"), "steps": found.get("steps", 0), "rows": answer["n_train"]}
    told = answer.get("loo") or {}
    extra |= {"brier": answer["test"].get("brier"), "wall_seconds": answer["seconds"], "coverage": answer["test"].get("coverage_90")}
    return score, extra | {"loo": told.get("accuracy" if table.task == "classification" else "r2"), "loo_brier": told.get("brier")}


def xrfm(table, train, test, options):
    """One fit of xRFM in its own environment."""
    import datasets
    import numpy as np

    x = datasets.encode(table, train)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npy"
        if table.task == "classification":
            labels, y = np.unique(table.target[train], return_inverse=True)
        else:
            centre, scale = table.target[train].mean(), table.target[train].std() or 1.0
            y = (table.target[train] - centre) / scale
        np.savez(source, x=x[train], y=y, x_new=x[test])
        line = [options.xrfm, HERE / "xrfm_worker.py", table.task, source, target, options.threads]
        done = subprocess.run([str(part) for part in line], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{table.name}: xRFM failed: {done.stderr.strip()[-500:]}")
        guess = np.load(target)
    truth = table.target[test]
    if table.task == "classification":
        return float((labels[guess.astype(int)] == truth).mean()), {}
    guess = guess * scale + centre
    return float(1 - ((guess - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()), {}


def with_noise(table, columns):
    """The table with `columns` columns of normal noise behind the others."""
    import numpy as np

    draws = np.random.default_rng(NOISE_SEED)
    table.columns.extend(draws.standard_normal(table.rows) for _ in range(columns))
    return table


def run(options):
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)
    import datasets

    warnings.filterwarnings("ignore")
    options.results.parent.mkdir(parents=True, exist_ok=True)
    known = tables.read_results(options.results) if options.results.exists() else {}
    large = datasets.largest()
    names = options.tables or [n for n in datasets.names(options.task) if n not in LEFT_OUT]
    chosen = [datasets.load(name) for name in names]
    suffix = f" + {options.noise} noise" if options.noise else ""
    for table in sorted(chosen, key=lambda table: table.rows):
        pairs = datasets.folds(table)[: 1 if table.name in large else options.folds]
        if options.noise:
            table = with_noise(table, options.noise)
        for fold, (train, test) in enumerate(pairs):
            for method in options.methods:
                name = method + suffix
                if (table.name, fold, name) in known:
                    continue
                start = tables.cpu_seconds()
                if method in OURS:
                    score, extra = ours(OURS[method], table, train, test, options)
                elif method == "xRFM":
                    score, extra = xrfm(table, train, test, options)
                else:
                    score, extra = tables.rival(method, table, train, test, options.threads)
                seconds = tables.cpu_seconds() - start
                record = {"table": table.name, "task": table.task, "fold": fold, "method": name, "score": score}
                record |= {"cpu_seconds": round(seconds, 3), "n": table.rows} | extra
                with options.results.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(f"{table.name} {fold} {name}: {score:.4f} {seconds:.1f}s", file=sys.stderr)


def report(options):
    import numpy as np

    results = tables.read_results(options.results)
    wanted = options.methods or DEFAULT
    wanted = [m for m in wanted if any(key[2] == m for key in results)]
    for task in ("classification", "regression"):
        cells = {}
        for record in results.values():
            if record["task"] == task and record["method"] in wanted:
                cells.setdefault(record["table"], {}).setdefault(record["method"], {})[record["fold"]] = record
        rows = {}
        for table, by in sorted(cells.items()):
            if all(m in by for m in wanted):
                folds = sorted(set.intersection(*(set(by[m]) for m in wanted)))
                if folds:
                    rows[table] = {m: [by[m][fold] for fold in folds] for m in wanted}
        if not rows:
            continue
        scores = {t: {m: float(np.mean([r["score"] for r in found])) for m, found in by.items()} for t, by in rows.items()}
        place = tables.ranks(scores, wanted)
        folds = sum(len(found) for by in rows.values() for found in list(by.values())[:1])
        print(f"\n## {task}: {len(rows)} tables, {folds} folds\n")
        head = "| method | mean accuracy | mean Brier |" if task == "classification" else "| method | mean R2 | without puma32h |"
        print(head + " mean rank | median CPU s | mean by leave-one-out | 90 % intervals held |\n|---|---:|---:|---:|---:|---:|---:|")
        for m in wanted:
            mean = np.mean([by[m] for by in scores.values()])
            if task == "classification":
                briers = [[r.get("brier") for r in by[m]] for by in rows.values()]
                second = np.mean([np.mean(b) for b in briers]) if all(b is not None for part in briers for b in part) else None
            else:
                second = np.mean([by[m] for t, by in scores.items() if t != "puma32h"])
            cost = np.median([r["cpu_seconds"] for by in rows.values() for r in by[m]])
            told = [
                [np.mean([r[what] for r in by[m]]) for by in rows.values() if all(r.get(what) is not None for r in by[m])]
                for what in ("loo", "coverage")
            ]
            loo, held = ("-" if len(found) < len(rows) else f"{np.mean(found):.4f}" for found in told)
            second = "-" if second is None else f"{second:.4f}"
            print(f"| {m} | {mean:.4f} | {second} | {place[m]:.2f} | {cost:.2f} | {loo} | {held} |")
        if options.per_table:
            print("\n| table | rows | metric | " + " | ".join(wanted) + " |\n|---|---:|---|" + "---:|" * len(wanted))
            for t, by in scores.items():
                gated = rows[t].get("gated", [])
                taken = ", ".join(sorted({f"{r['kind']} {r['steps']}" for r in gated if r.get("kind")})) or "none"
                n = rows[t][wanted[0]][0]["n"]
                print(f"| {t} | {n} | {taken} | " + " | ".join(f"{by[m]:.4f}" for m in wanted) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    go = verbs.add_parser("run", help="compute what is missing")
    go.add_argument("--methods", nargs="+", default=DEFAULT, choices=[*OURS, "xRFM", *RIVALS])
    go.add_argument("--task", choices=["classification", "regression"])
    go.add_argument("--tables", nargs="+")
    go.add_argument("--folds", type=int, default=5, help="folds of the tables that have five")
    go.add_argument("--noise", type=int, default=0, help="columns of noise to add")
    go.add_argument("--threads", type=int, default=2)
    go.add_argument("--binary", type=Path, default=tables.BINARY)
    go.add_argument("--xrfm", type=Path, default=XRFM, help="the Python that has xRFM")
    show = verbs.add_parser("report", help="print the tables as Markdown")
    show.add_argument("--methods", nargs="+")
    show.add_argument("--per-table", action="store_true")
    for verb in (go, show):
        verb.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    (run if options.verb == "run" else report)(options)


if __name__ == "__main__":
    main()
