//! e^x and e^x - 1.

use super::bits::Bits;
use super::coefficients::Tables;
use super::poly::polynomial;
use std::f64::consts::LOG2_E;

/// x = n ln 2 + r + tail, with an integer n and |r| <= ln 2 / 2.
///
/// The product of n and the first piece of ln 2 is exact, so this holds with and without fused multiply-add;
/// `tail` is what the rounding of r takes away.
#[inline(always)]
fn reduce<R: Bits>(x: R) -> (R, R, R) {
    let (n, _) = x.round_multiple(LOG2_E);
    let [first, second] = [-R::Scalar::LN_2[0], -R::Scalar::LN_2[1]];
    let high = n.mul_add(n.lit(first), x);
    let r = n.mul_add(n.lit(second), high);
    let tail = n.mul_add(n.lit(second), high - r);
    (n, r, tail)
}

/// e^x = p 2^n, p in [0.7, 1.42].
#[inline(always)]
fn split<R: Bits>(x: R) -> (R, R) {
    let (n, r, _) = reduce(x);
    let p = (r * r).mul_add(polynomial(r, R::Scalar::EXP), r) + 1.0;
    (p, n)
}

#[inline(always)]
pub(super) fn exp<R: Bits>(x: R) -> R {
    let (lowest, highest) = R::EXP_RANGE;
    // The literal first: `min` and `max` hand on the second operand where it is NaN.
    let x = x.lit(lowest).max(x.lit(highest).min(x));
    let (p, n) = split(x);
    p.scale(n)
}

/// `1 - e^x` for x <= 0, absolutely accurate, for x where e^x does not underflow.
#[inline(always)]
pub(super) fn one_minus_exp<R: Bits>(x: R) -> R {
    let (p, n) = split(x);
    (-p).mul_add(n.pow2(), x.lit(1.0))
}

/// e^x for x where neither end is near.
#[inline(always)]
pub(super) fn exp_within<R: Bits>(x: R) -> R {
    let (p, n) = split(x);
    p * n.pow2()
}

#[inline(always)]
pub(super) fn exp_m1<R: Bits>(x: R) -> R {
    let (_, highest) = R::EXP_RANGE;
    let lowest = 2.0 * R::EPS.ln();
    let x = x.lit(lowest).max(x.lit(highest).min(x));
    let (n, r, tail) = reduce(x);
    let curve = (r * r).mul_add(polynomial(r, R::Scalar::EXP), tail);
    // 2^(n-1) instead of 2^n: the latter overflows at the upper end.
    let half = (n - 1.0).pow2();
    let linear = half.mul_add(r, half - 0.5);
    let sum = half.mul_add(curve, linear);
    sum + sum
}
