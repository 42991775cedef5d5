//! Linear maps: y = W x + b for each row.

use crate::TILE;
use crate::error::{Error, Result};
use dualnet::linalg::{MatMut, MatRef, Update, gemm_nn, gemm_nt};
use dualnet::{Mat, Resources};
use rayon::prelude::*;

/// A linear map of rows of length n to rows of length m.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// W (m, n).
    pub weight: Mat<f32>,
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
        Ok(Self { weight, bias })
    }

    /// n.
    pub fn inputs(&self) -> usize {
        self.weight.cols()
    }

    /// m.
    pub fn outputs(&self) -> usize {
        self.weight.rows()
    }

    /// Numbers in it.
    pub fn parameters(&self) -> usize {
        self.weight.as_slice().len() + self.bias.len()
    }

    /// `y = x W^T + b` of one tile.
    pub(crate) fn tile(&self, x: &[f32], y: &mut [f32]) -> Result<()> {
        y.chunks_exact_mut(self.outputs()).for_each(|row| row.copy_from_slice(&self.bias));
        self.add_product(x, y)
    }

    /// `y = r + b + x W^T` of one tile.
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
        let (x, y) = (MatRef::new(x, x.len() / n, n, n)?, MatMut::new(y, x.len() / n, m, m)?);
        Ok(gemm_nt(y, Update::Add, 1.0, x, self.weight.as_ref())?)
    }

    /// `dx = update + dy W` of one tile: the gradient by the input.
    pub(crate) fn tile_back(&self, update: Update, dy: &[f32], dx: &mut [f32]) -> Result<()> {
        let (n, m) = (self.inputs(), self.outputs());
        let (dy, dx) = (MatRef::new(dy, dy.len() / m, m, m)?, MatMut::new(dx, dy.len() / m, n, n)?);
        Ok(gemm_nn(dx, update, 1.0, dy, self.weight.as_ref())?)
    }

    /// `dX += dY W`, tile by tile on all threads.
    pub(crate) fn add_back(&self, dy: &Mat<f32>, dx: &mut Mat<f32>, resources: &Resources) -> Result<()> {
        let (n, m) = (TILE * self.inputs(), TILE * self.outputs());
        resources.install(|| {
            let tiles = dx.as_mut_slice().par_chunks_mut(n).zip(dy.as_slice().par_chunks(m));
            tiles.try_for_each(|(dx, dy)| self.tile_back(Update::Add, dy, dx))
        })
    }

    /// `X W^T + b`, tile by tile on all threads. X has whole tiles of rows.
    pub(crate) fn apply(&self, x: &Mat<f32>, resources: &Resources) -> Result<Mat<f32>> {
        let mut y = Mat::zeros(x.rows(), self.outputs());
        let (n, m) = (TILE * self.inputs(), TILE * self.outputs());
        resources.install(|| {
            let tiles = y.as_mut_slice().par_chunks_mut(m).zip(x.as_slice().par_chunks(n));
            tiles.try_for_each(|(y, x)| self.tile(x, y))
        })?;
        Ok(y)
    }
}
