//! The feed-forward net of a layer: W2 phi(W1 x + b1) + b2.

use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::linear::Linear;
use crate::task_rows;
use dualnet::linalg::Update;
use dualnet::simd::Isa;
use dualnet::{Mat, Resources};
use rayon::prelude::*;

/// A feed-forward net with one hidden layer, of any width.
#[derive(Debug, Clone, PartialEq)]
pub struct Ffn {
    /// W1 (m, d) and b1.
    pub up: Linear,
    /// phi.
    pub activation: Activation,
    /// W2 (d, m) and b2.
    pub down: Linear,
}

impl Ffn {
    /// A net of two maps.
    ///
    /// # Errors
    /// Maps that do not fit together.
    pub fn new(up: Linear, activation: Activation, down: Linear) -> Result<Self> {
        let (expected, found) = ((up.outputs(), up.inputs()), (down.inputs(), down.outputs()));
        if expected != found {
            let hint = "the second map takes what the first one gives, back to the first one's input";
            return Err(Error::invalid("second map", format!("{expected:?}"), format!("{found:?}"), hint));
        }
        Ok(Self { up, activation, down })
    }

    /// The hidden width m.
    pub fn width(&self) -> usize {
        self.up.outputs()
    }

    /// Numbers in it.
    pub fn parameters(&self) -> usize {
        self.up.parameters() + self.down.parameters()
    }

    /// One tile: `pre = x W1^T + b1`, `act = phi(pre)`, `z = base + act W2^T + b2`.
    pub(crate) fn tile(&self, x: &[f32], base: &[f32], slots: [&mut [f32]; 2], z: &mut [f32], isa: Isa) -> Result<()> {
        let [pre, act] = slots;
        self.tile_hidden(x, pre, act, isa)?;
        self.down.tile_onto(base, act, z)
    }

    /// Its first half: `pre = x W1^T + b1`, `act = phi(pre)`.
    pub(crate) fn tile_hidden(&self, x: &[f32], pre: &mut [f32], act: &mut [f32], isa: Isa) -> Result<()> {
        self.up.tile(x, pre)?;
        self.activation.apply(pre, act, isa);
        Ok(())
    }

    /// `phi(X W1^T + b1)` of whole tiles of rows.
    pub(crate) fn hidden(&self, x: &Mat<f32>, resources: &Resources) -> Result<Mat<f32>> {
        let mut act = Mat::zeros(x.rows(), self.width());
        let rows = task_rows(x.rows(), resources);
        let (m, d) = (rows * self.width(), rows * self.up.inputs());
        resources
            .install(|| {
                let tiles = act.as_mut_slice().par_chunks_mut(m).zip(x.as_slice().par_chunks(d));
                tiles.try_for_each_init(
                    || vec![0.0; m],
                    |pre, (act, x)| self.tile_hidden(x, &mut pre[..act.len()], act, resources.isa),
                )
            })
            .map(|()| act)
    }

    /// `base + phi(X W1^T + b1) W2^T + b2` of whole tiles of rows.
    pub(crate) fn residual(&self, x: &Mat<f32>, base: &Mat<f32>, resources: &Resources) -> Result<Mat<f32>> {
        let mut z = Mat::zeros(x.rows(), x.cols());
        let rows = task_rows(x.rows(), resources);
        let (m, d) = (rows * self.width(), rows * x.cols());
        let cols = x.cols();
        resources
            .install(|| {
                let tiles = z.as_mut_slice().par_chunks_mut(d).zip(x.as_slice().par_chunks(d));
                tiles.zip(base.as_slice().par_chunks(d)).try_for_each_init(
                    || [vec![0.0; m], vec![0.0; m]],
                    |slots, ((z, x), base)| {
                        let used = x.len() / cols * self.width();
                        self.tile(x, base, slots.each_mut().map(|slot| &mut slot[..used]), z, resources.isa)
                    },
                )
            })
            .map(|()| z)
    }

    /// The parts of [`Self::tile`] of whole tiles of rows: `pre`, `act`, and the sum.
    pub(crate) fn traced(&self, x: &Mat<f32>, base: &Mat<f32>, resources: &Resources) -> Result<[Mat<f32>; 3]> {
        let (rows, width) = (x.rows(), self.width());
        let [mut pre, mut act, mut z] = [width, width, x.cols()].map(|cols| Mat::zeros(rows, cols));
        let each = task_rows(rows, resources);
        let (m, d) = (each * width, each * x.cols());
        resources.install(|| {
            let hidden = pre.as_mut_slice().par_chunks_mut(m).zip(act.as_mut_slice().par_chunks_mut(m));
            let outer = z.as_mut_slice().par_chunks_mut(d).zip(x.as_slice().par_chunks(d));
            let tiles = hidden.zip(outer).zip(base.as_slice().par_chunks(d));
            tiles.try_for_each(|(((pre, act), (z, x)), base)| self.tile(x, base, [pre, act], z, resources.isa))
        })?;
        Ok([pre, act, z])
    }

    /// The gradients by the parameters, and by `x` if `dx` is given, to which it is added, from `dz`, the gradient by the sum.
    pub(crate) fn back(
        &self,
        x: &Mat<f32>,
        pre: &Mat<f32>,
        act: &Mat<f32>,
        dz: &Mat<f32>,
        dx: Option<&mut Mat<f32>>,
        resources: &Resources,
    ) -> Result<FfnGradient> {
        let dpre = self.input_back(pre, dz, dx, resources)?;
        Ok(FfnGradient { up: self.up.gradient(x, &dpre, resources)?, down: self.down.gradient(act, dz, resources)? })
    }

    /// The gradient by `pre` from `dz`, that by the sum; the one by the input is added to `dx`, if it is given.
    pub(crate) fn input_back(
        &self,
        pre: &Mat<f32>,
        dz: &Mat<f32>,
        dx: Option<&mut Mat<f32>>,
        resources: &Resources,
    ) -> Result<Mat<f32>> {
        let mut dpre = Mat::zeros(pre.rows(), pre.cols());
        let rows = task_rows(dz.rows(), resources);
        let (m, d) = (rows * self.width(), rows * dz.cols());
        resources.install(|| {
            let tiles = dpre.as_mut_slice().par_chunks_mut(m).zip(dz.as_slice().par_chunks(d));
            tiles.zip(pre.as_slice().par_chunks(m)).try_for_each(|((dpre, dz), pre)| {
                self.down.tile_back(Update::Replace, dz, dpre)?;
                self.activation.chain(pre, dpre, resources.isa);
                Ok::<_, Error>(())
            })?;
            if let Some(dx) = dx {
                let tiles = dx.as_mut_slice().par_chunks_mut(d).zip(dpre.as_slice().par_chunks(m));
                tiles.try_for_each(|(dx, dpre)| self.up.tile_back(Update::Add, dpre, dx))?;
            }
            Ok::<_, Error>(())
        })?;
        Ok(dpre)
    }

    /// The parameters, tensor by tensor.
    pub(crate) fn tensors_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.up.tensors_mut().chain(self.down.tensors_mut())
    }
}

impl FfnGradient {
    /// In the order of [`Ffn::tensors_mut`].
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &[f32]> {
        self.up.tensors().chain(self.down.tensors())
    }
}

/// The gradient of a loss by the parameters of an [`Ffn`], in its shapes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FfnGradient {
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}
