//! Narrower feed-forward nets and another pooler for a pretrained encoder, from unlabeled texts.
//!
//! A feed-forward net W2 phi(W1 x + b1) + b2 is a sum of features phi(g x + h). Layer by layer, some features are kept (or drawn), and the
//! map from them to the output is solved for by ridge regression against what the original computes there, corrected for the drift of
//! the layers already replaced. Then, if asked for, steps of Adam: on each layer by itself before the next one, and on all together against
//! the last hidden states and the embeddings of the original. At the end, if asked for, random features with such a map in place of the pooler.
//! No labels anywhere.

mod calibrate;
mod damage;
mod distill;
mod fit;
mod local;
mod pooler;
mod report;
mod save;
mod select;
mod svd;

pub use pooler::{POOLER_INPUTS, PoolerReport};
pub use report::{LayerReport, Quality, Report};
pub use save::{REPORT, save};

use crate::batch::Inputs;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::pool::Pooling;
use dualnet::Resources;
use dualnet::random::{Draws, Purpose};
use std::time::Instant;

/// The order of the texts.
const ORDER: Purpose = Purpose::ROWS;
/// One text in so many is kept apart, to judge.
const APART: usize = 20;
/// Most texts that are kept apart.
const MOST_APART: usize = 500;

/// How a net becomes narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Neurons of the original, chosen one by one so that the refitted output loses least; weights from them to the output solved for.
    Neurons,
    /// The neurons that move the output most, by deviation times length of their column; no refit but for the means.
    Prune,
    /// All neurons stay, both matrices become products of the rank that gives the bytes of that many neurons: those that keep most of the variance
    /// of what they give ("whitened" singular value decomposition).
    Svd,
    /// Random features max(g x, 0) in place of neurons (ReLU-SNNK, bundled); weights to the output solved for. All layers only.
    Relu,
    /// Whole layers are left out, evenly; the nets that stay keep their width.
    DropLayers,
}

/// How narrow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// This share of the hidden width (of the layers, for [`Method::DropLayers`]).
    Ratio(f64),
    /// This hidden width.
    Hidden(usize),
    /// For each net the smallest width, a multiple of 16, whose refit leaves at most this share of the variance of the net's output, the mean over
    /// coordinates. Widths may differ then. [`Method::Neurons`] alone.
    Error(f64),
}

/// Which nets become narrower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layers {
    /// All.
    All,
    /// Those of these layers, from 0.
    Named(Vec<usize>),
    /// So many: those whose replacement, alone, lowers the cosine of embeddings least.
    LeastDamage(usize),
    /// None: the pooler alone is replaced, without steps and by [`Method::Neurons`], the default. The size says nothing then.
    None,
}

/// Steps of Adam; 0: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// For each layer by itself.
    pub local: usize,
    /// For all layers together.
    pub distill: usize,
}

impl Steps {
    /// Steps on each layer that served well on sentence encoders.
    pub const LOCAL: usize = 150;
    /// Likewise on all together.
    pub const DISTILL: usize = 660;

    /// Tokens to fit layers on that served well; distillation makes up for fewer.
    pub fn tokens(self) -> usize {
        if self.distill > 0 { 20_480 } else { 98_304 }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How.
    pub method: Method,
    /// How narrow.
    pub size: Size,
    /// Which layers.
    pub layers: Layers,
    /// Steps of Adam.
    pub steps: Steps,
    /// Whether steps on all layers together change attention and norms too, and not the feed-forward nets alone.
    pub whole: bool,
    /// Most tokens that layers are fitted on; distillation takes what it needs.
    pub tokens: usize,
    /// Random features of the pooler that replaces the original's at the end; none: the pooler stays.
    pub pooler: Option<usize>,
}

/// A smaller encoder, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compressed {
    /// The encoder.
    pub encoder: Encoder,
    /// Figures of each layer and of the whole.
    pub report: Report,
    /// Which layers of the original it has, in order.
    pub kept: Vec<usize>,
    /// Whether attention and norms of the changed layers are others than those of the original.
    pub whole: bool,
}

/// The encoder that a smaller one is made of.
#[derive(Debug, Clone, Copy)]
pub struct Teacher<'a> {
    /// The encoder.
    pub encoder: &'a Encoder,
    /// How its vectors are pooled.
    pub pooling: Pooling,
}

/// Makes an encoder smaller from texts or images. The same options, inputs and seed give the same bits for any number of threads.
///
/// # Errors
/// Fewer than 20 texts; layers with adapters; steps on all layers towards what a pooler gives; another pooler where there is none; a size, layers or
/// a combination that make no sense; numbers that leave the range; interruption; memory: the states of all calibration tokens, four times d
/// numbers each; distillation keeps d numbers a token in a quarter of the memory at most.
pub fn compress(
    original: &Teacher<'_>,
    inputs: &Inputs,
    options: &Options,
    resources: &Resources,
) -> Result<Compressed> {
    let mut plan = Plan::new(original, options)?;
    let (apart, rest) = split(inputs, resources)?;
    let start = Instant::now();
    let damage = match options.layers {
        Layers::LeastDamage(count) => damage::measure(original, &rest, &apart, &mut plan, (count, options), resources)?,
        _ => Vec::new(),
    };
    let mut fitted = match options.method {
        _ if options.layers == Layers::None => {
            fit::Fitted::of_layers(original.encoder, &Vec::from_iter(0..original.encoder.layers.len()))
        }
        Method::DropLayers => fit::Fitted::of_layers(original.encoder, &plan.layers),
        _ => fit::fit(original.encoder, &take(&rest, options.tokens), &plan, options, resources)?,
    };
    let seconds_fit = start.elapsed().as_secs_f64();
    let fit_quality = report::quality(original, &fitted.encoder, &apart, resources)?;
    let start = Instant::now();
    let (mut distilled, mut undone) = (None, false);
    if options.steps.distill > 0 {
        let before = fitted.encoder.layers.clone();
        distill::distill(original, &mut fitted.encoder, &plan, &rest, options.steps.distill, options.whole, resources)?;
        let quality = report::quality(original, &fitted.encoder, &apart, resources)?;
        // What steps lower, measured on what they have not seen.
        let loss = |q: &report::Quality| q.hidden_error + 1.0 - q.cosine;
        undone = loss(&quality) > loss(&fit_quality);
        if undone {
            fitted.encoder.layers = before;
        }
        distilled = Some(quality);
    }
    let seconds_distill = start.elapsed().as_secs_f64();
    let pooler = match options.pooler {
        None => None,
        Some(features) => {
            let encoders = [original.encoder, &fitted.encoder];
            let (pooler, report) = pooler::fit(encoders, features, [&rest, &apart], resources)?;
            fitted.encoder.pooler = Some(pooler);
            Some(report)
        }
    };
    let report = Report {
        damage,
        layers: fitted.layers,
        parameters: [original.encoder, &fitted.encoder].map(report::parameters),
        fit: fit_quality,
        distilled,
        undone,
        pooler,
        tokens_fit: fitted.tokens,
        texts_apart: apart.len(),
        seconds_fit,
        seconds_distill,
    };
    let whole = options.whole && options.steps.distill > 0 && !undone;
    Ok(Compressed { encoder: fitted.encoder, report, kept: fitted.kept, whole })
}

/// What the options mean for this encoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// The layers that change, or, where layers are dropped, those that stay.
    layers: Vec<usize>,
    /// The new width of each of them.
    widths: Vec<Width>,
    method: Method,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Width {
    Given(usize),
    /// As [`Size::Error`].
    Error(f64),
}

/// Folders have no place for adapters, and nets are fitted to what goes into the sum.
fn refuse_adapters(encoder: &Encoder) -> Result<()> {
    let adapted = |layer: &Layer| layer.attention_adapter.is_some() || layer.ffn_adapter.is_some();
    match encoder.layers.iter().position(adapted) {
        None => Ok(()),
        Some(layer) => {
            let hint = "compress the encoder first and give adapters to the smaller one";
            Err(Error::invalid(format!("layer {layer}"), "no adapters", "an adapter", hint))
        }
    }
}

impl Plan {
    fn new(original: &Teacher<'_>, options: &Options) -> Result<Self> {
        let encoder = original.encoder;
        refuse_adapters(encoder)?;
        Self::check_pooler(original, options)?;
        if options.layers == Layers::None {
            return Ok(Self { layers: Vec::new(), widths: Vec::new(), method: options.method });
        }
        let count = encoder.layers.len();
        if let Size::Ratio(ratio) = options.size
            && !(ratio > 0.0 && ratio <= 1.0)
        {
            return Err(Error::invalid("ratio", "a share above 0 and at most 1", ratio.to_string(), "try 0.25"));
        }
        if let Size::Error(error) = options.size {
            if !(error > 0.0 && error < 1.0) {
                let expected = "a share of the variance between 0 and 1";
                return Err(Error::invalid("limit of the error", expected, error.to_string(), "try 0.3"));
            }
            if options.method != Method::Neurons {
                let hint = "give a width or a ratio";
                return Err(Error::invalid("limit of the error", "method neurons", "another method", hint));
            }
        }
        let mut layers = match &options.layers {
            Layers::Named(layers) => layers.clone(),
            _ => (0..count).collect(),
        };
        if let Layers::LeastDamage(wanted) = options.layers
            && !(1..=count).contains(&wanted)
        {
            let expected = format!("from 1 to {count}");
            return Err(Error::invalid("number of layers", expected, wanted.to_string(), "choose fewer"));
        }
        layers.sort_unstable();
        layers.dedup();
        if layers.is_empty() || layers.last().is_some_and(|l| *l >= count) {
            let expected = format!("numbers from 0 to {}", count - 1);
            let found = if layers.is_empty() { "none".into() } else { format!("{layers:?}") };
            return Err(Error::invalid("layers", expected, found, "leave the option out for all layers"));
        }
        let some = layers.len() < count || matches!(options.layers, Layers::LeastDamage(_));
        if options.method == Method::Relu && some {
            let hint = "the activation is one for all layers of a folder: leave --layers out";
            return Err(Error::invalid("layers", "all, for random features", format!("{layers:?}"), hint));
        }
        if options.method == Method::DropLayers {
            return Self::dropping(count, encoder, options);
        }
        let narrow = |layer: &usize| {
            let width = encoder.layers[*layer].ffn.width();
            let wanted = match options.size {
                Size::Error(error) => return Ok(Width::Error(error)),
                Size::Hidden(m) => m,
                // Whole registers, whatever the ratio.
                Size::Ratio(ratio) => ((width as f64 * ratio / 16.0).round() as usize * 16).clamp(1, width),
            };
            if (1..=width).contains(&wanted) {
                return Ok(Width::Given(wanted));
            }
            let hint = "a net can only become narrower";
            Err(Error::invalid("hidden width", format!("from 1 to {width}"), wanted.to_string(), hint))
        };
        let widths = layers.iter().map(narrow).collect::<Result<_>>()?;
        Ok(Self { layers, widths, method: options.method })
    }

    /// What the options say of poolers.
    fn check_pooler(original: &Teacher<'_>, options: &Options) -> Result<()> {
        if original.pooling == Pooling::Pooler && options.steps.distill > 0 {
            let hint = "distil towards the mean or the first token, or without steps";
            return Err(Error::invalid("pooling of distillation", "the mean or the first token", "the pooler", hint));
        }
        let none = options.layers == Layers::None;
        if none && options.steps != (Steps { local: 0, distill: 0 }) {
            let (expected, found) = ("none where no layer changes", format!("{:?}", options.steps));
            return Err(Error::invalid("steps", expected, found, "name layers, or take no steps"));
        }
        if none && options.method != Method::Neurons {
            let (expected, found) = ("neurons, the default, where no layer changes", format!("{:?}", options.method));
            return Err(Error::invalid("method", expected, found, "name layers, or leave the method out"));
        }
        match options.pooler {
            None if none => {
                let hint = "name layers, or the number of features of the pooler";
                Err(Error::invalid("layers", "some, where the pooler stays as it is", "none", hint))
            }
            None => Ok(()),
            Some(0) => Err(Error::invalid("features of the pooler", "at least one", "0", "512 are a beginning")),
            Some(_) => original.encoder.needed_pooler().map(|_| ()),
        }
    }

    /// Evenly, and always the last one.
    fn dropping(count: usize, encoder: &Encoder, options: &Options) -> Result<Self> {
        let (Size::Ratio(ratio), Layers::All) = (options.size, &options.layers) else {
            let hint = "a ratio says how many stay: 0.5 for every other layer";
            return Err(Error::invalid("dropping layers", "a ratio alone", "a width or layers", hint));
        };
        let keep = ((count as f64 * ratio).round() as usize).clamp(1, count);
        let layers: Vec<usize> = (1..=keep).map(|i| i * count / keep - 1).collect();
        let widths = layers.iter().map(|l| Width::Given(encoder.layers[*l].ffn.width())).collect();
        Ok(Self { layers, widths, method: options.method })
    }
}

/// Inputs to judge by, and the others, shuffled.
fn split(inputs: &Inputs, resources: &Resources) -> Result<(Inputs, Inputs)> {
    if inputs.len() < APART {
        let expected = format!("at least {APART} texts or images");
        let hint = "some thousands of texts, or hundreds of images, like those to be embedded serve well";
        return Err(Error::invalid("inputs", expected, inputs.len().to_string(), hint));
    }
    let mut draws = Draws::new(resources.seed, ORDER, 0);
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, draws.below(i + 1));
    }
    let apart = (order.len() / APART).min(MOST_APART);
    Ok((inputs.select(&order[..apart]), inputs.select(&order[apart..])))
}

/// The first inputs, of at most about so many tokens.
fn take(inputs: &Inputs, tokens: usize) -> Inputs {
    let first = inputs.groups(tokens).into_iter().next().unwrap_or(0..0);
    inputs.select(&Vec::from_iter(first))
}
