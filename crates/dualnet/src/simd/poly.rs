//! Evaluation of polynomials with constant coefficients, constant term first.

use super::real::Real;

/// Horner's rule: the fewest operations, each waiting for the one before.
#[inline(always)]
pub(super) fn horner<R: Real>(x: R, coefficients: &[f64]) -> R {
    fold(x, x, coefficients.iter())
}

/// Even and odd powers apart: half the wait for one multiplication more, worth it from about ten terms on.
#[inline(always)]
pub(super) fn two_chains<R: Real>(x: R, coefficients: &[f64]) -> R {
    let square = x * x;
    let even = fold(x, square, coefficients.iter().step_by(2));
    let odd = fold(x, square, coefficients.iter().skip(1).step_by(2));
    odd.mul_add(x, even)
}

#[inline(always)]
fn fold<'a, R: Real>(like: R, x: R, coefficients: impl DoubleEndedIterator<Item = &'a f64>) -> R {
    let mut from_last = coefficients.rev().map(|&c| like.lit(c));
    let last = from_last.next().unwrap_or(like.lit(0.0));
    from_last.fold(last, |sum, c| sum.mul_add(x, c))
}
