//! Learning: the race of candidates and shapes, and the steps of the one that won it, on all rows.

use super::gate::{Chosen, gate, part};
use super::step::{fit_at, next_metric, transformed};
use super::task::{Search, Task};
use super::{LEARN_ROWS, LEAST_ROWS, Metric, MetricChoice, MetricReport, WIDEST};
use crate::error::Result;
use crate::model::invalid;
use crate::resources::Resources;

/// What a search found.
pub(in crate::model) struct Learned {
    /// Place of the candidate to fit.
    pub place: usize,
    pub metric: Option<Metric>,
    /// What became of the search, if there was one.
    pub report: Option<MetricReport>,
}

impl Learned {
    /// The candidate of least leave-one-out error without a metric, whatever a search has found.
    pub fn nothing(order: &[usize], report: Option<MetricReport>) -> Self {
        let report = report.map(|report| MetricReport {
            kind: None,
            steps: 0,
            mse: None,
            mse_own: None,
            left_out: 0,
            learned_rows: 0,
            optimism: 1.0,
            ..report
        });
        Self { place: order.first().copied().unwrap_or(0), metric: None, report }
    }
}

/// Learns the metric that the options ask for, if any: cross-validation decides on candidate, shape and steps.
pub(in crate::model) fn learn(search: &Search<'_>, resources: &Resources) -> Result<Learned> {
    let (choice, rows) = (search.options.metric, search.rows());
    let nothing = |report| Ok(Learned::nothing(search.order, report));
    if choice == MetricChoice::None || choice == MetricChoice::Auto && rows < LEAST_ROWS {
        return nothing(None);
    }
    let entrants = entrants(search);
    let Some((_, best)) = entrants.first() else { return nothing(None) };
    if rows < LEAST_ROWS {
        let hint = "leave the metric out, or give more rows";
        return Err(invalid("rows for a metric", &format!("at least {LEAST_ROWS}"), &rows.to_string(), hint));
    }
    if choice == MetricChoice::Full && best.width() > WIDEST {
        let (expected, found) = (format!("at most {WIDEST} columns after encoding"), best.width().to_string());
        return Err(invalid("the inputs of a full metric", &expected, &found, "take a diagonal one"));
    }
    let (chosen, mut report) = gate(search, &entrants, resources)?;
    let Some((chosen, task)) = chosen.and_then(|c| search.task(c.place).map(|task| (c, task))) else {
        return nothing(Some(report));
    };
    let Some(metric) = follow(&task, &chosen, &mut report, resources)? else { return nothing(Some(report)) };
    (report.kind, report.steps) = (Some(chosen.kind), chosen.steps.len());
    Ok(Learned { place: chosen.place, metric: Some(metric), report: Some(report) })
}

/// Of each encoding the best candidate that a metric can be learned for.
fn entrants<'a>(search: &Search<'a>) -> Vec<(usize, Task<'a>)> {
    let choice = search.options.metric;
    let mut found: Vec<(usize, Task<'a>)> = Vec::new();
    for (place, task) in search.tasks() {
        // Who names a metric is told why there is none; of two encodings one is enough.
        let insists = choice != MetricChoice::Auto && found.is_empty();
        let usable =
            insists || task.check_gradients().is_ok() && (choice != MetricChoice::Full || task.width() <= WIDEST);
        if usable && !found.iter().any(|(_, other)| other.input.encoding == task.input.encoding) {
            found.push((place, task));
        }
    }
    found
}

/// Takes the steps on all rows, or on some of many.
fn follow(
    task: &Task<'_>,
    chosen: &Chosen,
    report: &mut MetricReport,
    resources: &Resources,
) -> Result<Option<Metric>> {
    let some = part(task.y.rows(), LEARN_ROWS, resources);
    let (x, y) = match &some {
        Some(some) => (task.input.x.select_rows(some), task.y.select_rows(some)),
        None => (task.input.x.to_mat(), task.y.to_mat()),
    };
    report.learned_rows = x.rows();
    let (mut metric, mut faint): (Option<Metric>, Vec<usize>) = (None, Vec::new());
    let steps = chosen.steps.len() as u64;
    for (step, point) in chosen.steps.iter().enumerate() {
        resources.progress.update("learning a metric", step as u64, steps);
        let z = transformed(&x, metric.as_ref())?;
        let coefficients = fit_at(task, (z.as_ref(), y.as_ref()), *point, resources)?;
        match next_metric(task, chosen.kind, (z.as_ref(), metric.as_ref()), &coefficients, resources)? {
            Some(next) => (metric, faint) = (Some(next.metric), next.faint),
            None => return Ok(None),
        }
    }
    resources.progress.update("learning a metric", steps, steps);
    // What hardly shows in the rows of a fold may show in all.
    faint.retain(|input| chosen.left_out.contains(input));
    let pruned = metric.as_ref().and_then(|metric| metric.without(&faint, task.input.of_columns));
    if pruned.is_some() {
        report.left_out = faint.len();
    }
    Ok(pruned.or(metric))
}
