//! acos(1 - d).

use super::bits::Bits;
use super::coefficients::Tables;
use super::poly::polynomial;
use std::f64::consts::FRAC_PI_2;

/// `s + s d P(d)` with `s = sqrt(2 d)`: the root carries the singularity, P is smooth on [0, 1].
#[inline(always)]
pub(super) fn acos_one_minus<R: Bits>(d: R) -> R {
    let s = (d + d).sqrt();
    let angle = (s * d).mul_add(polynomial(d, R::Scalar::ACOS), s);
    // At d = 1 rounding would go beyond the right angle.
    d.lit(FRAC_PI_2).min(angle)
}
