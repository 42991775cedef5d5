//! Encoders of images against hidden states that transformers computed; images to pixels; smaller encoders of images.

#![allow(clippy::unwrap_used)]

mod common;

use common::tiny;
use dualnet::Resources;
use dualnet_nn::compress::{Layers, Method, Options, Size, Steps, Teacher, compress, save};
use dualnet_nn::{Embedder, Encoder, Filter, Pictures, Pooling, Processor, Resize, VisionEmbedder, embed};
use serde_json::Value;

const FAMILIES: [&str; 3] = ["vit", "deit", "dinov2"];

fn processor(side: usize) -> Processor {
    Processor { resize: Resize::Both(side), filter: Filter::Bilinear, size: side, mean: [0.5; 3], deviation: [0.5; 3] }
}

/// Images, and what transformers makes of them.
fn golden(name: &str) -> (Pictures, Vec<Vec<f64>>) {
    let text = std::fs::read(tiny(name).join("golden.json")).unwrap();
    let mut json: Value = serde_json::from_slice(&text).unwrap();
    let side = json["side"].as_u64().unwrap() as usize;
    let images: Vec<Vec<u8>> = serde_json::from_value(json["rgb"].take()).unwrap();
    let mut pictures = processor(side).pictures();
    for rgb in images {
        processor(side).add(&mut pictures, &rgb, side, side).unwrap();
    }
    (pictures, serde_json::from_value(json["hidden"].take()).unwrap())
}

#[test]
fn hidden_states_are_those_of_transformers() {
    for name in FAMILIES {
        let embedder = VisionEmbedder::load(&tiny(name)).unwrap();
        let (pictures, expected) = golden(name);
        let batch = embedder.inputs(pictures).batch(0..2).unwrap();
        let hidden = embedder.encoder.forward(&batch, &Resources::new(2).unwrap()).unwrap();
        let mut error = 0.0f64;
        for (span, expected) in batch.spans().zip(&expected) {
            let own: Vec<f32> = span.flat_map(|row| hidden.row(row)).copied().collect();
            assert_eq!(own.len(), expected.len(), "{name}");
            error = own.iter().zip(expected).fold(error, |e, (a, b)| e.max((f64::from(*a) - b).abs()));
        }
        assert!(error < 2e-5, "{name}: {error}");
    }
}

/// Pixels that depend on the image's number.
fn noise(count: usize, side: usize) -> Pictures {
    let mut pictures = processor(side).pictures();
    for image in 0..count {
        let pixel = |i: usize| ((i * (7 + image) + i / 3 * image + image * image) % 251) as u8;
        let rgb: Vec<u8> = (0..side * side * 3).map(pixel).collect();
        processor(side).add(&mut pictures, &rgb, side, side).unwrap();
    }
    pictures
}

#[test]
fn smaller_encoders_of_images_load_again() {
    let outer = tempfile::tempdir().unwrap();
    for name in FAMILIES {
        let embedder = VisionEmbedder::load(&tiny(name)).unwrap();
        let inputs = embedder.inputs(noise(120, 12));
        let original = Teacher { encoder: &embedder.encoder, pooling: embedder.pooling };
        let steps = Steps { local: 40, distill: 30 };
        let options = Options {
            method: Method::Neurons,
            size: Size::Hidden(12),
            layers: Layers::All,
            steps,
            whole: true,
            tokens: 4096,
            pooler: None,
        };
        let run = |threads| compress(&original, &inputs, &options, &Resources::new(threads).unwrap()).unwrap();
        let compressed = run(2);
        assert_eq!(compressed.encoder, run(1).encoder, "{name}");
        let report = compressed.report.clone();
        let distilled = report.distilled.unwrap();
        assert!(report.layers[0].error_local.unwrap() < report.layers[0].error_fit, "{name}: {report:?}");
        assert!(distilled.hidden_error < report.fit.hidden_error, "{name}: {report:?}");
        let to = outer.path().join(name);
        save(&tiny(name), &to, &compressed, Method::Neurons).unwrap();
        let (encoder, config) = Encoder::load(&to).unwrap();
        assert_eq!((encoder, config.widths), (compressed.encoder, vec![12, 12]), "{name}");
        // A multiple of d, which is 20: standard for DINOv2 too.
        let to = outer.path().join(format!("{name}-20"));
        let wide = Options { size: Size::Hidden(20), steps: Steps { local: 0, distill: 0 }, ..options.clone() };
        let wide = compress(&original, &inputs, &wide, &Resources::new(2).unwrap()).unwrap();
        save(&tiny(name), &to, &wide, Method::Neurons).unwrap();
        let json: Value = serde_json::from_slice(&std::fs::read(to.join("config.json")).unwrap()).unwrap();
        let key = if name == "dinov2" { json["mlp_ratio"] == 1 } else { json["intermediate_size"] == 20 };
        assert!(key && json.get("intermediate_sizes").is_none(), "{name}: {json}");
        assert_eq!(Encoder::load(&to).unwrap().0, wide.encoder, "{name}");
        // All neurons: the original but for the ridge.
        let whole = Options { size: Size::Ratio(1.0), steps: Steps { local: 0, distill: 0 }, ..options };
        let whole = compress(&original, &inputs, &whole, &Resources::new(2).unwrap()).unwrap().report;
        assert!(whole.fit.cosine > 0.999, "{name}: {:?}", whole.fit);
    }
}

#[test]
fn an_image_gives_the_same_bits_alone() {
    let embedder = VisionEmbedder::load(&tiny("deit")).unwrap();
    let resources = Resources::new(2).unwrap();
    let of = |count| embed(&embedder.encoder, Pooling::Cls, &embedder.inputs(noise(count, 12)), &resources).unwrap();
    assert_eq!(of(30).row(0), of(1).row(0));
}

/// Pillow 13.0's bytes.
const BILINEAR: [u8; 12] = [10, 230, 91, 32, 185, 104, 58, 135, 96, 80, 90, 109];
const BICUBIC: [u8; 12] = [8, 234, 87, 32, 186, 100, 58, 134, 100, 82, 86, 113];
const BICUBIC_UP: [u8; 39] = [
    0, 251, 0, 6, 238, 147, 14, 222, 123, 22, 206, 19, 30, 191, 199, 37, 175, 36, 45, 160, 100, 53, 145, 164, 60, 129,
    1, 68, 114, 181, 76, 98, 77, 84, 82, 53, 90, 69, 210,
];

#[test]
fn resizing_is_that_of_pillow() {
    let row: Vec<u8> = (0..10).flat_map(|i| [10 * i, 250 - 20 * i, (i % 2) * 200]).collect();
    let resized = |filter, to: usize| {
        let processor = Processor { resize: Resize::Both(to), filter, size: to, mean: [0.0; 3], deviation: [1.0; 3] };
        let rows: Vec<u8> = std::iter::repeat_n(&row, 10).flatten().copied().collect();
        let mut pictures = processor.pictures();
        processor.add(&mut pictures, &rows, 10, 10).unwrap();
        pictures.bytes()[..3 * to].to_vec()
    };
    assert_eq!(resized(Filter::Bilinear, 4), BILINEAR);
    assert_eq!(resized(Filter::Bicubic, 4), BICUBIC);
    assert_eq!(resized(Filter::Bicubic, 13), BICUBIC_UP);
}

#[test]
fn the_shorter_side_is_resized_and_the_middle_cut_out() {
    let processor = Processor { resize: Resize::Shortest(4), size: 2, ..processor(4) };
    // Columns 0..16 of 8 rows become columns 0..8 of 4 rows; columns 3 and 4 stay.
    let rgb: Vec<u8> = (0..8 * 16).flat_map(|i| [(i % 16) as u8 * 10; 3]).collect();
    let mut pictures = processor.pictures();
    processor.add(&mut pictures, &rgb, 8, 16).unwrap();
    assert_eq!((pictures.len(), pictures.size()), (1, 2));
    assert_eq!(pictures.bytes(), [[65; 3], [85; 3], [65; 3], [85; 3]].concat());
    assert!(processor.add(&mut pictures, &rgb, 8, 15).is_err());
}

#[test]
fn descriptions_of_processors_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(tiny("dinov2").join(file), folder.path().join(file)).unwrap();
    }
    let load = |text: &str| {
        std::fs::write(folder.path().join("preprocessor_config.json"), text).unwrap();
        VisionEmbedder::load(folder.path()).map(|e| e.processor).map_err(|e| e.to_string())
    };
    let read = load(
        r#"{"size": {"shortest_edge": 25}, "do_center_crop": true, "crop_size": {"height": 20, "width": 20}, "resample": 3,
           "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "rescale_factor": 0.00392156862745098}"#,
    );
    let expected = Processor {
        resize: Resize::Shortest(25),
        filter: Filter::Bicubic,
        size: 20,
        mean: [0.1, 0.2, 0.3],
        deviation: [0.4, 0.5, 0.6],
    };
    assert_eq!(read, Ok(expected));
    for (text, word) in [
        (r#"{"size": {"height": 3, "width": 4}}"#, "size"),
        (r#"{"resample": 1}"#, "resample"),
        (r#"{"do_normalize": false}"#, "do_normalize"),
        (r#"{"image_std": [1, 1, 0]}"#, "image_std"),
        (r#"{"rescale_factor": 1.0}"#, "rescale_factor"),
        (r#"{"size": 2}"#, "preprocessor_config.json"),
    ] {
        let error = load(text).unwrap_err();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn texts_and_images_are_not_confused() {
    let error = VisionEmbedder::load(&tiny("bert")).unwrap_err().to_string();
    assert!(error.contains("--texts"), "{error}");
    let error = Embedder::load(&tiny("vit")).unwrap_err().to_string();
    assert!(error.contains("--images"), "{error}");
    let (encoder, _) = Encoder::load(&tiny("vit")).unwrap();
    let texts = dualnet_nn::Batch::new([&[1u32, 2][..]]).unwrap();
    let error = encoder.forward(&texts, &Resources::new(1).unwrap()).unwrap_err().to_string();
    assert!(error.contains("expected images, found texts"), "{error}");
}
