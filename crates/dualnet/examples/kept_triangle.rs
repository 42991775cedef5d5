//! A fit of the exact NTK of `fc-relu-3` with its triangle kept in memory: seconds of the filling, of a product, bytes a second beside a
//! plain reading of the same memory, iterations. `cargo run --release --example kept_triangle [n] [threads] [columns]`

use dualnet::kernel::{DenseKernel, Get, Kernel};
use dualnet::ridge::iterative::{KeptTriangle, KernelOperator, Sums};
use dualnet::{Mat, Resources, Result, net::Net};
use std::time::Instant;

fn main() -> Result<()> {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let at = |i: usize, default: usize| arguments.get(i).copied().unwrap_or(default);
    let (n, threads, columns, d) = (at(0, 8_000), at(1, 2), at(2, 10), 784);
    let resources = Resources::new(threads)?;
    let number = |i: usize, j: usize| ((i * 7919 + j * 104_729) % 10_007) as f32 / 10_007.0;
    let x = Mat::from_fn(n, d, |i, j| number(i % 97, j) + 0.3 * number(i, j));
    let kernel = DenseKernel::new(&Net::parse("fc-relu-3")?, d)?;
    let start = Instant::now();
    let samples = Kernel::<f32>::prepare(&kernel, x.as_ref(), "x", &resources)?;
    let k = KeptTriangle::new(&kernel, &samples, Get::Ntk, &resources)?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = k.kept_bytes() as f64;
    println!("{n} samples, {threads} threads: {:.2} GB filled in {seconds:.2} s", bytes / 1e9);
    let best = |work: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = Instant::now();
            work()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
    };
    let mut sum = 0.0;
    let read = best(&mut || {
        sum += k.read(&resources);
        Ok(())
    })?;
    println!("reading        {read:>8.4} s {:>6.2} GB/s (mean entry {:.3})", bytes / read / 1e9, sum / 5.0 / bytes * 4.0);
    for c in [1, 2, 4, columns, 32] {
        let v = Mat::from_fn(n, c, |i, j| f64::from(number(i + 3, j + 1)) - 0.5);
        let mut out = Mat::zeros(n, c);
        for sums in [Sums::Tiles, Sums::Double] {
            let s = best(&mut || k.apply(v.as_ref(), sums, out.as_mut(), &resources))?;
            let flops = 4.0 * bytes / 4.0 * c as f64 / s / 1e9;
            println!("{c:>2} columns, {sums:?} {s:>8.4} s {:>6.2} GB/s {flops:>7.1} GFLOP/s", bytes / s / 1e9);
        }
    }
    Ok(())
}
