//! Models of images by features of the kernel.

use crate::data::one;
use crate::images::{bars, brightness, flipped, scores, shape, through_text};
use dualnet::error::Error;
use dualnet::features::{NetFeatureOptions, NetFeatures, transform};
use dualnet::model::{
    Augment, FeaturePrecision, ImageFeatureOptions, ImageModel, ImageOptions, Images, KernelChoice, KernelKind, Parts,
    SavedModel, Target, Whiten, fit_image_features, image_seconds, plan_image_features,
};
use dualnet::net::Net;
use dualnet::{Mat, Resources};
use serde_json::json;

const NET: &str = "layers = ['conv', 'relu', 'avg_pool', 'conv', 'relu', 'global_avg_pool', 'dense']";

/// The NTK of a small net over positions.
fn options(dim: usize, whiten: Whiten, augment: Augment) -> ImageFeatureOptions {
    let net = Net::parse("layers = ['conv', 'relu', 'conv', 'relu', 'global_avg_pool', 'dense']").unwrap();
    let kernel = KernelChoice::Kind(KernelKind::Ntk);
    ImageFeatureOptions::new(ImageOptions { kernel, whiten, augment, ..ImageOptions::new(net) }, dim)
}

/// (A + lambda I) x = b by elimination.
fn solved(mut a: Mat<f64>, mut b: Mat<f64>, lambda: f64) -> Mat<f64> {
    let n = a.rows();
    (0..n).for_each(|i| a[(i, i)] += lambda);
    for p in 0..n {
        for i in 0..n {
            if i != p {
                let f = a[(i, p)] / a[(p, p)];
                (p..n).for_each(|j| a[(i, j)] -= f * a[(p, j)]);
                (0..b.cols()).for_each(|j| b[(i, j)] -= f * b[(p, j)]);
            }
        }
    }
    Mat::from_fn(n, b.cols(), |i, j| b[(i, j)] / a[(i, i)])
}

/// Ridge on the rows of `phi` named, with `shift` on the diagonal of the scatter, at the row `at` of `new`.
fn ridge(phi: &Mat<f64>, y: &[f64], rows: &[usize], shift: f64, new: &[f64]) -> f64 {
    let (n, m) = (rows.len() as f64, phi.cols());
    let mean: Vec<f64> = (0..m).map(|j| rows.iter().map(|&i| phi[(i, j)]).sum::<f64>() / n).collect();
    let middle = rows.iter().map(|&i| y[i]).sum::<f64>() / n;
    let product = |f: &dyn Fn(usize) -> f64| rows.iter().map(|&i| f(i)).sum::<f64>();
    let a = Mat::from_fn(m, m, |j, k| product(&|i| (phi[(i, j)] - mean[j]) * (phi[(i, k)] - mean[k])));
    let b = Mat::from_fn(m, 1, |j, _| product(&|i| (phi[(i, j)] - mean[j]) * (y[i] - middle)));
    let theta = solved(a, b, shift);
    middle + (0..m).map(|j| (new[j] - mean[j]) * theta[(j, 0)]).sum::<f64>()
}

#[test]
fn a_fit_is_ridge_on_all_features_at_once() {
    let ((train, _), (new, _)) = (bars(30, 1), bars(5, 2));
    let target = brightness(&train);
    let mut wanted = options(40, Whiten::None, Augment::None);
    wanted.precision = FeaturePrecision::F64;
    wanted.choice.lambdas = vec![1e-2];
    let model = fit_image_features(&train, &target, &wanted, &one()).unwrap();
    let draw = NetFeatureOptions::new(KernelKind::Ntk, 40);
    let map = NetFeatures::<f64>::draw(&wanted.choice.net, &shape(), &draw, &one()).unwrap();
    let features = |x: &Images| {
        let wide = Mat::from_fn(x.len(), 36, |i, j| f64::from(x.values()[(i, j)]));
        transform(&map, wide.as_ref(), &one()).unwrap()
    };
    let (phi, theirs) = (features(&train), features(&new));
    let Target::Numbers { values, .. } = &target else { unreachable!() };
    let y: Vec<f64> = (0..30).map(|i| values[(i, 0)]).collect();
    // Lambda times the mean variance of a feature, for the mean over rows.
    let mean = |j: usize| (0..30).map(|i| phi[(i, j)]).sum::<f64>() / 30.0;
    let spread = (0..40).map(|j| (0..30).map(|i| (phi[(i, j)] - mean(j)).powi(2)).sum::<f64>()).sum::<f64>();
    let shift = 1e-2 * spread / 40.0;
    let all: Vec<usize> = (0..30).collect();
    let found = scores(model.predict(&new, None, &one()).unwrap());
    for i in 0..5 {
        let expected = ridge(&phi, &y, &all, shift, theirs.row(i));
        assert!((found[(i, 0)] - expected).abs() < 1e-8, "{} {expected}", found[(i, 0)]);
    }
    // Each image by a model of all others.
    let left_out = |out: usize| {
        let others: Vec<usize> = (0..30).filter(|&i| i != out).collect();
        ridge(&phi, &y, &others, shift, phi.row(out)) - y[out]
    };
    let rmse = ((0..30).map(|i| left_out(i).powi(2)).sum::<f64>() / 30.0).sqrt();
    let report = model.report();
    assert!((report.loo.rmse.unwrap() - rmse).abs() < 1e-8, "{:?} {rmse}", report.loo);
    assert_eq!((report.loo_rows, report.method.as_str(), report.kernel), (30, "features", KernelKind::Ntk));
}

#[test]
fn every_way_learns_and_predicts_new_images() {
    let ((train, target), (new, truth)) = (bars(120, 3), bars(60, 4));
    for (whiten, augment) in
        [(Whiten::Mean, Augment::None), (Whiten::Zca, Augment::None), (Whiten::Mean, Augment::Flip)]
    {
        let model = fit_image_features(&train, &target, &options(256, whiten, augment), &one()).unwrap();
        let (loo, test) = (&model.report().loo, model.evaluate(&new, &truth, &one()).unwrap().0);
        let least = 0.9;
        assert!(
            loo.accuracy.unwrap() >= least && test.accuracy.unwrap() >= least,
            "{whiten:?} {augment:?} {loo:?} {test:?}"
        );
        let [a, b] = [&new, &flipped(&new)].map(|x| scores(model.predict(x, None, &one()).unwrap()));
        let gap = a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert_eq!(gap < 1e-4, augment == Augment::Flip, "{whiten:?} {augment:?}: {gap}");
    }
}

#[test]
fn features_come_near_the_kernel_as_they_grow() {
    let (train, target) = bars(40, 5);
    let error = |dim, augment| {
        let model = fit_image_features(&train, &target, &options(dim, Whiten::Mean, augment), &one()).unwrap();
        model.report().features.as_ref().unwrap().kernel_error.unwrap()
    };
    for augment in [Augment::None, Augment::Flip] {
        let (few, many) = (error(64, augment), error(2048, augment));
        assert!(many < 0.12 && many < 0.5 * few, "{augment:?}: {few} {many}");
    }
}

#[test]
fn threads_and_company_change_no_bit() {
    let ((train, target), (new, _)) = (bars(300, 6), bars(150, 7));
    let two = Resources::new(2).unwrap();
    for (whiten, augment) in [(Whiten::Zca, Augment::None), (Whiten::Mean, Augment::Flip)] {
        let mut wanted = options(64, whiten, augment);
        wanted.choice.kernel = KernelChoice::Auto;
        let model = fit_image_features(&train, &target, &wanted, &one()).unwrap();
        let same = fit_image_features(&train, &target, &wanted, &two).unwrap();
        assert_eq!(model.to_parts().unwrap(), same.to_parts().unwrap());
        assert_eq!((model.report().candidates.len(), model.report().compared_rows), (2, 200));
        let all = scores(model.predict(&new, None, &two).unwrap());
        let alone = scores(model.predict(&new.select(&[133]), None, &one()).unwrap());
        assert_eq!(all.row(133), alone.row(0));
    }
}

/// More images than go into a batch, and into a chunk of the sums.
#[test]
fn batches_are_summed_up() {
    let (train, _) = bars(2300, 8);
    let target = brightness(&train);
    let mut wanted = options(256, Whiten::Mean, Augment::None);
    wanted.choice.net = Net::parse("fc-relu-1").unwrap();
    let model = fit_image_features(&train, &target, &wanted, &one()).unwrap();
    let report = model.report();
    assert_eq!((report.n_train, report.loo_rows), (2300, 2300));
    assert!(report.loo.r2.unwrap() > 0.7, "{:?}", report.loo);
    let (metrics, coverage) = model.evaluate(&train, &target, &one()).unwrap();
    assert!(metrics.r2.unwrap() > 0.7 && coverage.unwrap() > 0.85, "{metrics:?} {coverage:?}");
}

fn parts_of(whiten: Whiten, augment: Augment) -> (ImageModel, Parts) {
    let (train, target) = bars(40, 9);
    let model = fit_image_features(&train, &target, &options(48, whiten, augment), &one()).unwrap();
    let parts = model.to_parts().unwrap();
    (model, parts)
}

#[test]
fn parts_give_the_same_bits_without_the_training_images() {
    let (new, _) = bars(7, 10);
    for (whiten, augment) in [(Whiten::None, Augment::None), (Whiten::Zca, Augment::Flip)] {
        let (model, parts) = parts_of(whiten, augment);
        assert!(parts.tensors.iter().all(|t| t.name != "x" && t.shape[0] != 40));
        // Another seed, as a later program may have: the model's own is used.
        let other = one().with_seed(77);
        let SavedModel::Images(again) = SavedModel::from_parts(through_text(&parts), &other).unwrap() else {
            unreachable!()
        };
        assert_eq!(again.report(), model.report());
        assert_eq!(again.predict(&new, None, &other).unwrap(), model.predict(&new, None, &one()).unwrap());
        assert_eq!(again.to_parts().unwrap(), parts);
    }
}

#[test]
fn damaged_parts_are_errors() {
    let (_, whole) = parts_of(Whiten::Zca, Augment::Flip);
    let read = |parts: Parts| ImageModel::from_parts(parts, &one());
    for at in 0..whole.tensors.len() {
        for damage in 0..4 {
            let mut parts = whole.clone();
            let tensor = &mut parts.tensors[at];
            match damage {
                0 => drop(parts.tensors.remove(at)),
                1 => tensor.shape[0] += 1,
                2 => tensor.data[0] = f64::NAN,
                _ => tensor.data.clear(),
            }
            assert!(read(parts).is_err(), "array {at}, damage {damage}");
        }
    }
    let damages = [
        ("/net_features/dim", json!(49)),
        ("/net_features/dim", json!(u64::MAX)),
        ("/net_features/precision", json!("f16")),
        ("/net_features/generator", json!(0)),
        ("/net_features/seed", json!(-1)),
        ("/net", json!({"layers": ["conv", "relu", "self_attention", "global_avg_pool", "dense"]})),
        ("/images/positions", json!([36])),
        ("/kernel", json!("both")),
    ];
    for (pointer, value) in damages {
        let mut parts = whole.clone();
        *parts.json.pointer_mut(pointer).unwrap() = value;
        assert!(read(parts).is_err(), "{pointer}");
    }
}

#[test]
fn what_cannot_work_is_refused() {
    let (train, target) = bars(40, 11);
    let fitting = |options: &ImageFeatureOptions, resources: &Resources| {
        fit_image_features(&train, &target, options, resources).map(|_| ()).unwrap_err()
    };
    let plain = options(64, Whiten::None, Augment::None);
    for dim in [0, usize::MAX] {
        let wanted = ImageFeatureOptions { dim, ..plain.clone() };
        assert!(fitting(&wanted, &one()).to_string().contains("the number of features"));
        assert!(plan_image_features(40, &shape(), 2, &wanted, &one()).is_err());
        assert!(image_seconds(&train, &wanted, &one()).is_err());
    }
    let of = |net: &str, augment| {
        let choice = ImageOptions { net: Net::parse(net).unwrap(), augment, ..plain.choice.clone() };
        ImageFeatureOptions { choice, ..plain.clone() }
    };
    let attention = "layers = ['conv', 'relu', 'self_attention', 'global_avg_pool', 'dense']";
    assert!(fitting(&of(attention, Augment::None), &one()).to_string().contains("self_attention"));
    // Pooling by halves leaves out a column of the six, later.
    let error = fitting(&of(&NET.replace("'avg_pool'", "'avg_pool', 'avg_pool'"), Augment::Flip), &one());
    assert!(error.to_string().contains("tells left from right"), "{error}");
    let mut bad = plain.clone();
    bad.choice.lambdas = vec![-1.0];
    assert!(fitting(&bad, &one()).to_string().contains("lambda"));
    bad.choice.lambdas = Vec::new();
    fitting(&bad, &one());
    let error = fit_image_features(&train.select(&[0]), &target.select(&[0]), &plain, &one()).unwrap_err();
    assert!(error.to_string().contains("at least two rows"), "{error}");
}

#[test]
fn the_plan_is_what_is_needed() {
    let (train, target) = bars(40, 12);
    for augment in [Augment::None, Augment::Flip] {
        let wanted = options(256, Whiten::Zca, augment);
        let needed = plan_image_features(40, &shape(), 2, &wanted, &one()).unwrap().bytes;
        let little = fit_image_features(&train, &target, &wanted, &one().with_memory(needed - 1));
        assert!(matches!(little, Err(Error::Memory { .. })));
        fit_image_features(&train, &target, &wanted, &one().with_memory(needed)).unwrap();
    }
    let seconds = image_seconds(&train, &options(256, Whiten::None, Augment::None), &one()).unwrap();
    assert!(seconds > 0.0 && seconds < 1.0);
}
