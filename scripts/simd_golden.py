#!/usr/bin/env python3
"""Reference values of the vector functions: writes crates/dualnet/tests/golden/simd.csv.

A line is `function,precision,x,y,value,rest`: the bits of the arguments (y is 0 but for atan2, where the angle is
that of the point (x, y)) and of the correctly rounded value in hexadecimal, and what rounding took away, in units in
the last place of the value.

Needs mpmath. Usage: python3 scripts/simd_golden.py > crates/dualnet/tests/golden/simd.csv
"""
import math
import random
import struct

import mpmath
from mpmath import mp, mpf

mp.dps = 60
FORMATS = {"f32": ("f", "I", 24, -126), "f64": ("d", "Q", 53, -1022)}


def cast(x, precision):
    return struct.unpack(FORMATS[precision][0], struct.pack(FORMATS[precision][0], x))[0]


def bits(x, precision):
    real, integer, _, _ = FORMATS[precision]
    return format(struct.unpack(integer, struct.pack(real, x))[0], "x")


def ulp(x, precision):
    _, _, width, least = FORMATS[precision]
    exponent = least if x == 0 else max(mpmath.frexp(x)[1] - 1, least)
    return mpf(2) ** (exponent - width + 1)


def rounded(x, precision):
    """The nearest number of the format, and the remainder in units in its last place."""
    unit = ulp(x, precision)
    whole = mpmath.nint(x / unit)
    value = whole * unit
    limit = mpf(2) ** (1024 if precision == "f64" else 128)
    if abs(value) >= limit:
        return (math.inf if value > 0 else -math.inf), mpf(0)
    return float(value), (x - value) / ulp(value, precision)


def around(centre, precision, count=3):
    """Neighbours of a number, both sides."""
    step = 2.0 ** -(FORMATS[precision][2] - 1)
    return [centre * (1 + k * step) for k in range(-count, count + 1)]


def spread(low, high, count):
    return [random.uniform(low, high) for _ in range(count)]


def decades(low, high, count):
    return [10 ** random.uniform(low, high) for _ in range(count)]


def both(values):
    return values + [-v for v in values]


def points(name, p):
    single = p == "f32"
    tiny = -38 if single else -300
    if name == "exp":
        edges = sum((around((k + 0.5) * math.log(2), p) for k in (-100, -2, -1, 0, 1, 5, 99)), [])
        ends = [88.72, 88.8, -87.3, -87.0, -120.0] if single else [709.78, 709.79, 709.2, -708.3, -708.0, -760.0]
        return [0.0, -0.0, 1.0, -1.0] + edges + ends + both(decades(tiny, 0, 15)) + spread(-2, 2, 60) + spread(
            *((-87, 88.7) if single else (-708, 709.7)), 60)
    if name == "exp_m1":
        edges = sum((around((k + 0.5) * math.log(2), p) for k in (-20, -2, -1, 0, 1, 5)), [])
        ends = [88.72, 88.8, -120.0] if single else [709.78, 709.79, -760.0]
        return [0.0, 1.0, -1.0] + edges + ends + both(decades(tiny, 0, 30)) + spread(-2, 2, 80) + spread(-40, 80, 30)
    if name == "ln":
        edges = sum((around(2.0**k * r, p) for k in (-3, 0, 4) for r in (1.0, math.sqrt(0.5), math.sqrt(2))), [])
        low, high = (1e-44, 3e38) if single else (5e-324, 1.7e308)
        return [0.0, low, 3 * low, high] + edges + decades(tiny, -tiny, 60) + spread(0.5, 2, 90)
    if name in ("sin", "cos"):
        edges = sum((around(k * math.pi / 4, p, 2) for k in (1, 2, 3, 4, 5, 8, 17, 1000, 12345, 100000)), [])
        far = [1e5, 1.0001e5, 1e6, 1.0001e6, 1e10, 3e22, 1e38]
        return [0.0] + both(edges + decades(tiny, 0, 15) + spread(0, 10, 50)) + spread(-1e4, 1e4, 40) + far + (
            spread(-9.9e4, 9.9e4, 60) if single else spread(-1e6, 1e6, 60))
    if name == "tanh":
        return [0.0, 9.0, 20.0, 400.0, 1e30] + both(around(0.55, p) + decades(tiny, 0, 25) + spread(0, 3, 60)) + spread(
            -20, 20, 40)
    if name == "erf":
        return [0.0, 3.9, 4.0, 5.9, 6.0, -6.0, 27.0, 1e30] + both(
            around(0.84, p) + decades(tiny, 0, 20) + spread(0, 3, 70)) + spread(-6, 6, 40)
    if name == "acos_one_minus":
        end = 1 - 2.0 ** -(24 if single else 53)
        return [0.0, 1.0, end, 0.5] + decades(tiny, 0, 60) + spread(0, 1, 120)
    raise ValueError(name)


def pairs(p):
    limit = 1e30 if p == "f32" else 1e200
    values = [0.0, 1.0, 2.5, 1e-30, limit, 0.4142, 2.0**-149]
    found = [(y, x) for y in both(values) for x in both(values)]
    found += [(random.gauss(0, 1), random.gauss(0, 1)) for _ in range(120)]
    found += [(random.choice((-1, 1)) * y, random.choice((-1, 1))) for y in decades(-12, 12, 60)]
    return found


def angle(y, x):
    """atan2 with signed zeros."""
    if y == 0:
        straight = mp.pi if math.copysign(1, x) < 0 else mpf(0)
        return straight, math.copysign(1, y)
    return abs(mpmath.atan2(mpf(y), mpf(x))), math.copysign(1, y)


def line(name, p, x, y, value, rest):
    print(f"{name},{p},{bits(x, p)},{bits(y, p)},{bits(value, p)},{float(rest):.4f}")


def main():
    random.seed(20)
    functions = {
        "exp": mpmath.exp, "exp_m1": mpmath.expm1, "ln": mpmath.log, "sin": mpmath.sin, "cos": mpmath.cos,
        "tanh": mpmath.tanh, "erf": mpmath.erf,
        "acos_one_minus": lambda d: 2 * mpmath.asin(mpmath.sqrt(d / 2)),
    }
    print("function,precision,x,y,value,rest")
    for p in FORMATS:
        for name, f in functions.items():
            for x in points(name, p):
                x = cast(x, p)
                if name == "ln" and x == 0:
                    value, rest = -math.inf, 0
                else:
                    with mp.workdps(400 if abs(x) < 1e-20 or abs(x) > 300 else 80):
                        value, rest = rounded(f(mpf(x)), p)
                line(name, p, x, 0.0, value, rest)
        for y, x in pairs(p):
            y, x = cast(y, p), cast(x, p)
            size, sign = angle(y, x)
            value, rest = rounded(size, p)
            line("atan2", p, x, y, sign * value, sign * rest)


main()
