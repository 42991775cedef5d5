//! Arithmetic on blocks of vectors (n, c), column by column: sums over fixed chunks of rows, added in order.

use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use rayon::prelude::*;

/// Rows of a chunk.
const CHUNK: usize = 2048;

/// Inner products of equal columns.
pub(super) fn dots(a: &Mat<f64>, b: &Mat<f64>, resources: &Resources) -> Vec<f64> {
    let c = a.cols();
    let width = (CHUNK * c).max(1);
    let parts: Vec<Vec<f64>> = resources.install(|| {
        let chunks = a.as_slice().par_chunks(width).zip(b.as_slice().par_chunks(width));
        chunks
            .map(|(a, b)| {
                let mut sums = vec![0.0; c];
                for (a, b) in a.chunks_exact(c).zip(b.chunks_exact(c)) {
                    sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s += a * b);
                }
                sums
            })
            .collect()
    });
    let mut sums = vec![0.0; c];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(s, p)| *s += p);
    }
    sums
}

/// Euclidean norms of columns.
pub(super) fn norms(a: &Mat<f64>, resources: &Resources) -> Vec<f64> {
    dots(a, a, resources).into_iter().map(f64::sqrt).collect()
}

/// `f(a, b, factor)` for all entries, with the factor of their column.
pub(super) fn update(
    a: &mut Mat<f64>,
    b: &Mat<f64>,
    factors: &[f64],
    resources: &Resources,
    f: impl Fn(&mut f64, f64, f64) + Sync,
) {
    let c = a.cols();
    let width = (CHUNK * c).max(1);
    resources.install(|| {
        let chunks = a.as_mut_slice().par_chunks_mut(width).zip(b.as_slice().par_chunks(width));
        chunks.for_each(|(a, b)| {
            for (a, b) in a.chunks_exact_mut(c).zip(b.chunks_exact(c)) {
                a.iter_mut().zip(b).zip(factors).for_each(|((a, b), factor)| f(a, *b, *factor));
            }
        });
    });
}

/// The columns named, in that order.
pub(super) fn select(a: MatRef<'_, f64>, which: &[usize]) -> Mat<f64> {
    let mut data = Vec::with_capacity(a.rows() * which.len());
    for i in 0..a.rows() {
        let row = a.row(i);
        data.extend(which.iter().map(|&j| row[j]));
    }
    // The size is right by construction.
    Mat::from_vec(a.rows(), which.len(), data).unwrap_or_default()
}

/// Sets rows to zero where `keep` is false; `None` keeps all.
pub(super) fn restrict(a: &mut Mat<f64>, keep: Option<&[bool]>) {
    for (i, _) in keep.unwrap_or_default().iter().enumerate().filter(|(_, keep)| !**keep) {
        a.row_mut(i).fill(0.0);
    }
}
