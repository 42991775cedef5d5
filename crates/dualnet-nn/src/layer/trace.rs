//! A layer forward, keeping what its gradients need.

use super::normed::Normed;
use super::{Layer, Slots};
use crate::batch::Batch;
use crate::error::Result;
use crate::relative::RelativeBias;
use crate::task_rows;
use dualnet::{Mat, Resources};
use rayon::prelude::*;

/// What a layer computes on the way and its gradients need; all with a row for each token.
#[derive(Debug)]
pub(crate) struct Trace {
    /// What the layer got.
    pub(super) x: Mat<f32>,
    /// What attention got, where layers normalise before.
    pub(super) entry: Option<Normed>,
    pub(super) qkv: Mat<f32>,
    /// What the heads gave.
    pub(super) context: Mat<f32>,
    /// The sum after attention, normalised, and 1 over its deviation.
    pub(super) normed: Mat<f32>,
    pub(super) scale: Vec<f32>,
    /// The input of the feed-forward net.
    pub(super) x0: Mat<f32>,
    pub(super) pre: Mat<f32>,
    pub(super) act: Mat<f32>,
    /// Likewise of the sum after the net. Where layers normalise before: the sum after attention as it is, and nothing.
    pub(super) out_normed: Mat<f32>,
    pub(super) out_scale: Vec<f32>,
}

impl Layer {
    /// The same, with what the gradients need.
    pub(crate) fn trace(
        &self,
        x: Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        resources: &Resources,
    ) -> Result<(Mat<f32>, Trace)> {
        let (entry, qkv) = self.enter(&x, resources)?;
        let context = self.attention.context(&qkv, batch, bias, resources)?;
        let (rows, cols, width) = (x.rows(), x.cols(), self.ffn.width());
        let mut y = Mat::zeros(rows, cols);
        let mut trace = Trace {
            x,
            entry,
            qkv,
            context,
            normed: Mat::zeros(rows, cols),
            scale: vec![0.0; rows],
            x0: Mat::zeros(rows, cols),
            pre: Mat::zeros(rows, width),
            act: Mat::zeros(rows, width),
            out_normed: Mat::zeros(rows, cols),
            out_scale: vec![0.0; rows],
        };
        let each = task_rows(rows, resources);
        let (d, m) = (each * cols, each * width);
        resources.install(|| {
            let outer = y.as_mut_slice().par_chunks_mut(d).zip(trace.x.as_slice().par_chunks(d));
            let outer = outer.zip(trace.context.as_slice().par_chunks(d));
            let first = trace.normed.as_mut_slice().par_chunks_mut(d).zip(trace.scale.par_chunks_mut(each));
            let second = trace.out_normed.as_mut_slice().par_chunks_mut(d).zip(trace.out_scale.par_chunks_mut(each));
            let hidden = trace.pre.as_mut_slice().par_chunks_mut(m).zip(trace.act.as_mut_slice().par_chunks_mut(m));
            let inner = first.zip(second).zip(hidden).zip(trace.x0.as_mut_slice().par_chunks_mut(d));
            outer.zip(inner).try_for_each_init(Vec::new, |scratch, (((y, x), context), inner)| {
                let ((((normed, scale), second), (pre, act)), x0) = inner;
                let (out_normed, out_scale) = second;
                let slots = Slots { normed, scale, x0, pre, act, out_normed, out_scale };
                self.tile(x, context, (slots, scratch), y, resources.isa)
            })
        })?;
        Ok((y, trace))
    }
}
