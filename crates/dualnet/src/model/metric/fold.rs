//! Cross-validation: fits to two parts of the rows, judged on the third.

use super::step::{Coefficients, Next, best_fit, next_metric, transformed};
use super::task::Task;
use super::{Metric, MetricKind};
use crate::error::Result;
use crate::linalg::{Mat, MatRef};
use crate::model::exact::{Exact, Variances};
use crate::model::shuffled;
use crate::resources::Resources;

pub(super) const FOLDS: usize = 3;

/// Squared errors of the fits to two folds, summed over the folds.
#[derive(Clone, Copy, Default)]
pub(super) struct Errors {
    /// On the rows of the third.
    pub new: f64,
    /// On their own rows, by leave-one-out, as many as there are in the third.
    pub left_out: f64,
}

impl Errors {
    pub fn add(&mut self, other: Errors) {
        self.new += other.new;
        self.left_out += other.left_out;
    }
}

/// A fit to two folds.
pub(super) struct Judged {
    pub errors: Errors,
    /// Squared errors of the rows of the third, summed over outputs.
    pub each: Vec<f64>,
    pub coefficients: Coefficients,
    /// In units of the mean diagonal of the kernel.
    pub lambda: f64,
}

/// The rows in [`FOLDS`] parts of equal size; of each class as many in each as can be.
pub(super) fn parts(rows: &[usize], codes: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = shuffled(rows.len(), seed).into_iter().map(|i| rows[i]).collect();
    order.sort_by_key(|&i| codes.get(i).copied());
    let mut parts = vec![Vec::new(); FOLDS];
    order.into_iter().enumerate().for_each(|(at, row)| parts[at % FOLDS].push(row));
    parts.iter_mut().for_each(|part| part.sort_unstable());
    parts
}

/// Rows to fit, and rows to judge by, as an encoding shows them.
pub(super) struct Fold {
    pub x: Mat<f64>,
    pub y: Mat<f64>,
    pub new: Mat<f64>,
    pub truth: Mat<f64>,
}

impl Fold {
    /// Part `at` to judge by, the others to fit.
    pub fn new((x, y): (MatRef<'_, f64>, MatRef<'_, f64>), parts: &[Vec<usize>], at: usize) -> Self {
        let others = parts.iter().enumerate().filter(|(k, _)| *k != at);
        let (train, test): (Vec<usize>, _) = (others.flat_map(|(_, part)| part.clone()).collect(), &parts[at]);
        Self {
            x: x.select_rows(&train),
            y: y.select_rows(&train),
            new: x.select_rows(test),
            truth: y.select_rows(test),
        }
    }

    /// The metric of the function that was fitted in the metric `before`.
    pub fn next(
        &self,
        (task, kind): (&Task<'_>, MetricKind),
        before: Option<&Metric>,
        coefficients: &Coefficients,
        resources: &Resources,
    ) -> Result<Option<Next>> {
        let z = transformed(&self.x, before)?;
        next_metric(task, kind, (z.as_ref(), before), coefficients, resources)
    }

    /// The fit in a metric.
    pub fn judge(&self, task: &Task<'_>, metric: Option<&Metric>, resources: &Resources) -> Result<Judged> {
        let z = transformed(&self.x, metric)?;
        let (fit, noise) = best_fit(task, task.solve(z.as_ref(), self.y.as_ref(), resources)?, resources)?;
        let (net, kernel) = (task.candidate.net.clone(), task.candidate.kernel);
        let exact = Exact { net, kernel, x: z, coefficients: fit.coefficients, lambda_absolute: 0.0 };
        let new = transformed(&self.new, metric)?;
        let (values, _) = exact.values(&new, &fit.intercept, Variances::Spared, resources)?;
        let share = self.truth.rows() as f64 / self.y.rows().max(1) as f64;
        let each = squared_errors(values.as_ref(), self.truth.as_ref());
        let left_out = share * squared_errors(fit.point.loo.as_ref(), self.y.as_ref()).iter().sum::<f64>();
        let errors = Errors { new: each.iter().sum(), left_out };
        Ok(Judged { errors, each, coefficients: (exact.coefficients, noise), lambda: fit.point.lambda })
    }
}

/// Of each row, summed over outputs.
fn squared_errors(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Vec<f64> {
    (0..a.rows()).map(|i| a.row(i).iter().zip(b.row(i)).map(|(a, b)| (a - b) * (a - b)).sum()).collect()
}
