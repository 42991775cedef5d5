//! Random features.

use super::case::{Case, rows};
use dualnet::conformance::feature_map;
use dualnet::features::{FlipFeatures, NetFeatureOptions, NetFeatures, transform};
use dualnet::kernel::{InputShape, KernelKind};
use dualnet::net::Net;
use dualnet::transform::ProjectionKind;
use dualnet::{Error, Mat, Resources};
use std::sync::Arc;

const SMOOTH: [&str; 13] =
    ["relu", "erf", "gelu", "sin", "cos", "gaussian", "abs", "tanh", "silu", "elu", "softplus", "gabor", "rbf"];

/// With one activation nothing is biased. Structured projections are, by at most 0.0002 (see `transform`); four and a half standard
/// errors over all entries of a case are passed by chance once in a thousand runs.
#[test]
fn one_activation_is_unbiased_at_any_norm() {
    let x = rows(5, 6, 0.1, 10.0);
    let seeds = 150;
    for name in SMOOTH {
        for kind in [KernelKind::Nngp, KernelKind::Ntk] {
            let case = Case::dense(&format!("fc-{name}-1"), &x, kind);
            let exact = case.exact();
            for projection in [ProjectionKind::Gaussian, ProjectionKind::Structured] {
                let options = NetFeatureOptions { projection, ..case.options(64) };
                case.assert_unbiased(name, &exact, &options, seeds, 3e-4);
            }
        }
    }
}

/// The bias of deeper nets vanishes faster than their error: sixteen times the features, a quarter of it.
#[test]
fn errors_fall_as_the_root_of_the_dimension() {
    let x = rows(10, 8, 0.1, 10.0);
    for (name, depth) in SMOOTH.iter().zip([1, 2, 3, 4, 5].iter().cycle()) {
        for kind in [KernelKind::Nngp, KernelKind::Ntk] {
            let case = Case::dense(&format!("fc-{name}-{depth}"), &x, kind);
            let (few, many) = (case.error(&case.options(256), 6), case.error(&case.options(4096), 6));
            let ratio = few / many;
            assert!((2.3..7.5).contains(&ratio), "{name}-{depth} {kind:?}: {few} and {many}, ratio {ratio}");
        }
    }
    let case = Case::dense("fc-exp-1", &rows(10, 8, 0.1, 2.0), KernelKind::Ntk);
    assert!((2.3..7.5).contains(&(case.error(&case.options(256), 6) / case.error(&case.options(4096), 6))));
}

/// A layer of every kind that works on each position alone; the figures are about twice what was found.
#[test]
fn dense_layers_of_every_kind() {
    let x = rows(10, 8, 0.3, 4.0);
    for (net, most) in [
        ("layers = ['dense', 'relu', 'dense']\nb_std = 0.5", 0.03),
        (
            "parameterization = 'standard'\nb_std = 0.3\nlayers = [{dense = {width = 64}}, 'erf', {dense = {width = 64}}, 'gelu', 'dense']",
            0.06,
        ),
        ("layers = ['dense', {residual = ['relu', 'dense']}, {residual = ['relu', 'dense']}, 'relu', 'dense']", 0.08),
        ("layers = ['dense', 'layer_norm', 'silu', 'dense', 'layer_norm', 'silu', 'dense']", 0.06),
        ("layers = [{concat = [[{dense = {width = 2}}, 'relu'], [{dense = {width = 1}}, 'sin']]}, 'dense']", 0.06),
        ("layers = ['dense', {sum = [['relu', 'dense'], ['gaussian', 'dense'], []]}, 'relu', 'dense']", 0.08),
        ("layers = ['dense', 'sign', 'dense', 'relu', 'dense']", 0.12),
        ("layers = ['dense', 'identity', 'dense']", 1e-12),
    ] {
        for kind in [KernelKind::Nngp, KernelKind::Ntk] {
            let case = Case::dense(net, &x, kind);
            let error = case.error(&case.options(2048), 3);
            assert!(error < most, "{net}, {kind:?}: {error}");
        }
    }
}

/// Convolutions with few and with many columns, strides, paddings, pooling of every kind, both ends, branches over positions.
#[test]
fn layers_over_positions() {
    let images = |text: &str| (text.to_string(), InputShape::image(6, 5, 2));
    let sequences = |text: &str| (text.to_string(), InputShape::sequence(9, 3));
    let conv = "'conv', 'relu', {conv = {kernel = [2, 3], stride = [2, 1], padding = 'valid'}}, 'gelu'";
    let (circular, pool) = (
        "{conv = {padding = 'circular', b_std = 0.2}}",
        "{avg_pool = {window = [3, 3], stride = [2, 2], padding = 'same', normalize_edges = true}}",
    );
    for (net, shape) in [
        images(&format!("layers = [{conv}, 'flatten', 'dense']")),
        images(&format!("layers = [{conv}, 'global_avg_pool', 'dense']")),
        images(&format!("layers = [{circular}, 'erf', {pool}, {circular}, 'relu', 'global_sum_pool', 'dense']")),
        images(
            "layers = ['conv', 'relu', {residual = ['conv', 'relu', 'conv']}, 'conv', 'relu', 'sum_pool', 'flatten', 'dense']",
        ),
        sequences(
            "layers = [{conv = {kernel = [3]}}, 'relu', {avg_pool = {window = [2]}}, {conv = {kernel = [2]}}, 'tanh', 'flatten', 'dense']",
        ),
    ] {
        for kind in [KernelKind::Nngp, KernelKind::Ntk] {
            let x = rows(5, shape.width(), 2.0, 20.0);
            let case = Case { net: Net::parse(&net).unwrap(), shape: shape.clone(), x, kind };
            let (few, many) = (case.error(&case.options(128), 2), case.error(&case.options(2048), 2));
            assert!(many < 0.2, "{net}, {kind:?}: {many}");
            assert!(few / many > 2.0, "{net}, {kind:?}: {few} and {many}");
        }
    }
}

#[test]
fn maps_conform() {
    let resources = Resources::new(1).unwrap();
    let dense = Net::parse("fc-gelu-2").unwrap();
    let conv = Net::parse("layers = ['conv', 'relu', 'avg_pool', 'conv', 'relu', 'flatten', 'dense']").unwrap();
    for (net, shape) in [(dense, InputShape::vector(7)), (conv, InputShape::image(4, 4, 1))] {
        for dim in [1, 17, 200] {
            let options = NetFeatureOptions::new(KernelKind::Ntk, dim);
            let x = rows(9, shape.width(), 0.1, 10.0);
            let map = NetFeatures::<f64>::draw(&net, &shape, &options, &resources).unwrap();
            assert_eq!(feature_map::check(&map, x.as_ref()), Ok(()));
            let map = NetFeatures::<f32>::draw(&net, &shape, &options, &resources).unwrap();
            let x = Mat::from_fn(9, shape.width(), |i, j| x[(i, j)] as f32);
            assert_eq!(feature_map::check(&map, x.as_ref()), Ok(()));
        }
    }
}

/// The mean over flips: maps conform, and products are those of the mean kernel, to rounding where nothing is random.
#[test]
fn means_over_flips_conform() {
    let (resources, shape) = (Resources::new(1).unwrap(), InputShape::image(4, 4, 1));
    let net = Net::parse("layers = ['conv', 'relu', 'flatten', 'dense']").unwrap();
    let options = NetFeatureOptions::new(KernelKind::Ntk, 60);
    let x = rows(9, 16, 0.1, 10.0);
    let map = Arc::new(NetFeatures::<f64>::draw(&net, &shape, &options, &resources).unwrap());
    let mean = FlipFeatures::new(map.clone(), &shape).unwrap();
    assert_eq!(feature_map::check(&mean, x.as_ref()), Ok(()));
    let turned = Mat::from_fn(9, 16, |i, j| x[(i, j / 4 * 4 + 3 - j % 4)]);
    let [plain, flips] = [&x, &turned].map(|x| transform(map.as_ref(), x.as_ref(), &resources).unwrap());
    let found = transform(&mean, x.as_ref(), &resources).unwrap();
    let same = transform(&mean, turned.as_ref(), &resources).unwrap();
    for at in (0..9).flat_map(|i| (0..60).map(move |j| (i, j))) {
        let expected = 0.5 * (plain[at] + flips[at]);
        let size = plain[at].abs() + flips[at].abs() + 1e-300;
        assert!((found[at] - expected).abs() < 1e-14 * size && (same[at] - expected).abs() < 1e-14 * size);
    }
    let error = FlipFeatures::new(map, &InputShape::sequence(16, 1)).unwrap_err().to_string();
    assert!(error.contains("samples to flip"), "{error}");
}

/// Single precision costs no accuracy beside the error of the features.
#[test]
fn precisions_agree() {
    let (net, shape) = (Net::parse("fc-erf-3").unwrap(), InputShape::vector(20));
    let (x, resources) = (rows(6, 20, 0.1, 10.0), Resources::new(1).unwrap());
    let options = NetFeatureOptions::new(KernelKind::Ntk, 600);
    let double = NetFeatures::<f64>::draw(&net, &shape, &options, &resources).unwrap();
    let single = NetFeatures::<f32>::draw(&net, &shape, &options, &resources).unwrap();
    let a = transform(&double, x.as_ref(), &resources).unwrap();
    let b = transform(&single, Mat::from_fn(6, 20, |i, j| x[(i, j)] as f32).as_ref(), &resources).unwrap();
    let largest = a.as_slice().iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let gap = a.as_slice().iter().zip(b.as_slice()).fold(0.0f64, |m, (a, b)| m.max((a - f64::from(*b)).abs()));
    assert!(gap < 1e-5 * largest, "{gap} of {largest}");
}

/// Rows of zeros, one column, fewer features than columns.
#[test]
fn small_and_empty_inputs() {
    let resources = Resources::new(1).unwrap();
    for (net, d, dim) in [("fc-relu-2", 1, 64), ("fc-gelu-2", 100, 40), ("fc-tanh-1", 3, 2), ("fc-gaussian-3", 5, 1)] {
        let options = NetFeatureOptions::new(KernelKind::Ntk, dim);
        let map =
            NetFeatures::<f64>::draw(&Net::parse(net).unwrap(), &InputShape::vector(d), &options, &resources).unwrap();
        let f = transform(&map, Mat::zeros(3, d).as_ref(), &resources).unwrap();
        assert_eq!((f.rows(), f.cols()), (3, dim));
        assert!(net == "fc-gaussian-3" || f.as_slice().iter().all(|&x| x.abs() < 1e-12), "{net}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_layer() {
    let resources = Resources::new(1).unwrap();
    let options = NetFeatureOptions::new(KernelKind::Ntk, 100);
    let refused = |net: &str, shape: InputShape, options: &NetFeatureOptions| {
        NetFeatures::<f64>::draw(&Net::parse(net).unwrap(), &shape, options, &resources).unwrap_err().to_string()
    };
    let dense = InputShape::vector(4);
    assert!(
        refused("layers = ['dense', 'relu', {dropout = {keep = 0.9}}, 'dense']", dense.clone(), &options)
            .contains("dropout")
    );
    let net = "layers = ['dense', {hermite = {degree = 2}}, 'dense']";
    assert!(refused(net, dense.clone(), &options).starts_with("layers[1].hermite"));
    let net = "layers = ['conv', 'self_attention', 'flatten', 'dense']";
    assert!(refused(net, InputShape::image(4, 4, 1), &options).contains("layers[1].self_attention"));
    assert!(refused("layers = ['conv', 'relu']", InputShape::image(4, 4, 1), &options).contains("positions"));
    assert!(refused("fc-relu-1", dense, &NetFeatureOptions::new(KernelKind::Ntk, 0)).contains("at least one feature"));
    let map = NetFeatures::<f32>::draw(&Net::parse("fc-exp-1").unwrap(), &InputShape::vector(1), &options, &resources)
        .unwrap();
    let error = transform(&map, Mat::from_fn(1, 1, |_, _| 1e3).as_ref(), &resources).unwrap_err();
    assert!(matches!(error, Error::Overflow { .. }), "{error}");
}
