//! Exported files, run by another implementation of ONNX, against the encoder itself.

#![allow(clippy::unwrap_used)]

mod common;

use common::{FAMILIES, sentences, tiny};
use dualnet::{Mat, Resources};
use dualnet_nn::onnx::{self, Precision};
use dualnet_nn::{Activation, Batch, Embedder, Encoder, Ffn, Inputs, Linear, Pooler, Pooling, VisionEmbedder, embed};
use rten::{Model, ValueOrView};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

const VISION: [(&str, usize); 4] = [("vit", 12), ("deit", 12), ("dinov2", 12), ("dinov2", 16)];

/// Writes a file and runs it: `last_hidden_state` and `embedding`.
fn run(
    encoder: &Encoder,
    (pooling, size): (Pooling, usize),
    precision: Precision,
    inputs: Vec<(&str, ValueOrView)>,
) -> [Tensor<f32>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    let exported = onnx::save(encoder, pooling, size, precision, &file).unwrap();
    assert_eq!(exported.bytes as u64, std::fs::metadata(&file).unwrap().len());
    let model = Model::load_file(&file).unwrap();
    let node = |name: &str| model.node_id(name).unwrap();
    let inputs = inputs.into_iter().map(|(name, value)| (node(name), value)).collect();
    let outputs = ["last_hidden_state", "embedding"].map(node);
    let found = model.run(inputs, &outputs, None).unwrap();
    let found: Vec<Tensor<f32>> = found.into_iter().map(|value| value.try_into().unwrap()).collect();
    found.try_into().unwrap()
}

/// Ids padded at the end, and which of them are tokens.
fn padded(ids: &[Vec<u32>], pad: i32) -> [Tensor<i32>; 2] {
    let longest = ids.iter().map(Vec::len).max().unwrap();
    let row = |ids: &Vec<u32>, of: fn(u32) -> i32, none: i32| {
        let own: Vec<i32> = ids.iter().map(|id| of(*id)).collect();
        own.into_iter().chain(std::iter::repeat(none)).take(longest).collect::<Vec<_>>()
    };
    let all = |of: fn(u32) -> i32, none| ids.iter().flat_map(|ids| row(ids, of, none)).collect::<Vec<_>>();
    [all(|id| id as i32, pad), all(|_| 1, 0)].map(|data| Tensor::from_data(&[ids.len(), longest], data))
}

/// Largest differences of hidden states and of embeddings from those of the encoder.
fn differences(name: &str, encoder: &Encoder, pooling: Pooling, precision: Precision) -> [f32; 2] {
    let embedder = Embedder::load(&tiny(name)).unwrap();
    let resources = Resources::new(2).unwrap();
    let texts = embedder.tokenizer.encode(&sentences(12), &resources).unwrap().texts;
    let [ids, mask] = padded(&texts, 1);
    let given = vec![("input_ids", ids.view().into()), ("attention_mask", mask.view().into())];
    let [hidden, embedding] = run(encoder, (pooling, 0), precision, given);

    let batch = Batch::new(texts.iter().map(Vec::as_slice)).unwrap();
    let own = encoder.forward(&batch, &resources).unwrap();
    let mut worst = [0.0f32; 2];
    for (text, span) in batch.spans().enumerate() {
        for (at, row) in span.enumerate() {
            let found = (0..own.cols()).map(|j| hidden[[text, at, j]]);
            worst[0] = own.row(row).iter().zip(found).fold(worst[0], |e, (a, b)| e.max((a - b).abs()));
        }
    }
    let own = embed(encoder, pooling, &Inputs::Texts(texts), &resources).unwrap();
    worst[1] = largest(&own, &embedding);
    worst
}

fn largest(own: &Mat<f32>, found: &Tensor<f32>) -> f32 {
    assert_eq!(found.shape(), &[own.rows(), own.cols()]);
    own.as_slice().iter().zip(found.iter()).fold(0.0, |e: f32, (a, b)| e.max((a - b).abs()))
}

#[test]
fn files_of_texts_give_what_the_encoder_gives() {
    for name in FAMILIES {
        let (encoder, _) = Encoder::load(&tiny(name)).unwrap();
        for pooling in [Pooling::Mean, Pooling::Cls] {
            let [hidden, embedding] = differences(name, &encoder, pooling, Precision::F32);
            assert!(hidden < 2e-5 && embedding < 5e-6, "{name} {pooling:?}: {hidden} {embedding}");
        }
    }
}

/// Widths that differ, products, adapters, poolers and every activation: what no standard folder holds.
#[test]
fn changed_parts_are_written_as_they_are() {
    let (mut encoder, _) = Encoder::load(&tiny("bert")).unwrap();
    let d = encoder.hidden();
    for activation in [Activation::Relu, Activation::Silu, Activation::GeluTanh] {
        let wave = |rows, cols| Mat::from_fn(rows, cols, |i, j| ((i * cols + j) as f32 * 0.7).sin() / 3.0);
        let ffn = &mut encoder.layers[0].ffn;
        ffn.up = Linear::product(wave(5, 2), wave(2, d), vec![0.1; 5]).unwrap();
        ffn.down = Linear::product(wave(d, 3), wave(3, 5), vec![-0.1; d]).unwrap();
        ffn.activation = activation;
        let adapter = |width| {
            let (up, down) = (Linear::new(wave(width, d), vec![0.2; width]), Linear::new(wave(d, width), vec![0.3; d]));
            Ffn::new(up.unwrap(), activation, down.unwrap()).unwrap()
        };
        encoder.layers[1].attention_adapter = Some(adapter(3));
        encoder.layers[1].ffn_adapter = Some(adapter(4));
        for pooler in [Pooler::Tanh(Linear::new(wave(d, d), vec![0.4; d]).unwrap()), Pooler::Snnk(adapter(7))] {
            encoder.pooler = Some(pooler);
            let [_, embedding] = differences("bert", &encoder, Pooling::Pooler, Precision::F32);
            assert!(embedding < 5e-6, "{activation:?}: {embedding}");
        }
        let ffn = &encoder.layers[0].ffn;
        assert_eq!((ffn.width(), ffn.up.rank()), (5, Some(2)));
        let [hidden, embedding] = differences("bert", &encoder, Pooling::Mean, Precision::F32);
        assert!(hidden < 2e-5 && embedding < 5e-6, "{activation:?}: {hidden} {embedding}");
    }
}

#[test]
fn whole_numbers_are_near() {
    for name in FAMILIES {
        let (encoder, _) = Encoder::load(&tiny(name)).unwrap();
        let [_, embedding] = differences(name, &encoder, Pooling::Mean, Precision::Int8);
        assert!(embedding > 1e-6 && embedding < 0.05, "{name}: {embedding}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (encoder, _) = Encoder::load(&tiny("bert")).unwrap();
    let save = |precision| onnx::save(&encoder, Pooling::Mean, 0, precision, &folder.path().join("m")).unwrap();
    let [full, whole] = [Precision::F32, Precision::Int8].map(save);
    // A step is 1/127 of the largest of a row, an error at most half of it.
    assert!(full.rounding == 0.0 && (1e-4..0.02).contains(&whole.rounding), "{}", whole.rounding);
    assert!(whole.bytes < full.bytes);
}

#[test]
fn files_of_images_give_what_the_encoder_gives() {
    for (name, side) in VISION {
        let mut embedder = VisionEmbedder::load(&tiny(name)).unwrap();
        let processor = &mut embedder.processor;
        (processor.size, processor.resize) = (side, dualnet_nn::Resize::Both(side));
        let mut pictures = processor.pictures();
        let (count, mut pixels) = (3, Vec::new());
        for image in 0..count {
            let rgb: Vec<u8> = (0..side * side * 3).map(|i| ((i * (7 + image) + i / 3) % 251) as u8).collect();
            processor.add(&mut pictures, &rgb, side, side).unwrap();
            for channel in 0..3 {
                let (mean, deviation) = (processor.mean[channel], processor.deviation[channel]);
                let scaled = |i: usize| (f32::from(rgb[3 * i + channel]) / 255.0 - mean) / deviation;
                pixels.extend((0..side * side).map(scaled));
            }
        }
        let pixels = Tensor::from_data(&[count, 3, side, side], pixels);
        let inputs = embedder.inputs(pictures);
        for pooling in [Pooling::Mean, Pooling::Cls] {
            let given = vec![("pixel_values", pixels.view().into())];
            let [_, embedding] = run(&embedder.encoder, (pooling, side), Precision::F32, given);
            let own = embed(&embedder.encoder, pooling, &inputs, &Resources::new(2).unwrap()).unwrap();
            let difference = largest(&own, &embedding);
            assert!(difference < 5e-6, "{name} {side} {pooling:?}: {difference}");
        }
    }
}
