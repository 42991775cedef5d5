//! Texts to vectors: tokenizer, encoder, pooling, length one.

use crate::batch::Inputs;
use crate::config::Config;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::pool::{Pooling, normalise};
use crate::tokenize::{Tokenizer, Tokens};
use dualnet::{Mat, Resources};
use std::path::Path;

/// Tokens that go through the encoder at a time: enough to fill all threads, few enough to stay in the cache.
pub const BATCH: usize = 4096;

/// A pretrained encoder with all that turns texts into vectors.
#[derive(Debug)]
pub struct Embedder {
    /// The encoder.
    pub encoder: Encoder,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The pooling.
    pub pooling: Pooling,
    /// Its configuration as it was loaded.
    pub config: Config,
}

/// What became of some texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// A row of length one for each text.
    pub values: Mat<f32>,
    /// Tokens of all texts.
    pub tokens: usize,
    /// How many texts were longer than the limit and have lost their ends.
    pub cut: usize,
}

impl Embedder {
    /// Loads a folder as `transformers` and sentence-transformers save them: `config.json`, `model.safetensors` (or shards with their
    /// index), `tokenizer.json`, and `1_Pooling/config.json` if there is one.
    ///
    /// # Errors
    /// What of it is missing, damaged, or of an architecture that is not known here.
    pub fn load(folder: &Path) -> Result<Self> {
        let (encoder, config) = Encoder::load(folder)?;
        if config.family.vision() {
            let hint = "an encoder of images takes --images";
            return Err(Error::model(folder, "the encoder", "one of texts", format!("{:?}", config.family), hint));
        }
        let tokenizer = Tokenizer::open(folder, config.longest())?;
        Ok(Self { encoder, tokenizer, pooling: Pooling::of_folder(folder)?, config })
    }

    /// Embeds texts. A text gives the same bits alone as among others.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`] and [`Encoder::forward`]; interruption.
    pub fn embed<S: AsRef<str> + Sync>(&self, texts: &[S], resources: &Resources) -> Result<Embedded> {
        let Tokens { texts, cut } = self.tokenizer.encode(texts, resources)?;
        let inputs = Inputs::Texts(texts);
        let values = embed(&self.encoder, self.pooling, &inputs, resources)?;
        Ok(Embedded { values, tokens: inputs.tokens(), cut })
    }
}

/// A vector of length one for each text or image. It has the same bits alone as among others.
///
/// # Errors
/// As [`Encoder::forward`]; a pooling that needs a pooler, where there is none; interruption.
pub fn embed(encoder: &Encoder, pooling: Pooling, inputs: &Inputs, resources: &Resources) -> Result<Mat<f32>> {
    let total = inputs.tokens() as u64;
    let mut values = Vec::with_capacity(inputs.len() * encoder.hidden());
    let mut done = 0;
    for group in inputs.groups(BATCH) {
        let batch = inputs.batch(group)?;
        let mut rows = encoder.pooled(&encoder.forward(&batch, resources)?, &batch, pooling, resources)?;
        normalise(&mut rows);
        values.extend(rows.into_vec());
        done += batch.tokens() as u64;
        resources.progress.update("tokens", done, total);
    }
    Ok(Mat::from_vec(inputs.len(), encoder.hidden(), values)?)
}
