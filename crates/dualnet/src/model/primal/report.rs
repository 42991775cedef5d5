//! What is reported of the features of a fit.

use crate::model::features::FeaturePrecision;
use crate::snnk::Directions;
use serde::{Deserialize, Serialize};

/// The features of a fit in the primal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureReport {
    /// Features of each layer of a bundled net; features of the kernel of a net.
    pub dim: usize,
    /// Precision of the features.
    pub precision: FeaturePrecision,
    /// Numbers that were solved for.
    pub parameters: u64,
    /// Generalised cross-validation estimate of the mean squared error, over all outputs, in units of their variance.
    pub gcv: f64,
    /// What is told of a bundled net alone.
    #[serde(flatten)]
    pub tower: Option<TowerReport>,
    /// Landmarks of Nystrom features.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub landmarks: Option<usize>,
    /// Features of the landmarks that are not 0 everywhere: the numerical rank of their kernel.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rank: Option<usize>,
    /// Relative error of products of features against the exact kernel, in the Frobenius norm, on pairs of training rows that are no
    /// landmarks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kernel_error: Option<f64>,
}

/// The tower of a bundled net.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TowerReport {
    /// Layers of the tower.
    pub depth: usize,
    /// Where the directions come from.
    pub directions: Directions,
    /// Standard deviation of a projection, in units of the biases.
    pub scale: f64,
    /// Numbers that were drawn and are not learned.
    pub drawn: u64,
    /// Operations to predict one row.
    pub flops: u64,
}
