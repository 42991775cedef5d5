//! Posteriors of Gaussian processes, and of ensembles of networks trained to the end.

use super::regularisation::DiagonalReg;
use crate::error::{Error, Result};
use crate::linalg::{Cholesky, Mat, MatRef, Update, gemm_nn_parallel, gemm_nt_parallel, in_range};
use crate::resources::Resources;

/// A Gaussian over the outputs at m test samples; outputs are independent and share the covariance.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    /// (m, outputs).
    pub mean: Mat<f64>,
    /// (m, m).
    pub covariance: Mat<f64>,
}

/// One kernel between and among training and test samples.
#[derive(Clone, Copy, Debug)]
pub struct Kernels<'a> {
    /// (n, n), symmetric.
    pub train: MatRef<'a, f64>,
    /// (m, n).
    pub test: MatRef<'a, f64>,
    /// (m, m), symmetric.
    pub own: MatRef<'a, f64>,
}

impl Kernels<'_> {
    pub(super) fn check(&self, what: &str, targets: MatRef<'_, f64>) -> Result<()> {
        let (n, m) = (targets.rows(), self.test.rows());
        let found = [self.train, self.test, self.own].map(|k| (k.rows(), k.cols()));
        if found != [(n, n), (m, n), (m, m)] || n == 0 {
            return Err(Error::Shape {
                what: format!("{what} kernels train, test and own"),
                expected: format!("({n}, {n}), ({m}, {n}), ({m}, {m}) and n > 0"),
                found: format!("{found:?}"),
            });
        }
        self.train.check_finite("kernel of training samples")?;
        self.test.check_finite("kernel between test and training samples")?;
        self.own.check_finite("kernel of test samples")?;
        targets.check_finite("targets")
    }
}

/// Posterior of the Gaussian process with this kernel (NNGP: the Bayesian network): mean `K*X Kr^-1 y`, covariance
/// `K** - K*X Kr^-1 KX*`, Kr the regularised kernel.
///
/// ```
/// use dualnet::{Mat, Resources, predict::{DiagonalReg, Kernels, gp_inference}};
/// let (k, c) = (Mat::from_vec(1, 1, vec![2.0])?, Mat::from_vec(1, 1, vec![1.0])?);
/// let kernels = Kernels { train: k.as_ref(), test: c.as_ref(), own: k.as_ref() };
/// let y = Mat::from_vec(1, 1, vec![3.0])?;
/// let g = gp_inference(kernels, y.as_ref(), DiagonalReg::Absolute(0.0), &Resources::new(1)?)?;
/// assert!((g.mean[(0, 0)] - 1.5).abs() < 1e-15 && (g.covariance[(0, 0)] - 1.5).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn gp_inference(
    kernels: Kernels<'_>,
    targets: MatRef<'_, f64>,
    reg: DiagonalReg,
    resources: &Resources,
) -> Result<Gaussian> {
    kernels.check("NNGP", targets)?;
    let (mean, solved) = solve(kernels, targets, reg, resources)?;
    let mut covariance = kernels.own.to_mat();
    gemm_nn_parallel(resources, covariance.as_mut(), Update::Add, -1.0, kernels.test, solved.as_ref())?;
    Ok(Gaussian { mean, covariance: in_range(symmetric(covariance), "posterior covariance")? })
}

/// [`gp_inference`] with the NTK as the covariance of the process.
pub fn ntk_gp(ntk: Kernels<'_>, targets: MatRef<'_, f64>, reg: DiagonalReg, resources: &Resources) -> Result<Gaussian> {
    gp_inference(ntk, targets, reg, resources)
}

/// An ensemble of networks, drawn from the NNGP, each trained by gradient flow to the end: mean `Th*X T^-1 y`,
/// covariance `K** + B K B^T - (B KX* + transpose)` with `B = Th*X T^-1`, T the regularised NTK, K as it is.
pub fn ntk_ensemble(
    nngp: Kernels<'_>,
    ntk: Kernels<'_>,
    targets: MatRef<'_, f64>,
    reg: DiagonalReg,
    resources: &Resources,
) -> Result<Gaussian> {
    nngp.check("NNGP", targets)?;
    ntk.check("NTK", targets)?;
    same_test(&nngp, &ntk)?;
    let (mean, solved) = solve(ntk, targets, reg, resources)?;
    let trained = Mat::from_fn(solved.cols(), solved.rows(), |i, j| solved[(j, i)]);
    Ok(Gaussian { mean, covariance: ensemble_covariance(nngp, trained.as_ref(), resources)? })
}

pub(super) fn same_test(nngp: &Kernels<'_>, ntk: &Kernels<'_>) -> Result<()> {
    if nngp.test.rows() == ntk.test.rows() {
        return Ok(());
    }
    Err(Error::Shape {
        what: "test samples of the NTK".into(),
        expected: format!("{}, as for the NNGP", nngp.test.rows()),
        found: ntk.test.rows().to_string(),
    })
}

/// `K** + B K B^T - (B KX* + transpose)` for the linear map B (m, n) from training errors to test changes.
pub(super) fn ensemble_covariance(nngp: Kernels<'_>, b: MatRef<'_, f64>, resources: &Resources) -> Result<Mat<f64>> {
    let (m, n) = (b.rows(), b.cols());
    // B K B^T - B KX* - (B KX*)^T = B (K B^T - 2 KX*), but for symmetry; both halves are then averaged.
    let mut inner = Mat::from_fn(n, m, |i, j| -2.0 * nngp.test.row(j)[i]);
    gemm_nt_parallel(resources, inner.as_mut(), Update::Add, 1.0, nngp.train, b)?;
    let mut covariance = nngp.own.to_mat();
    gemm_nn_parallel(resources, covariance.as_mut(), Update::Add, 1.0, b, inner.as_ref())?;
    in_range(symmetric(covariance), "covariance of the ensemble")
}

/// The mean of a matrix and its transpose.
pub(super) fn symmetric(a: Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.rows(), a.cols(), |i, j| 0.5 * (a[(i, j)] + a[(j, i)]))
}

/// `K*X Kr^-1 y` and `Kr^-1 KX*`.
fn solve(
    kernels: Kernels<'_>,
    targets: MatRef<'_, f64>,
    reg: DiagonalReg,
    resources: &Resources,
) -> Result<(Mat<f64>, Mat<f64>)> {
    let (n, m, outputs) = (targets.rows(), kernels.test.rows(), targets.cols());
    let needed = 8 * (n * n + 3 * n * m + m * m) as u64;
    resources.reserve("posterior", needed, "predict in batches, or raise the memory limit")?;
    let factor = Cholesky::new(reg.add(kernels.train.to_mat())?, "kernel of training samples", resources)?;
    let coefficients = factor.solve(targets, resources)?;
    let mut mean = Mat::zeros(m, outputs);
    gemm_nn_parallel(resources, mean.as_mut(), Update::Replace, 1.0, kernels.test, coefficients.as_ref())?;
    let across = Mat::from_fn(n, m, |i, j| kernels.test.row(j)[i]);
    Ok((in_range(mean, "posterior mean")?, factor.solve(across.as_ref(), resources)?))
}
