//! Natural logarithm.

use super::bits::Bits;
use super::coefficients::Tables;
use super::poly::polynomial;

/// ln x = k ln 2 + ln(1 + f), with ln(1 + f) = 2 artanh(s), s = f / (2 + f): a division, but a third of the terms
/// that a polynomial in f needs.
#[inline(always)]
pub(super) fn ln<R: Bits>(x: R) -> R {
    let (mantissa, k) = x.split_exponent();
    let f = mantissa - 1.0;
    let s = f / (f + 2.0);
    let z = s * s;
    let bend = z * polynomial(z, R::Scalar::LN);
    let half_square = f * f * 0.5;
    // 2 s + s bend = f - half_square + s (half_square + bend): f is exact and the rest small.
    let rest = s.mul_add(half_square + bend, k * R::Scalar::LN_2[1]);
    let y = k.mul_add(k.lit(R::Scalar::LN_2[0]), f - (half_square - rest));
    ends(x, y)
}

/// Puts -inf at 0, NaN below, and lets inf and NaN through.
#[inline(always)]
fn ends<R: Bits>(x: R, y: R) -> R {
    let zero = x.lit(0.0);
    let below = R::select(x.lt(zero), x.lit(f64::NAN), x.lit(f64::NEG_INFINITY));
    let y = R::select(zero.lt(x), y, below);
    R::select(x.lt(x.lit(f64::INFINITY)), y, x)
}
