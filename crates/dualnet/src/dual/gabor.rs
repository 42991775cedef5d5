//! The Gabor function.

use super::gaussian::ceiling;
use super::sin::smaller_distance2;
use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;

/// The dual of `exp(-x^2) sin(x)`. With d = 4 (pq - c^2) and D = 1 + 2 (p + q) + d,
/// k = exp(-(p + q + d) / 2D) sinh(c / D) / sqrt(D).
///
/// The hyperbolic sine is written by e^(-2|c|/D) - 1 and the exponent merged with it, so k keeps its digits at small
/// variances. The new 1-|rho| is that of k: absolutely accurate to a few roundings.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, gabor::Gabor};
/// let one = Pair { c: 1.0, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 0.0 };
/// let expected = 0.5 * (1.0 - (-0.4f64).exp()) / 5f64.sqrt();
/// assert!((DynDual::pair(&Gabor, one).k - expected).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gabor;

impl Dual for Gabor {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, _constants: &C) -> Image<V> {
        let one = x.c.lit(1.0);
        let det = (x.det() * 4.0).min(x.c.lit(ceiling::<V>()));
        let sum = x.p + x.q;
        let inverse = one / (sum.mul_add(x.c.lit(2.0), det + 1.0));
        let root = inverse.sqrt();
        let c = x.c.abs();
        let damping = ((smaller_distance2(&x) + det) * inverse * -0.5).exp() * 0.5;
        // 2 e^(-T) sinh(T) = -fall with T = |c| / D.
        let fall = (c * inverse * -2.0).exp_m1();
        let k = (damping * root * fall).abs().copysign(x.c);

        // Of E [(sh - df) + e^(2c/D) (sh + df)] / 2 D^(5/2): sh / D^(3/2) and df / D^(3/2), which stay in range.
        let even = root * (c * (c * inverse)).mul_add(x.c.lit(8.0), one);
        let odd = c * root * 4.0 * (sum + 1.0).mul_add(inverse, one);
        let kdot = damping * inverse * fall.mul_add(even - odd, even * 2.0);
        Image::from_k(k, kdot, r)
    }

    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, _r: V, _of: &C, _slopes: &C) -> Option<Partials<V>> {
        // k = (g_+ - g_-)/2 with g = exp(L), L = m/D - 1/2 - ln(D)/2, m = (1 + p + q +- 2c)/2: all from the derivatives of L.
        let det = (x.det() * 4.0).min(x.c.lit(ceiling::<V>()));
        let sum = x.p + x.q;
        let w = x.c.lit(1.0) / (sum.mul_add(x.c.lit(2.0), det + 1.0));
        let (d_c, d_p) = (x.c * -8.0 * w, (x.q * 4.0 + 2.0) * w);
        let side = |sign: f64| {
            let mw = (sum + 1.0 + x.c * (2.0 * sign)) * w * 0.5;
            let g = (mw - 0.5).exp() * w.sqrt() * (0.5 * sign);
            let l_c = w * sign - d_c * (mw + 0.5);
            let l_p = w * 0.5 - d_p * (mw + 0.5);
            let d_cc = w * -8.0;
            let l_cc = mw * (d_c * d_c * 2.0 - d_cc) - d_c * w * (2.0 * sign) - (d_cc - d_c * d_c) * 0.5;
            let l_cp = mw * d_c * d_p * 2.0 - d_p * w * sign - d_c * w * 0.5 + d_c * d_p * 0.5;
            [g * l_c, g * l_p, g * l_c.mul_add(l_c, l_cc), g * l_c.mul_add(l_p, l_cp)]
        };
        let (plus, minus) = (side(1.0), side(-1.0));
        let [k_c, k_p, kdot_c, kdot_p] = [0, 1, 2, 3].map(|i| plus[i] + minus[i]);
        Some(Partials { k_c, k_p, kdot: k_c, kdot_c, kdot_p })
    }
    fn variance(&self, p: f64) -> f64 {
        let d = 1.0 + 4.0 * p;
        -0.5 * (-2.0 * p / d).exp_m1() / d.sqrt()
    }
}
