//! What the duals of erf and GELU share: the correlation of two error functions of Gaussians (Williams, 1998).
//!
//! With v = p s^2 and a = sqrt(v/(1 + v)), two samples meet in the correlation rho_e = a_p a_q rho. Everything is formed
//! from a and its complement 1 - a, kept for each sample: nothing cancels or overflows, whatever the variances.

use super::{Constants, Image, Pair};
use crate::simd::Real;

/// Constants for each sample, by index.
const SLOPE: usize = 0;
const REST: usize = 1;
const ANGLE: usize = 2;
const COSINE: usize = 3;
const DEVIATION: usize = 4;
/// Number of constants.
pub(super) const LEN: usize = 5;

/// asin(a^2) of a sample with scaled variance `v`: the angle of a sample with itself.
pub(super) fn own_angle(v: f64) -> f64 {
    let u2 = 1.0 / (1.0 + v);
    let a2 = share(v);
    a2.atan2((u2 * (1.0 + a2)).sqrt())
}

/// a^2 = v/(1 + v), for infinite `v` too.
fn share(v: f64) -> f64 {
    if v > 1.0 { 1.0 / (1.0 + 1.0 / v) } else { v / (1.0 + v) }
}

/// Fills the constants of a sample of variance `p`, scale `s` and variance `image` after the activation.
pub(super) fn constants(p: f64, s: f64, image: f64, out: &mut [f64]) {
    let v = p * s * s;
    let (u2, a2) = (1.0 / (1.0 + v), share(v));
    // s/sqrt(1 + v), for infinite v too.
    let slope = if v > 1.0 { (a2 / p).sqrt() } else { s * u2.sqrt() };
    let values = [slope, u2 / (1.0 + a2.sqrt()), own_angle(v), (u2 * (1.0 + a2)).sqrt(), image.sqrt()];
    for (out, value) in out.iter_mut().zip(values) {
        *out = value;
    }
}

/// s/sqrt(1 + v) of the first sample.
#[inline(always)]
pub(super) fn slope<V: Real, C: Constants<V>>(of: &C) -> V {
    of.row(SLOPE)
}

/// Two samples.
#[derive(Clone, Copy)]
pub(super) struct Arcsine<V> {
    /// s/sqrt(1 + v) of both, multiplied.
    pub slope: V,
    /// a_p a_q.
    pub reach: V,
    /// 1 - a_p a_q.
    pub rest: V,
    /// rho_e = c slope.
    pub rho: V,
    /// sqrt(1 - rho_e^2).
    pub cosine: V,
    /// asin(rho_e).
    pub angle: V,
}

impl<V: Real> Arcsine<V> {
    #[inline(always)]
    pub fn new<C: Constants<V>>(x: &Pair<V>, of: &C) -> Self {
        let (wp, wq) = (of.row(SLOPE), of.col(SLOPE));
        let (ap, aq) = (wp * x.sp, wq * x.sq);
        // 1 - a_p a_q from the complements z = 1 - a, in a form that rounds alike for both orders of the pair.
        let (zp, zq) = (of.row(REST), of.col(REST));
        let (reach, rest) = (ap * aq, (-zp).mul_add(zq, zp + zq));
        let far = reach.mul_add(x.delta, rest).max(zp.lit(least::<V>()));
        let cosine = (far * (far.lit(2.0) - far)).sqrt();
        let slope = wp * wq;
        let rho = x.c * slope;
        Self { slope, reach, rest, rho, cosine, angle: rho.atan2(cosine) }
    }

    /// 1 - (a_p a_q)^2.
    #[inline(always)]
    pub fn rest2(&self) -> V {
        self.rest * (self.rest.lit(2.0) - self.rest)
    }

    /// A + A' - 2 |asin rho_e| without cancellation, A and A' the angles of both samples with themselves; s is their scale.
    ///
    /// From cos 2T - cos(A + A') = 2 sin((A + A')/2 + T) sin((A + A')/2 - T), where the left side is a sum of squares:
    /// (a^2 - a'^2)^2 / (1 - a^2 a'^2 + cos A cos A') + 2 a^2 a'^2 (1 - rho^2). For angles well below pi.
    #[inline(always)]
    pub fn gap<C: Constants<V>>(&self, x: &Pair<V>, s: f64, of: &C) -> V {
        let zero = x.c.lit(0.0);
        let inverse = if s > 0.0 { 1.0 / (s * s) } else { 0.0 };
        let spread = (x.p - x.q) * self.slope * self.slope * inverse;
        let cosines = of.row(COSINE).mul_add(of.col(COSINE), self.rest2());
        let reach2 = self.reach * self.reach;
        let chord = (spread * spread / cosines).mul_add(zero.lit(0.5), reach2 * x.sin2());
        let (sin, _) = ((of.row(ANGLE) + of.col(ANGLE)) * 0.5 + self.angle.abs()).sin_cos();
        let half = (chord / sin.max(zero.lit(f64::MIN_POSITIVE))).min(zero.lit(1.0));
        half.atan2((zero.lit(1.0) - half * half).sqrt()) * 2.0
    }

    /// A - A'.
    #[inline(always)]
    pub fn turn<C: Constants<V>>(of: &C) -> V {
        of.row(ANGLE) - of.col(ANGLE)
    }
}

/// The image with the new 1 - |rho| from k and r alone.
#[inline(always)]
pub(super) fn coarse<V: Real>(k: V, kdot: V, r: V) -> Image<V> {
    let (zero, one) = (k.lit(0.0), k.lit(1.0));
    let delta = V::select(zero.lt(r), one - (k.abs() / r).min(one), one);
    Image { k, kdot, delta }
}

/// The image with 1 - |rho| from `square` = k(p,p,p) + k(q,q,q) - 2 |k|, where that is small and precise:
/// 2 (r - |k|) = square - (sqrt k(p,p,p) - sqrt k(q,q,q))^2.
///
/// The rounding of the difference counts against r, hence the limit on unlike variances; where 1 - |rho| is large the
/// plain quotient is exact enough, in single precision everywhere.
#[inline(always)]
pub(super) fn fine<V: Real, C: Constants<V>>(image: Image<V>, r: V, square: V, of: &C) -> Image<V> {
    let zero = r.lit(0.0);
    let unlike = of.row(DEVIATION) - of.col(DEVIATION);
    let unlike = unlike * unlike;
    let twice = r + r;
    let exact = ((square - unlike).max(zero) / twice).min(zero.lit(1.0));
    // Out of range, at variances whose products are, `square` is infinite or NaN.
    let exact = V::select(square.lt(zero.lit(f64::MAX)), exact, image.delta);
    let near = V::select(unlike.lt(r), exact, image.delta);
    Image { delta: V::select(image.delta.lt(zero.lit(0.1)), near, image.delta), ..image }
}

/// Keeps 1 - |rho_e| off 0 where variances are near the end of the range.
#[inline(always)]
fn least<V: Real>() -> f64 {
    if carries_all_digits::<V>() { 1e-300 } else { 1e-37 }
}

/// Is it worth its cost to carry all digits of 1 - |rho| through a smooth activation? In double precision only.
#[inline(always)]
pub(super) fn carries_all_digits<V: Real>() -> bool {
    V::EPS < 1e-10
}
