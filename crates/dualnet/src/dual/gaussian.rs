//! Gaussian bumps.

use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;

/// The dual of `a exp(b x^2)`, b <= 0: with B = -2b and D = 1 + B (p + q) + B^2 (pq - c^2),
/// k = a^2 / sqrt(D) and kdot = a^2 B^2 c / D^(3/2).
///
/// The new 1-|rho| comes from 1 - rho^2 = (B^2 (pq - c^2) + (w_p - w_q)^2 / 2) / D with w_p = sqrt(1 + 2 B p): a sum of
/// squares, accurate everywhere.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, gaussian::Gaussian};
/// let one = Pair { c: 1.0, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 0.0 };
/// let image = DynDual::pair(&Gaussian::new(1.0, -1.0), one);
/// assert!((image.k - 0.2f64.sqrt()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gaussian {
    /// a^2.
    a2: f64,
    /// -2b.
    rate: f64,
}

impl Gaussian {
    /// The dual of `a exp(b x^2)`, b <= 0.
    pub fn new(a: f64, b: f64) -> Self {
        Self { a2: a * a, rate: -2.0 * b }
    }
}

/// Squares above this are cut off: their inverses vanish beside 1, their products with one another must not overflow.
#[inline(always)]
pub(super) fn ceiling<V: Real>() -> f64 {
    if V::EPS < 1e-12 { 1e300 } else { 1e37 }
}

impl Dual for Gaussian {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, constants: &C) -> Image<V> {
        let (zero, one) = (x.c.lit(0.0), x.c.lit(1.0));
        let det = (x.det() * (self.rate * self.rate)).min(x.c.lit(ceiling::<V>()));
        let inverse = one / (det + (x.p + x.q).mul_add(x.c.lit(self.rate), one));
        let k = inverse.sqrt() * self.a2;
        let kdot = k * (x.c * inverse) * (self.rate * self.rate);
        let gap = constants.row(0) - constants.col(0);
        let sin2 = (gap * gap).mul_add(x.c.lit(0.5), det) * inverse;
        // 1 - rho = (1 - rho^2) / (1 + rho) with rho = k / r.
        let delta = (sin2 * r / (r + k)).min(one);
        Image { k, kdot, delta: V::select(zero.lt(r), delta, one) }
    }

    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C, _slopes: &C) -> Option<Partials<V>> {
        let Image { k, kdot, .. } = self.pair(x, r, of);
        let b = self.rate;
        let det = (x.det() * (b * b)).min(x.c.lit(ceiling::<V>()));
        let inverse = x.c.lit(1.0) / (det + (x.p + x.q).mul_add(x.c.lit(b), x.c.lit(1.0)));
        let share = (x.q * b + 1.0) * inverse * (-0.5 * b);
        let bend = (x.c * (b * b)) * (x.c * inverse);
        let kdot_c = k * inverse * (b * b) * (bend * 3.0 + 1.0);
        Some(Partials { k_c: kdot, k_p: k * share, kdot, kdot_c, kdot_p: kdot * share * 3.0 })
    }
    fn variance(&self, p: f64) -> f64 {
        self.a2 / (1.0 + 2.0 * self.rate * p).sqrt()
    }

    fn constants_len(&self) -> usize {
        1
    }

    fn constants(&self, p: f64, out: &mut [f64]) {
        out.fill((1.0 + 2.0 * self.rate * p).sqrt());
    }
}
