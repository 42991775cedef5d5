//! The race of candidates and shapes through the folds.
//!
//! Which net and encoding are best is another question in a metric than without: bins and shallow nets, which lose least to inputs of noise, are not what
//! suits the inputs that are left. All shapes of all candidates would be eight searches, so this is a race: of each encoding the candidate with the least
//! leave-one-out error starts in every shape; the two that lead after a step go on; and in the metric of the winner other nets may overtake it.

use super::chain::{Chain, Start, judge};
use super::fold::{FOLDS, Fold, parts};
use super::gate::CHANGE;
use super::task::{Search, Task};
use super::{GAIN, MetricKind, STEPS};
use crate::error::Result;
use crate::model::preprocess::Encoding;
use crate::resources::Resources;

/// Chains that go on after their first step.
const LEADERS: usize = 2;

/// What is almost taken away cannot serve the fit to all rows, of which a fold has the smaller part: without the noise of its gradients, a sharp metric must lead
/// by as much as any must over none.
fn handicap(search: &Search<'_>, chain: &Chain<'_>, first: usize) -> f64 {
    let sharp = if chain.kind == MetricKind::Sharp && !search.codes.is_empty() { 1.0 / GAIN } else { 1.0 };
    if chain.place == first { sharp } else { sharp / CHANGE }
}

/// All chains with the steps that they took, the best first.
pub(super) fn race<'a>(
    search: &Search<'a>,
    entrants: &[(usize, Task<'a>)],
    some: &[usize],
    resources: &Resources,
) -> Result<Vec<Chain<'a>>> {
    let parts = parts(some, search.codes, resources.seed);
    let of = |task: &Task<'_>| (0..FOLDS).map(|at| Fold::new((task.input.x, task.y), &parts, at)).collect::<Vec<_>>();
    let folds: Vec<(Encoding, Vec<Fold>)> = entrants.iter().map(|(_, t)| (t.input.encoding, of(t))).collect();
    let folds = |task: &Task<'_>| {
        let own = folds.iter().find(|(encoding, _)| *encoding == task.input.encoding);
        own.map_or(&[][..], |(_, folds)| folds)
    };
    let kinds = |task: &Task<'_>| search.options.metric.kinds(task.width());
    let most = entrants.iter().map(|(_, task)| kinds(task).len()).max().unwrap_or(0);
    let all = fits(entrants.len(), search.candidates.len() / search.inputs.len().max(1), most);
    let mut at = 0;
    let mut told = || {
        resources.progress.update("judging metrics", at.min(all), all);
        at += 1;
    };
    let mut chains = Vec::new();
    for entrant in entrants {
        let start = Start::new(*entrant, folds(&entrant.1), &mut told, resources)?;
        for kind in kinds(&entrant.1) {
            let mut chain = start.clone().chain(kind);
            chain.step(folds(&entrant.1), &mut told, resources)?;
            chains.push(chain);
        }
    }
    let by_error = |a: &Chain<'_>, b: &Chain<'_>| a.least().total_cmp(&b.least());
    chains.sort_by(by_error);
    for leader in chains.iter_mut().take(LEADERS) {
        leader.finish(folds(&leader.task), &mut told, resources)?;
    }
    chains.sort_by(by_error);
    if let Some(found) = overtaking(search, &chains, &folds, &mut told, resources)? {
        chains.push(found);
    }
    // Of equals the first, as everywhere.
    let first = entrants.first().map_or(0, |(place, _)| *place);
    let handicapped = |c: &Chain<'_>| handicap(search, c, first) * c.least();
    chains.sort_by(|a, b| handicapped(a).total_cmp(&handicapped(b)));
    if let Some(best) = chains.first_mut() {
        best.prune(folds(&best.task), &mut told, resources)?;
    }
    resources.progress.update("judging metrics", all, all);
    Ok(chains)
}

/// The chain of another net with the same encoding and shape, if it has less error in the metrics of the first of `chains`.
fn overtaking<'a, 'f>(
    search: &Search<'a>,
    chains: &[Chain<'a>],
    folds: &dyn Fn(&Task<'_>) -> &'f [Fold],
    told: &mut dyn FnMut(),
    resources: &Resources,
) -> Result<Option<Chain<'a>>> {
    let Some(leader) = chains.first().filter(|chain| chain.metrics.iter().any(Option::is_some)) else {
        return Ok(None);
    };
    let others = search.tasks().filter(|(place, task)| {
        *place != leader.place && task.input.encoding == leader.task.input.encoding && task.check_gradients().is_ok()
    });
    let (mut least, mut fastest) = (leader.least(), None);
    for (place, task) in others {
        let (point, _) = judge((&task, folds(&task)), &leader.metrics, told, resources)?;
        if point.errors.new < least {
            (least, fastest) = (point.errors.new, Some((place, task)));
        }
    }
    let Some(entrant) = fastest else { return Ok(None) };
    let mut chain = Start::new(entrant, folds(&entrant.1), told, resources)?.chain(leader.kind);
    chain.finish(folds(&entrant.1), told, resources)?;
    Ok(Some(chain))
}

/// Most fits of the race. Where nets may overtake, all but one are tried, and one of them starts and takes steps.
pub(super) fn fits(encodings: usize, nets: usize, kinds: usize) -> u64 {
    let overtaking = if nets > 1 { nets + STEPS } else { 0 };
    let leaders = LEADERS.min(encodings * kinds);
    (FOLDS * (encodings * (1 + kinds) + leaders * (STEPS - 1) + overtaking + 1)) as u64
}
