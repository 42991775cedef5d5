//! Seconds of a symmetric Gram matrix, NNGP and NTK: `cargo run --release --example gram_speed -- NET N D THREADS`.
use dualnet::kernel::{DenseKernel, Get};
use dualnet::{Mat, Resources, net::Net};
use std::time::Instant;

fn main() -> dualnet::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let get = |i: usize, default: &str| args.get(i).cloned().unwrap_or_else(|| default.into());
    let (n, d, threads) =
        (get(1, "4000").parse().unwrap(), get(2, "784").parse().unwrap(), get(3, "1").parse().unwrap());
    let mut seed = 1u64;
    let mut x = Mat::from_fn(n, d, |_, _| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    });
    let resources = Resources::new(threads)?;
    let kernel = DenseKernel::new(&Net::parse(&get(0, "fc-relu-3"))?, d)?;
    let wide = Mat::from_fn(n, d, |i, j| f64::from(x[(i, j)]));
    x[(0, 0)] += 0.0;
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..7 {
        let start = Instant::now();
        let k = kernel.gram(x.as_ref(), Get::Both, &resources)?;
        seconds[0].push(start.elapsed().as_secs_f64());
        drop(k);
        let start = Instant::now();
        let k = kernel.gram(wide.as_ref(), Get::Both, &resources)?;
        seconds[1].push(start.elapsed().as_secs_f64());
        drop(k);
    }
    for (name, times) in ["f32", "f64"].iter().zip(&mut seconds) {
        times.sort_by(f64::total_cmp);
        println!("{name}: median {:.4} s, best {:.4} s", times[times.len() / 2], times[0]);
    }
    Ok(())
}
