//! Poolers: that of the folder by hand, random features in its place, folders with and without.

#![allow(clippy::unwrap_used)]

mod common;

use common::{copy, sentences, tiny};
use dualnet::{Mat, Resources};
use dualnet_io::tensor_file::{Entry, TensorFile, write};
use dualnet_nn::compress::{Compressed, Layers, Method, Options, Size, Steps, Teacher, compress, save};
use dualnet_nn::{Batch, Embedder, Encoder, Inputs, Pooler, Pooling, embed};
use std::path::Path;

/// The pooler alone.
const ALONE: Options = Options {
    method: Method::Neurons,
    size: Size::Ratio(1.0),
    layers: Layers::None,
    steps: Steps { local: 0, distill: 0 },
    whole: false,
    tokens: 4096,
    pooler: Some(64),
};

/// tanh(W h + b) of the first token of each text, in f64.
fn by_hand(weight: &[f32], bias: &[f32], states: &Mat<f32>, batch: &Batch) -> Vec<Vec<f64>> {
    let one = |h: &[f32], i: usize| {
        let w = &weight[i * h.len()..][..h.len()];
        (w.iter().zip(h).map(|(w, h)| f64::from(*w) * f64::from(*h)).sum::<f64>() + f64::from(bias[i])).tanh()
    };
    batch.spans().map(|span| (0..bias.len()).map(|i| one(states.row(span.start), i)).collect()).collect()
}

fn texts(embedder: &Embedder, count: usize) -> Inputs {
    Inputs::Texts(embedder.tokenizer.encode(&sentences(count), &Resources::new(2).unwrap()).unwrap().texts)
}

/// Adds the tensors of a pooler to a copy of a folder that has none; gives them.
fn add_pooler(folder: &Path, prefix: &str) -> (Vec<f32>, Vec<f32>) {
    let path = folder.join("model.safetensors");
    let sound = TensorFile::open(&tiny(prefix).join("model.safetensors")).unwrap();
    let weight: Vec<f32> = (0..400).map(|i| (0.7 * i as f32).sin() / 2.0).collect();
    let bias: Vec<f32> = (0..20).map(|i| i as f32 / 20.0 - 0.5).collect();
    let names = sound.names();
    let mut entries: Vec<Entry> = names.iter().map(|n| Entry::copy(n.as_str(), &sound, n)).collect();
    entries.push(Entry::values(format!("{prefix}.pooler.dense.weight"), &[20, 20], &weight));
    entries.push(Entry::values(format!("{prefix}.pooler.dense.bias"), &[20], &bias));
    write(&path, &entries).unwrap();
    (weight, bias)
}

#[test]
fn the_pooler_of_the_folder_is_tanh_of_a_linear_map() {
    let resources = Resources::new(2).unwrap();
    let mpnet = copy("mpnet");
    let (weight, bias) = add_pooler(mpnet.path(), "mpnet");
    let of = |name: &str| {
        let file = TensorFile::open(&tiny(name).join("model.safetensors")).unwrap();
        (file.read("pooler.dense.weight").unwrap(), file.read("pooler.dense.bias").unwrap())
    };
    let folders = [(tiny("bert"), of("bert")), (tiny("roberta"), of("roberta")), (mpnet.path().into(), (weight, bias))];
    for (folder, (weight, bias)) in folders {
        let embedder = Embedder::load(&folder).unwrap();
        let inputs = texts(&embedder, 40);
        let batch = inputs.batch(0..40).unwrap();
        let states = embedder.encoder.forward(&batch, &resources).unwrap();
        let pooled = embedder.encoder.pooled(&states, &batch, Pooling::Pooler, &resources).unwrap();
        let values = embed(&embedder.encoder, Pooling::Pooler, &inputs, &resources).unwrap();
        for (text, expected) in by_hand(&weight, &bias, &states, &batch).into_iter().enumerate() {
            let length = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
            for ((own, unit), expected) in pooled.row(text).iter().zip(values.row(text)).zip(&expected) {
                assert!((f64::from(*own) - expected).abs() < 1e-6, "{}: {own} {expected}", folder.display());
                assert!((f64::from(*unit) - expected / length).abs() < 1e-6, "{unit} {expected} {length}");
            }
        }
        let alone = embed(&embedder.encoder, Pooling::Pooler, &texts(&embedder, 1), &Resources::new(1).unwrap());
        assert_eq!(alone.unwrap().row(0), values.row(0));
        let narrow = Mat::zeros(batch.rows(), 19);
        let error = embedder.encoder.pooled(&narrow, &batch, Pooling::Mean, &resources).unwrap_err().to_string();
        assert!(error.contains("of 20") && error.contains("19"), "{error}");
    }
    for name in ["vit", "deit"] {
        assert!(matches!(Encoder::load(&tiny(name)).unwrap().0.pooler, Some(Pooler::Tanh(_))), "{name}");
    }
    for name in ["distilbert", "mpnet", "dinov2"] {
        assert_eq!(Encoder::load(&tiny(name)).unwrap().0.pooler, None);
    }
    let embedder = Embedder::load(&tiny("distilbert")).unwrap();
    let error = embed(&embedder.encoder, Pooling::Pooler, &texts(&embedder, 2), &resources).unwrap_err().to_string();
    assert!(error.contains("pooler.dense") && error.contains("--pooling mean"), "{error}");
}

#[test]
fn tensors_and_keys_that_do_not_fit_are_refused() {
    let folder = copy("bert");
    let sound = TensorFile::open(&tiny("bert").join("model.safetensors")).unwrap();
    let names = sound.names();
    let fails = |without: &str, entry: Option<Entry>, words: &str| {
        let others = names.iter().filter(|n| *n != without).map(|n| Entry::copy(n.as_str(), &sound, n));
        write(&folder.path().join("model.safetensors"), &others.chain(entry).collect::<Vec<_>>()).unwrap();
        let error = Encoder::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    };
    let (weight, bias) = ("pooler.dense.weight", "pooler.dense.bias");
    fails(weight, Some(Entry::values(weight, &[20, 7], &[0.0; 140])), "shape [20, 20], found [20, 7]");
    fails(bias, None, "pooler.dense.bias");
    fails("", Some(Entry::values("pooler.features.weight", &[3, 20], &[0.0; 60])), "pooler_features");
    let config = std::fs::read_to_string(tiny("bert").join("config.json")).unwrap();
    let key = |value: &str| config.replacen('{', &format!("{{\"pooler_features\": {value},"), 1);
    std::fs::write(folder.path().join("config.json"), key("0")).unwrap();
    fails("", None, "pooler_features");
    std::fs::write(folder.path().join("config.json"), key("5")).unwrap();
    fails("", None, "pooler.features.weight");
    let vit = tempfile::tempdir().unwrap();
    std::fs::copy(tiny("vit").join("model.safetensors"), vit.path().join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(tiny("vit").join("config.json")).unwrap();
    std::fs::write(vit.path().join("config.json"), config.replace("\"tanh\"", "\"gelu\"")).unwrap();
    let error = Encoder::load(vit.path()).unwrap_err().to_string();
    assert!(error.contains("pooler_act: expected tanh, found \"gelu\""), "{error}");
}

fn run(name: &str, options: &Options, threads: usize) -> (Embedder, Inputs, Compressed) {
    let embedder = Embedder::load(&tiny(name)).unwrap();
    let inputs = texts(&embedder, 2000);
    let original = Teacher { encoder: &embedder.encoder, pooling: embedder.pooling };
    let compressed = compress(&original, &inputs, options, &Resources::new(threads).unwrap()).unwrap();
    (embedder, inputs, compressed)
}

/// Squared difference of what the poolers of two encoders give, relative to the variance of the first.
fn variance_left([original, encoder]: [&Encoder; 2], inputs: &Inputs) -> f64 {
    let resources = Resources::new(2).unwrap();
    let batch = inputs.batch(0..inputs.len()).unwrap();
    let [a, b] = [original, encoder].map(|encoder| {
        let states = encoder.forward(&batch, &resources).unwrap();
        encoder.pooled(&states, &batch, Pooling::Pooler, &resources).unwrap()
    });
    let (mut error, mut size) = (0.0, 0.0);
    for j in 0..a.cols() {
        let mean = (0..a.rows()).map(|i| f64::from(a[(i, j)])).sum::<f64>() / a.rows() as f64;
        for i in 0..a.rows() {
            error += f64::from(a[(i, j)] - b[(i, j)]).powi(2);
            size += (f64::from(a[(i, j)]) - mean).powi(2);
        }
    }
    error / size
}

#[test]
fn more_random_features_come_nearer() {
    let mut last = 1.0;
    for (features, most) in [(8, 0.6), (64, 0.05), (512, 0.004)] {
        let (embedder, inputs, compressed) = run("bert", &Options { pooler: Some(features), ..ALONE }, 2);
        let report = compressed.report.pooler.unwrap();
        let own = variance_left([&embedder.encoder, &compressed.encoder], &inputs);
        assert!(report.variance_left < most && report.variance_left < 0.5 * last, "{report:?}");
        assert!(own < most, "{features}: {own}");
        assert_eq!(report.parameters, [420, features * 21 + 20 * features + 20]);
        assert_eq!((report.features, report.inputs), (features, 1900.min(16 * features)));
        assert_eq!(compressed.encoder.layers, embedder.encoder.layers);
        assert!((compressed.report.fit.cosine - 1.0).abs() < 1e-6 && compressed.report.layers.is_empty());
        last = report.variance_left;
    }
}

/// Nets and pooler together: the pooler makes up for some of what the nets have lost.
#[test]
fn the_pooler_is_fitted_to_the_encoder_that_is_returned() {
    let options = Options { size: Size::Hidden(4), layers: Layers::All, pooler: Some(256), ..ALONE };
    let (embedder, inputs, compressed) = run("bert", &options, 2);
    let mut kept = compressed.encoder.clone();
    kept.pooler = embedder.encoder.pooler.clone();
    let [own, kept] = [&compressed.encoder, &kept].map(|e| variance_left([&embedder.encoder, e], &inputs));
    assert!(own < 0.9 * kept, "{own} {kept}");
    assert_eq!(compressed.report.layers.len(), 2);
}

#[test]
fn folders_hold_the_features_and_load_again() {
    let outer = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("bert", ALONE),
        ("roberta", Options { size: Size::Hidden(12), layers: Layers::All, ..ALONE }),
        // As many features as W has columns.
        ("bert", Options { pooler: Some(20), ..ALONE }),
    ] {
        let to = outer.path().join(format!("{name}-{:?}", options.pooler));
        let (embedder, inputs, compressed) = run(name, &options, 2);
        assert_eq!(compressed.encoder, run(name, &options, 1).2.encoder, "threads");
        save(&tiny(name), &to, &compressed, options.method).unwrap();
        let (again, config) = Encoder::load(&to).unwrap();
        assert!(again == compressed.encoder && again.pooler != embedder.encoder.pooler, "{name}");
        assert_eq!((config.pooler_features, config.activation), (options.pooler, embedder.config.activation));
        let resources = Resources::new(3).unwrap();
        let values = |encoder: &Encoder| embed(encoder, Pooling::Pooler, &inputs, &resources).unwrap();
        assert_eq!(values(&again).as_slice(), values(&compressed.encoder).as_slice());
        // Without its key the folder is refused, even where the shapes are those of the other kind.
        let json = std::fs::read_to_string(to.join("config.json")).unwrap();
        std::fs::write(to.join("config.json"), json.replace("pooler_features", "pooler_feature")).unwrap();
        assert!(Encoder::load(&to).unwrap_err().to_string().contains("pooler_features"));
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |name: &str, options: &Options, pooling: Pooling, words: &str| {
        let embedder = Embedder::load(&tiny(name)).unwrap();
        let original = Teacher { encoder: &embedder.encoder, pooling };
        let resources = Resources::new(1).unwrap();
        let error = compress(&original, &texts(&embedder, 40), options, &resources).unwrap_err().to_string();
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    };
    let mean = Pooling::Mean;
    refused("distilbert", &ALONE, mean, "pooler.dense");
    refused("bert", &Options { pooler: Some(0), ..ALONE }, mean, "features of the pooler: expected at least one");
    refused("bert", &Options { pooler: None, ..ALONE }, mean, "where the pooler stays as it is");
    refused("bert", &Options { steps: Steps { local: 0, distill: 3 }, ..ALONE }, mean, "no layer changes");
    refused("bert", &Options { method: Method::Relu, ..ALONE }, mean, "method: expected neurons");
    let steps = Steps { local: 0, distill: 3 };
    refused("bert", &Options { steps, layers: Layers::All, ..ALONE }, Pooling::Pooler, "pooling of distillation");
}
