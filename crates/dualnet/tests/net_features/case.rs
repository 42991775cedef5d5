//! Nets, rows and what features should give.

use dualnet::features::{NetFeatureOptions, NetFeatures, transform};
use dualnet::kernel::{InputShape, KernelKind, NetKernel};
use dualnet::net::Net;
use dualnet::random::{Draws, Purpose};
use dualnet::{Mat, Resources, gram};

/// Rows in random directions, of norms from `low` to `high`, evenly on the scale of logarithms.
pub fn rows(n: usize, d: usize, low: f64, high: f64) -> Mat<f64> {
    let mut draws = Draws::new(3, Purpose::ROWS, 0);
    let mut x = Mat::from_fn(n, d, |_, _| draws.normal());
    for i in 0..n {
        let norm = x.row(i).iter().map(|x| x * x).sum::<f64>().sqrt();
        let wanted = low * (high / low).powf(i as f64 / (n - 1) as f64);
        x.row_mut(i).iter_mut().for_each(|x| *x *= wanted / norm);
    }
    x
}

pub struct Case {
    pub net: Net,
    pub shape: InputShape,
    pub x: Mat<f64>,
    pub kind: KernelKind,
}

impl Case {
    pub fn dense(net: &str, x: &Mat<f64>, kind: KernelKind) -> Self {
        Self { net: Net::parse(net).unwrap(), shape: InputShape::vector(x.cols()), x: x.clone(), kind }
    }

    pub fn exact(&self) -> Mat<f64> {
        let kernel = NetKernel::new(&self.net, &self.shape).unwrap();
        let grams = gram::symmetric(&kernel, self.x.as_ref(), self.kind.get(), &Resources::new(1).unwrap()).unwrap();
        grams.nngp.or(grams.ntk).unwrap()
    }

    pub fn options(&self, dim: usize) -> NetFeatureOptions {
        NetFeatureOptions::new(self.kind, dim)
    }

    pub fn estimate(&self, options: &NetFeatureOptions, seed: u64) -> Mat<f64> {
        let resources = Resources::new(1).unwrap().with_seed(seed);
        let map = NetFeatures::<f64>::draw(&self.net, &self.shape, options, &resources).unwrap();
        let f = transform(&map, self.x.as_ref(), &resources).unwrap();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        Mat::from_fn(f.rows(), f.rows(), |i, j| dot(f.row(i), f.row(j)))
    }

    /// Root mean square over seeds of the relative error in the Frobenius norm.
    pub fn error(&self, options: &NetFeatureOptions, seeds: u64) -> f64 {
        self.error_from(&self.exact(), options, seeds)
    }

    /// The same from another kernel.
    pub fn error_from(&self, exact: &Mat<f64>, options: &NetFeatureOptions, seeds: u64) -> f64 {
        let size: f64 = exact.as_slice().iter().map(|k| k * k).sum();
        let square = |seed| {
            let estimate = self.estimate(options, seed);
            estimate.as_slice().iter().zip(exact.as_slice()).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / size
        };
        ((0..seeds).map(square).sum::<f64>() / seeds as f64).sqrt()
    }

    /// The mean over seeds is `expected` within 4.5 standard errors and `slack` of it.
    pub fn assert_unbiased(
        &self,
        name: &str,
        expected: &Mat<f64>,
        options: &NetFeatureOptions,
        seeds: u64,
        slack: f64,
    ) {
        let all: Vec<Mat<f64>> = (0..seeds).map(|seed| self.estimate(options, seed)).collect();
        for (e, expected) in expected.as_slice().iter().enumerate() {
            let mean = all.iter().map(|k| k.as_slice()[e]).sum::<f64>() / seeds as f64;
            let square = all.iter().map(|k| (k.as_slice()[e] - mean).powi(2)).sum::<f64>();
            let deviation = (square / (seeds as f64 * (seeds - 1) as f64)).sqrt();
            assert!(
                (mean - expected).abs() < 4.5 * deviation + slack * expected.abs() + 1e-9,
                "{name} {:?} {options:?} entry {e}: {mean}, expected {expected} within {deviation}",
                self.kind
            );
        }
    }
}
