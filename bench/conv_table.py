"""The table "how many images in an hour" of docs/conv.md, from the seconds of a pair on this machine.

Runs the example conv_speed, which times single pairs on one thread, for Myrtle-5 with global pooling
and with flatten, for images of 8x8 to 32x32, and prints the table. The kernel matrix of n images has
n (n + 1) / 2 pairs; --cores divides the time (pairs are independent).

    cargo build --release --example conv_speed
    bench/.venv/bin/python bench/conv_table.py --write                # measures, and writes docs/conv.md
    bench/.venv/bin/python bench/conv_table.py --seconds FILE --write # from seconds measured before

Seconds are kept in bench/figures/conv_speed.json. Needs no more than Python.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
PROGRAM = HERE.parent / "target" / "release" / "examples" / "conv_speed"
FIGURES = HERE / "figures" / "conv_speed.json"
PAGE = HERE.parent / "docs" / "conv.md"
BEGIN, END = "<!-- table: bench/conv_table.py --write -->", "<!-- end of table -->"
SIZES = [8, 16, 28, 32]
FLATTEN = "conv relu conv relu avg_pool conv relu avg_pool conv relu flatten dense"
NETS = {"gap": "Myrtle-5, global pooling", "flatten": "Myrtle-5, flatten"}


def measure(options):
    """{net: {size: seconds of a pair}}: the median of --repeats runs, of each the median of its pairs."""
    with tempfile.TemporaryDirectory() as folder:
        flatten = Path(folder) / "flatten.json"
        flatten.write_text(json.dumps({"layers": FLATTEN.split()}))
        nets = {"gap": "myrtle-5", "flatten": flatten}
        return {name: {str(size): seconds(options, net, size) for size in SIZES} for name, net in nets.items()}


def seconds(options, net, size):
    line = [str(part) for part in (options.program, net, size, size, options.channels, options.precision)]
    found = []
    for _ in range(options.repeats):
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        match = re.search(r"median ([0-9.]+) ms", done.stdout)
        if done.returncode or not match:
            raise SystemExit(f"{' '.join(line)}: {done.stderr.strip() or done.stdout.strip()}")
        found.append(float(match[1]) / 1e3)
    return median(found)


def images(seconds_a_pair, cores):
    """Most images whose kernel matrix takes an hour, in two digits."""
    n = (2 * 3600 * cores / seconds_a_pair) ** 0.5
    unit = 10 ** (len(str(int(n))) - 2)
    return f"{int(n / unit) * unit:,}"


def figure(value):
    """Two digits, as on the other pages: .038, 2.2."""
    return f"{value:.2g}".removeprefix("0")


def table(found, options):
    sizes = [str(size) for size in SIZES]
    lines = ["| | " + " | ".join(f"{s} x {s}" for s in sizes) + " |", "|---|" + "---:|" * len(sizes)]
    for name, title in NETS.items():
        lines.append(f"| {title}: ms a pair | " + " | ".join(f"{figure(1e3 * found[name][s])}" for s in sizes) + " |")
        for cores in options.cores:
            place = "one core" if cores == 1 else f"{cores} cores"
            lines.append(f"| images in an hour, {place} | " + " | ".join(images(found[name][s], cores) for s in sizes) + " |")
    return "\n".join(lines)


def write(text):
    """Puts the table in its place on the page."""
    page = PAGE.read_text()
    if BEGIN not in page or END not in page:
        raise SystemExit(f"{PAGE} has no place for the table, between {BEGIN} and {END}")
    head, rest = page.split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    print(f"written to {PAGE}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the example conv_speed")
    parser.add_argument("--seconds", type=Path, help="measured before, in place of running anything")
    parser.add_argument("--precision", default="f32", choices=["f32", "f64"])
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into docs/conv.md")
    options = parser.parse_args()
    if options.seconds:
        found = json.loads(options.seconds.read_text())
    else:
        if not options.program.exists():
            raise SystemExit(f"{options.program} is not there; run cargo build --release --example conv_speed")
        found = measure(options)
        if options.write:
            FIGURES.write_text(json.dumps(found, indent=1) + "\n")
    text = table(found, options)
    print(text)
    if options.write:
        write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
