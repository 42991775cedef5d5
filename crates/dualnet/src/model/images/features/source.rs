//! Images on their way into sums: preprocessed some at a time.

use crate::error::Result;
use crate::kernel::Float;
use crate::model::Target;
use crate::model::images::Images;
use crate::model::images::whiten::Whitening;
use crate::model::units::{Unit, standardised};
use crate::resources::Resources;
use crate::ridge::{Batch, Source};

/// Images preprocessed at a time.
pub(super) const BATCH: usize = 1024;

/// Some images in their order, preprocessed batch by batch, with targets in their units.
#[derive(Clone, Copy)]
pub(super) struct Whitened<'a> {
    pub images: &'a Images,
    pub target: &'a Target,
    pub whitening: &'a Whitening,
    pub units: &'a [Unit],
    /// Which of them; `None`: all.
    pub rows: Option<&'a [usize]>,
    /// How many of these have gone by.
    pub at: usize,
    pub resources: &'a Resources,
}

impl Whitened<'_> {
    fn len(&self) -> usize {
        self.rows.map_or(self.images.len(), <[usize]>::len)
    }
}

impl<T: Float> Source<T> for Whitened<'_> {
    fn columns(&self) -> usize {
        self.images.shape().width()
    }
    fn outputs(&self) -> usize {
        self.units.len()
    }
    fn rows(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
    fn next(&mut self) -> Result<Option<Batch<T>>> {
        let range = self.at..self.len().min(self.at + BATCH);
        if range.is_empty() {
            return Ok(None);
        }
        self.at = range.end;
        let rows: Vec<usize> = self.rows.map_or_else(|| range.clone().collect(), |rows| rows[range.clone()].to_vec());
        let x = self.whitening.apply(&self.images.select(&rows), self.resources)?.as_ref().cast();
        Ok(Some(Batch { x, y: standardised(&self.target.select(&rows), self.units)?, weights: Vec::new() }))
    }
    fn restart(&mut self) -> Result<()> {
        self.at = 0;
        Ok(())
    }
}
