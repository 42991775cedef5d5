//! From the gradient by what a layer gives to those by its parameters and by what it got.

use super::normed::norm_back;
use super::trace::Trace;
use super::{Layer, NormOrder};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::ffn::FfnGradient;
use crate::linear::Linear;
use crate::norm::LayerNorm;
use crate::relative::RelativeBias;
use dualnet::{Mat, Resources};

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

impl Layer {
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
        let ffn;
        match self.order {
            NormOrder::After => {
                by_norm(&trace.out_normed, gradient);
                norm_back(&self.ffn_norm, &trace.out_normed, &trace.out_scale, gradient, resources);
                let dz = gradient.clone();
                let given = self.ffn_exit().back(&trace.act, &dz, resources)?;
                ffn = self.ffn.back(&trace.x0, &trace.pre, &trace.act, &given, Some(gradient), resources)?;
                by_norm(&trace.normed, gradient);
                norm_back(&self.attention_norm, &trace.normed, &trace.scale, gradient, resources);
            }
            NormOrder::Before => {
                let mut inner = Mat::zeros(gradient.rows(), gradient.cols());
                let given = self.ffn_exit().back(&trace.act, gradient, resources)?;
                ffn = self.ffn.back(&trace.x0, &trace.pre, &trace.act, &given, Some(&mut inner), resources)?;
                by_norm(&trace.normed, &inner);
                norm_back(&self.ffn_norm, &trace.normed, &trace.scale, &mut inner, resources);
                add(gradient, &inner);
            }
        }
        let (dqkv, out) = self.attention_back(trace, gradient, batch, bias, whole, resources)?;
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

    /// The gradient by queries, keys and values, and by the last map if it is asked for, from that by the sum after attention.
    fn attention_back(
        &self,
        trace: &Trace,
        gradient: &Mat<f32>,
        batch: &Batch,
        bias: Option<&RelativeBias>,
        whole: bool,
        resources: &Resources,
    ) -> Result<(Mat<f32>, Option<Linear>)> {
        let given = self.attention_exit().back(&trace.context, gradient, resources)?;
        let mut dcontext = Mat::zeros(gradient.rows(), gradient.cols());
        self.attention.out.add_back(&given, &mut dcontext, resources)?;
        let out = whole.then(|| self.attention.out.gradient(&trace.context, &given, resources)).transpose()?;
        Ok((self.attention.context_back(&trace.qkv, &dcontext, batch, bias, resources)?, out))
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
        let given = self.ffn_exit().back(&trace.act, &gradient, resources)?;
        let ffn = self.ffn.back(&trace.x0, &trace.pre, &trace.act, &given, None, resources)?;
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
}

fn add(to: &mut Mat<f32>, from: &Mat<f32>) {
    to.as_mut_slice().iter_mut().zip(from.as_slice()).for_each(|(to, from)| *to += from);
}
