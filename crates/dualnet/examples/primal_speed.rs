//! Rates of ridge in the primal beside a GEMM of the same precision: sums of products of features, Cholesky decompositions, the path.
//! `cargo run --release --example primal_speed [m ...]`

use dualnet::kernel::Float;
use dualnet::linalg::{Cholesky, Update, gemm_nt_parallel};
use dualnet::ridge::{PrimalOptions, PrimalPath, PrimalSolver, RidgeStatistics};
use dualnet::{Mat, Resources, Result};
use std::time::Instant;

/// Rows of a batch.
const ROWS: usize = 4096;

fn main() -> Result<()> {
    let mut sizes: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1024, 2048, 4096, 8192];
    }
    println!("{:>5} {:>7}  {:<34} {:>8} {:>8} {:>9}", "m", "threads", "work", "seconds", "GFLOP/s", "of a GEMM");
    for m in sizes {
        for threads in [1, 2] {
            let resources = Resources::new(threads)?;
            products::<f32>(m, &resources)?;
            let gemm = products::<f64>(m, &resources)?;
            cholesky(m, gemm, &resources)?;
            path(m, gemm, &resources)?;
        }
    }
    Ok(())
}

fn say(m: usize, resources: &Resources, work: &str, seconds: f64, flops: f64, gemm: f64) {
    let rate = flops / seconds * 1e-9;
    let threads = resources.threads();
    println!("{m:>5} {threads:>7}  {work:<34} {seconds:>8.3} {rate:>8.1} {:>8.0}%", 100.0 * rate / gemm);
}

/// The least of three times: what other programs take of the machine only adds.
fn seconds(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut least = f64::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        work()?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(least)
}

fn rows<T: Float>(n: usize, m: usize) -> Mat<T> {
    Mat::from_fn(n, m, |i, j| T::from_f64(((i * 7919 + j * 104_729) % 10_007) as f64 / 5_003.5 - 0.9))
}

/// Rate of a GEMM, in GFLOP/s.
fn products<T: Float>(m: usize, resources: &Resources) -> Result<f64> {
    let side = m.min(4096);
    let a = rows::<T>(side, ROWS);
    let mut c = Mat::<T>::zeros(side, side);
    let one = T::from_f64(1.0);
    let time = seconds(|| gemm_nt_parallel(resources, c.as_mut(), Update::Replace, one, a.as_ref(), a.as_ref()))?;
    let flops = 2.0 * (side * side) as f64 * ROWS as f64;
    let gemm = flops / time * 1e-9;
    say(m, resources, &format!("{}: GEMM", T::NAME), time, flops, gemm);
    drop((a, c));

    let (x, y) = (rows::<T>(ROWS, m), Mat::from_fn(ROWS, 10, |i, j| ((i + j) % 10) as f64));
    let mut statistics = RidgeStatistics::new(m, 10, resources)?;
    let time = seconds(|| statistics.add(x.as_ref(), y.as_ref(), &[], resources))?;
    say(m, resources, &format!("{}: statistics of a batch", T::NAME), time, (m * m) as f64 * ROWS as f64, gemm);
    Ok(gemm)
}

fn cholesky(m: usize, gemm: f64, resources: &Resources) -> Result<()> {
    let a = Mat::from_fn(m, m, |i, j| if i == j { 2.0 } else { 1.0 / (1.0 + i.abs_diff(j) as f64).powi(2) });
    let mut time = f64::MAX;
    for _ in 0..3 {
        let a = a.clone();
        let start = Instant::now();
        std::hint::black_box(Cholesky::new(a, "matrix", resources)?);
        time = time.min(start.elapsed().as_secs_f64());
    }
    say(m, resources, "f64: Cholesky", time, (m as f64).powi(3) / 3.0, gemm);
    Ok(())
}

/// From statistics to the best lambda and its model.
fn path(m: usize, gemm: f64, resources: &Resources) -> Result<()> {
    let n = 2 * m;
    let x = Mat::from_fn(n, m, |i, j| (((i * 37 + 11) % 1009 * (j * 53 + 29)) as f32 * 1e-3).sin());
    let y = Mat::from_fn(n, 10, |i, j| f64::from(x[(i, j)]) + (i as f64 * 1.7).sin());
    let mut statistics = RidgeStatistics::new(m, 10, resources)?;
    statistics.add(x.as_ref(), y.as_ref(), &[], resources)?;
    let cube = (m as f64).powi(3);
    for (solver, name) in [(PrimalSolver::Band, "band"), (PrimalSolver::Cholesky, "Cholesky")] {
        if solver == PrimalSolver::Band && m > 4096 {
            continue;
        }
        let statistics = statistics.clone();
        let start = Instant::now();
        let options = PrimalOptions { solver, ..PrimalOptions::default() };
        let mut path = PrimalPath::new(statistics, options, resources)?;
        let points = path.points(resources)?;
        let best = dualnet::ridge::best_by_gcv(&points).map_or(1.0, |best| points[best].lambda);
        std::hint::black_box(path.fit(best, resources)?);
        let flops = if solver == PrimalSolver::Band { 8.0 * cube / 3.0 } else { points.len() as f64 * cube / 3.0 };
        let work = format!("f64: path by {name}, {} lambdas", points.len());
        say(m, resources, &work, start.elapsed().as_secs_f64(), flops, gemm);
    }
    Ok(())
}
