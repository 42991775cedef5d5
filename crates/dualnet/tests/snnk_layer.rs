//! ReLU-SNNK, layers, bundles and networks: golden values, expectations, exact folds, fits, errors and their bounds.
#![allow(clippy::unwrap_used, clippy::panic)]

mod conforms;

use conforms::{conforms, normals};
use dualnet::activation::Activation;
use dualnet::features::{FeatureMap, RandomFeatures, RandomOptions, transform};
use dualnet::kernel::Float;
use dualnet::linalg::{MatMut, MatRef};
use dualnet::random::{Draws, Purpose};
use dualnet::simd::Isa;
use dualnet::snnk::bound::{Terms, depth_error, depth_probability, deviation, deviation_probability, features_for};
use dualnet::snnk::{
    Bundle, Count, Counted, CountedMap, CountedSnnk, DenseLayer, DenseNetwork, Deviation, FitOptions, Intercept,
    Penalty, ReluOptions, ReluSnnk, Snnk, SnnkLayer, Stage, Tower, half_arc_cosine,
};
use dualnet::{Error, Mat, Resources, Result};
use npyz::npz::NpzArchive;
use std::sync::Arc;

/// One array of snnk.npz.
fn golden(name: &str) -> Mat<f64> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/snnk.npz");
    let mut archive = NpzArchive::new(std::io::BufReader::new(std::fs::File::open(path).unwrap())).unwrap();
    let array = archive.by_name(name).unwrap().unwrap();
    let shape = array.shape().to_vec();
    let (rows, cols) = (shape.first().map_or(1, |&n| n as usize), shape.get(1).map_or(1, |&n| n as usize));
    Mat::from_vec(rows, cols, array.into_vec::<f64>().unwrap()).unwrap()
}

/// Largest difference relative to the largest entry.
fn near(name: &str, found: &Mat<f64>, tolerance: f64) {
    let truth = golden(name);
    assert_eq!((found.rows(), found.cols()), (truth.rows(), truth.cols()), "{name}");
    let size = truth.as_slice().iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    for (a, b) in found.as_slice().iter().zip(truth.as_slice()) {
        assert!((a - b).abs() <= tolerance * size, "{name}: {a} {b}");
    }
}

/// A map as the parts of the crate pass it around.
fn relu(rows: Mat<f64>) -> Arc<ReluSnnk<f64>> {
    Arc::new(ReluSnnk::with_rows(rows, 0.0).unwrap())
}

fn dense(l: usize, d: usize, seed: u64, activation: Activation) -> DenseLayer<f64> {
    let (w, b) = (normals(l, d, seed), normals(1, l, seed + 1000));
    let weights = Mat::from_fn(l, d, |i, j| w[(i, j)] * (2.0 / d as f64).sqrt());
    DenseLayer::new(weights, b.as_slice().iter().map(|b| 0.1 * b).collect(), activation).unwrap()
}

fn biased(inputs: usize, features: usize, layer: u32, resources: &Resources) -> Arc<ReluSnnk<f64>> {
    let options = ReluOptions { constant: 1.0, layer, ..ReluOptions::default() };
    Arc::new(ReluSnnk::draw(inputs, features, options, resources).unwrap())
}

#[test]
fn golden_relu_maps() -> Result<()> {
    let resources = Resources::new(2)?;
    let (x, w) = (golden("X"), golden("W"));
    let map = relu(golden("G"));
    near("relu_Phi", &transform(map.as_ref(), x.as_ref(), &resources)?, 1e-12);
    near("relu_Psi", &map.psi(w.as_ref(), &[], &resources)?, 1e-12);
    let layer = SnnkLayer::given(map.clone(), &DenseLayer::new(w.clone(), vec![], Activation::Relu)?, &resources)?;
    near("relu_out", &layer.forward(x.as_ref(), &resources)?, 1e-12);
    let expected = Mat::from_fn(4, 3, |i, j| half_arc_cosine(x.row(i), w.row(j)).unwrap());
    near("relu_expected", &expected, 1e-12);
    assert_eq!(map.expected(x.row(0), w.row(1), 0.0)?, expected[(0, 1)]);
    Ok(())
}

#[test]
fn golden_bundle_and_head() -> Result<()> {
    let resources = Resources::new(2)?;
    let x = golden("X");
    let first = DenseLayer::new(golden("W"), vec![], Activation::Relu)?;
    let head = DenseLayer::new(golden("W2"), vec![], Activation::Identity)?;
    let second = DenseLayer::new(golden("W2"), vec![], Activation::Relu)?;
    let (map1, map2) = (relu(golden("G")), relu(golden("G2")));
    let layer = SnnkLayer::given(map1, &first, &resources)?;

    let folded = layer.fold(&head, &resources)?;
    near("bundle_params", folded.parameters(), 1e-12);
    near("head_bundled", &folded.forward(x.as_ref(), &resources)?, 1e-12);
    near("head_unbundled", &head.forward(layer.forward(x.as_ref(), &resources)?.as_ref(), &resources)?, 1e-12);

    let bundled = layer.absorb(&second, map2, &resources)?;
    near("bundle_Phi", &transform(bundled.tower(), x.as_ref(), &resources)?, 1e-12);
    near("bundle_Psi", bundled.parameters(), 1e-12);
    near("bundle_out", &bundled.forward(x.as_ref(), &resources)?, 1e-12);
    Ok(())
}

#[test]
fn golden_closed_form() -> Result<()> {
    let resources = Resources::new(2)?;
    let tower = Tower::new(vec![relu(golden("G")) as Arc<dyn CountedMap<f64>>, relu(golden("G2"))])?;
    let (x, y) = (golden("ridge_X"), golden("ridge_Y"));
    let lambda = golden("ridge_lambda")[(0, 0)];
    let options = FitOptions { penalty: Penalty::Absolute(lambda), intercept: Intercept::None };
    let fitted = SnnkLayer::fit(tower, x.as_ref(), y.as_ref(), &options, &resources)?;
    let t = fitted.parameters();
    near("ridge_W", &Mat::from_fn(t.cols(), t.rows(), |i, j| t[(j, i)]), 1e-11);
    near("ridge_pred", &fitted.forward(x.as_ref(), &resources)?, 1e-12);
    Ok(())
}

/// 1,000 seeds, with biases and a threshold: four standard errors.
#[test]
fn relu_layers_average_to_their_kernel() -> Result<()> {
    let base = Resources::new(1)?;
    let (x, w, b) = (normals(3, 4, 1), normals(2, 4, 2), [0.7, -0.4]);
    for threshold in [0.0, -0.6] {
        let (mut sum, mut squares) = ([0.0; 6], [0.0; 6]);
        let options = ReluOptions { threshold, constant: 0.8, ..ReluOptions::default() };
        for seed in 0..1000 {
            let resources = base.clone().with_seed(seed);
            let map = ReluSnnk::<f64>::draw(4, 8, options, &resources)?;
            let phi = transform(&map, x.as_ref(), &resources)?;
            let psi = map.psi(w.as_ref(), &b, &resources)?;
            for k in 0..6 {
                let y: f64 = phi.row(k / 2).iter().zip(psi.row(k % 2)).map(|(a, b)| a * b).sum();
                sum[k] += y;
                squares[k] += y * y;
            }
        }
        let map = ReluSnnk::<f64>::draw(4, 1, options, &base)?;
        for k in 0..6 {
            let mean = sum[k] / 1000.0;
            let error = ((squares[k] / 1000.0 - mean * mean) / 999.0).sqrt();
            let truth = map.expected(x.row(k / 2), w.row(k % 2), b[k % 2])?;
            assert!((mean - truth).abs() < 4.0 * error, "{threshold} {k}: {mean} {truth} +- {error}");
        }
    }
    Ok(())
}

#[test]
fn errors_fall_with_the_root_of_the_number_of_features() -> Result<()> {
    let base = Resources::new(2)?;
    let (x, w) = (normals(12, 6, 3), normals(10, 6, 4));
    let sizes = [16, 64, 256, 1024];
    let mut points = Vec::new();
    for m in sizes {
        let mut square = 0.0;
        for seed in 0..60 {
            let resources = base.clone().with_seed(seed);
            let map = ReluSnnk::<f64>::draw(6, m, ReluOptions::default(), &resources)?;
            let phi = transform(&map, x.as_ref(), &resources)?;
            let psi = map.psi(w.as_ref(), &[], &resources)?;
            for i in 0..12 {
                for j in 0..10 {
                    let y: f64 = phi.row(i).iter().zip(psi.row(j)).map(|(a, b)| a * b).sum();
                    square += (y - half_arc_cosine(x.row(i), w.row(j))?).powi(2);
                }
            }
        }
        points.push(((m as f64).ln(), 0.5 * square.ln()));
    }
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / points.len() as f64;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let slope = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>()
        / points.iter().map(|p| (p.0 - mx).powi(2)).sum::<f64>();
    assert!((slope + 0.5).abs() < 0.05, "{slope}");
    Ok(())
}

/// A chain with biases, linear layers between and a head with an activation, against the composition spelled out.
#[test]
fn bundles_equal_the_composition_of_their_parts() -> Result<()> {
    let resources = Resources::new(2)?.with_seed(5);
    let layers: Vec<Arc<DenseLayer<f64>>> = [
        dense(9, 6, 10, Activation::Relu),
        dense(7, 9, 11, Activation::Identity),
        dense(5, 7, 12, Activation::Relu),
        dense(3, 5, 13, Activation::Identity),
    ]
    .map(Arc::new)
    .into();
    let (map1, map2) = (biased(6, 40, 0, &resources), biased(40, 30, 1, &resources));
    let maps = [map1.clone() as Arc<dyn CountedSnnk<f64>>, map2.clone()];
    let bundle = SnnkLayer::bundle(&layers, &maps, &resources)?;
    let x = normals(150, 6, 14);

    // The parameter tower by plain loops: (A, a) is what the layers so far are on the features.
    let product = |a: &Mat<f64>, b: &Mat<f64>| {
        Mat::from_fn(a.rows(), b.cols(), |i, j| (0..a.cols()).map(|k| a[(i, k)] * b[(k, j)]).sum::<f64>())
    };
    let psi1 = map1.psi(layers[0].weights().as_ref(), layers[0].biases(), &resources)?;
    let a = product(layers[2].weights(), &product(layers[1].weights(), &psi1));
    let b1 = Mat::from_vec(7, 1, layers[1].biases().to_vec())?;
    let b: Vec<f64> =
        product(layers[2].weights(), &b1).as_slice().iter().zip(layers[2].biases()).map(|(a, b)| a + b).collect();
    let psi2 = map2.psi(a.as_ref(), &b, &resources)?;
    let phi = transform(map2.as_ref(), transform(map1.as_ref(), x.as_ref(), &resources)?.as_ref(), &resources)?;
    let y = bundle.forward(x.as_ref(), &resources)?;
    let head = product(layers[3].weights(), &psi2);
    for i in 0..150 {
        for j in 0..3 {
            let truth = (0..30).map(|k| head[(j, k)] * phi[(i, k)]).sum::<f64>() + layers[3].biases()[j];
            assert!((y[(i, j)] - truth).abs() < 1e-13 * (1.0 + truth.abs()), "{i} {j}: {} {truth}", y[(i, j)]);
        }
    }

    // A head with an activation of its own folds exactly as well.
    let tanh = dense(4, 3, 15, Activation::Tanh);
    let folded = bundle.fold(&tanh, &resources)?.forward(x.as_ref(), &resources)?;
    let apart = tanh.forward(y.as_ref(), &resources)?;
    let largest = folded.as_slice().iter().zip(apart.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(largest < 1e-13, "{largest}");
    Ok(())
}

#[test]
fn layers_and_networks_conform() -> Result<()> {
    let resources = Resources::new(1)?.with_seed(2);
    let layers = vec![dense(300, 7, 20, Activation::Relu), dense(33, 300, 21, Activation::Gelu)];
    conforms(&layers[0]);
    let network = DenseNetwork::new(layers)?;
    conforms(&network);
    let maps: Vec<Arc<dyn CountedSnnk<f64>>> = vec![biased(7, 520, 0, &resources), biased(520, 60, 1, &resources)];
    conforms(&network.bundle_all(maps, &resources)?);
    let options = ReluOptions { threshold: -0.5, constant: 2.0, ..ReluOptions::default() };
    conforms(&ReluSnnk::<f32>::draw(30, 1100, options, &resources)?);
    conforms(&Tower::<f32>::relu(5, &[600, 20, 700], options, &resources)?);
    Ok(())
}

#[test]
fn fits_recover_layers_that_they_can_express() -> Result<()> {
    let resources = Resources::new(2)?.with_seed(3);
    let tower = Tower::<f64>::relu(4, &[25], ReluOptions { constant: 1.0, ..ReluOptions::default() }, &resources)?;
    let truth = SnnkLayer::free(tower.clone(), normals(3, 25, 30), vec![5.0, -100.0, 0.0])?;
    let x = normals(2500, 4, 31);
    let y = truth.forward(x.as_ref(), &resources)?;
    let options = FitOptions { penalty: Penalty::Relative(0.0), ..FitOptions::default() };
    let fitted = SnnkLayer::fit(tower.clone(), x.as_ref(), y.as_ref(), &options, &resources)?;
    for (a, b) in fitted.parameters().as_slice().iter().zip(truth.parameters().as_slice()) {
        assert!((a - b).abs() < 1e-7, "{a} {b}");
    }
    for (a, b) in fitted.head().biases().iter().zip(truth.head().biases()) {
        assert!((a - b).abs() < 1e-8, "{a} {b}");
    }
    // The same bits on any number of threads; a strong pull leaves the mean.
    let alone = SnnkLayer::fit(tower.clone(), x.as_ref(), y.as_ref(), &options, &Resources::new(1)?)?;
    assert_eq!(alone.parameters(), fitted.parameters());
    let strong = FitOptions { penalty: Penalty::Relative(1e12), ..FitOptions::default() };
    let flat = SnnkLayer::fit(tower, x.as_ref(), y.as_ref(), &strong, &resources)?;
    let mean = (0..2500).map(|i| y[(i, 1)]).sum::<f64>() / 2500.0;
    assert!((flat.forward(x.as_ref(), &resources)?[(7, 1)] - mean).abs() < 1e-8);
    Ok(())
}

/// Features with bounded terms: E 2 cos(g . x + b) cos(g . w + b) = exp(-|x - w|^2 / 2) for uniform phases b (Rahimi
/// and Recht 2007), each term at most 2.
#[derive(Clone, Debug)]
struct Gaussian {
    phi: RandomFeatures<f64>,
    m: usize,
}

impl Gaussian {
    fn draw(d: usize, m: usize, resources: &Resources) -> Self {
        let mut draws = Draws::new(resources.seed, Purpose(41), 0);
        let rows = Mat::from_fn(m, d, |_, _| draws.normal());
        let phases: Vec<f64> = (0..m).map(|_| std::f64::consts::TAU * draws.uniform()).collect();
        let cos = Activation::Cos { a: 2f64.sqrt(), b: 1.0, c: 0.0 };
        let options = RandomOptions { bias_std: 1.0, ..RandomOptions::default() };
        Self { phi: RandomFeatures::with_rows(cos, rows, &phases, &options).unwrap(), m }
    }
}

impl FeatureMap<f64> for Gaussian {
    fn inputs(&self) -> usize {
        self.phi.inputs()
    }
    fn dim(&self) -> usize {
        self.m
    }
    fn scratch(&self) -> usize {
        self.phi.scratch()
    }
    fn tile(&self, x: MatRef<'_, f64>, out: MatMut<'_, f64>, scratch: &mut [f64], isa: Isa) -> Result<()> {
        self.phi.tile(x, out, scratch, isa)
    }
}

/// Bounded terms, |X_i| <= 2: how often the bound is exceeded over 2,000 seeds, at several m.
#[test]
fn the_bound_holds_and_improves_with_features() -> Result<()> {
    let base = Resources::new(1)?;
    let x = normals(2, 3, 50);
    let gap: f64 = x.row(0).iter().zip(x.row(1)).map(|(a, b)| (a - b).powi(2)).sum();
    let truth = (-0.5 * gap).exp();
    let mut last = 2.0;
    for m in [16, 64, 256] {
        for probability in [0.5, 0.05] {
            let allowed = deviation(Terms::Independent(2.0), m, probability);
            let mut beyond = 0;
            for seed in 0..2000 {
                let map = Gaussian::draw(3, m, &base.clone().with_seed(seed));
                let f = transform(&map, x.as_ref(), &base)?;
                let y: f64 = f.row(0).iter().zip(f.row(1)).map(|(a, b)| a * b).sum();
                beyond += usize::from((y - truth).abs() >= allowed);
            }
            assert!(beyond as f64 <= 2000.0 * probability, "{m} {probability}: {beyond}");
        }
        let p = deviation_probability(Terms::Martingale(2.0), m, 1.5);
        assert!(p < last);
        last = p;
    }
    // As printed, 2 exp(-eps^2 / (8 m c^2)), the bound gets worse with m and says nothing.
    let printed = |m: f64| 2.0 * f64::exp(-0.25 / (8.0 * m * 4.0));
    assert!(printed(256.0) > printed(16.0) && printed(16.0) > 1.0);
    assert!(deviation_probability(Terms::Independent(2.0), 256, 0.5) < 1e-3);
    let m = features_for(Terms::Independent(2.0), 0.1, 0.01);
    assert!(deviation_probability(Terms::Independent(2.0), m, 0.1) <= 0.01);
    assert!(deviation_probability(Terms::Independent(2.0), m - 1, 0.1) > 0.01);
    assert_eq!(features_for(Terms::Independent(2.0), 0.0, 0.01), usize::MAX);
    assert_eq!(deviation(Terms::Independent(0.0), 5, 0.1), 0.0);
    assert_eq!(depth_probability(0.3, 5), 1.0);
    assert!((depth_error(0.01, 3, f64::sqrt) - (0.01 + 0.1 + 0.1f64.sqrt())).abs() < 1e-15);
    Ok(())
}

/// A pair of maps whose mean is the layer itself, for weights known beforehand: features are sines of rows of W drawn
/// at random.
#[derive(Clone, Debug)]
struct SineOf {
    rows: Mat<f64>,
    phi: RandomFeatures<f64>,
}

impl SineOf {
    fn new(weights: &Mat<f64>, copies: usize, resources: &Resources) -> Self {
        let (l, d) = (weights.rows(), weights.cols());
        let mut draws = Draws::new(resources.seed, Purpose(42), 0);
        let picks: Vec<usize> = (0..copies * l).map(|_| draws.below(l)).collect();
        let rows = Mat::from_fn(copies * l, d, |i, j| weights[(picks[i], j)]);
        let sine = Activation::Sin { a: 1.0, b: 1.0, c: 0.0 };
        let phi = RandomFeatures::with_rows(sine, rows.clone(), &[], &RandomOptions::default()).unwrap();
        Self { rows, phi }
    }
}

impl FeatureMap<f64> for SineOf {
    fn inputs(&self) -> usize {
        self.phi.inputs()
    }
    fn dim(&self) -> usize {
        self.phi.dim()
    }
    fn scratch(&self) -> usize {
        self.phi.scratch()
    }
    fn tile(&self, x: MatRef<'_, f64>, out: MatMut<'_, f64>, scratch: &mut [f64], isa: Isa) -> Result<()> {
        self.phi.tile(x, out, scratch, isa)
    }
}

impl Snnk<f64> for SineOf {
    /// l times the indicator that the feature was drawn for this row: E of the product is sin(w . x).
    fn psi(&self, weights: MatRef<'_, f64>, _: &[f64], _: &Resources) -> Result<Mat<f64>> {
        let (l, m) = (weights.rows(), self.dim());
        let psi = |i: usize, j: usize| if weights.row(i) == self.rows.row(j) { l as f64 } else { 0.0 };
        Ok(Mat::from_fn(l, m, |i, j| psi(i, j) / (m as f64).sqrt()))
    }
}

impl Counted for SineOf {
    fn count(&self) -> Count {
        Count::map::<f64>(self.inputs(), self.dim())
    }
}

/// An unbiased map in a network: measured errors stay below the bound, layer by layer and at the end, for all seeds.
#[test]
fn reports_measure_and_bound() -> Result<()> {
    let sine = Activation::Sin { a: 1.0, b: 1.0, c: 0.0 };
    let first = DenseLayer::new(normals(6, 4, 60), vec![], sine)?;
    let second = dense(5, 6, 61, Activation::Tanh);
    let head = dense(2, 5, 62, Activation::Identity);
    let weights = first.weights().clone();
    let network = DenseNetwork::new(vec![first, second, head])?;
    let x = normals(90, 4, 63);
    for seed in 0..20 {
        let resources = Resources::new(1)?.with_seed(seed);
        let maps: Vec<Arc<dyn CountedSnnk<f64>>> = vec![Arc::new(SineOf::new(&weights, 200, &resources))];
        let bundled = network.bundle(&[Bundle { layers: 0..1, maps }], &resources)?;
        let report = bundled.report(&network, x.as_ref(), 0.05, &resources)?;
        assert_eq!(report.stages.len(), 3);
        assert_eq!(report.stages[0].alone, report.stages[0].end_to_end);
        assert!(report.stages[0].alone.max > 0.0);
        for stage in &report.stages {
            let bound = stage.bound.unwrap();
            assert!(stage.end_to_end.max <= bound, "{seed} {stage:?}");
            assert!(stage.layers.start == 0 || stage.alone.max == 0.0);
        }
        // Of use, not only true: within two orders of magnitude.
        assert!(report.stages[0].bound.unwrap() < 100.0 * report.stages[0].end_to_end.max);
        let y = (bundled.forward(x.as_ref(), &resources)?, network.forward(x.as_ref(), &resources)?);
        assert_eq!(report.stages[2].end_to_end, Deviation::of(y.0.as_ref(), y.1.as_ref())?);
    }
    Ok(())
}

#[test]
fn bounds_follow_folded_layers() -> Result<()> {
    let resources = Resources::new(1)?;
    let layer = SnnkLayer::given(biased(3, 20, 0, &resources), &dense(4, 3, 70, Activation::Relu), &resources)?;
    let (linear, last) = (dense(5, 4, 71, Activation::Identity), dense(2, 5, 72, Activation::Relu));
    let sum = |l: &DenseLayer<f64>| {
        let w = l.weights();
        (0..w.rows()).map(|i| w.row(i).iter().map(|w| w.abs()).sum::<f64>()).fold(0.0, f64::max)
    };
    let folded = layer.fold(&linear, &resources)?;
    assert_eq!(folded.gain(), Some(sum(&linear)));
    let deep = folded.absorb(&last, biased(20, 8, 1, &resources), &resources)?;
    assert!((deep.levels()[1].lipschitz.unwrap() - sum(&linear) * sum(&last)).abs() < 1e-13);
    assert_eq!((deep.gain(), deep.levels().len(), deep.levels()[1].outputs), (Some(1.0), 2, 2));
    let step = layer.fold(&dense(2, 4, 73, Activation::Sign), &resources)?;
    assert_eq!(step.gain(), None);
    Ok(())
}

#[test]
fn networks_count_what_they_keep() -> Result<()> {
    let resources = Resources::new(1)?;
    let network = DenseNetwork::new(vec![
        dense(50, 10, 80, Activation::Relu),
        dense(40, 50, 81, Activation::Relu),
        dense(3, 40, 82, Activation::Identity),
    ])?;
    assert_eq!(network.count().parameters, 550 + 2040 + 123);
    assert_eq!(network.count().bytes, 8 * 2713);
    let (map1, map2) = (biased(10, 16, 0, &resources), biased(16, 12, 1, &resources));
    let partly = network.bundle(&[Bundle { layers: 0..1, maps: vec![map1.clone()] }], &resources)?;
    assert_eq!(partly.count().parameters, 50 * 16 + 50 + 2040 + 123);
    let headed = network.bundle(&[Bundle { layers: 1..3, maps: vec![biased(50, 16, 0, &resources)] }], &resources)?;
    assert_eq!(headed.count().parameters, 550 + 3 * 16 + 3);
    assert!(matches!(headed.stages(), [Stage::Dense(0, _), Stage::Snnk(layers, _)] if *layers == (1..3)));
    let whole = network.bundle_all(vec![map1, map2], &resources)?;
    let count = whole.count();
    assert_eq!((count.parameters, count.fixed), (3 * 12 + 3, 16 * 11 + 12 * 17));
    assert_eq!(count.bytes, 8 * (39 + 176 + 204));
    assert_eq!(count.flops, 2 * (39 + 176 + 204));
    let features = RandomFeatures::<f32>::draw(Activation::Tanh, 9, 20, &RandomOptions::default(), &resources)?;
    assert_eq!(features.count(), Count { parameters: 0, fixed: 200, bytes: 800, flops: 400 });
    Ok(())
}

#[test]
fn hostile_arguments_are_refused() -> Result<()> {
    let resources = Resources::new(1)?;
    let shape = |found: Result<()>| assert!(matches!(found, Err(Error::Shape { .. })), "{found:?}");
    let map = biased(3, 8, 0, &resources);
    let w = normals(2, 3, 90);
    shape(map.psi(normals(2, 4, 1).as_ref(), &[], &resources).map(drop));
    shape(map.psi(w.as_ref(), &[1.0], &resources).map(drop));
    let nan = map.psi(w.as_ref(), &[0.0, f64::NAN], &resources);
    assert!(matches!(nan, Err(Error::NonFinite { column: 1, .. })));
    let unbiased = relu(normals(8, 3, 91));
    let found = unbiased.psi(w.as_ref(), &[0.0, 0.5], &resources);
    assert!(matches!(found, Err(Error::Invalid { .. })), "a bias must not vanish silently");
    let huge = Mat::from_fn(2, 3, |_, _| 1e308);
    assert!(matches!(map.psi(huge.as_ref(), &[], &resources), Err(Error::Overflow { .. })));
    assert!(
        ReluSnnk::<f64>::draw(3, 8, ReluOptions { threshold: f64::NAN, ..Default::default() }, &resources).is_err()
    );
    assert!(ReluSnnk::<f64>::draw(3, 8, ReluOptions { constant: f64::NAN, ..Default::default() }, &resources).is_err());

    assert!(matches!(DenseLayer::new(Mat::<f64>::zeros(0, 3), vec![], Activation::Relu), Err(Error::Invalid { .. })));
    shape(DenseLayer::new(w.clone(), vec![1.0], Activation::Relu).map(drop));
    shape(DenseNetwork::new(vec![dense(4, 3, 1, Activation::Relu), dense(2, 5, 1, Activation::Relu)]).map(drop));
    assert!(DenseNetwork::<f64>::new(vec![]).is_err());
    let tower = Tower::<f64>::relu(3, &[8], ReluOptions::default(), &resources)?;
    shape(SnnkLayer::free(tower.clone(), normals(2, 9, 1), vec![]).map(drop));
    assert!(Tower::<f64>::relu(3, &[], ReluOptions::default(), &resources).is_err());

    let network = DenseNetwork::new(vec![dense(4, 3, 1, Activation::Relu), dense(2, 4, 2, Activation::Identity)])?;
    shape(network.bundle_all(vec![], &resources).map(drop));
    shape(network.bundle(&[Bundle { layers: 1..2, maps: vec![] }], &resources).map(drop));
    shape(network.bundle(&[Bundle { layers: 0..9, maps: vec![] }], &resources).map(drop));
    let layer = SnnkLayer::free(tower.clone(), normals(4, 8, 1), vec![])?;
    let twice = network.replace(vec![(0..1, layer.clone()), (0..1, layer.clone())]);
    assert!(matches!(twice, Err(Error::Invalid { .. })));
    shape(network.replace(vec![(0..2, layer.clone())]).map(drop));
    let sharp = layer.fold(&dense(2, 4, 3, Activation::Tanh), &resources)?;
    assert!(matches!(sharp.fold(&dense(1, 2, 3, Activation::Relu), &resources), Err(Error::Unsupported { .. })));
    shape(layer.fold(&dense(2, 5, 3, Activation::Tanh), &resources).map(drop));

    let x = normals(5, 3, 92);
    let fit = |y: &Mat<f64>, penalty, resources: &Resources| {
        let options = FitOptions { penalty, ..FitOptions::default() };
        SnnkLayer::fit(tower.clone(), x.as_ref(), y.as_ref(), &options, resources).map(drop)
    };
    shape(fit(&normals(4, 1, 1), Penalty::Relative(1.0), &resources));
    let mut y = normals(5, 1, 1);
    let negative = fit(&y, Penalty::Absolute(-1.0), &resources);
    assert!(matches!(negative, Err(Error::Invalid { .. })));
    let singular = fit(&y, Penalty::Absolute(0.0), &resources);
    assert!(matches!(singular, Err(Error::NotPositiveDefinite { .. })), "{singular:?}");
    assert!(matches!(fit(&y, Penalty::Relative(1.0), &resources.clone().with_memory(100)), Err(Error::Memory { .. })));
    y[(3, 0)] = f64::NAN;
    assert!(matches!(fit(&y, Penalty::Relative(1.0), &resources), Err(Error::NonFinite { row: 3, .. })));
    let bundled = network.replace(vec![(0..1, layer)])?;
    let wrong = bundled.report(&network, x.as_ref(), 0.0, &resources);
    assert!(matches!(wrong, Err(Error::Invalid { .. })));
    Ok(())
}

/// Keeps the generic parts honest: everything exists in single precision.
#[test]
fn single_precision_bundles() -> Result<()> {
    fn run<T: Float>(resources: &Resources) -> Result<Vec<f64>> {
        let cast = |a: Mat<f64>| Mat::from_fn(a.rows(), a.cols(), |i, j| T::from_f64(a[(i, j)]));
        let options = ReluOptions { constant: 1.0, ..ReluOptions::default() };
        let map: Arc<dyn CountedSnnk<T>> = Arc::new(ReluSnnk::<T>::draw(6, 64, options, resources)?);
        let layer = DenseLayer::new(cast(normals(4, 6, 1)), vec![T::from_f64(0.5); 4], Activation::Relu)?;
        let network = DenseNetwork::new(vec![layer])?;
        let y = network.bundle_all(vec![map], resources)?.forward(cast(normals(40, 6, 2)).as_ref(), resources)?;
        Ok(y.as_slice().iter().map(|y| y.to_f64()).collect())
    }
    let resources = Resources::new(1)?;
    let (wide, narrow) = (run::<f64>(&resources)?, run::<f32>(&resources)?);
    assert!(wide.iter().zip(&narrow).all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + a.abs())));
    Ok(())
}
