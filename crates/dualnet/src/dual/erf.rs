//! Error functions: a erf(b x) + c, and the sigmoid made of one.

use super::arcsine::{self, Arcsine};
use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;
use std::f64::consts::{FRAC_2_PI, SQRT_2};

/// 1/b of the error function nearest to the logistic sigmoid on \[-5, 5\] by least squares.
const SIGMOID_WIDTH: f64 = 2.4020563531719796;

/// Dual of a erf(b x) + c (Williams, 1998): with P = b^2 p, Q = b^2 q, C = b^2 c and D = (1 + 2P)(1 + 2Q) - 4C^2,
///
/// k = (2 a^2/pi) atan2(2C, sqrt D) + c^2, kdot = 4 a^2 b^2/(pi sqrt D).
///
/// Evaluated as an angle between normalised samples, so that no variance is too large or too small. In double precision
/// the new 1 - |rho| keeps its digits near 1; in single precision it is the quotient's.
///
/// ```
/// use dualnet::dual::{DynDual, erf::Erf};
/// // Variance 1 under erf: (2/pi) asin(2/3).
/// let k = DynDual::variance(&Erf::new(1.0, 1.0, 0.0), 1.0);
/// assert!((k - 0.46455905439754).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Erf {
    /// 2 a^2/pi.
    scale: f64,
    /// sqrt(2) |b|.
    rate: f64,
    /// c^2.
    shift: f64,
}

impl Erf {
    /// a erf(b x) + c.
    pub fn new(a: f64, b: f64, c: f64) -> Self {
        Self { scale: FRAC_2_PI * a * a, rate: SQRT_2 * b.abs(), shift: c * c }
    }
    /// erf(x / 2.4020563531719796)/2 + 1/2.
    pub fn sigmoid_like() -> Self {
        Self::new(0.5, 1.0 / SIGMOID_WIDTH, 0.5)
    }

    /// k(p,p,p) + k(q,q,q) - 2 |k|. At the other side of a right angle the shift, common to both samples, stands against
    /// the correlation: either all terms add up, or k has changed its sign and the shift is lost twice.
    #[inline(always)]
    fn square<V: Real, C: Constants<V>>(&self, x: &Pair<V>, k: V, arcs: &Arcsine<V>, of: &C) -> V {
        let zero = k.lit(0.0);
        let gap = arcs.gap(x, self.rate, of) * self.scale;
        let opposed =
            V::select(k.lt(zero), gap + 4.0 * self.shift, arcs.angle.abs().mul_add(zero.lit(4.0 * self.scale), gap));
        V::select(x.c.lt(zero), opposed, gap)
    }
}

impl Dual for Erf {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C) -> Image<V> {
        let arcs = Arcsine::new(&x, of);
        let k = arcs.angle.mul_add(r.lit(self.scale), r.lit(self.shift));
        let kdot = arcs.slope * self.scale / arcs.cosine;
        let image = arcsine::coarse(k, kdot, r);
        if arcsine::carries_all_digits::<V>() {
            return arcsine::fine(image, r, self.square(&x, k, &arcs, of), of);
        }
        image
    }
    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, _r: V, of: &C, _slopes: &C) -> Option<Partials<V>> {
        let arcs = Arcsine::new(&x, of);
        let inverse = x.c.lit(1.0) / arcs.cosine;
        let kdot = arcs.slope * inverse * self.scale;
        let square = arcsine::slope(of);
        let square = square * square * -0.5;
        Some(Partials {
            k_c: kdot,
            k_p: arcs.rho * inverse * square * self.scale,
            kdot,
            kdot_c: kdot * arcs.slope * arcs.rho * (inverse * inverse),
            kdot_p: kdot * square * (inverse * inverse),
        })
    }
    fn variance(&self, p: f64) -> f64 {
        self.scale * arcsine::own_angle(p * self.rate * self.rate) + self.shift
    }
    fn constants_len(&self) -> usize {
        arcsine::LEN
    }
    fn constants(&self, p: f64, out: &mut [f64]) {
        arcsine::constants(p, self.rate, Dual::variance(self, p), out);
    }
}
