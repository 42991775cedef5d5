//! Rectified monomials: x^n for x >= 0, else 0.

use super::partials::{half_inverse, inverse_s};
use super::{Constants, Dual, Image, Pair, Partials};
use crate::simd::Real;
use std::f64::consts::{FRAC_1_PI, PI};

/// Dual of x^n \[x >= 0\], the arc-cosine kernel of degree n (Cho and Saul, 2009), and its kdot = n^2 k of degree n - 1.
///
/// With x = 1 - cos theta and kappa_n = k_n / sqrt(k_n(p,p,p) k_n(q,q,q)), the complement eps_n = 1 - kappa_n satisfies
///
/// eps_{n+1} = x (1 - w_n (2 - x)) + (1 - x) eps_n + w_n sin^2 theta eps_{n-1}, w_n = n^2/(4 n^2 - 1),
///
/// (Cho and Saul's J_{n+1} = (2n + 1) cos theta J_n + n^2 sin^2 theta J_{n-1}, normalised). For acute angles no term is
/// negative, so that eps_n, the new 1 - rho, keeps all its digits however small it is; for obtuse ones errors stay
/// below a few roundings of kappa(0) = 1.
///
/// Variance (2n - 1)!!/2 p^n; for n = 0, the step function, 1/2 and 1/4 at p = 0, with kdot = 0 by convention as for sign.
/// Cost: three operations for each degree.
///
/// ```
/// use dualnet::dual::{DynDual, rectified_monomial::RectifiedMonomial};
/// assert_eq!(DynDual::variance(&RectifiedMonomial::new(2), 2.0), 6.0);
/// ```
#[derive(Clone, Debug)]
pub struct RectifiedMonomial {
    degree: u32,
    /// w_1, ..., w_{n-1}.
    weights: Vec<f64>,
}

impl RectifiedMonomial {
    /// x^degree \[x >= 0\].
    pub fn new(degree: u32) -> Self {
        let weight = |n: u32| {
            let square = f64::from(n) * f64::from(n);
            square / (4.0 * square - 1.0)
        };
        Self { degree, weights: (1..degree).map(weight).collect() }
    }

    /// The step function. Its variance jumps at 0, so that pairs with a constant sample have an angle of their own.
    #[inline(always)]
    fn step<V: Real>(x: &Pair<V>, r: V) -> Image<V> {
        let (zero, one) = (x.c.lit(0.0), x.c.lit(1.0));
        let proper = zero.lt(x.r());
        let share = x.theta() * FRAC_1_PI;
        // A quarter sharp: two constant samples have correlation 1, and the next layer takes the root of its complement.
        let k = V::select(proper, (one - share) * 0.5, zero.lit(0.25));
        let constant = (one - k / r).max(zero);
        Image { k, kdot: zero, delta: V::select(proper, share, constant) }
    }
}

impl RectifiedMonomial {
    /// eps_n for `n` below the degree.
    #[inline(always)]
    fn complement<V: Real>(x: &Pair<V>, weights: &[f64], n: u32) -> V {
        let theta = x.theta();
        let y = V::select(x.c.lt(x.c.lit(0.0)), x.delta.lit(2.0) - x.delta, x.delta);
        let (cos, rest, sin2) = (y.lit(1.0) - y, y.lit(2.0) - y, x.sin2());
        let (mut before, mut last) = (theta * FRAC_1_PI, y - (sin2.sqrt() - theta * cos) * FRAC_1_PI);
        if n == 0 {
            return before;
        }
        for &w in weights.iter().take(n as usize - 1) {
            let straight = y * (y.lit(1.0) - rest * w);
            let next = cos.mul_add(last, (sin2 * w).mul_add(before, straight));
            (before, last) = (last, next);
        }
        last
    }
}

/// (2n - 1)!!/2 p^n, the product taken step by step so that large n and small p meet in range.
fn half_moment(n: u32, p: f64) -> f64 {
    (1..=n).map(|j| (2.0 * f64::from(j) - 1.0) * p).fold(0.5, |a, b| a * b)
}

impl Dual for RectifiedMonomial {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, constants: &C) -> Image<V> {
        if self.degree == 0 {
            return Self::step(&x, r);
        }
        let (zero, one) = (x.c.lit(0.0), x.c.lit(1.0));
        let negative = x.c.lt(zero);
        let acute = x.delta.acos_one_minus();
        let sin2 = x.sin2();
        let far = one + one - x.delta;
        // y = 1 - cos theta and 2 - y.
        let (y, rest) = (V::select(negative, far, x.delta), V::select(negative, x.delta, far));
        let cos = one - y;
        let theta = V::select(negative, acute.lit(PI) - acute, acute);
        let mut before = theta * FRAC_1_PI;
        let mut last = y - (sin2.sqrt() - theta * cos) * FRAC_1_PI;
        for &w in &self.weights {
            let straight = y * (one - rest * w);
            let next = cos.mul_add(last, (sin2 * w).mul_add(before, straight));
            (before, last) = (last, next);
        }
        let delta = last.max(zero).min(one);
        let kdot = constants.row(0) * constants.col(0) * (one - before.min(one));
        let k = r * (one - delta);
        Image { k, kdot, delta: V::select(zero.lt(r), delta, one) }
    }
    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, of: &C, _slopes: &C) -> Option<Partials<V>> {
        let (zero, one) = (x.c.lit(0.0), x.c.lit(1.0));
        let inverse = inverse_s(&x) * (0.5 * FRAC_1_PI);
        if self.degree == 0 {
            let k_p = -(x.c * inverse * half_inverse(x.p));
            return Some(Partials { k_c: inverse, k_p, kdot: zero, kdot_c: zero, kdot_p: zero });
        }
        let Image { k, kdot, .. } = self.pair(x, r, of);
        if self.degree == 1 {
            return Some(Partials::homogeneous(&x, 1.0, (k, kdot), (kdot, inverse)));
        }
        // d kdot/dc = n^2 (n - 1)^2 k of degree n - 2, in terms of the deviations of kdot.
        let n = f64::from(self.degree);
        let scale = of.row(0) * of.col(0) * ((n - 1.0) * (n - 1.0) / (2.0 * n - 3.0));
        let lower = one - Self::complement(&x, &self.weights, self.degree - 2);
        let kdot_c = V::select(zero.lt(x.r()), scale * lower / x.r(), zero);
        Some(Partials::homogeneous(&x, n, (k, kdot), (kdot, kdot_c)))
    }
    fn variance(&self, p: f64) -> f64 {
        match self.degree {
            0 if p > 0.0 => 0.5,
            0 => 0.25,
            n => half_moment(n, p),
        }
    }
    /// The square root of kdot(p, p, p) = n^2 (2n - 3)!!/2 p^(n-1).
    fn constants_len(&self) -> usize {
        usize::from(self.degree > 0)
    }
    fn constants(&self, p: f64, out: &mut [f64]) {
        if let Some(out) = out.first_mut() {
            let n = f64::from(self.degree);
            *out = n * half_moment(self.degree - 1, p).sqrt();
        }
    }
    fn homogeneity(&self) -> Option<u32> {
        Some(self.degree)
    }
}
