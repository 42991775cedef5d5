//! A solution in the dual: f(x) = intercept + sum_i k(x, x_i) coefficients_i over the training rows x_i.

use super::candidates::KernelKind;
use super::fit::kernel_matrix;
use crate::error::Result;
use crate::gram;
use crate::kernel::{DenseKernel, Kernel};
use crate::linalg::gemm::ROW_BLOCK;
use crate::linalg::{Cholesky, Mat, affine, in_range};
use crate::net::Net;
use crate::resources::Resources;

/// Rows predicted at a time: bounds the memory of the kernel between them and the training rows.
const BATCH: usize = 1024;

/// A kernel, the training rows and their coefficients.
#[derive(Clone, Debug)]
pub(super) struct Exact {
    pub net: Net,
    pub kernel: KernelKind,
    /// Preprocessed training rows.
    pub x: Mat<f64>,
    pub coefficients: Mat<f64>,
    pub lambda_absolute: f64,
}

/// Which predictions come with a variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variances {
    Wanted,
    Spared,
}

impl Exact {
    /// Values (rows x outputs) of preprocessed rows, and the posterior variance of each row where wanted (else none).
    pub fn values(
        &self,
        x: &Mat<f64>,
        intercept: &[f64],
        variances: Variances,
        resources: &Resources,
    ) -> Result<(Mat<f64>, Vec<f64>)> {
        let m = x.rows();
        let kernel = DenseKernel::new(&self.net, self.x.cols())?;
        let training = kernel.prepare(self.x.as_ref(), "training rows", resources)?;
        let factor = match variances {
            Variances::Wanted => Some(self.factor(resources)?),
            Variances::Spared => None,
        };
        let (mut values, mut variance) = (Mat::zeros(m, intercept.len()), Vec::new());
        for start in (0..m).step_by(BATCH) {
            let end = m.min(start + BATCH);
            let part = kernel.prepare(x.as_ref().block(start..end, 0..x.cols())?, "new rows", resources)?;
            let cross = gram::cross_prepared(&kernel, &part, &training, self.kernel.get(), resources)?;
            let cross = whole_blocks(self.kernel.matrix(cross)?)?;
            let out = affine(intercept, cross.as_ref(), self.coefficients.as_ref(), resources)?;
            for i in start..end {
                values.row_mut(i).copy_from_slice(out.row(i - start));
            }
            if let Some(factor) = &factor {
                let own = kernel.own(&part, 0..end - start, resources)?;
                let own: Vec<f64> = own
                    .into_iter()
                    .map(|(nngp, ntk)| if self.kernel == KernelKind::Nngp { nngp } else { ntk })
                    .collect();
                variance.extend(posterior(factor, &own, &cross, resources)?);
            }
            resources.progress.update("predicting", end as u64, m as u64);
        }
        Ok((values, variance))
    }

    /// Cholesky decomposition of K + lambda I.
    fn factor(&self, resources: &Resources) -> Result<Cholesky> {
        let n = self.x.rows();
        let needed = 8 * (n as u64).pow(2) + 16 * (n * BATCH) as u64;
        resources.reserve("intervals", needed, "leave out --interval, or raise --memory")?;
        let mut k = kernel_matrix((&self.net, self.kernel), self.x.as_ref(), resources)?;
        for i in 0..n {
            k[(i, i)] += self.lambda_absolute;
        }
        Cholesky::new(k, "the regularised kernel", resources)
    }
}

/// Adds rows of zeros up to whole blocks: a product or solution then takes the same path for a row whatever else is in the batch.
pub(super) fn whole_blocks(cross: Mat<f64>) -> Result<Mat<f64>> {
    let (rows, cols) = (cross.rows().next_multiple_of(ROW_BLOCK), cross.cols());
    let mut data = cross.into_vec();
    data.resize(rows * cols, 0.0);
    Mat::from_vec(rows, cols, data)
}

/// k(x, x) - k_x^T (K + lambda I)^-1 k_x for each entry of `own`, k(x, x), and row of `cross`, which has whole blocks.
fn posterior(factor: &Cholesky, own: &[f64], cross: &Mat<f64>, resources: &Resources) -> Result<Vec<f64>> {
    let n = cross.cols();
    let turned = Mat::from_fn(n, cross.rows(), |i, j| cross[(j, i)]);
    let solved = in_range(factor.solve(turned.as_ref(), resources)?, "variances of predictions")?;
    let mut explained = vec![0.0; own.len()];
    for i in 0..n {
        for ((e, k), s) in explained.iter_mut().zip(turned.row(i)).zip(solved.row(i)) {
            *e += k * s;
        }
    }
    // Rounding may take a variance of 0 below it.
    Ok(own.iter().zip(explained).map(|(own, e)| (own - e).max(0.0)).collect())
}
