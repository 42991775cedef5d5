//! Error of Hermite duals: the share of E[phi^2] and of E[phi'^2] that the default degree leaves out, by variance.
//!
//! Truncation leaves out positive terms in rho = 1, so this is the largest error of k and of kdot over all rho, relative to
//! their values on the diagonal. The exact moments come from panels of 24 Gauss-Legendre points, split at the kink.
//!
//! ```text
//! cargo run --release --example hermite_error
//! ```

use dualnet::activation::Activation;
use dualnet::dual::hermite::HermiteDual;
use dualnet::dual::numeric::{Precision, default_degree};
use dualnet::dual::quadrature_rule::Rule;

const VARIANCES: [f64; 7] = [0.01, 0.1, 0.5, 1.0, 2.0, 4.0, 10.0];

/// E[f(s z)], z standard normal.
fn expectation(s: f64, f: impl Fn(f64) -> f64) -> f64 {
    let rule = Rule::gauss_legendre(24);
    let (panels, reach) = (280, 14.0);
    let half = reach / panels as f64;
    let mut sum = 0.0;
    for i in 0..panels {
        let middle = -reach + half * (2 * i + 1) as f64;
        for (x, w) in rule.nodes.iter().zip(&rule.weights) {
            let z = middle + half * x;
            sum += w * half * f(s * z) * (-0.5 * z * z).exp();
        }
    }
    sum / (2.0 * std::f64::consts::PI).sqrt()
}

fn main() -> dualnet::Result<()> {
    print!("activation precision degree of");
    VARIANCES.iter().for_each(|v| print!("{v:>9}"));
    println!();
    use Activation::*;
    for activation in [Tanh, Sigmoid, Silu, Softplus, Elu { alpha: 1.0 }, Selu, Mish, GeluTanh] {
        for (name, precision) in [("f32", Precision::F32), ("f64", Precision::F64)] {
            let Some(degree) = default_degree(&activation, precision) else { continue };
            let dual = HermiteDual::new(&activation, degree)?;
            let (mut of_k, mut of_kdot) = (String::new(), String::new());
            for v in VARIANCES {
                let s = v.sqrt();
                let square = expectation(s, |x| activation.phi(x).unwrap_or(0.0).powi(2));
                let slope_square = expectation(s, |x| activation.derivative(x).unwrap_or(0.0).powi(2));
                let a = dual.coefficients(v);
                let held: f64 = a.iter().rev().map(|a| a * a).sum();
                let slope_held: f64 = a.iter().enumerate().rev().map(|(l, a)| l as f64 * a * a / v).sum();
                of_k += &format!("{:9.0e}", ((square - held) / square).abs());
                of_kdot += &format!("{:9.0e}", ((slope_square - slope_held) / slope_square).abs());
            }
            println!("{:10} {name:>9} {degree:6} k    {of_k}", activation.name());
            println!("{:10} {name:>9} {degree:6} kdot {of_kdot}", activation.name());
        }
    }
    Ok(())
}
