//! Fitting a bundled net: features of every row once, sums of their products, one ridge.
//!
//! Two passes over the rows, whose features never lie in memory together: one for a sample of rows (everything, where there are few),
//! one for the sums. Leave-one-out is computed on rows of the sample. Memory m^2 for m features, whatever the number of rows.

mod choose;
mod lambda;
mod options;
mod sample;
mod solve;

pub use options::{BundledOptions, FeatureReport, plan_bundled};

use super::batches::Batches;
use super::candidates::KernelKind;
use super::features::{Features, Map, TowerDescription};
use super::fit::Report;
use super::fitted::{Model, Solution};
use super::invalid;
use super::metrics::Metrics;
use super::outputs::Outputs;
use super::target::Target;
use super::units::units;
use crate::dual::Precision;
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::Mat;
use crate::resources::Resources;
use crate::ridge::{IntervalCalibration, PrimalFit, Width};
use choose::choose;
use sample::{Sample, anchors};
use solve::Pass;

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

fn sample_rows(rows: usize, columns: usize) -> usize {
    rows.min(SAMPLE_ROWS.min(SAMPLE_NUMBERS / columns.max(1)).max(LEAST_SAMPLE))
}

fn loo_rows(rows: usize, features: usize) -> usize {
    let affordable = LOO_FLOPS / (features as f64).powi(2);
    rows.min((affordable as usize).clamp(1000, LOO_ROWS))
}

/// Fits the bundled net to all rows of `batches`.
///
/// # Errors
/// Fewer than two rows; one class only; whatever preprocessing refuses or reading meets; more memory than allowed.
///
/// Cost: 2 n d m operations for the features of one layer (2 n m^2 for each further one), n m^2 for their sums, m^3/3 for each of a few
/// lambdas; memory 24 m^2 bytes and that of one batch.
pub fn fit_bundled(batches: &mut dyn Batches, options: &BundledOptions, resources: &Resources) -> Result<Model> {
    let rows = batches.rows();
    if rows < 2 {
        return Err(invalid("the data", "at least two rows", &rows.to_string(), "give more rows"));
    }
    let sample = Sample::take(batches, resources)?;
    let columns = sample.frame.columns().len();
    let (bytes, _) = plan_bundled(rows, columns, sample.target.outputs(), options);
    resources.reserve(&format!("a fit of {}", options.net), bytes, "use fewer features, or raise --memory")?;
    let units = units(&sample.target)?;
    let precision = options.precision(rows);
    let (chosen, tried) = choose(&sample, options, &units, precision, resources)?;
    let x = chosen.preprocess.apply(&sample.frame)?;
    let anchors = anchors(&x, resources.seed);
    let tower = TowerDescription { net: options.net.clone(), ..chosen.tower };
    let map = tower.draw(anchors.as_ref(), resources)?;
    let pass = Pass { preprocess: &chosen.preprocess, units: &units, sample: &sample, x: &x };
    let solved = match &map {
        Map::F32(map) => pass.run(map.as_ref(), batches, &lambdas::<f32>(&options.lambdas), resources)?,
        Map::F64(map) => pass.run(map.as_ref(), batches, &lambdas::<f64>(&options.lambdas), resources)?,
    };
    let point = solved.fit.point;
    let outputs = sample.target.outputs();
    let (drawn, parameters) = tower.net.parameters(x.cols(), outputs);
    let mut report = Report {
        task: sample.target.task(),
        n_train: rows,
        n_features: columns,
        n_encoded: x.cols(),
        n_classes: sample.target.classes_len(),
        net: tower.net.to_string(),
        kernel: KernelKind::Nngp,
        encoding: chosen.preprocess.encoding(),
        method: "features".into(),
        lambda: point.lambda,
        loo: Metrics::default(),
        loo_rows: solved.loo.rows(),
        degrees_of_freedom: point.degrees_of_freedom,
        condition: None,
        jitter: point.jitter.map(|j| j.added),
        candidates: tried,
        compared_rows: choose::COMPARED_ROWS.min(x.rows()),
        dropped: chosen.preprocess.dropped().to_vec(),
        features: Some(FeatureReport {
            dim: tower.net.features,
            depth: tower.net.depth,
            directions: tower.directions,
            scale: tower.scale,
            precision,
            parameters,
            drawn,
            flops: tower.net.flops(x.cols(), outputs),
            gcv: point.gcv,
        }),
    };
    let target = sample.target.select(&solved.left_out);
    let (outputs, metrics) = match &target {
        Target::Classes { name, labels, codes } => Outputs::of_classes((name, labels, codes), &solved.loo, resources)?,
        Target::Numbers { names, values } => {
            let intervals = intervals(&solved.loo, values, point.lambda_absolute)?;
            let metrics = Metrics::numbers(solved.loo.as_ref(), values.as_ref())?;
            (Outputs::Numbers { names: names.clone(), intervals }, metrics)
        }
    };
    report.loo = metrics;
    let PrimalFit { theta, intercept, .. } = solved.fit;
    let lambda_absolute = point.lambda_absolute;
    let solution = Solution::Features(Box::new(Features { tower, anchors, map, theta, lambda_absolute }));
    Ok(Model { preprocess: chosen.preprocess, outputs, solution, intercept, report })
}

/// Lambdas that features of precision `T` allow.
fn lambdas<T: Float>(lambdas: &[f64]) -> Vec<f64> {
    let least = if T::PRECISION == Precision::F32 { LEAST_LAMBDA_F32 } else { 0.0 };
    let mut lambdas: Vec<f64> = lambdas.iter().map(|l| l.max(least)).collect();
    lambdas.sort_by(f64::total_cmp);
    lambdas.dedup();
    lambdas
}

/// Half widths from the residuals of rows left out, the same everywhere.
fn intervals(loo: &Mat<f64>, truth: &Mat<f64>, noise: f64) -> Result<IntervalCalibration> {
    let residuals = |j: usize| {
        let mut all: Vec<f64> = (0..loo.rows()).map(|i| (truth[(i, j)] - loo[(i, j)]).abs()).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    IntervalCalibration::from_parts(Width::Constant, (0..loo.cols()).map(residuals).collect(), noise)
}

/// Another number of rows than there were when the data were opened.
fn changed(expected: usize, found: usize) -> Error {
    let hint = "do not change the file during a fit";
    invalid("the data", &format!("{expected} rows, as when they were opened"), &found.to_string(), hint)
}
