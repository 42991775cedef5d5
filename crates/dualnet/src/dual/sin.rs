//! Sines and cosines.

use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;

/// The dual of `a sin(b x + c)` (written phase below): with D = E\[(u - v)^2\] and S = E\[(u + v)^2\],
/// k = a^2/2 (e^(-b^2 D/2) - cos(2 phase) e^(-b^2 S/2)) and kdot = a^2 b^2/2 (e^(-b^2 D/2) + cos(2 phase) e^(-b^2 S/2)).
///
/// The larger exponential is taken once, their ratio as e^(-2 b^2 |c|) - 1: neither overflows at any variance, and k of
/// the sine proper keeps all its digits where the variances vanish. The new 1-|rho| is accurate relatively for samples of
/// equal variance; the absolute error is a few roundings everywhere.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, sin::Sin};
/// let one = Pair { c: 1.0, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 0.0 };
/// let image = DynDual::pair(&Sin::new(1.0, 1.0, 0.0), one);
/// assert!((image.k - 0.43233235838169365).abs() < 1e-15); // (1 - e^-2) / 2
/// assert_eq!(image.delta, 0.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sin {
    /// a^2 / 2.
    scale: f64,
    /// Its inverse; 0 where a = 0.
    inv_scale: f64,
    /// b^2.
    b2: f64,
    /// cos(2 phase), and 1 minus and plus it: as squares, which do not cancel.
    cosine: f64,
    one_minus_cosine: f64,
    one_plus_cosine: f64,
}

impl Sin {
    /// The dual of `a sin(b x + phase)`.
    pub fn new(a: f64, b: f64, phase: f64) -> Self {
        let (sin, cos) = phase.sin_cos();
        Self::from_parts(a, b, sin, cos)
    }

    /// The dual of `a cos(b x + phase)`.
    pub fn cos(a: f64, b: f64, phase: f64) -> Self {
        // cos(y) = sin(y + pi/2), without rounding pi.
        let (sin, cos) = phase.sin_cos();
        Self::from_parts(a, b, cos, -sin)
    }

    fn from_parts(a: f64, b: f64, sin: f64, cos: f64) -> Self {
        let scale = 0.5 * a * a;
        Self {
            scale,
            inv_scale: if scale > 0.0 { 1.0 / scale } else { 0.0 },
            b2: b * b,
            cosine: (cos - sin) * (cos + sin),
            one_minus_cosine: 2.0 * sin * sin,
            one_plus_cosine: 2.0 * cos * cos,
        }
    }

    /// 1-|rho| of the image from 2 (sqrt(kpp kqq) - |k|) = (kpp + kqq - 2|k|) - (sqrt kpp - sqrt kqq)^2, all over `scale`.
    ///
    /// `fall` = 1 - the larger exponential, `fall_far` = 1 - the smaller one. Both brackets of kpp + kqq - 2|k| vanish
    /// together with the exact one, whatever the phase.
    #[inline(always)]
    fn delta<V: Real, C: Constants<V>>(&self, c: V, k: V, r: V, fall: V, fall_far: V, constants: &C) -> V {
        let (zero, one, cosine) = (c.lit(0.0), c.lit(1.0), c.lit(self.cosine));
        let (minus, plus) = (c.lit(self.one_minus_cosine), c.lit(self.one_plus_cosine));
        let (opposed, negative) = (c.lt(zero), k.lt(zero));
        let flipped = V::select(negative, fall.mul_add(cosine, minus), plus - fall * cosine);
        let first = V::select(opposed, flipped, fall);
        let second = V::select(opposed, V::select(negative, c.lit(2.0) - fall_far, fall_far), plus - fall_far * cosine);

        // e^(-b^2 p) - 1 and the like.
        let (decay_p, decay_q) = (constants.row(0), constants.col(0));
        let gap = decay_p - decay_q;
        let sum = decay_p + decay_q;
        // kpp + kqq, from e^(-2 b^2 p) - 1 = decay (2 + decay).
        let squares = decay_p * decay_p + decay_q * decay_q;
        let total = minus * 2.0 - cosine * (sum * 2.0 + squares);
        let root = r * self.inv_scale;
        let slope = cosine * (sum + 2.0);
        let difference = gap * gap;
        let twice = first * second * 2.0 - difference * (cosine + slope * slope / (total + root * 2.0));
        let inverse = one / root;
        // The identity costs total / root roundings; where that is many, 1-|rho| is large enough to come from k.
        let plain = one - k.abs() * self.inv_scale * inverse;
        let delta = V::select(total.lt(root * 4.0), twice * inverse * 0.5, plain).max(zero).min(one);
        V::select(zero.lt(root), delta, one)
    }
}

/// E\[(u - v)^2\] or E\[(u + v)^2\], whichever is smaller, without cancellation.
#[inline(always)]
pub(super) fn smaller_distance2<V: Real>(x: &Pair<V>) -> V {
    let gap = x.sp - x.sq;
    gap.mul_add(gap, x.r() * x.delta * 2.0)
}

impl Dual for Sin {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, constants: &C) -> Image<V> {
        let one = x.c.lit(1.0);
        let fall = -(smaller_distance2(&x) * (-0.5 * self.b2)).exp_m1();
        let larger = one - fall;
        // The smaller exponential is larger * (1 + ratio).
        let ratio = (x.c.abs() * (-2.0 * self.b2)).exp_m1();
        let opposed = x.c.lt(x.c.lit(0.0));
        let in_k = V::select(opposed, one, x.c.lit(-self.cosine));
        let in_kdot = V::select(opposed, one, x.c.lit(self.cosine));
        let scaled = larger * self.scale;
        let k = scaled * ratio.mul_add(in_k, x.c.lit(self.one_minus_cosine));
        let kdot = scaled * self.b2 * ratio.mul_add(in_kdot, x.c.lit(self.one_plus_cosine));
        let delta = self.delta(x.c, k, r, fall, fall - larger * ratio, constants);
        Image { k, kdot, delta }
    }

    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C, _slopes: &C) -> Option<Partials<V>> {
        let Image { k, kdot, .. } = self.pair(x, r, of);
        let half = -0.5 * self.b2;
        Some(Partials { k_c: kdot, k_p: k * half, kdot, kdot_c: k * (self.b2 * self.b2), kdot_p: kdot * half })
    }
    fn variance(&self, p: f64) -> f64 {
        self.scale * (self.one_minus_cosine - self.cosine * (-2.0 * self.b2 * p).exp_m1())
    }

    fn constants_len(&self) -> usize {
        1
    }

    fn constants(&self, p: f64, out: &mut [f64]) {
        out.fill((-self.b2 * p).exp_m1());
    }
}
