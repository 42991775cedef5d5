//! Eigendecomposition of a symmetric matrix.

use super::gemm::{view, view_mut};
use super::mat::{Mat, MatRef};
use crate::error::{Error, Result};
use crate::resources::Resources;
use faer::Par;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};

/// `A = V^T diag(values) V`.
#[derive(Clone, Debug)]
pub struct Eigh {
    /// Eigenvalues, ascending.
    pub values: Vec<f64>,
    /// Row i is the eigenvector of `values[i]`, of norm 1.
    pub vectors: Mat<f64>,
}

/// Eigenvalues and eigenvectors of a symmetric matrix, of which only the lower triangle is read.
///
/// Runs on one thread: half of the work is bound by memory, and two threads were measured no faster. About
/// 9 n^3 operations; 3 n^2 numbers of memory.
///
/// ```
/// use dualnet::{Mat, Resources, linalg::eigh};
/// let a = Mat::from_vec(2, 2, vec![2.0, 1.0, 1.0, 2.0])?;
/// let e = eigh(a.as_ref(), &Resources::new(1)?)?;
/// assert!((e.values[0] - 1.0).abs() < 1e-15 && (e.values[1] - 3.0).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn eigh(a: MatRef<'_, f64>, resources: &Resources) -> Result<Eigh> {
    let n = square("eigendecomposition", a)?;
    a.check_finite("matrix to decompose")?;
    resources.reserve("eigendecomposition", 24 * (n as u64).pow(2), "use fewer samples or raise the memory limit")?;
    let (mut values, mut vectors) = (vec![0.0; n], Mat::zeros(n, n));
    if n == 0 {
        return Ok(Eigh { values, vectors });
    }
    let parameters = Default::default();
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, parameters);
    let mut buffer = MemBuffer::try_new(scratch).map_err(|_| Error::Memory {
        what: "eigendecomposition".into(),
        needed: scratch.size_bytes() as u64,
        limit: resources.memory.unwrap_or(u64::MAX),
        hint: "use fewer samples".into(),
    })?;
    let outcome = self_adjoint_evd(
        view(a),
        faer::ColMut::from_slice_mut(&mut values).as_diagonal_mut(),
        // Columns of the library's matrix are rows of ours.
        Some(view_mut(vectors.as_mut()).transpose_mut()),
        Par::Seq,
        MemStack::new(&mut buffer),
        parameters,
    );
    outcome.map_err(|_| Error::Invalid {
        what: "eigendecomposition".into(),
        expected: "a matrix whose eigenvalues can be found".into(),
        found: format!("no convergence at n = {n}"),
        hint: "scale the matrix so that its entries are near 1".into(),
    })?;
    Ok(Eigh { values, vectors })
}

/// The side of a square matrix.
pub(crate) fn square(what: &str, a: MatRef<'_, f64>) -> Result<usize> {
    if a.rows() == a.cols() {
        return Ok(a.rows());
    }
    Err(Error::Shape {
        what: what.into(),
        expected: "a square matrix".into(),
        found: format!("{} x {}", a.rows(), a.cols()),
    })
}
