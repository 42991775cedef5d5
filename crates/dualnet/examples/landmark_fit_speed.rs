//! Ridge on m landmarks of n rows: seconds of conjugate gradients (Falkon), with kernels kept and computed anew, against the direct way, one
//! accumulation of Nystrom features and a band for all lambdas. `cargo run --release --example landmark_fit_speed [n] [outputs] [m ...]`

use dualnet::kernel::{DenseKernel, Get, Kernel};
use dualnet::linalg::{Update, eigh, gemm_nt_parallel};
use dualnet::random::{Draws, Purpose};
use dualnet::ridge::iterative::{LandmarkOptions, fit_landmarks};
use dualnet::ridge::{ArraySource, PrimalOptions, PrimalPath, RidgeStatistics, best_by_gcv};
use dualnet::{Mat, Resources, Result, gram, net::Net};
use std::time::Instant;

const WIDTH: usize = 20;

fn main() -> Result<()> {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (n, outputs) = (arguments.first().copied().unwrap_or(40_000), arguments.get(1).copied().unwrap_or(1));
    let sizes = if arguments.len() > 2 { arguments[2..].to_vec() } else { vec![500, 1_000, 2_000] };
    let mut draws = Draws::new(1, Purpose::ROWS, 0);
    let x = Mat::from_fn(n + 1_000, WIDTH, |_, _| draws.normal() as f32);
    let y = Mat::from_fn(n + 1_000, outputs, |i, j| {
        let (a, b) = (f64::from(x[(i, j % WIDTH)]), f64::from(x[(i, (j + 1) % WIDTH)]));
        (a * b).tanh() + a + 0.1 * draws.normal()
    });
    let kernel = DenseKernel::new(&Net::parse("fc-relu-2")?, WIDTH)?;
    let resources = Resources::new(2)?;
    let train = x.as_ref().block(0..n, 0..WIDTH)?;
    let new = Kernel::<f32>::prepare(&kernel, x.as_ref().block(n..n + 1_000, 0..WIDTH)?, "x", &resources)?;
    let rmse = |f: &Mat<f64>| {
        let sum: f64 = (0..1_000).map(|i| (0..outputs).map(|j| (f[(i, j)] - y[(n + i, j)]).powi(2)).sum::<f64>()).sum();
        (sum / (1_000 * outputs) as f64).sqrt()
    };
    for m in sizes {
        let at = train.select_rows(&(0..m).map(|j| j * n / m).collect::<Vec<_>>());
        let landmarks = Kernel::<f32>::prepare(&kernel, at.as_ref(), "landmarks", &resources)?;
        let wide = Mat::from_fn(m, WIDTH, |i, j| f64::from(at[(i, j)]));
        let inner = gram::symmetric(&kernel, wide.as_ref(), Get::Ntk, &resources)?.ntk.unwrap_or_default();
        for (name, room) in [("kept", 16 << 30), ("anew", 0)] {
            let start = Instant::now();
            let mut source = ArraySource::new(train, y.as_ref().block(0..n, 0..outputs)?, &[], 2048)?;
            let options = LandmarkOptions { lambdas: vec![1e-5], tolerance: 1e-3, room, ..Default::default() };
            let path = fit_landmarks((&kernel, Get::Ntk), &landmarks, &inner, &mut source, &options, &resources)?;
            let seconds = start.elapsed().as_secs_f64();
            let f = path.chosen().predict(&kernel, Get::Ntk, &landmarks, &new, &resources)?;
            println!(
                "n {n} m {m}: Falkon {name} {seconds:>7.2} s, {:>2} steps, rmse {:.4}",
                path.chosen().steps,
                rmse(&f)
            );
        }
        let start = Instant::now();
        let spectrum = eigh(inner.as_ref(), &resources)?;
        let largest = spectrum.values[m - 1];
        let root = |i: usize| if spectrum.values[i] > 1e-7 * largest { spectrum.values[i].powf(-0.5) } else { 0.0 };
        let scaled = Mat::from_fn(m, m, |i, j| (root(i) * spectrum.vectors[(i, j)]) as f32);
        let whitened = start.elapsed().as_secs_f64();
        let features = |samples: &_| -> Result<Mat<f32>> {
            let cross =
                gram::cross_prepared(&kernel, samples, &landmarks, Get::Ntk, &resources)?.ntk.unwrap_or_default();
            let mut out = Mat::zeros(cross.rows(), m);
            gemm_nt_parallel(&resources, out.as_mut(), Update::Replace, 1.0, cross.as_ref(), scaled.as_ref())?;
            Ok(out)
        };
        let mut statistics = RidgeStatistics::new(m, outputs, &resources)?;
        for first in (0..n).step_by(2048) {
            let rows = first..n.min(first + 2048);
            let x = x.as_ref().block(rows.clone(), 0..WIDTH)?;
            let samples = Kernel::<f32>::prepare(&kernel, x, "x", &resources)?;
            let phi = features(&samples)?;
            statistics.add(phi.as_ref(), y.as_ref().block(rows, 0..outputs)?, &[], &resources)?;
        }
        let summed = start.elapsed().as_secs_f64();
        let mut path = PrimalPath::new(statistics, PrimalOptions::default(), &resources)?;
        let points = path.points(&resources)?;
        let best = best_by_gcv(&points).map_or(1e-6, |best| points[best].lambda);
        let fit = path.fit(best, &resources)?;
        let seconds = start.elapsed().as_secs_f64();
        let phi = features(&new)?;
        let wide = Mat::from_fn(1_000, m, |i, j| f64::from(phi[(i, j)]));
        let f = fit.predict(wide.as_ref(), &resources)?;
        println!(
            "n {n} m {m}: direct {seconds:>12.2} s ({whitened:.2} eigenvectors, {:.2} sums, {:.2} path), rmse {:.4}",
            summed - whitened,
            seconds - summed,
            rmse(&f)
        );
    }
    Ok(())
}
