//! Substitution by a lower triangular matrix, row by row of the other side, in either precision.

use super::gemm::{Scalar, for_row_blocks, view, view_mut};
use super::mat::{Mat, MatMut, MatRef};
use crate::error::{Error, Result};
use crate::resources::Resources;
use faer::Par;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;

/// `X L^-T` in the memory of X (r, n), L (n, n) in the lower triangle of `l` with a diagonal that is not 0. On the calling thread; cost r n^2
/// operations.
pub(crate) fn substitute_rows<T: Scalar>(l: MatRef<'_, T>, x: MatMut<'_, T>) -> Result<()> {
    if (l.rows(), l.cols()) != (x.cols(), x.cols()) {
        return Err(Error::Shape {
            what: "triangular system".into(),
            expected: format!("{} x {}", x.cols(), x.cols()),
            found: format!("{} x {}", l.rows(), l.cols()),
        });
    }
    T::substitute_rows(l, x);
    Ok(())
}

/// The library's part of [`substitute_rows`]: rows of ours are columns of the library's.
pub(super) fn forward<T: faer::traits::ComplexField>(l: MatRef<'_, T>, x: MatMut<'_, T>) {
    if x.rows() > 0 && x.cols() > 0 {
        solve_lower_triangular_in_place(view(l), view_mut(x).transpose_mut(), Par::Seq);
    }
}

/// `L^-T` by blocks of rows. Cost n^3 operations.
pub(crate) fn inverse_transpose(l: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
    let n = l.rows();
    let mut x = Mat::from_fn(n, n, |i, j| if i == j { 1.0 } else { 0.0 });
    resources.install(|| for_row_blocks(x.as_mut(), |_, rows| substitute_rows(l, rows)))?;
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitution_undoes_a_product() -> Result<()> {
        for (r, n) in [(1, 1), (3, 5), (70, 200)] {
            let l = Mat::from_fn(n, n, |i, j| match i.cmp(&j) {
                std::cmp::Ordering::Less => f64::NAN, // not read
                std::cmp::Ordering::Equal => 2.0 + (i % 3) as f64,
                std::cmp::Ordering::Greater => ((i * 7 + j * 3) % 11) as f64 / (11.0 * n as f64),
            });
            let x = Mat::from_fn(r, n, |i, j| ((i * 5 + j * 9) % 13) as f64 - 6.0);
            let mut b = Mat::from_fn(r, n, |i, j| (0..=j).map(|k| x[(i, k)] * l[(j, k)]).sum::<f64>());
            substitute_rows(l.as_ref(), b.as_mut())?;
            assert!(b.as_slice().iter().zip(x.as_slice()).all(|(a, b)| (a - b).abs() < 1e-13), "{r} x {n}");
            let inverse = inverse_transpose(l.as_ref(), &Resources::new(2)?)?;
            for i in 0..n.min(9) {
                for j in 0..n.min(9) {
                    let product: f64 = (0..=i).map(|k| l[(i, k)] * inverse[(j, k)]).sum();
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-14);
                }
            }
        }
        assert!(substitute_rows(Mat::<f64>::zeros(2, 2).as_ref(), Mat::zeros(1, 3).as_mut()).is_err());
        Ok(())
    }
}
