//! Piecewise linear activations: a min(x, 0) + b max(x, 0), and the identity.

use super::partials::{half_inverse, inverse_s};
use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;
use std::f64::consts::{FRAC_1_PI, FRAC_PI_2, PI};

/// Dual of the identity: the covariance itself.
///
/// ```
/// use dualnet::dual::{DynDual, abrelu::Identity};
/// assert_eq!(DynDual::variance(&Identity, 2.5), 2.5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Identity;

impl Dual for Identity {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, _: V, _: &C) -> Image<V> {
        Image { k: x.c, kdot: x.c.lit(1.0), delta: x.delta }
    }
    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, _r: V, _of: &C, _slopes: &C) -> Option<Partials<V>> {
        let zero = x.c.lit(0.0);
        Some(Partials { k_c: zero.lit(1.0), k_p: zero, kdot: zero.lit(1.0), kdot_c: zero, kdot_p: zero })
    }
    fn variance(&self, p: f64) -> f64 {
        p
    }
    fn homogeneity(&self) -> Option<u32> {
        Some(1)
    }
}

/// Dual of a min(x, 0) + b max(x, 0), the arc-cosine kernel of degree 1 for any two slopes (kernels of Cho and Saul, 2009):
/// with theta the angle between the pre-activations and s = sqrt(pq - c^2),
///
/// kdot = (a^2 + b^2)/2 - (a - b)^2 theta/(2 pi), k = (a - b)^2 s/(2 pi) + c kdot.
///
/// At p q = 0 the angle counts as pi/2.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, abrelu::AbRelu};
/// // Two orthogonal unit vectors under ReLU: k = 1/(2 pi), kdot = 1/4.
/// let image = DynDual::pair(&AbRelu::relu(), Pair { c: 0.0, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 1.0 });
/// assert!((image.k - 0.5 / std::f64::consts::PI).abs() < 1e-15);
/// assert!((image.kdot - 0.25).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AbRelu {
    /// (a^2 + b^2)/2, the variance map's slope.
    gain: f64,
    /// (a - b)^2/(2 pi).
    kink: f64,
    /// (a + b)^2/4, kdot at a right angle.
    right: f64,
    /// g = (a - b)^2/(a^2 + b^2) in [0, 2]: 0 for a line, 1 for ReLU, 2 for the absolute value.
    bend: f64,
    /// 2 - g = (a + b)^2/(a^2 + b^2), on its own because it vanishes for the absolute value.
    fold: f64,
}

impl AbRelu {
    /// Slope `a` below 0 and `b` above.
    pub fn new(a: f64, b: f64) -> Self {
        let norm = a * a + b * b;
        let share = |v: f64| if norm > 0.0 { v * v / norm } else { 0.0 };
        let kink = (a - b) * (a - b) / (2.0 * PI);
        Self { gain: norm / 2.0, kink, right: (a + b) * (a + b) / 4.0, bend: share(a - b), fold: share(a + b) }
    }
    /// max(x, 0).
    pub fn relu() -> Self {
        Self::new(0.0, 1.0)
    }
    /// alpha min(x, 0) + max(x, 0).
    pub fn leaky_relu(alpha: f64) -> Self {
        Self::new(alpha, 1.0)
    }
    /// |x|.
    pub fn abs() -> Self {
        Self::new(-1.0, 1.0)
    }

    /// The new 1 - |rho|.
    ///
    /// The new correlation is rho' = rho + g (sin theta - theta cos theta)/pi. In the acute angle alpha, with
    /// h = sin alpha - alpha cos alpha:
    ///
    /// - rho >= 0: 1 - rho' = delta - g h/pi;
    /// - rho < 0: rho' = (g - 1)(1 - delta) + g h/pi, so 1 - rho' = 2 - g + (g - 1) delta - g h/pi and
    ///   1 + rho' = g - (g - 1) delta + g h/pi; the smaller of both counts.
    ///
    /// Rounding in h, eps alpha, is at most eps in the next angle.
    #[inline(always)]
    fn next_delta<V: Real>(&self, x: &Pair<V>, acute: V, sin: V, negative: V::Mask) -> V {
        let cos = x.delta.lit(1.0) - x.delta;
        let h = (sin - acute * cos) * (self.bend * FRAC_1_PI);
        let turned = x.delta.mul_add(cos.lit(self.bend - 1.0), -h);
        let obtuse = (turned + self.fold).min(cos.lit(self.bend) - turned);
        V::select(negative, obtuse, x.delta - h)
    }
}

impl Dual for AbRelu {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, _: &C) -> Image<V> {
        let (zero, one) = (x.c.lit(0.0), x.c.lit(1.0));
        let negative = x.c.lt(zero);
        let acute = x.delta.acos_one_minus();
        let sin = x.sin2().sqrt();
        let theta = V::select(negative, acute.lit(PI) - acute, acute);
        let proper = zero.lt(r);
        // At a variance of 0 the angle is right, and stays so: exactly, since |x| has kdot = 0 there.
        let kdot = theta.mul_add(zero.lit(-self.kink), zero.lit(self.gain));
        let kdot = V::select(proper, kdot, zero.lit(self.right));
        let k = x.c.mul_add(kdot, x.r() * sin * self.kink);
        let delta = self.next_delta(&x, acute, sin, negative).max(zero).min(one);
        Image { k, kdot, delta: V::select(proper, delta, one) }
    }
    /// With the angle to the right angle, (a + b)^2/4 -+ kink (pi/2 - alpha), and one root in single precision.
    #[inline(always)]
    fn values<V: Real, C: Constants<V>>(&self, x: Pair<V>, _: V, _: &C) -> (V, V) {
        let (root, angle, sine) = x.delta.acos_sin_parts();
        let root = root * self.kink;
        let away = (-root).mul_add(angle, root.lit(self.kink * FRAC_PI_2));
        let kdot = away.copysign(x.c) + self.right;
        (x.c.mul_add(kdot, x.r() * root * sine), kdot)
    }
    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C, _slopes: &C) -> Option<Partials<V>> {
        let kdot = self.pair(x, r, of).kdot;
        let (inverse, half) = (inverse_s(&x), half_inverse(x.p));
        let kdot_c = inverse * self.kink;
        // k/(2p) less c kdot/(2p) leaves the sine alone.
        let k_p = x.r() * x.sin2().sqrt() * half * self.kink;
        Some(Partials { k_c: kdot, k_p, kdot, kdot_c, kdot_p: -(x.c * kdot_c * half) })
    }
    fn variance(&self, p: f64) -> f64 {
        self.gain * p
    }
    fn homogeneity(&self) -> Option<u32> {
        Some(1)
    }
}
