//! Saved models.

use super::Place;
use dualnet_io::model_folder::{JSON, TENSORS, load, save};
use serde_json::json;

#[test]
fn what_is_saved_is_loaded_bit_for_bit_and_by_the_reference_reader() {
    let place = Place::new();
    let path = place.path("model");
    let values: Vec<f64> = (0..6).map(|i| (i as f64).sqrt() * 1e-300).collect();
    save(&path, json!({"net": "fc-relu-3"}), &[("b", &[2, 3], &values), ("a", &[], &[7.0]), ("e", &[0, 4], &[])])
        .unwrap();
    let (json, tensors) = load(&path).unwrap();
    assert_eq!(json["net"], "fc-relu-3");
    assert!(json["hashes"][TENSORS].as_str().unwrap().starts_with("blake3:"));
    assert_eq!((tensors["b"].shape.as_slice(), tensors["b"].to_f64()), (&[2, 3][..], values));
    assert_eq!((tensors["a"].to_f64(), tensors["e"].shape.as_slice()), (vec![7.0], &[0, 4][..]));
    let bytes = std::fs::read(path.join(TENSORS)).unwrap();
    let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(reference.tensor("a").unwrap().data(), 7f64.to_le_bytes());
    assert_eq!(place.names(), ["model"]);
}

#[test]
fn a_damaged_or_missing_file_is_named() {
    let place = Place::new();
    let path = place.path("model");
    save(&path, json!({}), &[("a", &[2], &[1.0, 2.0])]).unwrap();
    let tensors = path.join(TENSORS);
    let mut bytes = std::fs::read(&tensors).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&tensors, &bytes).unwrap();
    let text = place.text(load(&path));
    assert!(text.starts_with("model/model.safetensors: damaged: its hash is blake3:"), "{text}");
    assert!(text.ends_with("; restore it from a copy") && text.contains("model.json says blake3:"), "{text}");
    std::fs::remove_file(&tensors).unwrap();
    assert!(place.text(load(&path)).starts_with("model/model.safetensors: cannot open: No such file"));
    std::fs::write(path.join(JSON), "{\"hashes\": {}}").unwrap();
    let text = place.text(load(&path));
    assert_eq!(
        text,
        "model/model.json: key hashes: expected the hash of model.safetensors, found none; save the model again"
    );
    std::fs::write(path.join(JSON), "{\n  \"a\": }").unwrap();
    assert!(place.text(load(&path)).starts_with("model/model.json: line 2, column 8: expected JSON"));
}

#[test]
fn a_model_replaces_a_model_and_nothing_else() {
    let place = Place::new();
    let path = place.path("model");
    save(&path, json!({"v": 1}), &[]).unwrap();
    save(&path, json!({"v": 2}), &[("a", &[1], &[1.0])]).unwrap();
    assert_eq!(load(&path).unwrap().0["v"], 2);
    std::fs::create_dir(place.path("photos")).unwrap();
    place.put("photos/cat.jpg", "cat");
    let text = place.text(save(&place.path("photos"), json!({}), &[]));
    assert_eq!(
        text,
        "photos: the path to write to: expected a free name, or a folder with model.json, found another folder; \
         choose another name or remove what is there"
    );
    place.put("file", "");
    assert!(place.text(save(&place.path("file"), json!({}), &[])).contains("found a file"));
    assert_eq!(place.names(), ["file", "model", "photos"]);
}

#[test]
fn impossible_models_leave_nothing() {
    let place = Place::new();
    let path = place.path("model");
    assert!(save(&path, json!([]), &[]).is_err());
    assert!(save(&path, json!({}), &[("a", &[3], &[1.0])]).is_err());
    assert!(save(&path, json!({}), &[("a", &[1], &[1.0]), ("a", &[1], &[1.0])]).is_err());
    let text = place.text(save(&place.path("no/model"), json!({}), &[]));
    assert_eq!(
        text,
        "no/model: cannot create: No such file or directory (os error 2); create the folder it shall lie in first"
    );
    assert_eq!(place.names(), Vec::<String>::new());
}
