//! Powers of the covariance.

use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;

/// k = c^n, kdot = n c^(n-1): at unit variance the dual of the normalised Hermite polynomial He_n / sqrt(n!).
///
/// Off unit variance it is a kernel only, with no activation behind it. c^n and 1 - |rho|^n are taken by repeated squaring,
/// the latter by 1 - ab = (1 - a) + a (1 - b), which does not cancel.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, hermite_power::HermitePower};
/// let half = Pair { c: -0.5, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 0.5 };
/// let image = DynDual::pair(&HermitePower::new(3), half);
/// assert_eq!((image.k, image.kdot, image.delta), (-0.125, 0.75, 0.875));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HermitePower {
    degree: u32,
}

impl HermitePower {
    /// The power n.
    pub fn new(degree: u32) -> Self {
        Self { degree }
    }
}

/// c^n and 1 - |rho|^n.
#[inline(always)]
fn power<V: Real>(c: V, delta: V, degree: u32) -> (V, V) {
    let (mut k, mut fall) = (c.lit(1.0), c.lit(0.0));
    for bit in (0..u32::BITS - degree.leading_zeros()).rev() {
        k = k * k;
        fall = fall * (fall.lit(2.0) - fall);
        if degree >> bit & 1 == 1 {
            k = k * c;
            fall = fall.mul_add(fall.lit(1.0) - delta, delta);
        }
    }
    (k, fall)
}

impl Dual for HermitePower {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, _r: V, _constants: &C) -> Image<V> {
        let Some(lower) = self.degree.checked_sub(1) else {
            return Image { k: x.c.lit(1.0), kdot: x.c.lit(0.0), delta: x.c.lit(0.0) };
        };
        let (below, fall) = power(x.c, x.delta, lower);
        let delta = fall.mul_add(x.c.lit(1.0) - x.delta, x.delta);
        Image { k: below * x.c, kdot: below * f64::from(self.degree), delta }
    }

    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, _r: V, _of: &C, _slopes: &C) -> Option<Partials<V>> {
        let zero = x.c.lit(0.0);
        let n = f64::from(self.degree);
        let power = |n: u32| power(x.c, x.delta, n).0;
        let k_c = self.degree.checked_sub(1).map_or(zero, |n1| power(n1) * n);
        let kdot_c = self.degree.checked_sub(2).map_or(zero, |n2| power(n2) * (n * (n - 1.0)));
        Some(Partials { k_c, k_p: zero, kdot: k_c, kdot_c, kdot_p: zero })
    }
    fn variance(&self, p: f64) -> f64 {
        power(p, 0.0, self.degree).0
    }

    fn homogeneity(&self) -> Option<u32> {
        Some(self.degree)
    }
}
