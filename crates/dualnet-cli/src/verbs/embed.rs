//! `dualnet embed`: texts or images to vectors by a pretrained encoder.

use crate::error::{Error, Result};
use crate::options::{Common, Output, check_output};
use crate::{output, texts};
use clap::{Args, ValueEnum};
use dualnet::{Mat, Resources};
use dualnet_io::{Elements, npy};
use dualnet_nn::{Embedder, Inputs, Pooling, VisionEmbedder};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Embed texts or images with a pretrained encoder
///
/// MODEL_DIR is a folder as transformers and sentence-transformers save it: config.json, model.safetensors (or shards with their index),
/// tokenizer.json for texts. Families: BERT (MiniLM), RoBERTa, MPNet, DistilBERT; ViT, DeiT, DINOv2. Row i of the result, of length one, is line i
/// of the file, or image i in the order of names.
///
/// Images are resized, cut and scaled as preprocessor_config.json says. Without it: resized to the encoder's size (DINOv2: 224 at most), bilinear
/// with means and deviations of 0.5 for ViT, bicubic with those of ImageNet for DeiT and DINOv2.
///
/// Cost: about 2 operations for each parameter of the layers and token.
#[derive(Args)]
pub struct Embed {
    /// The folder of the encoder
    #[arg(value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Texts, one a line (UTF-8)
    #[arg(long, value_name = "FILE", required_unless_present = "images", conflicts_with = "images")]
    texts: Option<PathBuf>,
    /// A folder of PNG or JPEG images of any sizes
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Pooling; default: what the folder says (1_Pooling/config.json), else the mean; for images the first token
    #[arg(long)]
    pooling: Option<PoolingOption>,
    /// Most tokens of a text, those that begin and end it included; default: what the folder says. Longer texts lose their ends
    #[arg(long, value_name = "N", conflicts_with = "images")]
    max_tokens: Option<usize>,
    /// Where to write the embeddings (.npy, f32)
    #[arg(short, long, value_name = "FILE.npy")]
    output: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// How one vector comes from those of the tokens.
#[derive(Clone, Copy, ValueEnum)]
pub enum PoolingOption {
    /// The mean over all tokens
    Mean,
    /// The first token
    Cls,
    /// The encoder's pooler, of the first token: tanh(W h + b), or what compress --pooler made of it
    Pooler,
}

impl From<PoolingOption> for Pooling {
    fn from(option: PoolingOption) -> Self {
        match option {
            PoolingOption::Mean => Self::Mean,
            PoolingOption::Cls => Self::Cls,
            PoolingOption::Pooler => Self::Pooler,
        }
    }
}

impl Embed {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        check_output(&self.output, Output::File)?;
        let resources = self.common.resources()?;
        let pooling = self.pooling.map(Pooling::from);
        match (&self.texts, &self.images) {
            (_, Some(folder)) => self.images(folder, pooling, &resources),
            (Some(file), None) => self.texts(file, pooling, &resources),
            (None, None) => Err(Error::argument("--texts", "a file of texts, or --images", "neither", "give one")),
        }
    }

    fn texts(&self, file: &Path, pooling: Option<Pooling>, resources: &Resources) -> Result<()> {
        let lines = texts::read(file, resources.memory.unwrap_or(u64::MAX))?;
        let mut embedder = load(&self.model, self.max_tokens)?;
        embedder.pooling = pooling.unwrap_or(embedder.pooling);
        let start = Instant::now();
        let embedded = embedder.embed(&lines, resources)?;
        let seconds = start.elapsed().as_secs_f64();
        if let Some(cut) = texts::cut_sentence(embedded.cut, embedder.tokenizer.limit()) {
            self.common.say(&cut);
        }
        let more = json!({"texts": lines.len(), "cut": embedded.cut, "max_tokens": embedder.tokenizer.limit()});
        let what = output::count(lines.len(), "text");
        self.finish(&embedded.values, (embedded.tokens, seconds), (&what, more), resources)
    }

    fn images(&self, folder: &Path, pooling: Option<Pooling>, resources: &Resources) -> Result<()> {
        let embedder = VisionEmbedder::load(&self.model)?;
        let inputs = pictures(&embedder, folder, resources)?;
        let start = Instant::now();
        let values = dualnet_nn::embed(&embedder.encoder, pooling.unwrap_or(embedder.pooling), &inputs, resources)?;
        let seconds = start.elapsed().as_secs_f64();
        let more = json!({"images": inputs.len(), "size": embedder.processor.size});
        let what = output::count(inputs.len(), "image");
        self.finish(&values, (inputs.tokens(), seconds), (&what, more), resources)
    }

    fn finish(
        &self,
        values: &Mat<f32>,
        (tokens, seconds): (usize, f64),
        (what, mut more): (&str, Value),
        resources: &Resources,
    ) -> Result<()> {
        npy::write(&self.output, &[values.rows(), values.cols()], Elements::F32(values.as_slice()))?;
        let rate = tokens as f64 / seconds.max(1e-9);
        if self.common.json {
            more["dimension"] = json!(values.cols());
            more["tokens"] = json!(tokens);
            more["threads"] = json!(resources.threads());
            more["seconds"] = json!(seconds);
            more["tokens_per_second"] = json!(rate);
            return output::print_json(&more);
        }
        let (tokens, each) = (output::count(tokens, "token"), output::count(rate as usize, "token"));
        self.common.say(&format!("{what}, {tokens}; {} ({each} a second)", output::duration(seconds)));
        Ok(())
    }
}

/// The images of a folder as the encoder wants them.
pub fn pictures(embedder: &VisionEmbedder, folder: &Path, resources: &Resources) -> Result<Inputs> {
    let limit = resources.memory.unwrap_or(u64::MAX);
    let mut pictures = embedder.processor.pictures();
    for image in dualnet_io::images::read(folder, limit)? {
        let image = image?;
        embedder.processor.add(&mut pictures, &image.rgb, image.height, image.width)?;
    }
    Ok(embedder.inputs(pictures))
}

/// The encoder of a folder, its texts cut to `max_tokens`.
pub fn load(folder: &Path, max_tokens: Option<usize>) -> Result<Embedder> {
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
