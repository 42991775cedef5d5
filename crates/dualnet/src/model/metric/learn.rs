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
use std::ops::Range;

/// Draws of noise whose fits tell which gradients mean nothing.
const DRAWS: usize = 8;

/// What an input keeps at least of its squares: what moves the function beside others alone shows when others are found, and must not be lost before.
const LEAST: f64 = 0.1;

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
    /// Which input each column is of; those of an input stand side by side.
    pub inputs: &'a [usize],
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

/// A fit at its best lambda, and fits to noise at the same.
pub(super) struct Solved {
    pub fit: DualFit,
    /// Coefficients of fits to [`DRAWS`] draws of noise, as large together as what the fit leaves unexplained of rows left out; none
    /// for classes.
    pub noise: Mat<f64>,
}

/// Solves the path's best lambda and lets the rest go.
pub(super) fn best_fit(task: &Task<'_>, solution: Solution, resources: &Resources) -> Result<Solved> {
    let fit = solution.path.fit(solution.point().lambda, resources)?;
    let (rows, outputs) = (fit.coefficients.rows(), fit.coefficients.cols());
    // What is left of one-hot classes is the shape of their borders more than noise: with the share of noise taken away, fits to all rows did worse.
    if !task.codes.is_empty() {
        return Ok(Solved { fit, noise: Mat::zeros(rows, 0) });
    }
    let deviation = (fit.point.mse * outputs as f64 / DRAWS as f64).sqrt();
    let mut draws = Draws::new(resources.seed, Purpose::METRIC, 1);
    let mut noise = Mat::from_fn(rows, DRAWS, |_, _| deviation * draws.normal());
    for k in 0..DRAWS {
        let mean = (0..rows).map(|i| noise[(i, k)]).sum::<f64>() / rows as f64;
        (0..rows).for_each(|i| noise[(i, k)] -= mean);
    }
    let noise = solution.path.coefficients_of(noise.as_ref(), solution.point().lambda, resources)?;
    Ok(Solved { fit, noise })
}

/// The metric of a function fitted to `z`, the inputs in the metric `before`; `None` for a function that is constant.
pub(super) fn next_metric(
    task: &Task<'_>,
    kind: MetricKind,
    (z, before): (MatRef<'_, f64>, Option<&Metric>),
    (coefficients, noise): (MatRef<'_, f64>, MatRef<'_, f64>),
    resources: &Resources,
) -> Result<Option<Metric>> {
    let kernel = DenseKernel::new(&task.candidate.net, z.cols())?;
    let gradient = |a: MatRef<'_, f64>| KernelGradient::new(&kernel, task.candidate.kernel, z, a, resources);
    let back = |mut squares: Vec<f64>| {
        if let Some(metric) = before {
            metric.pull_back_squares(&mut squares);
        }
        squares
    };
    match kind {
        MetricKind::Full => {
            let g = gradient(coefficients)?.outer_product(z, resources)?;
            let g = before.map_or(Ok(g.clone()), |metric| metric.pull_back(&g))?;
            Metric::from_outer_product(g.as_ref(), resources)
        }
        MetricKind::Diagonal => Ok(Metric::from_squares(&back(gradient(coefficients)?.squares(z, resources)?), 0.5)),
        MetricKind::Sharp => {
            let own = coefficients.cols();
            let both = Mat::from_fn(z.rows(), own + noise.cols(), |i, k| {
                if k < own { coefficients.row(i)[k] } else { noise.row(i)[k - own] }
            });
            let each = gradient(both.as_ref())?.squares_each(z, resources)?;
            let sum = |outputs: Range<usize>| back(column_sums(&each, outputs));
            let (mut squares, noise) = (sum(0..own), sum(own..each.rows()));
            shrink(&mut squares, &noise, task.inputs);
            Ok(Metric::from_squares(&squares, 1.0))
        }
    }
}

fn column_sums(each: &Mat<f64>, rows: Range<usize>) -> Vec<f64> {
    (0..each.cols()).map(|j| rows.clone().map(|k| each[(k, j)]).sum()).collect()
}

/// Takes from the squares of each input the share that fits to noise have there: all columns of an input together, for one alone is a small sample.
fn shrink(squares: &mut [f64], noise: &[f64], inputs: &[usize]) {
    let mut first = 0;
    for columns in inputs.chunk_by(|a, b| a == b) {
        let columns = first..first + columns.len();
        first = columns.end;
        let sum = |of: &[f64]| of[columns.clone()].iter().sum::<f64>();
        let (own, noise) = (sum(squares), sum(noise));
        let kept = if own > 0.0 { (1.0 - noise / own).max(LEAST) } else { 0.0 };
        squares[columns].iter_mut().for_each(|s| *s *= kept);
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
        let Solved { fit, noise } = best_fit(task, task.solve(z.as_ref(), y.as_ref(), resources)?, resources)?;
        let coefficients = (fit.coefficients.as_ref(), noise.as_ref());
        match next_metric(task, kind, (z.as_ref(), metric.as_ref()), coefficients, resources)? {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Two columns of an input that matters, one of noise, two of noise of which one shows more than fits to noise do, one that is constant.
    #[test]
    fn columns_of_an_input_are_judged_together() {
        let (mut squares, noise) = (vec![8.0, 2.0, 3.0, 3.0, 1.0, 0.0], [1.0, 1.0, 6.0, 2.0, 2.0, 0.0]);
        shrink(&mut squares, &noise, &[0, 0, 1, 2, 2, 3]);
        let expected = [8.0 * 0.8, 2.0 * 0.8, 3.0 * LEAST, 3.0 * LEAST, LEAST, 0.0];
        assert!(squares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{squares:?}");
    }
}
