//! The activation functions themselves and their slopes, over any [`Real`].

use super::{Activation, gated, periodic, polynomial, relu, smooth};
use crate::simd::Real;
use std::f64::consts::{FRAC_PI_4, SQRT_2};

/// Scale of SELU.
pub const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// Slope factor of SELU below 0, before the scale.
pub const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
/// Width at which the error function is nearest to the logistic sigmoid on \[-5, 5\].
pub const SIGMOID_LIKE_WIDTH: f64 = 2.402_056_353_171_979_6;

impl Activation {
    /// phi(x); `None` for the two kernels that no activation stands behind (`hermite`, `exp_normalized`).
    ///
    /// Finite wherever the true value is, for |x| up to 1e300 in f64.
    ///
    /// ```
    /// use dualnet::activation::Activation;
    /// let silu = Activation::Silu;
    /// assert_eq!(silu.phi(-1e300), Some(-0.0));
    /// assert!((silu.phi(1.0f64).unwrap() - 0.731_058_578_630_004_9).abs() < 1e-15);
    /// ```
    #[inline(always)]
    pub fn phi<V: Real>(&self, x: V) -> Option<V> {
        Some(match *self {
            Self::Identity => x,
            Self::Relu => x.max(x.lit(0.0)),
            Self::LeakyRelu { alpha } => relu::abrelu(x, alpha, 1.0),
            Self::Abs => x.abs(),
            Self::Abrelu { a, b } => relu::abrelu(x, a, b),
            Self::Erf { a, b, c } => smooth::erf(x, a, b, c),
            Self::SigmoidLike => smooth::erf(x, 0.5, 1.0 / SIGMOID_LIKE_WIDTH, 0.5),
            Self::Gelu => gated::gelu(x),
            Self::Sin { a, b, c } => periodic::sin(x, a, b, c),
            Self::Cos { a, b, c } => periodic::cos(x, a, b, c),
            Self::Rbf { gamma } => periodic::sin(x, SQRT_2, (2.0 * gamma).sqrt(), FRAC_PI_4),
            Self::Gaussian { a, b } => smooth::gaussian(x, a, b),
            Self::Exp { a, b } => smooth::exp(x, a, b),
            Self::Gabor => periodic::gabor(x),
            Self::Sign => relu::sign(x),
            Self::Monomial { degree } => polynomial::power(x, degree),
            Self::RectifiedMonomial { degree } => relu::rectified_power(x, degree),
            Self::Polynomial { ref coefficients } => polynomial::polynomial(x, coefficients),
            Self::Hermite { .. } | Self::ExpNormalized { .. } => return None,
            Self::Tanh => x.tanh(),
            Self::Sigmoid => smooth::sigmoid(x),
            Self::Silu => gated::silu(x),
            Self::Softplus => smooth::softplus(x),
            Self::Elu { alpha } => relu::elu(x, alpha, 1.0),
            Self::Selu => relu::elu(x, SELU_ALPHA, SELU_SCALE),
            Self::Mish => gated::mish(x),
            Self::GeluTanh => gated::gelu_tanh(x),
        })
    }

    /// phi'(x); the mean of both slopes at a kink, 0 at a jump (`sign`, `rectified_monomial` of degree 0).
    ///
    /// `None` where [`Activation::phi`] is.
    ///
    /// ```
    /// use dualnet::activation::Activation;
    /// assert_eq!(Activation::Relu.derivative(0.0), Some(0.5));
    /// assert_eq!(Activation::Tanh.derivative(0.0), Some(1.0));
    /// ```
    #[inline(always)]
    pub fn derivative<V: Real>(&self, x: V) -> Option<V> {
        Some(match *self {
            Self::Identity => x.lit(1.0),
            Self::Relu => relu::abrelu_slope(x, 0.0, 1.0),
            Self::LeakyRelu { alpha } => relu::abrelu_slope(x, alpha, 1.0),
            Self::Abs => relu::sign(x),
            Self::Abrelu { a, b } => relu::abrelu_slope(x, a, b),
            Self::Erf { a, b, .. } => smooth::erf_slope(x, a, b),
            Self::SigmoidLike => smooth::erf_slope(x, 0.5, 1.0 / SIGMOID_LIKE_WIDTH),
            Self::Gelu => gated::gelu_slope(x),
            Self::Sin { a, b, c } => periodic::sin_slope(x, a, b, c),
            Self::Cos { a, b, c } => periodic::cos_slope(x, a, b, c),
            Self::Rbf { gamma } => periodic::sin_slope(x, SQRT_2, (2.0 * gamma).sqrt(), FRAC_PI_4),
            Self::Gaussian { a, b } => smooth::gaussian_slope(x, a, b),
            Self::Exp { a, b } => smooth::exp(x, a * b, b),
            Self::Gabor => periodic::gabor_slope(x),
            Self::Sign => x.lit(0.0),
            Self::Monomial { degree } => polynomial::power_slope(x, degree),
            Self::RectifiedMonomial { degree } => relu::rectified_power_slope(x, degree),
            Self::Polynomial { ref coefficients } => polynomial::polynomial_slope(x, coefficients),
            Self::Hermite { .. } | Self::ExpNormalized { .. } => return None,
            Self::Tanh => smooth::tanh_slope(x),
            Self::Sigmoid => smooth::sigmoid_slope(x),
            Self::Silu => gated::silu_slope(x),
            Self::Softplus => smooth::sigmoid(x),
            Self::Elu { alpha } => relu::elu_slope(x, alpha, 1.0),
            Self::Selu => relu::elu_slope(x, SELU_ALPHA, SELU_SCALE),
            Self::Mish => gated::mish_slope(x),
            Self::GeluTanh => gated::gelu_tanh_slope(x),
        })
    }
}
