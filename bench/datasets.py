"""The 57 tables of the study and their folds; shared by the scripts of this folder.

`load(name)` gives a Table (columns as strings or floats, target, task) of at most 3,000
rows; `folds(table)` gives (train, test) row numbers; `encode(table, train)` gives the
design matrix of the rivals. Everything is drawn from SEED, so that all methods and all
runs see the same rows. Needs `scripts/fetch-data` to have been run.
"""

import csv
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FETCHED = Path(__file__).resolve().parent.parent / "data" / "fetched"
SEED = 20_240
MAX_ROWS = 3_000
FOLDS = 5
LARGEST = 19  # this many tables, by rows, get one fold instead of five

# name -> (file below data/fetched/regression, separator, header?, first column used, target)
REGRESSION = {
    "airfoil": ("airfoil/airfoil_self_noise.dat.txt", "\t", False, 0, -1),
    "autoMPG6": ("autoMPG6/autoMPG6.dat", ",", False, 0, -1),
    "casp": ("casp/CASP.csv", ",", True, 0, 0),
    "compactiv": ("compactiv/compactiv.dat", ",", False, 0, -1),
    "concrete": ("concrete/Concrete_Data.xlsx", None, True, 0, -1),
    "laser": ("laser/laser.dat", ",", False, 0, -1),
    "mortgage": ("mortgage/mortgage.dat", ",", False, 0, -1),
    "puma32h": ("puma32h/puma32h.dat", ",", False, 0, -1),
    "qsar_fish": ("qsar-fish-toxicity/qsar_fish_toxicity.csv", ";", False, 0, -1),
    # the first column of real_estate is a running number
    "real_estate": ("real_estate_valuation/Real estate valuation data set.xlsx", None, True, 1, -1),
    "treasury": ("treasury/treasury.dat", ",", False, 0, -1),
    "winequality_white": ("winequality_white/winequality-white.csv", ";", True, 0, -1),
    "wizmir": ("wizmir/wizmir.dat", ",", False, 0, -1),
    "yacht": ("yacht_hydrodynamics/yacht_hydrodynamics.data.txt", " ", False, 0, -1),
}


@dataclass
class Table:
    """One data set: `columns` holds a float array (numeric) or a string array (levels)."""

    name: str
    task: str  # "classification" or "regression"
    columns: list
    target: np.ndarray  # strings or floats
    rows_in_full: int

    @property
    def rows(self):
        return len(self.target)


def _sheet(path):
    """Rows of the first sheet of an .xlsx file whose cells are numbers (text: '')."""
    with zipfile.ZipFile(path) as book:
        text = book.read("xl/worksheets/sheet1.xml").decode()
    rows = []
    for row in re.findall(r"<row .*?</row>", text, re.S):
        cells = re.findall(r"<c [^>]*?(?:/>|>.*?</c>)", row, re.S)
        values = [re.search(r"<v>(.*?)</v>", cell) for cell in cells]
        rows.append([value.group(1) if value else "" for value in values])
    width = max(len(row) for row in rows[1:])
    return [row for row in rows if len(row) == width and "" not in row]


def _fields(path, separator):
    if separator is None:
        return _sheet(path)
    lines = path.read_text().splitlines()
    lines = [line.strip() for line in lines if line.strip() and not line.startswith("@")]
    if separator == " ":
        return [line.split() for line in lines]
    return [[field.strip() for field in row] for row in csv.reader(lines, delimiter=separator)]


def _column(values):
    """Floats where every value is a number, else the strings."""
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return np.array(values)


def names(task=None):
    """All tables: regression by the list above, classification by what was fetched."""
    keel = sorted(path.stem for path in (FETCHED / "keel").glob("*.dat"))
    if not keel or not (FETCHED / "regression").exists():
        raise SystemExit("the tables are not here; run scripts/fetch-data first")
    chosen = {"classification": keel, "regression": list(REGRESSION)}
    return chosen[task] if task else keel + list(REGRESSION)


def load(name):
    """Read one table and keep at most MAX_ROWS rows, drawn with the table's own seed."""
    if name in REGRESSION:
        file, separator, header, first, target = REGRESSION[name]
        rows = _fields(FETCHED / "regression" / file, separator)[1 if header else 0 :]
        rows, task = [row[first:] for row in rows], "regression"
    else:
        rows, task, target = _fields(FETCHED / "keel" / f"{name}.dat", ","), "classification", -1
    width = len(rows[0])
    bad = [number for number, row in enumerate(rows, 1) if len(row) != width]
    if bad:
        raise ValueError(f"{name}: row {bad[0]} has {len(rows[bad[0] - 1])} fields, expected {width}")
    full = len(rows)
    if full > MAX_ROWS:
        kept = np.sort(_generator(name).permutation(full)[:MAX_ROWS])
        rows = [rows[i] for i in kept]
    columns = list(map(list, zip(*rows)))
    labels = columns.pop(target)
    target = np.array(labels) if task == "classification" else np.array(labels, dtype=float)
    return Table(name, task, [_column(column) for column in columns], target, full)


def _generator(name, stream=0):
    return np.random.default_rng([SEED, stream, zlib.crc32(name.encode())])


def largest():
    """The tables that get one fold: the LARGEST by rows in full, ties by name."""
    sizes = {name: load(name).rows_in_full for name in names()}
    return set(sorted(sizes, key=lambda name: (-sizes[name], name))[:LARGEST])


def folds(table):
    """All (train, test) pairs of the table; stratified for classes."""
    generator = _generator(table.name, 1)
    part = np.empty(table.rows, dtype=int)
    groups = (
        [np.flatnonzero(table.target == label) for label in np.unique(table.target)]
        if table.task == "classification"
        else [np.arange(table.rows)]
    )
    start = 0
    for group in groups:
        order = generator.permutation(group)
        part[order] = (start + np.arange(len(order))) % FOLDS
        start += len(order)
    return [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(FOLDS)]


def encode(table, train):
    """Design matrix of all rows: numeric columns standardised on `train`, others one-hot."""
    parts = []
    for column in table.columns:
        if column.dtype.kind == "f":
            scale = column[train].std()
            if scale > 0:
                parts.append(((column - column[train].mean()) / scale)[:, None])
        else:
            levels = np.unique(column[train])
            parts.append((column[:, None] == levels[None, :]).astype(float))
    return np.concatenate(parts, axis=1)


def write_csv(table, rows, path):
    """The rows as a CSV file with header; class labels get a prefix that no number has."""
    prefix = "class_" if table.task == "classification" else ""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"x{i}" for i in range(len(table.columns))] + ["target"])
        for i in rows:
            fields = [
                repr(float(column[i])) if column.dtype.kind == "f" else f"level_{column[i]}"
                for column in table.columns
            ]
            target = table.target[i] if prefix else repr(float(table.target[i]))
            writer.writerow([*fields, f"{prefix}{target}"])
