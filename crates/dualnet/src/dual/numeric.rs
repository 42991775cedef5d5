//! Numerical duals, for activations without a closed form and for whoever asks for them.

use crate::activation::Activation;

/// Precision that a kernel is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 24 bits.
    F32,
    /// 53 bits.
    F64,
}

/// Degree of the default expansion of an activation.
pub fn default_degree(activation: &Activation, precision: Precision) -> usize {
    let (single, double) = match activation {
        Activation::Tanh => (27, 57),
        Activation::Sigmoid | Activation::SigmoidLike | Activation::Erf { .. } => (21, 47),
        Activation::Silu | Activation::Softplus => (20, 46),
        Activation::GeluTanh | Activation::Gelu => (24, 56),
        _ => (14, 28),
    };
    match precision {
        Precision::F32 => single,
        Precision::F64 => double,
    }
}
