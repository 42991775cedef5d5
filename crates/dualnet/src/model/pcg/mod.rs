//! Fitting the exact kernel of a net to more rows than a decomposition can take: conjugate gradients, judged by rows held out.
//!
//! Net, kernel and encoding are chosen by exact leave-one-out on some hundred rows; lambda, near the best of those rows, by the rows held
//! out, which then calibrate probabilities and intervals. The model is fitted to all rows afterwards. There is no leave-one-out error.

mod options;
mod report;
mod solve;

pub use options::{KernelTiles, PcgOptions, PcgPlan, plan_pcg};
pub use report::{IterativeReport, LambdaReport};

use super::fitted::Model;
use super::frame::Frame;
use super::judged::{Begun, Judged, begin, unjudged};
use super::metrics::Metrics;
use super::target::Target;
use crate::error::Result;
use crate::resources::Resources;
pub(super) use options::{DOUBLE_ROWS, KEPT_SLOWNESS, lambdas};
use solve::{Solved, Task};

/// The path ends at this share of the lambda that was best for the rows compared: steps become many below, and the error is flat.
const BELOW: f64 = 0.05;

/// Fits a model to the rows of `frame` and their `target`.
///
/// # Errors
/// Fewer than three rows; different numbers of rows; one class only; whatever preprocessing and the kernel refuse; more memory than allowed
/// ([`plan_pcg`]); a kernel that is not positive definite in the precision of its tiles for a lambda so small.
///
/// Cost: n^2/2 kernel values once (for each step of the iteration, if there is no room for them), and a product of the kernel matrix with as many
/// vectors as there are outputs for each of some 10 to 30 steps a lambda.
///
/// ```
/// use dualnet::model::{Column, FitOptions, Encoding, Frame, PcgOptions, Target, Values, fit_pcg};
/// use dualnet::{Mat, Resources};
/// let x = Mat::from_fn(120, 2, |i, j| ((i * (j + 2)) as f64).sin());
/// let y = (0..120).map(|i| x[(i, 0)] * x[(i, 1)]).collect();
/// let target = Target::from_columns(&[Column { name: "y".into(), values: Values::Numbers(y) }], None)?;
/// let choice = FitOptions { encodings: vec![Encoding::Plain], ..FitOptions::default() };
/// let options = PcgOptions { choice, ..PcgOptions::default() };
/// let model = fit_pcg(&Frame::from_matrix(x.as_ref())?, &target, &options, &Resources::new(1)?)?;
/// let report = model.report();
/// assert!(report.loo.is_none() && report.method == "pcg");
/// assert!(report.iterative.as_ref().and_then(|i| i.holdout.r2).unwrap() > 0.98);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn fit_pcg(frame: &Frame, target: &Target, options: &PcgOptions, resources: &Resources) -> Result<Model> {
    let rows = frame.rows();
    let what = format!("a fit of {rows} rows by conjugate gradients");
    let named = (what.as_str(), "raise --memory, fit fewer rows, or take --method nystrom");
    let plan = |shape| plan_pcg(shape, options, resources.memory);
    let Begun { units, choice, plan, held, x, y } = begin((frame, target), named, &options.choice, &plan, resources)?;
    let task = Task { candidate: &choice.candidate, x: &x, y: &y, held: &held, plan: &plan };
    let lambdas = lambdas(&options.choice, (choice.lambda, BELOW), plan.precision, rows);
    let Solved { fit, rank } = task.solve(&lambdas, options, resources)?;
    let chosen = &fit.points[fit.best];
    let lambda_absolute = fit.refit.as_ref().unwrap_or(chosen).lambda_absolute;
    let judged = Judged {
        method: "pcg",
        choice,
        lambda: chosen.lambda,
        lambda_absolute,
        held: &held,
        predictions: chosen.holdout.as_ref().ok_or_else(unjudged)?.predictions.clone(),
        iterative: IterativeReport {
            holdout: Metrics::default(),
            holdout_rows: held.len(),
            landmarks: rank,
            tiles: plan.tiles,
            precision: plan.precision,
            lambdas: fit.points.iter().map(LambdaReport::of).collect(),
            refit: fit.refit.as_ref().map(LambdaReport::of),
        },
        x,
        coefficients: fit.coefficients,
        intercept: fit.intercept,
    };
    judged.into_model(frame, target, &units, resources)
}
