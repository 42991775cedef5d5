//! The angle of a point.

use super::bits::Bits;
use super::coefficients::Tables;
use super::poly::polynomial;
use std::f64::consts::{FRAC_PI_2, PI};

/// atan of the smaller coordinate over the larger, then moved into its octant.
#[inline(always)]
pub(super) fn atan2<R: Bits>(y: R, x: R) -> R {
    let (rise, run) = (y.abs(), x.abs());
    let steep = run.lt(rise);
    let low = R::select(steep, run, rise);
    let high = R::select(steep, rise, run);
    // 0/0 counts as 0 and inf/inf as 1; a NaN goes through both.
    let ratio = low / low.lit(R::LEAST).max(high);
    let ratio = R::select(low.lit(R::LARGEST).lt(low), low.lit(1.0), ratio);
    let z = ratio * ratio;
    let angle = (z * ratio).mul_add(polynomial(z, R::Scalar::ATAN), ratio);

    let angle = angle.xor(x.sign());
    let angle = R::select(steep, -angle, angle);
    let base = R::select(x.is_negative(), x.lit(PI), x.lit(0.0));
    let base = R::select(steep, x.lit(FRAC_PI_2), base);
    // pi and pi / 2 lose the same share to rounding.
    let angle = base.mul_add(x.lit(R::Scalar::PI_TAIL), angle) + base;
    angle.copysign(y)
}
