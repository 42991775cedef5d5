//! What was fitted to images, and how good it is.

use super::{Augment, Whiten};
use crate::model::{FeatureReport, KernelKind, Metrics, Task};
use serde::{Deserialize, Serialize};

/// One kernel's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriedKernel {
    /// Kernel.
    pub kernel: KernelKind,
    /// Best lambda of its path.
    pub lambda: f64,
    /// Leave-one-out mean squared error there, over all outputs; of numbers in units of their variance.
    pub loo_mse: f64,
}

/// What was fitted, and how good it is on images it has not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageReport {
    /// Classes or numbers.
    pub task: Task,
    /// Training images.
    pub n_train: usize,
    /// Height, width and channels.
    pub shape: Vec<usize>,
    /// Values of an image.
    pub n_features: usize,
    /// Number of classes.
    pub n_classes: Option<usize>,
    /// The net.
    pub net: String,
    /// Kernel chosen.
    pub kernel: KernelKind,
    /// Preprocessing.
    pub whiten: Whiten,
    /// Symmetry.
    pub augment: Augment,
    /// How it was solved.
    pub method: String,
    /// Precision the kernel was computed in.
    pub precision: String,
    /// Lambda, in units of the mean diagonal of the kernel.
    pub lambda: f64,
    /// Exact leave-one-out metrics, of `loo_rows` images. With flips, an image is left out together with its flip.
    pub loo: Metrics,
    /// Images left out, one at a time.
    #[serde(default)]
    pub loo_rows: usize,
    /// Effective number of parameters.
    pub degrees_of_freedom: f64,
    /// Estimate of the condition number of the regularised kernel; absent for features.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<f64>,
    /// What had to be added to lambda for a stable solution, in the same units; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jitter: Option<f64>,
    /// Both kernels, or the one asked for, best first; none where features of one kernel were asked for.
    pub candidates: Vec<TriedKernel>,
    /// Images they were compared on.
    #[serde(default)]
    pub compared_rows: usize,
    /// The features, where it was solved in those.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub features: Option<FeatureReport>,
}
