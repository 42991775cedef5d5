//! What a fit of a bundled net is told, what it will take, and what it reports.

use super::{BATCH, loo_rows, sample_rows};
use crate::model::features::FeaturePrecision;
use crate::model::preprocess::Encoding;
use crate::ridge::default_path;
use crate::snnk::{BundledNet, Directions};
use serde::{Deserialize, Serialize};

/// Up to so many operations sums are taken in double precision by default.
const DOUBLE_FLOPS: f64 = 5e11;

/// What to fit.
#[derive(Clone, Debug)]
pub struct BundledOptions {
    /// Activation, depth and number of features.
    pub net: BundledNet,
    /// Where its directions may come from.
    pub directions: Vec<Directions>,
    /// How numbers may be shown to it.
    pub encodings: Vec<Encoding>,
    /// Lambdas, in units of the mean of the diagonal of Phi'Phi/n, Phi centred.
    pub lambdas: Vec<f64>,
    /// Precision of the features; `None`: double where that takes seconds, else single.
    pub precision: Option<FeaturePrecision>,
}

impl BundledOptions {
    /// Directions (pairs of rows or orthogonal ones), encodings, lambda and precision chosen.
    pub fn new(net: BundledNet) -> Self {
        Self {
            net,
            directions: vec![Directions::Pairs, Directions::Orthogonal],
            encodings: vec![Encoding::Plain, Encoding::Binned],
            lambdas: default_path(),
            precision: None,
        }
    }

    /// The precision for `rows` rows.
    pub fn precision(&self, rows: usize) -> FeaturePrecision {
        let double = rows as f64 * (self.net.features as f64).powi(2) <= DOUBLE_FLOPS;
        self.precision.unwrap_or(if double { FeaturePrecision::F64 } else { FeaturePrecision::F32 })
    }
}

/// What a bundled net is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureReport {
    /// Features of each layer.
    pub dim: usize,
    /// Layers of the tower.
    pub depth: usize,
    /// Where the directions come from.
    pub directions: Directions,
    /// Standard deviation of a projection, in units of the biases.
    pub scale: f64,
    /// Precision of the features.
    pub precision: FeaturePrecision,
    /// Numbers that were solved for.
    pub parameters: u64,
    /// Numbers that were drawn and are not learned.
    pub drawn: u64,
    /// Operations to predict one row.
    pub flops: u64,
    /// Generalised cross-validation estimate of the mean squared error, over all outputs, in units of their variance.
    pub gcv: f64,
}

/// What fitting `rows` rows of `columns` columns to `outputs` outputs will take: most bytes at a time, and operations.
pub fn plan_bundled(rows: usize, columns: usize, outputs: usize, options: &BundledOptions) -> (u64, f64) {
    let (m, n) = (options.net.features as u64, rows as u64);
    let wide = match options.precision(rows) {
        FeaturePrecision::F32 => 4,
        FeaturePrecision::F64 => 8,
    };
    let batch = n.min(BATCH as u64).saturating_mul(m).saturating_mul(wide + 8);
    let sample = 16 * (sample_rows(rows, columns) * columns) as u64;
    let square = m.saturating_mul(m).saturating_mul(24);
    let drawn = options.net.parameters(columns, outputs).0.saturating_mul(wide);
    let bytes = square.saturating_add(batch).saturating_add(sample).saturating_add(drawn);
    let (n, m) = (rows as f64, m as f64);
    let features = n * options.net.flops(columns, outputs) as f64;
    (bytes, features + n * m * m + 3.0 * m.powi(3) + loo_rows(rows, options.net.features) as f64 * m * m)
}
