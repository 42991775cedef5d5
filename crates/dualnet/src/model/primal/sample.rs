//! Rows that preprocessing, towers and the choice of candidates are learned from.

use super::{BATCH, changed, sample_rows};
use crate::error::Result;
use crate::linalg::Mat;
use crate::model::batches::Batches;
use crate::model::draw::{draw, some_of};
use crate::model::frame::Frame;
use crate::model::target::Target;
use crate::random::{Draws, Purpose};
use crate::resources::Resources;

/// Rows that towers are drawn from.
const ANCHORS: usize = 2048;

/// All rows, or some of them in their order.
pub(in crate::model) struct Sample {
    pub frame: Frame,
    pub target: Target,
    /// Where its rows stand among all, ascending.
    pub rows: Vec<usize>,
    seed: u64,
}

impl Sample {
    /// All rows, or a random part in their order; leaves `batches` at the first row.
    pub fn take(batches: &mut dyn Batches, resources: &Resources) -> Result<Self> {
        batches.restart()?;
        let rows = batches.rows();
        let mut parts: Vec<(Frame, Target)> = Vec::new();
        let mut first = 0;
        let mut wanted: Option<Vec<usize>> = None;
        while let Some((frame, target)) = batches.next(BATCH)? {
            resources.check("reading")?;
            // The width is known with the first batch.
            let wanted = wanted
                .get_or_insert_with(|| chosen_rows(rows, sample_rows(rows, frame.columns().len()), resources.seed));
            let last = first + frame.rows();
            let inside = wanted.partition_point(|&i| i < first)..wanted.partition_point(|&i| i < last);
            let local: Vec<usize> = wanted[inside].iter().map(|i| i - first).collect();
            parts.push(if local.len() == frame.rows() {
                (frame, target)
            } else {
                (frame.select(&local), target.select(&local))
            });
            resources.progress.update("reading", last as u64, rows as u64);
            first = last;
        }
        if first != rows {
            return Err(changed(rows, first));
        }
        let (frames, targets): (Vec<Frame>, Vec<Target>) = parts.into_iter().unzip();
        let (frame, target) = (Frame::concatenated(frames)?, Target::concatenated(targets)?);
        target.check()?;
        batches.restart()?;
        Ok(Self { frame, target, rows: wanted.unwrap_or_default(), seed: resources.seed })
    }

    /// Some of its rows, ascending.
    pub fn some(&self, most: usize) -> Vec<usize> {
        let rows = self.frame.rows();
        draw(rows, most, &self.target, self.seed).unwrap_or_else(|| (0..rows).collect())
    }
}

/// `wanted` of `rows` rows at random, ascending.
fn chosen_rows(rows: usize, wanted: usize, seed: u64) -> Vec<usize> {
    if wanted >= rows {
        return (0..rows).collect();
    }
    let mut draws = Draws::new(seed, Purpose::ROWS, 0);
    // Selection sampling (Knuth, algorithm S): each row with the chance that leaves as many as are still wanted.
    let mut left = wanted;
    (0..rows)
        .filter(|i| {
            let take = draws.below(rows - i) < left;
            left -= usize::from(take);
            take
        })
        .collect()
}

/// Rows that the tower is drawn from.
pub(in crate::model) fn anchors(x: &Mat<f64>, seed: u64) -> Mat<f64> {
    let rows = some_of((0..x.rows()).collect(), ANCHORS, Draws::new(seed, Purpose::ROWS, 1));
    x.as_ref().select_rows(&rows)
}
