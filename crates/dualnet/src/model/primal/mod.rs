//! Fits in the primal: features of every row once, sums of their products, one ridge.
//!
//! Two passes over the rows, whose features never lie in memory together: one for a sample of rows (everything, where there are few),
//! one for the sums. Leave-one-out is computed on rows of the sample, whose features are kept. Memory m^2 for m features, whatever the number
//! of rows. What the features are and how they are chosen is told by `bundled` (towers), `embedded` (kernels of nets) and
//! `images::features` (kernels of nets on images).

mod lambda;
mod report;
mod sample;
mod solve;

pub(super) use lambda::{Rows, best_lambda};
pub use report::{FeatureReport, TowerReport};
pub(super) use sample::{Sample, anchors};
pub(super) use solve::{Solved, solve};

use super::batches::Batches;
use super::candidates::KernelKind;
use super::embedding::Embedding;
use super::features::{FeaturePrecision, Features, Map};
use super::fitted::{Model, Solution};
use super::invalid;
use super::metric::MetricReport;
use super::outputs::Outputs;
use super::preprocess::Preprocess;
use super::report::{Report, Tried};
use super::units::Unit;
use crate::dual::Precision;
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::Mat;
use crate::resources::Resources;
use crate::ridge::PrimalFit;
use solve::Encoded;

/// Rows of a batch.
const BATCH: usize = 4096;
/// Most rows of the sample that preprocessing learns from, and most numbers in it.
const SAMPLE_ROWS: usize = 65_536;
const SAMPLE_NUMBERS: usize = 1 << 24;
/// Rows of the sample even of very wide data.
const LEAST_SAMPLE: usize = 4096;
/// Operations that leave-one-out may take, and its rows at most: more would not tell the error better.
const LOO_FLOPS: f64 = 4e11;
const LOO_ROWS: usize = 10_000;
/// Least lambda of features in single precision: below it their rounding shows.
const LEAST_LAMBDA_F32: f64 = 1e-6;
/// Up to so many operations sums are taken in double precision by default.
const DOUBLE_FLOPS: f64 = 5e11;

/// Rows of the sample of `rows` rows.
pub(super) fn sample_rows(rows: usize, columns: usize) -> usize {
    rows.min(SAMPLE_ROWS.min(SAMPLE_NUMBERS / columns.max(1)).max(LEAST_SAMPLE))
}

/// How many of `rows` rows are left out.
pub(super) fn loo_rows(rows: usize, features: usize) -> usize {
    let affordable = LOO_FLOPS / (features as f64).powi(2);
    rows.min((affordable as usize).clamp(1000, LOO_ROWS))
}

/// The precision of `features` features of `rows` rows, where none was asked for: double where that takes seconds.
pub(super) fn default_precision(rows: usize, features: usize) -> FeaturePrecision {
    match rows as f64 * (features as f64).powi(2) <= DOUBLE_FLOPS {
        true => FeaturePrecision::F64,
        false => FeaturePrecision::F32,
    }
}

/// What the sums of `features` features and the solution take, the map apart: most bytes at a time, and operations.
pub(super) fn plan(rows: usize, columns: usize, features: usize, precision: FeaturePrecision) -> (u64, f64) {
    let (m, n) = (features as u64, rows as u64);
    let batch = n.min(BATCH as u64).saturating_mul(m).saturating_mul(precision.bytes() + 8);
    let kept = (loo_rows(rows, features) as u64).saturating_mul(m).saturating_mul(precision.bytes());
    let sample = 16 * (sample_rows(rows, columns) * columns) as u64;
    let bytes =
        m.saturating_mul(m).saturating_mul(24).saturating_add(batch).saturating_add(kept).saturating_add(sample);
    let (n, m) = (rows as f64, features as f64);
    (bytes, n * m * m + 3.0 * m.powi(3) + loo_rows(rows, features) as f64 * m * m)
}

/// A feature map that was chosen on a sample of the rows: all that is needed for the pass over all of them.
pub(super) struct Prepared {
    pub rows: usize,
    pub sample: Sample,
    pub units: Vec<Unit>,
    pub preprocess: Preprocess,
    /// The sample, preprocessed.
    pub x: Mat<f64>,
    pub embedding: Embedding,
    pub map: Map,
    pub lambdas: Vec<f64>,
    pub named: Named,
    /// `gcv` is not known yet.
    pub features: FeatureReport,
    pub tried: Vec<Tried>,
    pub compared_rows: usize,
    /// What became of the search for a metric, which `preprocess` then has.
    pub metric: Option<MetricReport>,
}

/// How the report calls the model.
pub(super) struct Named {
    pub net: String,
    pub kernel: KernelKind,
    pub method: &'static str,
}

impl Prepared {
    /// Passes over all rows and solves.
    pub fn solve(self, batches: &mut dyn Batches, resources: &Resources) -> Result<Model> {
        let left_out = self.sample.some(loo_rows(self.sample.frame.rows(), self.embedding.dim()));
        let keep: Vec<usize> = left_out.iter().map(|&i| self.sample.rows[i]).collect();
        let (mut source, units) = (Encoded::new(batches, &self.preprocess, &self.units), &self.units);
        let solved = match &self.map {
            Map::F32(map) => solve(map.as_ref(), &mut source, &keep, &lambdas::<f32>(&self.lambdas), units, resources)?,
            Map::F64(map) => solve(map.as_ref(), &mut source, &keep, &lambdas::<f64>(&self.lambdas), units, resources)?,
        };
        let point = solved.fit.point;
        let target = self.sample.target.select(&left_out);
        let (outputs, metrics) = Outputs::of_left_out(&target, &solved.loo, point.lambda_absolute, resources)?;
        let report = Report {
            task: self.sample.target.task(),
            n_train: self.rows,
            n_features: self.sample.frame.columns().len(),
            n_encoded: self.x.cols(),
            n_classes: self.sample.target.classes_len(),
            net: self.named.net,
            kernel: self.named.kernel,
            encoding: self.preprocess.encoding(),
            method: self.named.method.into(),
            lambda: point.lambda,
            loo: Some(metrics),
            loo_rows: solved.loo.rows(),
            degrees_of_freedom: Some(point.degrees_of_freedom),
            condition: None,
            jitter: point.jitter.map(|j| j.added),
            path: Vec::new(),
            metric: self.metric,
            candidates: self.tried,
            compared_rows: self.compared_rows,
            dropped: self.preprocess.dropped().to_vec(),
            features: Some(FeatureReport { gcv: point.gcv, ..self.features }),
            iterative: None,
        };
        let PrimalFit { theta, intercept, .. } = solved.fit;
        let lambda_absolute = point.lambda_absolute;
        let features = Features { embedding: self.embedding, map: self.map, theta, lambda_absolute };
        let solution = Solution::Features(Box::new(features));
        Ok(Model { preprocess: self.preprocess, outputs, solution, intercept, report, left_out: None })
    }
}

/// Refuses less than two rows.
pub(super) fn check_rows(batches: &dyn Batches) -> Result<usize> {
    match batches.rows() {
        rows @ 0..2 => Err(invalid("the data", "at least two rows", &rows.to_string(), "give more rows")),
        rows => Ok(rows),
    }
}

/// Lambdas that features of precision `T` allow.
pub(super) fn lambdas<T: Float>(lambdas: &[f64]) -> Vec<f64> {
    let least = if T::PRECISION == Precision::F32 { LEAST_LAMBDA_F32 } else { 0.0 };
    // What is no lambda stays so, for the path to refuse.
    let mut lambdas: Vec<f64> = lambdas.iter().map(|&l| if l >= 0.0 { l.max(least) } else { l }).collect();
    lambdas.sort_by(f64::total_cmp);
    lambdas.dedup();
    lambdas
}

/// Another number of rows than there were when the data were opened.
fn changed(expected: usize, found: usize) -> Error {
    let hint = "do not change the file during a fit";
    invalid("the data", &format!("{expected} rows, as when they were opened"), &found.to_string(), hint)
}
