//! `dualnet compress`: a smaller encoder from unlabeled texts or images.

use crate::error::{Error, Result};
use crate::options::{Common, Output, check_output};
use crate::verbs::embed;
use crate::{output, texts};
use clap::{Args, ValueEnum};
use dualnet::Resources;
use dualnet_nn::compress::{
    self, Compressed, Layers, Method, Options, POOLER_INPUTS, Quality, Report, Size, Steps, Teacher,
};
use dualnet_nn::{Encoder, Inputs, Pooling, VisionEmbedder};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// Make a pretrained encoder smaller from unlabeled texts or images
///
/// The feed-forward nets of the layers become narrower. The result is a folder of the same format, with a smaller intermediate_size, which
/// transformers loads as well; the original is not touched. Texts of many kinds serve best, those to be embedded later among them; long ones
/// are cut into several. One in twenty (500 at most) is kept apart to measure the result.
///
/// Methods: neurons: those of the original whose refit loses least, their output weights solved for. prune: the strongest neurons,
/// without a refit. svd: matrices of low rank, of the same bytes (a format of our own). relu: random features in place of neurons, solved likewise. drop-layers: whole layers are left out; --ratio says how many stay.
///
/// Cost, on two cores and a MiniLM (6 layers, 384): one minute without steps, three to four with both.
#[derive(Args)]
pub struct Compress {
    /// The folder of the encoder (BERT, MiniLM, RoBERTa, MPNet, DistilBERT; ViT, DeiT, DINOv2)
    #[arg(value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Unlabeled texts, one a line (UTF-8); empty lines are left out
    #[arg(long, value_name = "FILE", required_unless_present = "images", conflicts_with = "images")]
    texts: Option<PathBuf>,
    /// A folder of PNG or JPEG images, for an encoder of images
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The share of the hidden width that stays (drop-layers: of the layers)
    #[arg(long, value_name = "R", required_unless_present_any = ["hidden", "max_error", "pooler"], conflicts_with = "hidden")]
    ratio: Option<f64>,
    /// The hidden width that stays
    #[arg(long, value_name = "M")]
    hidden: Option<usize>,
    /// For each net the smallest width (a multiple of 16) that leaves at most this share of the variance of its output, before steps of Adam. Widths
    /// may differ then, and config.json gets a key that transformers does not know. Method neurons alone
    #[arg(long, value_name = "E", conflicts_with_all = ["hidden", "ratio"])]
    max_error: Option<f64>,
    /// Layers to change, counted from 0; default: all. With some only, config.json gets a key that transformers does not know
    #[arg(long, value_name = "L,...", value_delimiter = ',')]
    layers: Option<Vec<usize>>,
    /// Change so many layers: those whose replacement alone, measured one by one, lowers the cosine of embeddings least
    #[arg(long, value_name = "K", conflicts_with = "layers")]
    best_layers: Option<usize>,
    /// Replace the pooler by so many random features and a map from them, solved for when all else is done, on 16 M inputs at most (a format of our
    /// own). Without --ratio, --hidden and --max-error the pooler alone is replaced: no net changes, no steps are taken, and --steps,
    /// --tokens and --learn say nothing
    #[arg(long, value_name = "M")]
    pooler: Option<usize>,
    /// How
    #[arg(long, default_value = "neurons")]
    method: MethodOption,
    /// Steps by gradients after the fit: on each layer by itself, on all together; or none
    #[arg(long, value_name = "local,distill|none", value_delimiter = ',', default_value = "local,distill")]
    steps: Vec<StepOption>,
    /// Most tokens that layers are fitted on; default: 20480, or 98304 where no distillation follows
    #[arg(long, value_name = "N")]
    tokens: Option<usize>,
    /// What distillation changes
    #[arg(long, value_name = "WHAT", default_value = "nets")]
    learn: LearnOption,
    /// Steps of distillation, each of about 1,024 tokens
    #[arg(long, value_name = "N", default_value_t = Steps::DISTILL)]
    distill_steps: usize,
    /// Most tokens of a text; default: what the folder says. Longer texts are cut into several
    #[arg(long, value_name = "N", conflicts_with = "images")]
    max_tokens: Option<usize>,
    /// Print the plan (sizes, tokens, expected time) and stop
    #[arg(long)]
    dry_run: bool,
    /// The new folder
    #[arg(short, long, value_name = "OUT", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum MethodOption {
    Neurons,
    Prune,
    Svd,
    Relu,
    DropLayers,
}

#[derive(Clone, Copy, ValueEnum, PartialEq)]
enum LearnOption {
    /// The feed-forward nets
    Nets,
    /// Attention and norms of the changed layers too: a little better at the same number of steps, each of which takes a quarter longer
    Layers,
}

#[derive(Clone, Copy, ValueEnum, PartialEq)]
enum StepOption {
    Local,
    Distill,
    None,
}

impl Compress {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        if let Some(path) = &self.output {
            if path.exists() {
                let found = path.display().to_string();
                return Err(Error::argument("-o", "a name that is free", &found, "choose another name or remove it"));
            }
            check_output(path, Output::Model)?;
        }
        let options = self.options()?;
        let resources = self.common.resources()?;
        let (encoder, pooling, inputs) = self.load(&resources)?;
        let original = Teacher { encoder: &encoder, pooling };
        match &self.output {
            Some(path) if !self.dry_run => {
                let compressed = compress::compress(&original, &inputs, &options, &resources)?;
                compress::save(&self.model, path, &compressed, options.method)?;
                self.finish(&compressed, &resources)
            }
            _ => self.plan(&encoder, &inputs, &options, &resources),
        }
    }

    /// The encoder, and what it is given.
    fn load(&self, resources: &Resources) -> Result<(Encoder, Pooling, Inputs)> {
        if let Some(folder) = &self.images {
            let embedder = VisionEmbedder::load(&self.model)?;
            let inputs = embed::pictures(&embedder, folder, resources)?;
            return Ok((embedder.encoder, embedder.pooling, inputs));
        }
        let Some(file) = &self.texts else {
            return Err(Error::argument("--texts", "a file of texts, or --images", "neither", "give one"));
        };
        let mut lines = texts::read(file, resources.memory.unwrap_or(u64::MAX))?;
        lines.retain(|line| !line.trim().is_empty());
        let embedder = embed::load(&self.model, self.max_tokens)?;
        let tokens = embedder.tokenizer.encode_whole(&lines, resources)?;
        if tokens.cut > 0 {
            let (texts, limit) = (output::count(tokens.cut, "text"), embedder.tokenizer.limit());
            self.common.say(&format!("{texts} of more than {limit} tokens cut into several"));
        }
        Ok((embedder.encoder, embedder.pooling, Inputs::Texts(tokens.texts)))
    }

    fn options(&self) -> Result<Options> {
        if self.steps.contains(&StepOption::None) && self.steps.len() > 1 {
            return Err(Error::argument("--steps", "none alone", "none with others", "leave none out"));
        }
        let pooler_alone = self.ratio.is_none() && self.hidden.is_none() && self.max_error.is_none();
        if pooler_alone && (self.layers.is_some() || self.best_layers.is_some()) {
            let hint = "say how narrow those layers become, or leave them out to replace the pooler alone";
            return Err(Error::argument("--ratio", "it, --hidden or --max-error beside layers", "none", hint));
        }
        let asked = |step, count| if self.steps.contains(&step) && !pooler_alone { count } else { 0 };
        let method: Method = self.method.into();
        // Layers that stay as they are have nothing to learn by themselves.
        let local = if method == Method::DropLayers { 0 } else { asked(StepOption::Local, Steps::LOCAL) };
        let steps = Steps { local, distill: asked(StepOption::Distill, self.distill_steps) };
        Ok(Options {
            method,
            size: match (self.hidden, self.max_error) {
                (Some(width), _) => Size::Hidden(width),
                (_, Some(error)) => Size::Error(error),
                _ => Size::Ratio(self.ratio.unwrap_or(1.0)),
            },
            layers: match (&self.layers, self.best_layers) {
                (Some(layers), _) => Layers::Named(layers.clone()),
                (_, Some(count)) => Layers::LeastDamage(count),
                _ if pooler_alone => Layers::None,
                _ => Layers::All,
            },
            steps,
            whole: self.learn == LearnOption::Layers,
            tokens: self.tokens.unwrap_or(steps.tokens()),
            pooler: self.pooler,
        })
    }

    /// The sizes, and the time expected from that of a forward pass over some of the texts.
    fn plan(&self, encoder: &Encoder, inputs: &Inputs, options: &Options, resources: &Resources) -> Result<()> {
        let batch = inputs.batch(0..inputs.len().min(32))?;
        let start = Instant::now();
        encoder.forward(&batch, resources)?;
        let each = start.elapsed().as_secs_f64() / batch.tokens().max(1) as f64;
        let fitted = if options.layers == Layers::None { 0 } else { options.tokens.min(inputs.tokens()) };
        // Both encoders, on so many inputs of the mean length.
        let rows = inputs.len().min(POOLER_INPUTS.saturating_mul(options.pooler.unwrap_or(0)));
        let pooled = 2 * inputs.tokens() / inputs.len().max(1) * rows;
        // The original's share of distillation is done once for several steps.
        let stepped = 1024 * (options.steps.local / 2 + 5 * options.steps.distill / 2);
        let passes = pooled + 6 * fitted + stepped;
        let seconds = each * passes as f64;
        let bytes = 4 * 4 * fitted * encoder.hidden();
        if self.common.json {
            return output::print_json(&json!({
                "texts": inputs.len(), "tokens": inputs.tokens(), "tokens_fit": fitted,
                "steps_local": options.steps.local, "steps_distill": options.steps.distill,
                "pooler": options.pooler, "bytes": bytes, "seconds_expected": seconds,
            }));
        }
        let (texts, all) = (output::count(inputs.len(), "input"), output::count(inputs.tokens(), "token"));
        let (fit, time) = (output::count(fitted, "token"), output::duration(seconds));
        let memory = output::bytes(bytes as u64);
        let (local, distill) = (options.steps.local, options.steps.distill);
        let features = |m| format!(", a pooler of {}", output::count(m, "feature"));
        let pooler = options.pooler.map(features).unwrap_or_default();
        output::print(&format!(
            "{texts}, {all}; fit on {fit}, {local} steps on each layer, {distill} on all{pooler}; {memory} of states; about {time}"
        ))
    }

    fn finish(&self, compressed: &Compressed, resources: &Resources) -> Result<()> {
        let report = &compressed.report;
        if self.common.json {
            let mut json = serde_json::to_value(report).unwrap_or(Value::Null);
            json["threads"] = json!(resources.threads());
            json["kept_layers"] = json!(compressed.kept);
            return output::print_json(&json);
        }
        if !report.damage.is_empty() {
            let each: Vec<String> = report.damage.iter().map(|d| output::number(*d)).collect();
            self.common.say(&format!("1 - cosine, each layer alone: {}", each.join(" ")));
        }
        if !report.layers.is_empty() {
            self.common.say(output::table(&rows(report)).trim_end());
        }
        let quality = |name: &str, q: &Quality, seconds: f64| {
            let (cosine, error) = (output::number(q.cosine), output::number(q.hidden_error));
            format!(
                "{name}: cosine to the original {cosine}, error of hidden states {error}; {}",
                output::duration(seconds)
            )
        };
        let apart = output::count(report.texts_apart, "input");
        self.common.say(&format!("on {apart} kept apart"));
        self.common.say(&quality("  fit", &report.fit, report.seconds_fit));
        if let Some(distilled) = &report.distilled {
            self.common.say(&quality("  distilled", distilled, report.seconds_distill));
            if report.undone {
                self.common
                    .say("  distillation made it worse and was undone; try more kinds of texts, or --steps local");
            }
        }
        if let Some(pooler) = &report.pooler {
            let features = output::count(pooler.features, "feature");
            let (left, fitted) = (output::number(pooler.variance_left), output::count(pooler.inputs, "input"));
            let ([before, after], time) = (pooler.parameters, output::duration(pooler.seconds));
            self.common.say(&format!(
                "  pooler: {features} fitted on {fitted}, {before} -> {after} parameters; {left} of the variance left; {time}"
            ));
        }
        let [before, after] = report.parameters.map(|n| output::bytes(4 * n as u64));
        self.common.say(&format!("layers: {before} before, {after} after"));
        Ok(())
    }
}

/// A line for each net that was replaced.
fn rows(report: &Report) -> Vec<Vec<String>> {
    let head = ["layer", "hidden", "parameters", "flops a token", "error fit", "after steps"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for layer in &report.layers {
        let pair = |[a, b]: [usize; 2]| format!("{a} -> {b}");
        rows.push(vec![
            layer.layer.to_string(),
            pair(layer.hidden),
            pair(layer.parameters),
            pair(layer.flops),
            output::number(layer.error_fit),
            layer.error_local.map_or_else(|| "-".into(), output::number),
        ]);
    }
    rows
}

impl From<MethodOption> for Method {
    fn from(option: MethodOption) -> Self {
        match option {
            MethodOption::Neurons => Method::Neurons,
            MethodOption::Prune => Method::Prune,
            MethodOption::Svd => Method::Svd,
            MethodOption::Relu => Method::Relu,
            MethodOption::DropLayers => Method::DropLayers,
        }
    }
}
