//! Blocks of orthogonal rows: each block is a Haar-distributed orthogonal matrix, each row of the length of a normal vector.
//!
//! A row alone is N(0, I), as of a Gaussian projection, so estimates of kernels keep their means; rows of one block are at right
//! angles instead of independent, which lowers the variance ("Orthogonal random features", Yu, Suresh, Choromanski, Holtmann-Rice,
//! Kumar 2016, arXiv 1610.09072, section 3).

use super::gaussian;
use super::lengths::Lengths;
use crate::error::Result;
use crate::linalg::{Mat, orthonormal_rows};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::Element;
use rayon::prelude::*;

/// Blocks of `cols` rows, the last one cut. Block b comes from the Gaussian rows b d .. (b + 1) d, row j of which is stream j; the
/// first k of its rows from the first k of those, so that a cut block costs less. Cost of a block: 4 k^2 d - 4 k^3 / 3 operations
/// on one thread.
pub(super) fn draw<T: Element>(rows: usize, cols: usize, purpose: Purpose, resources: &Resources) -> Result<Mat<T>> {
    let block = cols.min(rows).max(1);
    let work = (3 * block as u64).saturating_mul(8 * cols as u64).saturating_mul(resources.threads() as u64);
    resources.reserve("drawing an orthogonal projection", work, "use a Gaussian or a structured one")?;
    let lengths = Lengths::new(resources.seed, purpose);
    let mut out = Mat::zeros(rows, cols);
    resources.install(|| {
        out.as_mut_slice().par_chunks_mut(block * cols).enumerate().try_for_each(|(b, out)| {
            resources.check("drawing an orthogonal projection")?;
            let first = b * block;
            let mut normals = Mat::zeros(out.len() / cols, cols);
            for i in 0..normals.rows() {
                gaussian::fill::<f64>(normals.row_mut(i), resources.seed, purpose, first + i);
            }
            let directions = orthonormal_rows(normals)?;
            for (i, out) in out.chunks_exact_mut(cols).enumerate() {
                let length = lengths.chi(cols, first + i);
                out.iter_mut().zip(directions.row(i)).for_each(|(out, x)| *out = T::from_f64(length * x));
            }
            Ok(())
        })
    })?;
    Ok(out)
}
