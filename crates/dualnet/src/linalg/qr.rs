//! Orthonormal rows by Householder reflections.

use super::gemm::{view, view_mut};
use super::mat::Mat;
use crate::error::{Error, Result};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as reflect_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as reflect,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::{Conj, Par};

/// Q of `A = L Q` for A (k, d), k <= d: orthonormal rows, where L is lower triangular with a positive diagonal. That choice of
/// signs makes Q unique, what Gram-Schmidt would give without rounding, and Haar-distributed for a Gaussian A (Mezzadri 2007, "How to
/// generate random matrices from the classical compact groups", section 5).
///
/// On the calling thread. Cost 4 k^2 d - 4 k^3 / 3 operations, and k d numbers of memory beside A and Q.
///
/// # Errors
/// [`Error::Shape`] for more rows than columns; memory. Entries must be finite, which the caller sees to.
pub(crate) fn orthonormal_rows(mut a: Mat<f64>) -> Result<Mat<f64>> {
    let (k, d) = (a.rows(), a.cols());
    if k > d {
        return Err(Error::Shape {
            what: "rows to make orthonormal".into(),
            expected: format!("at most {d}, the number of columns"),
            found: k.to_string(),
        });
    }
    let mut q = Mat::from_fn(k, d, |i, j| if i == j { 1.0 } else { 0.0 });
    if k == 0 {
        return Ok(q);
    }
    let block = recommended_block_size::<f64>(d, k);
    let mut coefficients = Mat::zeros(k, block);
    let scratch =
        qr_in_place_scratch::<f64>(d, k, block, Par::Seq, Default::default()).or(reflect_scratch::<f64>(d, block, k));
    let mut buffer = MemBuffer::try_new(scratch).map_err(|_| Error::Memory {
        what: "orthonormal rows".into(),
        needed: scratch.size_bytes() as u64,
        limit: u64::MAX,
        hint: "use fewer columns".into(),
    })?;
    let stack = MemStack::new(&mut buffer);
    // Rows of ours are columns of the library: A^T = Q^T R with R = L^T.
    let factor = view_mut(coefficients.as_mut()).transpose_mut();
    qr_in_place(view_mut(a.as_mut()).transpose_mut(), factor, Par::Seq, stack, Default::default());
    let (basis, factor) = (view(a.as_ref()).transpose(), view(coefficients.as_ref()).transpose());
    reflect(basis, factor, Conj::No, view_mut(q.as_mut()).transpose_mut(), Par::Seq, stack);
    for i in 0..k {
        if a[(i, i)] < 0.0 {
            q.row_mut(i).iter_mut().for_each(|x| *x = -*x);
        }
    }
    Ok(q)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::random::{Draws, Purpose};

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// Gram-Schmidt, each row twice, which suffices in double precision.
    fn gram_schmidt(a: &Mat<f64>) -> Mat<f64> {
        let mut q = a.clone();
        for i in 0..a.rows() {
            for j in (0..i).chain(0..i) {
                let (product, other) = (dot(q.row(i), q.row(j)), q.row(j).to_vec());
                q.row_mut(i).iter_mut().zip(other).for_each(|(x, y)| *x -= product * y);
            }
            let norm = dot(q.row(i), q.row(i)).sqrt();
            q.row_mut(i).iter_mut().for_each(|x| *x /= norm);
        }
        q
    }

    #[test]
    fn rows_are_those_of_gram_schmidt() {
        for (k, d) in [(0, 3), (1, 1), (1, 7), (2, 2), (5, 5), (17, 40), (64, 64), (90, 150)] {
            let mut draws = Draws::new(1, Purpose::PROJECTION, 0);
            let a = Mat::from_fn(k, d, |_, _| draws.normal());
            let (found, expected) = (orthonormal_rows(a.clone()).unwrap(), gram_schmidt(&a));
            for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
                // A square Gaussian matrix has a condition number of about its side.
                assert!((found - expected).abs() < 1e-12 * (1.0 + (k * k) as f64), "{k} x {d}: {found} {expected}");
            }
            for i in 0..k {
                for j in 0..=i {
                    let expected = if i == j { 1.0 } else { 0.0 };
                    assert!((dot(found.row(i), found.row(j)) - expected).abs() < 1e-14, "{k} x {d}: rows {i} and {j}");
                }
            }
        }
    }

    #[test]
    fn more_rows_than_columns_are_refused() {
        assert!(matches!(orthonormal_rows(Mat::zeros(3, 2)), Err(Error::Shape { .. })));
    }
}
