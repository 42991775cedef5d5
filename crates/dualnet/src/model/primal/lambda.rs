//! The lambda of features: by exact leave-one-out of some rows, searched both ways from where generalised cross-validation proposes.
//!
//! Generalised cross-validation takes all leverages to be equal. Rows of high leverage draw it to a lambda far too small (casp with 4,096 GELU
//! features: an estimate of .40 of the variance, leave-one-out .79), and near as many features as rows, where few degrees of freedom are left,
//! to one too large. Exact leave-one-out of some rows sees both.

use crate::error::{Error, Result};
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::linalg::{Mat, MatRef};
use crate::model::invalid;
use crate::resources::Resources;
use crate::ridge::{ArraySource, PrimalPath};

/// Steps of the path from one lambda that is tried to the next: half decades, two at a time.
const STEP: usize = 2;
/// A step that leaves more of the error than this ends the search in its direction.
const ENOUGH: f64 = 0.995;
/// Rows mapped at a time.
const BATCH: usize = 4096;

/// Rows to leave out: what a map takes, and targets in their units.
#[derive(Clone, Copy)]
pub(in crate::model) struct Rows<'a, T> {
    pub x: MatRef<'a, T>,
    pub y: MatRef<'a, f64>,
}

/// A search along a path of lambdas, ascending.
struct Search<'a, F> {
    lambdas: &'a [f64],
    /// Leave-one-out error at a lambda; infinite where nothing is left to judge by.
    judge: F,
    /// Index and error of the best so far.
    best: (usize, f64),
}

impl<F: FnMut(f64) -> Result<f64>> Search<'_, F> {
    /// Tries one; gives its error.
    fn visit(&mut self, at: usize) -> Result<f64> {
        let mse = (self.judge)(self.lambdas[at])?;
        // Of equals the larger lambda.
        if mse < self.best.1 || (mse.is_finite() && mse == self.best.1 && at > self.best.0) {
            self.best = (at, mse);
        }
        Ok(mse)
    }

    /// The whole search.
    fn run(&mut self, start: usize) -> Result<()> {
        self.visit(start)?;
        self.walk(|at| Some(at + STEP))?;
        if self.best.0 == start {
            self.walk(|at| at.checked_sub(STEP))?;
        }
        let at = self.best.0;
        for next in [at.checked_sub(1), Some(at + 1)].into_iter().flatten().filter(|next| *next < self.lambdas.len()) {
            self.visit(next)?;
        }
        Ok(())
    }

    /// Goes on from the best as long as it helps.
    fn walk(&mut self, step: impl Fn(usize) -> Option<usize>) -> Result<()> {
        let (mut at, mut before) = self.best;
        while let Some(next) = step(at).filter(|next| *next < self.lambdas.len()) {
            let mse = self.visit(next)?;
            if before.is_finite() && mse > ENOUGH * before {
                break;
            }
            (at, before) = (next, mse);
        }
        Ok(())
    }
}

/// The lambda of least leave-one-out error of `rows`, with that mean squared error: from the proposal upwards, else downwards, by decades as long
/// as that improves by more than half a percent; then half a decade to either side.
pub(in crate::model) fn best_lambda<T: Float>(
    path: &mut PrimalPath,
    lambdas: &[f64],
    map: &dyn FeatureMap<T>,
    rows: Rows<'_, T>,
    resources: &Resources,
) -> Result<(f64, f64)> {
    let proposed = path.proposal(resources)?;
    let mut ascending = lambdas.to_vec();
    ascending.sort_by(f64::total_cmp);
    let start = ascending.iter().position(|l| *l == proposed);
    let start = start.ok_or_else(|| invalid("lambdas", "those of the path", "others", "leave them out"))?;
    let judge = |lambda| match left_out(path, lambda, map, rows, resources) {
        Ok((_, mse)) => Ok(mse),
        // Leverages of 1.
        Err(Error::Invalid { .. }) => Ok(f64::INFINITY),
        Err(other) => Err(other),
    };
    let mut search = Search { lambdas: &ascending, judge, best: (start, f64::INFINITY) };
    search.run(start)?;
    let (at, mse) = search.best;
    Ok((ascending[at], mse))
}

/// Predictions of rows by the model of all others, and their mean squared error.
pub(super) fn left_out<T: Float>(
    path: &mut PrimalPath,
    lambda: f64,
    map: &dyn FeatureMap<T>,
    rows: Rows<'_, T>,
    resources: &Resources,
) -> Result<(Mat<f64>, f64)> {
    let mut source = ArraySource::new(rows.x, rows.y, &[], BATCH)?;
    let loo = path.leave_one_out(lambda, map, &mut source, resources)?;
    Ok((loo.predictions, loo.mse))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors with one minimum at index `least` and none to judge by up to index `blind`; gives the index found and how many were tried.
    fn found(start: usize, least: usize, blind: Option<usize>) -> (usize, usize) {
        let lambdas: Vec<f64> = (0..21).map(f64::from).collect();
        let mut tried = 0;
        let judge = |lambda: f64| {
            tried += 1;
            let at = lambda as usize;
            Ok(if blind.is_some_and(|b| at <= b) { f64::INFINITY } else { 1.0 + 0.1 * (lambda - least as f64).powi(2) })
        };
        let mut search = Search { lambdas: &lambdas, judge, best: (start, f64::INFINITY) };
        search.run(start).unwrap_or_else(|e| unreachable!("{e}"));
        let at = search.best.0;
        (at, tried)
    }

    #[test]
    fn the_minimum_is_found_on_either_side() {
        for start in 0..21 {
            for least in 0..21 {
                let (at, tried) = found(start, least, None);
                assert_eq!(at, least, "from {start}");
                assert!(tried <= 5 + start.abs_diff(least) / 2, "{tried} tried from {start} to {least}");
            }
        }
    }

    #[test]
    fn lambdas_without_an_error_are_passed_over() {
        assert_eq!(found(0, 9, Some(6)).0, 9);
        assert_eq!(found(12, 3, Some(6)).0, 7);
        assert_eq!(found(5, 3, Some(20)).0, 5);
    }
}
