//! Pointwise error of universal random features against their number, beside the prediction, as CSV: for plots.
//!
//! Each line is a function, a split, a length |x| = |w| and a number of complex features m, with root mean square errors over 64
//! pairs (x, w, b) and 20 seeds; columns `predicted` (exact variance; for windowed series the upper bound), `bound` (second moment) and
//! `relative` (measured error over the root mean square of f).
//!
//! ```text
//! cargo run --release --example urf_error > urf_error.csv
//! ```

use dualnet::activation::Activation;
use dualnet::features::transform;
use dualnet::random::{Draws, Purpose};
use dualnet::snnk::Snnk;
use dualnet::snnk::urf::moment::{second_moment, variance};
use dualnet::snnk::urf::{Allocation, Estimator, Series, Spectrum, Split, UrfMap, UrfOptions, WindowedMap};
use dualnet::{Mat, Resources, Result};

const INPUTS: usize = 8;
/// As many as half a tile: fewer cost the same.
const PAIRS: usize = 64;
const SEEDS: u64 = 20;

/// Rows of one length.
fn rows(length: f64, seed: u64) -> Mat<f64> {
    let mut draws = Draws::new(seed, Purpose::ROWS, 0);
    let mut out = Mat::from_fn(PAIRS, INPUTS, |_, _| draws.normal());
    for i in 0..PAIRS {
        let norm = out.row(i).iter().map(|x| x * x).sum::<f64>().sqrt();
        out.row_mut(i).iter_mut().for_each(|x| *x *= length / norm);
    }
    out
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Root mean square errors of row i with parameters i, over all seeds, and of the exact values.
fn measure<M: Snnk<f64>>(
    map: impl Fn(&Resources) -> Result<M>,
    exact: &[f64],
    (x, w, b): (&Mat<f64>, &Mat<f64>, &[f64]),
    resources: &Resources,
) -> Result<(f64, f64)> {
    let (mut squares, n) = (0.0, (PAIRS as u64 * SEEDS) as f64);
    for seed in 0..SEEDS {
        let resources = resources.clone().with_seed(seed);
        let map = map(&resources)?;
        let phi = transform(&map, x.as_ref(), &resources)?;
        let psi = map.psi(w.as_ref(), b, &resources)?;
        squares += (0..PAIRS).map(|i| (dot(phi.row(i), psi.row(i)) - exact[i]).powi(2)).sum::<f64>();
    }
    let size = (exact.iter().map(|f| f * f).sum::<f64>() / PAIRS as f64).sqrt();
    Ok(((squares / n).sqrt(), size))
}

fn main() -> Result<()> {
    let resources = Resources::new(1)?;
    let b: Vec<f64> = (0..PAIRS).map(|i| (i % 8) as f64 / 4.0 - 1.0).collect();
    println!("function,split,norm,m,error,predicted,bound,relative");
    for norm in [0.25, 0.5, 0.75, 1.0] {
        let (x, w) = (rows(norm, 1), rows(norm, 2));
        let z: Vec<f64> = (0..PAIRS).map(|i| dot(x.row(i), w.row(i)) + b[i]).collect();
        for m in (6..=12).map(|p| 1 << p) {
            let spectra = [
                ("cos", Spectrum::Cos { a: 1.0, b: 1.0, c: 0.0 }),
                ("sin", Spectrum::Sin { a: 1.0, b: 1.0, c: 0.0 }),
                ("gaussian", Spectrum::Gaussian { a: 1.0, b: -0.5 }),
                ("sech", Spectrum::Sech { a: 1.0, b: 1.0 }),
            ];
            for (name, spectrum) in spectra {
                let damped = Estimator::damped(Split::Balanced, &spectrum, INPUTS, norm * norm)?;
                let constant = Estimator { split: Split::Constant(1.0), damping: 0.0 };
                for (split, estimator) in
                    [("constant", constant), ("balanced", Estimator::default()), ("damped", damped)]
                {
                    let bound = second_moment(&spectrum, estimator, INPUTS, norm, norm);
                    if bound.is_infinite() {
                        continue;
                    }
                    let options = UrfOptions { estimator, ..UrfOptions::default() };
                    let exact: Vec<f64> = z.iter().map(|&z| spectrum.value(z)).collect();
                    let map = |r: &Resources| UrfMap::<f64>::draw(spectrum, m, INPUTS, options, r);
                    let (error, size) = measure(map, &exact, (&x, &w, &b), &resources)?;
                    let of_pair = |i: usize| variance(&spectrum, estimator, x.row(i), w.row(i), b[i]);
                    let predicted = (0..PAIRS).map(of_pair).sum::<f64>() / (PAIRS * m) as f64;
                    let (predicted, bound) = (predicted.sqrt(), (bound / m as f64).sqrt());
                    println!("{name},{split},{norm},{m},{error:.4e},{predicted:.4e},{bound:.4e},{:.4e}", error / size);
                }
            }
            use Activation::*;
            for activation in [Relu, Gelu, Tanh, Softplus] {
                let series = Series::of(&activation, 2.5 * (norm * norm + 1.0), 4)?;
                let allocation = Allocation::Norms { input: norm, weight: norm };
                let draw = |r: &Resources| {
                    WindowedMap::<f64>::draw(series.clone(), m, INPUTS, allocation, UrfOptions::default(), r)
                };
                let exact: Vec<f64> = z.iter().map(|&z| activation.phi(z).unwrap_or(0.0)).collect();
                let predicted = draw(&resources)?.predicted_error(norm, norm);
                let (error, size) = measure(draw, &exact, (&x, &w, &b), &resources)?;
                println!(
                    "{},windowed,{norm},{m},{error:.4e},{predicted:.4e},{predicted:.4e},{:.4e}",
                    activation.name(),
                    error / size
                );
            }
        }
    }
    Ok(())
}
