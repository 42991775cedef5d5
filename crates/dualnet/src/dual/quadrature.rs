//! Duals by Gauss-Hermite quadrature in two dimensions (kernels.md, section 3), for `"dual": {"quadrature": m}`.
//!
//! With nodes x_i and weights w_i for e^(-x^2), u_i = sqrt(2p) x_i and v_ij = sqrt(2q) (rho x_i + sqrt(1 - rho^2) x_j):
//!
//! k = (1/pi) sum_ij w_i w_j phi(u_i) phi(v_ij), and kdot the same with phi'.
//!
//! **Not positive semidefinite**, and kdot is not the derivative of this k: both are only as good as the rule, which is good for
//! smooth activations at moderate variances and poor at kinks. A Hermite expansion ([`crate::dual::hermite`]) costs far less
//! (m^2 activations a pair here) and is positive semidefinite; this is for comparison with programs that use this rule.

use super::quadrature_rule::Rule;
use super::{Constants, Dual, Image, Pair};
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::simd::Real;
use std::f64::consts::{FRAC_1_PI, SQRT_2};

/// Most points a dimension: beyond, a pair takes 65,536 activations.
pub const MAX_POINTS: usize = 256;

/// Which of both variables takes the outer sum, in which the rule is not symmetric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Outer {
    /// The one of larger variance: k is symmetric.
    #[default]
    Larger,
    /// The first of the pair, as neural-tangents has it: k(c, p, q) differs from k(c, q, p).
    First,
}

/// The dual of an activation by quadrature. See the [module](self).
///
/// ```
/// use dualnet::activation::Activation;
/// use dualnet::dual::{DynDual, quadrature::{Outer, QuadratureDual}};
/// let dual = QuadratureDual::new(&Activation::Tanh, 25, Outer::Larger)?;
/// assert!((DynDual::variance(&dual, 1.0) - 0.394_294).abs() < 1e-3);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct QuadratureDual {
    activation: Activation,
    rule: Rule,
    outer: Outer,
}

impl QuadratureDual {
    /// With `points` (1 to 256) points a dimension.
    ///
    /// Errors: another number of points; a kernel without activation (`hermite`, `exp_normalized`).
    pub fn new(activation: &Activation, points: usize, outer: Outer) -> Result<Self> {
        if activation.phi(0.0).is_none() {
            return Err(Error::Unsupported {
                at: activation.name().into(),
                what: "quadrature of a kernel without activation".into(),
                hint: "use its closed form (leave out \"dual\")".into(),
            });
        }
        if points == 0 || points > MAX_POINTS {
            return Err(Error::Invalid {
                what: "points of a quadrature dual".into(),
                expected: format!("1 to {MAX_POINTS}"),
                found: points.to_string(),
                hint: "25 points suit smooth activations".into(),
            });
        }
        Ok(Self { activation: activation.clone(), rule: Rule::gauss_hermite(points)?, outer })
    }

    /// k and kdot with the first variable outside.
    #[inline(always)]
    fn sums<V: Real>(&self, sp: V, sq: V, rho: V, root: V) -> (V, V) {
        let zero = sp.lit(0.0);
        let (mut k, mut kdot) = (zero, zero);
        for (&x, &w) in self.rule.nodes.iter().zip(&self.rule.weights) {
            let (mut inner, mut inner_dot) = (zero, zero);
            for (&y, &v) in self.rule.nodes.iter().zip(&self.rule.weights) {
                let at = sq * (rho * (SQRT_2 * x) + root * (SQRT_2 * y));
                inner = inner + self.phi(at) * v;
                inner_dot = inner_dot + self.slope(at) * v;
            }
            let at = sp * (SQRT_2 * x);
            k = k + self.phi(at) * inner * w;
            kdot = kdot + self.slope(at) * inner_dot * w;
        }
        (k * FRAC_1_PI, kdot * FRAC_1_PI)
    }

    // `new` refuses activations without a value, so the zeros below are never taken.
    #[inline(always)]
    fn phi<V: Real>(&self, x: V) -> V {
        self.activation.phi(x).unwrap_or(x.lit(0.0))
    }
    #[inline(always)]
    fn slope<V: Real>(&self, x: V) -> V {
        self.activation.derivative(x).unwrap_or(x.lit(0.0))
    }
}

impl Dual for QuadratureDual {
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, _constants: &C) -> Image<V> {
        let (outer, inner) = match self.outer {
            Outer::First => (x.sp, x.sq),
            Outer::Larger => (x.sp.max(x.sq), x.sp.min(x.sq)),
        };
        let (k, kdot) = self.sums(outer, inner, x.rho(), x.sin2().sqrt());
        Image::from_k(k, kdot, r)
    }

    fn variance(&self, p: f64) -> f64 {
        let s = SQRT_2 * p.sqrt();
        let nodes = self.rule.nodes.iter().zip(&self.rule.weights);
        nodes.map(|(x, w)| w * self.phi(s * x).powi(2)).sum::<f64>() / std::f64::consts::PI.sqrt()
    }

    fn homogeneity(&self) -> Option<u32> {
        self.activation.homogeneity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dual::DynDual;

    fn pair(p: f64, q: f64, rho: f64) -> Pair<f64> {
        let (sp, sq) = (p.sqrt(), q.sqrt());
        Pair { c: rho * sp * sq, p, q, sp, sq, delta: 1.0 - rho.abs() }
    }

    #[test]
    fn exact_for_polynomials() {
        let cube = Activation::Polynomial { coefficients: vec![0.5, 0.0, 0.0, 1.0] };
        let dual = QuadratureDual::new(&cube, 8, Outer::Larger).unwrap();
        let x = pair(0.7, 1.9, -0.4);
        let image = DynDual::pair(&dual, x);
        // E[u^3 v^3] = 9 p q c + 6 c^3; E[9 u^2 v^2] = 9 (p q + 2 c^2).
        let k = 0.25 + 9.0 * x.p * x.q * x.c + 6.0 * x.c.powi(3);
        assert!((image.k - k).abs() < 1e-13 * k.abs());
        assert!((image.kdot - 9.0 * (x.p * x.q + 2.0 * x.c * x.c)).abs() < 1e-12);
        assert!((DynDual::variance(&dual, 0.7) - 0.25 - 15.0 * 0.7f64.powi(3)).abs() < 1e-13);
    }

    #[test]
    fn symmetric_unless_asked_for_the_raw_rule() {
        let (x, mirrored) = (pair(0.4, 3.0, 0.6), pair(3.0, 0.4, 0.6));
        let k = |outer, x| DynDual::pair(&QuadratureDual::new(&Activation::Tanh, 9, outer).unwrap(), x).k;
        assert_eq!(k(Outer::Larger, x), k(Outer::Larger, mirrored));
        assert!((k(Outer::First, x) - k(Outer::First, mirrored)).abs() > 1e-6);
        assert_eq!(k(Outer::First, mirrored), k(Outer::Larger, x));
    }

    #[test]
    fn zero_variances_and_ends_are_finite() {
        for activation in [Activation::Tanh, Activation::Selu, Activation::Softplus] {
            let dual = QuadratureDual::new(&activation, 25, Outer::Larger).unwrap();
            let zero = Pair { c: 0.0, p: 0.0, q: 1.0, sp: 0.0, sq: 1.0, delta: 1.0 };
            let image = DynDual::pair(&dual, zero);
            assert!(image.k.is_finite() && image.kdot.is_finite() && (0.0..=1.0).contains(&image.delta));
            let image = DynDual::pair(&dual, pair(0.8, 0.8, 1.0));
            assert!((image.k - DynDual::variance(&dual, 0.8)).abs() < 1e-14);
        }
    }

    #[test]
    fn refuses_bad_requests() {
        assert!(QuadratureDual::new(&Activation::Tanh, 0, Outer::Larger).is_err());
        assert!(QuadratureDual::new(&Activation::Tanh, 257, Outer::Larger).is_err());
        let kernel = Activation::ExpNormalized { gamma: 1.0, shift: -1.0 };
        assert!(QuadratureDual::new(&kernel, 25, Outer::Larger).is_err());
    }
}
