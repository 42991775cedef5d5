//! The lambda of features: generalised cross-validation proposes, leave-one-out of some rows decides.
//!
//! Rows of high leverage can draw generalised cross-validation to a lambda far too small, since it takes all leverages to be equal
//! (casp with 4,096 GELU features: an estimate of .40 of the variance, leave-one-out .79). Exact leave-one-out of some rows sees it.

use crate::error::{Error, Result};
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::linalg::{Mat, MatRef};
use crate::model::invalid;
use crate::resources::Resources;
use crate::ridge::{ArraySource, PrimalPath, best_by_gcv};

/// Steps of the path from one lambda that is tried to the next: half decades, two at a time.
const STEP: usize = 2;
/// A step that leaves more of the error than this ends the search.
const ENOUGH: f64 = 0.95;
/// Rows mapped at a time.
const BATCH: usize = 4096;

/// Rows to leave out: preprocessed inputs and targets in their units.
#[derive(Clone, Copy)]
pub(in crate::model) struct Rows<'a, T> {
    pub x: MatRef<'a, T>,
    pub y: MatRef<'a, f64>,
}

impl<T: Float> Rows<'_, T> {
    /// The first `most` of them.
    pub fn first(&self, most: usize) -> Result<Self> {
        let n = self.x.rows().min(most);
        Ok(Self { x: self.x.block(0..n, 0..self.x.cols())?, y: self.y.block(0..n, 0..self.y.cols())? })
    }
}

/// The lambda, from the proposal upwards as long as leave-one-out improves by more than 5 %, with its mean squared error.
pub(in crate::model) fn best_lambda<T: Float>(
    path: &mut PrimalPath,
    lambdas: &[f64],
    map: &dyn FeatureMap<T>,
    rows: Rows<'_, T>,
    resources: &Resources,
) -> Result<(f64, f64)> {
    let points = path.points(resources)?;
    let proposed = best_by_gcv(&points).map(|b| points[b].lambda);
    let mut ascending = lambdas.to_vec();
    ascending.sort_by(f64::total_cmp);
    let start = ascending.iter().position(|l| Some(*l) == proposed);
    let start = start.ok_or_else(|| invalid("lambdas", "at least one", "none", "leave the path out"))?;
    let mut best = (ascending[start], f64::INFINITY);
    for &lambda in ascending[start..].iter().step_by(STEP) {
        let mse = match left_out(path, lambda, map, rows, resources) {
            Ok((_, mse)) => mse,
            // Leverages of 1: nothing is left to judge by.
            Err(Error::Invalid { .. }) => continue,
            Err(other) => return Err(other),
        };
        let before = best.1;
        if mse < before {
            best = (lambda, mse);
        }
        if mse > ENOUGH * before {
            break;
        }
    }
    Ok(best)
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
