//! Evaluation of polynomials with constant coefficients, constant term first.
//!
//! Plain loops, which unroll: a closure or iterator adaptor over registers would be a function of its own, compiled
//! without the instruction set that its caller was compiled for.

use super::real::Real;

/// The polynomial at `x`.
///
/// Horner's rule, where each operation waits for the one before; from ten terms on two of them side by side, the low
/// and the high terms, since few registers are in flight at once. (Even and odd terms would need one multiplication
/// less, but cancel where signs alternate.)
#[inline(always)]
pub(super) fn polynomial<R: Real>(x: R, coefficients: &[f64]) -> R {
    let terms = coefficients.len();
    if terms < 10 {
        return horner(x, coefficients, 0, terms);
    }
    let fourth = (x * x) * (x * x);
    if terms < 16 {
        return horner(x, coefficients, 4, terms).mul_add(fourth, horner(x, coefficients, 0, 4));
    }
    horner(x, coefficients, 8, terms).mul_add(fourth * fourth, horner(x, coefficients, 0, 8))
}

/// Terms `first..end`, divided by `x^first`.
#[inline(always)]
fn horner<R: Real>(x: R, coefficients: &[f64], first: usize, end: usize) -> R {
    let mut i = end - 1;
    let mut sum = x.lit(coefficients[i]);
    while i > first {
        i -= 1;
        sum = sum.mul_add(x, x.lit(coefficients[i]));
    }
    sum
}
