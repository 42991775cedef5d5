//! Fits by conjugate gradients, Nystrom and random features: nearly as good as the exact fit, the same bits, saved, refused.

use crate::data::{frame, numbers, one, single, table, thirds, wave, words};
use dualnet::model::{
    EmbeddedFit, EmbeddedOptions, Encoding, FalkonOptions, FeaturePrecision, FitOptions, Frame, InMemory, KernelMap,
    KernelTiles, Limits, Method, Model, Parts, PcgOptions, Prediction, Target, auto_methods, choose_method, fit,
    fit_embedded, fit_falkon, fit_pcg, plan_falkon, plan_pcg,
};
use dualnet::ridge::iterative::EarlyStop;
use dualnet::{Mat, Resources};
use serde_json::json;

const MAPS: [KernelMap; 2] = [KernelMap::Random, KernelMap::Nystrom];

fn plain() -> FitOptions {
    FitOptions { encodings: vec![Encoding::Plain], ..FitOptions::default() }
}

fn features(map: KernelMap, dim: usize, choice: FitOptions) -> EmbeddedOptions {
    EmbeddedOptions { choice, ..EmbeddedOptions::new(map, dim) }
}

fn embedded(x: &Frame, y: &Target, options: &EmbeddedOptions, resources: &Resources) -> Model {
    fit_embedded(&mut InMemory::new(x, y).unwrap(), options, resources).unwrap()
}

fn pcg(choice: FitOptions) -> PcgOptions {
    PcgOptions { choice, ..PcgOptions::default() }
}

fn values(model: &Model, x: &Frame) -> Mat<f64> {
    match model.predict(x, None, &one()).unwrap() {
        Prediction::Numbers { values, .. } => values,
        Prediction::Classes { scores, .. } => scores,
    }
}

fn far(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    let largest = b.as_slice().iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

/// Every third row to test on, the others to fit to.
fn halves(x: &Frame, y: &Target) -> ((Frame, Target), (Frame, Target)) {
    let (out, kept): (Vec<usize>, Vec<usize>) = (0..x.rows()).partition(|i| i % 3 == 0);
    ((x.select(&kept), y.select(&kept)), (x.select(&out), y.select(&out)))
}

fn airfoil() -> (Frame, Target) {
    let (x, y) = table("airfoil.csv");
    let y: Vec<f64> = y.iter().map(|v| v.parse().unwrap()).collect();
    (x, Target::from_columns(&[numbers("pressure", &y)], None).unwrap())
}

fn digits() -> (Frame, Target) {
    let (x, y) = table("digits.csv");
    let y: Vec<&str> = y.iter().map(String::as_str).collect();
    (x, Target::from_columns(&[words("digit", &y)], None).unwrap())
}

#[test]
fn numbers_are_nearly_as_good_as_by_the_exact_fit() {
    let (x, y) = airfoil();
    let ((x, y), (new, truth)) = halves(&x, &y);
    let choice = FitOptions { some_rows: 300, ..FitOptions::default() };
    let r2 = |model: &Model| model.evaluate(&new, &truth, &one()).unwrap();
    let exact = r2(&fit(&x, &y, &choice, &one()).unwrap()).0.r2.unwrap();
    assert!(exact > 0.95, "{exact}");
    let by_pcg = fit_pcg(&x, &y, &pcg(choice.clone()), &one()).unwrap();
    let (metrics, coverage) = r2(&by_pcg);
    assert!(metrics.r2.unwrap() > exact - 0.005, "{exact} {metrics:?}");
    assert!((0.84..0.96).contains(&coverage.unwrap()), "{coverage:?}");
    let held = by_pcg.report().iterative.as_ref().unwrap();
    assert!((held.holdout.r2.unwrap() - metrics.r2.unwrap()).abs() < 0.04 && held.holdout_rows == 100, "{held:?}");
    for (map, margin) in MAPS.into_iter().zip([0.08, 0.06]) {
        let model = embedded(&x, &y, &features(map, 512, choice.clone()), &one());
        let (metrics, coverage) = r2(&model);
        assert!(metrics.r2.unwrap() > exact - margin, "{map:?}: {exact} {metrics:?}");
        assert!((0.84..0.96).contains(&coverage.unwrap()), "{coverage:?}");
        let loo = model.report().loo.as_ref().unwrap().r2.unwrap();
        assert!((loo - metrics.r2.unwrap()).abs() < 0.04, "{map:?}: {loo} {metrics:?}");
    }
}

#[test]
fn classes_are_nearly_as_good_as_by_the_exact_fit() {
    let (x, y) = digits();
    let ((x, y), (new, truth)) = halves(&x, &y);
    let choice =
        FitOptions { encodings: vec![Encoding::Shared], all_rows: 400, some_rows: 400, ..FitOptions::default() };
    let judge = |model: &Model| model.evaluate(&new, &truth, &one()).unwrap().0;
    let exact = judge(&fit(&x, &y, &choice, &one()).unwrap());
    let models = [
        fit_pcg(&x, &y, &pcg(choice.clone()), &one()).unwrap(),
        embedded(&x, &y, &features(KernelMap::Nystrom, 400, choice.clone()), &one()),
        embedded(&x, &y, &features(KernelMap::Random, 1024, choice), &one()),
    ];
    for model in models {
        let (metrics, name) = (judge(&model), &model.report().method);
        assert!(metrics.accuracy.unwrap() > exact.accuracy.unwrap() - 0.01, "{name}: {exact:?} {metrics:?}");
        // A hundred rows held out, smoothed as few rows are, vouch for less certainty than all left out one at a time.
        assert!(metrics.log_loss.unwrap() < exact.log_loss.unwrap() + 0.13, "{name}: {exact:?} {metrics:?}");
    }
}

/// At the same lambda a converged iteration is the exact solution.
#[test]
fn conjugate_gradients_find_the_exact_solution() {
    let x = frame(400, 3, 61);
    for y in [wave(&x, 0.1, 61), thirds(&x)] {
        let choice = FitOptions { lambdas: vec![1e-3], ..single() };
        let exact = fit(&x, &y, &choice, &one()).unwrap();
        for (precision, tolerance, near) in [(FeaturePrecision::F64, 1e-9, 1e-7), (FeaturePrecision::F32, 1e-5, 1e-3)] {
            let options = PcgOptions {
                tolerance,
                precision: Some(precision),
                early_stop: EarlyStop::Never,
                ..pcg(choice.clone())
            };
            let model = fit_pcg(&x, &y, &options, &one()).unwrap();
            let (lambda, distance) = (model.report().lambda, far(&values(&model, &x), &values(&exact, &x)));
            assert!(lambda == 1e-3 && distance < near, "{precision:?}: {lambda} {distance}");
            let iterative = model.report().iterative.as_ref().unwrap();
            assert!(iterative.residual().unwrap() <= tolerance, "{iterative:?}");
        }
    }
}

/// Without room for the kernel matrix it is computed again and again, to the same bits.
#[test]
fn tiles_are_kept_where_they_fit_and_the_model_is_the_same() {
    let x = frame(900, 3, 62);
    let y = wave(&x, 0.1, 62);
    let options = PcgOptions { landmarks: Some(60), ..pcg(FitOptions { all_rows: 100, some_rows: 100, ..single() }) };
    let kept = plan_pcg((900, 3, 1), &options, None).unwrap();
    assert_eq!(kept.tiles, KernelTiles::Kept);
    let less = kept.bytes - 1;
    let computed = plan_pcg((900, 3, 1), &options, Some(less)).unwrap();
    assert!(computed.tiles == KernelTiles::Computed && computed.bytes < less, "{computed:?}");
    let models = [one(), one().with_memory(less)].map(|resources| fit_pcg(&x, &y, &options, &resources).unwrap());
    assert_eq!(values(&models[0], &x), values(&models[1], &x));
    let tiles = models.map(|model| model.report().iterative.as_ref().unwrap().tiles);
    assert_eq!(tiles, [KernelTiles::Kept, KernelTiles::Computed]);
    let error = fit_pcg(&x, &y, &options, &one().with_memory(100_000)).unwrap_err().to_string();
    assert!(error.contains("900 rows by conjugate gradients needs"), "{error}");
}

/// On all rows as landmarks the model is the exact one; without room for kernel values it has the same bits.
#[test]
fn landmarks_find_the_exact_solution_where_all_rows_are_landmarks() {
    let x = frame(400, 3, 61);
    for y in [wave(&x, 0.1, 61), thirds(&x)] {
        let choice = FitOptions { lambdas: vec![1e-3], ..single() };
        let exact = fit(&x, &y, &choice, &one()).unwrap();
        let options = |landmarks| FalkonOptions {
            choice: choice.clone(),
            landmarks: Some(landmarks),
            tolerance: 1e-7,
            ..FalkonOptions::default()
        };
        let model = fit_falkon(&x, &y, &options(400), &one()).unwrap();
        let distance = far(&values(&model, &x), &values(&exact, &x));
        assert!(distance < 1e-4 && (model.report().lambda - 1e-3).abs() < 1e-15, "{distance}");
        let kept = plan_falkon((400, 3, y.outputs()), &options(60), None).unwrap();
        assert_eq!(kept.tiles, KernelTiles::Kept);
        let less = kept.bytes - 1;
        assert_eq!(plan_falkon((400, 3, y.outputs()), &options(60), Some(less)).unwrap().tiles, KernelTiles::Computed);
        let models =
            [one(), one().with_memory(less)].map(|resources| fit_falkon(&x, &y, &options(60), &resources).unwrap());
        assert_eq!(values(&models[0], &x), values(&models[1], &x));
    }
}

fn each(x: &Frame, y: &Target, resources: &Resources) -> [Model; 4] {
    let with = |map, precision| EmbeddedOptions { precision: Some(precision), ..features(map, 60, single()) };
    [
        fit_pcg(x, y, &pcg(single()), resources).unwrap(),
        embedded(x, y, &with(KernelMap::Nystrom, FeaturePrecision::F64), resources),
        embedded(x, y, &with(KernelMap::Random, FeaturePrecision::F32), resources),
        embedded(x, y, &with(KernelMap::Nystrom, FeaturePrecision::F32), resources),
    ]
}

#[test]
fn threads_do_not_change_a_bit_nor_does_the_batch() {
    let x = frame(500, 3, 63);
    let y = thirds(&x);
    let reference = each(&x, &y, &one());
    let three = Resources::new(3).unwrap();
    for (a, b) in reference.iter().zip(&each(&x, &y, &three)) {
        assert_eq!(a.to_parts().unwrap(), b.to_parts().unwrap(), "{}", a.report().method);
        let whole = values(a, &x);
        assert_eq!(b.predict(&x, None, &three).unwrap(), a.predict(&x, None, &one()).unwrap());
        for i in [0, 128, 499] {
            assert_eq!(values(a, &x.select(&[i])).row(0), whole.row(i), "row {i} alone");
        }
    }
}

fn through_text(parts: Parts) -> Parts {
    Parts { json: serde_json::from_str(&parts.json.to_string()).unwrap(), tensors: parts.tensors }
}

#[test]
fn saved_models_give_the_same_bits() {
    let x = frame(300, 3, 64);
    for y in [wave(&x, 0.2, 64), thirds(&x)] {
        for model in each(&x, &y, &one()) {
            let again = Model::from_parts(through_text(model.to_parts().unwrap()), &one()).unwrap();
            assert_eq!(again.report(), model.report());
            let level = matches!(y, Target::Numbers { .. }).then_some(0.9);
            assert_eq!(again.predict(&x, level, &one()).unwrap(), model.predict(&x, level, &one()).unwrap());
            assert_eq!(again.to_parts().unwrap(), model.to_parts().unwrap());
        }
    }
}

#[test]
fn damaged_models_are_refused() {
    let x = frame(300, 3, 65);
    for model in each(&x, &wave(&x, 0.2, 65), &one()) {
        let (whole, method) = (model.to_parts().unwrap(), model.report().method.clone());
        let refused = |parts: Parts| Model::from_parts(parts, &one()).unwrap_err().to_string();
        for at in 0..whole.tensors.len() {
            let name = whole.tensors[at].name.clone();
            for damage in 0..6 {
                let mut parts = whole.clone();
                let tensor = &mut parts.tensors[at];
                match damage {
                    0 => drop(parts.tensors.remove(at)),
                    1 => tensor.shape.push(1),
                    2 => tensor.shape[0] = usize::MAX,
                    3 => tensor.data[0] = f64::NAN,
                    4 => tensor.data.clear(),
                    _ => (tensor.shape[0], tensor.data) = (0, Vec::new()),
                }
                let error = refused(parts);
                assert!(error.contains(&name) || damage == 5, "{method} {name} {damage}: {error}");
            }
        }
        let damages: &[(&str, serde_json::Value)] = match method.as_str() {
            "features" => &[
                ("/net_features/dim", json!(61)),
                ("/net_features/dim", json!(u64::MAX)),
                ("/net_features/dim", json!(-1)),
                ("/net_features/precision", json!("f16")),
                ("/net_features/generator", json!(99)),
                ("/net_features/seed", json!("one")),
            ],
            "nystrom" => &[("/nystrom/precision", json!("f16")), ("/nystrom", json!(null))],
            _ => &[("/target/width", json!("posterior"))],
        };
        let common = [("/net", json!({"layers": ["blur"]})), ("/kernel", json!("both")), ("/format", json!(6))];
        for (pointer, value) in damages.iter().chain(&common) {
            let mut parts = whole.clone();
            *parts.json.pointer_mut(pointer).unwrap() = value.clone();
            refused(parts);
        }
    }
}

/// The error that is reported before the pass is that of the features the model has.
#[test]
fn kernel_errors_fall_with_the_number_of_features() {
    let x = frame(2000, 6, 66);
    let y = wave(&x, 0.2, 66);
    let mut rows = InMemory::new(&x, &y).unwrap();
    let mut error = |map, dim| {
        let drawn = EmbeddedFit::new(&mut rows, &features(map, dim, single()), &one()).unwrap();
        assert_eq!(drawn.features(), dim);
        drawn.kernel_error()
    };
    for (map, most) in [(KernelMap::Random, 0.6), (KernelMap::Nystrom, 0.6)] {
        let (few, many) = (error(map, 32), error(map, 512));
        assert!(many < most * few && many > 1e-6 && few < 0.5, "{map:?}: {few} {many}");
    }
}

#[test]
fn few_rows_and_low_ranks_are_fitted_or_refused() {
    let x = frame(3, 2, 67);
    let y = wave(&x, 0.0, 67);
    for map in MAPS {
        embedded(&x, &y, &features(map, 300, plain()), &one());
    }
    fit_pcg(&x, &y, &pcg(plain()), &one()).unwrap();
    let two = x.select(&[0, 1]);
    let error = fit_pcg(&two, &y.select(&[0, 1]), &pcg(plain()), &one()).unwrap_err().to_string();
    assert!(error.contains("at least three rows"), "{error}");
    let mut rows = InMemory::new(&x, &y).unwrap();
    let none = features(KernelMap::Nystrom, 0, plain());
    assert!(fit_embedded(&mut rows, &none, &one()).unwrap_err().to_string().contains("number of features"));
    // Rows that are all equal to one of two.
    let pair = x.select(&[0, 1]).select(&(0..40).map(|i| i % 2).collect::<Vec<_>>());
    let y = wave(&pair, 0.1, 68);
    let model = embedded(&pair, &y, &features(KernelMap::Nystrom, 20, plain()), &one());
    assert!(model.report().features.as_ref().unwrap().rank.unwrap() <= 2);
    fit_pcg(&pair, &y, &pcg(plain()), &one()).unwrap();
}

#[test]
fn limits_decide_among_the_methods() {
    let methods = auto_methods(&FitOptions::default(), 2048);
    let choose = |rows: usize, memory: Option<u64>, seconds: Option<f64>| {
        let limits = Limits { memory, seconds, flops_per_second: 5e10 };
        choose_method(&methods, (rows, 10, 1), &limits).map(|c| methods[c.at].clone())
    };
    let name = |rows, memory, seconds| choose(rows, memory, seconds).unwrap().name();
    assert_eq!(name(10_000, None, None), "exact");
    assert_eq!(name(10_000, Some(1 << 30), None), "pcg");
    assert_eq!(name(50_000, Some(8 << 30), Some(1e9)), "pcg");
    assert_eq!(name(50_000, Some(8 << 30), Some(20.0)), "nystrom");
    assert_eq!(name(1_000_000, Some(2 << 30), None), "nystrom");
    // A kernel of 10^6 rows that is computed anew for every step takes days, which only those get who have them.
    assert_eq!(name(1_000_000, Some(2 << 30), Some(1e7)), "pcg");
    let dim = |method| if let Method::Embedded(options) = method { options.dim } else { 0 };
    let hasty = choose(1_000_000, Some(2 << 30), Some(20.0)).unwrap();
    assert!((256..2048).contains(&dim(hasty.clone())), "{hasty:?}");
    let error = choose(1_000_000, Some(2 << 30), Some(0.1)).unwrap_err().to_string();
    assert!(error.contains("raise --time"), "{error}");
    let error = choose(1_000_000, Some(1 << 20), None).unwrap_err().to_string();
    assert!(error.contains("raise --memory"), "{error}");
}
