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
    use crate::activation::Parity;
    let every = activation.core_parity() != Parity::Neither;
    match (precision, every) {
        (Precision::F32, true) => 31,
        (Precision::F32, false) => 20,
        (Precision::F64, true) => 51,
        (Precision::F64, false) => 32,
    }
}
