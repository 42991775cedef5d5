//! The Gaussian error linear unit.

use super::arcsine::{self, Arcsine};
use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;
use std::f64::consts::{FRAC_1_PI, PI};

/// Dual of x Phi(x), Phi the normal distribution function: with D = (1 + p)(1 + q) - c^2 and th = atan2(c, sqrt D),
///
/// k = c/4 + [c th + (c^2 + p q D)/((1 + p)(1 + q) sqrt D)]/(2 pi),
/// kdot = 1/4 + th/(2 pi) + c/(2 pi sqrt D) [1/D + (1 - pq)/((1 + p)(1 + q)) + 1].
///
/// Evaluated as an angle between normalised samples (see [`Erf`](super::erf::Erf)), so that large variances, where GELU
/// becomes ReLU, lose nothing.
///
/// ```
/// use dualnet::dual::{DynDual, gelu::Gelu};
/// let k = DynDual::variance(&Gelu, 1.0);
/// assert!((k - 0.4252214825702987).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gelu;

/// Constants for each sample, behind those of the angle: sqrt D_p, its reciprocal, and t_p = (p - 1)/(p + 1).
const ROOT: usize = arcsine::LEN;
const INVERSE: usize = ROOT + 1;
const TILT: usize = ROOT + 2;

impl Gelu {
    /// k(p,p,p) + k(q,q,q) - 2k for c >= 0, without cancellation: with D_p = 1 + 2p and so on,
    /// (c^2 + pqD)/((1 + p)(1 + q) sqrt D) = 1/sqrt D + sqrt D (t_p + t_q)/2 where t = (p - 1)/(p + 1), and
    /// D_p - D = (p - q) - det.
    #[inline(always)]
    fn square<V: Real, C: Constants<V>>(x: &Pair<V>, arcs: &Arcsine<V>, of: &C) -> V {
        let half = x.c.lit(0.5);
        let (gap, distance2) = (x.p - x.q, x.distance2());
        let angles = distance2.mul_add(arcs.angle, gap * half * Arcsine::turn(of));
        let angles = ((x.p + x.q) * half).mul_add(arcs.gap(x, 1.0, of), angles);

        // (sqrt D_p - sqrt D) (t_p - 1/sqrt(D_p D)), and the same of the other sample.
        let det = x.det();
        let root = (x.p + x.q + 1.0 + det).sqrt();
        let inverse = half.lit(1.0) / root;
        let roots = (gap - det) / (of.row(ROOT) + root) * (of.row(TILT) - of.row(INVERSE) * inverse)
            - (gap + det) / (of.col(ROOT) + root) * (of.col(TILT) - of.col(INVERSE) * inverse);
        (angles + roots).mul_add(half.lit(0.5 / PI), distance2 * 0.25)
    }
}

impl Dual for Gelu {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C) -> Image<V> {
        let (zero, quarter, turn) = (x.c.lit(0.0), x.c.lit(0.25), x.c.lit(0.5 / PI));
        let arcs = Arcsine::new(&x, of);
        let inverse = zero.lit(1.0) / arcs.cosine;
        let tangent = arcs.rho * inverse;
        let linear = arcs.angle.mul_add(turn, quarter);
        let bowed = (arcs.slope * arcs.rho).mul_add(tangent, x.r() * arcs.reach * arcs.cosine);
        let k = x.c.mul_add(linear, bowed * turn);

        let steep = arcs.slope * inverse;
        let bracket = steep.mul_add(steep, arcs.slope.mul_add(arcs.slope, arcs.rest2()));
        let kdot = (tangent * bracket).mul_add(turn, linear);
        let image = arcsine::coarse(k, kdot, r);
        if arcsine::carries_all_digits::<V>() {
            let fine = arcsine::fine(image, r, Self::square(&x, &arcs, of), of);
            return Image { delta: V::select(x.c.lt(zero), image.delta, fine.delta), ..image };
        }
        image
    }
    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C, _slopes: &C) -> Option<Partials<V>> {
        // With phi'' = (2 - x^2) n(x), n the normal density, and P = 1 + p, Q = 1 + q:
        // dk/dp = E[phi''(u) phi(v)]/2, d kdot/dc = E[phi''(u) phi''(v)], d kdot/dp = d(dk/dp)/dc.
        let one = x.c.lit(1.0);
        let (big_p, big_q, det) = (x.p + 1.0, x.q + 1.0, x.det());
        let d = x.p + x.q + 1.0 + det;
        let (inverse, root, inverse_p) = (one / d, one / d.sqrt(), one / big_p);
        let (over_d, over_p) = (x.c * inverse, x.c * inverse_p);
        let (ratio_p, ratio_q) = (big_p * inverse, big_q * inverse);
        let bowl = (one + inverse_p) * ((x.q + det) * inverse_p) - over_p * over_p * (one + ratio_p);
        let bent = (one + ratio_p).mul_add(one + ratio_q, over_d * over_d * 2.0);
        let turned = (inverse_p * 2.0 + 1.0 + inverse + over_d * over_d) * inverse_p * 2.0;
        let kdot = self.pair(x, r, of).kdot;
        Some(Partials {
            k_c: kdot,
            k_p: bowl * root * (0.25 * FRAC_1_PI),
            kdot,
            kdot_c: bent * root * (0.5 * FRAC_1_PI),
            kdot_p: x.c * root * (bowl * inverse - turned) * (0.25 * FRAC_1_PI),
        })
    }
    fn variance(&self, p: f64) -> f64 {
        if p == 0.0 {
            return 0.0;
        }
        // The formula at c = p, with sqrt D = sqrt(1 + 2p) and a = p/(1 + p).
        let root = (1.0 + 2.0 * p).sqrt();
        let a = p / (1.0 + p);
        p * 0.25 + (p * arcsine::own_angle(p) + a * a / root + a * a * root) / (2.0 * PI)
    }
    fn constants_len(&self) -> usize {
        TILT + 1
    }
    fn constants(&self, p: f64, out: &mut [f64]) {
        arcsine::constants(p, 1.0, Dual::variance(self, p), out);
        let root = (1.0 + 2.0 * p).sqrt();
        for (out, value) in out.iter_mut().skip(ROOT).zip([root, 1.0 / root, (p - 1.0) / (p + 1.0)]) {
            *out = value;
        }
    }
}
