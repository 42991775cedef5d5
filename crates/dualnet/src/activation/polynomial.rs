//! Powers and polynomials.

use crate::simd::Real;

/// x^n by repeated squaring.
#[inline(always)]
pub(super) fn power<V: Real>(x: V, n: u32) -> V {
    let (mut result, mut square, mut rest) = (x.lit(1.0), x, n);
    while rest > 0 {
        if rest & 1 == 1 {
            result = result * square;
        }
        rest >>= 1;
        if rest > 0 {
            square = square * square;
        }
    }
    result
}

/// Slope of [`power`].
#[inline(always)]
pub(super) fn power_slope<V: Real>(x: V, n: u32) -> V {
    if n == 0 { x.lit(0.0) } else { power(x, n - 1) * f64::from(n) }
}

/// sum of a_i x^i (Horner).
#[inline(always)]
pub(super) fn polynomial<V: Real>(x: V, coefficients: &[f64]) -> V {
    coefficients.iter().rev().fold(x.lit(0.0), |sum, &a| sum.mul_add(x, x.lit(a)))
}

/// Slope of [`polynomial`].
#[inline(always)]
pub(super) fn polynomial_slope<V: Real>(x: V, coefficients: &[f64]) -> V {
    let zero = x.lit(0.0);
    coefficients.iter().enumerate().skip(1).rev().fold(zero, |sum, (i, &a)| sum.mul_add(x, x.lit(i as f64 * a)))
}
