//! What a smaller encoder is worth, in figures.

use super::{PoolerReport, Teacher};
use crate::encoder::Encoder;
use crate::error::Result;
use crate::ffn::Ffn;
use crate::pool::{cosine, normalise};
use crate::{BATCH, Inputs};
use dualnet::Resources;
use serde::Serialize;

/// A layer whose net was replaced. Of pairs, the first is the original's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerReport {
    /// Which, from 0.
    pub layer: usize,
    /// Hidden width.
    pub hidden: [usize; 2],
    /// Parameters of the net.
    pub parameters: [usize; 2],
    /// Operations of the net for a token, a multiplication and an addition being two.
    pub flops: [usize; 2],
    /// Bytes of the net in f32.
    pub bytes: [usize; 2],
    /// Mean squared error of the net's output on the calibration tokens, each coordinate in units of its variance; before steps of Adam.
    pub error_fit: f64,
    /// The same after the steps on this layer by itself, if there were any.
    pub error_local: Option<f64>,
}

/// How near a smaller encoder is to the original, on texts that were kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Mean cosine of embeddings.
    pub cosine: f64,
    /// Squared error of the last hidden states, relative to their squares.
    pub hidden_error: f64,
}

/// Figures of a compression. Of pairs, the first is the original's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// 1 - cosine of each layer's replacement alone, where layers were chosen by it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<f64>,
    /// The nets that were replaced.
    pub layers: Vec<LayerReport>,
    /// Parameters of all layers, without the tables of words and positions.
    pub parameters: [usize; 2],
    /// After the fit of all layers, with the original's pooler.
    pub fit: Quality,
    /// After distillation, if there was any.
    pub distilled: Option<Quality>,
    /// Distillation did harm to what was kept apart (error of hidden states plus 1 - cosine), and its steps were undone.
    pub undone: bool,
    /// The pooler, if it was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pooler: Option<PoolerReport>,
    /// Tokens that layers were fitted on.
    pub tokens_fit: usize,
    /// Texts kept apart to judge by.
    pub texts_apart: usize,
    /// Seconds of the fit, steps on single layers included.
    pub seconds_fit: f64,
    /// Seconds of distillation.
    pub seconds_distill: f64,
}

impl LayerReport {
    pub(crate) fn new(layer: usize, nets: [&Ffn; 2], error_fit: f64, error_local: Option<f64>) -> Self {
        let parameters = nets.map(Ffn::parameters);
        Self {
            layer,
            hidden: nets.map(Ffn::width),
            parameters,
            flops: nets.map(|net| 2 * (net.parameters() - net.up.outputs() - net.down.outputs())),
            bytes: parameters.map(|n| 4 * n),
            error_fit,
            error_local,
        }
    }
}

/// Parameters of all layers.
pub(crate) fn parameters(encoder: &Encoder) -> usize {
    let layer = |l: &crate::Layer| {
        let norms = l.attention_norm.gamma.len() + l.ffn_norm.gamma.len();
        l.attention.qkv.parameters() + l.attention.out.parameters() + l.ffn.parameters() + 2 * norms
    };
    encoder.layers.iter().map(layer).sum()
}

/// Compares `encoder` with the original.
pub(crate) fn quality(
    teacher: &Teacher<'_>,
    encoder: &Encoder,
    inputs: &Inputs,
    resources: &Resources,
) -> Result<Quality> {
    let (mut cosines, mut error, mut size) = (0.0, 0.0, 0.0);
    for group in inputs.groups(BATCH) {
        let batch = inputs.batch(group)?;
        let original = teacher.encoder.forward(&batch, resources)?;
        let own = encoder.forward(&batch, resources)?;
        let used = batch.tokens() * original.cols();
        for (a, b) in original.as_slice()[..used].iter().zip(own.as_slice()) {
            error += f64::from(a - b).powi(2);
            size += f64::from(*a).powi(2);
        }
        let pooled = |encoder: &Encoder, x| {
            let mut pooled = encoder.pooled(x, &batch, teacher.pooling, resources)?;
            normalise(&mut pooled);
            Ok::<_, crate::Error>(pooled)
        };
        let (a, b) = (pooled(teacher.encoder, &original)?, pooled(encoder, &own)?);
        cosines += (0..batch.texts()).map(|i| cosine(a.row(i), b.row(i))).sum::<f64>();
    }
    Ok(Quality { cosine: cosines / inputs.len().max(1) as f64, hidden_error: error / size.max(f64::MIN_POSITIVE) })
}
