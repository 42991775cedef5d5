//! Nets that need no file.

use super::activations::{self, ACTIVATIONS};
use super::keys::{Keys, suggest};
use super::limits::{check_count, refuse};
use super::spec::{DualChoice, Layer, Padding, Pooling, Spec, Weights};
use super::tree::quote;
use crate::activation::Activation;
use crate::error::{Error, Result};

/// Hidden layers of a fully connected preset; more is surely a slip of the keyboard.
const MAX_DEPTH: usize = 1000;

/// The preset `name`: `fc-ACTIVATION-DEPTH`, `myrtle-5`, `myrtle-7` or `myrtle-10`; w_std sqrt 2, no biases.
pub(super) fn preset(name: &str) -> Result<Spec> {
    let layers = match name {
        "myrtle-5" => myrtle([2, 1, 1]),
        "myrtle-7" => myrtle([2, 2, 2]),
        "myrtle-10" => myrtle([3, 3, 3]),
        _ => match name.strip_prefix("fc-").and_then(|rest| rest.rsplit_once('-')) {
            Some((activation, depth)) => fully_connected(name, activation, depth)?,
            None => {
                let known = ["fc-ACTIVATION-DEPTH", "myrtle-5", "myrtle-7", "myrtle-10"];
                let hint = suggest_preset(name, &known);
                return Err(refuse("preset", format!("unknown preset {}", quote(name)), hint));
            }
        },
    };
    Ok(Spec { layers, ..Spec::default() })
}

fn suggest_preset(name: &str, known: &[&str]) -> String {
    match name.starts_with("myrtle") {
        true => "there are myrtle-5, myrtle-7 and myrtle-10".into(),
        false => format!("known presets: {}, for example fc-relu-3", known.join(", ")),
    }
}

/// DEPTH times dense and activation, then dense.
fn fully_connected(name: &str, activation: &str, depth: &str) -> Result<Vec<Layer>> {
    let at = || format!("preset {}", quote(name));
    let Ok(depth) = depth.parse::<usize>() else {
        let problem = format!("{} is not a number of layers", quote(depth));
        return Err(refuse(at(), problem, "write fc-ACTIVATION-DEPTH, for example fc-relu-3"));
    };
    check_count(|| format!("{}: depth", at()), depth, 1, MAX_DEPTH)?;
    let activation = activation_named(&at(), activation)?;
    let mut layers = Vec::with_capacity(2 * depth + 1);
    for _ in 0..depth {
        layers.push(dense());
        layers.push(Layer::Activation { activation: activation.clone(), dual: DualChoice::Default });
    }
    layers.push(dense());
    Ok(layers)
}

/// The activation of that name with its defaults; `at` says where the name stands.
pub(crate) fn activation_named(at: &str, name: &str) -> Result<Activation> {
    match activations::read(name, &Keys::none("")) {
        Ok(Some(activation)) => Ok(activation),
        Ok(None) => {
            let names: Vec<&str> = ACTIVATIONS.iter().map(|(name, _)| *name).collect();
            Err(refuse(at, format!("unknown activation {}", quote(name)), suggest(name, &names, "activations")))
        }
        Err(Error::Net { at: key, .. }) => {
            let problem = format!("{name} needs the key {key}, which a preset cannot give");
            Err(refuse(at, problem, "write a net file"))
        }
        Err(other) => Err(other),
    }
}

/// Three blocks of 3x3 convolutions with ReLU, halved twice (Shankar et al. 2020, "Neural kernels without tangents"). There the
/// last three 2x2 poolings take 8x8 positions to one: the mean over all of them, which `global_avg_pool` is for any image size.
fn myrtle(blocks: [usize; 3]) -> Vec<Layer> {
    let relu = Layer::Activation { activation: Activation::Relu, dual: DualChoice::Default };
    let conv =
        Layer::Conv { weights: Weights::default(), kernel: vec![3, 3], stride: vec![1, 1], padding: Padding::Same };
    let halve = Layer::Pool {
        pooling: Pooling::Average,
        window: vec![2, 2],
        stride: vec![2, 2],
        padding: Padding::Valid,
        normalize_edges: false,
    };
    let mut layers = Vec::new();
    for (i, convolutions) in blocks.into_iter().enumerate() {
        if i > 0 {
            layers.push(halve.clone());
        }
        for _ in 0..convolutions {
            layers.extend([conv.clone(), relu.clone()]);
        }
    }
    layers.extend([Layer::GlobalPool(Pooling::Average), dense()]);
    layers
}

fn dense() -> Layer {
    Layer::Dense(Weights::default())
}
