//! `dualnet embed`: texts to vectors by a pretrained encoder.

use crate::error::{Error, Result};
use crate::options::{Common, Output, check_output};
use crate::{output, texts};
use clap::{Args, ValueEnum};
use dualnet_io::{Elements, npy};
use dualnet_nn::{Embedder, Pooling};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Embed texts with a pretrained encoder
///
/// MODEL_DIR is a folder as transformers and sentence-transformers save it: config.json, model.safetensors (or shards with their index),
/// tokenizer.json. Families: BERT (MiniLM), RoBERTa, MPNet, DistilBERT. Row i of the result, of length one, is line i of the file.
///
/// Cost: about 2 operations for each parameter of the layers and token.
#[derive(Args)]
pub struct Embed {
    /// The folder of the encoder
    #[arg(value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Texts, one a line (UTF-8)
    #[arg(long, value_name = "FILE")]
    texts: PathBuf,
    /// Pooling; default: what the folder says (1_Pooling/config.json), else the mean
    #[arg(long)]
    pooling: Option<PoolingOption>,
    /// Most tokens of a text, those that begin and end it included; default: what the folder says. Longer texts lose their ends
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Where to write the embeddings (.npy, f32)
    #[arg(short, long, value_name = "FILE.npy")]
    output: PathBuf,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum PoolingOption {
    /// The mean over all tokens
    Mean,
    /// The first token
    Cls,
}

impl Embed {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        check_output(&self.output, Output::File)?;
        let resources = self.common.resources()?;
        let lines = texts::read(&self.texts, resources.memory.unwrap_or(u64::MAX))?;
        let mut embedder = load(&self.model, self.max_tokens)?;
        if let Some(pooling) = self.pooling {
            embedder.pooling = match pooling {
                PoolingOption::Mean => Pooling::Mean,
                PoolingOption::Cls => Pooling::Cls,
            };
        }
        let start = Instant::now();
        let embedded = embedder.embed(&lines, &resources)?;
        let seconds = start.elapsed().as_secs_f64();
        let values = &embedded.values;
        npy::write(&self.output, &[values.rows(), values.cols()], Elements::F32(values.as_slice()))?;
        if let Some(cut) = texts::cut_sentence(embedded.cut, embedder.tokenizer.limit()) {
            self.common.say(&cut);
        }
        let rate = embedded.tokens as f64 / seconds.max(1e-9);
        if self.common.json {
            return output::print_json(&json!({
                "texts": values.rows(), "dimension": values.cols(), "tokens": embedded.tokens, "cut": embedded.cut,
                "max_tokens": embedder.tokenizer.limit(), "threads": resources.threads(),
                "seconds": seconds, "tokens_per_second": rate,
            }));
        }
        let (texts, tokens) = (output::count(values.rows(), "text"), output::count(embedded.tokens, "token"));
        let each = output::count(rate as usize, "token");
        self.common.say(&format!("{texts}, {tokens}; {} ({each} a second)", output::duration(seconds)));
        Ok(())
    }
}

/// The encoder of a folder, its texts cut to `max_tokens`.
pub fn load(folder: &std::path::Path, max_tokens: Option<usize>) -> Result<Embedder> {
    let mut embedder = Embedder::load(folder)?;
    if let Some(limit) = max_tokens {
        let longest = embedder.encoder.longest();
        if limit > longest {
            let hint = "the model knows no later positions";
            return Err(Error::argument("--max-tokens", &format!("at most {longest}"), &limit.to_string(), hint));
        }
        embedder.tokenizer.set_limit(limit)?;
    }
    Ok(embedder)
}
