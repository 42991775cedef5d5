//! The pass over all rows: sums, the best lambda, and rows left out.

use super::lambda::{self, Rows, best_lambda};
use super::{BATCH, changed};
use crate::error::Result;
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::linalg::Mat;
use crate::model::batches::Batches;
use crate::model::preprocess::Preprocess;
use crate::model::units::{Unit, standardised};
use crate::resources::Resources;
use crate::ridge::{Batch, Identity, PrimalFit, PrimalOptions, PrimalPath, Source, accumulate_keeping};

/// Rows that lambdas are judged by.
const JUDGED: usize = 512;

/// Rows that come preprocessed, targets in their units: what the ridge reads.
pub(super) struct Encoded<'a> {
    batches: &'a mut dyn Batches,
    preprocess: &'a Preprocess,
    units: &'a [Unit],
    done: usize,
}

impl<'a> Encoded<'a> {
    pub fn new(batches: &'a mut dyn Batches, preprocess: &'a Preprocess, units: &'a [Unit]) -> Self {
        Self { batches, preprocess, units, done: 0 }
    }
}

impl<T: Float> Source<T> for Encoded<'_> {
    fn columns(&self) -> usize {
        self.preprocess.width()
    }
    fn outputs(&self) -> usize {
        self.units.len()
    }
    fn rows(&self) -> Option<u64> {
        Some(self.batches.rows() as u64)
    }
    fn next(&mut self) -> Result<Option<Batch<T>>> {
        let Some((frame, target)) = self.batches.next(BATCH)? else {
            let expected = self.batches.rows();
            return if self.done == expected { Ok(None) } else { Err(changed(expected, self.done)) };
        };
        self.done += frame.rows();
        let x = self.preprocess.apply(&frame)?.as_ref().cast();
        Ok(Some(Batch { x, y: standardised(&target, self.units)?, weights: Vec::new() }))
    }
    fn restart(&mut self) -> Result<()> {
        self.done = 0;
        self.batches.restart()
    }
}

/// What came of a pass.
pub(in crate::model) struct Solved {
    pub fit: PrimalFit,
    /// Predictions of the rows that were left out one at a time, by all others.
    pub loo: Mat<f64>,
}

/// Passes over all rows of `source`, finds the lambda and leaves out, one at a time, the rows numbered `left_out`, ascending. Targets are in their
/// `units`; what comes of it is not.
///
/// Memory: [`plan`](super::plan).
pub(in crate::model) fn solve<T: Float>(
    map: &dyn FeatureMap<T>,
    source: &mut dyn Source<T>,
    left_out: &[usize],
    lambdas: &[f64],
    units: &[Unit],
    resources: &Resources,
) -> Result<Solved> {
    // Features of the rows to leave out are kept: they are asked for at several lambdas.
    let (statistics, kept) = accumulate_keeping(map, source, left_out, resources)?;
    let options = PrimalOptions { lambdas: lambdas.to_vec(), ..PrimalOptions::default() };
    let mut path = PrimalPath::new(statistics, options, resources)?;
    let (rows, same) = (Rows { x: kept.features.as_ref(), y: kept.targets.as_ref() }, Identity(map.dim()));
    let judged: Vec<usize> = spread(left_out.len(), JUDGED).collect();
    let (x, y) = (rows.x.select_rows(&judged), rows.y.select_rows(&judged));
    let judges = Rows { x: x.as_ref(), y: y.as_ref() };
    let (lambda, _) = best_lambda(&mut path, lambdas, &same, judges, resources)?;
    let mut fit = path.fit(lambda, resources)?;
    let mut loo = lambda::left_out(&mut path, lambda, &same, rows, resources)?.0;
    for (j, &Unit { mean, size }) in units.iter().enumerate() {
        fit.intercept[j] = mean + size * fit.intercept[j];
        (0..fit.theta.rows()).for_each(|i| fit.theta[(i, j)] *= size);
        (0..loo.rows()).for_each(|i| loo[(i, j)] = mean + size * loo[(i, j)]);
    }
    Ok(Solved { fit, loo })
}

/// At most `most` numbers below `n`, evenly spread: rows may come in an order.
fn spread(n: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = n.min(most);
    (0..count).map(move |i| i * n / count)
}
