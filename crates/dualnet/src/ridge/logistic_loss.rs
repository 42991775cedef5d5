//! Multinomial logistic loss on features, its value and gradient, in tiles of fixed size.
//!
//! Features stay in the precision they come in; centring, products and sums are in f64, a tile at a time, so that the gradient is that
//! of the value to its last digits.

use super::classify::softmax;
use super::lbfgs::Smooth;
use crate::error::Result;
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef, Update, gemm_nn, gemm_tn};
use crate::resources::Resources;
use crate::simd::{Kernel, Vector};
use rayon::prelude::*;

/// Rows and columns of a tile.
const SIDE: usize = 256;

/// `sum w (ln sum_c exp f_c - f_label) / W + lambda / 2 |theta|^2` with `f = bias + scale (phi - mean) theta`.
///
/// Parameters: theta (m, k) row by row, then the biases (k).
pub(super) struct LogisticLoss<'a, T> {
    pub(super) features: MatRef<'a, T>,
    pub(super) labels: &'a [usize],
    /// w / W.
    pub(super) shares: Vec<f64>,
    pub(super) mean: Vec<f64>,
    /// Brings the mean variance of the features to 1.
    pub(super) scale: f64,
    pub(super) classes: usize,
    pub(super) lambda: f64,
    pub(super) resources: &'a Resources,
}

impl<T: Float> Smooth for LogisticLoss<'_, T> {
    fn evaluate(&self, at: &[f64]) -> Result<(f64, Vec<f64>)> {
        let (m, k) = (self.features.cols(), self.classes);
        let (loss, residuals) = self.forward(at)?;
        let mut gradient = self.backward(&residuals)?;
        let mut squares = 0.0;
        for (g, theta) in gradient.iter_mut().zip(&at[..m * k]) {
            *g += self.lambda * theta;
            squares += theta * theta;
        }
        for i in 0..residuals.rows() {
            gradient[m * k..].iter_mut().zip(residuals.row(i)).for_each(|(g, r)| *g += r);
        }
        Ok((loss + 0.5 * self.lambda * squares, gradient))
    }
}

impl<T: Float> LogisticLoss<'_, T> {
    /// The loss without its penalty, and its derivatives by the scores (n, k).
    fn forward(&self, at: &[f64]) -> Result<(f64, Mat<f64>)> {
        let (n, m, k) = (self.features.rows(), self.features.cols(), self.classes);
        let (theta, bias) = at.split_at(m * k);
        let mut residuals = Mat::zeros(n, k);
        let parts = residuals.as_mut_slice().par_chunks_mut(SIDE * k).enumerate();
        let losses: Vec<f64> = self.resources.install(|| {
            parts
                .map_init(Vec::new, |tile, (block, scores)| {
                    let first = block * SIDE;
                    let rows = scores.len() / k;
                    scores.chunks_exact_mut(k).for_each(|row| row.copy_from_slice(bias));
                    for left in (0..m).step_by(SIDE) {
                        let width = SIDE.min(m - left);
                        let centred = self.tile(first, rows, left, width, tile)?;
                        let theta = MatRef::new(&theta[left * k..(left + width) * k], width, k, k)?;
                        gemm_nn(MatMut::new(scores, rows, k, k)?, Update::Add, 1.0, centred, theta)?;
                    }
                    let mut loss = 0.0;
                    for (i, row) in scores.chunks_exact_mut(k).enumerate() {
                        let (label, share) = (self.labels[first + i], self.shares[first + i]);
                        let score = row[label];
                        loss += share * (softmax(row) - score);
                        row[label] -= 1.0;
                        row.iter_mut().for_each(|r| *r *= share);
                    }
                    Ok(loss)
                })
                .collect::<Result<_>>()
        })?;
        Ok((losses.iter().sum(), residuals))
    }

    /// Derivatives by theta, and zeros for the biases.
    fn backward(&self, residuals: &Mat<f64>) -> Result<Vec<f64>> {
        let (n, m, k) = (self.features.rows(), self.features.cols(), self.classes);
        let mut gradient = vec![0.0; (m + 1) * k];
        self.resources.install(|| {
            gradient[..m * k].par_chunks_mut(SIDE * k).enumerate().try_for_each_init(Vec::new, |tile, (panel, out)| {
                let (left, width) = (panel * SIDE, out.len() / k);
                for first in (0..n).step_by(SIDE) {
                    let rows = SIDE.min(n - first);
                    let centred = self.tile(first, rows, left, width, tile)?;
                    let right = residuals.as_ref().block(first..first + rows, 0..k)?;
                    gemm_tn(MatMut::new(&mut *out, width, k, k)?, Update::Add, 1.0, centred, right)?;
                }
                Ok::<(), crate::Error>(())
            })
        })?;
        Ok(gradient)
    }

    /// A tile of centred features, in `memory`.
    fn tile<'b>(
        &self,
        first: usize,
        rows: usize,
        left: usize,
        width: usize,
        memory: &'b mut Vec<f64>,
    ) -> Result<MatRef<'b, f64>> {
        memory.resize(SIDE * SIDE, 0.0);
        let block = self.features.block(first..first + rows, left..left + width)?;
        let (mean, out) = (&self.mean[left..left + width], &mut memory[..rows * width]);
        self.resources.isa.run(Centre { block, mean, scale: self.scale, out });
        MatRef::new(memory, rows, width, width)
    }
}

struct Centre<'a, T> {
    block: MatRef<'a, T>,
    mean: &'a [f64],
    scale: f64,
    out: &'a mut [f64],
}

impl<T: Float> Kernel for Centre<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        for (i, out) in self.out.chunks_exact_mut(self.mean.len().max(1)).enumerate() {
            for ((out, x), mean) in out.iter_mut().zip(self.block.row(i)).zip(self.mean) {
                *out = (x.to_f64() - mean) * self.scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_finite_differences() -> Result<()> {
        let resources = Resources::new(2)?;
        let (n, m, k) = (300, 260, 3);
        let x = Mat::from_fn(n, m, |i, j| ((i * 31 + j * 17) as f32 * 0.37).sin() + 0.5);
        let labels: Vec<usize> = (0..n).map(|i| (i * i) % k).collect();
        let shares: Vec<f64> = (0..n).map(|i| (1.0 + (i % 3) as f64) / (2.0 * n as f64)).collect();
        let loss = LogisticLoss {
            features: x.as_ref(),
            labels: &labels,
            shares,
            mean: (0..m).map(|j| 0.5 + 0.01 * (j as f64).cos()).collect(),
            scale: 1.3,
            classes: k,
            lambda: 0.02,
            resources: &resources,
        };
        let at: Vec<f64> = (0..(m + 1) * k).map(|i| 0.1 * (i as f64 * 1.7).sin()).collect();
        let (_, gradient) = loss.evaluate(&at)?;
        for i in (0..at.len()).step_by(37).chain(m * k..(m + 1) * k) {
            let value = |step: f64| {
                let mut moved = at.clone();
                moved[i] += step;
                loss.evaluate(&moved).map(|v| v.0)
            };
            let h = 1e-4;
            // Fourth order: error h^4, and rounding 1e-12.
            let slope = (8.0 * (value(h)? - value(-h)?) - (value(2.0 * h)? - value(-2.0 * h)?)) / (12.0 * h);
            assert!((slope - gradient[i]).abs() < 1e-10, "{i}: {slope} {}", gradient[i]);
        }
        Ok(())
    }
}
