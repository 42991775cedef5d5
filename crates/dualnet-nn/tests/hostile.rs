//! Folders that are damaged or of other models: an error that says where, expected, found; never a panic.

#![allow(clippy::unwrap_used)]

mod common;

use common::{FAMILIES, copy};
use dualnet_io::tensor_file::{Entry, TensorFile, write};
use dualnet_nn::Embedder;
use std::path::Path;

fn refused(folder: &Path, words: &[&str]) {
    let error = Embedder::load(folder).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
}

/// Loads the model with one text of its configuration replaced by another.
fn config_refused(name: &str, from: &str, to: &str, words: &[&str]) {
    let folder = copy(name);
    let path = folder.path().join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    refused(folder.path(), words);
}

#[test]
fn foreign_configurations_are_refused() {
    config_refused(
        "bert",
        "\"model_type\": \"bert\"",
        "\"model_type\": \"gpt2\"",
        &["config.json", "model_type", "gpt2"],
    );
    config_refused(
        "bert",
        "\"hidden_size\": 20",
        "\"hidden_size\": 24",
        &["shape [32, 24]", "[32, 20]", "different models"],
    );
    config_refused("bert", "\"hidden_size\": 20", "\"hidden_size\": -20", &["hidden_size", "an integer", "-20"]);
    config_refused("bert", "\"hidden_size\": 20", "\"hidden_size\": 99999999999", &["hidden_size", "99999999999"]);
    config_refused("bert", "\"num_attention_heads\": 4", "\"num_attention_heads\": 3", &["a divisor of 20", "3"]);
    config_refused("bert", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"mish\"", &["hidden_act", "mish", "gelu_new"]);
    config_refused(
        "bert",
        "\"num_hidden_layers\": 2",
        "\"num_hidden_layers\": 3",
        &["encoder.layer.2.", "the nearest are"],
    );
    config_refused("distilbert", "\"n_layers\": 2", "\"n_layer\": 2", &["key n_layers", "no such key"]);
    config_refused(
        "mpnet",
        "{",
        "{\"position_embedding_type\": \"relative_key\",",
        &["position_embedding_type", "relative_key"],
    );
    config_refused("bert", "{", "{\"intermediate_sizes\": [28],", &["intermediate_sizes", "2 integers"]);
    config_refused("bert", "{", "[", &["config.json", "JSON"]);
}

#[test]
fn damaged_weights_are_refused() {
    for name in FAMILIES {
        let folder = copy(name);
        let path = folder.path().join("model.safetensors");
        let sound = std::fs::read(&path).unwrap();
        for cut in [0, 7, 100, sound.len() / 2, sound.len() - 1] {
            std::fs::write(&path, &sound[..cut]).unwrap();
            refused(folder.path(), &["model.safetensors"]);
        }
        std::fs::remove_file(&path).unwrap();
        refused(folder.path(), &["model.safetensors or model.safetensors.index.json", "neither"]);
    }
}

#[test]
fn tensors_that_are_wrong_are_named() {
    let folder = copy("bert");
    let path = folder.path().join("model.safetensors");
    let sound = TensorFile::open(&common::tiny("bert").join("model.safetensors")).unwrap();
    let names = sound.names();
    let name = "encoder.layer.1.output.dense.weight";
    let with = |entry: Option<Entry>| {
        let others = names.iter().filter(|n| *n != name).map(|n| Entry::copy(n.as_str(), &sound, n));
        write(&path, &others.chain(entry).collect::<Vec<_>>()).unwrap();
    };
    with(None);
    refused(folder.path(), &[name, "the nearest are", "encoder.layer.1.output.dense.bias"]);
    with(Some(Entry::values(name, &[28, 20], &[0.0; 560])));
    refused(folder.path(), &[name, "shape [20, 28]", "[28, 20]"]);
    let mut values = [0.5; 560];
    values[3] = f32::NAN;
    with(Some(Entry::values(name, &[20, 28], &values)));
    refused(folder.path(), &[name, "finite numbers", "NaN at place 3"]);
    with(Some(Entry::values(name, &[20, 28], &[0.5; 560])));
    assert!(Embedder::load(folder.path()).is_ok());
}

#[test]
fn tokenizers_that_are_missing_or_damaged_are_refused() {
    let folder = copy("bert");
    let path = folder.path().join("tokenizer.json");
    for text in ["", "{}", "{\"model\": 3}", "[1, 2"] {
        std::fs::write(&path, text).unwrap();
        refused(folder.path(), &["tokenizer.json"]);
    }
    std::fs::remove_file(&path).unwrap();
    refused(folder.path(), &["tokenizer.json", "a file that can be read"]);
    let pooling = copy("bert");
    std::fs::create_dir(pooling.path().join("1_Pooling")).unwrap();
    std::fs::write(pooling.path().join("1_Pooling/config.json"), "{\"pooling_mode_max_tokens\": true}").unwrap();
    refused(pooling.path(), &["1_Pooling", "pooling_mode_max_tokens", "--pooling"]);
}
