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

/// `s = sqrt(2 d)`, and what the angle and its sine are divided by it: in single precision one root serves both, since a root costs as much
/// as ten fused multiplications; in double precision the polynomial would cost more than a second root.
#[inline(always)]
pub(super) fn acos_sin_parts<R: Bits>(d: R) -> (R, R, R) {
    let (one, s) = (d.lit(1.0), (d + d).sqrt());
    let angle = polynomial(d, R::Scalar::ACOS).mul_add(d, one);
    let sine = match R::EPS > 1e-10 {
        true => polynomial(d, R::Scalar::HALF_SIN).mul_add(d, one),
        false => d.mul_add(d.lit(-0.5), one).sqrt(),
    };
    (s, angle, sine)
}
