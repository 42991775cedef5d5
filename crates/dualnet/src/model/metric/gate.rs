//! Whether a metric helps, by 3-fold cross-validation: shapes and numbers of steps, learned on two folds and judged on the third.

use super::learn::{Solved, Task, best_fit, gate_rows, next_metric, transformed};
use super::{GAIN, GATE_ROWS, LEARN_ROWS, Metric, MetricChoice, MetricKind, MetricReport, MetricTried, STEPS};
use crate::error::Result;
use crate::linalg::{Mat, MatRef};
use crate::model::exact::{Exact, Variances};
use crate::model::fit::{FitOptions, path_flops};
use crate::model::shuffled;
use crate::resources::Resources;

const FOLDS: usize = 3;

/// Bound of what leave-one-out is multiplied by: where it is 0, up to rounding, nothing can be said.
const MOST_OPTIMISM: f64 = 100.0;

/// What cross-validation found.
pub(super) struct Gate {
    /// Shape and steps to use; `None`: no metric.
    pub chosen: Option<(MetricKind, usize)>,
    pub report: MetricReport,
}

/// Compares 0 to [`STEPS`] steps of each of `kinds`; a kind takes no further step once one did not lower its error.
pub(super) fn gate(task: &Task<'_>, kinds: &[MetricKind], resources: &Resources) -> Result<Gate> {
    let some = gate_rows(task.x.rows(), resources).unwrap_or_else(|| (0..task.x.rows()).collect());
    let parts = folds(&some, task.codes, resources.seed);
    let folds: Vec<Fold<'_>> = (0..parts.len()).map(|at| Fold::new(task, &parts, at)).collect();
    let (mut at, all) = (0, FOLDS * (1 + STEPS * kinds.len()));
    let mut judge = |fold: &Fold<'_>, metric: Option<&Metric>| {
        resources.progress.update("judging metrics", at as u64, all as u64);
        at += 1;
        fold.judge(metric, resources)
    };
    let (mut without, mut plain) = (Errors::default(), Vec::new());
    for fold in &folds {
        let (errors, coefficients) = judge(fold, None)?;
        without.add(errors);
        plain.push(coefficients);
    }
    let count = (some.len() * task.y.cols()) as f64;
    let mut tried: Vec<(MetricTried, Errors)> = Vec::new();
    for &kind in kinds {
        let (mut before, mut states) = (without, plain.iter().map(|c| (None, c.clone())).collect::<Vec<_>>());
        for steps in 1..=STEPS {
            let mut errors = Errors::default();
            for (fold, (metric, coefficients)) in folds.iter().zip(&mut states) {
                // A constant function has no metric: the step changes nothing.
                if let Some(next) = fold.next(kind, metric.as_ref(), coefficients, resources)? {
                    *metric = Some(next);
                }
                let (found, solved) = judge(fold, metric.as_ref())?;
                errors.add(found);
                *coefficients = solved;
            }
            tried.push((MetricTried { kind, steps, mse: errors.new / count }, errors));
            if errors.new >= before.new {
                break;
            }
            before = errors;
        }
    }
    resources.progress.update("judging metrics", all as u64, all as u64);
    let mse_without = without.new / count;
    // Of equals the first: fewer steps, and full before diagonal. Sharp must lead by as much as any metric must over none: what is almost taken
    // away cannot serve the fit to all rows, of which a fold has the smaller part.
    let handicapped = |t: &MetricTried| if t.kind == MetricKind::Sharp { t.mse / GAIN } else { t.mse };
    let best = tried.iter().min_by(|(a, _), (b, _)| handicapped(a).total_cmp(&handicapped(b)));
    let needed = if task.options.metric == MetricChoice::Auto { GAIN * mse_without } else { f64::INFINITY };
    let best = best.filter(|(best, _)| best.mse < needed);
    let report = MetricReport {
        kind: None,
        steps: 0,
        gate_rows: some.len(),
        mse_without,
        learned_rows: 0,
        expected: None,
        optimism: best.map_or(1.0, |(_, errors)| optimism(*errors, without, some.len(), task.x.rows())),
        tried: tried.iter().map(|(tried, _)| *tried).collect(),
    };
    Ok(Gate { chosen: best.map(|(best, _)| (best.kind, best.steps)), report })
}

/// By what a metric changes the squared error of a fit to `rows` rows, of which `task` has some: found on rows that neither it nor the gate has
/// seen, and carried on from the rows of a fold over those of `task` to all. What few rows gain by a metric many may not need.
pub(in crate::model) fn expected(
    task: &Task<'_>,
    (metric, report): (&Metric, &MetricReport),
    (new, truth): (Mat<f64>, Mat<f64>),
    rows: usize,
    resources: &Resources,
) -> Result<f64> {
    let fold = Fold { task, x: task.x.to_mat(), y: task.y.to_mat(), new, truth };
    let (without, with) = (fold.judge(None, resources)?.0, fold.judge(Some(metric), resources)?.0);
    let used = report.tried.iter().find(|t| (Some(t.kind), t.steps) == (report.kind, report.steps));
    let few = used.map_or(1.0, |t| t.mse / report.mse_without);
    let many = with.new / without.new;
    let fitted = (report.gate_rows * (FOLDS - 1) / FOLDS) as f64;
    let slope = (many / few).ln() / (task.x.rows() as f64 / fitted).ln();
    let found = many * (rows as f64 / task.x.rows() as f64).powf(slope);
    // No error at all on either side: nothing to gain.
    Ok(if found.is_finite() { found } else { 1.0 })
}

/// Squared errors of the fits to two folds, summed over the folds.
#[derive(Clone, Copy, Default)]
struct Errors {
    /// On the rows of the third.
    new: f64,
    /// On their own rows, by leave-one-out, as many as there are in the third.
    left_out: f64,
}

impl Errors {
    fn add(&mut self, other: Errors) {
        self.new += other.new;
        self.left_out += other.left_out;
    }
}

/// By what to multiply the squared errors of leave-one-out of a fit to all `rows` rows in a metric that has seen them.
///
/// Leave-one-out of a fit in a metric, against the error of the same fit on rows that neither has seen; the same quotient without a metric, where both
/// are honest, takes away most of what chance has done to both. What was learned from a row shows in its own error in proportion to one over
/// the number of rows, as for all fits of a fixed number of parameters (Efron 2004, covariance penalties).
fn optimism(with: Errors, without: Errors, gate_rows: usize, rows: usize) -> f64 {
    let quotient = |e: Errors| if e.left_out > 0.0 { e.new / e.left_out } else { 1.0 };
    let excess = quotient(with) / quotient(without).max(f64::MIN_POSITIVE) - 1.0;
    let fitted = gate_rows as f64 * (FOLDS - 1) as f64 / FOLDS as f64;
    let found = 1.0 + excess * (fitted / rows as f64).min(1.0);
    if found.is_finite() { found.clamp(1.0, MOST_OPTIMISM) } else { 1.0 }
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

/// Of a fit, and of fits to noise.
type Coefficients = (Mat<f64>, Mat<f64>);

struct Fold<'a> {
    task: &'a Task<'a>,
    x: Mat<f64>,
    y: Mat<f64>,
    new: Mat<f64>,
    truth: Mat<f64>,
}

impl<'a> Fold<'a> {
    /// Part `at` to judge by, the others to fit.
    fn new(task: &'a Task<'a>, parts: &[Vec<usize>], at: usize) -> Self {
        let others = parts.iter().enumerate().filter(|(k, _)| *k != at);
        let (train, test): (Vec<usize>, _) = (others.flat_map(|(_, part)| part.clone()).collect(), &parts[at]);
        Self {
            task,
            x: task.x.select_rows(&train),
            y: task.y.select_rows(&train),
            new: task.x.select_rows(test),
            truth: task.y.select_rows(test),
        }
    }

    /// The metric of the function that was fitted in the metric `before`.
    fn next(
        &self,
        kind: MetricKind,
        before: Option<&Metric>,
        (coefficients, noise): &Coefficients,
        resources: &Resources,
    ) -> Result<Option<Metric>> {
        let z = transformed(&self.x, before)?;
        next_metric(self.task, kind, (z.as_ref(), before), (coefficients.as_ref(), noise.as_ref()), resources)
    }

    /// Squared errors of the fit in a metric, and its coefficients.
    fn judge(&self, metric: Option<&Metric>, resources: &Resources) -> Result<(Errors, Coefficients)> {
        let z = transformed(&self.x, metric)?;
        let Solved { fit, noise } =
            best_fit(self.task, self.task.solve(z.as_ref(), self.y.as_ref(), resources)?, resources)?;
        let candidate = self.task.candidate;
        let (net, kernel) = (candidate.net.clone(), candidate.kernel);
        let exact = Exact { net, kernel, x: z, coefficients: fit.coefficients, lambda_absolute: 0.0 };
        let new = transformed(&self.new, metric)?;
        let (values, _) = exact.values(&new, &fit.intercept, Variances::Spared, resources)?;
        let share = self.truth.rows() as f64 / self.y.rows().max(1) as f64;
        let errors = Errors {
            new: squared_error(values.as_ref(), self.truth.as_ref()),
            left_out: share * squared_error(fit.point.loo.as_ref(), self.y.as_ref()),
        };
        Ok((errors, (exact.coefficients, noise)))
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
