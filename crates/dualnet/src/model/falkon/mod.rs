//! Fitting the exact kernel of a net on landmarks, for rows too many for a kernel matrix: conjugate gradients on their normal equations (Falkon).
//!
//! The model is that of ridge regression in Nystrom features of the same landmarks, without their n m^2 operations. Net, kernel and encoding are
//! chosen as for all fits of many rows, lambda by rows held out. There is no leave-one-out error.

mod options;

pub use options::{FalkonOptions, plan_falkon};

use super::features::FeaturePrecision;
use super::fitted::Model;
use super::frame::Frame;
use super::judged::{Begun, Judged, begin, unjudged};
use super::metrics::Metrics;
use super::pcg::{IterativeReport, LambdaReport, PcgPlan, lambdas};
use super::target::Target;
use crate::error::Result;
use crate::features::landmarks::{LandmarkMethod, Landmarks};
use crate::gram;
use crate::kernel::{DenseKernel, Float, Kernel};
use crate::linalg::Mat;
use crate::model::candidates::Candidate;
use crate::resources::Resources;
use crate::ridge::ArraySource;
use crate::ridge::iterative::{LandmarkOptions, LandmarkPath, fit_landmarks};
use crate::ridge::statistics::CHUNK;

/// Fits a model to the rows of `frame` and their `target`, on landmarks drawn among them.
///
/// # Errors
/// Fewer than three rows; different numbers of rows; one class only; whatever preprocessing and the kernel refuse; more memory than allowed
/// ([`plan_falkon`]).
///
/// Cost: n m kernel values for m landmarks once (for each step, as far as there is no room for them), 4 n m operations for each output and step,
/// bound by memory, and a decomposition of m x m for each lambda.
///
/// ```
/// use dualnet::model::{Column, Encoding, FalkonOptions, FitOptions, Frame, Target, Values, fit_falkon};
/// use dualnet::{Mat, Resources};
/// let x = Mat::from_fn(300, 2, |i, j| ((i * (j + 2)) as f64).sin());
/// let y = (0..300).map(|i| x[(i, 0)] * x[(i, 1)]).collect();
/// let target = Target::from_columns(&[Column { name: "y".into(), values: Values::Numbers(y) }], None)?;
/// let choice = FitOptions { encodings: vec![Encoding::Plain], ..FitOptions::default() };
/// let options = FalkonOptions { choice, landmarks: Some(80), ..FalkonOptions::default() };
/// let model = fit_falkon(&Frame::from_matrix(x.as_ref())?, &target, &options, &Resources::new(1)?)?;
/// assert_eq!(model.report().method, "falkon");
/// assert!(model.report().iterative.as_ref().and_then(|i| i.holdout.r2).unwrap() > 0.98);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn fit_falkon(frame: &Frame, target: &Target, options: &FalkonOptions, resources: &Resources) -> Result<Model> {
    let rows = frame.rows();
    options.check()?;
    let what = format!("a fit of {rows} rows on {} landmarks", options.landmarks(rows));
    let named = (what.as_str(), "raise --memory, or take fewer --features");
    let plan = |shape| plan_falkon(shape, options, resources.memory);
    let Begun { units, choice, plan, held, x, y } = begin((frame, target), named, &options.choice, &plan, resources)?;
    // Down to where it stops paying: many more rows than were compared want far less, and the preconditioner makes every lambda easy. The
    // precision of the kernels of the rows is no bound: their square has no negative eigenvalues, however it is rounded.
    let lambdas = lambdas(&options.choice, (choice.lambda, 0.0), FeaturePrecision::F64, rows);
    let lambdas: Vec<f64> = lambdas.iter().map(|l| l / rows as f64).collect();
    let told = LandmarkOptions {
        lambdas,
        tolerance: options.tolerance,
        holdout: held.clone(),
        gain: options.gain,
        room: options.room(&plan, (x.cols().max(frame.columns().len()), target.outputs()), resources.memory)?,
        ..LandmarkOptions::default()
    };
    let (landmarks, path) = match plan.precision {
        FeaturePrecision::F32 => solve::<f32>(&choice.candidate, x, &y, &plan, &told, resources)?,
        FeaturePrecision::F64 => solve::<f64>(&choice.candidate, x, &y, &plan, &told, resources)?,
    };
    let best = &path.points[path.best];
    let report = |fit| LambdaReport::on_landmarks(fit, rows, options.tolerance);
    let judged = Judged {
        method: "falkon",
        choice,
        lambda: best.lambda * rows as f64,
        lambda_absolute: path.chosen().lambda_absolute,
        held: &held,
        predictions: best.holdout.as_ref().ok_or_else(unjudged)?.predictions.clone(),
        iterative: IterativeReport {
            holdout: Metrics::default(),
            holdout_rows: held.len(),
            landmarks: landmarks.rows(),
            tiles: plan.tiles,
            precision: plan.precision,
            lambdas: path.points.iter().map(report).collect(),
            refit: path.refit.as_ref().map(report),
        },
        x: landmarks,
        coefficients: path.chosen().coefficients.clone(),
        intercept: path.chosen().intercept.clone(),
    };
    judged.into_model(frame, target, &units, resources)
}

/// The landmarks, and the models on them.
fn solve<T: Float>(
    candidate: &Candidate,
    x: Mat<f64>,
    y: &Mat<f64>,
    plan: &PcgPlan,
    told: &LandmarkOptions,
    resources: &Resources,
) -> Result<(Mat<f64>, LandmarkPath)> {
    let kernel = DenseKernel::new(&candidate.net, x.cols())?;
    let get = candidate.kernel.get();
    let rows = x.as_ref().cast::<T>();
    drop(x);
    let method = LandmarkMethod::Uniform;
    let chosen = Landmarks::choose(&kernel, rows.as_ref(), candidate.kernel, plan.landmarks, method, resources)?;
    let landmarks = chosen.samples(rows.as_ref())?;
    let samples = kernel.prepare(landmarks.as_ref(), "landmarks", resources)?;
    // Of the landmarks as they were rounded, but computed in f64.
    let wide = landmarks.as_ref().cast::<f64>();
    let inner = candidate.kernel.matrix(gram::symmetric(&kernel, wide.as_ref(), get, resources)?)?;
    let mut source = ArraySource::new(rows.as_ref(), y.as_ref(), &[], CHUNK)?;
    let path = fit_landmarks((&kernel, get), &samples, &inner, &mut source, told, resources)?;
    Ok((wide, path))
}
