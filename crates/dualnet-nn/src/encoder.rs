//! The whole encoder: tokens to a vector for each.

use crate::attention::Attention;
use crate::batch::Batch;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ffn::{Ffn, FfnGradient};
use crate::layer::{Layer, Trace};
use crate::linear::Linear;
use crate::names::{self, Part};
use crate::norm::LayerNorm;
use crate::relative::RelativeBias;
use crate::weights::Weights;
use dualnet::{Mat, Resources};
use std::path::Path;

/// What tokens begin as.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEmbeddings {
    /// A row for each word of the vocabulary.
    pub words: Mat<f32>,
    /// A row for each position; texts begin at `first_position`.
    pub positions: Mat<f32>,
    /// The row of the first text's type, which all tokens have here; zeros where the family has no types.
    pub kind: Vec<f32>,
    /// Of the sum.
    pub norm: LayerNorm,
    /// See [`Config::first_position`].
    pub first_position: usize,
}

/// A pretrained encoder. Layers and their parts may be replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoder {
    /// What tokens begin as.
    pub embeddings: TokenEmbeddings,
    /// The layers, from the first on.
    pub layers: Vec<Layer>,
    /// The bias of attention that all layers share, if there is one.
    pub relative: Option<RelativeBias>,
}

impl Encoder {
    /// Loads `config.json` and the weights of `folder`. Pooler and heads for other tasks are left alone.
    ///
    /// # Errors
    /// What [`Config::read`] and [`Weights`] refuse.
    pub fn load(folder: &Path) -> Result<(Self, Config)> {
        let config = Config::read(folder)?;
        let encoder = Self::from_weights(&config, &Weights::open(folder)?)?;
        Ok((encoder, config))
    }

    /// An encoder of the sizes of `config` from `weights`.
    ///
    /// # Errors
    /// Tensors that are missing, of another shape, or not finite.
    pub fn from_weights(config: &Config, weights: &Weights) -> Result<Self> {
        let (d, load) = (config.hidden, Loader { config, weights });
        let embeddings = TokenEmbeddings {
            words: weights.matrix("embeddings.word_embeddings.weight", config.vocabulary, d)?,
            positions: weights.matrix("embeddings.position_embeddings.weight", config.positions, d)?,
            kind: match config.types {
                0 => vec![0.0; d],
                types => weights.matrix("embeddings.token_type_embeddings.weight", types, d)?.row(0).to_vec(),
            },
            norm: load.norm("embeddings.LayerNorm")?,
            first_position: config.first_position,
        };
        let relative = match config.buckets {
            0 => None,
            buckets => Some(RelativeBias { table: weights.matrix(names::RELATIVE_BIAS, buckets, config.heads)? }),
        };
        let layers = (0..config.layers()).map(|i| load.layer(i)).collect::<Result<_>>()?;
        Ok(Self { embeddings, layers, relative })
    }

    /// Length of a token's vector.
    pub fn hidden(&self) -> usize {
        self.embeddings.words.cols()
    }

    /// Most tokens of a text.
    pub fn longest(&self) -> usize {
        self.embeddings.positions.rows() - self.embeddings.first_position
    }

    /// The last hidden state of each token: a matrix of `batch.rows()` rows, of which the first `batch.tokens()` count.
    ///
    /// A text gives the same bits alone as among others, for any number of threads. Cost about 2 operations for each number in the
    /// layers and token, and 4 d for each pair of tokens of a text and layer.
    ///
    /// # Errors
    /// Tokens outside the vocabulary; texts that are too long.
    pub fn forward(&self, batch: &Batch, resources: &Resources) -> Result<Mat<f32>> {
        let mut x = self.embed(batch, resources)?;
        for layer in &self.layers {
            resources.check("the encoder")?;
            x = layer.forward(&x, batch, self.relative.as_ref(), resources)?;
        }
        self.check_finite(&x, batch)?;
        Ok(x)
    }

    /// What the first layer gets.
    pub(crate) fn embed(&self, batch: &Batch, resources: &Resources) -> Result<Mat<f32>> {
        let TokenEmbeddings { words, positions, kind, norm, first_position } = &self.embeddings;
        let d = self.hidden();
        let (mut x, mut y) = (Mat::zeros(batch.rows(), d), Mat::zeros(batch.rows(), d));
        for (text, span) in batch.spans().enumerate() {
            if span.len() > self.longest() {
                let (expected, found) = (format!("at most {} tokens", self.longest()), span.len().to_string());
                return Err(Error::invalid(format!("text {text}"), expected, found, "cut it"));
            }
            for (at, row) in span.enumerate() {
                let id = batch.ids()[row] as usize;
                if id >= words.rows() {
                    let expected = format!("tokens below {}", words.rows());
                    let hint = "tokenizer.json is of another model than the weights";
                    return Err(Error::invalid(format!("text {text}"), expected, id.to_string(), hint));
                }
                let parts = words.row(id).iter().zip(positions.row(first_position + at)).zip(kind);
                x.row_mut(row).iter_mut().zip(parts).for_each(|(x, ((w, p), k))| *x = w + k + p);
            }
        }
        norm.rows(x.as_mut_slice(), &mut vec![0.0; batch.rows()], y.as_mut_slice(), resources.isa);
        Ok(y)
    }

    pub(crate) fn check_finite(&self, x: &Mat<f32>, batch: &Batch) -> Result<()> {
        let rows = x.as_ref().block(0..batch.tokens(), 0..x.cols())?;
        rows.check_finite("the last hidden states (the model's numbers leave the range of f32)").map_err(Error::from)
    }

    /// The last hidden states, with what [`Self::gradients`] needs of the layers from `lowest` on.
    pub(crate) fn trace(&self, batch: &Batch, lowest: usize, resources: &Resources) -> Result<(Mat<f32>, Vec<Trace>)> {
        let (mut x, mut traces) = (self.embed(batch, resources)?, Vec::with_capacity(self.layers.len()));
        let bias = self.relative.as_ref();
        for (i, layer) in self.layers.iter().enumerate() {
            if i < lowest {
                x = layer.forward(&x, batch, bias, resources)?;
            } else {
                let (y, trace) = layer.trace(&x, batch, bias, resources)?;
                traces.push(trace);
                x = y;
            }
        }
        Ok((x, traces))
    }

    /// The gradients by the feed-forward nets of the layers that were traced, first to last, from that by the last hidden states.
    pub(crate) fn gradients(
        &self,
        traces: &[Trace],
        mut gradient: Mat<f32>,
        batch: &Batch,
        resources: &Resources,
    ) -> Result<Vec<FfnGradient>> {
        let lowest = self.layers.len() - traces.len();
        let mut gradients = Vec::with_capacity(traces.len());
        for (layer, trace) in self.layers[lowest..].iter().zip(traces).skip(1).rev() {
            gradients.push(layer.back(trace, &mut gradient, batch, self.relative.as_ref(), resources)?);
        }
        if let (Some(layer), Some(trace)) = (self.layers.get(lowest), traces.first()) {
            gradients.push(layer.back_to_ffn(trace, gradient, resources)?);
        }
        gradients.reverse();
        Ok(gradients)
    }
}

/// Parts of an encoder, by their names.
struct Loader<'a> {
    config: &'a Config,
    weights: &'a Weights,
}

impl Loader<'_> {
    fn layer(&self, i: usize) -> Result<Layer> {
        let (d, m, family) = (self.config.hidden, self.config.widths[i], self.config.family);
        let name = |part| names::name(family, i, part);
        let [q, k, v] = [Part::Query, Part::Key, Part::Value].map(|part| self.linear(&name(part), d, d));
        Ok(Layer {
            attention: Attention {
                qkv: stack([q?, k?, v?])?,
                out: self.linear(&name(Part::AttentionOut), d, d)?,
                heads: self.config.heads,
            },
            attention_norm: self.norm(&name(Part::AttentionNorm))?,
            ffn: Ffn::new(
                self.linear(&name(Part::Up), m, d)?,
                self.config.activation,
                self.linear(&name(Part::Down), d, m)?,
            )?,
            ffn_norm: self.norm(&name(Part::OutputNorm))?,
        })
    }

    fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        let weight = self.weights.matrix(&format!("{name}.weight"), outputs, inputs)?;
        Linear::new(weight, self.weights.vector(&format!("{name}.bias"), outputs)?)
    }

    /// Old files call gamma and beta so, others weight and bias.
    fn norm(&self, name: &str) -> Result<LayerNorm> {
        let d = self.config.hidden;
        let eps = self.config.eps;
        let (gamma, beta) = (format!("{name}.gamma"), format!("{name}.beta"));
        if self.weights.has(&gamma) {
            return LayerNorm::new(self.weights.vector(&gamma, d)?, self.weights.vector(&beta, d)?, eps);
        }
        let (gamma, beta) = (format!("{name}.weight"), format!("{name}.bias"));
        LayerNorm::new(self.weights.vector(&gamma, d)?, self.weights.vector(&beta, d)?, eps)
    }
}

/// Maps of one input, as one.
fn stack(maps: [Linear; 3]) -> Result<Linear> {
    let inputs = maps[0].inputs();
    let (mut weight, mut bias) = (Vec::new(), Vec::new());
    for map in maps {
        bias.extend(map.bias);
        weight.extend(map.weight.into_vec());
    }
    Linear::new(Mat::from_vec(bias.len(), inputs, weight)?, bias)
}
