//! The steps of one candidate in one shape, in all folds.

use super::fold::{Errors, Fold};
use super::step::Coefficients;
use super::task::Task;
use super::{Metric, MetricKind, STEPS};
use crate::error::Result;
use crate::resources::Resources;

/// What the folds say of a number of steps.
#[derive(Clone)]
pub(super) struct Point {
    pub errors: Errors,
    /// Squared errors of all rows, as the folds have them.
    each: Vec<f64>,
    /// Geometric mean of their lambdas.
    pub lambda: f64,
}

impl Point {
    /// Whether the error is less than `other`'s by more than one standard error of the difference, which the differences of single rows tell.
    pub fn surely_below(&self, other: &Point) -> bool {
        let differences = || other.each.iter().zip(&self.each).map(|(b, a)| b - a);
        let (n, sum) = (self.each.len() as f64, differences().sum::<f64>());
        let spread: f64 = differences().map(|d| (d - sum / n).powi(2)).sum();
        sum > spread.sqrt()
    }
}

/// A candidate without a metric, in every fold.
#[derive(Clone)]
pub(super) struct Start<'a> {
    /// Place of the candidate.
    pub place: usize,
    pub task: Task<'a>,
    pub point: Point,
    coefficients: Vec<Coefficients>,
}

/// A candidate, a shape, and the steps taken so far; none follows one that did not lower the error.
pub(super) struct Chain<'a> {
    pub place: usize,
    pub task: Task<'a>,
    pub kind: MetricKind,
    /// After 0, 1, ... steps.
    pub points: Vec<Point>,
    /// Of the best number of steps, one a fold.
    pub metrics: Vec<Option<Metric>>,
    /// The inputs that hardly show, one list a fold.
    faint: Vec<Vec<usize>>,
    /// Those of all folds, and what the folds say of metrics without them.
    pub pruned: Option<(Vec<usize>, Point)>,
    coefficients: Vec<Coefficients>,
    ended: bool,
}

/// Fits in every fold, each in its metric; what `told` hears of is progress.
pub(super) fn judge(
    (task, folds): (&Task<'_>, &[Fold]),
    metrics: &[Option<Metric>],
    told: &mut dyn FnMut(),
    resources: &Resources,
) -> Result<(Point, Vec<Coefficients>)> {
    let (mut errors, mut lambda, mut each, mut coefficients) = (Errors::default(), 0.0, Vec::new(), Vec::new());
    for (fold, metric) in folds.iter().zip(metrics) {
        told();
        let judged = fold.judge(task, metric.as_ref(), resources)?;
        errors.add(judged.errors);
        each.extend(judged.each);
        lambda += judged.lambda.ln() / folds.len() as f64;
        coefficients.push(judged.coefficients);
    }
    Ok((Point { errors, each, lambda: lambda.exp() }, coefficients))
}

impl<'a> Start<'a> {
    pub fn new(
        (place, task): (usize, Task<'a>),
        folds: &[Fold],
        told: &mut dyn FnMut(),
        resources: &Resources,
    ) -> Result<Self> {
        let none: Vec<Option<Metric>> = folds.iter().map(|_| None).collect();
        let (point, coefficients) = judge((&task, folds), &none, told, resources)?;
        Ok(Self { place, task, point, coefficients })
    }

    /// The chain of a shape, before its first step.
    pub fn chain(self, kind: MetricKind) -> Chain<'a> {
        let Self { place, task, point, coefficients } = self;
        let (metrics, faint) = coefficients.iter().map(|_| (None, Vec::new())).unzip();
        let points = vec![point];
        Chain { place, task, kind, points, metrics, faint, pruned: None, coefficients, ended: false }
    }
}

impl Chain<'_> {
    /// The next step, unless the chain has ended.
    pub fn step(&mut self, folds: &[Fold], told: &mut dyn FnMut(), resources: &Resources) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        let (mut next, mut faint) = (Vec::new(), Vec::new());
        for ((fold, metric), coefficients) in folds.iter().zip(&self.metrics).zip(&self.coefficients) {
            let found = fold.next((&self.task, self.kind), metric.as_ref(), coefficients, resources)?;
            // A constant function has no metric: the step changes nothing.
            let (own, of) = found.map_or((metric.clone(), Vec::new()), |n| (Some(n.metric), n.faint));
            next.push(own);
            faint.push(of);
        }
        let (point, coefficients) = judge((&self.task, folds), &next, told, resources)?;
        let better = self.points.last().is_none_or(|before| point.errors.new < before.errors.new);
        self.points.push(point);
        if better {
            (self.metrics, self.faint, self.coefficients) = (next, faint, coefficients);
        }
        self.ended = !better || self.points.len() > STEPS;
        Ok(())
    }

    /// All steps that are left.
    pub fn finish(&mut self, folds: &[Fold], told: &mut dyn FnMut(), resources: &Resources) -> Result<()> {
        while !self.ended {
            self.step(folds, told, resources)?;
        }
        Ok(())
    }

    /// Asks the folds whether inputs that hardly show in any of them are better left out.
    pub fn prune(&mut self, folds: &[Fold], told: &mut dyn FnMut(), resources: &Resources) -> Result<()> {
        let Some((first, others)) = self.faint.split_first() else { return Ok(()) };
        let faint: Vec<usize> = first.iter().copied().filter(|i| others.iter().all(|o| o.contains(i))).collect();
        let of_columns = self.task.input.of_columns;
        let without = |metric: &Option<Metric>| metric.as_ref().and_then(|m| m.without(&faint, of_columns));
        let metrics: Vec<Option<Metric>> = self.metrics.iter().map(without).collect();
        if !faint.is_empty() && metrics.iter().all(Option::is_some) {
            let (point, _) = judge((&self.task, folds), &metrics, told, resources)?;
            self.pruned = Some((faint, point));
        }
        Ok(())
    }

    /// Best number of steps, at least one; 0 before the first.
    pub fn best(&self) -> usize {
        let of = |steps: &usize| self.points[*steps].errors.new;
        (1..self.points.len()).min_by(|a, b| of(a).total_cmp(&of(b))).unwrap_or(0)
    }

    /// What the best number of steps comes to, and the inputs that are left out: those that hardly show, if that lowers the error.
    pub fn taken(&self) -> (&Point, &[usize]) {
        let own = &self.points[self.best()];
        let pruned = self.pruned.as_ref().filter(|(_, point)| point.errors.new < own.errors.new);
        pruned.map_or((own, &[]), |(inputs, point)| (point, inputs))
    }

    /// Least error after at least one step.
    pub fn least(&self) -> f64 {
        self.points.iter().skip(1).map(|p| p.errors.new).fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_counts_beyond_its_standard_error() {
        let point = |each: &[f64]| Point { errors: Errors::default(), each: each.to_vec(), lambda: 1.0 };
        let none = point(&[4.0, 2.0, 3.0, 1.0]);
        // Less in every row by nearly the same; less on the whole by one row alone; the same.
        assert!(point(&[3.0, 1.1, 2.0, 0.1]).surely_below(&none));
        assert!(!point(&[1.0, 2.0, 3.5, 1.5]).surely_below(&none));
        assert!(!none.surely_below(&none));
    }
}
