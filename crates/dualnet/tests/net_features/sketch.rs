//! Sketches of powers, and products of branches.

use super::case::{Case, rows};
use dualnet::conformance::feature_map;
use dualnet::features::{HermiteSeries, NetFeatureOptions, NetFeatures, transform};
use dualnet::kernel::{InputShape, KernelKind};
use dualnet::net::{Net, Op};
use dualnet::{Error, Mat, Resources};

const KINDS: [KernelKind; 2] = [KernelKind::Nngp, KernelKind::Ntk];

/// Of every family: with and without a closed form, even, odd and neither, with a kink, with a jump, without an activation.
const NAMES: [&str; 18] = [
    "relu",
    "{leaky_relu = {alpha = -0.3}}",
    "abs",
    "erf",
    "gelu",
    "sin",
    "cos",
    "gaussian",
    "tanh",
    "silu",
    "elu",
    "selu",
    "softplus",
    "gabor",
    "sign",
    "{polynomial = {coefficients = [0.2, 1.0, -0.4, 0.1]}}",
    "{hermite = {degree = 3}}",
    "{exp_normalized = {gamma = 1.5, shift = -1.0}}",
];

fn net(name: &str, depth: usize) -> String {
    let name = if name.starts_with('{') { name.to_string() } else { format!("'{name}'") };
    format!("layers = [{}'dense']", format!("'dense', {name}, ").repeat(depth))
}

/// The largest norm of rows: a series of degree 7 or 8 leaves too much out of what turns often, or has a narrow peak, at larger ones.
fn largest(name: &str) -> f64 {
    match name {
        "sin" | "cos" => 3.0,
        "gaussian" => 5.0,
        "gabor" => 2.0,
        _ => 10.0,
    }
}

/// NNGP and NTK of a chain of dense layers and activations by the series of the activations.
fn truncated(case: &Case, degree: usize) -> Mat<f64> {
    let (n, d) = (case.x.rows(), case.x.cols());
    let ops = case.net.ops(d).unwrap();
    Mat::from_fn(n, n, |i, j| {
        let dot =
            |i: usize, j: usize| case.x.row(i).iter().zip(case.x.row(j)).map(|(a, b)| a * b).sum::<f64>() / d as f64;
        let (mut c, mut p, mut q, mut t) = (dot(i, j), dot(i, i), dot(j, j), 0.0);
        for op in &ops {
            match op {
                Op::Affine { w2, b2, tangent } => {
                    let before = c;
                    (c, p, q) = (w2 * c + b2, w2 * p + b2, w2 * q + b2);
                    t = tangent.carry * t + tangent.from_input * before + tangent.from_output * c + tangent.constant;
                }
                Op::Activation { activation, choice, .. } => {
                    let series = HermiteSeries::new(activation, *choice, degree).unwrap();
                    let (k, kdot) = series.pair(p, q, c / (p * q).sqrt());
                    (c, t) = (k, t * kdot);
                    (p, q) = (series.pair(p, p, 1.0).0, series.pair(q, q, 1.0).0);
                }
                other => panic!("{other:?}"),
            }
        }
        if case.kind == KernelKind::Nngp { c } else { t }
    })
}

/// With one activation the truncated kernel is estimated without bias, whatever the norms.
#[test]
fn one_activation_is_unbiased_at_any_norm() {
    let (seeds, degree) = (120, 7);
    for name in NAMES {
        let x = rows(4, 8, 0.1, largest(name));
        for kind in KINDS {
            let case = Case::dense(&net(name, 1), &x, kind);
            let expected = truncated(&case, degree);
            let options = case.options(96).sketched(Some(degree));
            case.assert_unbiased(name, &expected, &options, seeds, 1e-4);
        }
    }
}

/// From the truncated kernel, a quarter of the error for sixteen times the features: in the mean over all activations and depths. Rows of large
/// norm make up nearly all of an error, so that one of few seeds is uncertain by half of itself.
#[test]
fn errors_fall_as_the_root_of_the_dimension() {
    let (degree, mut logarithms) = (8, Vec::new());
    for (name, depth) in NAMES.iter().zip([1, 2, 3, 4, 5].iter().cycle()) {
        let x = rows(8, 8, 0.1, largest(name));
        for kind in KINDS {
            let case = Case::dense(&net(name, *depth), &x, kind);
            let expected = truncated(&case, degree);
            let [few, many] =
                [128, 2048].map(|dim| case.error_from(&expected, &case.options(dim).sketched(Some(degree)), 4));
            let ratio = few / many;
            assert!(ratio > 1.3, "{name}-{depth} {kind:?}: {few} and {many}, ratio {ratio}");
            logarithms.push(ratio.ln());
        }
    }
    let mean = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
    assert!((3.0..5.4).contains(&mean), "{mean} in the geometric mean");
}

/// The exact kernel, by the degree that is chosen. The limit is half as much again as what was found for the worst, gabor.
#[test]
fn chosen_degrees_give_the_exact_kernel() {
    let x = rows(12, 10, 1.0, 5.0);
    for name in NAMES {
        for kind in KINDS {
            let case = Case::dense(&net(name, 2), &x, kind);
            let error = case.error(&case.options(2048).sketched(None), 2);
            assert!(error < 0.35, "{name} {kind:?}: {error}");
        }
    }
}

/// Convolutions, strides, pooling, branches over positions.
#[test]
fn layers_over_positions() {
    let image = InputShape::image(6, 5, 2);
    let conv = "'conv', 'relu', {conv = {kernel = [2, 3], stride = [2, 1], padding = 'valid'}}";
    for net in [
        format!("layers = [{conv}, {{hermite = {{degree = 2}}}}, 'flatten', 'dense']"),
        format!("layers = [{conv}, {{exp_normalized = {{gamma = 1.0, shift = -1.0}}}}, 'global_avg_pool', 'dense']"),
        "layers = ['conv', 'erf', {residual = ['conv', 'gelu', 'conv']}, 'sum_pool', 'conv', 'relu', 'flatten', 'dense']"
            .into(),
        "layers = ['conv', {product = [['relu', 'conv'], ['erf', 'conv']]}, 'global_avg_pool', 'dense']".into(),
    ] {
        for kind in KINDS {
            let x = rows(5, image.width(), 2.0, 20.0);
            let case = Case { net: Net::parse(&net).unwrap(), shape: image.clone(), x, kind };
            let [few, many] = [128, 2048].map(|dim| case.error(&case.options(dim).sketched(Some(10)), 2));
            assert!(many < 0.3, "{net}, {kind:?}: {many}");
            assert!(few / many > 1.5, "{net}, {kind:?}: {few} and {many}");
        }
    }
}

/// Products by random features and by sketches, of two branches and of three, alone and inside others.
#[test]
fn products_of_branches() {
    let (x, mut logarithms) = (rows(8, 6, 0.5, 4.0), Vec::new());
    for net in [
        "layers = [{product = [['dense', 'relu'], ['dense', 'erf']]}, 'dense']",
        "layers = ['dense', 'relu', {product = [['dense'], ['dense', 'gelu', 'dense'], ['dense', 'sin']]}, 'dense', 'relu', 'dense']",
        "layers = ['dense', {sum = [[{product = [['relu', 'dense'], ['dense']]}, 'dense'], []]}, 'dense']",
        "layers = [{product = [['dense'], ['dense']]}, 'dense']",
    ] {
        for kind in KINDS {
            let case = Case::dense(net, &x, kind);
            for options in [case.options(128), case.options(128).sketched(Some(12))] {
                let many = NetFeatureOptions { dim: 2048, ..options };
                // One factor common to all entries is most of the error: a single number a seed.
                let (few, many) = (case.error(&options, 6), case.error(&many, 6));
                assert!(many < 0.45 && few / many > 1.3, "{net} {options:?}: {few} and {many}");
                logarithms.push((few / many).ln());
            }
        }
    }
    // Sixteen times the features: a quarter of the error.
    let mean = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
    assert!((2.6..6.0).contains(&mean), "{mean} in the geometric mean");
}

#[test]
fn maps_conform() {
    let resources = Resources::new(1).unwrap();
    let dense = "layers = ['dense', 'gelu', {product = [['dense'], ['dense', 'tanh']]}, 'dense', 'sign', 'dense']";
    let conv = "layers = ['conv', 'relu', 'avg_pool', 'conv', {hermite = {degree = 4}}, 'flatten', 'dense']";
    for (net, shape) in [(dense, InputShape::vector(7)), (conv, InputShape::image(4, 4, 1))] {
        let net = Net::parse(net).unwrap();
        for (kind, dim) in [(KernelKind::Ntk, 8), (KernelKind::Ntk, 200), (KernelKind::Nngp, 65)] {
            let options = NetFeatureOptions::new(kind, dim).sketched(Some(5));
            let x = rows(9, shape.width(), 0.1, 10.0);
            let map = NetFeatures::<f64>::draw(&net, &shape, &options, &resources).unwrap();
            assert_eq!(feature_map::check(&map, x.as_ref()), Ok(()));
            let map = NetFeatures::<f32>::draw(&net, &shape, &options, &resources).unwrap();
            let x = Mat::from_fn(9, shape.width(), |i, j| x[(i, j)] as f32);
            assert_eq!(feature_map::check(&map, x.as_ref()), Ok(()));
        }
    }
}

#[test]
fn rows_of_zeros_have_their_kernel() {
    let (resources, x) = (Resources::new(1).unwrap(), Mat::zeros(2, 3));
    for name in NAMES {
        for kind in KINDS {
            let case = Case::dense(&net(name, 2), &x, kind);
            let options = case.options(64).sketched(Some(6));
            let map = NetFeatures::<f64>::draw(&case.net, &case.shape, &options, &resources).unwrap();
            let f = transform(&map, x.as_ref(), &resources).unwrap();
            let length: f64 = f.row(0).iter().map(|x| x * x).sum();
            let exact = case.exact()[(0, 0)];
            assert!((length - exact).abs() <= 0.5 * exact + 1e-12, "{name} {kind:?}: {length}, expected {exact}");
        }
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_layer() {
    let resources = Resources::new(1).unwrap();
    let draw = |net: &str, degree: Option<usize>, dim: usize| {
        let options = NetFeatureOptions::new(KernelKind::Ntk, dim).sketched(degree);
        NetFeatures::<f64>::draw(&Net::parse(net).unwrap(), &InputShape::vector(4), &options, &resources)
    };
    let refused = |net: &str, degree, dim| draw(net, degree, dim).unwrap_err().to_string();
    let relu = "layers = ['dense', 'relu', 'dense']";
    for degree in [0, 1, 65] {
        let error = refused(relu, Some(degree), 100);
        assert!(error.contains("layers[1].relu") && error.contains("2 to 64"), "{error}");
    }
    let error = refused("layers = ['dense', {hermite = {degree = 9}}, 'dense']", Some(8), 100);
    assert!(error.contains("layers[1].hermite") && error.contains("9 to 64"), "{error}");
    let error = refused(relu, Some(16), 5);
    assert!(error.contains("layers[1].relu") && error.contains("features"), "{error}");
    assert!(refused("layers = ['dense', {dropout = {keep = 0.9}}, 'dense']", None, 100).contains("dropout"));

    // A norm at which nearly nothing of the function is of low degree.
    let map = draw("layers = ['dense', 'sin', 'dense']", Some(6), 100).unwrap();
    let x = Mat::from_fn(1, 4, |_, _| 5.0);
    let error = transform(&map, x.as_ref(), &resources).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("layers[1].sin") && error.to_string().contains("degree 6"), "{error}");
    let map = draw("layers = ['dense', 'exp', 'dense']", Some(60), 200).unwrap();
    let error = transform(&map, Mat::from_fn(1, 4, |_, _| 1e3).as_ref(), &resources).unwrap_err();
    assert!(matches!(error, Error::Overflow { .. } | Error::Unsupported { .. }), "{error}");
}
