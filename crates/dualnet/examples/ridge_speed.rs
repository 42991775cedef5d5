//! Seconds of ridge in the dual: the band path against an eigendecomposition and against one Cholesky decomposition a
//! lambda, on one and two threads. `cargo run --release --example ridge_speed [n ...]`

use dualnet::linalg::{Cholesky, Update, eigh, gemm_nt_parallel};
use dualnet::ridge::{DualOptions, DualPath};
use dualnet::{Mat, Resources, Result};
use std::time::Instant;

fn main() -> Result<()> {
    let mut sizes: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![600, 1200, 2400];
    }
    let heads = ("n", "threads", "work", "seconds", "running", "GFLOP/s", "of a GEMM");
    let (n, threads, work, clock, busy, rate, share) = heads;
    println!("{n:>5} {threads:>7}  {work:<34} {clock:>8} {busy:>8} {rate:>7} {share:>9}");
    for n in sizes {
        let kernel = kernel(n);
        for threads in [1, 2] {
            row(&kernel, &Resources::new(threads)?)?;
        }
    }
    Ok(())
}

/// An RBF kernel of points in a cube, and noise on the diagonal.
fn kernel(n: usize) -> Mat<f64> {
    let x = Mat::from_fn(n, 6, |i, j| ((i * 7919 + j * 104_729) % 10_007) as f64 / 5_003.5 - 1.0);
    Mat::from_fn(n, n, |i, j| {
        let d: f64 = x.row(i).iter().zip(x.row(j)).map(|(a, b)| (a - b) * (a - b)).sum();
        (-0.5 * d).exp() + if i == j { 1e-3 } else { 0.0 }
    })
}

/// Seconds that the threads of this process have been running; 0 where the system does not say. Unlike the time on
/// the clock it does not count what other processes take.
fn running() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let one = |path: std::path::PathBuf| -> Option<f64> {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.flatten().filter_map(|task| one(task.path())).sum::<f64>() * 1e-9
}

/// Medians of five runs (three of long ones): on the clock, and of running threads.
fn seconds(mut work: impl FnMut() -> Result<()>) -> Result<(f64, f64)> {
    let (mut clock, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (start, before) = (Instant::now(), running());
        work()?;
        clock.push(start.elapsed().as_secs_f64());
        busy.push(running() - before);
        if clock.iter().sum::<f64>() > 4.0 && clock.len() % 2 == 1 {
            break;
        }
    }
    clock.sort_by(f64::total_cmp);
    busy.sort_by(f64::total_cmp);
    Ok((clock[clock.len() / 2], busy[busy.len() / 2]))
}

fn row(kernel: &Mat<f64>, resources: &Resources) -> Result<()> {
    let n = kernel.rows();
    let cube = (n as f64).powi(3) * 1e-9;
    let mut product = Mat::zeros(n, n);
    let k = kernel.as_ref();
    let gemm = seconds(|| gemm_nt_parallel(resources, product.as_mut(), Update::Replace, 1.0, k, k))?;
    // Rates are of one running thread.
    let peak = 2.0 * cube / gemm.1;
    let say = |what: &str, (clock, busy): (f64, f64), work: f64| {
        let rate = work / busy;
        let (threads, share) = (resources.threads(), 100.0 * rate / peak);
        println!("{n:>5} {threads:>7}  {what:<34} {clock:>8.3} {busy:>8.3} {rate:>7.1} {share:>8.0}%");
    };
    say("gemm n x n x n", gemm, 2.0 * cube);

    let y = Mat::from_fn(n, 10, |i, j| f64::from(i % 10 == j));
    let prepare = || DualPath::new(kernel.clone(), y.as_ref(), DualOptions::default(), resources);
    let path = prepare()?;
    let reduction = seconds(|| prepare().map(|_| ()))?;
    let points = seconds(|| path.points(resources).map(|_| ()))?;
    say("path: reduction to a band", reduction, 8.0 / 3.0 * cube);
    say("path: 21 lambdas, 10 outputs", points, 21.0 * (n * n * (4 * 16 + 2 * 11)) as f64 * 1e-9);
    let both = (reduction.0 + points.0, reduction.1 + points.1);
    println!("{n:>5} {:>7}  {:<34} {:>8.3} {:>8.3}", resources.threads(), "path: all of it", both.0, both.1);

    let cholesky = seconds(|| {
        let factor = Cholesky::new(kernel.clone(), "kernel", resources)?;
        factor.solve(y.as_ref(), resources)?;
        factor.inverse_diagonal(resources).map(|_| ())
    })?;
    say("one lambda by Cholesky and inverse", cholesky, 2.0 / 3.0 * cube);
    if resources.threads() == 1 {
        say("eigendecomposition", seconds(|| eigh(kernel.as_ref(), resources).map(|_| ()))?, 9.0 * cube);
    }
    Ok(())
}
