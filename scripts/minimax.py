#!/usr/bin/env python3
"""Minimax polynomials of the vector functions: writes crates/dualnet/src/simd/coefficients.rs.

Each table is the polynomial P of least weighted error |w(x) (P(x) - f(x))| on [a, b], found by the Remez
exchange in 60 digits and rounded to the precision that evaluates it. The weight turns an error of P into a
relative error of the function it serves, so the printed errors are relative errors before rounding.

Needs mpmath. Usage: python3 scripts/minimax.py | rustfmt > crates/dualnet/src/simd/coefficients.rs
"""
import struct
import sys

from mpmath import asin, atan, cos, erf, erfc, expm1, floor, frexp, ln, log, lu_solve, matrix, mp, mpf, nint, pi
from mpmath import polyval, sin, sqrt, tanh

mp.dps = 60
GRID = 1200


def remez(f, w, a, b, degree, rounds=30):
    """Coefficients (constant first) and the levelled error."""
    a, b = mpf(a), mpf(b)
    n = degree + 2
    grid = [(a + b) / 2 - (b - a) / 2 * cos(pi * i / GRID) for i in range(GRID + 1)]
    grid = [x for x in grid if w(x) > mpf(10) ** -30]
    values = [(x, f(x), w(x)) for x in grid]
    x = [grid[round((i + 0.45) * len(grid) / n)] for i in range(n)]
    for _ in range(rounds):
        system, right = matrix(n, n), matrix(n, 1)
        for i, xi in enumerate(x):
            for k in range(n - 1):
                system[i, k] = xi**k
            system[i, n - 1] = (-1) ** i / w(xi)
            right[i] = f(xi)
        solution = lu_solve(system, right)
        c, level = [solution[k] for k in range(n - 1)], abs(solution[n - 1])
        error = [wi * (polyval(c[::-1], xi) - fi) for xi, fi, wi in values]
        # One extremum for each run of equal sign.
        peaks, i = [], 0
        while i < len(grid):
            j = i
            while j + 1 < len(grid) and (error[j + 1] > 0) == (error[i] > 0):
                j += 1
            peaks.append(max(range(i, j + 1), key=lambda k: abs(error[k])))
            i = j + 1
        while len(peaks) > n:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        worst = max(abs(e) for e in error)
        if len(peaks) < n or worst < level * mpf("1.0001"):
            break
        x = [grid[p] for p in peaks]
    return c, worst


def single(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


class Tables:
    """The constants of both precisions, in the order they were added."""

    def __init__(self):
        self.docs, self.double, self.single = [], [], []

    def add(self, name, doc, double, single_values, slices=True):
        kind = "&'static [f64]" if slices else "f64"
        self.docs.append(f"    /// {doc}.\n    const {name}: {kind};")
        for out, values in ((self.double, double), (self.single, single_values)):
            body = "&[" + "".join(f"\n        {v!r}," for v in values) + "\n    ]" if slices else repr(values)
            out.append(f"    const {name}: {kind} = {body};")

    def fit(self, name, doc, f, w, a, b, degree64, degree32, b32=None, lift32=lambda x: 0):
        columns = []
        for bits, degree, end in ((64, degree64, b), (32, degree32, b32 or b)):
            target = f if bits == 64 else lambda x: f(x) + lift32(x)
            c, worst = remez(target, w, a, end, degree)
            print(f"{name}, {bits} bit: degree {degree}, error 2^{float(log(worst, 2)):.2f}", file=sys.stderr)
            columns.append([float(v) if bits == 64 else single(v) for v in c])
        self.add(name, doc, *columns)

    def split(self, name, doc, value, widths64, widths32):
        """`value` as a sum of pieces of the given widths in bits."""
        columns = []
        for widths in (widths64, widths32):
            rest, pieces = value, []
            for width in widths:
                m, e = frexp(rest)
                pieces.append(float((nint if width in (24, 53) else floor)(m * 2**width) * mpf(2) ** (e - width)))
                rest -= pieces[-1]
            columns.append(pieces)
        self.add(name, doc, *columns)

    def write(self):
        print("//! Minimax polynomials, constant term first, and split constants: the output of `scripts/minimax.py`.\n")
        print("/// What the vector functions need to know in one precision.")
        print("pub trait Tables {")
        print("\n".join(self.docs))
        for t, column in (("f64", self.double), ("f32", self.single)):
            print("}\n\n" + f"impl Tables for {t} {{")
            print("\n".join(column))
        print("}")


def at(limit, f):
    """f with its limit at 0, where the formula would divide by 0."""
    return lambda x: mpf(limit) if abs(x) < mpf(10) ** -18 else f(x)


def main():
    t = Tables()
    t.split("LN_2", "ln 2 in two pieces; multiples of the first by an exponent are exact", ln(2), (42, 53), (15, 24))
    t.split("FRAC_PI_2", "pi / 2 in three pieces; multiples of the first two below 2^20 are exact (single: with fma)",
            pi / 2, (33, 33, 53), (24, 24, 24))
    pi64, pi32 = mpf(float(pi)), mpf(single(pi))
    t.add("PI_TAIL", "What rounding takes from pi, divided by pi", float((pi - pi64) / pi64),
          single((pi - pi32) / pi32), slices=False)
    half = ln(2) / 2 * mpf("1.001")
    t.fit("EXP", "`(e^r - 1 - r) / r^2` for |r| <= ln 2 / 2", at(0.5, lambda r: (expm1(r) - r) / r**2),
          at(0, lambda r: abs(r**2 / expm1(r))), -half, half, 9, 4)
    s = (sqrt(2) - 1) / (sqrt(2) + 1) * mpf("1.001")
    t.fit("LN", "`(ln((1 + s) / (1 - s)) - 2 s) / s^3` in `s^2`, for sqrt(1/2) <= (1 + s) / (1 - s) <= sqrt(2)",
          at(mpf(2) / 3, lambda z: (log((1 + sqrt(z)) / (1 - sqrt(z))) - 2 * sqrt(z)) / sqrt(z) ** 3),
          lambda z: z, 0, s**2, 6, 2)
    quarter = (pi / 4 * mpf("1.005")) ** 2
    t.fit("SIN", "`(sin r - r) / r^3` in `r^2`, for |r| <= pi / 4",
          at(-mpf(1) / 6, lambda z: (sin(sqrt(z)) - sqrt(z)) / sqrt(z) ** 3), lambda z: z, 0, quarter, 5, 2)
    t.fit("COS", "`(cos r - 1 + r^2 / 2) / r^4` in `r^2`, for |r| <= pi / 4",
          at(mpf(1) / 24, lambda z: (cos(sqrt(z)) - 1 + z / 2) / z**2), lambda z: z**2, 0, quarter, 5, 2)
    t.fit("TANH", "`(tanh x - x) / x^3` in `x^2`, for |x| <= 0.55",
          at(-mpf(1) / 3, lambda z: (tanh(sqrt(z)) - sqrt(z)) / sqrt(z) ** 3), lambda z: z, 0, mpf("0.303"), 9, 4)
    t.fit("ATAN", "`(atan a - a) / a^3` in `a^2`, for |a| <= 1",
          at(-mpf(1) / 3, lambda z: (atan(sqrt(z)) - sqrt(z)) / sqrt(z) ** 3), lambda z: z, 0, 1, 18, 7)
    # The last term lets no rounding of sqrt(2) push single precision below the right angle at d = 1, where it is cut.
    t.fit("ACOS", "`(acos(1 - d) / sqrt(2 d) - 1) / d` for 0 <= d <= 1",
          at(mpf(1) / 12, lambda d: (2 * asin(sqrt(d / 2)) / sqrt(2 * d) - 1) / d), lambda d: d, 0, 1, 17, 6,
          lift32=lambda d: d**24 * mpf(2) ** -24.4)
    t.fit("HALF_SIN", "`(sqrt(1 - d / 2) - 1) / d` for 0 <= d <= 1",
          at(-mpf(1) / 4, lambda d: (sqrt(1 - d / 2) - 1) / d), lambda d: d / sqrt(1 - d / 2), 0, 1, 17, 6)
    t.fit("ERF", "`erf(x) / x - 1` in `x^2`, for |x| <= 0.84",
          at(2 / sqrt(pi) - 1, lambda z: erf(sqrt(z)) / sqrt(z) - 1), lambda z: 1, 0, mpf("0.706"), 10, 5)
    t.fit("ERFC", "`-ln(erfc x) / x` for 0.84 <= x <= 5.95 (3.95 in single precision)",
          lambda x: -log(erfc(x)) / x, lambda x: erfc(x) * x, mpf("0.839"), mpf("5.95"), 17, 5, mpf("3.95"))
    t.write()


main()
