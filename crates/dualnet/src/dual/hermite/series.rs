//! From the coefficients of two samples to k, kdot and 1 - |rho| of a pair.
//!
//! With A_l = alpha_l(p) alpha_l(q) and r = sqrt(p q), k = A_0 + r sum A_l rho^l. Near rho = 1 that sum loses what the next
//! layer needs most, its distance from rho = 1. So every series is summed in the form
//!
//! sum A_i y^i = W - (1 - y) G(y),  W = sum A_i,  G = sum_j S_j y^j,  S_j = the sum of A_i over i > j:
//!
//! 1 - y comes from the carried 1 - |rho| without cancellation. G and its slope H are one Horner recurrence each, whose
//! coefficients S_j are running sums that the recurrence, going from the top down, makes on its way.

use crate::dual::{Image, Pair};
use crate::simd::Real;

/// What a Horner recurrence leaves behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums<V> {
    /// W.
    pub total: V,
    /// G(y).
    pub g: V,
    /// G'(y).
    pub h: V,
}

impl<V: Real> Sums<V> {
    #[inline(always)]
    pub fn zero(like: V) -> Self {
        let zero = like.lit(0.0);
        Self { total: zero, g: zero, h: zero }
    }
    /// [`Sums::descend`] where h is 0: the same bits.
    #[inline(always)]
    pub fn second(self, y: V, tail: V) -> Self {
        Self { total: self.total, g: self.g.mul_add(y, tail), h: self.g }
    }
    /// Takes up the next lower running sum.
    #[inline(always)]
    pub fn descend(&mut self, y: V, tail: V) {
        self.h = self.h.mul_add(y, self.g);
        self.g = self.g.mul_add(y, tail);
    }
}

/// Of the constants of both samples, what does not belong to the series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outside<V> {
    /// a_0(p) a_0(q).
    pub mean: V,
    /// alpha_1(p) alpha_1(q) where the series does not hold it.
    pub linear: V,
    /// 1 / (|a(p)| |a(q)|); infinite where either is 0.
    pub inverse: V,
    /// |a(p)| |a(q)| - sum a_l(p) a_l(q) >= 0: how far the image of rho = 1 is from 1; 0 for equal variances.
    pub excess: V,
}

/// Which degrees a series holds.
pub(super) trait Shape: Copy {
    /// Lowest term whose running sum is a coefficient of G.
    const FIRST: usize;
    /// Degree of term `i`.
    fn degree(i: usize) -> usize;
    /// Argument y of the recurrence.
    fn argument<V: Real>(rho: V) -> V;
    /// sum a_l(p) a_l(q), to be compared with |a(p)| |a(q)|.
    fn at_one<V: Real>(r: V, mean: V, linear: V, total: V) -> V;
    /// The result.
    fn image<V: Real>(x: &Pair<V>, outside: Outside<V>, sums: Sums<V>) -> Image<V>;
}

/// Degrees 1, 2, 3, ...
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

/// Degrees 1, 3, 5, ...: odd functions, with any constant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odd;

/// Degrees 2, 4, 6, ...: even functions, with any linear part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Even;

impl Shape for Full {
    const FIRST: usize = 0;
    fn degree(i: usize) -> usize {
        i + 1
    }
    #[inline(always)]
    fn argument<V: Real>(rho: V) -> V {
        rho
    }
    #[inline(always)]
    fn at_one<V: Real>(r: V, mean: V, _linear: V, total: V) -> V {
        r.mul_add(total, mean)
    }
    #[inline(always)]
    fn image<V: Real>(x: &Pair<V>, outside: Outside<V>, sums: Sums<V>) -> Image<V> {
        let zero = x.c.lit(0.0);
        let r = x.r();
        let below = V::select(x.c.lt(zero), x.delta.lit(2.0) - x.delta, x.delta);
        let gap = below * sums.g;
        let k = r.mul_add(sums.total - gap, outside.mean);
        let kdot = sums.g - below * sums.h;
        let near = r.mul_add(gap, outside.excess) * outside.inverse;
        Image { k, kdot, delta: nearest(near, k, outside.inverse) }
    }
}

impl Shape for Odd {
    const FIRST: usize = 1;
    fn degree(i: usize) -> usize {
        2 * i + 1
    }
    #[inline(always)]
    fn argument<V: Real>(rho: V) -> V {
        rho * rho
    }
    #[inline(always)]
    fn at_one<V: Real>(r: V, mean: V, _linear: V, total: V) -> V {
        r.mul_add(total, mean)
    }
    #[inline(always)]
    fn image<V: Real>(x: &Pair<V>, outside: Outside<V>, sums: Sums<V>) -> Image<V> {
        let zero = x.c.lit(0.0);
        let size = zero.lit(1.0) - x.delta;
        let rho = size.copysign(x.c);
        let (y, minus_sin2) = (size * size, x.delta * (x.delta - 2.0));
        let r = x.r();
        let series = minus_sin2.mul_add(sums.g, sums.total);
        let k = (r * rho).mul_add(series, outside.mean);
        let slope = minus_sin2.mul_add(sums.h, sums.g);
        let kdot = (y * 2.0).mul_add(slope, series);
        // W - size Q = delta (W + size (1 + size) G): the distance to the nearer of both ends.
        let gap = (size + y).mul_add(sums.g, sums.total);
        let near = (r * x.delta).mul_add(gap, outside.excess);
        // The image of the negative end is A_0 - r Q.
        let near = V::select(x.c.lt(zero), outside.mean.mul_add(zero.lit(2.0), near), near) * outside.inverse;
        Image { k, kdot, delta: nearest(near, k, outside.inverse) }
    }
}

impl Shape for Even {
    const FIRST: usize = 0;
    fn degree(i: usize) -> usize {
        2 * i + 2
    }
    #[inline(always)]
    fn argument<V: Real>(rho: V) -> V {
        rho * rho
    }
    #[inline(always)]
    fn at_one<V: Real>(r: V, mean: V, linear: V, total: V) -> V {
        r.mul_add(linear + total, mean)
    }
    #[inline(always)]
    fn image<V: Real>(x: &Pair<V>, outside: Outside<V>, sums: Sums<V>) -> Image<V> {
        let zero = x.c.lit(0.0);
        let one = zero.lit(1.0);
        let rho = (one - x.delta).copysign(x.c);
        let r = x.r();
        let end = V::select(x.c.lt(zero), zero.lit(2.0) - x.delta, x.delta);
        let minus_sin2 = x.delta * (x.delta - 2.0);
        let lost = minus_sin2 * sums.g;
        let k = r.mul_add(rho.mul_add(outside.linear, sums.total + lost), outside.mean);
        let slope = minus_sin2.mul_add(sums.h, sums.g);
        let kdot = (rho * 2.0).mul_add(slope, outside.linear);
        let near = r.mul_add(end.mul_add(outside.linear, -lost), outside.excess) * outside.inverse;
        Image { k, kdot, delta: nearest(near, k, outside.inverse) }
    }
}

/// 1 - |k| / norms in \[0, 1\]; 1 where a vanishing norm makes it NaN. `near` is that for the sign of k that rho foretells, and
/// exact; for the other sign it exceeds the plain difference, which then serves. The margin covers the rounding of the plain
/// difference and of the variances behind `inverse`.
#[inline(always)]
fn nearest<V: Real>(near: V, k: V, inverse: V) -> V {
    let margin = k.lit(1.0 + 16.0 * V::EPS + 2e-12);
    let plain = margin - k.abs() * inverse;
    near.min(plain).min(k.lit(1.0)).max(k.lit(0.0))
}

/// [`Outside::excess`]: the difference where it is large. Where rounding would swamp it, from the angle between both vectors
/// a_l, the integral of their turns over the standard deviation, by the trapezoidal rule: norms angle^2 / 2.
#[inline(always)]
pub(super) fn excess<V: Real>(norms: V, at_one: V, turns: V, gap: V) -> V {
    let doubled = turns * gap;
    let curved = (norms * 0.125) * (doubled * doubled);
    let direct = (norms - at_one).max(norms.lit(0.0));
    V::select(curved.lt(norms * V::EPS.sqrt()), curved, direct)
}
