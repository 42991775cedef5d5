//! Whether a metric helps, by 3-fold cross-validation: every shape and number of steps, learned on two folds and judged on the third.

use super::learn::{Task, best_fit, gate_rows, next_metric, transformed};
use super::{GAIN, GATE_ROWS, LEARN_ROWS, Metric, MetricChoice, MetricKind, MetricReport, MetricTried, STEPS};
use crate::error::Result;
use crate::linalg::{Mat, MatRef};
use crate::model::exact::{Exact, Variances};
use crate::model::fit::{FitOptions, path_flops};
use crate::model::shuffled;
use crate::resources::Resources;

const FOLDS: usize = 3;

/// What cross-validation found.
pub(super) struct Gate {
    /// Shape and steps to use; `None`: no metric.
    pub chosen: Option<(MetricKind, usize)>,
    pub report: MetricReport,
}

/// Compares 0 to [`STEPS`] steps of each of `kinds`.
pub(super) fn gate(task: &Task<'_>, kinds: &[MetricKind], resources: &Resources) -> Result<Gate> {
    let some = gate_rows(task.x.rows(), resources).unwrap_or_else(|| (0..task.x.rows()).collect());
    let parts = folds(&some, task.codes, resources.seed);
    let (mut without, mut errors) = (0.0, vec![[0.0; STEPS]; kinds.len()]);
    for (at, test) in parts.iter().enumerate() {
        resources.progress.update("judging metrics", at as u64, FOLDS as u64);
        let train: Vec<usize> =
            parts.iter().enumerate().filter(|(k, _)| *k != at).flat_map(|(_, p)| p.clone()).collect();
        let fold = Fold {
            task,
            x: task.x.select_rows(&train),
            y: task.y.select_rows(&train),
            new: task.x.select_rows(test),
            truth: task.y.select_rows(test),
        };
        without += fold.run(kinds, &mut errors, resources)?;
    }
    resources.progress.update("judging metrics", FOLDS as u64, FOLDS as u64);
    let count = (some.len() * task.y.cols()) as f64;
    let tried: Vec<MetricTried> = kinds
        .iter()
        .zip(&errors)
        .flat_map(|(&kind, errors)| {
            (1..=STEPS).zip(errors).map(move |(steps, e)| MetricTried { kind, steps, mse: e / count })
        })
        .collect();
    let without = without / count;
    // Of equals the first: fewer steps, and full before diagonal.
    let best = tried.iter().min_by(|a, b| a.mse.total_cmp(&b.mse));
    let needed = if task.options.metric == MetricChoice::Auto { GAIN * without } else { f64::INFINITY };
    let chosen = best.filter(|best| best.mse < needed).map(|best| (best.kind, best.steps));
    let report =
        MetricReport { kind: None, steps: 0, gate_rows: some.len(), mse_without: without, tried, learned_rows: 0 };
    Ok(Gate { chosen, report })
}

/// The rows in [`FOLDS`] parts of equal size; of each class as many in each as can be.
fn folds(rows: &[usize], codes: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = shuffled(rows.len(), seed).into_iter().map(|i| rows[i]).collect();
    order.sort_by_key(|&i| codes.get(i).copied());
    let mut parts = vec![Vec::new(); FOLDS];
    order.into_iter().enumerate().for_each(|(at, row)| parts[at % FOLDS].push(row));
    parts.iter_mut().for_each(|part| part.sort_unstable());
    parts
}

struct Fold<'a> {
    task: &'a Task<'a>,
    x: Mat<f64>,
    y: Mat<f64>,
    new: Mat<f64>,
    truth: Mat<f64>,
}

impl Fold<'_> {
    /// Adds the squared errors of every shape and number of steps; returns that without a step.
    fn run(&self, kinds: &[MetricKind], errors: &mut [[f64; STEPS]], resources: &Resources) -> Result<f64> {
        let (without, coefficients) = self.judge(None, resources)?;
        for (kind, errors) in kinds.iter().zip(errors) {
            let (mut metric, mut coefficients, mut error) = (None, coefficients.clone(), without);
            for sum in errors.iter_mut() {
                let z = transformed(&self.x, metric.as_ref())?;
                let of = (z.as_ref(), metric.as_ref());
                // A constant function has no metric: the step changes nothing.
                if let Some(next) = next_metric(self.task, *kind, of, coefficients.as_ref(), resources)? {
                    (error, coefficients) = self.judge(Some(&next), resources)?;
                    metric = Some(next);
                }
                *sum += error;
            }
        }
        Ok(without)
    }

    /// Squared error on the rows left out, and the coefficients.
    fn judge(&self, metric: Option<&Metric>, resources: &Resources) -> Result<(f64, Mat<f64>)> {
        let z = transformed(&self.x, metric)?;
        let fit = best_fit(self.task.solve(z.as_ref(), self.y.as_ref(), resources)?, resources)?;
        let candidate = self.task.candidate;
        let (net, kernel) = (candidate.net.clone(), candidate.kernel);
        let exact = Exact { net, kernel, x: z, coefficients: fit.coefficients, lambda_absolute: 0.0 };
        let new = transformed(&self.new, metric)?;
        let (values, _) = exact.values(&new, &fit.intercept, Variances::Spared, resources)?;
        Ok((squared_error(values.as_ref(), self.truth.as_ref()), exact.coefficients))
    }
}

fn squared_error(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> f64 {
    (0..a.rows()).flat_map(|i| a.row(i).iter().zip(b.row(i))).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Operations of the search for a metric: of (rows, columns, outputs), with `pair` operations a kernel value.
pub(in crate::model) fn flops((rows, columns, outputs): (usize, usize, usize), pair: f64, options: &FitOptions) -> f64 {
    let kinds = options.metric.kinds(columns).len();
    if kinds == 0 {
        return 0.0;
    }
    // A gradient: two derivatives of every pair, and a product with the rows for each output.
    let solve = |n: usize| {
        let pairs = (n as f64).powi(2);
        let gradient = pairs * (4.0 * pair + 2.0 * (columns * outputs) as f64);
        path_flops(n, outputs, options.lambdas.len()) + pairs / 2.0 * pair + gradient
    };
    let fold = rows.min(GATE_ROWS) * (FOLDS - 1) / FOLDS;
    (FOLDS * (1 + kinds * STEPS)) as f64 * solve(fold) + STEPS as f64 * solve(rows.min(LEARN_ROWS))
}
