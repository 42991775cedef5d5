//! `G = (B + shift I)^-1` for each lambda of a path, B the block tridiagonal matrix that the kernel was reduced to.

use super::dual::DualPath;
use super::options::{LambdaScale, check_lambdas};
use super::path::Jitter;
use crate::error::{Error, Result};
use crate::linalg::cholesky::power;
use crate::linalg::{BlockFactor, Mat, MatRef, Update, gemm_nn_parallel};
use crate::resources::Resources;
use rayon::prelude::*;

/// Rows of Q in one task.
const ROWS: usize = 256;
/// Power iterations behind condition numbers: the order of magnitude is what is wanted, for every lambda.
pub(super) const POWER_STEPS: usize = 10;

/// `G = (B + shift I)^-1` of one lambda, as far as ridge needs it, in the basis of samples.
pub(super) struct Solved {
    pub(super) lambda: f64,
    pub(super) shift: f64,
    pub(super) jitter: Option<Jitter>,
    pub(super) condition: f64,
    pub(super) diagonal: Vec<f64>,
    /// G [S 1, S y].
    pub(super) applied: Mat<f64>,
}

impl DualPath {
    /// Posterior variance of f at new samples, in the units of the kernel: `k(x, x) - k_x^T (K + lambda / w)^-1 k_x`,
    /// for `kernel` (m, n) between new and training samples and `own[i] = k(x_i, x_i)`. The uncertainty of the mean or
    /// intercept is left out. Rounding below 0 gives 0. Cost 2 m n^2 operations.
    pub fn posterior_variance(
        &self,
        kernel: MatRef<'_, f64>,
        own: &[f64],
        lambda: f64,
        resources: &Resources,
    ) -> Result<Vec<f64>> {
        let n = self.weights.len();
        check_lambdas(&[lambda])?;
        kernel.check_finite("kernel of new samples")?;
        if kernel.cols() != n || kernel.rows() != own.len() {
            return Err(Error::Shape {
                what: "kernel of new samples".into(),
                expected: format!("{} x {n}", own.len()),
                found: format!("{} x {}", kernel.rows(), kernel.cols()),
            });
        }
        let (factor, ..) = self.factor(lambda)?;
        let scaled = Mat::from_fn(own.len(), n, |i, j| kernel.row(i)[j] / self.unit * self.weights[j].sqrt());
        let mut rotated = Mat::zeros(own.len(), n);
        let q = self.reduction.q.as_ref();
        gemm_nn_parallel(resources, rotated.as_mut(), Update::Replace, 1.0, scaled.as_ref(), q)?;
        let explained = self.quadratic_forms(&[&factor], rotated.as_ref(), resources)?.swap_remove(0);
        Ok(own.iter().zip(explained).map(|(k, e)| (k - self.unit * e).max(0.0)).collect())
    }

    /// Lambda in units of `unit`.
    fn relative(&self, lambda: f64) -> f64 {
        match self.options.scale {
            LambdaScale::MeanDiagonal => lambda,
            LambdaScale::Absolute => lambda / self.unit,
        }
    }

    /// Decomposes `B + shift I`, with as little jitter as it takes; its condition number.
    pub(super) fn factor(&self, lambda: f64) -> Result<(BlockFactor, f64, Option<Jitter>, f64)> {
        let n = self.weights.len();
        let wanted = self.relative(lambda);
        if wanted > 1e30 {
            return Err(Error::Invalid {
                what: "lambda of ridge".into(),
                expected: "at most 1e30 times the mean diagonal of the kernel".into(),
                found: lambda.to_string(),
                hint: "predict the mean instead".into(),
            });
        }
        let floor = 8.0 * f64::EPSILON * self.largest;
        let (mut added, mut pivot) = (0.0, None);
        loop {
            let shift = wanted + added;
            match self.reduction.band.factor(shift)? {
                Ok(factor) => {
                    let inverse = |x: &[f64]| {
                        let mut y = Mat::from_fn(n, 1, |i, _| x[i]);
                        // Shapes are right by construction; a failure shows as an infinite norm.
                        if factor.solve(&mut y).is_err() { vec![f64::INFINITY; n] } else { y.into_vec() }
                    };
                    let smallest = 1.0 / power(n, POWER_STEPS, inverse);
                    if smallest.is_finite() && (smallest >= floor || added > 1e-6 * self.largest) {
                        let jitter = (added > 0.0).then(|| Jitter { added: added * self.lambda_unit(), pivot });
                        return Ok((factor, shift, jitter, (self.largest + shift) / smallest));
                    }
                }
                Err(failed) => {
                    pivot = pivot.or(Some(failed));
                    if added > 1e-6 * self.largest {
                        return Err(Error::NotPositiveDefinite {
                            what: "kernel plus lambda".into(),
                            pivot: failed,
                            hint: "it has negative eigenvalues beyond rounding; check how it was computed".into(),
                        });
                    }
                }
            }
            added = if added == 0.0 { n as f64 * floor } else { 10.0 * added };
        }
    }

    fn lambda_unit(&self) -> f64 {
        match self.options.scale {
            LambdaScale::MeanDiagonal => 1.0,
            LambdaScale::Absolute => self.unit,
        }
    }

    pub(super) fn solve(&self, lambdas: &[f64], resources: &Resources) -> Result<Vec<Solved>> {
        let (n, sides) = (self.weights.len(), self.rotated.cols());
        let factored: Vec<_> = resources.install(|| {
            let one = |&lambda: &f64| {
                let (factor, shift, jitter, condition) = self.factor(lambda)?;
                let mut x = self.rotated.clone();
                factor.solve(&mut x)?;
                Ok((factor, shift, jitter, condition, x))
            };
            lambdas.par_iter().map(one).collect::<Result<_>>()
        })?;
        let factors: Vec<&BlockFactor> = factored.iter().map(|f| &f.0).collect();
        let diagonals = self.quadratic_forms(&factors, self.reduction.q.as_ref(), resources)?;
        let mut stacked = Mat::zeros(n, sides * lambdas.len());
        for i in 0..n {
            for (part, f) in stacked.row_mut(i).chunks_exact_mut(sides).zip(&factored) {
                part.copy_from_slice(f.4.row(i));
            }
        }
        let mut applied = Mat::zeros(n, stacked.cols());
        let q = self.reduction.q.as_ref();
        gemm_nn_parallel(resources, applied.as_mut(), Update::Replace, 1.0, q, stacked.as_ref())?;
        let solved = factored.iter().zip(diagonals).zip(lambdas).enumerate();
        Ok(solved
            .map(|(at, ((f, diagonal), &lambda))| Solved {
                lambda,
                shift: f.1,
                jitter: f.2,
                condition: f.3,
                diagonal,
                applied: Mat::from_fn(n, sides, |i, j| applied[(i, at * sides + j)]),
            })
            .collect())
    }

    /// For each factor, for each row x of `rows`: `x^T (B + shift I)^-1 x`.
    fn quadratic_forms(
        &self,
        factors: &[&BlockFactor],
        rows: MatRef<'_, f64>,
        resources: &Resources,
    ) -> Result<Vec<Vec<f64>>> {
        let n = rows.rows();
        let blocks: Vec<Vec<Vec<f64>>> = resources.install(|| {
            (0..n.div_ceil(ROWS))
                .into_par_iter()
                .map(|block| {
                    resources.check("leave-one-out")?;
                    let part = rows.block(block * ROWS..n.min((block + 1) * ROWS), 0..rows.cols())?;
                    factors.iter().map(|f| f.quadratic_forms(part)).collect()
                })
                .collect::<Result<_>>()
        })?;
        Ok((0..factors.len()).map(|f| blocks.iter().flat_map(|b| b[f].iter().copied()).collect()).collect())
    }
}
