//! `dualnet embed`, `dualnet compress` and `dualnet export`, on tiny encoders.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::path::{Path, PathBuf};

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dualnet-nn/tests/tiny").join(name)
}

fn texts(count: usize) -> String {
    let words = ["the", "film", "is", "good", "bad", "very", "not", "scene", "music", "story", "dull"];
    let line = |i: usize| (0..4 + i % 7).map(|j| words[(i * 5 + j * (2 + i / 11)) % 11]).collect::<Vec<_>>().join(" ");
    (0..count).map(|i| line(i) + "\n").collect()
}

fn npy_of(place: &Place, name: &str) -> (Vec<usize>, Vec<f64>) {
    let array = dualnet_io::npy::read(&place.path(name), 1 << 20).unwrap();
    (array.shape.clone(), array.into_f64())
}

#[test]
fn embeds_and_compresses() {
    let place = Place::new();
    place.put("texts.txt", texts(200));
    let model = tiny("bert");
    let model = model.display();
    let all = place.json(&format!("embed {model} --texts texts.txt -o e.npy"));
    assert_eq!((&all["texts"], &all["dimension"], &all["cut"]), (&200.into(), &20.into(), &0.into()));
    let (shape, original) = npy_of(&place, "e.npy");
    assert_eq!(shape, [200, 20]);

    let before = std::fs::read(tiny("bert").join("model.safetensors")).unwrap();
    let plan = place.json(&format!("compress {model} --texts texts.txt --hidden 12 --dry-run"));
    assert_eq!((&plan["texts"], &plan["steps_local"]), (&200.into(), &150.into()));
    let line = format!("compress {model} --texts texts.txt --hidden 12 --distill-steps 20 -o small");
    let report = place.json(&line);
    assert_eq!((&report["layers"][1]["hidden"], &report["texts_apart"]), (&serde_json::json!([28, 12]), &10.into()));
    assert_eq!(before, std::fs::read(tiny("bert").join("model.safetensors")).unwrap());
    place.ok("embed small --texts texts.txt -o small.npy");
    let (_, own) = npy_of(&place, "small.npy");
    let cosine = original.iter().zip(&own).map(|(a, b)| a * b).sum::<f64>() / 200.0;
    let said = report["distilled"]["cosine"].as_f64().unwrap();
    assert!((cosine - said).abs() < 0.05, "{cosine} on all texts, {said} on those kept apart");
    place.fails(&line, &["-o", "a name that is free"]);
}

#[test]
fn images_of_any_size_are_embedded_and_calibrated_on() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("pictures/more")).unwrap();
    for i in 0..60u32 {
        let pixel = |x, y| image::Rgb([(x * i) as u8, (y * 3 + i) as u8, (x * y + i * i) as u8]);
        let name = if i < 50 { format!("pictures/{i:02}.png") } else { format!("pictures/more/{i}.png") };
        image::RgbImage::from_fn(10 + i % 5, 12 + i % 3, pixel).save(place.path(&name)).unwrap();
    }
    let model = tiny("vit");
    let model = model.display();
    let said = place.json(&format!("embed {model} --images pictures -o e.npy"));
    // Nine patches and the first token each.
    assert_eq!((&said["images"], &said["tokens"], &said["size"]), (&60.into(), &600.into(), &12.into()));
    let (shape, original) = npy_of(&place, "e.npy");
    assert_eq!(shape, [60, 20]);
    let report =
        place.json(&format!("compress {model} --images pictures --max-error 0.05 --distill-steps 30 -o small"));
    assert_eq!(report["texts_apart"], 3);
    place.ok("embed small --images pictures -o small.npy");
    let (_, own) = npy_of(&place, "small.npy");
    let cosine = original.iter().zip(&own).map(|(a, b)| a * b).sum::<f64>() / 60.0;
    assert!(cosine > 0.9, "{cosine}");
    let best =
        place.json(&format!("compress {model} --images pictures --hidden 16 --best-layers 1 --steps none -o best"));
    assert_eq!((best["damage"].as_array().unwrap().len(), best["layers"].as_array().unwrap().len()), (2, 1));
    place.fails(&format!("embed {model} --texts e.npy -o f.npy"), &["e.npy"]);
    std::fs::create_dir(place.path("none")).unwrap();
    place.fails(&format!("embed {model} --images none -o f.npy"), &["none", "at least one image"]);
}

#[test]
fn poolers_are_applied_and_replaced() {
    let place = Place::new();
    place.put("texts.txt", texts(400));
    let model = tiny("bert");
    let model = model.display();
    place.ok(&format!("embed {model} --texts texts.txt --pooling pooler -o e.npy"));
    let (shape, original) = npy_of(&place, "e.npy");
    assert_eq!(shape, [400, 20]);
    let plan = place.json(&format!("compress {model} --texts texts.txt --pooler 128 --dry-run"));
    assert_eq!((&plan["pooler"], &plan["tokens_fit"], &plan["steps_distill"]), (&128.into(), &0.into(), &0.into()));
    let report = place.json(&format!("compress {model} --texts texts.txt --pooler 128 -o p"));
    let pooler = &report["pooler"];
    assert_eq!((&pooler["features"], &pooler["inputs"]), (&128.into(), &380.into()));
    let left = pooler["variance_left"].as_f64().unwrap();
    assert!(left > 0.0 && left < 0.3, "{left}");
    assert!(report["layers"].as_array().unwrap().is_empty() && report["distilled"].is_null(), "{report}");
    place.ok("embed p --texts texts.txt --pooling pooler -o p.npy");
    let cosine = original.iter().zip(npy_of(&place, "p.npy").1).map(|(a, b)| a * b).sum::<f64>() / 400.0;
    assert!(cosine > 0.95 && cosine < 0.999_999, "{cosine}");
    // All else is as it was.
    place.ok(&format!("embed {model} --texts texts.txt -o mean.npy"));
    place.ok("embed p --texts texts.txt -o same.npy");
    assert_eq!(npy_of(&place, "mean.npy"), npy_of(&place, "same.npy"));

    let both = format!("compress {model} --texts texts.txt --hidden 12 --steps none --pooler 32 -o both");
    let said = place.ok(&both);
    assert!(said.err.contains("pooler: 32 features fitted on 380 inputs, 420 -> 1332 parameters"), "{}", said.err);
    place.fails(&format!("compress {model} --texts texts.txt --pooler 32 --layers 1 -o q"), &["--ratio", "layers"]);
    place.fails(&format!("compress {model} --texts texts.txt --pooler 32 --method svd -o q"), &["method", "neurons"]);
    let bare = tiny("distilbert");
    let bare = bare.display();
    place.fails(&format!("compress {bare} --texts texts.txt --pooler 32 -o q"), &["pooler.dense", "none"]);
    place.fails(
        &format!("embed {bare} --texts texts.txt --pooling pooler -o q.npy"),
        &["pooler.dense", "--pooling cls"],
    );
    assert!(!place.path("q").exists() && !place.path("q.npy").exists());
}

/// What the files hold is tested beside `dualnet_nn::onnx`.
#[test]
fn encoders_are_exported() {
    let place = Place::new();
    let [text, image] = ["bert", "vit"].map(|name| tiny(name).display().to_string());
    let full = place.json(&format!("export {text} -o m.onnx"));
    let size = std::fs::metadata(place.path("m.onnx")).unwrap().len();
    assert_eq!((&full["bytes"], &full["precision"], &full["rounding"]), (&size.into(), &"f32".into(), &0.0.into()));
    let whole = place.json(&format!("export {text} --int8 --pooling cls -o m.onnx"));
    let smaller = std::fs::metadata(place.path("m.onnx")).unwrap().len();
    assert!(smaller < size && whole["bytes"] == smaller && whole["rounding"].as_f64().unwrap() > 1e-4, "{whole}");
    place.ok(&format!("export {image} -o v.onnx"));
    place.fails("export nowhere -o n.onnx", &["nowhere", "config.json"]);
    place.fails(&format!("export {} --pooling pooler -o n.onnx", tiny("distilbert").display()), &["pooler.dense"]);
    assert!(!place.path("n.onnx").exists());
}

#[test]
fn what_cannot_be_done_is_said() {
    let place = Place::new();
    place.put("texts.txt", texts(30));
    place.put("empty.txt", "");
    place.put("blank.txt", "\n \n\n");
    place.put("latin.txt", b"film\nd\xe9j\xe0\n");
    let model = tiny("distilbert");
    let model = model.display();
    let fails = |rest: &str, parts: &[&str]| place.fails(&format!("compress {model} -o out {rest}"), parts);
    fails("--texts empty.txt --ratio 0.5", &["empty.txt", "an empty file"]);
    fails("--texts blank.txt --ratio 0.5", &["at least 20 texts", "found 0"]);
    fails("--texts latin.txt --ratio 0.5", &["latin.txt", "UTF-8", "line 2"]);
    fails("--texts texts.txt --ratio 0.5 --steps none,local", &["--steps", "none alone"]);
    fails("--texts texts.txt --ratio 1.5", &["ratio", "1.5"]);
    fails("--texts texts.txt --ratio 0.5 --max-tokens 25", &["--max-tokens", "at most 24"]);
    place.fails("embed nowhere --texts texts.txt -o e.npy", &["nowhere", "config.json"]);
    let urf = place.run(&format!("compress {model} -o out --texts texts.txt --ratio 0.5 --method urf"));
    assert!(urf.code == 2 && urf.err.contains("neurons, prune, svd, relu, drop-layers"), "{}", urf.err);
    fails("--texts texts.txt --max-error 2", &["limit of the error", "2"]);
    fails("--texts texts.txt --ratio 0.5 --best-layers 9", &["number of layers", "from 1 to 2"]);
    fails("--images . --ratio 0.5", &["one of images", "--texts"]);
    assert!(!place.path("out").exists() && !place.path("e.npy").exists());

    let done = place.ok(&format!("embed {model} --texts texts.txt --max-tokens 5 -o e.npy"));
    assert!(done.err.contains("longer than 5 tokens"), "{}", done.err);
}
