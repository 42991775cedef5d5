//! Ranges of the parameters of an activation and of its dual.

use super::activations;
use super::limits::{
    MAX_DEGREE, MAX_EXPANSION, MAX_EXPONENT, MAX_HERMITE_DEGREE, MAX_NUMBER, MAX_POINTS, Range, check_count, refuse,
};
use super::spec::DualChoice;
use crate::activation::Activation;
use crate::error::Result;

/// Refuses parameters with which there is no activation, or no dual of the kind asked for.
pub(super) fn check_activation(at: &str, activation: &Activation, dual: DualChoice) -> Result<()> {
    for (key, value) in activations::numbers(activation) {
        let range = match (activation, key) {
            (Activation::Rbf { .. } | Activation::ExpNormalized { .. }, "gamma") => Range::Above(0.0, MAX_NUMBER),
            (Activation::Gaussian { .. }, "b") => Range::NotPositive,
            _ => Range::Any,
        };
        range.check(|| format!("{at}.{key}"), value)?;
    }
    let degree_at = || format!("{at}.degree");
    match activation {
        Activation::Hermite { degree } => {
            check_count(degree_at, *degree as usize, 0, MAX_HERMITE_DEGREE as usize)?;
        }
        Activation::Monomial { degree } | Activation::RectifiedMonomial { degree } => {
            check_count(degree_at, *degree as usize, 0, MAX_DEGREE as usize)?;
        }
        Activation::Polynomial { coefficients } => {
            let count_at = || format!("{at}.coefficients: how many");
            check_count(count_at, coefficients.len(), 1, MAX_DEGREE as usize + 1)?;
            for (i, a) in coefficients.iter().enumerate() {
                Range::Any.check(|| format!("{at}.coefficients[{i}]"), *a)?;
            }
        }
        Activation::ExpNormalized { gamma, shift } if gamma * (1.0 + shift) > MAX_EXPONENT => {
            let problem = format!("gamma (1 + shift) = {:?}, whose exponential overflows", gamma * (1.0 + shift));
            return Err(refuse(at, problem, format!("keep it at most {MAX_EXPONENT}; the defaults give 0")));
        }
        _ => {}
    }
    let kernel_only = matches!(activation, Activation::Hermite { .. } | Activation::ExpNormalized { .. });
    match dual {
        DualChoice::Default => Ok(()),
        _ if kernel_only => {
            let problem = "this layer is a kernel; there is no function to expand or integrate";
            Err(refuse(format!("{at}.dual"), problem, "leave dual out: the kernel is exact"))
        }
        DualChoice::Quadrature(points) => check_count(|| format!("{at}.dual.quadrature"), points, 2, MAX_POINTS),
        DualChoice::Hermite(degree) => check_count(|| format!("{at}.dual.hermite"), degree, 1, MAX_EXPANSION),
    }
}
