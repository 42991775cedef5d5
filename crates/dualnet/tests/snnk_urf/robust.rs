//! Threads, batches, instruction sets, precisions, projections; and input that is wrong.

use crate::shared::{archive, dot, matrix, normals, vector};
use dualnet::activation::Activation;
use dualnet::features::transform;
use dualnet::kernel::Float;
use dualnet::resources::Resources;
use dualnet::simd::{Element, Isa};
use dualnet::snnk::Snnk;
use dualnet::snnk::urf::{
    Allocation, Estimator, Form, Limit, Series, Spectrum, Split, UrfMap, UrfOptions, WindowedMap, optimal_damping,
};
use dualnet::{Error, Mat};
use proptest::prelude::*;

const BELL: Spectrum = Spectrum::Gaussian { a: 1.0, b: -0.5 };

fn cast<T: Element>(a: &Mat<f64>) -> Mat<T> {
    Mat::from_fn(a.rows(), a.cols(), |i, j| T::from_f64(a[(i, j)]))
}

/// What every map has to hold: the same bits for 1 and 2 threads, and for rows alone as in a batch, on both sides.
fn same_bits<T: Float, M: Snnk<T>>(map: &M) {
    let (one, two) = (Resources::new(1).unwrap(), Resources::new(2).unwrap());
    let rows = cast::<T>(&normals(300, map.inputs(), 0.2, 3));
    let biases: Vec<T> = (0..300).map(|i| T::from_f64(f64::from(i) / 100.0 - 1.0)).collect();
    let phi = transform(map, rows.as_ref(), &one).unwrap();
    assert_eq!(phi, transform(map, rows.as_ref(), &two).unwrap());
    let psi = map.psi(rows.as_ref(), &biases, &one).unwrap();
    assert_eq!(psi, map.psi(rows.as_ref(), &biases, &two).unwrap());
    for part in [0..1, 5..6, 127..129, 299..300, 3..200] {
        let some = rows.as_ref().block(part.clone(), 0..map.inputs()).unwrap();
        let found = transform(map, some, &one).unwrap();
        let of_parameters = map.psi(some, &biases[part.clone()], &one).unwrap();
        for (at, i) in part.enumerate() {
            assert_eq!(found.row(at), phi.row(i), "row {i}");
            assert_eq!(of_parameters.row(at), psi.row(i), "row {i}");
        }
    }
}

fn options(split: Split, damping: f64) -> UrfOptions {
    UrfOptions { estimator: Estimator { split, damping }, ..UrfOptions::default() }
}

#[test]
fn threads_and_batches_do_not_matter() {
    let resources = Resources::new(1).unwrap();
    for (features, inputs) in [(1, 1), (16, 5), (37, 19), (130, 64)] {
        for damping in [0.0, -0.05] {
            let options = options(Split::Balanced, damping);
            same_bits(&UrfMap::<f64>::draw(BELL, features, inputs, options, &resources).unwrap());
            same_bits(&UrfMap::<f32>::draw(BELL, features, inputs, options, &resources).unwrap());
            let bounded = UrfOptions { form: Form::Bounded, ..options };
            same_bits(&UrfMap::<f32>::draw(BELL, features, inputs, bounded, &resources).unwrap());
        }
        let series = Series::of(&Activation::Gelu, 5.0, 1).unwrap();
        let map = |s| {
            WindowedMap::<f32>::draw(
                s,
                features,
                inputs,
                Allocation::Coefficients,
                options(Split::Balanced, 0.0),
                &resources,
            )
        };
        same_bits(&map(series).unwrap());
    }
}

/// Draws do not depend on threads; more features begin with the same ones; another layer has others.
#[test]
fn draws_are_named_by_seed_and_layer() {
    let (one, two) = (Resources::new(1).unwrap().with_seed(9), Resources::new(2).unwrap().with_seed(9));
    let x = normals(3, 6, 0.3, 1);
    let phi = |m: usize, layer: u32, resources: &Resources| {
        let map = UrfMap::<f64>::draw(BELL, m, 6, UrfOptions { layer, ..UrfOptions::default() }, resources).unwrap();
        (map.frequencies().to_vec(), transform(&map, x.as_ref(), resources).unwrap())
    };
    assert_eq!(phi(40, 0, &one), phi(40, 0, &two));
    assert_eq!(phi(40, 0, &one).0[..20], phi(20, 0, &one).0[..]);
    assert_ne!(phi(40, 0, &one).0, phi(40, 1, &one).0);
    assert_ne!(phi(40, 0, &one).0, phi(40, 0, &one.clone().with_seed(8)).0);
}

/// f32 against f64 for given draws: 1e-5 of the largest entry; and all instruction sets agree.
#[test]
fn precisions_and_instruction_sets_agree() {
    let mut archive = archive();
    let (x, w, g) = (matrix(&mut archive, "X"), matrix(&mut archive, "W"), matrix(&mut archive, "G"));
    let (xi, b) = (vector(&mut archive, "xi_gauss"), vector(&mut archive, "b"));
    let b32: Vec<f32> = b.iter().map(|&b| b as f32).collect();
    let options = options(Split::Constant(0.7), -0.05);
    let wide = UrfMap::given(BELL, &xi, g.clone(), options).unwrap();
    let narrow = UrfMap::<f32>::given(BELL, &xi, cast(&g), options).unwrap();
    let resources = Resources::new(1).unwrap();
    let phi = transform(&wide, x.as_ref(), &resources).unwrap();
    let psi = wide.psi(w.as_ref(), &b, &resources).unwrap();
    let near = |a: &[f64], b: &[f64], tolerance: f64| a.iter().zip(b).all(|(a, b)| (a - b).abs() < tolerance);
    let widen = |a: Mat<f32>| a.as_slice().iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    for isa in Isa::available() {
        let resources = resources.clone().with_isa(isa);
        assert!(near(transform(&wide, x.as_ref(), &resources).unwrap().as_slice(), phi.as_slice(), 1e-14), "{isa:?}");
        assert!(near(wide.psi(w.as_ref(), &b, &resources).unwrap().as_slice(), psi.as_slice(), 1e-14), "{isa:?}");
        let found = transform(&narrow, cast::<f32>(&x).as_ref(), &resources).unwrap();
        assert!(near(&widen(found), phi.as_slice(), 1e-6), "{isa:?}");
        let found = narrow.psi(cast::<f32>(&w).as_ref(), &b32, &resources).unwrap();
        assert!(near(&widen(found), psi.as_slice(), 3e-6), "{isa:?}");
    }
}

#[test]
fn wrong_input_is_an_error() {
    let resources = Resources::new(1).unwrap();
    let draw =
        |spectrum, features, inputs, options| UrfMap::<f64>::draw(spectrum, features, inputs, options, &resources);
    assert!(draw(BELL, 0, 3, UrfOptions::default()).is_err());
    assert!(draw(BELL, 3, 0, UrfOptions::default()).is_err());
    for (split, damping) in [
        (Split::Constant(0.0), 0.0),
        (Split::Constant(-1.0), 0.0),
        (Split::Constant(f64::NAN), 0.0),
        (Split::Constant(1e-310), 0.0),
        (Split::Balanced, 0.1),
        (Split::Balanced, f64::NAN),
    ] {
        let text = draw(BELL, 4, 3, options(split, damping)).unwrap_err().to_string();
        assert!(text.contains("estimator"), "{text}");
    }
    for spectrum in [
        Spectrum::Gaussian { a: 1.0, b: 0.5 },
        Spectrum::Cos { a: f64::NAN, b: 1.0, c: 0.0 },
        Spectrum::Sech { a: 1.0, b: f64::INFINITY },
    ] {
        assert!(draw(spectrum, 4, 3, UrfOptions::default()).is_err(), "{spectrum:?}");
        assert!(UrfMap::given(spectrum, &[0.1], Mat::<f64>::zeros(1, 2), UrfOptions::default()).is_err());
    }
    let far = UrfMap::<f32>::draw(Spectrum::Cos { a: 1e300, b: 1.0, c: 0.0 }, 4, 3, UrfOptions::default(), &resources);
    assert!(far.unwrap_err().to_string().contains("range of f32"));
    let given = |xi: &[f64], g| UrfMap::<f64>::given(BELL, xi, g, UrfOptions::default());
    assert!(matches!(given(&[0.1, 0.2], Mat::zeros(3, 2)), Err(Error::Shape { .. })));
    assert!(matches!(given(&[0.1, f64::NAN], Mat::zeros(2, 2)), Err(Error::NonFinite { row: 1, .. })));
    assert!(given(&[], Mat::zeros(0, 2)).is_err());
    assert!(
        optimal_damping(-1.0, 3).is_err() && optimal_damping(1.0, 0).is_err() && optimal_damping(f64::NAN, 3).is_err()
    );
    let small = resources.clone().with_memory(1000);
    assert!(matches!(UrfMap::<f64>::draw(BELL, 1000, 3, UrfOptions::default(), &small), Err(Error::Memory { .. })));
    assert!(Spectrum::of(&Activation::Tanh).unwrap_err().to_string().contains("windowed"));
}

#[test]
fn wrong_parameters_are_errors() {
    let resources = Resources::new(1).unwrap();
    let map = UrfMap::<f64>::draw(BELL, 8, 3, UrfOptions::default(), &resources).unwrap();
    let mut w = normals(4, 3, 0.2, 1);
    assert!(map.psi(w.as_ref(), &[0.0; 3], &resources).is_err());
    assert!(map.psi(normals(4, 2, 0.2, 1).as_ref(), &[], &resources).is_err());
    assert_eq!(map.psi(Mat::zeros(0, 3).as_ref(), &[], &resources).unwrap().rows(), 0);
    assert!(matches!(
        map.psi(w.as_ref(), &[0.0, 0.0, f64::INFINITY, 0.0], &resources),
        Err(Error::NonFinite { row: 2, column: 0, .. })
    ));
    w.row_mut(3)[1] = f64::NAN;
    assert!(matches!(map.psi(w.as_ref(), &[], &resources), Err(Error::NonFinite { row: 3, column: 1, .. })));
    assert!(matches!(transform(&map, w.as_ref(), &resources), Err(Error::NonFinite { row: 3, column: 1, .. })));
    assert!(matches!(map.check(w.as_ref(), w.as_ref(), 0.1), Err(Error::NonFinite { .. })));
    // A limit lets small parameters pass.
    let limit = Limit::Error { error: 0.1, input_norm: 0.5 };
    let map = UrfMap::<f64>::draw(BELL, 1024, 3, UrfOptions { limit, ..UrfOptions::default() }, &resources).unwrap();
    let (good, bad) = (normals(2, 3, 0.1, 2), normals(2, 3, 3.0, 2));
    assert!(map.psi(good.as_ref(), &[], &resources).is_ok());
    assert!(map.psi(bad.as_ref(), &[], &resources).is_err());
}

/// Activations with an exact spectrum are that activation.
#[test]
fn spectra_are_their_activations() {
    for activation in [
        Activation::Sin { a: 0.7, b: -1.2, c: 0.3 },
        Activation::Cos { a: -1.7, b: 0.4, c: 1.3 },
        Activation::Rbf { gamma: 0.8 },
        Activation::Gaussian { a: 1.2, b: -0.6 },
    ] {
        let spectrum = Spectrum::of(&activation).unwrap();
        for z in [-30.0, -1.0, 0.0, 0.3, 2.0] {
            let expected = activation.phi(z).unwrap();
            assert!((spectrum.value(z) - expected).abs() < 1e-13, "{} {z}", activation.name());
        }
    }
    assert_eq!(Spectrum::Sech { a: 1.0, b: 1.0 }.value(1e5), 0.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the norms: an error or finite numbers. For x = w = 0 nothing is left to chance: cos(b) to rounding.
    #[test]
    fn finite_or_refused(
        scale in -200.0f64..200.0,
        damping in -2.0f64..0.0,
        s in -3.0f64..3.0,
        seed in 0u64..1000,
    ) {
        let resources = Resources::new(1).unwrap().with_seed(seed);
        let rows = normals(3, 4, 10f64.powf(scale), seed);
        let split = if seed % 2 == 0 { Split::Balanced } else { Split::Constant(10f64.powf(s)) };
        for form in [Form::Unbiased, Form::Bounded] {
            let map = UrfMap::<f64>::draw(BELL, 9, 4, UrfOptions { form, ..options(split, damping) }, &resources).unwrap();
            let both = [transform(&map, rows.as_ref(), &resources), map.psi(rows.as_ref(), &[], &resources)];
            for features in both.into_iter().flatten() {
                prop_assert!(features.as_slice().iter().all(|x| x.is_finite()));
            }
        }
        let cos = Spectrum::Cos { a: 1.0, b: 1.0, c: 0.0 };
        let map = UrfMap::<f64>::draw(cos, 9, 4, options(Split::Balanced, 0.0), &resources).unwrap();
        let zero = Mat::<f64>::zeros(1, 4);
        let phi = transform(&map, zero.as_ref(), &resources).unwrap();
        let psi = map.psi(zero.as_ref(), &[s], &resources).unwrap();
        prop_assert!((dot(phi.row(0), psi.row(0)) - s.cos()).abs() < 1e-14);
    }
}
