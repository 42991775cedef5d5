//! A smaller encoder as a folder of the standard format: the original's files with nets and pooler replaced.

use super::{Compressed, Method, refuse_adapters};
use crate::config::{CONFIG, Family, POOLER, RANKS, WIDTHS, read_object};
use crate::error::{Error, Result};
use crate::names::{self, Part};
use crate::weights::{INDEX, SINGLE, Weights};
use crate::{Attention, Config, Layer, Pooler};
use dualnet_io::folder::{Existing, write_folder};
use dualnet_io::tensor_file::{self, Entry, TensorFile};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// The figures of a compression, in the folder it wrote.
pub const REPORT: &str = "compress.json";
/// Weights in any format: those of the original must not lie beside the new ones.
const WEIGHTS: [&str; 9] = ["safetensors", "bin", "onnx", "onnx_data", "h5", "msgpack", "pt", "ot", "xml"];
/// How deep folders are copied.
const DEPTH: usize = 4;

/// Writes `compressed`, made of the encoder in the folder `from`, to the new folder `to`: all files but weights are copied, `config.json` gets
/// the new sizes, all tensors but those of replaced nets and poolers keep their names, types and bytes. The folder appears whole or not at all.
///
/// Where all nets have one width (for DINOv2: a multiple of d), `transformers` loads the folder. Else `config.json` has the key `intermediate_sizes`, which this crate alone
/// understands; likewise `pooler_features` where the pooler was replaced.
///
/// # Errors
/// `to` exists; layers with adapters, which no folder holds; `from` changed since it was loaded; what the file system refuses.
pub fn save(from: &Path, to: &Path, compressed: &Compressed, method: Method) -> Result<()> {
    refuse_adapters(&compressed.encoder)?;
    let (config, weights) = (Config::read(from)?, Weights::open(from)?);
    let json = new_config(from, &config, compressed, method)?;
    let nets = replaced(&config, &weights, compressed, method);
    let entries = entries(&config, &weights, compressed, &nets);
    let report = serde_json::to_value(&compressed.report).unwrap_or(Value::Null);
    write_folder(to, Existing::Refuse, |folder| {
        if let Err(e) = copy(from, folder, DEPTH) {
            return Err(dualnet_io::Error::Write {
                file: to.into(),
                action: "copy the original's files to",
                reason: e.to_string(),
                hint: "check the original's folder and the disk".into(),
            });
        }
        tensor_file::write(&folder.join(SINGLE), &entries)?;
        for (name, value) in [(CONFIG, &json), (REPORT, &report)] {
            dualnet_io::atomic::write(&folder.join(name), |file| {
                serde_json::to_writer_pretty(&mut *file, value)?;
                file.write_all(b"\n")
            })?;
        }
        Ok(())
    })
    .map_err(Error::from)
}

fn new_config(from: &Path, config: &Config, compressed: &Compressed, method: Method) -> Result<Value> {
    let mut json = read_object(&from.join(CONFIG))?;
    let widths: Vec<usize> = compressed.encoder.layers.iter().map(|l| l.ffn.width()).collect();
    let distil = config.family == Family::DistilBert;
    let (width_key, count_key, activation_key) = match distil {
        true => ("hidden_dim", "n_layers", "activation"),
        false => ("intermediate_size", "num_hidden_layers", "hidden_act"),
    };
    json.insert(count_key.into(), json!(widths.len()));
    json.remove(WIDTHS);
    match widths.first() {
        Some(first) if widths.iter().all(|w| w == first) && config.family != Family::DinoV2 => {
            set(&mut json, width_key, json!(first));
        }
        // This family has a factor for a width, and transformers takes integers alone.
        Some(first) if widths.iter().all(|w| w == first) && first.is_multiple_of(config.hidden) => {
            set(&mut json, "mlp_ratio", json!(first / config.hidden));
        }
        _ => set(&mut json, WIDTHS, json!(widths)),
    }
    let ranks: Vec<usize> = compressed.encoder.layers.iter().map(|l| l.ffn.up.rank().unwrap_or(0)).collect();
    json.remove(RANKS);
    if ranks.iter().any(|rank| *rank > 0) {
        set(&mut json, RANKS, json!(ranks));
    }
    if let Some(pooler) = &compressed.report.pooler {
        set(&mut json, POOLER, json!(pooler.features));
    }
    if method == Method::Relu {
        set(&mut json, activation_key, json!("relu"));
    }
    Ok(Value::Object(json))
}

fn set(json: &mut Map<String, Value>, key: &str, value: Value) {
    json.insert(key.into(), value);
}

/// The new values of tensors, by their full names in the original: shape and values.
type Replaced<'a> = BTreeMap<String, (Vec<usize>, Cow<'a, [f32]>)>;

fn replaced<'a>(config: &Config, weights: &Weights, compressed: &'a Compressed, method: Method) -> Replaced<'a> {
    let mut tensors = Replaced::new();
    let mut add = |name: &str, shape: &[usize], values: Cow<'a, [f32]>| {
        tensors.insert(weights.full_name(name), (shape.to_vec(), values));
    };
    if let (Some(_), Some(Pooler::Snnk(net))) = (&compressed.report.pooler, &compressed.encoder.pooler) {
        for (name, map) in [(names::POOLER_FEATURES, &net.up), (names::POOLER_DENSE, &net.down)] {
            add(&format!("{name}.weight"), &[map.outputs(), map.inputs()], map.weight.as_slice().into());
            add(&format!("{name}.bias"), &[map.outputs()], (&map.bias[..]).into());
        }
    }
    for (layer, old) in compressed.encoder.layers.iter().zip(&compressed.kept) {
        let changed = compressed.report.layers.iter().any(|report| report.layer == *old);
        // Distillation changes the nets of layers that stay, too.
        if !(changed || method == Method::DropLayers) {
            continue;
        }
        let own = |part| names::name(config.family, *old, part);
        let Layer { attention: Attention { qkv, out, .. }, attention_norm, ffn, ffn_norm, .. } = layer;
        let (d, m) = (out.outputs(), ffn.up.outputs());
        // Name, map, and the rows of it that count.
        let mut maps = vec![(Part::Up, &ffn.up, 0..m), (Part::Down, &ffn.down, 0..d)];
        let mut norms = Vec::new();
        if compressed.whole {
            maps.extend(
                [Part::Query, Part::Key, Part::Value]
                    .into_iter()
                    .zip(0..)
                    .map(|(part, i)| (part, qkv, i * d..(i + 1) * d)),
            );
            maps.push((Part::AttentionOut, out, 0..d));
            norms.extend([(Part::AttentionNorm, attention_norm), (Part::OutputNorm, ffn_norm)]);
        }
        for (part, map, rows) in maps {
            let (name, cols) = (own(part), map.weight.cols());
            if let Some(inner) = &map.inner {
                add(&names::inner(&name), &[inner.rows(), inner.cols()], inner.as_slice().into());
            }
            add(&format!("{name}.bias"), &[rows.len()], (&map.bias[rows.clone()]).into());
            let values = &map.weight.as_slice()[rows.start * cols..rows.end * cols];
            add(&format!("{name}.weight"), &[rows.len(), cols], values.into());
        }
        for (part, norm) in norms {
            let [gamma, beta] = weights.norm_names(&own(part));
            add(&gamma, &[d], (&norm.gamma[..]).into());
            add(&beta, &[d], (&norm.beta[..]).into());
        }
        if config.family == Family::DinoV2 {
            // The factors are in the new maps.
            let first = if compressed.whole { 0 } else { 1 };
            names::scales(*old)[first..].iter().for_each(|scale| add(scale, &[d], vec![1.0; d].into()));
        }
    }
    tensors
}

/// One tensor of the new file.
struct Piece<'a> {
    name: String,
    old: &'a str,
    file: &'a TensorFile,
}

fn entries<'a>(
    config: &Config,
    weights: &'a Weights,
    compressed: &Compressed,
    replaced: &'a Replaced<'a>,
) -> Vec<Entry<'a>> {
    let prefix = weights.full_name(names::layers(config.family));
    let place = |old: usize| compressed.kept.iter().position(|kept| *kept == old);
    let pieces = weights.all().filter_map(|(old, file)| {
        let numbered = old.strip_prefix(&prefix).and_then(|rest| rest.split_once('.'));
        let name = match numbered.and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest))) {
            Some((layer, rest)) => format!("{prefix}{}.{rest}", place(layer)?),
            None => old.to_string(),
        };
        Some(Piece { name, old, file })
    });
    // The factors that act first have no counterpart in the original.
    let new = replaced.iter().filter(|(name, _)| !weights.all().any(|(old, _)| old == name.as_str()));
    let new = new.map(|(name, (shape, values))| Entry::values(name.clone(), shape, values));
    pieces
        .map(|piece| match replaced.get(piece.old) {
            Some((shape, values)) => Entry::values(piece.name, shape, values),
            None => Entry::copy(piece.name, piece.file, piece.old),
        })
        .chain(new)
        .collect()
}

/// Copies the files of a folder but for weights, configuration and hidden files.
fn copy(from: &Path, to: &Path, depth: usize) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let weights = path.extension().is_some_and(|e| WEIGHTS.iter().any(|w| e.eq_ignore_ascii_case(w)));
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let own = [CONFIG, INDEX, REPORT].iter().any(|own| name == *own);
        if weights || hidden || own {
            continue;
        }
        // Links as in the caches of model hubs are followed.
        let metadata = std::fs::metadata(&path)?;
        if metadata.is_file() {
            std::fs::copy(&path, to.join(&name))?;
        } else if metadata.is_dir() && depth > 0 {
            std::fs::create_dir(to.join(&name))?;
            copy(&path, &to.join(&name), depth - 1)?;
        }
    }
    Ok(())
}
