//! Exponentials.

use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;

/// The dual of `a exp(b x)`: k = a^2 exp(b^2 E\[(u + v)^2\] / 2), kdot = b^2 k; the new rho is exp(-b^2 E\[(u - v)^2\] / 2).
///
/// Overflows to infinity at large variances, as the activation itself does; kernels report it.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, exp::Exp};
/// let one = Pair { c: 1.0, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 0.0 };
/// let image = DynDual::pair(&Exp::new(1.0, 0.5), one);
/// assert!((image.k - 0.5f64.exp()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Exp {
    /// a^2.
    a2: f64,
    /// b^2.
    b2: f64,
}

impl Exp {
    /// The dual of `a exp(b x)`.
    pub fn new(a: f64, b: f64) -> Self {
        // Without b where a = 0, so that no 0 meets an infinity.
        Self { a2: a * a, b2: if a == 0.0 { 0.0 } else { b * b } }
    }
}

impl Dual for Exp {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, _constants: &C) -> Image<V> {
        let (zero, one) = (x.c.lit(0.0), x.c.lit(1.0));
        // E[(u + v)^2] is the distance of u and -v.
        let sum2 = Pair { c: -x.c, ..x }.distance2();
        let k = (sum2 * (0.5 * self.b2)).exp() * self.a2;
        let delta = -(x.distance2() * (-0.5 * self.b2)).exp_m1();
        Image { k, kdot: k * self.b2, delta: V::select(zero.lt(r), delta, one) }
    }

    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C, _slopes: &C) -> Option<Partials<V>> {
        let Image { k, kdot, .. } = self.pair(x, r, of);
        let half = 0.5 * self.b2;
        Some(Partials { k_c: kdot, k_p: k * half, kdot, kdot_c: kdot * self.b2, kdot_p: kdot * half })
    }
    fn variance(&self, p: f64) -> f64 {
        self.a2 * (2.0 * self.b2 * p).exp()
    }
}
