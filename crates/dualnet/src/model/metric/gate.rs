//! Whether a metric helps, and for which candidate: 3-fold cross-validation, each step learned on two folds and judged on the third.

use super::chain::Point;
use super::fold::{Errors, FOLDS, Fold};
use super::race::{fits, race};
use super::task::{Search, Task};
use super::{GAIN, GATE_ROWS, LEARN_ROWS, Metric, MetricChoice, MetricKind, MetricReport, MetricTried, STEPS};
use crate::error::Result;
use crate::linalg::Mat;
use crate::model::draw::some_of;
use crate::model::fit::{FitOptions, path_flops};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;

/// Another candidate than that of least leave-one-out error must lead it by this factor.
pub(super) const CHANGE: f64 = 0.99;

/// Bound of what leave-one-out is multiplied by: where it is 0, up to rounding, nothing can be said.
const MOST_OPTIMISM: f64 = 100.0;

/// What to learn on all rows.
pub(super) struct Chosen {
    /// Place of the candidate.
    pub place: usize,
    pub kind: MetricKind,
    /// Inputs to leave out after the last step, those of them that hardly show in all rows either.
    pub left_out: Vec<usize>,
    /// For each step, lambda and mean squared error of the fit whose gradients it takes.
    pub steps: Vec<(f64, f64)>,
}

/// Compares 0 to [`STEPS`] steps; the report is as if none were chosen.
pub(super) fn gate(
    search: &Search<'_>,
    entrants: &[(usize, Task<'_>)],
    resources: &Resources,
) -> Result<(Option<Chosen>, MetricReport)> {
    let rows = search.rows();
    let some = part(rows, GATE_ROWS, resources).unwrap_or_else(|| (0..rows).collect());
    let chains = race(search, entrants, &some, resources)?;
    let count = (some.len() * search.y.cols()) as f64;
    let choice = search.options.metric;
    let first = entrants.first().map_or(0, |(place, _)| *place);
    // Steps of the first entrant and of others are compared with the first without a step.
    let without = chains.iter().find(|c| c.place == first).map(|c| &c.points[0]);
    let of = |p: &Point| (p.lambda, p.errors.new / count);
    let helps =
        |point: &Point, without: &Point| point.errors.new < GAIN * without.errors.new && point.surely_below(without);
    let best = chains.first().map(|chain| (chain, chain.taken()));
    let best = best.filter(|(_, (point, _))| choice != MetricChoice::Auto || without.is_some_and(|w| helps(point, w)));
    let chosen = best.as_ref().map(|(chain, (_, left_out))| {
        let steps = chain.points[..chain.best()].iter().map(of).collect();
        Chosen { place: chain.place, kind: chain.kind, left_out: left_out.to_vec(), steps }
    });
    let tried = chains.iter().flat_map(|chain| {
        let candidate = chain.task.candidate;
        let points = chain.points.iter().enumerate().skip(1).map(|(steps, point)| (steps, point, false));
        points.chain(chain.pruned.iter().map(|(_, p)| (chain.best(), p, true))).map(|(steps, point, pruned)| {
            MetricTried {
                net: candidate.name.clone(),
                kernel: candidate.kernel,
                encoding: candidate.encoding,
                kind: chain.kind,
                steps,
                pruned,
                mse: of(point).1,
            }
        })
    });
    let report = MetricReport {
        kind: None,
        steps: 0,
        gate_rows: some.len(),
        mse_without: without.map_or(0.0, |point| of(point).1),
        mse: best.as_ref().map(|(_, (point, _))| of(point).1),
        mse_own: best.as_ref().map(|(chain, _)| of(&chain.points[0]).1),
        left_out: 0,
        learned_rows: 0,
        expected: None,
        optimism: best
            .as_ref()
            .map_or(1.0, |(chain, (point, _))| optimism(point.errors, chain.points[0].errors, some.len(), rows)),
        tried: tried.collect(),
    };
    Ok((chosen, report))
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
    let fold = Fold { x: task.input.x.to_mat(), y: task.y.to_mat(), new, truth };
    let judge = |metric| Ok(fold.judge(task, metric, resources)?.errors.new);
    let (without, with): (f64, f64) = (judge(None)?, judge(Some(metric))?);
    let few = match (report.mse, report.mse_own) {
        (Some(with), Some(without)) => with / without,
        _ => 1.0,
    };
    let many = with / without;
    let fitted = (report.gate_rows * (FOLDS - 1) / FOLDS) as f64;
    let slope = (many / few).ln() / (task.y.rows() as f64 / fitted).ln();
    let found = many * (rows as f64 / task.y.rows() as f64).powf(slope);
    // No error at all on either side: nothing to gain.
    Ok(if found.is_finite() { found } else { 1.0 })
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

/// `wanted` of `rows` at random, ascending; `None`: all.
pub(super) fn part(rows: usize, wanted: usize, resources: &Resources) -> Option<Vec<usize>> {
    if rows <= wanted {
        return None;
    }
    let mut some = some_of((0..rows).collect(), wanted, Draws::new(resources.seed, Purpose::METRIC, 0));
    some.sort_unstable();
    Some(some)
}

/// Most operations of the search for a metric: of (rows, columns, outputs) and so many candidates, with `pair` operations a kernel value.
pub(in crate::model) fn flops(
    (rows, columns, outputs): (usize, usize, usize),
    candidates: usize,
    pair: f64,
    options: &FitOptions,
) -> f64 {
    let kinds = options.metric.kinds(columns).len();
    if kinds == 0 {
        return 0.0;
    }
    // A kernel, and a gradient: two derivatives of every pair, and a product with the rows for each output.
    let values = |n: usize| (n as f64).powi(2) * (4.5 * pair + 2.0 * (columns * outputs) as f64);
    let fold = rows.min(GATE_ROWS) * (FOLDS - 1) / FOLDS;
    let encodings = options.encodings.len().max(1);
    let fits = fits(encodings, candidates / encodings, kinds) as f64;
    let learned = rows.min(LEARN_ROWS);
    let step = (learned as f64).powi(3) / 3.0 + values(learned);
    fits * (path_flops(fold, outputs, options.lambdas.len()) + values(fold)) + STEPS as f64 * step
}
