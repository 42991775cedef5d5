//! The pass over all rows: sums, the best lambda, and rows left out.

use super::lambda::{self, Rows, best_lambda};
use super::sample::Sample;
use super::{BATCH, changed, loo_rows};
use crate::error::Result;
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::linalg::Mat;
use crate::model::batches::Batches;
use crate::model::preprocess::Preprocess;
use crate::model::units::{Unit, standardised};
use crate::resources::Resources;
use crate::ridge::{Batch, PrimalFit, PrimalOptions, PrimalPath, Source, accumulate};

/// Rows that lambdas are judged by.
const JUDGED: usize = 1000;

/// Rows that come preprocessed, targets in their units: what the ridge reads.
struct Encoded<'a> {
    batches: &'a mut dyn Batches,
    preprocess: &'a Preprocess,
    units: &'a [Unit],
    done: usize,
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

/// The pass over all rows, and what it is told.
pub(super) struct Pass<'a> {
    pub preprocess: &'a Preprocess,
    pub units: &'a [Unit],
    pub sample: &'a Sample,
    /// The sample, preprocessed.
    pub x: &'a Mat<f64>,
}

/// What came of it.
pub(super) struct Solved {
    pub fit: PrimalFit,
    /// Rows of the sample that were left out one at a time, ascending, and their predictions by the others.
    pub left_out: Vec<usize>,
    pub loo: Mat<f64>,
}

impl Pass<'_> {
    pub fn run<T: Float>(
        &self,
        map: &dyn FeatureMap<T>,
        batches: &mut dyn Batches,
        lambdas: &[f64],
        resources: &Resources,
    ) -> Result<Solved> {
        let mut source = Encoded { batches, preprocess: self.preprocess, units: self.units, done: 0 };
        let statistics = accumulate::<T>(map, &mut source, resources)?;
        let options = PrimalOptions { lambdas: lambdas.to_vec(), ..PrimalOptions::default() };
        let mut path = PrimalPath::new(statistics, options, resources)?;
        let left_out = self.sample.some(loo_rows(self.sample.frame.rows(), map.dim()));
        let x = self.x.as_ref().select_rows(&left_out).as_ref().cast::<T>();
        let y = standardised(&self.sample.target.select(&left_out), self.units)?;
        let rows = Rows { x: x.as_ref(), y: y.as_ref() };
        let (lambda, _) = best_lambda(&mut path, lambdas, map, rows.first(JUDGED)?, resources)?;
        let mut fit = path.fit(lambda, resources)?;
        let mut loo = lambda::left_out(&mut path, lambda, map, rows, resources)?.0;
        for (j, &Unit { mean, size }) in self.units.iter().enumerate() {
            fit.intercept[j] = mean + size * fit.intercept[j];
            (0..fit.theta.rows()).for_each(|i| fit.theta[(i, j)] *= size);
            (0..loo.rows()).for_each(|i| loo[(i, j)] = mean + size * loo[(i, j)]);
        }
        Ok(Solved { fit, left_out, loo })
    }
}
