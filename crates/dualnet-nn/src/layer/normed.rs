//! Whole matrices of rows through a norm, and back.

use crate::norm::LayerNorm;
use crate::task_rows;
use dualnet::{Mat, Resources};
use rayon::prelude::*;

/// Rows that went through a norm.
#[derive(Debug)]
pub(crate) struct Normed {
    /// Before gamma and beta.
    pub(super) normed: Mat<f32>,
    /// 1 over the deviation.
    pub(super) scale: Vec<f32>,
    /// The result.
    pub(super) y: Mat<f32>,
}

/// Whole tiles of rows through a norm.
pub(crate) fn normalised(norm: &LayerNorm, mut x: Mat<f32>, resources: &Resources) -> Normed {
    let (mut y, mut scale) = (Mat::zeros(x.rows(), x.cols()), vec![0.0; x.rows()]);
    let rows = task_rows(x.rows(), resources);
    let d = rows * x.cols();
    resources.install(|| {
        let tiles = y.as_mut_slice().par_chunks_mut(d).zip(x.as_mut_slice().par_chunks_mut(d));
        tiles.zip(scale.par_chunks_mut(rows)).for_each(|((y, x), scale)| norm.rows(x, scale, y, resources.isa));
    });
    Normed { normed: x, scale, y }
}

impl Normed {
    /// The result, and what [`Self::back`] needs.
    pub(crate) fn result(self) -> (Mat<f32>, Self) {
        (self.y, Self { y: Mat::zeros(0, 0), ..self })
    }

    /// From the gradient by the result to that by the rows, in place.
    pub(crate) fn back(&self, norm: &LayerNorm, gradient: &mut Mat<f32>, resources: &Resources) {
        norm_back(norm, &self.normed, &self.scale, gradient, resources);
    }
}

/// From the gradient by what the norm gives to that by the rows, in place.
pub(super) fn norm_back(
    norm: &LayerNorm,
    normed: &Mat<f32>,
    scale: &[f32],
    gradient: &mut Mat<f32>,
    resources: &Resources,
) {
    let rows = task_rows(gradient.rows(), resources);
    let d = rows * gradient.cols();
    resources.install(|| {
        let tiles = gradient.as_mut_slice().par_chunks_mut(d).zip(normed.as_slice().par_chunks(d));
        tiles.zip(scale.par_chunks(rows)).for_each(|((gradient, normed), scale)| {
            norm.back(normed, scale, gradient, resources.isa);
        });
    });
}
