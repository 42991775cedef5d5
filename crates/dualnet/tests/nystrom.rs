//! Nystrom features: the approximation they stand for, roots, ranks, parts, the suite of feature maps, the error on digits, images.
#![allow(clippy::unwrap_used, clippy::panic)]

mod conforms;

use conforms::{conforms, normals};
use dualnet::conformance::feature_map::check;
use dualnet::features::landmarks::{LandmarkMethod, Landmarks, PartialCholesky};
use dualnet::features::{FeatureMap, NystromFeatures, Root, transform};
use dualnet::gram;
use dualnet::kernel::{ConvKernel, DenseKernel, FlipKernel, Float, InputShape, Kernel, KernelKind, NetKernel};
use dualnet::linalg::{Update, eigh, gemm_nt};
use dualnet::net::Net;
use dualnet::{Error, Mat, Resources};

const KIND: KernelKind = KernelKind::Ntk;

fn one() -> Resources {
    Resources::new(1).unwrap()
}

fn dense(net: &str, width: usize) -> DenseKernel {
    DenseKernel::new(&Net::parse(net).unwrap(), width).unwrap()
}

fn matrix<T: Float, K: Kernel<T>>(kernel: &K, x: &Mat<T>, kind: KernelKind) -> Mat<f64> {
    let grams = gram::symmetric(kernel, x.as_ref(), kind.get(), &one()).unwrap();
    let k = kind.of((grams.nngp, grams.ntk)).unwrap();
    Mat::from_fn(k.rows(), k.cols(), |i, j| k[(i, j)].to_f64())
}

/// K - Phi Phi^T.
fn rest<T: Float>(k: &Mat<f64>, features: &Mat<T>) -> Mat<f64> {
    let f = Mat::from_fn(features.rows(), features.cols(), |i, j| features[(i, j)].to_f64());
    let mut rest = k.clone();
    gemm_nt(rest.as_mut(), Update::Add, -1.0, f.as_ref(), f.as_ref()).unwrap();
    rest
}

fn norm(a: &Mat<f64>) -> f64 {
    a.as_slice().iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[test]
fn products_are_the_nystrom_approximation() {
    let x = normals(300, 5, 1);
    let kernel = dense("fc-relu-2", 5);
    let k = matrix(&kernel, &x, KIND);
    let method = LandmarkMethod::rp_cholesky();
    let chosen = Landmarks::choose(&kernel, x.as_ref(), KIND, 60, method, &one()).unwrap();
    let expected = rest(&k, chosen.partial().unwrap().factor());
    let landmarks = chosen.samples(x.as_ref()).unwrap();
    for root in [Root::Spectral, Root::Triangular] {
        let map = NystromFeatures::new(kernel.clone(), KIND, landmarks.as_ref(), 60, root, &one()).unwrap();
        assert_eq!((map.rank(), map.dim(), map.inputs()), (60, 60, 5));
        let features = transform(&map, x.as_ref(), &one()).unwrap();
        let found = rest(&k, &features);
        let worst = found.as_slice().iter().zip(expected.as_slice()).fold(0.0, |m, (a, b)| f64::max(m, (a - b).abs()));
        assert!(worst < 1e-9, "{root:?}: {worst}");
        // Never larger than K, and exact in the rows of landmarks.
        assert!(eigh(found.as_ref(), &one()).unwrap().values[0] > -1e-9);
        for &row in chosen.rows() {
            assert!(found.row(row).iter().all(|v| v.abs() < 1e-9));
        }
        if root == Root::Triangular {
            // The features of the rows chosen from are the factor.
            let factor = chosen.partial().unwrap().factor();
            let pairs = features.as_slice().iter().zip(factor.as_slice());
            assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) < 1e-8);
        }
    }
}

#[test]
fn single_precision_is_near_double() {
    let x = normals(300, 5, 1);
    let single = Mat::from_fn(300, 5, |i, j| x[(i, j)] as f32);
    let kernel = dense("fc-relu-2", 5);
    let k = matrix(&kernel, &x, KIND);
    let rows: Vec<usize> = (0..80).collect();
    for (root, tolerance) in [(Root::Spectral, 2e-4), (Root::Triangular, 2e-3)] {
        let landmarks = x.as_ref().select_rows(&rows);
        let map = NystromFeatures::new(kernel.clone(), KIND, landmarks.as_ref(), 80, root, &one()).unwrap();
        let expected = rest(&k, &transform(&map, x.as_ref(), &one()).unwrap());
        let landmarks = single.as_ref().select_rows(&rows);
        let map = NystromFeatures::new(kernel.clone(), KIND, landmarks.as_ref(), 80, root, &one()).unwrap();
        let found = rest(&k, &transform(&map, single.as_ref(), &one()).unwrap());
        let worst = found.as_slice().iter().zip(expected.as_slice()).fold(0.0, |m, (a, b)| f64::max(m, (a - b).abs()));
        assert!(worst < tolerance * k[(0, 0)].max(1.0), "{root:?}: {worst}");
    }
}

#[test]
fn rank_is_reported_and_the_rest_is_zero() {
    let kernel = dense("w_std = 1.0\nlayers = ['dense']", 4);
    let normal = normals(50, 4, 2);
    // Far from dependent in any four rows that follow one another: elimination in a given order amplifies rounding where they are.
    let x = Mat::from_fn(50, 4, |i, j| 0.3 * normal[(i, j)] + if i % 4 == j { 2.0 } else { 0.0 });
    // Duplicates, a row of zeros, more rows than rank.
    let landmarks = Mat::from_fn(12, 4, |i, j| if i == 11 { 0.0 } else { x[(i % 6, j)] });
    let k = matrix(&kernel, &x, KIND);
    for root in [Root::Spectral, Root::Triangular] {
        for dim in [2, 4, 9, 30] {
            let map = NystromFeatures::new(kernel.clone(), KIND, landmarks.as_ref(), dim, root, &one()).unwrap();
            assert_eq!((map.rank(), map.dim()), (dim.min(4), dim), "{root:?}");
            let features = transform(&map, x.as_ref(), &one()).unwrap();
            assert!((0..50).all(|i| features.row(i)[map.rank()..].iter().all(|f| *f == 0.0)));
            let error = norm(&rest(&k, &features));
            assert!(if dim < 4 { error < norm(&k) } else { error < 1e-12 * norm(&k) }, "{root:?} {dim}: {error}");
        }
    }
    let zeros = Mat::<f64>::zeros(3, 4);
    let none = NystromFeatures::new(kernel, KIND, zeros.as_ref(), 2, Root::Spectral, &one());
    assert!(matches!(none, Err(Error::Invalid { .. })));
}

#[test]
fn spectral_features_are_orthogonal_and_ordered() {
    let x = normals(64, 3, 3);
    let map = NystromFeatures::new(dense("fc-gelu-1", 3), KIND, x.as_ref(), 64, Root::Spectral, &one()).unwrap();
    let f = transform(&map, x.as_ref(), &one()).unwrap();
    // On the landmarks: Phi^T Phi = S.
    let product = |a: usize, b: usize| (0..64).map(|i| f[(i, a)] * f[(i, b)]).sum::<f64>();
    for a in 0..20 {
        assert!(product(a, a) >= product(a + 1, a + 1));
        assert!((0..a).all(|b| product(a, b).abs() < 1e-11 * product(0, 0)));
    }
}

#[test]
fn parts_give_the_same_bits() {
    let x = normals(30, 4, 4);
    let kernel = dense("fc-erf-2", 4);
    let map = NystromFeatures::new(kernel.clone(), KIND, x.as_ref(), 16, Root::Spectral, &one()).unwrap();
    let (landmarks, weights) = (map.landmarks().clone(), map.weights().clone());
    let two = Resources::new(2).unwrap();
    let again = NystromFeatures::with_parts(kernel.clone(), KIND, landmarks.clone(), weights.clone(), &two).unwrap();
    assert_eq!(again.rank(), map.rank());
    let y = normals(200, 4, 5);
    assert_eq!(transform(&map, y.as_ref(), &one()).unwrap(), transform(&again, y.as_ref(), &two).unwrap());
    let build =
        |l: &Mat<f64>, w: &Mat<f64>| NystromFeatures::with_parts(kernel.clone(), KIND, l.clone(), w.clone(), &two);
    assert!(matches!(build(&Mat::zeros(3, 4), &weights), Err(Error::Shape { .. })));
    assert!(matches!(build(&Mat::zeros(0, 4), &Mat::zeros(0, 3)), Err(Error::Shape { .. })));
    assert!(matches!(build(&Mat::zeros(30, 5), &weights), Err(Error::Shape { .. })));
    let mut wrong = weights.clone();
    wrong[(3, 2)] = f64::INFINITY;
    assert!(matches!(build(&landmarks, &wrong), Err(Error::NonFinite { row: 3, column: 2, .. })));
    wrong = landmarks.clone();
    wrong[(1, 0)] = f64::NAN;
    assert!(matches!(build(&wrong, &weights), Err(Error::NonFinite { row: 1, column: 0, .. })));
    assert!(NystromFeatures::new(kernel.clone(), KIND, x.as_ref(), 0, Root::Spectral, &one()).is_err());
    let little = one().with_memory(100);
    let refused = NystromFeatures::new(kernel, KIND, x.as_ref(), 8, Root::Spectral, &little);
    assert!(matches!(refused, Err(Error::Memory { .. })));
}

#[test]
fn maps_conform() {
    let (x, single) = (normals(20, 6, 6), normals(20, 6, 7));
    let single = Mat::from_fn(20, 6, |i, j| single[(i, j)] as f32);
    let (relu, erf) = (dense("fc-relu-2", 6), dense("fc-erf-1", 6));
    conforms(&NystromFeatures::new(relu, KIND, x.as_ref(), 15, Root::Spectral, &one()).unwrap());
    let two = Resources::new(2).unwrap();
    conforms(&NystromFeatures::new(erf, KernelKind::Nngp, single.as_ref(), 20, Root::Triangular, &two).unwrap());
}

#[test]
fn images_and_flips() {
    let shape = InputShape::image(4, 4, 1);
    let net = Net::parse("layers = ['conv', 'relu', 'global_avg_pool', 'dense']").unwrap();
    let x = normals(20, 16, 8);
    let conv = ConvKernel::new(&net, &shape).unwrap();
    let either = NetKernel::new(&net, &shape).unwrap();
    let flip = FlipKernel::new(conv, &shape).unwrap();
    let k = matrix(&flip, &x, KIND);
    let landmarks = x.as_ref().select_rows(&[3, 0, 17, 9, 12]);
    let map = NystromFeatures::new(flip.clone(), KIND, landmarks.as_ref(), 5, Root::Triangular, &one()).unwrap();
    let partial = PartialCholesky::of_rows(&flip, x.as_ref(), KIND, &[3, 0, 17, 9, 12], &one()).unwrap();
    let (a, b) = (rest(&k, &transform(&map, x.as_ref(), &one()).unwrap()), rest(&k, partial.factor()));
    assert!(a.as_slice().iter().zip(b.as_slice()).all(|(a, b)| (a - b).abs() < 1e-12));
    let map = NystromFeatures::new(either, KIND, landmarks.as_ref(), 5, Root::Spectral, &one()).unwrap();
    // Rows at the end of a batch that are 0 are not padding.
    let padded = Mat::from_fn(40, 16, |i, j| if (20..31).contains(&i) { x[(i - 20, j)] } else { 0.0 });
    let (whole, alone) =
        (transform(&map, padded.as_ref(), &one()).unwrap(), transform(&map, x.as_ref(), &one()).unwrap());
    assert!((0..11).all(|i| whole.row(20 + i) == alone.row(i)));
    assert!((0..40).filter(|i| !(20..31).contains(i)).all(|i| whole.row(i).iter().all(|f| *f == 0.0)));
    assert_eq!(check(&map, x.as_ref().block(0..3, 0..16).unwrap()), Ok(()));
}

/// 1,000 digits; columns standardised if asked for.
fn digits(standardised: bool) -> Mat<f64> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/digits.csv")).unwrap();
    let line = |line: &str| line.split(',').take(64).map(|v| v.parse::<f64>().unwrap() / 16.0).collect::<Vec<f64>>();
    let rows: Vec<Vec<f64>> = text.lines().skip(1).take(1000).map(line).collect();
    let mut x = Mat::from_vec(1000, 64, rows.concat()).unwrap();
    for j in (0..64).filter(|_| standardised) {
        let mean = (0..1000).map(|i| x[(i, j)]).sum::<f64>() / 1000.0;
        let std = ((0..1000).map(|i| (x[(i, j)] - mean).powi(2)).sum::<f64>() / 1000.0).sqrt();
        (0..1000).for_each(|i| x[(i, j)] = if std > 0.0 { (x[(i, j)] - mean) / std } else { 0.0 });
    }
    x
}

#[test]
fn error_on_digits_is_that_of_the_documentation() {
    let kernel = dense("fc-relu-2", 64);
    let two = Resources::new(2).unwrap();
    // Standardised is harder than pixels as they are.
    for (standardised, limits) in [(true, [(256, 0.043), (512, 0.024)]), (false, [(256, 0.009), (512, 0.005)])] {
        let x = digits(standardised);
        let k = matrix(&kernel, &x, KIND);
        for (dim, limit) in limits {
            let error = |seed: u64| {
                let (two, method) = (two.clone().with_seed(seed), LandmarkMethod::rp_cholesky());
                let chosen = Landmarks::choose(&kernel, x.as_ref(), KIND, dim, method, &two).unwrap();
                norm(&rest(&k, chosen.partial().unwrap().factor())) / norm(&k)
            };
            let mean = (0..10).map(error).sum::<f64>() / 10.0;
            assert!(mean < limit, "dimension {dim}: {mean}");
            let chosen =
                Landmarks::choose(&kernel, x.as_ref(), KIND, dim, LandmarkMethod::rp_cholesky(), &two).unwrap();
            let landmarks = chosen.samples(x.as_ref()).unwrap();
            let map =
                NystromFeatures::new(kernel.clone(), KIND, landmarks.as_ref(), dim, Root::Triangular, &two).unwrap();
            let found = norm(&rest(&k, &transform(&map, x.as_ref(), &two).unwrap())) / norm(&k);
            assert!((found - error(0)).abs() < 1e-8, "{found}");
            println!("standardised {standardised}, dimension {dim}: {mean:.4}");
        }
    }
}
