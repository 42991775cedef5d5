//! What patches of images begin as.

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::linear::Linear;
use dualnet::{Mat, Resources};
use std::borrow::Cow;

/// Steepness of the cubic between positions.
const KEYS: f64 = -0.75;

/// Patches to tokens: a linear map, tokens of their own before them, and a table of positions.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchEmbeddings {
    /// Pixels of a patch (channel by channel, row by row) to a token.
    pub projection: Linear,
    /// The tokens before those of the patches.
    pub prefix: Mat<f32>,
    /// A row for each of these, then one for each patch of a square, row by row.
    pub positions: Mat<f32>,
    /// Height and width of a patch.
    pub patch: usize,
}

impl PatchEmbeddings {
    /// What the first layer gets. The table of positions is stretched to the images' size, as a picture, by a cubic.
    pub(crate) fn embed(&self, patches: &Mat<f32>, batch: &Batch, resources: &Resources) -> Result<Mat<f32>> {
        let own = self.projection.apply(patches, resources)?;
        let mut x = Mat::zeros(batch.rows(), own.cols());
        let Some(length) = batch.spans().next().map(|span| span.len()) else { return Ok(x) };
        let prefix = self.prefix.rows();
        let positions = self.positions_for(length)?;
        for (image, span) in batch.spans().enumerate() {
            for (at, row) in span.enumerate() {
                let from =
                    if at < prefix { self.prefix.row(at) } else { own.row(image * (length - prefix) + at - prefix) };
                let parts = from.iter().zip(positions.row(at));
                x.row_mut(row).iter_mut().zip(parts).for_each(|(x, (from, position))| *x = from + position);
            }
        }
        Ok(x)
    }

    /// Tokens of an image of `size` x `size` pixels.
    pub(crate) fn length(&self, size: usize) -> usize {
        self.prefix.rows() + (size / self.patch).pow(2)
    }

    /// The table of positions for images of `length` tokens.
    pub(crate) fn positions_for(&self, length: usize) -> Result<Cow<'_, Mat<f32>>> {
        match length == self.positions.rows() {
            true => Ok(Cow::Borrowed(&self.positions)),
            false => self.stretched((length.saturating_sub(self.prefix.rows())).isqrt()).map(Cow::Owned),
        }
    }

    fn stretched(&self, to: usize) -> Result<Mat<f32>> {
        let (prefix, cols) = (self.prefix.rows(), self.positions.cols());
        let from = (self.positions.rows() - prefix).isqrt();
        let mut table = Mat::zeros(prefix + to * to, cols);
        if from * from + prefix != self.positions.rows() || to == 0 {
            let hint = "images must be squares of whole patches";
            return Err(Error::invalid("table of positions", "a square", self.positions.rows().to_string(), hint));
        }
        for at in 0..prefix {
            table.row_mut(at).copy_from_slice(self.positions.row(at));
        }
        let taps = taps(from, to);
        for (y, rows) in taps.iter().enumerate() {
            for (x, columns) in taps.iter().enumerate() {
                let mut sums = vec![0.0f64; cols];
                for (i, a) in rows {
                    for (j, b) in columns {
                        let old = self.positions.row(prefix + i * from + j);
                        sums.iter_mut().zip(old).for_each(|(sum, old)| *sum += a * b * f64::from(*old));
                    }
                }
                let new = table.row_mut(prefix + y * to + x).iter_mut();
                new.zip(sums).for_each(|(new, sum)| *new = sum as f32);
            }
        }
        Ok(table)
    }
}

/// For each new place the four old ones around it and their weights; beyond the ends the last one counts again.
fn taps(from: usize, to: usize) -> Vec<[(usize, f64); 4]> {
    let scale = from as f64 / to as f64;
    let weight = |x: f64| match x.abs() {
        x if x <= 1.0 => ((KEYS + 2.0) * x - (KEYS + 3.0)) * x * x + 1.0,
        x => ((KEYS * x - 5.0 * KEYS) * x + 8.0 * KEYS) * x - 4.0 * KEYS,
    };
    let place = |i: usize| {
        let centre = (i as f64 + 0.5) * scale - 0.5;
        let first = centre.floor();
        [-1.0, 0.0, 1.0, 2.0].map(|step| {
            let at = first + step;
            (at.clamp(0.0, (from - 1) as f64) as usize, weight(centre - at))
        })
    };
    (0..to).map(place).collect()
}
