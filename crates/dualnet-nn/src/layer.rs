//! A layer: attention, residual sum, layer norm; feed-forward net, residual sum, layer norm.

use crate::TILE;
use crate::attention::Attention;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::ffn::{Ffn, FfnGradient};
use crate::norm::LayerNorm;
use crate::relative::RelativeBias;
use dualnet::linalg::Update;
use dualnet::simd::Isa;
use dualnet::{Mat, Resources};
use rayon::prelude::*;

/// A layer. Its parts are fields that anyone may replace by parts of the same outer sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Attention.
    pub attention: Attention,
    /// The norm after it.
    pub attention_norm: LayerNorm,
    /// The feed-forward net.
    pub ffn: Ffn,
    /// The norm after it.
    pub ffn_norm: LayerNorm,
}

/// What a layer computes on the way and its gradients need; all with a row for each token.
#[derive(Debug)]
pub(crate) struct Trace {
    qkv: Mat<f32>,
    /// The sum before the first norm, normalised, and 1 over its deviation.
    normed: Mat<f32>,
    scale: Vec<f32>,
    /// The input of the feed-forward net.
    x0: Mat<f32>,
    pre: Mat<f32>,
    act: Mat<f32>,
    /// Likewise at the second norm.
    out_normed: Mat<f32>,
    out_scale: Vec<f32>,
}

/// The parts of one tile.
struct Slots<'a> {
    normed: &'a mut [f32],
    scale: &'a mut [f32],
    x0: &'a mut [f32],
    pre: &'a mut [f32],
    act: &'a mut [f32],
    out_normed: &'a mut [f32],
    out_scale: &'a mut [f32],
}

impl Layer {
    /// The layer's output for each token.
    pub(crate) fn forward(
        &self,
        x: &Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        resources: &Resources,
    ) -> Result<Mat<f32>> {
        let qkv = self.attention.qkv.apply(x, resources)?;
        let context = self.attention.context(&qkv, batch, bias, resources)?;
        let mut y = Mat::zeros(x.rows(), x.cols());
        let (d, m) = (TILE * x.cols(), TILE * self.ffn.width());
        let room = || [d, TILE, d, m, m, d, TILE].map(|length| vec![0.0f32; length]);
        resources.install(|| {
            let tiles = y.as_mut_slice().par_chunks_mut(d).zip(x.as_slice().par_chunks(d));
            tiles.zip(context.as_slice().par_chunks(d)).try_for_each_init(room, |room, ((y, x), context)| {
                let [normed, scale, x0, pre, act, out_normed, out_scale] = room;
                let slots = Slots { normed, scale, x0, pre, act, out_normed, out_scale };
                self.tile(x, context, slots, y, resources.isa)
            })
        })?;
        Ok(y)
    }

    /// The same, with what the gradients need.
    pub(crate) fn trace(
        &self,
        x: &Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        resources: &Resources,
    ) -> Result<(Mat<f32>, Trace)> {
        let qkv = self.attention.qkv.apply(x, resources)?;
        let context = self.attention.context(&qkv, batch, bias, resources)?;
        let (rows, cols, width) = (x.rows(), x.cols(), self.ffn.width());
        let mut y = Mat::zeros(rows, cols);
        let mut trace = Trace {
            qkv,
            normed: Mat::zeros(rows, cols),
            scale: vec![0.0; rows],
            x0: Mat::zeros(rows, cols),
            pre: Mat::zeros(rows, width),
            act: Mat::zeros(rows, width),
            out_normed: Mat::zeros(rows, cols),
            out_scale: vec![0.0; rows],
        };
        let (d, m) = (TILE * cols, TILE * width);
        resources.install(|| {
            let outer = y.as_mut_slice().par_chunks_mut(d).zip(x.as_slice().par_chunks(d));
            let outer = outer.zip(context.as_slice().par_chunks(d));
            let first = trace.normed.as_mut_slice().par_chunks_mut(d).zip(trace.scale.par_chunks_mut(TILE));
            let second = trace.out_normed.as_mut_slice().par_chunks_mut(d).zip(trace.out_scale.par_chunks_mut(TILE));
            let hidden = trace.pre.as_mut_slice().par_chunks_mut(m).zip(trace.act.as_mut_slice().par_chunks_mut(m));
            let inner = first.zip(second).zip(hidden).zip(trace.x0.as_mut_slice().par_chunks_mut(d));
            outer.zip(inner).try_for_each(|(((y, x), context), ((((normed, scale), second), (pre, act)), x0))| {
                let (out_normed, out_scale) = second;
                let slots = Slots { normed, scale, x0, pre, act, out_normed, out_scale };
                self.tile(x, context, slots, y, resources.isa)
            })
        })?;
        Ok((y, trace))
    }

    fn tile(&self, x: &[f32], context: &[f32], slots: Slots<'_>, y: &mut [f32], isa: Isa) -> Result<()> {
        self.attention.out.tile_onto(x, context, slots.normed)?;
        self.attention_norm.rows(slots.normed, slots.scale, slots.x0, isa);
        self.ffn.tile(slots.x0, slots.pre, slots.act, slots.out_normed, isa)?;
        self.ffn_norm.rows(slots.out_normed, slots.out_scale, y, isa);
        Ok(())
    }

    /// The gradient by the feed-forward net, and, in place of `gradient`, from that by the output to that by the input.
    pub(crate) fn back(
        &self,
        trace: &Trace,
        gradient: &mut Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        resources: &Resources,
    ) -> Result<FfnGradient> {
        norm_back(&self.ffn_norm, &trace.out_normed, &trace.out_scale, gradient, resources);
        let dz = gradient.clone();
        let ffn = self.ffn.back(&trace.x0, &trace.pre, &trace.act, &dz, Some(gradient), resources)?;
        norm_back(&self.attention_norm, &trace.normed, &trace.scale, gradient, resources);
        let d = TILE * gradient.cols();
        let mut dcontext = Mat::zeros(gradient.rows(), gradient.cols());
        resources.install(|| {
            let tiles = dcontext.as_mut_slice().par_chunks_mut(d).zip(gradient.as_slice().par_chunks(d));
            tiles.try_for_each(|(to, from)| self.attention.out.tile_back(Update::Replace, from, to))
        })?;
        let dqkv = self.attention.context_back(&trace.qkv, &dcontext, batch, bias, resources)?;
        resources.install(|| {
            let tiles = gradient.as_mut_slice().par_chunks_mut(d).zip(dqkv.as_slice().par_chunks(3 * d));
            tiles.try_for_each(|(to, from)| self.attention.qkv.tile_back(Update::Add, from, to))
        })?;
        Ok(ffn)
    }

    /// The gradient by the feed-forward net alone, of the lowest layer that learns.
    pub(crate) fn back_to_ffn(
        &self,
        trace: &Trace,
        mut gradient: Mat<f32>,
        resources: &Resources,
    ) -> Result<FfnGradient> {
        norm_back(&self.ffn_norm, &trace.out_normed, &trace.out_scale, &mut gradient, resources);
        self.ffn.back(&trace.x0, &trace.pre, &trace.act, &gradient, None, resources)
    }

    /// The input of the feed-forward net for each token.
    pub(crate) fn attended(
        &self,
        x: &Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        resources: &Resources,
    ) -> Result<Mat<f32>> {
        let qkv = self.attention.qkv.apply(x, resources)?;
        let context = self.attention.context(&qkv, batch, bias, resources)?;
        let mut x0 = Mat::zeros(x.rows(), x.cols());
        let d = TILE * x.cols();
        resources.install(|| {
            let tiles = x0.as_mut_slice().par_chunks_mut(d).zip(x.as_slice().par_chunks(d));
            let tiles = tiles.zip(context.as_slice().par_chunks(d));
            let room = || (vec![0.0; d], vec![0.0; TILE]);
            tiles.try_for_each_init(room, |(normed, scale), ((x0, x), context)| {
                self.attention.out.tile_onto(x, context, normed)?;
                self.attention_norm.rows(normed, scale, x0, resources.isa);
                Ok::<_, Error>(())
            })
        })?;
        Ok(x0)
    }

    /// The output of the layer from the sum before its last norm.
    pub(crate) fn finish(&self, mut z: Mat<f32>, resources: &Resources) -> Mat<f32> {
        let mut y = Mat::zeros(z.rows(), z.cols());
        let d = TILE * z.cols();
        resources.install(|| {
            let tiles = y.as_mut_slice().par_chunks_mut(d).zip(z.as_mut_slice().par_chunks_mut(d));
            let room = || vec![0.0; TILE];
            tiles.for_each_init(room, |scale, (y, z)| self.ffn_norm.rows(z, scale, y, resources.isa));
        });
        y
    }
}

fn norm_back(norm: &LayerNorm, normed: &Mat<f32>, scale: &[f32], gradient: &mut Mat<f32>, resources: &Resources) {
    let d = TILE * gradient.cols();
    resources.install(|| {
        let tiles = gradient.as_mut_slice().par_chunks_mut(d).zip(normed.as_slice().par_chunks(d));
        tiles.zip(scale.par_chunks(TILE)).for_each(|((gradient, normed), scale)| {
            norm.back(normed, scale, gradient, resources.isa);
        });
    });
}
