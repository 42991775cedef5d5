//! Models that rows held out have judged: what they begin with, which rows are held out, and the model that comes of a solution in the dual.

use super::compare::{Choice, choose};
use super::draw::{draw, some_of};
use super::exact::Exact;
use super::fit::{FitOptions, check};
use super::fitted::{Model, Solution};
use super::frame::Frame;
use super::invalid;
use super::outputs::Outputs;
use super::pcg::{IterativeReport, PcgPlan};
use super::report::Report;
use super::target::Target;
use super::units::{Unit, standardised, units};
use crate::error::{Error, Result};
use crate::linalg::Mat;
use crate::random::{Draws, Purpose};
use crate::resources::Resources;

/// Least rows of a fit: one has to be held out, and two stay.
const LEAST_ROWS: usize = 3;
/// One row in so many is held out, at most [`MOST_HELD`]. Probabilities are calibrated on these: not fewer than [`FEW_HELD`], or a fifth of the
/// rows. More would leave so many gaps that lambda comes out too large (airfoil: a third held out quadruples the error of those held out).
const HELD: usize = 10;
const MOST_HELD: usize = 5000;
const FEW_HELD: usize = 100;

/// What a fit by conjugate gradients begins with.
pub(super) struct Begun {
    pub units: Vec<Unit>,
    pub choice: Choice,
    /// For the columns of `x`.
    pub plan: PcgPlan,
    /// Rows held out, ascending.
    pub held: Vec<usize>,
    /// Preprocessed rows.
    pub x: Mat<f64>,
    /// Targets in their units.
    pub y: Mat<f64>,
}

/// Chooses on some of the rows and preprocesses all of them, once what `plan` says for (rows, columns, outputs) is granted. `named`: what
/// will be fitted, and what to do where that takes too much memory.
pub(super) fn begin(
    (frame, target): (&Frame, &Target),
    named: (&str, &str),
    options: &FitOptions,
    plan: &dyn Fn((usize, usize, usize)) -> Result<PcgPlan>,
    resources: &Resources,
) -> Result<Begun> {
    let (rows, columns) = (frame.rows(), frame.columns().len());
    check(rows, target)?;
    if rows < LEAST_ROWS {
        let hint = "give more rows, or take the exact method";
        return Err(invalid("the data", "at least three rows for conjugate gradients", &rows.to_string(), hint));
    }
    let granted = |columns: usize| {
        let plan = plan((rows, columns, target.outputs()))?;
        resources.reserve(named.0, plan.bytes, named.1)?;
        Ok(plan)
    };
    granted(columns)?;
    let units = units(target)?;
    let some = draw(rows, options.compared(rows), target, resources.seed);
    let some = some.unwrap_or_else(|| (0..rows).collect());
    let choice = choose((frame, target), &some, options, &units, resources)?;
    // Words and bins are wider than their columns.
    let plan = granted(choice.preprocess.width().max(columns))?;
    let (x, y) = (choice.preprocess.apply(frame)?, standardised(target, &units)?);
    Ok(Begun { units, choice, plan, held: held_out(rows, resources.seed), x, y })
}

/// A solution `f(x) = intercept + sum_i k(x, x_i) coefficients_i` for targets in their units, and what rows held out say of it.
pub(super) struct Judged<'a> {
    pub method: &'static str,
    pub choice: Choice,
    /// Preprocessed rows that have a coefficient.
    pub x: Mat<f64>,
    pub coefficients: Mat<f64>,
    pub intercept: Vec<f64>,
    /// In units of the mean diagonal of the kernel.
    pub lambda: f64,
    pub lambda_absolute: f64,
    /// Rows held out, ascending, and their predictions by the model without them.
    pub held: &'a [usize],
    pub predictions: Mat<f64>,
    /// Its metrics are not known yet.
    pub iterative: IterativeReport,
}

impl Judged<'_> {
    /// In the units of the data, calibrated on the rows held out.
    pub fn into_model(
        mut self,
        frame: &Frame,
        target: &Target,
        units: &[Unit],
        resources: &Resources,
    ) -> Result<Model> {
        for (j, &Unit { mean, size }) in units.iter().enumerate() {
            self.intercept[j] = mean + size * self.intercept[j];
            each(&mut self.coefficients, j, &|a| size * a);
            each(&mut self.predictions, j, &|f| mean + size * f);
        }
        let noise = self.lambda_absolute;
        let (outputs, metrics) = Outputs::of_left_out(&target.select(self.held), &self.predictions, noise, resources)?;
        let Choice { candidate, preprocess, tried, compared_rows, metric, .. } = self.choice;
        let report = Report {
            task: target.task(),
            n_train: frame.rows(),
            n_features: frame.columns().len(),
            n_encoded: self.x.cols(),
            n_classes: target.classes_len(),
            net: candidate.name,
            kernel: candidate.kernel,
            encoding: candidate.encoding,
            method: self.method.into(),
            lambda: self.lambda,
            loo: None,
            loo_rows: 0,
            degrees_of_freedom: None,
            condition: None,
            jitter: None,
            path: Vec::new(),
            metric,
            candidates: tried,
            compared_rows,
            dropped: preprocess.dropped().to_vec(),
            features: None,
            iterative: Some(IterativeReport { holdout: metrics, ..self.iterative }),
        };
        let exact = Exact {
            net: candidate.net,
            kernel: candidate.kernel,
            x: self.x,
            coefficients: self.coefficients,
            lambda_absolute: noise,
        };
        let (solution, intercept) = (Solution::Exact(Box::new(exact)), self.intercept);
        Ok(Model { preprocess, outputs, solution, intercept, report, left_out: None })
    }
}

fn each(matrix: &mut Mat<f64>, j: usize, f: &dyn Fn(f64) -> f64) {
    (0..matrix.rows()).for_each(|i| matrix[(i, j)] = f(matrix[(i, j)]));
}

/// Rows to hold out, ascending.
fn held_out(rows: usize, seed: u64) -> Vec<usize> {
    let count = (rows / HELD).clamp(FEW_HELD.min(rows / 5).max(1), MOST_HELD);
    let mut held = some_of((0..rows).collect(), count, Draws::new(seed, Purpose::HOLDOUT, 0));
    held.sort_unstable();
    held
}

/// A solution without predictions of the rows held out.
pub(super) fn unjudged() -> Error {
    invalid("the rows held out", "their predictions", "none", "report this as a defect")
}
