//! Independent standard normals.

use crate::linalg::Mat;
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::simd::Element;
use rayon::prelude::*;

/// Row j from stream j.
pub(super) fn draw<T: Element>(rows: usize, cols: usize, purpose: Purpose, resources: &Resources) -> Mat<T> {
    let mut out = Mat::zeros(rows, cols);
    resources.install(|| {
        out.as_mut_slice().par_chunks_mut(cols).enumerate().for_each(|(j, row)| {
            fill(row, resources.seed, purpose, j);
        });
    });
    out
}

/// Fills row `j`.
pub(super) fn fill<T: Element>(row: &mut [T], seed: u64, purpose: Purpose, j: usize) {
    let mut draws = Draws::new(seed, purpose, j as u64);
    row.iter_mut().for_each(|x| *x = T::from_f64(draws.normal()));
}
