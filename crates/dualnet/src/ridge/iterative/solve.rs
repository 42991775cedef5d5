//! One lambda: rounds of conjugate gradients, the true residual after each, and the error on rows held out after every step.

use super::options::{EarlyStop, IterativeOptions};
use super::pcg::{End, Next, State, System};
use super::preconditioner::Preconditioner;
use crate::error::Result;
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use std::time::Instant;

/// The recurrence goes a little further than asked for, so that the true residual passes.
const MARGIN: f64 = 0.8;
/// A step counts as better when the hold-out error falls by this share.
const BETTER: f64 = 1e-3;

/// Why a lambda ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All columns have converged.
    Converged,
    /// The error on the hold-out rows fell no longer; the solution is that of the best step.
    Holdout,
    /// The steps allowed were taken.
    Steps,
    /// The true residual falls no further: the precision of the tiles, with lambda so small, allows no more.
    Stalled,
}

/// How a model does on the hold-out rows.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldoutScore {
    /// Mean squared error over rows and outputs.
    pub mse: f64,
    /// Predictions (rows held out, outputs), in the order the rows were named.
    pub predictions: Mat<f64>,
}

/// One lambda of an iterative fit.
#[derive(Clone, Debug, PartialEq)]
pub struct IterativePoint {
    /// In units of the mean diagonal of the kernel.
    pub lambda: f64,
    /// What is added to the diagonal.
    pub lambda_absolute: f64,
    /// Steps taken, one product with the kernel each.
    pub steps: usize,
    /// Times the true residual was computed, one product in f64 each.
    pub rounds: usize,
    /// Largest true residual of a column, relative to its targets.
    pub residual: f64,
    /// The same by the recurrence, after each step.
    pub residuals: Vec<f64>,
    /// Why it ended.
    pub ending: Ending,
    /// The rows held out, if any.
    pub holdout: Option<HoldoutScore>,
    /// Seconds on the clock.
    pub seconds: f64,
}

/// The rows held out, and what is known of them.
pub(super) struct Judge<'a> {
    pub(super) rows: &'a [usize],
    pub(super) targets: MatRef<'a, f64>,
    pub(super) offset: &'a [f64],
}

impl Judge<'_> {
    fn mse(&self, state: &State) -> f64 {
        let mut sum = 0.0;
        for &i in self.rows {
            let parts = state.image.row(i).iter().zip(self.offset).zip(self.targets.row(i));
            sum += parts.map(|((image, offset), y)| (image + offset - y).powi(2)).sum::<f64>();
        }
        sum / (self.rows.len() * self.offset.len()) as f64
    }

    fn score(&self, state: &State) -> HoldoutScore {
        let c = self.offset.len();
        let predictions = Mat::from_fn(self.rows.len(), c, |r, j| state.image[(self.rows[r], j)] + self.offset[j]);
        HoldoutScore { mse: self.mse(state), predictions }
    }
}

/// The best step so far.
struct Best {
    mse: f64,
    step: usize,
    solution: Mat<f64>,
}

/// Solves one system from the state given; `part`: which of how many, for the progress.
#[allow(clippy::too_many_arguments)]
pub(super) fn solve(
    system: &System<'_>,
    lambda: f64,
    state: &mut State,
    preconditioner: &dyn Preconditioner,
    judge: Option<&Judge<'_>>,
    options: &IterativeOptions,
    part: (usize, usize),
    resources: &Resources,
) -> Result<IterativePoint> {
    let start = Instant::now();
    let inner = System { tolerance: MARGIN * system.tolerance, ..*system };
    let scales = system.scales(resources);
    let patience = match (judge, options.early_stop) {
        (Some(judge), EarlyStop::Patience(steps)) => Some((judge, steps)),
        _ => None,
    };
    let mut best = patience.map(|(judge, _)| Best { mse: judge.mse(state), step: 0, solution: state.solution.clone() });
    let (mut residuals, mut rounds, mut last) = (Vec::new(), 0, f64::INFINITY);
    loop {
        let before = residuals.len();
        let (end, _) = inner.run(state, preconditioner, options.steps - before, resources, |state, step, worst| {
            residuals.push(worst);
            tell(worst, system.tolerance, part, resources);
            let (Some((judge, patience)), Some(best)) = (patience, &mut best) else { return Ok(Next::Step) };
            let (mse, step) = (judge.mse(state), before + step);
            if mse < (1.0 - BETTER) * best.mse {
                *best = Best { mse, step, solution: state.solution.clone() };
            }
            Ok(if step - best.step >= patience.max(1) { Next::Stop } else { Next::Step })
        })?;
        if let (End::Watcher, Some(best)) = (end, best.take()) {
            state.solution = best.solution;
        }
        system.refresh(state, resources)?;
        rounds += 1;
        let residual = system.worst(&system.residual(state), &scales, resources);
        let ending = match end {
            End::Watcher => Some(Ending::Holdout),
            _ if residual <= system.tolerance => Some(Ending::Converged),
            End::Steps => Some(Ending::Steps),
            End::Converged => (residual > 0.5 * last || residuals.len() >= options.steps).then_some(Ending::Stalled),
        };
        last = residual;
        if let Some(ending) = ending {
            return Ok(IterativePoint {
                lambda,
                lambda_absolute: system.shift,
                steps: residuals.len(),
                rounds,
                residual,
                residuals,
                ending,
                holdout: judge.map(|judge| judge.score(state)),
                seconds: start.elapsed().as_secs_f64(),
            });
        }
    }
}

/// Tells how far the residual has fallen, on the scale of its logarithm: that is what steps are about linear in.
fn tell(worst: f64, tolerance: f64, (at, of): (usize, usize), resources: &Resources) {
    const UNITS: u64 = 100;
    let share = (worst.max(tolerance).ln() / tolerance.ln()).clamp(0.0, 1.0);
    let done = at as u64 * UNITS + (share * UNITS as f64) as u64;
    resources.progress.update("conjugate gradients", done, of as u64 * UNITS);
}
