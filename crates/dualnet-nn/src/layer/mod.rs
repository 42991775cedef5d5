//! A layer: attention and feed-forward net, each with a residual sum and a layer norm, after the sum or before the part.

mod adapter;
mod back;
mod normed;
mod trace;

pub(crate) use back::LayerGradient;
pub(crate) use normed::{Normed, normalised};
pub(crate) use trace::Trace;

use crate::attention::Attention;
use crate::batch::Batch;
use crate::error::Result;
use crate::ffn::Ffn;
use crate::norm::LayerNorm;
use crate::relative::RelativeBias;
use crate::task_rows;
use dualnet::simd::Isa;
use dualnet::{Mat, Resources};
use rayon::prelude::*;

/// Where a layer normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormOrder {
    /// After each residual sum: y = norm(x + f(x)). BERT and its kin.
    After,
    /// Before each part, the sums stay as they are: y = x + f(norm(x)). Vision transformers.
    Before,
}

/// A layer. Its parts are fields that anyone may replace by parts of the same outer sizes.
///
/// With an adapter, what a part gives, a, goes into the residual sum as a + adapter(a) (Houlsby et al. 2019; with random features, "Scalable
/// Neural Network Kernels": [`Ffn::snnk_adapter`]). Folders hold none, and encoders with adapters are not compressed or saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Where it normalises.
    pub order: NormOrder,
    /// Attention.
    pub attention: Attention,
    /// Its norm.
    pub attention_norm: LayerNorm,
    /// d -> m -> d, of what attention gives.
    pub attention_adapter: Option<Ffn>,
    /// The feed-forward net.
    pub ffn: Ffn,
    /// Its norm.
    pub ffn_norm: LayerNorm,
    /// d -> m -> d, of what the net gives.
    pub ffn_adapter: Option<Ffn>,
}

/// Up to the feed-forward net: what it gets, and what it is added to if that is something else.
pub(crate) struct Attended {
    pub(crate) x: Mat<f32>,
    pub(crate) base: Option<Mat<f32>>,
}

impl Attended {
    /// What the net is added to.
    pub(crate) fn base(&self) -> &Mat<f32> {
        self.base.as_ref().unwrap_or(&self.x)
    }
}

/// The parts of some rows.
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
        let (_, qkv) = self.enter(x, resources)?;
        let context = self.attention.context(&qkv, batch, bias, resources)?;
        let mut y = Mat::zeros(x.rows(), x.cols());
        let (cols, m) = (x.cols(), self.ffn.width());
        let widths = [cols, 1, cols, m, m, cols, 1];
        let rows = task_rows(x.rows(), resources);
        let (d, room) = (rows * cols, || (widths.map(|width| (width, vec![0.0f32; rows * width])), Vec::new()));
        resources.install(|| {
            let tiles = y.as_mut_slice().par_chunks_mut(d).zip(x.as_slice().par_chunks(d));
            tiles.zip(context.as_slice().par_chunks(d)).try_for_each_init(room, |(room, scratch), ((y, x), context)| {
                let rows = x.len() / cols;
                let [normed, scale, x0, pre, act, out_normed, out_scale] =
                    room.each_mut().map(|(width, slot)| &mut slot[..rows * *width]);
                let slots = Slots { normed, scale, x0, pre, act, out_normed, out_scale };
                self.tile(x, context, (slots, scratch), y, resources.isa)
            })
        })?;
        Ok(y)
    }

    fn tile(
        &self,
        x: &[f32],
        context: &[f32],
        (slots, scratch): (Slots<'_>, &mut Vec<f32>),
        y: &mut [f32],
        isa: Isa,
    ) -> Result<()> {
        let Slots { normed, scale, x0, pre, act, out_normed, out_scale } = slots;
        match self.order {
            NormOrder::After => {
                self.attention_exit().tile(x, context, scratch, normed, isa)?;
                self.attention_norm.rows(normed, scale, x0, isa);
                self.ffn.tile_hidden(x0, pre, act, isa)?;
                self.ffn_exit().tile(x0, act, scratch, out_normed, isa)?;
                self.ffn_norm.rows(out_normed, out_scale, y, isa);
            }
            NormOrder::Before => {
                self.attention_exit().tile(x, context, scratch, out_normed, isa)?;
                normed.copy_from_slice(out_normed);
                self.ffn_norm.rows(normed, scale, x0, isa);
                self.ffn.tile_hidden(x0, pre, act, isa)?;
                self.ffn_exit().tile(out_normed, act, scratch, y, isa)?;
            }
        }
        Ok(())
    }

    /// Queries, keys and values, with the norm before them if it is there.
    fn enter(&self, x: &Mat<f32>, resources: &Resources) -> Result<(Option<Normed>, Mat<f32>)> {
        let entry = match self.order {
            NormOrder::After => None,
            NormOrder::Before => Some(normalised(&self.attention_norm, x.clone(), resources)),
        };
        let qkv = self.attention.qkv.apply(entry.as_ref().map_or(x, |entry| &entry.y), resources)?;
        Ok((entry, qkv))
    }

    /// Up to the feed-forward net, for each token.
    pub(crate) fn attended(
        &self,
        x: &Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        resources: &Resources,
    ) -> Result<Attended> {
        let (_, qkv) = self.enter(x, resources)?;
        let context = self.attention.context(&qkv, batch, bias, resources)?;
        let mut sum = Mat::zeros(x.rows(), x.cols());
        let d = task_rows(x.rows(), resources) * x.cols();
        resources.install(|| {
            let tiles = sum.as_mut_slice().par_chunks_mut(d).zip(x.as_slice().par_chunks(d));
            let tiles = tiles.zip(context.as_slice().par_chunks(d));
            tiles.try_for_each_init(Vec::new, |scratch, ((sum, x), context)| {
                self.attention_exit().tile(x, context, scratch, sum, resources.isa)
            })
        })?;
        Ok(match self.order {
            NormOrder::After => Attended { x: normalised(&self.attention_norm, sum, resources).y, base: None },
            NormOrder::Before => {
                let x = normalised(&self.ffn_norm, sum.clone(), resources).y;
                Attended { x, base: Some(sum) }
            }
        })
    }

    /// The output of the layer from the sum after the net.
    pub(crate) fn finish(&self, z: Mat<f32>, resources: &Resources) -> Mat<f32> {
        match self.order {
            NormOrder::After => normalised(&self.ffn_norm, z, resources).y,
            NormOrder::Before => z,
        }
    }
}
