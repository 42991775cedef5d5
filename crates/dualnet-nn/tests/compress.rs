//! Smaller encoders of the tiny ones: exact where they can be, better with each step, whole folders.

#![allow(clippy::unwrap_used)]

mod common;

use common::{FAMILIES, sentences, tiny};
use dualnet::Resources;
use dualnet_nn::compress::{Compressed, Layers, Method, Options, Size, Steps, Teacher, compress, save};
use dualnet_nn::{Embedder, Encoder, Ffn, Inputs};
use std::path::Path;

const PLAIN: Options = Options {
    method: Method::Neurons,
    size: Size::Hidden(12),
    layers: Layers::All,
    steps: Steps { local: 0, distill: 0 },
    whole: false,
    tokens: 4096,
    pooler: None,
};

fn run(name: &str, options: &Options, threads: usize) -> dualnet_nn::Result<Compressed> {
    let embedder = Embedder::load(&tiny(name)).unwrap();
    let resources = Resources::new(threads).unwrap();
    let tokens = embedder.tokenizer.encode(&sentences(300), &resources).unwrap();
    let original = Teacher { encoder: &embedder.encoder, pooling: embedder.pooling };
    compress(&original, &Inputs::Texts(tokens.texts), options, &resources)
}

#[test]
fn all_neurons_give_the_original_back_but_for_the_ridge() {
    let report = run("bert", &Options { size: Size::Ratio(1.0), ..PLAIN }, 1).unwrap().report;
    assert!(report.fit.cosine > 0.9999 && report.fit.hidden_error < 1e-3, "{:?}", report.fit);
    assert_eq!(report.parameters[0], report.parameters[1]);
}

#[test]
fn refits_beat_pruning_and_steps_beat_refits() {
    let neurons = run("bert", &PLAIN, 2).unwrap().report;
    let prune = run("bert", &Options { method: Method::Prune, ..PLAIN }, 2).unwrap().report;
    let relu = run("bert", &Options { method: Method::Relu, ..PLAIN }, 2).unwrap().report;
    assert!(neurons.fit.hidden_error < 0.7 * prune.fit.hidden_error, "{:?} {:?}", neurons.fit, prune.fit);
    assert!(neurons.fit.hidden_error < relu.fit.hidden_error, "{:?} {:?}", neurons.fit, relu.fit);
    let svd = |size| run("bert", &Options { method: Method::Svd, size, ..PLAIN }, 2).unwrap().report;
    let [most, half] = [Size::Ratio(1.0), Size::Hidden(12)].map(svd);
    assert!(most.fit.hidden_error < half.fit.hidden_error && half.fit.cosine > 0.5, "{:?} {:?}", most.fit, half.fit);
    assert!(half.layers[0].parameters[1] <= neurons.layers[0].parameters[1] + 28, "{:?}", half.layers[0]);
    let steps = Options { steps: Steps { local: 60, distill: 40 }, ..PLAIN };
    let stepped = run("bert", &steps, 2).unwrap().report;
    let first = &stepped.layers[0];
    assert!(first.error_local.unwrap() < 0.9 * first.error_fit, "{first:?}");
    let (fit, distilled) = (stepped.fit, stepped.distilled.unwrap());
    assert!(fit.hidden_error < neurons.fit.hidden_error && distilled.hidden_error < fit.hidden_error, "{stepped:?}");
    let whole = run("bert", &Options { whole: true, ..steps }, 2).unwrap().report.distilled.unwrap();
    assert!(whole.hidden_error < distilled.hidden_error, "{whole:?} {distilled:?}");
    assert_eq!((first.hidden, first.flops), ([28, 12], [4 * 28 * 20, 4 * 12 * 20]));
}

#[test]
fn threads_do_not_change_bits() {
    let options = Options { steps: Steps { local: 5, distill: 5 }, ..PLAIN };
    assert_eq!(run("mpnet", &options, 1).unwrap().encoder, run("mpnet", &options, 3).unwrap().encoder);
}

fn saved(name: &str, options: &Options, to: &Path) -> Compressed {
    let compressed = run(name, options, 2).unwrap();
    save(&tiny(name), to, &compressed, options.method).unwrap();
    compressed
}

#[test]
fn folders_load_again_in_every_family() {
    let (outer, mut stayed) = (tempfile::tempdir().unwrap(), 0);
    for (name, whole) in FAMILIES.into_iter().flat_map(|name| [(name, false), (name, true)]) {
        let to = outer.path().join(format!("{name}-{whole}"));
        let compressed = saved(name, &Options { steps: Steps { local: 2, distill: 2 }, whole, ..PLAIN }, &to);
        let qkv = |encoder: &Encoder| encoder.layers[1].attention.qkv.clone();
        // Two steps may do harm, and are undone then.
        let learned = whole && !compressed.report.undone;
        assert_eq!(qkv(&compressed.encoder) != qkv(&Encoder::load(&tiny(name)).unwrap().0), learned, "{name}");
        stayed += usize::from(learned);
        let (encoder, config) = Encoder::load(&to).unwrap();
        assert_eq!(encoder, compressed.encoder, "{name}");
        assert_eq!(config.widths, [12, 12]);
        assert!(to.join("tokenizer.json").is_file() && to.join("compress.json").is_file());
        let error = save(&tiny(name), &to, &compressed, Method::Neurons).unwrap_err().to_string();
        assert!(error.contains("a name that is free"), "{error}");
    }
    assert!(stayed > 0);
    // Nothing but two folders of each family: no temporary ones.
    assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 2 * FAMILIES.len());
}

#[test]
fn other_methods_and_some_layers_load_again() {
    let outer = tempfile::tempdir().unwrap();
    let to = outer.path().join("some");
    let some = saved("bert", &Options { layers: Layers::Named(vec![1]), ..PLAIN }, &to);
    let (encoder, config) = Encoder::load(&to).unwrap();
    assert_eq!((encoder, config.widths), (some.encoder, vec![28, 12]));

    let to = outer.path().join("relu");
    let relu = saved("distilbert", &Options { method: Method::Relu, ..PLAIN }, &to);
    assert_eq!(Encoder::load(&to).unwrap().0, relu.encoder);

    let to = outer.path().join("svd");
    let svd = saved("roberta", &Options { method: Method::Svd, steps: Steps { local: 3, distill: 3 }, ..PLAIN }, &to);
    let (encoder, config) = Encoder::load(&to).unwrap();
    // 12 neurons of 28 at d = 20: rank 5.
    assert_eq!((encoder, config.widths, config.ranks), (svd.encoder, vec![28, 28], vec![5, 5]));
    let json = std::fs::read_to_string(to.join("config.json")).unwrap();
    std::fs::write(to.join("config.json"), json.replace("ffn_ranks", "ffn_rank")).unwrap();
    let error = Encoder::load(&to).unwrap_err().to_string();
    assert!(error.contains("shape [28, 20]") && error.contains("[28, 5]"), "{error}");

    let to = outer.path().join("dropped");
    let steps = Steps { local: 0, distill: 3 };
    let drop = Options { method: Method::DropLayers, size: Size::Ratio(0.5), steps, ..PLAIN };
    let dropped = saved("mpnet", &drop, &to);
    let (encoder, config) = Encoder::load(&to).unwrap();
    assert_eq!((encoder, config.layers(), dropped.kept), (dropped.encoder, 1, vec![1]));
}

#[test]
fn widths_follow_the_error_allowed() {
    let with = |error| run("bert", &Options { size: Size::Error(error), ..PLAIN }, 2).unwrap();
    for error in [0.05, 0.3] {
        let compressed = with(error);
        for layer in &compressed.report.layers {
            let whole = layer.hidden[1] == 28 || layer.hidden[1].is_multiple_of(16);
            // The ridge leaves a little more than the selection, which has none.
            assert!(whole && layer.error_fit < 1.1 * error, "{error}: {layer:?}");
        }
    }
    let widths = |error| with(error).report.layers.iter().map(|l| l.hidden[1]).sum::<usize>();
    assert!(widths(0.3) < widths(0.001), "{} {}", widths(0.3), widths(0.001));
}

#[test]
fn the_layer_of_least_damage_is_chosen() {
    let chosen = run("roberta", &Options { layers: Layers::LeastDamage(1), ..PLAIN }, 2).unwrap().report;
    let alone =
        |layer| run("roberta", &Options { layers: Layers::Named(vec![layer]), ..PLAIN }, 2).unwrap().report.fit.cosine;
    let best = if alone(0) > alone(1) { 0 } else { 1 };
    assert_eq!(chosen.layers.iter().map(|l| l.layer).collect::<Vec<_>>(), [best]);
    for (layer, damage) in chosen.damage.iter().enumerate() {
        assert!((1.0 - damage - alone(layer)).abs() < 1e-12, "{layer}: {damage}");
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |options: Options, words: &str| {
        let error = run("bert", &options, 1).unwrap_err().to_string();
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    };
    refused(Options { size: Size::Hidden(29), ..PLAIN }, "from 1 to 28, found 29");
    refused(Options { size: Size::Hidden(0), ..PLAIN }, "from 1 to 28, found 0");
    refused(Options { size: Size::Ratio(f64::NAN), ..PLAIN }, "ratio");
    refused(Options { size: Size::Error(1.5), ..PLAIN }, "share of the variance");
    refused(Options { size: Size::Error(0.2), method: Method::Relu, ..PLAIN }, "method neurons");
    refused(Options { layers: Layers::LeastDamage(3), ..PLAIN }, "from 1 to 2");
    refused(Options { layers: Layers::LeastDamage(1), method: Method::Relu, ..PLAIN }, "all, for random features");
    refused(Options { layers: Layers::Named(vec![2]), ..PLAIN }, "numbers from 0 to 1");
    refused(Options { layers: Layers::Named(vec![]), ..PLAIN }, "layers");
    refused(Options { layers: Layers::Named(vec![0]), method: Method::Relu, ..PLAIN }, "all, for random features");
    refused(Options { method: Method::DropLayers, ..PLAIN }, "a ratio alone");

    let embedder = Embedder::load(&tiny("bert")).unwrap();
    let resources = Resources::new(1).unwrap();
    let few = embedder.tokenizer.encode(&sentences(19), &resources).unwrap();
    let original = Teacher { encoder: &embedder.encoder, pooling: embedder.pooling };
    let error = compress(&original, &Inputs::Texts(few.texts), &PLAIN, &resources).unwrap_err().to_string();
    assert!(error.contains("at least 20 texts or images, found 19"), "{error}");
    let mut adapted = embedder.encoder.clone();
    adapted.layers[1].ffn_adapter = Some(Ffn::snnk_adapter(&[0.0; 20], 4, 0, &resources).unwrap());
    let some = Inputs::Texts(embedder.tokenizer.encode(&sentences(100), &resources).unwrap().texts);
    let teacher = Teacher { encoder: &adapted, pooling: embedder.pooling };
    let error = compress(&teacher, &some, &PLAIN, &resources).unwrap_err().to_string();
    assert!(error.contains("layer 1: expected no adapters, found an adapter"), "{error}");
    let mut compressed = compress(&original, &some, &PLAIN, &resources).unwrap();
    compressed.encoder = adapted;
    let error = save(&tiny("bert"), Path::new("never"), &compressed, Method::Neurons).unwrap_err().to_string();
    assert!(error.contains("layer 1: expected no adapters") && !Path::new("never").exists(), "{error}");
    let tight = Resources::new(1).unwrap().with_memory(1000);
    let some = embedder.tokenizer.encode(&sentences(100), &resources).unwrap();
    let error = compress(&original, &Inputs::Texts(some.texts), &PLAIN, &tight).unwrap_err().to_string();
    assert!(error.contains("calibration") && error.contains("fewer tokens"), "{error}");
}
