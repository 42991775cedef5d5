//! Seconds of random features beside the matrix product alone, in both precisions:
//! `cargo run --release --example random_features_speed -- N D M THREADS` (8192 784 4096 1).
#![allow(clippy::print_stdout)]

use dualnet::activation::Activation;
use dualnet::features::{RandomFeatures, RandomOptions, TILE, transform_into};
use dualnet::kernel::Float;
use dualnet::linalg::{MatMut, MatRef, Update, gemm_nt_parallel};
use dualnet::{Error, Mat, Resources};
use std::time::Instant;

fn main() -> dualnet::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| match args.get(i) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|e| Error::Invalid {
            what: format!("argument {}", i + 1),
            expected: "a whole number".into(),
            found: format!("{text} ({e})"),
            hint: "see the first lines of this example".into(),
        }),
    };
    let (n, d, m, threads) = (number(0, 8192)?, number(1, 784)?, number(2, 4096)?, number(3, 1)?);
    println!("n = {n}, d = {d}, m = {m}, {threads} threads, tiles of {TILE}, {:?}", dualnet::simd::Isa::best());
    measure::<f32>(n, d, m, threads)?;
    measure::<f64>(n, d, m, threads)
}

fn measure<T: Float>(n: usize, d: usize, m: usize, threads: usize) -> dualnet::Result<()> {
    let resources = Resources::new(threads)?;
    let mut state = 1u64;
    let mut uniform = |_, _| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        T::from_f64((state >> 40) as f64 / (1u64 << 24) as f64 - 0.5)
    };
    let (x, g) = (Mat::from_fn(n, d, &mut uniform), Mat::from_fn(m, d, &mut uniform));
    let mut out = vec![T::default(); n * m];
    let (one, scale) = (T::from_f64(1.0), (1.0 / d as f64).sqrt());
    let product = median(&mut out, (n, m), |out| {
        gemm_nt_parallel(&resources, out, Update::Replace, one, x.as_ref(), g.as_ref())
    })?;
    println!("{}: product alone {product:.4} s, {:.1} Gflop/s", T::NAME, 2e-9 * (n * d * m) as f64 / product);
    let check = median(&mut out, (n, m), |out| out.rb().check_finite("features"))?;
    println!("{}: looking for infinities alone {check:.4} s", T::NAME);
    use Activation::*;
    for activation in [Identity, Relu, LeakyRelu { alpha: 0.01 }, Rbf { gamma: 1.0 }, Tanh, Gelu] {
        let options = RandomOptions { scale, bias_std: 0.1, ..RandomOptions::default() };
        let map = RandomFeatures::with_rows(activation.clone(), g.clone(), &[], &options)?;
        let x: MatRef<'_, T> = x.as_ref();
        let seconds = median(&mut out, (n, m), |out| transform_into(&map, x, out, &resources))?;
        println!("{}: {:10} {seconds:.4} s, {:.2} of the product", T::NAME, activation.name(), seconds / product);
    }
    Ok(())
}

/// Median seconds of five runs.
fn median<T: Float>(
    out: &mut [T],
    (n, m): (usize, usize),
    run: impl Fn(MatMut<'_, T>) -> dualnet::Result<()>,
) -> dualnet::Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        run(MatMut::new(out, n, m, m)?)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[2])
}
