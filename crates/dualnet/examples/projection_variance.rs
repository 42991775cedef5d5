//! Bias and variance of kernel estimates from m = d rows of each kind of projection, as CSV on standard output:
//! `cargo run --release --example projection_variance -- SEEDS` (20000).
//!
//! The arc-cosine kernel of order 1 is estimated by the mean of relu(g . x) relu(g . y), for unit vectors x and y at each angle; `gaussian`
//! by the mean of cos(g . (x - y)). `ratio` is the variance over that of independent normal rows.
#![allow(clippy::print_stdout)]

use dualnet::linalg::Mat;
use dualnet::random::{Draws, Purpose};
use dualnet::transform::{Projection, ProjectionKind};
use dualnet::{Error, Resources, Result};

const DEGREES: [f64; 9] = [0.0, 15.0, 30.0, 45.0, 60.0, 90.0, 120.0, 150.0, 180.0];
const KERNELS: [&str; 2] = ["arc-cosine-1", "gaussian"];

fn main() -> Result<()> {
    let seeds = std::env::args().nth(1).unwrap_or_else(|| "20000".into());
    let seeds = seeds.parse::<u64>().map_err(|e| Error::Invalid {
        what: "number of seeds".into(),
        expected: "a whole number".into(),
        found: format!("{seeds} ({e})"),
        hint: "see the first lines of this example".into(),
    })?;
    println!("kernel,d,vectors,degrees,kind,exact,bias,standard_error,variance,ratio");
    for (d, vectors) in [4, 8, 16, 64].into_iter().flat_map(|d| [(d, Vectors::Dense), (d, Vectors::Axes)]) {
        let (name, vectors) = (format!("{vectors:?}").to_lowercase(), vectors.at_angles(d));
        let kinds = [ProjectionKind::Gaussian, ProjectionKind::Orthogonal, ProjectionKind::Structured];
        let moments = [
            moments(kinds[0], &vectors, seeds)?,
            moments(kinds[1], &vectors, seeds)?,
            moments(kinds[2], &vectors, seeds)?,
        ];
        for (k, kernel) in KERNELS.iter().enumerate() {
            for (a, degrees) in DEGREES.iter().enumerate() {
                let exact = exact(k, degrees.to_radians());
                for (kind, of_kind) in kinds.iter().zip(&moments) {
                    let (mean, variance) = of_kind[k][a];
                    let (error, ratio) = ((variance / seeds as f64).sqrt(), variance / moments[0][k][a].1);
                    let bias = mean - exact;
                    println!(
                        "{kernel},{d},{name},{degrees},{kind:?},{exact:.6},{bias:.2e},{error:.2e},{variance:.5e},{ratio:.4}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// The plane that x and y lie in.
#[derive(Clone, Copy, Debug)]
enum Vectors {
    /// Without pattern.
    Dense,
    /// That of the first two axes: the worst case of a structured projection.
    Axes,
}

impl Vectors {
    /// x in the first row, then y at each angle to it, all of length 1.
    fn at_angles(self, d: usize) -> Mat<f64> {
        let mut draws = Draws::new(99, Purpose::ROWS, d as u64);
        let mut vector = |axis: usize| match self {
            Vectors::Dense => (0..d).map(|_| draws.normal()).collect(),
            Vectors::Axes => (0..d).map(|j| if j == axis { 1.0 } else { 0.0 }).collect::<Vec<f64>>(),
        };
        let (mut x, mut z) = (vector(0), vector(1));
        normalise(&mut x);
        let product: f64 = x.iter().zip(&z).map(|(x, z)| x * z).sum();
        z.iter_mut().zip(&x).for_each(|(z, x)| *z -= product * x);
        normalise(&mut z);
        Mat::from_fn(1 + DEGREES.len(), d, |i, j| {
            let (sin, cos) = if i == 0 { (0.0, 1.0) } else { DEGREES[i - 1].to_radians().sin_cos() };
            cos * x[j] + sin * z[j]
        })
    }
}

fn normalise(x: &mut [f64]) {
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    x.iter_mut().for_each(|x| *x /= norm);
}

fn exact(kernel: usize, angle: f64) -> f64 {
    use std::f64::consts::PI;
    match kernel {
        0 => (angle.sin() + (PI - angle) * angle.cos()) / (2.0 * PI),
        _ => (-(1.0 - angle.cos())).exp(),
    }
}

/// Mean and variance of the estimate over seeds, for each kernel and angle.
fn moments(kind: ProjectionKind, vectors: &Mat<f64>, seeds: u64) -> Result<[Vec<(f64, f64)>; 2]> {
    let (n, d) = (vectors.rows(), vectors.cols());
    let mut sums = [vec![(0.0, 0.0); DEGREES.len()], vec![(0.0, 0.0); DEGREES.len()]];
    let mut resources = Resources::new(1)?;
    let mut out = Mat::zeros(n, d);
    for seed in 0..seeds {
        resources.seed = seed;
        let projection = Projection::draw(kind, d, d, Purpose::PROJECTION, &resources)?;
        let mut scratch = vec![0.0; projection.scratch()];
        projection.tile(vectors.as_ref(), out.as_mut(), &mut scratch, resources.isa)?;
        for (k, sums) in sums.iter_mut().enumerate() {
            for (a, sum) in sums.iter_mut().enumerate() {
                let pairs = out.row(0).iter().zip(out.row(a + 1));
                let estimate = pairs.map(|(x, y)| term(k, *x, *y)).sum::<f64>() / d as f64;
                // About the exact value, so that nothing cancels.
                let off = estimate - exact(k, DEGREES[a].to_radians());
                *sum = (sum.0 + off, sum.1 + off * off);
            }
        }
    }
    let count = seeds as f64;
    for (k, sums) in sums.iter_mut().enumerate() {
        for (a, sum) in sums.iter_mut().enumerate() {
            let off = sum.0 / count;
            *sum = (exact(k, DEGREES[a].to_radians()) + off, sum.1 / count - off * off);
        }
    }
    Ok(sums)
}

fn term(kernel: usize, x: f64, y: f64) -> f64 {
    match kernel {
        0 => x.max(0.0) * y.max(0.0),
        _ => (x - y).cos(),
    }
}
