//! The radial basis function kernel.

use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;

/// k = exp(-gamma (p + q - 2c)), the dual of `sqrt(2) sin(sqrt(2 gamma) x + pi/4)`; kdot = 2 gamma k.
///
/// k is accurate absolutely, to one rounding of 1; the new 1-|rho| = 1 - k relatively.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, rbf::Rbf};
/// let orthogonal = Pair { c: 0.0, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 1.0 };
/// assert!((DynDual::pair(&Rbf::new(0.5), orthogonal).k - (-1.0f64).exp()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rbf {
    gamma: f64,
}

impl Rbf {
    /// `gamma` >= 0: the inverse squared width.
    pub fn new(gamma: f64) -> Self {
        Self { gamma }
    }
}

impl Dual for Rbf {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, _r: V, _constants: &C) -> Image<V> {
        let delta = -(x.distance2() * -self.gamma).exp_m1();
        let k = x.c.lit(1.0) - delta;
        Image { k, kdot: k * (2.0 * self.gamma), delta }
    }

    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C, _slopes: &C) -> Option<Partials<V>> {
        let Image { k, kdot, .. } = self.pair(x, r, of);
        let g = self.gamma;
        Some(Partials { k_c: kdot, k_p: k * -g, kdot, kdot_c: kdot * (2.0 * g), kdot_p: kdot * -g })
    }
    fn variance(&self, _p: f64) -> f64 {
        1.0
    }
}
