//! Linear maps: y = W x + b for each row, W as it is or as a product of two.

use crate::error::{Error, Result};
use crate::task_rows;
use dualnet::linalg::{MatMut, MatRef, Update, gemm_nn, gemm_nn_parallel, gemm_nt, gemm_nt_parallel, gemm_tn_parallel};
use dualnet::{Mat, Resources};
use rayon::prelude::*;

/// A linear map of rows of length n to rows of length m.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// W (m, n); where it is a product, the factor (m, r) that acts last.
    pub weight: Mat<f32>,
    /// Where W is a product: the factor (r, n) that acts first.
    pub inner: Option<Mat<f32>>,
    /// b, of length m.
    pub bias: Vec<f32>,
}

impl Linear {
    /// A map from its weights and biases.
    ///
    /// # Errors
    /// A bias for each row of the weights is wanted.
    pub fn new(weight: Mat<f32>, bias: Vec<f32>) -> Result<Self> {
        if weight.rows() != bias.len() {
            let hint = "one bias for each row of the weights";
            return Err(Error::invalid("bias", weight.rows().to_string(), bias.len().to_string(), hint));
        }
        Ok(Self { weight, inner: None, bias })
    }

    /// The map of a product `outer` (m, r) times `inner` (r, n).
    ///
    /// # Errors
    /// Factors that do not fit together; as [`Self::new`].
    pub fn product(outer: Mat<f32>, inner: Mat<f32>, bias: Vec<f32>) -> Result<Self> {
        if outer.cols() != inner.rows() {
            let (expected, found) = (format!("{} rows", outer.cols()), inner.rows().to_string());
            return Err(Error::invalid("factor that acts first", expected, found, "one for each column of the other"));
        }
        Ok(Self { inner: Some(inner), ..Self::new(outer, bias)? })
    }

    /// The rank r of a product.
    pub fn rank(&self) -> Option<usize> {
        self.inner.as_ref().map(Mat::rows)
    }

    /// n.
    pub fn inputs(&self) -> usize {
        self.inner.as_ref().unwrap_or(&self.weight).cols()
    }

    /// m.
    pub fn outputs(&self) -> usize {
        self.weight.rows()
    }

    /// Numbers in it.
    pub fn parameters(&self) -> usize {
        let inner = self.inner.as_ref().map_or(0, |inner| inner.as_slice().len());
        self.weight.as_slice().len() + inner + self.bias.len()
    }

    /// `y = x W^T + b` of some rows.
    pub(crate) fn tile(&self, x: &[f32], y: &mut [f32]) -> Result<()> {
        y.chunks_exact_mut(self.outputs()).for_each(|row| row.copy_from_slice(&self.bias));
        self.add_product(x, y)
    }

    /// `y = r + b + x W^T` of some rows.
    pub(crate) fn tile_onto(&self, r: &[f32], x: &[f32], y: &mut [f32]) -> Result<()> {
        let width = self.outputs();
        for (row, r) in y.chunks_exact_mut(width).zip(r.chunks_exact(width)) {
            for ((y, r), b) in row.iter_mut().zip(r).zip(&self.bias) {
                *y = r + b;
            }
        }
        self.add_product(x, y)
    }

    fn add_product(&self, x: &[f32], y: &mut [f32]) -> Result<()> {
        let (n, m) = (self.inputs(), self.outputs());
        let rows = x.len() / n;
        let (x, y) = (MatRef::new(x, rows, n, n)?, MatMut::new(y, rows, m, m)?);
        let Some(inner) = &self.inner else {
            return Ok(gemm_nt(y, Update::Add, 1.0, x, self.weight.as_ref())?);
        };
        let mut between = Mat::zeros(rows, inner.rows());
        gemm_nt(between.as_mut(), Update::Replace, 1.0, x, inner.as_ref())?;
        Ok(gemm_nt(y, Update::Add, 1.0, between.as_ref(), self.weight.as_ref())?)
    }

    /// `dx = update + dy W` of some rows: the gradient by the input.
    pub(crate) fn tile_back(&self, update: Update, dy: &[f32], dx: &mut [f32]) -> Result<()> {
        let (n, m) = (self.inputs(), self.outputs());
        let rows = dy.len() / m;
        let (dy, dx) = (MatRef::new(dy, rows, m, m)?, MatMut::new(dx, rows, n, n)?);
        let Some(inner) = &self.inner else {
            return Ok(gemm_nn(dx, update, 1.0, dy, self.weight.as_ref())?);
        };
        let mut between = Mat::zeros(rows, inner.rows());
        gemm_nn(between.as_mut(), Update::Replace, 1.0, dy, self.weight.as_ref())?;
        Ok(gemm_nn(dx, update, 1.0, between.as_ref(), inner.as_ref())?)
    }

    /// The gradient by the parameters, in their shapes, from the inputs and the gradient by the outputs, both in whole tiles of rows.
    pub(crate) fn gradient(&self, x: &Mat<f32>, dy: &Mat<f32>, resources: &Resources) -> Result<Self> {
        let mut weight = Mat::zeros(self.weight.rows(), self.weight.cols());
        let bias = column_sums(dy);
        let Some(inner) = &self.inner else {
            gemm_tn_parallel(resources, weight.as_mut(), Update::Replace, 1.0, dy.as_ref(), x.as_ref())?;
            return Ok(Self { weight, inner: None, bias });
        };
        let [mut between, mut back] = [x, dy].map(|rows| Mat::zeros(rows.rows(), inner.rows()));
        let mut gradient = Mat::zeros(inner.rows(), inner.cols());
        gemm_nt_parallel(resources, between.as_mut(), Update::Replace, 1.0, x.as_ref(), inner.as_ref())?;
        gemm_nn_parallel(resources, back.as_mut(), Update::Replace, 1.0, dy.as_ref(), self.weight.as_ref())?;
        gemm_tn_parallel(resources, weight.as_mut(), Update::Replace, 1.0, dy.as_ref(), between.as_ref())?;
        gemm_tn_parallel(resources, gradient.as_mut(), Update::Replace, 1.0, back.as_ref(), x.as_ref())?;
        Ok(Self { weight, inner: Some(gradient), bias })
    }

    /// The parameters, tensor by tensor.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &[f32]> {
        let inner = self.inner.as_ref().map(Mat::as_slice);
        [self.weight.as_slice(), &self.bias].into_iter().chain(inner)
    }

    /// The same, to change.
    pub(crate) fn tensors_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let inner = self.inner.as_mut().map(Mat::as_mut_slice);
        [self.weight.as_mut_slice(), &mut self.bias].into_iter().chain(inner)
    }

    /// `dX += dY W`, block by block on all threads.
    pub(crate) fn add_back(&self, dy: &Mat<f32>, dx: &mut Mat<f32>, resources: &Resources) -> Result<()> {
        let rows = task_rows(dx.rows(), resources);
        let (n, m) = (rows * self.inputs(), rows * self.outputs());
        resources.install(|| {
            let tiles = dx.as_mut_slice().par_chunks_mut(n).zip(dy.as_slice().par_chunks(m));
            tiles.try_for_each(|(dx, dy)| self.tile_back(Update::Add, dy, dx))
        })
    }

    /// `X W^T + b`, block by block on all threads. X has whole tiles of rows.
    pub(crate) fn apply(&self, x: &Mat<f32>, resources: &Resources) -> Result<Mat<f32>> {
        let mut y = Mat::zeros(x.rows(), self.outputs());
        let rows = task_rows(x.rows(), resources);
        let (n, m) = (rows * self.inputs(), rows * self.outputs());
        resources.install(|| {
            let tiles = y.as_mut_slice().par_chunks_mut(m).zip(x.as_slice().par_chunks(n));
            tiles.try_for_each(|(y, x)| self.tile(x, y))
        })?;
        Ok(y)
    }
}

fn column_sums(a: &Mat<f32>) -> Vec<f32> {
    let mut sums = vec![0.0; a.cols()];
    for row in a.as_slice().chunks_exact(a.cols().max(1)) {
        sums.iter_mut().zip(row).for_each(|(s, x)| *s += x);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TILE;

    fn wave(rows: usize, cols: usize, k: f32) -> Mat<f32> {
        Mat::from_fn(rows, cols, |i, j| (k * (i * cols + j) as f32).sin())
    }

    /// Rows get the same bits in blocks of any number of tiles, in the sizes of pretrained encoders and others.
    #[test]
    fn bits_do_not_depend_on_how_many_rows_a_task_has() -> Result<()> {
        for (m, n) in [(1152, 384), (384, 1536), (768, 3072), (100, 77), (8, 384), (3, 5)] {
            let map = Linear::new(wave(m, n, 0.7), vec![0.5; m])?;
            let x = wave(6 * TILE, n, 1.3);
            let apply = |tiles: usize, forward: bool| -> Result<Vec<f32>> {
                let (each, other) = if forward { (n, m) } else { (m, n) };
                let x = if forward { x.clone() } else { wave(6 * TILE, m, 1.3) };
                let mut y = vec![0.0; 6 * TILE * other];
                let blocks = y.chunks_mut(tiles * TILE * other).zip(x.as_slice().chunks(tiles * TILE * each));
                for (y, x) in blocks {
                    if forward { map.tile(x, y)? } else { map.tile_back(Update::Replace, x, y)? }
                }
                Ok(y)
            };
            for forward in [true, false] {
                let one = apply(1, forward)?;
                for tiles in 2..=6 {
                    assert!(one == apply(tiles, forward)?, "{m} x {n}, blocks of {tiles} tiles");
                }
            }
        }
        Ok(())
    }

    /// A product acts, and sends gradients back, as the matrix multiplied out; its own gradients are differences.
    #[test]
    fn products_are_their_matrix() -> Result<()> {
        let (m, n, r) = (5, 7, 2);
        let (outer, inner) = (wave(m, r, 0.7), wave(r, n, 0.3));
        let whole = Mat::from_fn(m, n, |i, j| (0..r).map(|k| outer[(i, k)] * inner[(k, j)]).sum::<f32>());
        let bias: Vec<f32> = (0..m).map(|i| i as f32).collect();
        let (product, plain) = (Linear::product(outer, inner, bias.clone())?, Linear::new(whole, bias)?);
        assert_eq!((product.inputs(), product.outputs(), product.rank()), (n, m, Some(r)));
        assert_eq!(product.parameters(), r * (m + n) + m);
        let (x, dy) = (wave(TILE, n, 1.1), wave(TILE, m, 0.9));
        let resources = Resources::new(2)?;
        let close =
            |a: &Mat<f32>, b: &Mat<f32>| a.as_slice().iter().zip(b.as_slice()).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close(&product.apply(&x, &resources)?, &plain.apply(&x, &resources)?));
        let [mut a, mut b] = [(); 2].map(|()| Mat::zeros(TILE, n));
        product.add_back(&dy, &mut a, &resources)?;
        plain.add_back(&dy, &mut b, &resources)?;
        assert!(close(&a, &b));
        let loss = |map: &Linear| -> Result<f64> {
            let y = map.apply(&x, &resources)?;
            Ok(y.as_slice().iter().zip(dy.as_slice()).map(|(y, g)| f64::from(y * g)).sum())
        };
        let gradient = product.gradient(&x, &dy, &resources)?;
        for (tensor, gradient) in gradient.tensors().enumerate() {
            for (at, expected) in gradient.iter().enumerate() {
                let moved = |by: f32| {
                    let mut map = product.clone();
                    map.tensors_mut().nth(tensor).into_iter().for_each(|t| t[at] += by);
                    loss(&map)
                };
                let difference = (moved(0.1)? - moved(-0.1)?) / 0.2;
                assert!((difference - f64::from(*expected)).abs() < 2e-2, "{tensor} {at}: {difference} {expected}");
            }
        }
        assert!(Linear::product(wave(3, 2, 1.0), wave(3, 3, 1.0), vec![0.0; 3]).is_err());
        Ok(())
    }
}
