//! How far an SNNK may be from what it estimates, and how errors grow with depth.
//!
//! An estimate is a mean X of m terms X_i with mean K. For independent terms with |X_i| <= c, Hoeffding's inequality
//! (1963, theorem 2) gives
//!
//! P(|X - K| >= eps) <= 2 exp(-m eps^2 / (2 c^2)),
//!
//! and for differences of a martingale with |X_i - K| <= 2 c, as terms of dependent rows of a projection may be, that
//! of Azuma gives 2 exp(-m eps^2 / (8 c^2)). (The authors' rebuttal prints exp(-eps^2 / (8 m c^2)), which would make
//! more features worse: the inequality for a sum, applied to a mean.)

use super::layer::DenseLayer;
use crate::activation::{Activation, SELU_ALPHA, SELU_SCALE, SIGMOID_LIKE_WIDTH};
use crate::kernel::Float;
use std::f64::consts::{E, FRAC_2_SQRT_PI};

/// What is known of the terms of a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Terms {
    /// Independent, each at most c from 0.
    Independent(f64),
    /// Each at most 2 c from its mean given those before it.
    Martingale(f64),
}

impl Terms {
    /// v of the exponent -m eps^2 / v.
    fn spread(self) -> f64 {
        match self {
            Self::Independent(c) => 2.0 * c * c,
            Self::Martingale(c) => 8.0 * c * c,
        }
    }
}

/// Bound of the probability that a mean of `features` terms is `error` or more from its expectation, at most 1.
///
/// ```
/// use dualnet::snnk::bound::{Terms, deviation_probability};
/// let p = deviation_probability(Terms::Independent(1.0), 1000, 0.1);
/// assert!((p - 2.0 * (-5.0f64).exp()).abs() < 1e-15);
/// // More features: less likely.
/// assert!(deviation_probability(Terms::Independent(1.0), 2000, 0.1) < p);
/// ```
pub fn deviation_probability(terms: Terms, features: usize, error: f64) -> f64 {
    let spread = terms.spread();
    if spread == 0.0 {
        return if error > 0.0 { 0.0 } else { 1.0 };
    }
    (2.0 * (-(features as f64) * error * error / spread).exp()).min(1.0)
}

/// The error that a mean of `features` terms exceeds with at most this probability; infinite for 0.
///
/// ```
/// use dualnet::snnk::bound::{Terms, deviation_probability, deviation};
/// let error = deviation(Terms::Martingale(2.0), 512, 0.05);
/// assert!((deviation_probability(Terms::Martingale(2.0), 512, error) - 0.05).abs() < 1e-12);
/// ```
pub fn deviation(terms: Terms, features: usize, probability: f64) -> f64 {
    if terms.spread() == 0.0 || probability >= 2.0 {
        return 0.0;
    }
    (terms.spread() * (2.0 / probability.max(0.0)).ln() / features.max(1) as f64).sqrt()
}

/// Features for which a mean is `error` or more from its expectation with at most this probability; `usize::MAX` where
/// no number suffices.
///
/// ```
/// use dualnet::snnk::bound::{Terms, features_for};
/// // 2 ln(40) / 0.01.
/// assert_eq!(features_for(Terms::Independent(1.0), 0.1, 0.05), 738);
/// ```
pub fn features_for(terms: Terms, error: f64, probability: f64) -> usize {
    if error.is_nan() || error == 0.0 {
        return usize::MAX;
    }
    (terms.spread() * (2.0 / probability.max(0.0)).ln().max(0.0) / (error * error)).ceil() as usize
}

/// Error after `depth` layers that add `error` each: eps + delta(eps) + delta(delta(eps)) + ..., `depth` terms.
///
/// `modulus` is the modulus of continuity of a layer, the most that its output changes where its input changes by its
/// argument; it has to be subadditive, as every modulus on a convex set is, or else the sum is no bound.
///
/// ```
/// use dualnet::snnk::bound::depth_error;
/// // A Lipschitz constant of 2: 0.1 (1 + 2 + 4).
/// assert!((depth_error(0.1, 3, |e| 2.0 * e) - 0.7).abs() < 1e-15);
/// ```
pub fn depth_error(error: f64, depth: usize, modulus: impl Fn(f64) -> f64) -> f64 {
    let terms = std::iter::successors(Some(error), |&e| Some(modulus(e)));
    terms.take(depth).sum()
}

/// Probability that any of `depth` layers exceeds its error, where each does with at most `probability`: the union
/// bound.
///
/// ```
/// use dualnet::snnk::bound::depth_probability;
/// assert_eq!(depth_probability(0.01, 5), 0.05);
/// ```
pub fn depth_probability(probability: f64, depth: usize) -> f64 {
    (probability * depth as f64).min(1.0)
}

/// sup |f'|, the Lipschitz constant of an activation; `None` where there is none (jumps, growth faster than linear), or
/// where no formula is known. Constants without a formula are rounded up in the seventh digit.
///
/// ```
/// use dualnet::{activation::Activation, snnk::bound::lipschitz};
/// assert_eq!(lipschitz(&Activation::Sigmoid), Some(0.25));
/// assert_eq!(lipschitz(&Activation::Sign), None);
/// ```
pub fn lipschitz(activation: &Activation) -> Option<f64> {
    use Activation::*;
    Some(match *activation {
        Identity | Relu | Abs | Tanh | Softplus | Gabor => 1.0,
        LeakyRelu { alpha } => alpha.abs().max(1.0),
        Abrelu { a, b } => a.abs().max(b.abs()),
        Erf { a, b, .. } => (a * b).abs() * FRAC_2_SQRT_PI,
        SigmoidLike => 0.5 / SIGMOID_LIKE_WIDTH * FRAC_2_SQRT_PI,
        Sin { a, b, .. } | Cos { a, b, .. } => (a * b).abs(),
        Rbf { gamma } => 2.0 * gamma.sqrt(),
        Gaussian { a, b } => a.abs() * (2.0 * b.abs() / E).sqrt(),
        Sigmoid => 0.25,
        Silu => 1.099_840,
        Gelu => 1.128_905,
        GeluTanh => 1.128_994,
        Mish => 1.088_500,
        Elu { alpha } => alpha.abs().max(1.0),
        Selu => SELU_SCALE * SELU_ALPHA,
        _ => return None,
    })
}

/// Lipschitz constant of f(W x + b) from the largest entry of x to the largest of the output: that of f times the
/// largest sum of |W_ij| over a row.
pub(super) fn layer_lipschitz<T: Float>(layer: &DenseLayer<T>) -> Option<f64> {
    let weights = layer.weights();
    let sums = (0..weights.rows()).map(|i| weights.row(i).iter().map(|w| w.to_f64().abs()).sum::<f64>());
    Some(lipschitz(layer.activation())? * sums.fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steepest slope on a fine grid is the constant, from below.
    #[test]
    fn constants_are_the_largest_slopes() {
        for activation in Activation::examples() {
            let Some(constant) = lipschitz(&activation) else { continue };
            // Beside the grid both sides of a kink at 0.
            let points = (-400_000..=400_000).map(|i| f64::from(i) * 5e-5).chain([-1e-9, 1e-9]);
            let slopes = points.filter_map(|x| activation.derivative(x));
            let steepest = slopes.fold(0.0, |a: f64, b| a.max(b.abs()));
            let name = activation.name();
            assert!(steepest <= constant * (1.0 + 1e-14), "{name}: {steepest} {constant}");
            assert!(steepest >= constant * (1.0 - 1e-5), "{name}: {steepest} {constant}");
        }
    }
}
