//! What is told of a fit.

use super::candidates::KernelKind;
use super::metric::MetricReport;
use super::metrics::Metrics;
use super::pcg::IterativeReport;
use super::preprocess::Encoding;
use super::primal::FeatureReport;
use super::target::Task;
use serde::{Deserialize, Serialize};

/// One candidate's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Name of the net.
    pub net: String,
    /// Kernel.
    pub kernel: KernelKind,
    /// Encoding.
    pub encoding: Encoding,
    /// Best lambda of its path.
    pub lambda: f64,
    /// Leave-one-out mean squared error there, over all outputs; of numbers in units of their variance, so that outputs of
    /// different units weigh the same.
    pub loo_mse: f64,
}

/// A lambda of a path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LambdaError {
    /// In units of the mean diagonal of the kernel.
    pub lambda: f64,
    /// Leave-one-out mean squared error, as in [`Tried`].
    pub loo_mse: f64,
}

/// What was fitted, and how good it is on rows it has not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Classes or numbers.
    pub task: Task,
    /// Training rows.
    pub n_train: usize,
    /// Columns of the input before preprocessing.
    pub n_features: usize,
    /// Columns the kernel sees.
    pub n_encoded: usize,
    /// Number of classes.
    pub n_classes: Option<usize>,
    /// Name of the net chosen.
    pub net: String,
    /// Kernel chosen.
    pub kernel: KernelKind,
    /// Encoding chosen.
    pub encoding: Encoding,
    /// How it was solved: `exact`, `features`, `nystrom`, `falkon` or `pcg`.
    pub method: String,
    /// Lambda, in units of the mean diagonal of the kernel.
    pub lambda: f64,
    /// Exact leave-one-out metrics, of `loo_rows` rows; `None` for conjugate gradients, which are judged by rows held out.
    pub loo: Option<Metrics>,
    /// Rows that were left out one at a time: all of them, a random part for features of many rows, none for conjugate gradients.
    #[serde(default)]
    pub loo_rows: usize,
    /// Effective number of parameters; absent for conjugate gradients.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub degrees_of_freedom: Option<f64>,
    /// Estimate of the condition number of the regularised kernel, of exact fits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<f64>,
    /// What had to be added to lambda for a stable solution, in the same units; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jitter: Option<f64>,
    /// The lambdas of the path with their leave-one-out errors, of exact fits.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub path: Vec<LambdaError>,
    /// What became of the search for a metric; absent: there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metric: Option<MetricReport>,
    /// All candidates, best first.
    pub candidates: Vec<Tried>,
    /// Rows on which candidates were compared.
    pub compared_rows: usize,
    /// Columns left out, with the reason.
    pub dropped: Vec<(String, String)>,
    /// The features of a fit in the primal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub features: Option<FeatureReport>,
    /// What conjugate gradients did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iterative: Option<IterativeReport>,
}
