//! The whole encoder: tokens to a vector for each.

use crate::activation::Activation;
use crate::attention::Attention;
use crate::batch::{Batch, Content};
use crate::config::{Config, Family, ImageConfig, POOLER};
use crate::error::{Error, Result};
use crate::ffn::Ffn;
use crate::layer::{Layer, LayerGradient, NormOrder, Normed, Trace, normalised};
use crate::linear::Linear;
use crate::names::{self, Part};
use crate::norm::LayerNorm;
use crate::patches::PatchEmbeddings;
use crate::pooler::Pooler;
use crate::relative::RelativeBias;
use crate::weights::Weights;
use dualnet::{Mat, Resources};
use std::path::Path;

/// What an encoder begins with.
#[derive(Debug, Clone, PartialEq)]
pub enum Embeddings {
    /// Of texts.
    Tokens(TokenEmbeddings),
    /// Of images.
    Patches(PatchEmbeddings),
}

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
    pub embeddings: Embeddings,
    /// The layers, from the first on.
    pub layers: Vec<Layer>,
    /// The norm of what they give, if there is one.
    pub final_norm: Option<LayerNorm>,
    /// The bias of attention that all layers share, if there is one.
    pub relative: Option<RelativeBias>,
    /// What [`crate::Pooling::Pooler`] takes, if there is one.
    pub pooler: Option<Pooler>,
}

impl Encoder {
    /// Loads `config.json` and the weights of `folder`. Heads for other tasks are left alone.
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
        let load = Loader { config, weights };
        let embeddings = match &config.image {
            None => Embeddings::Tokens(load.tokens()?),
            Some(image) => Embeddings::Patches(load.patches(image)?),
        };
        let final_norm = if config.image.is_some() { Some(load.norm("layernorm")?) } else { None };
        let relative = match config.buckets {
            0 => None,
            buckets => Some(RelativeBias { table: weights.matrix(names::RELATIVE_BIAS, buckets, config.heads)? }),
        };
        let layers = (0..config.layers()).map(|i| load.layer(i)).collect::<Result<_>>()?;
        Ok(Self { embeddings, layers, final_norm, relative, pooler: load.pooler()? })
    }

    /// Length of a token's vector.
    pub fn hidden(&self) -> usize {
        match &self.embeddings {
            Embeddings::Tokens(tokens) => tokens.words.cols(),
            Embeddings::Patches(patches) => patches.positions.cols(),
        }
    }

    /// Most tokens of a text; of an image, those that the table of positions was made for.
    pub fn longest(&self) -> usize {
        match &self.embeddings {
            Embeddings::Tokens(tokens) => tokens.positions.rows() - tokens.first_position,
            Embeddings::Patches(patches) => patches.positions.rows(),
        }
    }

    /// The last hidden state of each token: a matrix of `batch.rows()` rows, of which the first `batch.tokens()` count.
    ///
    /// A text gives the same bits alone as among others, for any number of threads. Cost about 2 operations for each number in the
    /// layers and token, and 4 d for each pair of tokens of a text and layer.
    ///
    /// # Errors
    /// Tokens outside the vocabulary; texts that are too long; images for an encoder of texts, or texts for one of images.
    pub fn forward(&self, batch: &Batch, resources: &Resources) -> Result<Mat<f32>> {
        let mut x = self.embed(batch, resources)?;
        for layer in &self.layers {
            resources.check("the encoder")?;
            x = layer.forward(&x, batch, self.relative.as_ref(), resources)?;
        }
        let x = self.finish(x, resources);
        self.check_finite(&x, batch)?;
        Ok(x)
    }

    /// The last hidden states from what the last layer gives.
    fn finish(&self, x: Mat<f32>, resources: &Resources) -> Mat<f32> {
        match &self.final_norm {
            None => x,
            Some(norm) => normalised(norm, x, resources).result().0,
        }
    }

    /// What the first layer gets.
    pub(crate) fn embed(&self, batch: &Batch, resources: &Resources) -> Result<Mat<f32>> {
        let (expected, found) = match (&self.embeddings, &batch.content) {
            (Embeddings::Tokens(tokens), Content::Ids(ids)) => return self.embed_tokens(tokens, ids, batch, resources),
            (Embeddings::Patches(embeddings), Content::Patches(patches)) => {
                return embeddings.embed(patches, batch, resources);
            }
            (Embeddings::Tokens(_), _) => ("texts", "images"),
            (Embeddings::Patches(_), _) => ("images", "texts"),
        };
        Err(Error::invalid("inputs of the encoder", expected, found, "choose another encoder"))
    }

    fn embed_tokens(
        &self,
        embeddings: &TokenEmbeddings,
        ids: &[u32],
        batch: &Batch,
        resources: &Resources,
    ) -> Result<Mat<f32>> {
        let TokenEmbeddings { words, positions, kind, norm, first_position } = embeddings;
        let d = self.hidden();
        let (mut x, mut y) = (Mat::zeros(batch.rows(), d), Mat::zeros(batch.rows(), d));
        for (text, span) in batch.spans().enumerate() {
            if span.len() > self.longest() {
                let (expected, found) = (format!("at most {} tokens", self.longest()), span.len().to_string());
                return Err(Error::invalid(format!("text {text}"), expected, found, "cut it"));
            }
            for (at, row) in span.enumerate() {
                let id = ids[row] as usize;
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
    pub(crate) fn trace(&self, batch: &Batch, lowest: usize, resources: &Resources) -> Result<(Mat<f32>, Traces)> {
        let (mut x, mut layers) = (self.embed(batch, resources)?, Vec::with_capacity(self.layers.len()));
        let bias = self.relative.as_ref();
        for (i, layer) in self.layers.iter().enumerate() {
            if i < lowest {
                x = layer.forward(&x, batch, bias, resources)?;
            } else {
                let (y, trace) = layer.trace(x, batch, bias, resources)?;
                layers.push(trace);
                x = y;
            }
        }
        let Some(norm) = &self.final_norm else { return Ok((x, Traces { layers, end: None })) };
        let (x, end) = normalised(norm, x, resources).result();
        Ok((x, Traces { layers, end: Some(end) }))
    }

    /// The gradients by the parameters (of feed-forward nets alone, or of `whole` layers) of the layers that were traced, first to last, from
    /// that by the last hidden states.
    pub(crate) fn gradients(
        &self,
        traces: &Traces,
        mut gradient: Mat<f32>,
        batch: &Batch,
        whole: bool,
        resources: &Resources,
    ) -> Result<Vec<LayerGradient>> {
        if let (Some(norm), Some(end)) = (&self.final_norm, &traces.end) {
            end.back(norm, &mut gradient, resources);
        }
        let traces = &traces.layers;
        let lowest = self.layers.len() - traces.len();
        let mut gradients = Vec::with_capacity(traces.len());
        for (i, (layer, trace)) in self.layers[lowest..].iter().zip(traces).enumerate().rev() {
            gradients.push(match (i, whole) {
                (0, false) => layer.back_to_ffn(trace, std::mem::take(&mut gradient), resources)?,
                _ => layer.back(trace, &mut gradient, batch, self.relative.as_ref(), whole, resources)?,
            });
        }
        gradients.reverse();
        Ok(gradients)
    }
}

/// What [`Encoder::gradients`] needs.
#[derive(Debug)]
pub(crate) struct Traces {
    layers: Vec<Trace>,
    /// At the norm of what the layers give.
    end: Option<Normed>,
}

/// Parts of an encoder, by their names.
struct Loader<'a> {
    config: &'a Config,
    weights: &'a Weights,
}

impl Loader<'_> {
    fn tokens(&self) -> Result<TokenEmbeddings> {
        let (config, d) = (self.config, self.config.hidden);
        Ok(TokenEmbeddings {
            words: self.weights.matrix("embeddings.word_embeddings.weight", config.vocabulary, d)?,
            positions: self.weights.matrix("embeddings.position_embeddings.weight", config.positions, d)?,
            kind: match config.types {
                0 => vec![0.0; d],
                types => self.weights.matrix("embeddings.token_type_embeddings.weight", types, d)?.row(0).to_vec(),
            },
            norm: self.norm("embeddings.LayerNorm")?,
            first_position: config.first_position,
        })
    }

    fn patches(&self, image: &ImageConfig) -> Result<PatchEmbeddings> {
        let (config, d, side) = (self.config, self.config.hidden, image.patch);
        let own: &[&str] = match image.prefix {
            2 => &["embeddings.cls_token", "embeddings.distillation_token"],
            _ => &["embeddings.cls_token"],
        };
        let mut prefix = Vec::with_capacity(own.len() * d);
        for name in own {
            prefix.extend(self.weights.values(name, &[1, 1, d])?);
        }
        let name = "embeddings.patch_embeddings.projection";
        let weight = self.weights.values(&format!("{name}.weight"), &[d, 3, side, side])?;
        let positions = self.weights.values("embeddings.position_embeddings", &[1, config.positions, d])?;
        Ok(PatchEmbeddings {
            projection: Linear::new(
                Mat::from_vec(d, 3 * side * side, weight)?,
                self.weights.vector(&format!("{name}.bias"), d)?,
            )?,
            prefix: Mat::from_vec(own.len(), d, prefix)?,
            positions: Mat::from_vec(config.positions, d, positions)?,
            patch: side,
        })
    }

    /// The pooler, if its tensors are there.
    fn pooler(&self) -> Result<Option<Pooler>> {
        let d = self.config.hidden;
        let has = |name: &str| self.weights.has(&format!("{name}.weight"));
        match (self.config.pooler_features, has(names::POOLER_FEATURES)) {
            (Some(m), _) => {
                let (up, down) = (self.linear(names::POOLER_FEATURES, m, d)?, self.linear(names::POOLER_DENSE, d, m)?);
                Ok(Some(Pooler::Snnk(Ffn::new(up, Activation::Relu, down)?)))
            }
            (None, true) => {
                let hint = "restore config.json of the folder that the weights are from";
                Err(Error::invalid(
                    format!("key {POOLER} of config.json"),
                    "the number of the pooler's features",
                    "none",
                    hint,
                ))
            }
            (None, false) if has(names::POOLER_DENSE) => {
                Ok(Some(Pooler::Tanh(self.linear(names::POOLER_DENSE, d, d)?)))
            }
            (None, false) => Ok(None),
        }
    }

    /// A map whose result is multiplied by the factors called `scale`.
    fn scaled(&self, name: &str, (outputs, inputs): (usize, usize), rank: usize, scale: &str) -> Result<Linear> {
        let mut map = self.product(name, outputs, inputs, rank)?;
        if self.config.family == Family::DinoV2 {
            for (row, factor) in self.weights.vector(scale, outputs)?.into_iter().enumerate() {
                map.weight.row_mut(row).iter_mut().for_each(|w| *w *= factor);
                map.bias[row] *= factor;
            }
        }
        Ok(map)
    }

    fn layer(&self, i: usize) -> Result<Layer> {
        let (d, m, family) = (self.config.hidden, self.config.widths[i], self.config.family);
        let rank = self.config.ranks[i];
        let name = |part| names::name(family, i, part);
        let [attention_scale, ffn_scale] = names::scales(i);
        let [q, k, v] = [Part::Query, Part::Key, Part::Value].map(|part| self.linear(&name(part), d, d));
        Ok(Layer {
            order: if family.vision() { NormOrder::Before } else { NormOrder::After },
            attention: Attention {
                qkv: stack([q?, k?, v?])?,
                out: self.scaled(&name(Part::AttentionOut), (d, d), 0, &attention_scale)?,
                heads: self.config.heads,
            },
            attention_norm: self.norm(&name(Part::AttentionNorm))?,
            attention_adapter: None,
            ffn: Ffn::new(
                self.product(&name(Part::Up), m, d, rank)?,
                self.config.activation,
                self.scaled(&name(Part::Down), (d, m), rank, &ffn_scale)?,
            )?,
            ffn_norm: self.norm(&name(Part::OutputNorm))?,
            ffn_adapter: None,
        })
    }

    /// A map whose matrix is a product where `rank` is not 0.
    fn product(&self, name: &str, outputs: usize, inputs: usize, rank: usize) -> Result<Linear> {
        if rank == 0 {
            return self.linear(name, outputs, inputs);
        }
        let outer = self.weights.matrix(&format!("{name}.weight"), outputs, rank)?;
        let inner = self.weights.matrix(&names::inner(name), rank, inputs)?;
        Linear::product(outer, inner, self.weights.vector(&format!("{name}.bias"), outputs)?)
    }

    fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        let weight = self.weights.matrix(&format!("{name}.weight"), outputs, inputs)?;
        Linear::new(weight, self.weights.vector(&format!("{name}.bias"), outputs)?)
    }

    fn norm(&self, name: &str) -> Result<LayerNorm> {
        let d = self.config.hidden;
        let [gamma, beta] = self.weights.norm_names(name);
        LayerNorm::new(self.weights.vector(&gamma, d)?, self.weights.vector(&beta, d)?, self.config.eps)
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
