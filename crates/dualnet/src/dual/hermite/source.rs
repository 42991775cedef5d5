//! Where a Hermite expansion takes its activation from.

use crate::activation::{Activation, Parity};
use std::sync::Arc;

/// Slopes of a function given by values alone are differences over at least this standard deviation.
pub(super) const SMALLEST_DEVIATION: f64 = 1e-5;

/// A named activation, or a function.
#[derive(Clone)]
pub(super) enum Source {
    /// Its slope is known and its kinks lie at 0.
    Builtin(Activation),
    /// Values alone.
    Given { phi: Arc<dyn Fn(f64) -> f64 + Send + Sync>, kinks: Vec<f64> },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builtin(activation) => activation.fmt(f),
            Self::Given { kinks, .. } => f.debug_struct("Given").field("kinks", kinks).finish_non_exhaustive(),
        }
    }
}

impl Source {
    pub fn value(&self, x: f64) -> f64 {
        match self {
            // Only activations that have a value are ever built in (`HermiteDual::new`).
            Self::Builtin(activation) => activation.phi(x).unwrap_or(0.0),
            Self::Given { phi, .. } => phi(x),
        }
    }

    pub fn slope(&self, x: f64) -> f64 {
        match self {
            Self::Builtin(activation) => activation.derivative(x).unwrap_or(0.0),
            Self::Given { phi, .. } => {
                (phi(x + SMALLEST_DEVIATION) - phi(x - SMALLEST_DEVIATION)) / (2.0 * SMALLEST_DEVIATION)
            }
        }
    }

    /// The mean of the slopes on both sides.
    pub fn slope_at_zero(&self) -> f64 {
        match self {
            Self::Builtin(activation) => activation.derivative(0.0).unwrap_or(0.0),
            Self::Given { phi, .. } => {
                (phi(SMALLEST_DEVIATION) - phi(-SMALLEST_DEVIATION)) / (2.0 * SMALLEST_DEVIATION)
            }
        }
    }

    /// Kinks away from 0, whose place in units of the standard deviation changes from sample to sample.
    pub fn moving_kinks(&self) -> &[f64] {
        match self {
            Self::Builtin(_) => &[],
            Self::Given { kinks, .. } => kinks,
        }
    }

    pub fn parity(&self) -> Parity {
        match self {
            Self::Builtin(activation) => activation.core_parity(),
            Self::Given { .. } => Parity::Neither,
        }
    }

    /// How far out, in standard deviations, the quadrature goes.
    pub fn reach(&self) -> f64 {
        match self {
            Self::Builtin(
                Activation::Monomial { .. } | Activation::RectifiedMonomial { .. } | Activation::Polynomial { .. },
            )
            | Self::Given { .. } => 20.0,
            Self::Builtin(_) => 14.0,
        }
    }
}
