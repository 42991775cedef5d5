//! A layer: attention and feed-forward net, each with a residual sum and a layer norm, after the sum or before the part.

use crate::attention::Attention;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::ffn::{Ffn, FfnGradient};
use crate::linear::Linear;
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
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Where it normalises.
    pub order: NormOrder,
    /// Attention.
    pub attention: Attention,
    /// Its norm.
    pub attention_norm: LayerNorm,
    /// The feed-forward net.
    pub ffn: Ffn,
    /// Its norm.
    pub ffn_norm: LayerNorm,
}

/// What a layer computes on the way and its gradients need; all with a row for each token.
#[derive(Debug)]
pub(crate) struct Trace {
    /// What the layer got.
    x: Mat<f32>,
    /// What attention got, where layers normalise before.
    entry: Option<Normed>,
    qkv: Mat<f32>,
    /// What the heads gave.
    context: Mat<f32>,
    /// The sum after attention, normalised, and 1 over its deviation.
    normed: Mat<f32>,
    scale: Vec<f32>,
    /// The input of the feed-forward net.
    x0: Mat<f32>,
    pre: Mat<f32>,
    act: Mat<f32>,
    /// Likewise of the sum after the net. Where layers normalise before: the sum after attention as it is, and nothing.
    out_normed: Mat<f32>,
    out_scale: Vec<f32>,
}

/// The gradient of a loss by the parameters of a layer, in their shapes.
#[derive(Debug)]
pub(crate) struct LayerGradient {
    ffn: FfnGradient,
    /// By both maps of attention, if they were asked for.
    attention: Option<[Linear; 2]>,
    /// By both norms, the one nearer to the output first, if they were asked for.
    norms: Vec<LayerNorm>,
}

impl LayerGradient {
    /// In the order of [`Layer::tensors_mut`].
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &[f32]> {
        let norms = self.norms.iter().flat_map(|norm| [norm.gamma.as_slice(), &norm.beta]);
        self.ffn.tensors().chain(self.attention.iter().flatten().flat_map(Linear::tensors)).chain(norms)
    }
}

/// Rows that went through a norm.
#[derive(Debug)]
pub(crate) struct Normed {
    /// Before gamma and beta.
    normed: Mat<f32>,
    /// 1 over the deviation.
    scale: Vec<f32>,
    /// The result.
    y: Mat<f32>,
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
        let (d, room) = (rows * cols, || widths.map(|width| (width, vec![0.0f32; rows * width])));
        resources.install(|| {
            let tiles = y.as_mut_slice().par_chunks_mut(d).zip(x.as_slice().par_chunks(d));
            tiles.zip(context.as_slice().par_chunks(d)).try_for_each_init(room, |room, ((y, x), context)| {
                let rows = x.len() / cols;
                let [normed, scale, x0, pre, act, out_normed, out_scale] =
                    room.each_mut().map(|(width, slot)| &mut slot[..rows * *width]);
                let slots = Slots { normed, scale, x0, pre, act, out_normed, out_scale };
                self.tile(x, context, slots, y, resources.isa)
            })
        })?;
        Ok(y)
    }

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
            outer.zip(inner).try_for_each(|(((y, x), context), ((((normed, scale), second), (pre, act)), x0))| {
                let (out_normed, out_scale) = second;
                let slots = Slots { normed, scale, x0, pre, act, out_normed, out_scale };
                self.tile(x, context, slots, y, resources.isa)
            })
        })?;
        Ok((y, trace))
    }

    fn tile(&self, x: &[f32], context: &[f32], slots: Slots<'_>, y: &mut [f32], isa: Isa) -> Result<()> {
        let Slots { normed, scale, x0, pre, act, out_normed, out_scale } = slots;
        match self.order {
            NormOrder::After => {
                self.attention.out.tile_onto(x, context, normed)?;
                self.attention_norm.rows(normed, scale, x0, isa);
                self.ffn.tile(x0, x0, [pre, act], out_normed, isa)?;
                self.ffn_norm.rows(out_normed, out_scale, y, isa);
            }
            NormOrder::Before => {
                self.attention.out.tile_onto(x, context, out_normed)?;
                normed.copy_from_slice(out_normed);
                self.ffn_norm.rows(normed, scale, x0, isa);
                self.ffn.tile(x0, out_normed, [pre, act], y, isa)?;
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

    /// The gradient by the parameters, of the feed-forward net alone or of the `whole` layer, and, in place of `gradient`, from that by the output to
    /// that by the input.
    pub(crate) fn back(
        &self,
        trace: &Trace,
        gradient: &mut Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        whole: bool,
        resources: &Resources,
    ) -> Result<LayerGradient> {
        let mut norms = Vec::new();
        let mut by_norm = |normed: &Mat<f32>, gradient: &Mat<f32>| {
            if whole {
                norms.push(LayerNorm::gradient(normed, gradient));
            }
        };
        let (ffn, dqkv);
        match self.order {
            NormOrder::After => {
                by_norm(&trace.out_normed, gradient);
                norm_back(&self.ffn_norm, &trace.out_normed, &trace.out_scale, gradient, resources);
                let dz = gradient.clone();
                ffn = self.ffn.back(&trace.x0, &trace.pre, &trace.act, &dz, Some(gradient), resources)?;
                by_norm(&trace.normed, gradient);
                norm_back(&self.attention_norm, &trace.normed, &trace.scale, gradient, resources);
                dqkv = self.attention_back(trace, gradient, batch, bias, resources)?;
            }
            NormOrder::Before => {
                let mut inner = Mat::zeros(gradient.rows(), gradient.cols());
                ffn = self.ffn.back(&trace.x0, &trace.pre, &trace.act, gradient, Some(&mut inner), resources)?;
                by_norm(&trace.normed, &inner);
                norm_back(&self.ffn_norm, &trace.normed, &trace.scale, &mut inner, resources);
                add(gradient, &inner);
                dqkv = self.attention_back(trace, gradient, batch, bias, resources)?;
            }
        }
        let out = whole.then(|| self.attention.out.gradient(&trace.context, gradient, resources)).transpose()?;
        let entry = match &trace.entry {
            None => {
                self.attention.qkv.add_back(&dqkv, gradient, resources)?;
                &trace.x
            }
            Some(entry) => {
                let mut inner = Mat::zeros(gradient.rows(), gradient.cols());
                self.attention.qkv.add_back(&dqkv, &mut inner, resources)?;
                by_norm(&entry.normed, &inner);
                entry.back(&self.attention_norm, &mut inner, resources);
                add(gradient, &inner);
                &entry.y
            }
        };
        let qkv = |out| Ok::<_, Error>([self.attention.qkv.gradient(entry, &dqkv, resources)?, out]);
        let attention = out.map(qkv).transpose()?;
        Ok(LayerGradient { ffn, attention, norms })
    }

    /// The gradient by queries, keys and values from that by the sum after attention.
    fn attention_back(
        &self,
        trace: &Trace,
        gradient: &Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        resources: &Resources,
    ) -> Result<Mat<f32>> {
        let mut dcontext = Mat::zeros(gradient.rows(), gradient.cols());
        self.attention.out.add_back(gradient, &mut dcontext, resources)?;
        self.attention.context_back(&trace.qkv, &dcontext, batch, bias, resources)
    }

    /// The gradient by the feed-forward net alone, of the lowest layer that learns.
    pub(crate) fn back_to_ffn(
        &self,
        trace: &Trace,
        mut gradient: Mat<f32>,
        resources: &Resources,
    ) -> Result<LayerGradient> {
        if self.order == NormOrder::After {
            norm_back(&self.ffn_norm, &trace.out_normed, &trace.out_scale, &mut gradient, resources);
        }
        let ffn = self.ffn.back(&trace.x0, &trace.pre, &trace.act, &gradient, None, resources)?;
        Ok(LayerGradient { ffn, attention: None, norms: Vec::new() })
    }

    /// The parameters, tensor by tensor, of the feed-forward net alone or of the `whole` layer.
    pub(crate) fn tensors_mut(&mut self, whole: bool) -> impl Iterator<Item = &mut [f32]> {
        let maps = [&mut self.attention.qkv, &mut self.attention.out];
        // In the order in which gradients come: from the output on.
        let norms = [&mut self.ffn_norm, &mut self.attention_norm];
        let norms = norms.into_iter().flat_map(|norm| [norm.gamma.as_mut_slice(), &mut norm.beta]);
        let rest = maps.into_iter().flat_map(Linear::tensors_mut).chain(norms);
        self.ffn.tensors_mut().chain(rest.take(if whole { usize::MAX } else { 0 }))
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
            tiles.try_for_each(|((sum, x), context)| self.attention.out.tile_onto(x, context, sum))
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

/// Whole tiles of rows through a norm.
pub(crate) fn normalised(norm: &LayerNorm, mut x: Mat<f32>, resources: &Resources) -> Normed {
    let (mut y, mut scale) = (Mat::zeros(x.rows(), x.cols()), vec![0.0; x.rows()]);
    let rows = task_rows(x.rows(), resources);
    let d = rows * x.cols();
    resources.install(|| {
        let tiles = y.as_mut_slice().par_chunks_mut(d).zip(x.as_mut_slice().par_chunks_mut(d));
        tiles.zip(scale.par_chunks_mut(rows)).for_each(|((y, x), scale)| norm.rows(x, scale, y, resources.isa));
    });
    Normed { normed: x, scale, y }
}

impl Normed {
    /// The result, and what [`Self::back`] needs.
    pub(crate) fn result(self) -> (Mat<f32>, Self) {
        (self.y, Self { y: Mat::zeros(0, 0), ..self })
    }

    /// From the gradient by the result to that by the rows, in place.
    pub(crate) fn back(&self, norm: &LayerNorm, gradient: &mut Mat<f32>, resources: &Resources) {
        norm_back(norm, &self.normed, &self.scale, gradient, resources);
    }
}

fn add(to: &mut Mat<f32>, from: &Mat<f32>) {
    to.as_mut_slice().iter_mut().zip(from.as_slice()).for_each(|(to, from)| *to += from);
}

fn norm_back(norm: &LayerNorm, normed: &Mat<f32>, scale: &[f32], gradient: &mut Mat<f32>, resources: &Resources) {
    let rows = task_rows(gradient.rows(), resources);
    let d = rows * gradient.cols();
    resources.install(|| {
        let tiles = gradient.as_mut_slice().par_chunks_mut(d).zip(normed.as_slice().par_chunks(d));
        tiles.zip(scale.par_chunks(rows)).for_each(|((gradient, normed), scale)| {
            norm.back(normed, scale, gradient, resources.isa);
        });
    });
}
