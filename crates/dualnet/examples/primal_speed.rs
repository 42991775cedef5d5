//! Rates of ridge in the primal: products of features, Cholesky, and the whole path, beside a GEMM of the same precision.
use dualnet::linalg::{Cholesky, Update, gemm_nt_parallel};
use dualnet::ridge::RidgeStatistics;
use dualnet::{Mat, Resources, Result};
use std::time::Instant;

const ROWS: usize = 4096;

fn main() -> Result<()> {
    let mut sizes: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1024, 2048, 4096, 8192];
    }
    for m in sizes {
        for threads in [1, 2] {
            let r = Resources::new(threads)?;
            syrk::<f32>(m, &r)?;
            syrk::<f64>(m, &r)?;
            let a =
                Mat::from_fn(m, m, |i, j| if i == j { 2.0 } else { 1.0 / (1.0 + (i as f64 - j as f64).abs()).powi(2) });
            let mut best = f64::MAX;
            for _ in 0..2 {
                let b = a.clone();
                let t = Instant::now();
                let c = Cholesky::new(b, "a", &r)?;
                best = best.min(t.elapsed().as_secs_f64());
                std::hint::black_box(c.lower()[(m - 1, 0)]);
            }
            println!("{m} {threads} cholesky {:.3}s {:.1} GF/s", best, (m as f64).powi(3) / 3.0 / best * 1e-9);
        }
    }
    Ok(())
}

fn syrk<T: dualnet::kernel::Float>(m: usize, r: &Resources) -> Result<()> {
    let x = Mat::<T>::from_fn(ROWS, m, |i, j| T::from_f64(((i * 7919 + j * 104_729) % 10_007) as f64 / 5_003.5 - 0.9));
    let y = Mat::from_fn(ROWS, 10, |i, j| ((i + j) % 10) as f64);
    let mut s = RidgeStatistics::new(m, 10, r)?;
    s.add(x.as_ref(), y.as_ref(), &[], r)?;
    let mut best = f64::MAX;
    for _ in 0..3 {
        let t = Instant::now();
        s.add(x.as_ref(), y.as_ref(), &[], r)?;
        best = best.min(t.elapsed().as_secs_f64());
    }
    let rate = ROWS as f64 * (m as f64).powi(2) / best * 1e-9;
    let xt = Mat::<T>::from_fn(m.min(4096), ROWS, |i, j| {
        T::from_f64(((i * 7919 + j * 104_729) % 10_007) as f64 / 5_003.5 - 0.9)
    });
    let mut c = Mat::<T>::zeros(xt.rows(), xt.rows());
    let mut gemm = f64::MAX;
    for _ in 0..2 {
        let t = Instant::now();
        gemm_nt_parallel(r, c.as_mut(), Update::Replace, T::from_f64(1.0), xt.as_ref(), xt.as_ref())?;
        gemm = gemm.min(t.elapsed().as_secs_f64());
    }
    let grate = 2.0 * ROWS as f64 * (xt.rows() as f64).powi(2) / gemm * 1e-9;
    println!(
        "{m} {} {} syrk {best:.3}s {rate:.1} GF/s gemm {grate:.1} GF/s share {:.2}",
        r.threads(),
        T::NAME,
        rate / grate
    );
    Ok(())
}
