//! A fit of the exact NTK of `fc-relu-3` whose triangle is kept in memory, on made data of ten classes: seconds of the filling, bytes a
//! second of products beside a plain reading of the same memory and a matrix product, then a path of lambdas with rows held out.
//! `cargo run --release --example kept_triangle [n] [threads] [landmarks]`

use dualnet::kernel::{DenseKernel, Get, Kernel};
use dualnet::linalg::{Update, eigh, gemm_nn_parallel, gemm_nt_parallel};
use dualnet::random::{Draws, Purpose};
use dualnet::ridge::iterative::{IterativeOptions, KeptTriangle, KernelOperator, NystromPreconditioner, Sums, fit};
use dualnet::{Mat, MatRef, Resources, Result, gram, net::Net};
use std::time::Instant;

const WIDTH: usize = 784;
const CLASSES: usize = 10;

fn main() -> Result<()> {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let at = |i: usize, default: usize| arguments.get(i).copied().unwrap_or(default);
    let (n, threads, landmarks) = (at(0, 8_000), at(1, 2), at(2, 500));
    let resources = Resources::new(threads)?;
    let (x, labels) = data(n + 1_000);
    let y = Mat::from_fn(n, CLASSES, |i, j| if labels[i] == j { 0.9 } else { -0.1 });
    let kernel = DenseKernel::new(&Net::parse("fc-relu-3")?, WIDTH)?;
    let start = Instant::now();
    let train = Kernel::<f32>::prepare(&kernel, x.as_ref().block(0..n, 0..WIDTH)?, "x", &resources)?;
    let k = KeptTriangle::new(&kernel, &train, Get::Ntk, &resources)?;
    let gigabytes = k.kept_bytes() as f64 / 1e9;
    println!("{n} samples, {threads} threads: {gigabytes:.2} GB filled in {:.2} s", start.elapsed().as_secs_f64());
    products(&k, gigabytes, &resources)?;

    let start = Instant::now();
    let factor = factor(&kernel, x.as_ref().block(0..n, 0..WIDTH)?, landmarks, &resources)?;
    let shift = 1e-3 * k.mean_diagonal();
    let mut preconditioner = NystromPreconditioner::from_factor(factor.as_ref(), shift, &resources)?;
    println!("preconditioner of rank {} in {:.2} s", preconditioner.rank(), start.elapsed().as_secs_f64());
    let options = IterativeOptions {
        lambdas: vec![1e-1, 1e-2, 1e-3],
        holdout: (0..n).step_by(10).collect(),
        ..Default::default()
    };
    let start = Instant::now();
    let found = fit(&k, y.as_ref(), &mut preconditioner, &options, &resources)?;
    for point in found.points.iter().chain(&found.refit) {
        let mse = point.holdout.as_ref().map_or(f64::NAN, |h| h.mse);
        let (steps, rounds, seconds) = (point.steps, point.rounds, point.seconds);
        println!(
            "lambda {:7.1e}: {steps:>3} steps, {rounds} rounds, {seconds:>6.2} s, residual {:.1e}, held out {mse:.5}, {:?}",
            point.lambda, point.residual, point.ending
        );
    }
    println!("fit in {:.2} s", start.elapsed().as_secs_f64());
    let new = Kernel::<f32>::prepare(&kernel, x.as_ref().block(n..n + 1_000, 0..WIDTH)?, "x", &resources)?;
    let start = Instant::now();
    let predicted = found.predict(&kernel, Get::Ntk, &train, &new, &resources)?;
    let right = (0..1_000).filter(|&i| dualnet::ridge::argmax(predicted.row(i)) == labels[n + i]).count();
    println!("1000 new samples in {:.2} s: {:.1} % right", start.elapsed().as_secs_f64(), right as f64 / 10.0);
    Ok(())
}

/// Ten classes of thirty prototypes each, with noise.
fn data(n: usize) -> (Mat<f32>, Vec<usize>) {
    let mut draws = Draws::new(1, Purpose::ROWS, 0);
    let prototypes = Mat::from_fn(30 * CLASSES, WIDTH, |_, _| draws.normal() as f32);
    let which: Vec<usize> = (0..n).map(|_| draws.below(30 * CLASSES)).collect();
    let x = Mat::from_fn(n, WIDTH, |i, j| prototypes[(which[i], j)] + 2.5 * draws.normal() as f32);
    (x, which.into_iter().map(|p| p % CLASSES).collect())
}

/// `F = K_nm K_mm^(-1/2)` for landmarks at equal distances.
fn factor(kernel: &DenseKernel, x: MatRef<'_, f32>, landmarks: usize, resources: &Resources) -> Result<Mat<f32>> {
    let chosen: Vec<usize> = (0..landmarks).map(|j| j * x.rows() / landmarks).collect();
    let at = x.select_rows(&chosen);
    let wide = Mat::from_fn(landmarks, WIDTH, |i, j| f64::from(at[(i, j)]));
    let inner = gram::symmetric(kernel, wide.as_ref(), Get::Ntk, resources)?.ntk.unwrap_or_default();
    let spectrum = eigh(inner.as_ref(), resources)?;
    let largest = spectrum.values[landmarks - 1];
    let root = |i: usize| if spectrum.values[i] > 1e-7 * largest { spectrum.values[i].powf(-0.5) } else { 0.0 };
    let scaled = Mat::from_fn(landmarks, landmarks, |i, j| (root(i) * spectrum.vectors[(i, j)]) as f32);
    let cross = gram::cross(kernel, x, at.as_ref(), Get::Ntk, resources)?.ntk.unwrap_or_default();
    let mut factor = Mat::zeros(x.rows(), landmarks);
    gemm_nt_parallel(resources, factor.as_mut(), Update::Replace, 1.0, cross.as_ref(), scaled.as_ref())?;
    Ok(factor)
}

/// Best of five runs, in seconds.
fn best(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn products(k: &KeptTriangle<f32>, gigabytes: f64, resources: &Resources) -> Result<()> {
    let n = k.side();
    let a = Mat::from_fn(1024, 1024, |i, j| ((i * j) % 7) as f32);
    let mut c = Mat::zeros(1024, 1024);
    let seconds = best(|| gemm_nn_parallel(resources, c.as_mut(), Update::Replace, 1.0, a.as_ref(), a.as_ref()))?;
    println!("matrix product in f32   {:>7.1} GFLOP/s", 2.0 * 1.024f64.powi(3) / seconds);
    let mut sum = 0.0;
    let seconds = best(|| {
        sum += k.read(resources);
        Ok(())
    })?;
    println!("reading      {seconds:>8.4} s {:>6.2} GB/s (sum {sum:.3e})", gigabytes / seconds);
    for c in [1, 2, 5, 10, 32, 100] {
        let v = Mat::from_fn(n, c, |i, j| ((i * 7 + j * 13) % 101) as f64 / 50.0 - 1.0);
        let mut out = Mat::zeros(n, c);
        for sums in [Sums::Tiles, Sums::Double] {
            let seconds = best(|| k.apply(v.as_ref(), sums, out.as_mut(), resources))?;
            let (rate, flops) = (gigabytes / seconds, gigabytes * c as f64 / seconds);
            println!("{c:>3} columns, {sums:?}: {seconds:>8.4} s {rate:>6.2} GB/s {flops:>7.1} GFLOP/s");
        }
    }
    Ok(())
}
