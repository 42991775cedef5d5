//! The kernel averaged over flips, against its definition and against ridge on images and their flips together.
#![allow(clippy::unwrap_used)]

use dualnet::error::Result;
use dualnet::kernel::dense::{DenseSamples, Workspace};
use dualnet::kernel::{DenseKernel, FlipKernel, Float, Get, InputShape, Kernel, NetKernel, TileOut};
use dualnet::net::Net;
use dualnet::random::{Draws, Purpose};
use dualnet::ridge::{DualOptions, DualPath, LambdaScale};
use dualnet::{Mat, MatRef, Resources, gram};
use std::ops::Range;

const SHAPE: (usize, usize, usize) = (3, 4, 2);

fn shape() -> InputShape {
    InputShape::image(SHAPE.0, SHAPE.1, SHAPE.2)
}

fn images(n: usize, seed: u64) -> Mat<f64> {
    let mut draws = Draws::new(seed, Purpose::ROWS, 1);
    Mat::from_fn(n, shape().width(), |_, _| draws.normal() + 0.3)
}

/// Entry by entry, unlike the crate.
fn flip(x: &Mat<f64>) -> Mat<f64> {
    let (_, width, channels) = SHAPE;
    Mat::from_fn(x.rows(), x.cols(), |i, at| {
        let (row, column, channel) = (at / (width * channels), at / channels % width, at % channels);
        x[(i, (row * width + width - 1 - column) * channels + channel)]
    })
}

fn one() -> Resources {
    Resources::new(1).unwrap()
}

fn dense() -> DenseKernel {
    let net = r#"{"b_std": 0.2, "layers": ["dense", "relu", "dense", "erf", "dense"]}"#;
    DenseKernel::new(&Net::parse(net).unwrap(), shape().width()).unwrap()
}

fn both<T: Float>(k: &impl Kernel<T>, x: &Mat<T>, y: &Mat<T>) -> [Mat<T>; 2] {
    let grams = gram::cross(k, x.as_ref(), y.as_ref(), Get::Both, &one()).unwrap();
    [grams.nngp.unwrap(), grams.ntk.unwrap()]
}

#[test]
fn it_is_the_mean_over_an_image_and_its_flip() {
    let (x, y, inner) = (images(5, 1), images(140, 2), dense());
    let kernel = FlipKernel::new(inner.clone(), &shape()).unwrap();
    let (plain, turned) = (both(&inner, &x, &y), both(&inner, &x, &flip(&y)));
    let (found, of_flips) = (both(&kernel, &x, &y), both(&kernel, &flip(&x), &y));
    for m in 0..2 {
        for (i, j) in (0..5).flat_map(|i| (0..140).map(move |j| (i, j))) {
            let expected = 0.5 * (plain[m][(i, j)] + turned[m][(i, j)]);
            assert_eq!(found[m][(i, j)], expected);
            assert!((of_flips[m][(i, j)] - expected).abs() < 1e-12 * expected.abs().max(1.0));
        }
    }
    let narrow = |m: &Mat<f64>| Mat::from_fn(m.rows(), m.cols(), |i, j| m[(i, j)] as f32);
    let single = both(&kernel, &narrow(&x), &narrow(&y));
    for m in 0..2 {
        let close = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() < 2e-5 * b.abs().max(1.0);
        assert!(single[m].as_slice().iter().zip(found[m].as_slice()).all(close));
    }
}

#[test]
fn the_symmetric_matrix_has_the_diagonal_of_own_and_the_same_bits_on_any_threads() {
    let (x, kernel) = (images(150, 3), FlipKernel::new(dense(), &shape()).unwrap());
    let grams = gram::symmetric(&kernel, x.as_ref(), Get::Both, &one()).unwrap();
    let two = gram::symmetric(&kernel, x.as_ref(), Get::Both, &Resources::new(2).unwrap()).unwrap();
    assert_eq!(grams, two);
    let (nngp, ntk) = (grams.nngp.unwrap(), grams.ntk.unwrap());
    let samples = Kernel::<f64>::prepare(&kernel, x.as_ref(), "x", &one()).unwrap();
    let own = kernel.own(&samples, 120..150, &one()).unwrap();
    assert_eq!(own.len(), 30);
    for (i, own) in (120..150).zip(own) {
        assert!((own.0 - nngp[(i, i)]).abs() < 1e-12 && (own.1 - ntk[(i, i)]).abs() < 1e-12);
        assert!((0..150).all(|j| ntk[(i, j)] == ntk[(j, i)]));
    }
}

#[test]
fn ridge_with_it_is_ridge_on_images_and_their_flips() {
    let (x, new, inner, lambda) = (images(20, 4), images(6, 5), dense(), 0.02);
    let y = Mat::from_fn(20, 1, |i, _| (i as f64).sin());
    let solve = |k: Mat<f64>, y: &Mat<f64>, lambda: f64| {
        let options = DualOptions { lambdas: vec![lambda], scale: LambdaScale::Absolute, ..DualOptions::default() };
        DualPath::new(k, y.as_ref(), options, &one()).unwrap().fit(lambda, &one()).unwrap()
    };
    let flips = FlipKernel::new(inner.clone(), &shape()).unwrap();
    let k = gram::symmetric(&flips, x.as_ref(), Get::Ntk, &one()).unwrap().ntk.unwrap();
    let [_, cross] = both(&flips, &new, &x);
    let found = solve(k, &y, lambda).predict(cross.as_ref(), &one()).unwrap();

    let doubled = Mat::from_vec(40, x.cols(), [x.as_slice(), flip(&x).as_slice()].concat()).unwrap();
    let twice = Mat::from_vec(40, 1, [y.as_slice(), y.as_slice()].concat()).unwrap();
    let k = gram::symmetric(&inner, doubled.as_ref(), Get::Ntk, &one()).unwrap().ntk.unwrap();
    let [_, cross] = both(&inner, &new, &doubled);
    let expected = solve(k, &twice, 2.0 * lambda).predict(cross.as_ref(), &one()).unwrap();
    for i in 0..6 {
        assert!((found[(i, 0)] - expected[(i, 0)]).abs() < 1e-9, "{} {}", found[(i, 0)], expected[(i, 0)]);
    }
}

/// A kernel that weighs the first column of pixels more than the last.
#[derive(Debug)]
struct Skewed(DenseKernel);

impl Kernel<f64> for Skewed {
    type Samples = DenseSamples<f64>;
    type Workspace = Workspace<f64>;
    fn side(&self) -> usize {
        Kernel::<f64>::side(&self.0)
    }
    fn prepare(&self, x: MatRef<'_, f64>, what: &str, resources: &Resources) -> Result<DenseSamples<f64>> {
        let mut x = x.to_mat();
        (0..x.rows()).for_each(|i| x.row_mut(i)[0] *= 1.001);
        self.0.prepare(x.as_ref(), what, resources)
    }
    fn len(&self, samples: &DenseSamples<f64>) -> usize {
        self.0.len(samples)
    }
    fn own(&self, s: &DenseSamples<f64>, range: Range<usize>, resources: &Resources) -> Result<Vec<(f64, f64)>> {
        self.0.own(s, range, resources)
    }
    fn workspace(&self, get: Get) -> Workspace<f64> {
        self.0.workspace(get)
    }
    fn tile(
        &self,
        workspace: &mut Workspace<f64>,
        rows: (&DenseSamples<f64>, usize),
        cols: (&DenseSamples<f64>, usize),
        out: TileOut<'_, f64>,
        resources: &Resources,
    ) -> Result<()> {
        self.0.tile(workspace, rows, cols, out, resources)
    }
}

#[test]
fn a_kernel_that_tells_left_from_right_is_refused() {
    let error = FlipKernel::new(Skewed(dense()), &shape()).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "the kernel to average over flips: expected the same value for two images and for both flipped"
        )
    );
    assert!(error.contains("tells left from right; use odd sizes"), "{error}");
    let error = FlipKernel::new(dense(), &InputShape::sequence(12, 2)).unwrap_err().to_string();
    assert!(error.contains("expected images: height, width, channels, found the shape 12 x 2"), "{error}");
    let kernel = FlipKernel::new(dense(), &shape()).unwrap();
    let error = gram::symmetric(&kernel, Mat::<f64>::zeros(2, 23).as_ref(), Get::Both, &one()).unwrap_err().to_string();
    assert!(error.contains("expected rows of 24 values, images of 3 x 4 x 2, found 23 values"), "{error}");
}

#[test]
fn strides_that_leave_columns_out_are_refused() {
    let flips = |net: &str, side: usize| {
        let shape = InputShape::image(side, side, 1);
        FlipKernel::new(NetKernel::new(&Net::parse(net).unwrap(), &shape).unwrap(), &shape)
    };
    assert!(flips("myrtle-5", 28).is_ok());
    let strided = r#"{"layers": [{"conv": {"stride": [2, 2]}}, "relu", "global_avg_pool", "dense"]}"#;
    assert!(flips(strided, 8).unwrap_err().to_string().contains("tells left from right"));
    assert!(flips(strided, 9).is_ok());
}
