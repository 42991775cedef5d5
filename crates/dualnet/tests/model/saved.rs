//! Models taken apart and put together, whole and damaged.

use crate::data::{frame, one, single, thirds, wave, words};
use dualnet::model::{Encoding, FitOptions, Frame, Model, Parts, Tensor, fit};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Words and numbers, so that every step of preprocessing is in it.
fn mixed(n: usize) -> Frame {
    let mut columns = frame(n, 2, 51).columns().to_vec();
    let letters: Vec<&str> = (0..n).map(|i| ["a", "b", "c"][i * 7 % 3]).collect();
    columns.push(words("letter", &letters));
    Frame::new(columns).unwrap()
}

fn models() -> [(Frame, Model); 2] {
    let x = mixed(24);
    let options = FitOptions { encodings: vec![Encoding::Binned], ..single() };
    [wave(&x, 0.1, 51), thirds(&x)].map(|target| (x.clone(), fit(&x, &target, &options, &one()).unwrap()))
}

/// Through the text of the description, as a file would.
fn through_text(parts: Parts) -> Parts {
    Parts { json: serde_json::from_str(&parts.json.to_string()).unwrap(), tensors: parts.tensors }
}

#[test]
fn parts_give_the_same_bits() {
    for (x, model) in models() {
        let again = Model::from_parts(through_text(model.to_parts().unwrap()), &one()).unwrap();
        assert_eq!(again.report(), model.report());
        assert_eq!(again.predict(&x, Some(0.7), &one()).unwrap(), model.predict(&x, Some(0.7), &one()).unwrap());
        assert_eq!(again.to_parts().unwrap(), model.to_parts().unwrap());
        assert_eq!((again.task(), again.targets(), again.classes()), (model.task(), model.targets(), model.classes()));
    }
}

#[test]
fn damaged_arrays_are_errors_that_name_them() {
    for (_, model) in models() {
        let whole = model.to_parts().unwrap();
        for at in 0..whole.tensors.len() {
            let name = whole.tensors[at].name.clone();
            let with = |change: &dyn Fn(&mut Vec<Tensor>)| {
                let mut parts = whole.clone();
                change(&mut parts.tensors);
                Model::from_parts(parts, &one()).unwrap_err().to_string()
            };
            let errors = [
                with(&|t| drop(t.remove(at))),
                with(&|t| t[at].shape.push(1)),
                with(&|t| t[at].shape[0] += 1),
                with(&|t| t[at].shape[0] = usize::MAX),
                with(&|t| t[at].shape.clear()),
                with(&|t| t[at].data.truncate(0)),
                with(&|t| t[at].data[0] = f64::NAN),
                with(&|t| t[at].data[0] = f64::INFINITY),
                with(&|t| t.push(Tensor { name: format!("{name}2"), shape: vec![1], data: vec![0.0] })),
            ];
            for error in errors {
                assert!(error.contains(&name), "{name}: {error}");
            }
            // Twice the same array.
            assert!(with(&|t| t.push(t[at].clone())).contains("no part of the model asks for"));
        }
    }
}

#[test]
fn damaged_fields_are_errors_that_name_them() {
    let damages = [
        ("/format", json!(6)),
        ("/format", json!("1")),
        ("/kernel", json!("both")),
        ("/net", json!({"layers": ["dense", "blur"]})),
        ("/net", json!({"layers": [{"conv": {"kernel": [3, 3]}}, "flatten", "dense"]})),
        ("/target/kind", json!("colours")),
        ("/lambda_absolute", json!(-1.0)),
        ("/lambda_absolute", json!(null)),
        ("/preprocess/encoding", json!("sparse")),
        ("/preprocess/width", json!(3)),
        ("/preprocess/width", json!(u64::MAX)),
        ("/preprocess/factor", json!(0)),
        ("/preprocess/steps", json!([])),
        ("/preprocess/steps/0/scale/clip", json!(-3.0)),
        ("/preprocess/steps/1/bins/bins/edges/0", json!(1e300)),
        ("/preprocess/steps/1/bins/bins/means", json!([0.0])),
        ("/preprocess/steps/4/one_hot/levels/0", json!("z")),
        ("/report/n_train", json!("many")),
        ("/report/loo", json!(1)),
    ];
    for (_, model) in models() {
        let whole = model.to_parts().unwrap();
        let own: Vec<(&str, Value)> = match whole.json.pointer("/target/labels") {
            Some(_) => vec![("/target/labels", json!(["one"])), ("/target/scale", json!(-1.0))],
            None => vec![
                ("/target/names", json!(["a", "b"])),
                ("/target/noise", json!(-1.0)),
                ("/target/width", json!("none")),
            ],
        };
        for (pointer, value) in damages.iter().cloned().chain(own) {
            let mut parts = whole.clone();
            let Some(place) = parts.json.pointer_mut(pointer) else { unreachable!("no {pointer}") };
            *place = value;
            let Err(error) = Model::from_parts(parts, &one()) else { unreachable!("{pointer} was taken") };
            let error = error.to_string();
            let field = pointer.split('/').nth(1).unwrap();
            assert!(error.contains(field) || field == "net", "{pointer}: {error}");
        }
        for field in ["format", "net", "kernel", "preprocess", "target", "lambda_absolute", "report"] {
            let mut parts = whole.clone();
            parts.json.as_object_mut().unwrap().remove(field);
            let error = Model::from_parts(parts, &one()).unwrap_err().to_string();
            assert!(error.contains(&format!("model.json: {field}")), "{error}");
        }
    }
}

/// Replaces the value at the `at`-th place of a walk through `value`.
fn replace(value: &mut Value, at: &mut usize, new: &Value) {
    if *at == 0 {
        *value = new.clone();
        *at = usize::MAX;
        return;
    }
    *at = at.saturating_sub(1);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|v| replace_unless_done(v, at, new)),
        Value::Object(map) => map.values_mut().for_each(|v| replace_unless_done(v, at, new)),
        _ => {}
    }
}

fn replace_unless_done(value: &mut Value, at: &mut usize, new: &Value) {
    // No description has so many places: what is left after the replacement.
    if *at < usize::MAX / 2 {
        replace(value, at, new);
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
        Just(json!(true)),
        Just(json!("")),
        Just(json!("plain")),
        any::<f64>().prop_map(|x| json!(x)),
        any::<u64>().prop_map(|x| json!(x)),
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!([1.0, 0.0])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// A changed description is refused, or describes a model that predicts finite numbers or says why not.
    #[test]
    fn changed_descriptions_never_panic(place in 0usize..260, new in any_value(), which in 0usize..2) {
        static MODELS: std::sync::LazyLock<[(Frame, Model); 2]> = std::sync::LazyLock::new(models);
        let (x, model) = &MODELS[which];
        let mut parts = model.to_parts().unwrap();
        let mut at = place;
        replace(&mut parts.json, &mut at, &new);
        if let Ok(changed) = Model::from_parts(parts, &one()) {
            let _ = changed.to_parts().unwrap();
            if let Ok(prediction) = changed.predict(x, Some(0.7), &one()) {
                let text = format!("{prediction:?}");
                prop_assert!(!text.contains("NaN") && !text.contains("inf"));
            }
        }
    }
}
