//! Every array of universal random features in snnk.npz, to 1e-12 relative.

use crate::shared::{Archive, archive, complex, difference, dot, estimate, matrix, vector};
use dualnet::linalg::{Mat, MatMut, MatRef};
use dualnet::resources::Resources;
use dualnet::snnk::urf::{ComplexFeatures, Estimator, Form, Spectrum, Split, UrfMap, UrfOptions, lambda, moment};

const FUNCTIONS: [(&str, Spectrum); 4] = [
    ("cos", Spectrum::Cos { a: 1.0, b: 1.0, c: 0.0 }),
    ("sin", Spectrum::Sin { a: 1.0, b: 1.0, c: 0.0 }),
    ("gauss", Spectrum::Gaussian { a: 1.0, b: -0.5 }),
    ("sech", Spectrum::Sech { a: 1.0, b: 1.0 }),
];

const ESTIMATORS: [(&str, Split, f64); 4] = [
    ("A0_s1", Split::Constant(1.0), 0.0),
    ("A-0.05_s1", Split::Constant(1.0), -0.05),
    ("A-0.05_s0.7", Split::Constant(0.7), -0.05),
    ("A0_sbal", Split::Balanced, 0.0),
];

fn options(split: Split, damping: f64) -> UrfOptions {
    UrfOptions { estimator: Estimator { split, damping }, ..UrfOptions::default() }
}

fn compare(archive: &mut Archive, name: &str, found: &ComplexFeatures<f64>) {
    let [re, im] = complex(archive, name);
    let size = |m: &Mat<f64>| m.as_slice().iter().fold(0.0, |l, x| f64::max(l, x.abs()));
    let gap = f64::max(difference(&found.re, &re), difference(&found.im, &im) * size(&im) / size(&re).max(size(&im)));
    assert!(gap < 1e-12, "{name}: {gap:e}");
}

#[test]
fn estimates_and_complex_features() {
    let (mut archive, resources) = (archive(), Resources::new(1).unwrap());
    let (x, w, g) = (matrix(&mut archive, "X"), matrix(&mut archive, "W"), matrix(&mut archive, "G"));
    let b = vector(&mut archive, "b");
    for (name, spectrum) in FUNCTIONS {
        let xi = vector(&mut archive, &format!("xi_{name}"));
        let exact = matrix(&mut archive, &format!("exact_{name}"));
        let found = Mat::from_fn(x.rows(), w.rows(), |i, k| spectrum.value(dot(x.row(i), w.row(k)) + b[k]));
        assert!(difference(&found, &exact) < 1e-12, "exact_{name}");
        for (tag, split, damping) in ESTIMATORS {
            let map = UrfMap::given(spectrum, &xi, g.clone(), options(split, damping)).unwrap();
            let expected = matrix(&mut archive, &format!("out_{name}_{tag}"));
            let found = estimate(&map, x.as_ref(), w.as_ref(), &b, &resources);
            assert!(difference(&found, &expected) < 1e-12, "out_{name}_{tag}: {:e}", difference(&found, &expected));
            if !tag.ends_with("s1") {
                let phi = map.phi_complex(x.as_ref(), &resources).unwrap();
                compare(&mut archive, &format!("Phi_{name}_{tag}"), &phi);
                let psi = map.psi_complex(w.as_ref(), &b, &resources).unwrap();
                compare(&mut archive, &format!("Psi_{name}_{tag}"), &psi);
            }
        }
    }
}

/// The same against a plain walk over [`lambda`], for parameters and dampings that the golden arrays lack.
#[test]
fn features_are_the_plain_definition() {
    let resources = Resources::new(1).unwrap();
    let (x, w) = (crate::shared::normals(7, 19, 0.2, 1), crate::shared::normals(5, 19, 0.2, 2));
    let b = [0.3, -1.0, 0.0, 2.0, -0.4];
    let spectra = [
        Spectrum::Cos { a: 1.4, b: -0.6, c: 0.3 },
        Spectrum::Sin { a: -0.7, b: 1.2, c: -0.5 },
        Spectrum::Gaussian { a: 2.0, b: -0.2 },
        Spectrum::Sech { a: 0.5, b: 0.8 },
    ];
    for spectrum in spectra {
        for (split, damping) in [(Split::Constant(0.8), -0.13), (Split::Balanced, -0.02), (Split::Balanced, 0.0)] {
            let map = UrfMap::<f64>::draw(spectrum, 37, 19, options(split, damping), &resources).unwrap();
            let g = dualnet::transform::Projection::<f64>::draw(
                dualnet::transform::ProjectionKind::Gaussian,
                37,
                19,
                dualnet::random::Purpose::PROJECTION,
                &resources,
            );
            let (g, root) = (g.unwrap().to_mat(), 37f64.sqrt());
            let phi = map.phi_complex(x.as_ref(), &resources).unwrap();
            let psi = map.psi_complex(w.as_ref(), &b, &resources).unwrap();
            for (j, &t) in map.frequencies().iter().enumerate() {
                let s = if let Split::Constant(s) = split { s } else { t.abs().powf(-0.5) };
                for i in 0..7 {
                    let im: Vec<f64> = x.row(i).iter().map(|x| s * t * x).collect();
                    let z = lambda(&[], &im, g.row(j), damping);
                    let gap = (phi.re[(i, j)] - z.0 / root).hypot(phi.im[(i, j)] - z.1 / root);
                    assert!(gap < 1e-13, "{spectrum:?} {split:?} phi {i} {j}: {gap:e}");
                }
                let (u, v) = spectrum.weight(t / (2.0 * std::f64::consts::PI));
                for (k, bias) in b.iter().enumerate() {
                    let re: Vec<f64> = w.row(k).iter().map(|w| w / s).collect();
                    let size = lambda(&re, &[], g.row(j), damping).0 / root;
                    let (sin, cos) = (t * bias).sin_cos();
                    let z = (size * (u * cos - v * sin), size * (u * sin + v * cos));
                    let gap = (psi.re[(k, j)] - z.0).hypot(psi.im[(k, j)] - z.1);
                    assert!(gap < 1e-13, "{spectrum:?} {split:?} psi {k} {j}: {gap:e}");
                }
            }
        }
    }
}

#[test]
fn lambda_of_real_arguments() {
    let mut archive = archive();
    let g = matrix(&mut archive, "G");
    for side in ["X", "W"] {
        let z = matrix(&mut archive, side);
        for (tag, a) in [("A0", 0.0), ("A-0.1", -0.1)] {
            let expected = matrix(&mut archive, &format!("lam_real_{side}_{tag}"));
            let found = Mat::from_fn(z.rows(), g.rows(), |i, j| lambda(z.row(i), &[], g.row(j), a).0);
            assert!(difference(&found, &expected) < 1e-12, "lam_real_{side}_{tag}");
        }
    }
    // What its products estimate.
    let (x, w) = (matrix(&mut archive, "X"), matrix(&mut archive, "W"));
    let exact = Mat::from_fn(x.rows(), w.rows(), |i, k| dot(x.row(i), w.row(k)).exp());
    assert!(difference(&exact, &matrix(&mut archive, "lam_real_expected")) < 1e-12);
}

#[test]
fn second_moments() {
    let mut archive = archive();
    let (x, w) = (matrix(&mut archive, "X"), matrix(&mut archive, "W"));
    let norm = |a: &[f64]| dot(a, a).sqrt();
    for (name, split, damping) in [
        ("second_moment_t1_A0_s1", Split::Constant(1.0), 0.0),
        ("second_moment_t1_A-0.05_s0.7", Split::Constant(0.7), -0.05),
    ] {
        let (expected, estimator) = (matrix(&mut archive, name), Estimator { split, damping });
        let found = |i, k| moment::second_moment(&FUNCTIONS[0].1, estimator, x.cols(), norm(x.row(i)), norm(w.row(k)));
        let found = Mat::from_fn(x.rows(), w.rows(), found);
        assert!(difference(&found, &expected) < 1e-12, "{name}");
    }
}

/// Bounded features are those of the unbiased form without e^(rho^2 |x|^2 / 2), and cosine and sine pairs where A = 0.
#[test]
fn bounded_features() {
    let (mut archive, resources) = (archive(), Resources::new(1).unwrap());
    let (x, g) = (matrix(&mut archive, "X"), matrix(&mut archive, "G"));
    let xi = vector(&mut archive, "xi_gauss");
    for (split, damping) in [(Split::Constant(0.7), 0.0), (Split::Balanced, -0.05)] {
        let whole = options(split, damping);
        let bounded = UrfOptions { form: Form::Bounded, ..whole };
        let map = UrfMap::given(FUNCTIONS[2].1, &xi, g.clone(), whole).unwrap();
        let whole = map.phi_complex(x.as_ref(), &resources).unwrap();
        let map = UrfMap::given(FUNCTIONS[2].1, &xi, g.clone(), bounded).unwrap();
        let found = map.phi_complex(x.as_ref(), &resources).unwrap();
        for (i, j) in (0..x.rows()).flat_map(|i| (0..xi.len()).map(move |j| (i, j))) {
            let (t, square) = (map.frequencies()[j], dot(x.row(i), x.row(i)));
            let rho = if let Split::Constant(s) = split { s * t } else { t.abs().sqrt().copysign(t) };
            let factor = (-0.5 * rho * rho * square).exp();
            let gap =
                (found.re[(i, j)] - factor * whole.re[(i, j)]).hypot(found.im[(i, j)] - factor * whole.im[(i, j)]);
            assert!(gap < 1e-14, "{split:?} {i} {j}: {gap:e}");
            if damping == 0.0 {
                let angle = rho * dot(g.row(j), x.row(i));
                assert!((found.re[(i, j)] - angle.cos() / 4.0).abs() < 1e-14);
                assert!((found.im[(i, j)] - angle.sin() / 4.0).abs() < 1e-14);
            }
        }
    }
    // Entries of 1e150 are no matter.
    let big = [1e150; 5];
    let map =
        UrfMap::given(FUNCTIONS[2].1, &xi, g, UrfOptions { form: Form::Bounded, ..UrfOptions::default() }).unwrap();
    let mut out = vec![0.0; 32];
    let big = MatRef::new(&big, 1, 5, 5).unwrap();
    dualnet::features::transform_into(&map, big, MatMut::new(&mut out, 1, 32, 32).unwrap(), &resources).unwrap();
    assert!(out.iter().all(|x| x.abs() <= 0.25));
}
