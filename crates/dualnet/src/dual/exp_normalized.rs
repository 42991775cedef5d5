//! The exponential of the cosine.

use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;

/// k = r exp(gamma (rho + shift)) with r = sqrt(pq), kdot = gamma exp(gamma (rho + shift)); no activation stands behind it.
///
/// Where pq = 0: k = 0 and rho = 0. The new rho is exp(gamma (rho - 1)), and 1-|rho| relatively accurate.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, exp_normalized::ExpNormalized};
/// let opposite = Pair { c: -4.0, p: 4.0, q: 4.0, sp: 2.0, sq: 2.0, delta: 0.0 };
/// let image = DynDual::pair(&ExpNormalized::new(1.0, -1.0), opposite);
/// assert!((image.k - 4.0 * (-2.0f64).exp()).abs() < 1e-14);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ExpNormalized {
    gamma: f64,
    /// exp(gamma (1 + shift)): the factor of every variance.
    gain: f64,
}

impl ExpNormalized {
    /// `gamma` >= 0.
    pub fn new(gamma: f64, shift: f64) -> Self {
        Self { gamma, gain: (gamma * (1.0 + shift)).exp() }
    }
}

impl Dual for ExpNormalized {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, _constants: &C) -> Image<V> {
        let (zero, one) = (x.c.lit(0.0), x.c.lit(1.0));
        let one_minus_rho = V::select(x.c.lt(zero), x.c.lit(2.0) - x.delta, x.delta);
        let fall = -(one_minus_rho * -self.gamma).exp_m1();
        let rho = one - fall;
        Image { k: r * rho, kdot: rho * (self.gamma * self.gain), delta: V::select(zero.lt(r), fall, one) }
    }

    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C, _slopes: &C) -> Option<Partials<V>> {
        let Image { k, kdot, .. } = self.pair(x, r, of);
        let zero = x.c.lit(0.0);
        let kdot_c = V::select(zero.lt(x.r()), kdot * self.gamma / x.r(), zero);
        Some(Partials::homogeneous(&x, 1.0, (k, kdot), (kdot, kdot_c)))
    }
    fn variance(&self, p: f64) -> f64 {
        p * self.gain
    }

    fn homogeneity(&self) -> Option<u32> {
        Some(1)
    }
}
