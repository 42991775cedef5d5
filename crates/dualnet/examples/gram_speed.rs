//! Seconds of a symmetric Gram matrix, NNGP and NTK, in both precisions, with the share of the matrix product's speed:
//! `cargo run --release --example gram_speed -- NET N D THREADS` (fc-relu-3 4000 784 1).
#![allow(clippy::print_stdout)]

use dualnet::kernel::{DenseKernel, Float, Get};
use dualnet::linalg::{Update, gemm_nt_parallel};
use dualnet::{Error, Mat, Resources, net::Net};
use std::time::Instant;

fn main() -> dualnet::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = |i: usize, default: &str| args.get(i).cloned().unwrap_or_else(|| default.into());
    let number = |i: usize, default: &str| {
        text(i, default).parse::<usize>().map_err(|e| Error::Invalid {
            what: format!("argument {}", i + 1),
            expected: "a whole number".into(),
            found: format!("{} ({e})", text(i, default)),
            hint: "see the first lines of this example".into(),
        })
    };
    let (n, d, threads) = (number(1, "4000")?, number(2, "784")?, number(3, "1")?);
    let net = Net::parse(&text(0, "fc-relu-3"))?;
    println!("{net}; n = {n}, d = {d}, {threads} threads, {:?}", dualnet::simd::Isa::best());
    measure::<f32>(&net, n, d, threads)?;
    measure::<f64>(&net, n, d, threads)
}

fn measure<T: Float>(net: &Net, n: usize, d: usize, threads: usize) -> dualnet::Result<()> {
    let mut state = 1u64;
    let x = Mat::from_fn(n, d, |_, _| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        T::from_f64((state >> 40) as f64 / (1u64 << 24) as f64 - 0.5)
    });
    let resources = Resources::new(threads)?;
    let kernel = DenseKernel::new(net, d)?;
    let gram = median(|| kernel.gram(x.as_ref(), Get::Both, &resources).map(drop))?;
    let mut c = Mat::zeros(n, n);
    let one = T::from_f64(1.0);
    let product = median(|| gemm_nt_parallel(&resources, c.as_mut(), Update::Replace, one, x.as_ref(), x.as_ref()))?;
    println!("{}: {gram:.4} s; the whole product x x^T alone {product:.4} s", T::NAME);
    Ok(())
}

/// Median seconds of seven runs.
fn median(mut run: impl FnMut() -> dualnet::Result<()>) -> dualnet::Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[3])
}
