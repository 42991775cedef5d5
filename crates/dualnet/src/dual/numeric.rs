//! Numerical duals: for activations without a closed form, and for whoever asks for a rule or a degree.
//!
//! # Default degrees, and what they leave out
//!
//! The degrees are what a kernel can afford in twice the time of ReLU on inputs of equal norm. The table gives, by the variance
//! of the pre-activation, the share of E\[phi^2\] and of E\[phi'^2\] that they leave out: the largest error of k and of kdot
//! over all rho, relative to their values at rho = 1 and p = q (`cargo run --release --example hermite_error`). Below the
//! rounding of the precision, 0.
//!
//! | activation | precision | degree | k: v = 0.1 | 0.5 | 1 | 2 | 4 | kdot: v = 0.1 | 0.5 | 1 | 2 | 4 |
//! |---|---|---|---|---|---|---|---|---|---|---|---|---|
//! | tanh | f32 | 27 | 0 | 0 | 7e-7 | 3e-5 | 4e-4 | 0 | 1e-7 | 2e-5 | 7e-4 | 9e-3 |
//! | tanh | f64 | 57 | 3e-14 | 1e-13 | 5e-10 | 2e-7 | 1e-5 | 3e-14 | 8e-12 | 3e-8 | 8e-6 | 4e-4 |
//! | sigmoid | f32 | 21 | 0 | 0 | 0 | 0 | 1e-6 | 0 | 0 | 0 | 1e-6 | 9e-5 |
//! | sigmoid | f64 | 47 | 0 | 0 | 0 | 7e-13 | 1e-9 | 0 | 0 | 0 | 1e-10 | 2e-7 |
//! | silu | f32 | 20 | 0 | 0 | 0 | 0 | 3e-6 | 0 | 0 | 0 | 2e-6 | 8e-5 |
//! | silu | f64 | 46 | 2e-14 | 0 | 0 | 4e-12 | 3e-9 | 2e-14 | 0 | 0 | 2e-10 | 1e-7 |
//! | softplus | f32 | 20 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 2e-6 |
//! | softplus | f64 | 46 | 0 | 0 | 0 | 0 | 2e-11 | 0 | 0 | 0 | 1e-12 | 2e-9 |
//! | elu | f32 | 14 | 5e-6 | 3e-5 | 6e-5 | 1e-4 | 2e-4 | 1e-4 | 7e-4 | 1e-3 | 3e-3 | 5e-3 |
//! | elu | f64 | 28 | 8e-7 | 5e-6 | 1e-5 | 2e-5 | 4e-5 | 4e-5 | 2e-4 | 5e-4 | 9e-4 | 2e-3 |
//! | selu | f32 | 14 | 3e-4 | 4e-4 | 4e-4 | 5e-4 | 7e-4 | 1e-2 | 1e-2 | 2e-2 | 2e-2 | 2e-2 |
//! | selu | f64 | 28 | 9e-5 | 1e-4 | 1e-4 | 2e-4 | 2e-4 | 8e-3 | 1e-2 | 1e-2 | 1e-2 | 2e-2 |
//! | mish | f32 | 14 | 0 | 0 | 6e-7 | 2e-5 | 1e-4 | 0 | 1e-7 | 1e-5 | 3e-4 | 2e-3 |
//! | mish | f64 | 28 | 2e-14 | 8e-13 | 7e-10 | 1e-7 | 4e-6 | 2e-14 | 2e-11 | 2e-8 | 3e-6 | 1e-4 |
//! | gelu_tanh | f32 | 24 | 0 | 0 | 0 | 6e-7 | 3e-5 | 0 | 0 | 0 | 1e-5 | 8e-4 |
//! | gelu_tanh | f64 | 56 | 4e-14 | 0 | 0 | 2e-12 | 2e-8 | 3e-14 | 0 | 8e-14 | 9e-11 | 1e-6 |
//!
//! tanh and its kin converge geometrically in sqrt(degree / v). elu and selu have a kink, whose coefficients fall like a power
//! of the degree: at 200, elu leaves out 1e-7 and selu 1e-5 of E\[phi^2\] at most at v = 1. Where accuracy matters more than time, ask for
//! a higher degree: `"dual": {"hermite": 120}`.

use super::DynDual;
use super::hermite::HermiteDual;
use super::quadrature::{Outer, QuadratureDual};
use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::net::spec::DualChoice;
use std::sync::Arc;

/// Precision that a kernel is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 24 bits.
    F32,
    /// 53 bits.
    F64,
}

/// Degree of the default expansion; `None` for activations whose dual has a closed form.
///
/// ```
/// use dualnet::activation::Activation;
/// use dualnet::dual::numeric::{Precision, default_degree};
/// assert_eq!(default_degree(&Activation::Tanh, Precision::F64), Some(57));
/// assert_eq!(default_degree(&Activation::Relu, Precision::F64), None);
/// ```
pub fn default_degree(activation: &Activation, precision: Precision) -> Option<usize> {
    let (single, double) = match activation {
        Activation::Tanh => (27, 57),
        Activation::Sigmoid => (21, 47),
        Activation::Silu | Activation::Softplus => (20, 46),
        Activation::GeluTanh => (24, 56),
        // Without symmetry every degree counts: half as many fit.
        Activation::Elu { .. } | Activation::Selu | Activation::Mish => (14, 28),
        _ => return None,
    };
    match precision {
        Precision::F32 => Some(single),
        Precision::F64 => Some(double),
    }
}

/// The numerical dual that a net file asks for.
///
/// Errors: the default of an activation that has a closed form; whatever [`HermiteDual::new`] and [`QuadratureDual::new`]
/// refuse.
///
/// ```
/// use dualnet::activation::Activation;
/// use dualnet::dual::numeric::{Precision, numeric_dual};
/// use dualnet::net::spec::DualChoice;
/// let dual = numeric_dual(&Activation::Tanh, DualChoice::Default, Precision::F64)?;
/// assert!((dual.variance(0.5) - 0.273_676_3).abs() < 1e-7); // E[tanh(sqrt(1/2) z)^2]
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn numeric_dual(activation: &Activation, choice: DualChoice, precision: Precision) -> Result<Arc<dyn DynDual>> {
    Ok(match choice {
        DualChoice::Quadrature(points) => Arc::new(QuadratureDual::new(activation, points, Outer::Larger)?),
        DualChoice::Hermite(degree) => Arc::new(HermiteDual::new(activation, degree)?),
        DualChoice::Default => match default_degree(activation, precision) {
            Some(degree) => Arc::new(HermiteDual::new(activation, degree)?),
            None => {
                return Err(Error::Unsupported {
                    at: activation.name().into(),
                    what: "a default numerical dual beside its closed form".into(),
                    hint: "use the closed form, or ask for a degree".into(),
                });
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_what_a_net_file_may_ask() {
        let tanh = Activation::Tanh;
        for choice in [DualChoice::Default, DualChoice::Hermite(16), DualChoice::Quadrature(25)] {
            for precision in [Precision::F32, Precision::F64] {
                let dual = numeric_dual(&tanh, choice, precision).unwrap();
                assert!((dual.variance(0.5) - 0.273_676_3).abs() < 1e-4, "{choice:?}: {}", dual.variance(0.5));
            }
        }
        assert!(numeric_dual(&Activation::Relu, DualChoice::Default, Precision::F64).is_err());
        assert!(numeric_dual(&Activation::Relu, DualChoice::Hermite(16), Precision::F64).is_ok());
        assert!(numeric_dual(&Activation::Sign, DualChoice::Hermite(16), Precision::F64).is_err());
    }
}
