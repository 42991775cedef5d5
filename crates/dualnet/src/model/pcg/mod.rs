//! Fitting the exact kernel of a net to more rows than a decomposition can take: conjugate gradients, judged by rows held out.
//!
//! Net, kernel and encoding are chosen by exact leave-one-out on some hundred rows; lambda, near the best of those rows, by the rows held
//! out, which then calibrate probabilities and intervals. The model is fitted to all rows afterwards. There is no leave-one-out error.

mod options;
mod report;
mod solve;

pub use options::{KernelTiles, PcgOptions, PcgPlan, plan_pcg};
pub use report::{IterativeReport, LambdaReport};

use super::compare::{Choice, choose};
use super::exact::Exact;
use super::fit::{Report, check, draw, some_of};
use super::fitted::{Model, Solution};
use super::frame::Frame;
use super::invalid;
use super::outputs::Outputs;
use super::target::Target;
use super::units::{Unit, standardised, units};
use crate::error::Result;
use crate::linalg::Mat;
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::ridge::iterative::{HoldoutScore, IterativeFit, IterativePoint};
use solve::{Solved, Task};

/// Least rows of a fit: one has to be held out, and two stay.
const LEAST_ROWS: usize = 3;
/// One row in so many is held out, at most [`MOST_HELD`]. Probabilities are calibrated on these: not fewer than [`FEW_HELD`], or a fifth of the
/// rows. More would leave so many gaps that lambda comes out too large (airfoil: a third held out quadruples the error of those held out).
const HELD: usize = 10;
const MOST_HELD: usize = 5000;
const FEW_HELD: usize = 100;

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
    check(rows, target)?;
    if rows < LEAST_ROWS {
        let hint = "give more rows, or take the exact method";
        return Err(invalid("the data", "at least three rows for conjugate gradients", &rows.to_string(), hint));
    }
    let shape = (rows, frame.columns().len(), target.outputs());
    let plan = plan_pcg(shape, options, resources.memory)?;
    let what = format!("a fit of {rows} rows by conjugate gradients");
    let hint = "raise --memory, fit fewer rows, or take --method nystrom";
    resources.reserve(&what, plan.bytes, hint)?;
    let units = units(target)?;
    let some = draw(rows, options.choice.compared(rows), target, resources.seed);
    let some = some.unwrap_or_else(|| (0..rows).collect());
    let choice = choose((frame, target), &some, &options.choice, &units, resources)?;
    // Words and bins are wider than their columns.
    let width = choice.preprocess.width();
    let plan = plan_pcg((rows, width.max(shape.1), shape.2), options, resources.memory)?;
    resources.reserve(&what, plan.bytes, hint)?;
    let x = choice.preprocess.apply(frame)?;
    let y = standardised(target, &units)?;
    let held = held_out(rows, resources.seed);
    let task = Task { candidate: &choice.candidate, x: &x, y: &y, held: &held, plan: &plan };
    let mut solved = task.solve(&options.lambdas(choice.lambda, &plan), options, resources)?;
    restore(&mut solved.fit, &units);
    assemble(frame, target, (choice, x), (solved, &held, &plan), resources)
}

fn assemble(
    frame: &Frame,
    target: &Target,
    (choice, x): (Choice, Mat<f64>),
    (Solved { fit, rank }, held, plan): (Solved, &[usize], &PcgPlan),
    resources: &Resources,
) -> Result<Model> {
    let none = || invalid("the rows held out", "their predictions", "none", "report this as a defect");
    let chosen = &fit.points[fit.best];
    let last = fit.refit.as_ref().unwrap_or(chosen);
    let HoldoutScore { predictions, .. } = chosen.holdout.as_ref().ok_or_else(none)?;
    let noise = last.lambda_absolute;
    let (outputs, metrics) = Outputs::of_left_out(&target.select(held), predictions, noise, resources)?;
    let report = Report {
        task: target.task(),
        n_train: frame.rows(),
        n_features: frame.columns().len(),
        n_encoded: x.cols(),
        n_classes: target.classes_len(),
        net: choice.candidate.name,
        kernel: choice.candidate.kernel,
        encoding: choice.candidate.encoding,
        method: "pcg".into(),
        lambda: chosen.lambda,
        loo: None,
        loo_rows: 0,
        degrees_of_freedom: None,
        condition: None,
        jitter: None,
        path: Vec::new(),
        metric: choice.metric,
        candidates: choice.tried,
        compared_rows: choice.compared_rows,
        dropped: choice.preprocess.dropped().to_vec(),
        features: None,
        iterative: Some(IterativeReport {
            holdout: metrics,
            holdout_rows: held.len(),
            landmarks: rank,
            tiles: plan.tiles,
            precision: plan.precision,
            lambdas: fit.points.iter().map(LambdaReport::of).collect(),
            refit: fit.refit.as_ref().map(LambdaReport::of),
        }),
    };
    let exact = Exact {
        net: choice.candidate.net,
        kernel: choice.candidate.kernel,
        x,
        coefficients: fit.coefficients,
        lambda_absolute: noise,
    };
    let (solution, intercept) = (Solution::Exact(Box::new(exact)), fit.intercept);
    Ok(Model { preprocess: choice.preprocess, outputs, solution, intercept, report, left_out: None })
}

/// Rows to hold out, ascending.
fn held_out(rows: usize, seed: u64) -> Vec<usize> {
    let count = (rows / HELD).clamp(FEW_HELD.min(rows / 5).max(1), MOST_HELD);
    let mut held = some_of((0..rows).collect(), count, Draws::new(seed, Purpose::HOLDOUT, 0));
    held.sort_unstable();
    held
}

/// Puts a solution for standardised targets in their own units.
fn restore(fit: &mut IterativeFit, units: &[Unit]) {
    let each = |matrix: &mut Mat<f64>, j: usize, f: &dyn Fn(f64) -> f64| {
        (0..matrix.rows()).for_each(|i| matrix[(i, j)] = f(matrix[(i, j)]));
    };
    let best = fit.best;
    for (j, &Unit { mean, size }) in units.iter().enumerate() {
        fit.intercept[j] = mean + size * fit.intercept[j];
        each(&mut fit.coefficients, j, &|a| size * a);
        if let Some(IterativePoint { holdout: Some(score), .. }) = fit.points.get_mut(best) {
            each(&mut score.predictions, j, &|f| mean + size * f);
        }
    }
}
