//! acos(1 - d).

use super::bits::Bits;
use super::coefficients::Tables;
use super::poly::polynomial;

/// `s + s d P(d)` with `s = sqrt(2 d)`: the root carries the singularity, P is smooth on [0, 1].
#[inline(always)]
pub(super) fn acos_one_minus<R: Bits>(d: R) -> R {
    let s = (d + d).sqrt();
    (s * d).mul_add(polynomial(d, R::Scalar::ACOS), s)
}
