//! Activation functions: their parameters, values, slopes and symmetries.
//!
//! One file a family; [`Activation::phi`] and [`Activation::derivative`] work on numbers and registers alike.

mod facts;
mod gated;
mod periodic;
mod phi;
mod polynomial;
mod relu;
mod smooth;
#[cfg(test)]
mod tests;

pub use facts::Parity;
pub use phi::{SELU_ALPHA, SELU_SCALE, SIGMOID_LIKE_WIDTH};

use serde::{Deserialize, Serialize};

/// An activation with its parameters; names and defaults are those of the net file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0)
    Relu,
    /// alpha min(x, 0) + max(x, 0)
    LeakyRelu {
        /// Slope below 0 (0.01).
        alpha: f64,
    },
    /// |x|
    Abs,
    /// a min(x, 0) + b max(x, 0)
    Abrelu {
        /// Slope below 0.
        a: f64,
        /// Slope above 0.
        b: f64,
    },
    /// a erf(b x) + c
    Erf {
        /// Scale (1).
        a: f64,
        /// Frequency (1).
        b: f64,
        /// Shift (0).
        c: f64,
    },
    /// erf(x / 2.4020563531719796) / 2 + 1/2: the error function nearest to the logistic sigmoid on \[-5, 5\]
    SigmoidLike,
    /// x Phi(x), Phi the normal distribution function
    Gelu,
    /// a sin(b x + c)
    Sin {
        /// Scale (1).
        a: f64,
        /// Frequency (1).
        b: f64,
        /// Phase (0).
        c: f64,
    },
    /// a cos(b x + c)
    Cos {
        /// Scale (1).
        a: f64,
        /// Frequency (1).
        b: f64,
        /// Phase (0).
        c: f64,
    },
    /// sqrt(2) sin(sqrt(2 gamma) x + pi/4): its dual is the RBF kernel exp(-gamma (p + q - 2c))
    Rbf {
        /// Inverse squared width (1).
        gamma: f64,
    },
    /// a exp(b x^2), b <= 0
    Gaussian {
        /// Scale (1).
        a: f64,
        /// Exponent (-1).
        b: f64,
    },
    /// a exp(b x)
    Exp {
        /// Scale (1).
        a: f64,
        /// Rate (1).
        b: f64,
    },
    /// exp(-x^2) sin(x)
    Gabor,
    /// sign(x)
    Sign,
    /// Kernel c^n: the normalised Hermite polynomial of this degree at unit variance
    Hermite {
        /// Degree n.
        degree: u32,
    },
    /// x^n
    Monomial {
        /// Degree n.
        degree: u32,
    },
    /// x^n for x >= 0, else 0
    RectifiedMonomial {
        /// Degree n.
        degree: u32,
    },
    /// sum of a_i x^i
    Polynomial {
        /// a_0, a_1, ...
        coefficients: Vec<f64>,
    },
    /// Kernel sqrt(pq) exp(gamma (rho + shift)); no activation stands behind it
    ExpNormalized {
        /// gamma (1).
        gamma: f64,
        /// shift (-1).
        shift: f64,
    },
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// x sigmoid(x)
    Silu,
    /// ln(1 + exp(x))
    Softplus,
    /// x for x > 0, else alpha (exp(x) - 1)
    Elu {
        /// Scale below 0 (1).
        alpha: f64,
    },
    /// 1.0507009873554805 elu(x) with alpha 1.6732632423543772
    Selu,
    /// x tanh(softplus(x))
    Mish,
    /// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
    GeluTanh,
}
