//! What the tests of the smooth duals share: the duals by the names of the golden arrays, and a reader of those.

// The exemption of tests covers functions marked as such only.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::dual::DynDual;
use dualnet::dual::exp::Exp;
use dualnet::dual::exp_normalized::ExpNormalized;
use dualnet::dual::gabor::Gabor;
use dualnet::dual::gaussian::Gaussian;
use dualnet::dual::hermite_power::HermitePower;
use dualnet::dual::polynomial::Polynomial;
use dualnet::dual::rbf::Rbf;
use dualnet::dual::sin::Sin;

pub fn duals() -> Vec<(String, Box<dyn DynDual>)> {
    let mut all: Vec<(String, Box<dyn DynDual>)> = vec![
        ("sin".into(), Box::new(Sin::new(1.0, 1.0, 0.0))),
        ("sin_0.8_1.7_0.4".into(), Box::new(Sin::new(0.8, 1.7, 0.4))),
        ("cos".into(), Box::new(Sin::cos(1.0, 1.0, 0.0))),
        ("rbf_0.5".into(), Box::new(Rbf::new(0.5))),
        ("gaussian".into(), Box::new(Gaussian::new(1.0, -1.0))),
        ("gaussian_0.7_-0.4".into(), Box::new(Gaussian::new(0.7, -0.4))),
        ("exp_0.6_0.5".into(), Box::new(Exp::new(0.6, 0.5))),
        ("exp_normalized".into(), Box::new(ExpNormalized::new(1.0, -1.0))),
        ("exp_normalized_0.5_-0.3".into(), Box::new(ExpNormalized::new(0.5, -0.3))),
        ("gabor".into(), Box::new(Gabor)),
        ("polynomial".into(), Box::new(Polynomial::new(&[0.3, -0.5, 0.2, 0.1]))),
    ];
    for n in 0..5 {
        all.push((format!("hermite_{n}"), Box::new(HermitePower::new(n))));
    }
    for n in 0..6 {
        all.push((format!("monomial_{n}"), Box::new(Polynomial::monomial(n))));
    }
    all
}

/// A golden array, flattened.
pub fn golden(file: &str, name: &str) -> Vec<f64> {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut archive = npyz::npz::NpzArchive::open(path).unwrap();
    archive.by_name(name).unwrap().unwrap_or_else(|| panic!("no array {name}")).into_vec().unwrap()
}
