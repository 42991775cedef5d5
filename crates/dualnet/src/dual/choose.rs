//! The dual that serves an activation.

use super::abrelu::{AbRelu, Identity};
use super::erf::Erf;
use super::exp::Exp;
use super::exp_normalized::ExpNormalized;
use super::gabor::Gabor;
use super::gaussian::Gaussian;
use super::gelu::Gelu;
use super::hermite_power::HermitePower;
use super::numeric::{Precision, numeric_dual};
use super::polynomial::Polynomial;
use super::rbf::Rbf;
use super::rectified_monomial::RectifiedMonomial;
use super::sign::Sign;
use super::sin::Sin;
use super::tile::DynDual;
use crate::activation::Activation;
use crate::error::Result;
use crate::net::spec::DualChoice;
use std::sync::Arc;

/// The closed form of an activation's dual; `None` where none is known.
///
/// ```
/// use dualnet::{activation::Activation, dual::{Pair, closed_form}};
/// let relu = closed_form(&Activation::Relu).unwrap();
/// let orthogonal = relu.pair(Pair { c: 0.0, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 1.0 });
/// assert!((orthogonal.k - 0.5 / std::f64::consts::PI).abs() < 1e-15);
/// assert!((orthogonal.kdot - 0.25).abs() < 1e-15);
/// assert!(closed_form(&Activation::Tanh).is_none());
/// ```
pub fn closed_form(activation: &Activation) -> Option<Arc<dyn DynDual>> {
    Some(match *activation {
        Activation::Identity => Arc::new(Identity),
        Activation::Relu => Arc::new(AbRelu::relu()),
        Activation::LeakyRelu { alpha } => Arc::new(AbRelu::leaky_relu(alpha)),
        Activation::Abs => Arc::new(AbRelu::abs()),
        Activation::Abrelu { a, b } => Arc::new(AbRelu::new(a, b)),
        Activation::Erf { a, b, c } => Arc::new(Erf::new(a, b, c)),
        Activation::SigmoidLike => Arc::new(Erf::sigmoid_like()),
        Activation::Gelu => Arc::new(Gelu),
        Activation::Sin { a, b, c } => Arc::new(Sin::new(a, b, c)),
        Activation::Cos { a, b, c } => Arc::new(Sin::cos(a, b, c)),
        Activation::Rbf { gamma } => Arc::new(Rbf::new(gamma)),
        Activation::Gaussian { a, b } => Arc::new(Gaussian::new(a, b)),
        Activation::Exp { a, b } => Arc::new(Exp::new(a, b)),
        Activation::Gabor => Arc::new(Gabor),
        Activation::Sign => Arc::new(Sign),
        Activation::Hermite { degree } => Arc::new(HermitePower::new(degree)),
        Activation::Monomial { degree } => Arc::new(Polynomial::monomial(degree)),
        Activation::RectifiedMonomial { degree } => Arc::new(RectifiedMonomial::new(degree)),
        Activation::Polynomial { ref coefficients } => Arc::new(Polynomial::new(coefficients)),
        Activation::ExpNormalized { gamma, shift } => Arc::new(ExpNormalized::new(gamma, shift)),
        Activation::Tanh
        | Activation::Sigmoid
        | Activation::Silu
        | Activation::Softplus
        | Activation::Elu { .. }
        | Activation::Selu
        | Activation::Mish
        | Activation::GeluTanh => return None,
    })
}

/// The dual that a net asks for: the closed form by default where there is one, else numerical.
pub fn dual_of(activation: &Activation, choice: DualChoice, precision: Precision) -> Result<Arc<dyn DynDual>> {
    match closed_form(activation).filter(|_| choice == DualChoice::Default) {
        Some(closed) => Ok(closed),
        None => numeric_dual(activation, choice, precision),
    }
}
