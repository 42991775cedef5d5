//! Seconds to choose landmarks by randomly pivoted Cholesky for a Gaussian kernel exp(-|x - y|^2 / (2 h^2)) on the rows of an .npy file (n, d), and
//! the relative residual: `cargo run --release --example landmark_speed -- FILE K H THREADS PRECISION PROPOSALS REPEATS` (PROPOSALS 0:
//! automatic). One line of JSON.
#![allow(clippy::print_stdout)]

use dualnet::features::landmarks::{LandmarkMethod, Landmarks, Proposals};
use dualnet::kernel::{DenseKernel, Float, KernelKind};
use dualnet::net::Net;
use dualnet::{Error, Mat, Resources};
use std::time::Instant;

fn main() -> dualnet::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = |i: usize| args.get(i).cloned().unwrap_or_default();
    let number = |i: usize| text(i).parse::<f64>().map_err(|e| wrong(&format!("argument {}", i + 1), &e.to_string()));
    let x = read(&text(0)).map_err(|e| wrong(&text(0), &e.to_string()))?;
    let (k, h, threads) = (number(1)? as usize, number(2)?, number(3)? as usize);
    let proposals = match number(5)? as usize {
        0 => Proposals::Automatic,
        count => Proposals::Fixed(count),
    };
    let repeats = number(6)? as usize;
    match text(4).as_str() {
        "f32" => {
            let x = Mat::from_fn(x.rows(), x.cols(), |i, j| x[(i, j)] as f32);
            measure(&x, (k, h), proposals, threads, repeats)
        }
        _ => measure(&x, (k, h), proposals, threads, repeats),
    }
}

fn measure<T: Float>(
    x: &Mat<T>,
    (k, h): (usize, f64),
    proposals: Proposals,
    threads: usize,
    repeats: usize,
) -> dualnet::Result<()> {
    // A dense layer without scale divides by the number of columns.
    let gamma = x.cols() as f64 / (2.0 * h * h);
    let net = Net::parse(&format!("w_std = 1.0\nlayers = ['dense', {{rbf = {{gamma = {gamma}}}}}]"))?;
    let kernel = DenseKernel::new(&net, x.cols())?;
    let (mut seconds, mut residuals) = (Vec::new(), Vec::new());
    for seed in 0..repeats as u64 {
        let resources = Resources::new(threads)?.with_seed(seed);
        let start = Instant::now();
        let method = LandmarkMethod::RpCholesky { proposals };
        let chosen = Landmarks::choose(&kernel, x.as_ref(), KernelKind::Nngp, k, method, &resources)?;
        seconds.push(start.elapsed().as_secs_f64());
        residuals.push(chosen.partial().map_or(f64::NAN, |p| p.relative_residual()));
    }
    println!(r#"{{"precision": "{}", "seconds": {seconds:?}, "residual": {residuals:?}}}"#, T::NAME);
    Ok(())
}

fn read(path: &str) -> Result<Mat<f64>, Box<dyn std::error::Error>> {
    let file = npyz::NpyFile::new(std::io::BufReader::new(std::fs::File::open(path)?))?;
    let shape: Vec<usize> = file.shape().iter().map(|n| *n as usize).collect();
    let [n, d] = shape[..] else { return Err("not a matrix".into()) };
    Ok(Mat::from_vec(n, d, file.into_vec::<f64>()?)?)
}

fn wrong(what: &str, found: &str) -> Error {
    Error::Invalid {
        what: what.into(),
        expected: "FILE K H THREADS PRECISION PROPOSALS REPEATS".into(),
        found: found.into(),
        hint: "see the first lines of this example".into(),
    }
}
