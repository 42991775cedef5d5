//! The steps themselves: fit, gradients, metric, and again.

use super::gate::{Gate, gate};
use super::{GATE_ROWS, LEARN_ROWS, LEAST_ROWS, Metric, MetricChoice, MetricKind, MetricReport, WIDEST};
use crate::error::Result;
use crate::kernel::{DenseKernel, KernelGradient};
use crate::linalg::{Mat, MatRef};
use crate::model::candidates::Candidate;
use crate::model::draw::some_of;
use crate::model::fit::{FitOptions, Solution, solve};
use crate::model::invalid;
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::ridge::DualFit;

/// What a metric is learned for.
#[derive(Clone, Copy)]
pub(in crate::model) struct Task<'a> {
    pub candidate: &'a Candidate,
    /// Preprocessed rows.
    pub x: MatRef<'a, f64>,
    /// Standardised targets, or one-hot classes.
    pub y: MatRef<'a, f64>,
    /// The class of each row; empty for numbers.
    pub codes: &'a [usize],
    pub options: &'a FitOptions,
}

impl Task<'_> {
    /// The function that is fitted to inputs `z`, at its best lambda.
    pub fn solve(&self, z: MatRef<'_, f64>, y: MatRef<'_, f64>, resources: &Resources) -> Result<Solution> {
        solve(self.candidate, z, y, self.options, resources)
    }

    fn rows(&self) -> usize {
        self.x.rows()
    }
}

/// Solves the path's best lambda and lets the rest go.
pub(super) fn best_fit(solution: Solution, resources: &Resources) -> Result<DualFit> {
    solution.path.fit(solution.point().lambda, resources)
}

/// The metric of a function fitted to `z`, the inputs in the metric `before`; `None` for a function that is constant.
pub(super) fn next_metric(
    task: &Task<'_>,
    kind: MetricKind,
    (z, before): (MatRef<'_, f64>, Option<&Metric>),
    coefficients: MatRef<'_, f64>,
    resources: &Resources,
) -> Result<Option<Metric>> {
    let kernel = DenseKernel::new(&task.candidate.net, z.cols())?;
    let gradient = KernelGradient::new(&kernel, task.candidate.kernel, z, coefficients, resources)?;
    match kind {
        MetricKind::Full => {
            let g = gradient.outer_product(z, resources)?;
            let g = before.map_or(Ok(g.clone()), |metric| metric.pull_back(&g))?;
            Metric::from_outer_product(g.as_ref(), resources)
        }
        MetricKind::Diagonal | MetricKind::Sharp => {
            let power = if kind == MetricKind::Sharp { 1.0 } else { 0.5 };
            let mut squares = gradient.squares(z, resources)?;
            if let Some(metric) = before {
                metric.pull_back_squares(&mut squares);
            }
            Ok(Metric::from_squares(&squares, power))
        }
    }
}

/// Learns the metric that `options` ask for, if any: cross-validation decides on its shape and steps.
pub(in crate::model) fn learn(
    task: &Task<'_>,
    resources: &Resources,
) -> Result<(Option<Metric>, Option<MetricReport>)> {
    let (choice, rows, width) = (task.options.metric, task.rows(), task.x.cols());
    let kinds = choice.kinds(width);
    let gradients = || DenseKernel::new(&task.candidate.net, width)?.check_gradients();
    if kinds.is_empty() || choice == MetricChoice::Auto && (rows < LEAST_ROWS || gradients().is_err()) {
        return Ok((None, None));
    }
    if rows < LEAST_ROWS {
        let hint = "leave the metric out, or give more rows";
        return Err(invalid("rows for a metric", &format!("at least {LEAST_ROWS}"), &rows.to_string(), hint));
    }
    if choice == MetricChoice::Full && width > WIDEST {
        let (expected, found) = (format!("at most {WIDEST} columns after encoding"), width.to_string());
        return Err(invalid("the inputs of a full metric", &expected, &found, "take a diagonal one"));
    }
    let Gate { chosen, mut report } = gate(task, &kinds, resources)?;
    let Some((kind, steps)) = chosen else { return Ok((None, Some(report))) };
    let metric = follow(task, kind, steps, &mut report, resources)?;
    match metric {
        Some(_) => (report.kind, report.steps) = (Some(kind), steps),
        None => report.optimism = 1.0,
    }
    Ok((metric, Some(report)))
}

/// Takes `steps` steps on all rows, or on some of many.
fn follow(
    task: &Task<'_>,
    kind: MetricKind,
    steps: usize,
    report: &mut MetricReport,
    resources: &Resources,
) -> Result<Option<Metric>> {
    let some = part(task.rows(), LEARN_ROWS, resources);
    let (x, y) = match &some {
        Some(some) => (task.x.select_rows(some), task.y.select_rows(some)),
        None => (task.x.to_mat(), task.y.to_mat()),
    };
    report.learned_rows = x.rows();
    let mut metric: Option<Metric> = None;
    for step in 0..steps {
        resources.progress.update("learning a metric", step as u64, steps as u64);
        let z = transformed(&x, metric.as_ref())?;
        let fit = best_fit(task.solve(z.as_ref(), y.as_ref(), resources)?, resources)?;
        match next_metric(task, kind, (z.as_ref(), metric.as_ref()), fit.coefficients.as_ref(), resources)? {
            Some(next) => metric = Some(next),
            None => return Ok(None),
        }
    }
    resources.progress.update("learning a metric", steps as u64, steps as u64);
    Ok(metric)
}

/// `wanted` of `rows` at random, ascending; `None`: all.
pub(super) fn part(rows: usize, wanted: usize, resources: &Resources) -> Option<Vec<usize>> {
    if rows <= wanted {
        return None;
    }
    let mut some = some_of((0..rows).collect(), wanted, Draws::new(resources.seed, Purpose::METRIC, 0));
    some.sort_unstable();
    Some(some)
}

/// Rows of the cross-validation of `rows`.
pub(super) fn gate_rows(rows: usize, resources: &Resources) -> Option<Vec<usize>> {
    part(rows, GATE_ROWS, resources)
}

/// Inputs in a metric, if there is one.
pub(super) fn transformed(x: &Mat<f64>, metric: Option<&Metric>) -> Result<Mat<f64>> {
    metric.map_or_else(|| Ok(x.clone()), |metric| metric.apply(x.clone()))
}
