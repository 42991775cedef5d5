//! The sign function.

use super::partials::{half_inverse, inverse_s};
use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;
use std::f64::consts::FRAC_2_PI;

/// Dual of sign(x): k = 1 - 2 theta/pi, 0 where p q = 0.
///
/// kdot = 0 by convention: the derivative of sign is zero wherever it exists. (As a distribution it would give
/// 2/(pi s), infinite at |rho| = 1.)
///
/// ```
/// use dualnet::dual::{DynDual, Pair, sign::Sign};
/// let image = DynDual::pair(&Sign, Pair { c: 1.0, p: 1.0, q: 4.0, sp: 1.0, sq: 2.0, delta: 0.5 });
/// assert!((image.k - 1.0 / 3.0).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sign;

impl Dual for Sign {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, _: &C) -> Image<V> {
        let one = x.c.lit(1.0);
        let delta = (x.delta.acos_one_minus() * FRAC_2_PI).min(one);
        // r is 1, or 0 where a variance is.
        let k = r * (one - delta).copysign(x.c);
        Image { k, kdot: x.c.lit(0.0), delta }
    }
    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, _r: V, _of: &C, _slopes: &C) -> Option<Partials<V>> {
        let (zero, inverse) = (x.c.lit(0.0), inverse_s(&x) * FRAC_2_PI);
        let k_p = -(x.c * inverse * half_inverse(x.p));
        Some(Partials { k_c: inverse, k_p, kdot: zero, kdot_c: zero, kdot_p: zero })
    }
    fn variance(&self, p: f64) -> f64 {
        if p > 0.0 { 1.0 } else { 0.0 }
    }
    fn homogeneity(&self) -> Option<u32> {
        Some(0)
    }
}
