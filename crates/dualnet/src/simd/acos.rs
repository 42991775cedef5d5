//! acos(1 - d) and the sine of that angle.

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

/// The angle and its sine. In single precision both share the one root, `sin = s sqrt(1 - d/2)`, since a root costs as much as
/// ten fused multiplications; in double precision the polynomial would cost more than a second root.
#[inline(always)]
pub(super) fn acos_sin_one_minus<R: Bits>(d: R) -> (R, R) {
    if R::EPS < 1e-10 {
        return (acos_one_minus(d), (d * (d.lit(2.0) - d)).sqrt());
    }
    let s = (d + d).sqrt();
    let sd = s * d;
    let angle = sd.mul_add(polynomial(d, R::Scalar::ACOS), s);
    (d.lit(FRAC_PI_2).min(angle), sd.mul_add(polynomial(d, R::Scalar::HALF_SIN), s))
}
