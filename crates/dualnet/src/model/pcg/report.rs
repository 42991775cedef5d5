//! What is reported of conjugate gradients.

use super::options::KernelTiles;
use crate::model::features::FeaturePrecision;
use crate::model::metrics::Metrics;
use crate::ridge::iterative::{Ending, IterativePoint, LandmarkFit};
use serde::{Deserialize, Serialize};

/// What conjugate gradients did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IterativeReport {
    /// Metrics of rows held out, by the model without them.
    pub holdout: Metrics,
    /// How many they were; the model itself is fitted to all rows.
    pub holdout_rows: usize,
    /// Columns of the preconditioner.
    pub landmarks: usize,
    /// Where the kernel matrix was.
    pub tiles: KernelTiles,
    /// Precision of its values.
    pub precision: FeaturePrecision,
    /// Every lambda, in the order they were solved: falling.
    pub lambdas: Vec<LambdaReport>,
    /// The fit to all rows.
    pub refit: Option<LambdaReport>,
}

impl IterativeReport {
    /// Largest residual of an output of the model, relative to its targets.
    pub fn residual(&self) -> Option<f64> {
        self.refit.as_ref().or(self.lambdas.last()).map(|l| l.residual)
    }
}

/// One lambda.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LambdaReport {
    /// In units of the mean diagonal of the kernel.
    pub lambda: f64,
    /// Steps taken.
    pub steps: usize,
    /// Largest residual of an output, relative to its targets.
    pub residual: f64,
    /// Why it ended: `converged`, `holdout` (the error of the rows held out fell no longer), `steps`, `stalled` (at the precision).
    pub ending: String,
    /// Mean squared error of the rows held out, over all outputs, in units of their variance; absent for the fit to all rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holdout_mse: Option<f64>,
}

impl LambdaReport {
    pub(super) fn of(point: &IterativePoint) -> Self {
        let ending = match point.ending {
            Ending::Converged => "converged",
            Ending::Holdout => "holdout",
            Ending::Steps => "steps",
            Ending::Stalled => "stalled",
        };
        Self {
            lambda: point.lambda,
            steps: point.steps,
            residual: point.residual,
            ending: ending.into(),
            holdout_mse: point.holdout.as_ref().map(|h| h.mse),
        }
    }

    /// Of a fit on landmarks of `rows` rows, whose residuals may be `tolerance` large.
    pub(in crate::model) fn on_landmarks(fit: &LandmarkFit, rows: usize, tolerance: f64) -> Self {
        Self {
            lambda: fit.lambda * rows as f64,
            steps: fit.steps,
            residual: fit.residual,
            ending: if fit.residual <= tolerance { "converged" } else { "steps" }.into(),
            holdout_mse: fit.holdout.as_ref().map(|h| h.mse),
        }
    }
}
