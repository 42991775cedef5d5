//! Comparing candidates by exact leave-one-out, and the choice that fits of many rows begin with: on some of the rows.

use super::candidates::{Candidate, candidates};
use super::draw::{draw, shuffled};
use super::fit::{FitOptions, Solution, solve};
use super::frame::Frame;
use super::invalid;
use super::metric::{
    GAIN, Input, JUDGED_ROWS, Learned, MetricChoice, MetricReport, SOME_ROWS, Search, expected, learn,
};
use super::preprocess::{Encoding, Preprocess};
use super::report::Tried;
use super::target::Target;
use super::units::{Unit, standardised};
use crate::error::Result;
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;

/// Candidates with their whole paths solved.
pub(super) struct Compared {
    /// The path of the best.
    pub solution: Solution,
    /// All, best first.
    pub tried: Vec<Tried>,
    /// Their places in the list.
    pub order: Vec<usize>,
}

/// Solves every candidate's path for its encoding's inputs; the best is that of least leave-one-out error, of equals the first.
pub(super) fn compare(
    list: &[Candidate],
    inputs: &[(Encoding, MatRef<'_, f64>)],
    y: MatRef<'_, f64>,
    options: &FitOptions,
    resources: &Resources,
) -> Result<Compared> {
    let stage = if list.len() > 1 { "choosing" } else { "solving" };
    let mut tried: Vec<(usize, Tried)> = Vec::new();
    let mut winner: Option<(f64, Solution)> = None;
    for (k, candidate) in list.iter().enumerate() {
        resources.progress.update(stage, k as u64, list.len() as u64);
        let input = inputs.iter().find(|(encoding, _)| *encoding == candidate.encoding);
        let (_, x) = input.ok_or_else(nothing)?;
        let solution = solve(candidate, *x, y, options, resources)?;
        let (lambda, loo_mse) = (solution.point().lambda, solution.point().mse);
        let (net, kernel, encoding) = (candidate.name.clone(), candidate.kernel, candidate.encoding);
        tried.push((k, Tried { net, kernel, encoding, lambda, loo_mse }));
        if winner.as_ref().is_none_or(|(mse, _)| loo_mse < *mse) {
            winner = Some((loo_mse, solution));
        }
    }
    tried.sort_by(|(_, a), (_, b)| a.loo_mse.total_cmp(&b.loo_mse));
    let (order, tried) = tried.into_iter().unzip();
    let (_, solution) = winner.ok_or_else(nothing)?;
    Ok(Compared { solution, tried, order })
}

fn nothing() -> crate::error::Error {
    invalid("the encodings", "at least one", "none", "leave them out to compare two")
}

/// What a fit of many rows has decided before it sees all of them.
pub(super) struct Choice {
    pub candidate: Candidate,
    pub preprocess: Preprocess,
    /// The best lambda of the rows compared, in units of the mean diagonal.
    pub lambda: f64,
    pub tried: Vec<Tried>,
    pub compared_rows: usize,
    /// What became of the search for a metric, which `preprocess` then has.
    pub metric: Option<MetricReport>,
}

/// Learns the encodings from `frame`, and compares the candidates on `rows` of it.
pub(super) fn choose(
    (frame, target): (&Frame, &Target),
    rows: &[usize],
    options: &FitOptions,
    units: &[Unit],
    resources: &Resources,
) -> Result<Choice> {
    let mut prepared = Preprocess::learn_each(frame, &options.encodings)?;
    let part = frame.select(rows);
    let inputs = prepared.iter().map(|p| p.apply(&part)).collect::<Result<Vec<Mat<f64>>>>()?;
    let inputs: Vec<_> = prepared.iter().zip(&inputs).map(|(p, x)| (p.encoding(), x.as_ref())).collect();
    let encodings: Vec<Encoding> = prepared.iter().map(Preprocess::encoding).collect();
    let mut list = candidates(&options.net, options.kernel, &encodings)?;
    let y = standardised(&target.select(rows), units)?;
    let Compared { solution, tried, order } = compare(&list, &inputs, y.as_ref(), options, resources)?;
    let mut lambda = solution.point().lambda;
    drop(solution);
    let Learned { place, metric, report } =
        learn_on_more((frame, target), (&list, &order, &prepared), options, units, resources)?;
    let candidate = list.swap_remove(place);
    let at = encodings.iter().position(|e| *e == candidate.encoding).ok_or_else(nothing)?;
    if let Some(metric) = &metric {
        let z = metric.apply(inputs[at].1.to_mat())?;
        lambda = solve(&candidate, z.as_ref(), y.as_ref(), options, resources)?.point().lambda;
    }
    let preprocess = prepared.swap_remove(at).with_metric(metric);
    Ok(Choice { candidate, preprocess, lambda, tried, compared_rows: rows.len(), metric: report })
}

/// Learns the metric on more rows than candidates were compared on: it has many numbers, a choice has one. Of many rows it is kept only if it is
/// expected to help all of them.
fn learn_on_more(
    (frame, target): (&Frame, &Target),
    (list, order, prepared): (&[Candidate], &[usize], &[Preprocess]),
    options: &FitOptions,
    units: &[Unit],
    resources: &Resources,
) -> Result<Learned> {
    if options.metric == MetricChoice::None {
        return Ok(Learned::nothing(order, None));
    }
    let all = frame.rows();
    let rows = draw(all, SOME_ROWS, target, resources.seed).unwrap_or_else(|| (0..all).collect());
    let (part, of_classes) = (frame.select(&rows), target.select(&rows));
    let y = standardised(&of_classes, units)?;
    let shown = prepared.iter().map(|p| Ok((p.encoding(), p.apply(&part)?, p.input_of_columns())));
    let shown = shown.collect::<Result<Vec<_>>>()?;
    let inputs: Vec<Input<'_>> = shown
        .iter()
        .map(|(encoding, x, of_columns)| Input { encoding: *encoding, x: x.as_ref(), of_columns })
        .collect();
    let (y, codes) = (y.as_ref(), of_classes.codes());
    let search = Search { candidates: list, order, inputs: &inputs, y, codes, options };
    let mut learned = learn(&search, resources)?;
    let (Some(metric), Some(report)) = (&learned.metric, &mut learned.report) else { return Ok(learned) };
    if options.metric != MetricChoice::Auto || all < 2 * rows.len() {
        return Ok(learned);
    }
    let unseen = shuffled(all, resources.seed).into_iter().filter(|row| rows.binary_search(row).is_err());
    let new: Vec<usize> = unseen.take(JUDGED_ROWS).collect();
    let task = search.task(learned.place).ok_or_else(nothing)?;
    let preprocess = prepared.iter().find(|p| p.encoding() == task.candidate.encoding).ok_or_else(nothing)?;
    let new = (preprocess.apply(&frame.select(&new))?, standardised(&target.select(&new), units)?);
    let found = expected(&task, (metric, report), new, all, resources)?;
    report.expected = Some(found);
    if found >= GAIN {
        return Ok(Learned::nothing(order, learned.report));
    }
    Ok(learned)
}
