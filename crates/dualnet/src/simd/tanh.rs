//! Hyperbolic tangent.

use super::bits::Bits;
use super::coefficients::Tables;
use super::exp::exp_within;
use super::poly::polynomial;

/// An odd polynomial below 0.55, `1 - 2 / (e^2x + 1)` above, where the error of the quotient counts half.
#[inline(always)]
pub(super) fn tanh<R: Bits>(x: R) -> R {
    let a = x.abs();
    let z = a * a;
    let small = (z * a).mul_add(polynomial(z, R::Scalar::TANH), a);
    // From here on the result rounds to 1.
    let b = a.lit(-0.6 * R::EPS.ln()).min(a);
    let large = -(x.lit(2.0) / (exp_within(b + b) + 1.0)) + 1.0;
    R::select(a.lt(a.lit(0.55)), small, large).copysign(x)
}
