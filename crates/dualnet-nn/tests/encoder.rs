//! Encoders of each family against hidden states that transformers computed, and what holds for all of them.

#![allow(clippy::unwrap_used)]

mod common;

use common::{FAMILIES, copy, sentences, tiny};
use dualnet::Resources;
use dualnet_nn::{Batch, Embedder, Encoder};
use serde_json::Value;

fn golden(name: &str) -> (Vec<Vec<u32>>, Vec<Vec<f64>>) {
    let text = std::fs::read(tiny(name).join("golden.json")).unwrap();
    let mut json: Value = serde_json::from_slice(&text).unwrap();
    let ids = serde_json::from_value(json["ids"].take()).unwrap();
    (ids, serde_json::from_value(json["hidden"].take()).unwrap())
}

fn largest_error(name: &str) -> f64 {
    let (encoder, _) = Encoder::load(&tiny(name)).unwrap();
    let (ids, expected) = golden(name);
    let batch = Batch::new(ids.iter().map(Vec::as_slice)).unwrap();
    let hidden = encoder.forward(&batch, &Resources::new(2).unwrap()).unwrap();
    let mut error = 0.0f64;
    for (span, expected) in batch.spans().zip(&expected) {
        let own = span.flat_map(|row| hidden.row(row));
        error = own.zip(expected).fold(error, |e, (a, b)| e.max((f64::from(*a) - b).abs()));
    }
    error
}

#[test]
fn hidden_states_are_those_of_transformers() {
    for name in FAMILIES {
        let error = largest_error(name);
        assert!(error < 2e-5, "{name}: {error}");
    }
}

#[test]
fn a_text_gives_the_same_bits_alone_and_on_any_number_of_threads() {
    let embedder = Embedder::load(&tiny("mpnet")).unwrap();
    let texts = sentences(40);
    let all = embedder.embed(&texts, &Resources::new(1).unwrap()).unwrap();
    assert_eq!(all.values.as_slice(), embedder.embed(&texts, &Resources::new(3).unwrap()).unwrap().values.as_slice());
    for i in [0, 17, 39] {
        let alone = embedder.embed(&texts[i..=i], &Resources::new(2).unwrap()).unwrap();
        assert_eq!(alone.values.row(0), all.values.row(i), "text {i}");
    }
    let length = all.values.row(5).iter().map(|x| x * x).sum::<f32>();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
}

#[test]
fn long_texts_are_cut_and_counted() {
    let embedder = Embedder::load(&tiny("bert")).unwrap();
    let long = "film ".repeat(100);
    let texts = [long.as_str(), "film", ""];
    let embedded = embedder.embed(&texts, &Resources::new(1).unwrap()).unwrap();
    assert_eq!((embedder.tokenizer.limit(), embedded.tokens, embedded.cut), (24, 24 + 3 + 2, 1));
}

#[test]
fn long_texts_can_become_several() {
    let embedder = Embedder::load(&tiny("bert")).unwrap();
    let resources = Resources::new(2).unwrap();
    let long = "film ".repeat(50);
    let tokens = embedder.tokenizer.encode_whole(&["film", long.as_str()], &resources).unwrap();
    let lengths: Vec<usize> = tokens.texts.iter().map(Vec::len).collect();
    assert_eq!((lengths, tokens.cut), (vec![3, 24, 24, 8], 1));
    assert!(tokens.texts.iter().all(|text| text[0] == 2 && text[text.len() - 1] == 3));
}

#[test]
fn tokens_outside_the_tables_are_refused() {
    let (encoder, _) = Encoder::load(&tiny("roberta")).unwrap();
    let resources = Resources::new(1).unwrap();
    let error = |ids: &[u32]| encoder.forward(&Batch::new([ids]).unwrap(), &resources).unwrap_err().to_string();
    assert!(error(&[5, 32]).contains("text 0: expected tokens below 32, found 32"), "{}", error(&[5, 32]));
    // 24 positions, of which the first two are not for tokens.
    assert!(error(&[5; 23]).contains("at most 22 tokens"), "{}", error(&[5; 23]));
    assert!(Batch::new([&[][..]]).is_err());
}

#[test]
fn shards_and_prefixes_are_found() {
    use dualnet_io::tensor_file::{Entry, TensorFile, write};
    let folder = copy("bert");
    let whole = TensorFile::open(&folder.path().join("model.safetensors")).unwrap();
    let names = whole.names();
    let entries: Vec<Entry> = names.iter().map(|name| Entry::copy(format!("bert.{name}"), &whole, name)).collect();
    let (first, second) = entries.split_at(7);
    write(&folder.path().join("model-1.safetensors"), first).unwrap();
    write(&folder.path().join("model-2.safetensors"), second).unwrap();
    let place = |i: usize| if i < 7 { "model-1.safetensors" } else { "model-2.safetensors" };
    let map: serde_json::Map<String, Value> =
        names.iter().enumerate().map(|(i, name)| (format!("bert.{name}"), place(i).into())).collect();
    let index = serde_json::json!({"weight_map": map}).to_string();
    std::fs::write(folder.path().join("model.safetensors.index.json"), &index).unwrap();
    let both = Encoder::load(folder.path()).unwrap_err().to_string();
    assert!(both.contains("both"), "{both}");
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(Encoder::load(folder.path()).unwrap().0, Encoder::load(&tiny("bert")).unwrap().0);

    std::fs::copy(folder.path().join("model-1.safetensors"), folder.path().join("model-2.safetensors")).unwrap();
    let twice = Encoder::load(folder.path()).unwrap_err().to_string();
    assert!(twice.contains("a name of its own"), "{twice}");
    let outside = index.replace("model-2.safetensors", "../model-2.safetensors");
    std::fs::write(folder.path().join("model.safetensors.index.json"), outside).unwrap();
    let outside = Encoder::load(folder.path()).unwrap_err().to_string();
    assert!(outside.contains("the name of a file in this folder"), "{outside}");
}
