//! Models of images: with dense nets on flattened images, and with nets over positions.

use crate::data::{frame, one, single, wave};
use dualnet::error::Error;
use dualnet::kernel::{Get, Grams, InputShape, Kernel};
use dualnet::model::{
    Augment, Direct, GramSource, ImageModel, ImageOptions, Images, KernelChoice, KernelKind, Model, Parts, Prediction,
    SavedModel, Target, Whiten, fit, fit_images, pair_seconds, plan_images,
};
use dualnet::net::Net;
use dualnet::random::{Draws, Purpose};
use dualnet::{Mat, MatRef, Resources};
use serde_json::json;

const SIDE: usize = 6;

pub fn shape() -> InputShape {
    InputShape::image(SIDE, SIDE, 1)
}

/// A bright bar on a noisy ground: upright (class 1) or lying (class 0), anywhere.
pub fn bars(n: usize, seed: u64) -> (Images, Target) {
    let mut draws = Draws::new(seed, Purpose::ROWS, 9);
    let (mut bytes, mut codes) = (Vec::new(), Vec::new());
    for i in 0..n {
        let at = draws.below(SIDE);
        for p in 0..SIDE * SIDE {
            let on = if i % 2 == 1 { p % SIDE == at } else { p / SIDE == at };
            bytes.push(if on { 200 } else { 40 } + draws.below(40) as u8);
        }
        codes.push(i % 2);
    }
    let labels = vec!["lying".into(), "upright".into()];
    (Images::from_bytes(shape(), &bytes).unwrap(), Target::Classes { name: "y".into(), labels, codes })
}

pub fn brightness(images: &Images) -> Target {
    let mean = |i: usize| images.values().row(i).iter().map(|&x| f64::from(x)).sum::<f64>();
    Target::Numbers { names: vec!["light".into()], values: Mat::from_fn(images.len(), 1, |i, _| 3.0 + mean(i)) }
}

fn options(whiten: Whiten, augment: Augment) -> ImageOptions {
    ImageOptions { whiten, augment, ..ImageOptions::new(Net::parse("fc-relu-2").unwrap()) }
}

pub fn flipped(images: &Images) -> Images {
    let turn = |i: usize, j: usize| images.values()[(i, j / SIDE * SIDE + SIDE - 1 - j % SIDE)];
    Images::new(shape(), Mat::from_fn(images.len(), SIDE * SIDE, turn)).unwrap()
}

pub fn scores(prediction: Prediction) -> Mat<f64> {
    match prediction {
        Prediction::Classes { scores, .. } => scores,
        Prediction::Numbers { values, .. } => values,
    }
}

const WAYS: [(Whiten, Augment); 6] = [
    (Whiten::None, Augment::None),
    (Whiten::Mean, Augment::None),
    (Whiten::Zca, Augment::None),
    (Whiten::None, Augment::Flip),
    (Whiten::Mean, Augment::Flip),
    (Whiten::Zca, Augment::Flip),
];

#[test]
fn every_way_learns_and_predicts_new_images() {
    let ((train, target), (new, truth)) = (bars(60, 1), bars(40, 2));
    for (whiten, augment) in WAYS {
        let model = fit_images(&train, &target, &options(whiten, augment), &mut Direct, &one()).unwrap();
        let report = model.report();
        assert_eq!((report.n_train, report.shape.as_slice(), report.candidates.len()), (60, &[6, 6, 1][..], 2));
        assert!(report.candidates[0].loo_mse <= report.candidates[1].loo_mse);
        assert_eq!(report.kernel, report.candidates[0].kernel);
        let (loo, test) = (report.loo.accuracy.unwrap(), model.evaluate(&new, &truth, &one()).unwrap().0);
        assert!(loo >= 0.9 && test.accuracy.unwrap() >= 0.9, "{whiten:?} {augment:?}: {loo} {test:?}");
        // What is fitted to images and their flips takes both for the same.
        let (a, b) = (&new, &flipped(&new));
        let [a, b] = [a, b].map(|x| scores(model.predict(x, None, &one()).unwrap()));
        let gap = a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert_eq!(gap < 1e-4, augment == Augment::Flip, "{whiten:?} {augment:?}: {gap}");
    }
}

#[test]
fn without_preprocessing_it_is_the_model_of_rows_to_single_precision() {
    let (train, _) = bars(40, 3);
    let target = brightness(&train);
    let chosen = ImageOptions {
        kernel: KernelChoice::Kind(KernelKind::Ntk),
        lambdas: vec![1e-2],
        ..options(Whiten::None, Augment::None)
    };
    let model = fit_images(&train, &target, &chosen, &mut Direct, &one()).unwrap();
    let (new, _) = bars(9, 4);
    let found = scores(model.predict(&new, None, &one()).unwrap());
    // In double precision, by the parts.
    let kernel = dualnet::kernel::DenseKernel::new(&chosen.net, SIDE * SIDE).unwrap();
    let wide = |x: &Images| Mat::from_fn(x.len(), SIDE * SIDE, |i, j| f64::from(x.values()[(i, j)]));
    let (x, z) = (wide(&train), wide(&new));
    let k = kernel.gram(x.as_ref(), Get::Ntk, &one()).unwrap().ntk.unwrap();
    let cross = kernel.cross(z.as_ref(), x.as_ref(), Get::Ntk, &one()).unwrap().ntk.unwrap();
    let Target::Numbers { values, .. } = target else { unreachable!() };
    let path = dualnet::ridge::DualPath::new(k, values.as_ref(), Default::default(), &one()).unwrap();
    let expected = path.fit(1e-2, &one()).unwrap().predict(cross.as_ref(), &one()).unwrap();
    for i in 0..9 {
        assert!((found[(i, 0)] - expected[(i, 0)]).abs() < 1e-3, "{} {}", found[(i, 0)], expected[(i, 0)]);
    }
}

#[test]
fn an_image_alone_and_any_threads_give_the_same_bits() {
    let ((train, target), (new, _)) = (bars(30, 5), bars(20, 6));
    let two = Resources::new(2).unwrap();
    for (whiten, augment) in WAYS {
        let model = fit_images(&train, &target, &options(whiten, augment), &mut Direct, &one()).unwrap();
        let same = fit_images(&train, &target, &options(whiten, augment), &mut Direct, &two).unwrap();
        assert_eq!(model.to_parts().unwrap(), same.to_parts().unwrap());
        let all = scores(model.predict(&new, None, &two).unwrap());
        let alone = scores(model.predict(&new.select(&[13]), None, &one()).unwrap());
        assert_eq!(all.row(13), alone.row(0));
    }
}

/// Counts what is asked of it.
struct Counting(Vec<(Get, String)>);

impl GramSource for Counting {
    fn symmetric<K: Kernel<f32>>(
        &mut self,
        kernel: &K,
        description: &str,
        x: MatRef<'_, f32>,
        get: Get,
        resources: &Resources,
    ) -> dualnet::Result<Grams<f32>> {
        self.0.push((get, description.into()));
        dualnet::gram::symmetric(kernel, x, get, resources)
    }
}

#[test]
fn both_kernels_come_from_one_pass() {
    let (train, target) = bars(20, 7);
    let mut source = Counting(Vec::new());
    let with_flips = options(Whiten::Mean, Augment::Flip);
    fit_images(&train, &target, &with_flips, &mut source, &one()).unwrap();
    let nngp = ImageOptions { kernel: KernelChoice::Kind(KernelKind::Nngp), ..options(Whiten::Mean, Augment::None) };
    let model = fit_images(&train, &target, &nngp, &mut source, &one()).unwrap();
    assert_eq!(model.report().candidates.len(), 1);
    let asked: Vec<Get> = source.0.iter().map(|(get, _)| *get).collect();
    assert_eq!(asked, [Get::Both, Get::Nngp]);
    assert!(source.0[0].1.contains("\"augment\":\"flip\"") && source.0[0].1 != source.0[1].1);
}

#[test]
fn numbers_have_intervals_of_one_width() {
    let (train, _) = bars(80, 8);
    let target = brightness(&train);
    let model = fit_images(&train, &target, &options(Whiten::Mean, Augment::Flip), &mut Direct, &one()).unwrap();
    let (new, _) = bars(50, 9);
    let (metrics, coverage) = model.evaluate(&new, &brightness(&new), &one()).unwrap();
    assert!(metrics.r2.unwrap() > 0.8, "{metrics:?}");
    assert!(coverage.unwrap() > 0.7, "{coverage:?}");
    let Prediction::Numbers { intervals: Some(ends), .. } = model.predict(&new, Some(0.8), &one()).unwrap() else {
        unreachable!()
    };
    let width = |i: usize| ends.upper[(i, 0)] - ends.lower[(i, 0)];
    assert!((0..50).all(|i| (width(i) - width(0)).abs() < 1e-9));
}

pub fn through_text(parts: &Parts) -> Parts {
    Parts { json: serde_json::from_str(&parts.json.to_string()).unwrap(), tensors: parts.tensors.clone() }
}

#[test]
fn parts_give_the_same_bits() {
    let ((train, target), (new, _)) = (bars(24, 10), bars(7, 11));
    for ((whiten, augment), target) in
        WAYS.into_iter().flat_map(|way| [(way, target.clone()), (way, brightness(&train))])
    {
        let model = fit_images(&train, &target, &options(whiten, augment), &mut Direct, &one()).unwrap();
        let parts = model.to_parts().unwrap();
        let SavedModel::Images(again) = SavedModel::from_parts(through_text(&parts), &one()).unwrap() else {
            unreachable!()
        };
        assert_eq!(again.report(), model.report());
        assert_eq!(again.predict(&new, None, &one()).unwrap(), model.predict(&new, None, &one()).unwrap());
        assert_eq!(again.to_parts().unwrap(), parts);
        assert!(Model::from_parts(parts, &one()).unwrap_err().to_string().contains("found one of images"));
    }
}

#[test]
fn damaged_parts_are_errors() {
    let (train, target) = bars(24, 12);
    let whole = fit_images(&train, &target, &options(Whiten::Zca, Augment::Flip), &mut Direct, &one()).unwrap();
    let whole = whole.to_parts().unwrap();
    let read = |parts: Parts| ImageModel::from_parts(parts, &one());
    for at in 0..whole.tensors.len() {
        for damage in 0..5 {
            let mut parts = whole.clone();
            let tensor = &mut parts.tensors[at];
            match damage {
                0 => drop(parts.tensors.remove(at)),
                1 => tensor.shape[0] += 1,
                2 => tensor.data[0] = f64::NAN,
                3 => tensor.shape.push(1),
                _ => tensor.data.clear(),
            }
            assert!(read(parts).is_err(), "array {at}, damage {damage}");
        }
    }
    let damages = [
        ("/format", json!(6)),
        ("/kernel", json!("both")),
        ("/net", json!({"layers": ["blur"]})),
        ("/images/positions", json!([6, 7])),
        ("/images/positions", json!([36])),
        ("/images/positions", json!([u64::MAX, u64::MAX])),
        ("/images/channels", json!(0)),
        ("/images/whiten", json!("mean")),
        ("/images/augment", json!("turn")),
        ("/lambda_absolute", json!(-1)),
        ("/target/labels", json!(["one"])),
        ("/report/n_train", json!("many")),
    ];
    for (pointer, value) in damages {
        let mut parts = whole.clone();
        *parts.json.pointer_mut(pointer).unwrap() = value;
        assert!(read(parts).is_err(), "{pointer}");
    }
}

#[test]
fn models_of_rows_in_older_formats_load() {
    let x = frame(20, 2, 13);
    let model = fit(&x, &wave(&x, 0.1, 13), &single(), &one()).unwrap();
    for format in [1, 2, 3] {
        let mut parts = model.to_parts().unwrap();
        parts.json["format"] = json!(format);
        if format == 1 {
            parts.json["report"].as_object_mut().unwrap().remove("loo_rows");
        }
        let SavedModel::Rows(again) = SavedModel::from_parts(parts, &one()).unwrap() else { unreachable!() };
        assert_eq!(again.predict(&x, None, &one()).unwrap(), model.predict(&x, None, &one()).unwrap());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (train, target) = bars(20, 14);
    let fitting = |images: &Images, target: &Target, options: &ImageOptions, resources: &Resources| {
        fit_images(images, target, options, &mut Direct, resources).map(|_| ()).unwrap_err()
    };
    let plain = options(Whiten::None, Augment::None);
    assert!(
        fitting(&train.select(&[0]), &target.select(&[0]), &plain, &one()).to_string().contains("at least two rows")
    );
    assert!(fitting(&train, &target.select(&[0, 1]), &plain, &one()).to_string().contains("20 rows, as in the data"));
    let evens: Vec<usize> = (0..10).map(|i| 2 * i).collect();
    let error = fitting(&train.select(&evens), &target.select(&evens), &plain, &one()).to_string();
    assert!(error.contains("at least two classes"), "{error}");
    let needed = plan_images(20, &shape(), 2, &plain, 1).unwrap().bytes;
    let little = one().with_memory(needed - 1);
    assert!(matches!(fitting(&train, &target, &plain, &little), Error::Memory { .. }));
    let enough = one().with_memory(needed);
    let model = fit_images(&train, &target, &plain, &mut Direct, &enough).unwrap();
    let other = Images::new(InputShape::image(4, 9, 1), Mat::zeros(3, 36)).unwrap();
    assert_eq!(
        model.predict(&other, None, &one()).unwrap_err().to_string(),
        "new images: expected 6 x 6 x 1 (height x width x channels), as in training, found 4 x 9 x 1"
    );
    assert!(model.evaluate(&train, &target.select(&[0]), &one()).is_err());
    let grey = Images::from_bytes(shape(), &[7; 36 * 4]).unwrap();
    let error = fitting(&grey, &target.select(&[0, 1, 2, 3]), &options(Whiten::Zca, Augment::None), &one());
    assert!(error.to_string().contains("values that vary"), "{error}");
    assert!(Images::from_bytes(shape(), &[0; 35]).is_err());
    assert!(Images::from_bytes(InputShape::vector(4), &[0; 8]).is_err());
    let mut bad = Mat::zeros(2, 36);
    bad[(1, 5)] = f32::NAN;
    let error = Images::new(shape(), bad).unwrap_err();
    assert!(matches!(error, Error::NonFinite { row: 1, column: 5, .. }), "{error}");
}

#[test]
fn the_time_of_a_pair_is_measured() {
    let (train, _) = bars(50, 15);
    let seconds = pair_seconds(&train, &options(Whiten::None, Augment::Flip), &one()).unwrap();
    assert!(seconds > 0.0 && seconds < 1.0);
}

#[test]
fn convolutional_nets_learn_what_dense_ones_cannot() {
    let ((train, target), (new, truth)) = (bars(40, 16), bars(40, 17));
    // No pooling by halves: of six columns a second one would leave the last out, and tell left from right.
    let net = "layers = ['conv', 'relu', 'conv', 'relu', 'global_avg_pool', 'dense']";
    let options = ImageOptions { net: Net::parse(net).unwrap(), ..options(Whiten::Mean, Augment::Flip) };
    let model = fit_images(&train, &target, &options, &mut Direct, &one()).unwrap();
    let (metrics, _) = model.evaluate(&new, &truth, &one()).unwrap();
    assert!(metrics.accuracy.unwrap() >= 0.95, "{metrics:?}");
    let all = scores(model.predict(&new, None, &Resources::new(2).unwrap()).unwrap());
    assert_eq!(all.row(3), scores(model.predict(&new.select(&[3]), None, &one()).unwrap()).row(0));
}
