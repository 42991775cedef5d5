//! Sine and cosine.

use super::bits::Bits;
use super::coefficients::Tables;
use super::poly::polynomial;
use std::f64::consts::FRAC_2_PI;

/// x = n pi / 2 + r + tail with |r| <= pi / 4, and n once more as an integer in the low bits of a number.
///
/// In double precision multiples of the first two pieces of pi / 2 are exact as long as |x| <= `TRIG_LIMIT`, and so is
/// `tail`. In single precision they are not, but the first difference is, and one rounding of each of the other two is
/// affordable.
#[inline(always)]
fn reduce<R: Bits>(x: R) -> (R, R, R) {
    let (n, quadrant) = x.round_multiple(FRAC_2_PI);
    let pieces = R::Scalar::FRAC_PI_2;
    let first = n.fused(n.lit(-pieces[0]), x);
    let second = n.fused(n.lit(-pieces[1]), first);
    if !R::EXACT_PRODUCTS {
        return (n.fused(n.lit(-pieces[2]), second), x.lit(0.0), quadrant);
    }
    let lost = n.fused(n.lit(-pieces[1]), first - second);
    let third = n.fused(n.lit(-pieces[2]), lost);
    let r = second + third;
    (r, third - (r - second), quadrant)
}

#[inline(always)]
pub(super) fn sin_cos<R: Bits>(x: R) -> (R, R) {
    let (r, tail, quadrant) = reduce(x);
    let z = r * r;
    // sin(r + tail) = sin r + tail cos r, where 1 - z/2 is cosine enough; cos(r + tail) = cos r - tail r.
    let half = z * 0.5;
    let bend = (z * r).mul_add(polynomial(z, R::Scalar::SIN), tail - tail * half);
    let sin = r + bend;
    let flat = -half + 1.0;
    let lost = (-flat + 1.0) - half;
    let cos = flat + (z * z).mul_add(polynomial(z, R::Scalar::COS), lost - r * tail);

    let swap = quadrant.is_odd();
    let (s, c) = (R::select(swap, cos, sin), R::select(swap, sin, cos));
    let s = s.xor(quadrant.bit_one_as_sign());
    let c = c.xor((quadrant + 1.0).bit_one_as_sign());

    let huge = x.lit(R::TRIG_LIMIT).lt(x.abs());
    if R::any(huge) {
        // Lane by lane, and only the huge ones: a lane's result must not depend on its neighbours.
        return (R::select(huge, x.sin_by_lane(), s), R::select(huge, x.cos_by_lane(), c));
    }
    (s, c)
}
