//! Error function.

use super::bits::Bits;
use super::coefficients::Tables;
use super::exp::one_minus_exp;
use super::poly::polynomial;

/// An odd polynomial below 0.84; `1 - e^(-x P(x))` above, P fitted to the logarithm of the complement.
#[inline(always)]
pub(super) fn erf<R: Bits>(x: R) -> R {
    let a = x.abs();
    let small = polynomial(a * a, R::Scalar::ERF).mul_add(a, a);
    let b = a.lit(R::ERF_END).min(a);
    let large = one_minus_exp(-(polynomial(b, R::Scalar::ERFC) * b));
    R::select(a.lt(a.lit(0.84)), small, large).copysign(x)
}
