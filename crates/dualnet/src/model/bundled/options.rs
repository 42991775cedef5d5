//! What a fit of a bundled net is told, and what it will take.

use crate::model::features::FeaturePrecision;
use crate::model::preprocess::Encoding;
use crate::model::primal;
use crate::ridge::default_path;
use crate::snnk::{BundledNet, Directions};

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
        self.precision.unwrap_or_else(|| primal::default_precision(rows, self.net.features))
    }
}

/// What fitting `rows` rows of `columns` columns to `outputs` outputs will take: most bytes at a time, and operations.
pub fn plan_bundled(rows: usize, columns: usize, outputs: usize, options: &BundledOptions) -> (u64, f64) {
    let precision = options.precision(rows);
    let (bytes, flops) = primal::plan(rows, columns, options.net.features, precision);
    let drawn = options.net.parameters(columns, outputs).0.saturating_mul(precision.bytes());
    (bytes.saturating_add(drawn), rows as f64 * options.net.flops(columns, outputs) as f64 + flops)
}
