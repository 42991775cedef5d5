use super::*;
use crate::simd::{Jet, Real};

/// One of each, parameters away from their defaults where that is a harder case.
fn every() -> Vec<Activation> {
    use Activation::*;
    vec![
        Identity,
        Relu,
        LeakyRelu { alpha: 0.2 },
        Abs,
        Abrelu { a: -0.5, b: 1.5 },
        Erf { a: 0.7, b: 1.3, c: 0.2 },
        SigmoidLike,
        Gelu,
        Sin { a: 0.8, b: 1.7, c: 0.4 },
        Cos { a: 0.8, b: 1.7, c: 0.4 },
        Rbf { gamma: 0.5 },
        Gaussian { a: 0.7, b: -0.4 },
        Exp { a: 0.6, b: 0.5 },
        Gabor,
        Sign,
        Hermite { degree: 3 },
        Monomial { degree: 3 },
        RectifiedMonomial { degree: 2 },
        Polynomial { coefficients: vec![0.5, -1.0, 0.25, 2.0] },
        ExpNormalized { gamma: 1.0, shift: -1.0 },
        Tanh,
        Sigmoid,
        Silu,
        Softplus,
        Elu { alpha: 1.3 },
        Selu,
        Mish,
        GeluTanh,
    ]
}

#[test]
fn names_are_those_of_the_net_file() {
    let names: Vec<_> = every().iter().map(|a| a.name()).collect();
    assert_eq!(names, Activation::all_names());
    for activation in every() {
        let json = serde_json::to_value(&activation).unwrap();
        let key = json.as_str().or_else(|| json.as_object()?.keys().next().map(|k| k.as_str())).unwrap();
        assert_eq!(key, activation.name());
        assert!(!activation.formula().is_empty());
    }
}

#[test]
fn derivative_is_that_of_phi() {
    for activation in every() {
        for i in -60..=60 {
            let x = 0.137 * f64::from(i) + 0.011;
            let Some(jet) = activation.phi(Jet::variable(x)) else {
                assert!(activation.derivative(x).is_none());
                continue;
            };
            let slope = activation.derivative(x).unwrap();
            assert!(
                (jet.slope - slope).abs() <= 2e-14 * (1.0 + slope.abs()),
                "{activation:?} at {x}: {} {slope}",
                jet.slope
            );
            // The Jet and the formula share building blocks: difference quotients share nothing.
            let h = 1e-5;
            let quotient = (activation.phi(x + h).unwrap() - activation.phi(x - h).unwrap()) / (2.0 * h);
            assert!((quotient - slope).abs() < 2e-8 * (1.0 + slope.abs() + x.abs().powi(3)), "{activation:?} at {x}");
        }
    }
}

#[test]
fn known_values() {
    // 50-digit evaluations, rounded.
    let cases: [(Activation, f64, f64); 12] = [
        (Activation::Tanh, 0.5, 0.462_117_157_260_009_76),
        (Activation::Sigmoid, -2.0, 0.119_202_922_022_117_56),
        (Activation::Silu, 3.0, 2.857_722_380_467_299_7),
        (Activation::Softplus, -30.0, 9.357_622_968_839_737e-14),
        (Activation::Softplus, 0.0, std::f64::consts::LN_2),
        (Activation::Elu { alpha: 1.0 }, -1.0, -0.632_120_558_828_557_7),
        (Activation::Selu, -1.0, -1.111_330_737_812_562_7),
        (Activation::Mish, 1.0, 0.865_098_388_267_310_3),
        (Activation::Mish, -2.0, -0.252_501_482_695_708_9),
        (Activation::GeluTanh, 1.0, 0.841_191_990_608_276_7),
        (Activation::Gelu, 1.0, 0.841_344_746_068_542_9),
        (Activation::SigmoidLike, 1.0, 0.721_985_907_134_070_5),
    ];
    for (activation, x, expected) in cases {
        let found = activation.phi(x).unwrap();
        assert!((found - expected).abs() <= 4e-15 * expected.abs(), "{activation:?} at {x}: {found} not {expected}");
    }
}

#[test]
fn bounded_and_linear_ones_survive_huge_arguments() {
    use Activation::*;
    let limits: [(Activation, f64, f64); 11] = [
        (Tanh, -1.0, 1.0),
        (Sigmoid, 0.0, 1.0),
        (Silu, 0.0, 1e300),
        (Softplus, 0.0, 1e300),
        (Mish, 0.0, 1e300),
        (GeluTanh, 0.0, 1e300),
        (Gelu, 0.0, 1e300),
        (Elu { alpha: 1.0 }, -1.0, 1e300),
        (Gaussian { a: 1.0, b: 0.0 }, 1.0, 1.0),
        (Gaussian { a: 1.0, b: -1.0 }, 0.0, 0.0),
        (Erf { a: 1.0, b: 1.0, c: 0.0 }, -1.0, 1.0),
    ];
    for (activation, below, above) in limits {
        assert_eq!(activation.phi(-1e300), Some(below), "{activation:?}");
        assert_eq!(activation.phi(1e300), Some(above), "{activation:?}");
        for x in [-1e300, -1e5, -800.0, 800.0, 1e5, 1e300] {
            assert!(activation.derivative(x).unwrap().is_finite(), "{activation:?} at {x}");
        }
    }
}

#[test]
fn parity_is_that_of_the_values() {
    for activation in every() {
        let Some(at_zero) = activation.phi(0.0f64) else { continue };
        let slope = activation.derivative(0.0f64).unwrap();
        for x in [0.3, 1.1, 2.7] {
            let (plus, minus) = (activation.phi(x).unwrap(), activation.phi(-x).unwrap());
            let scale = 1e-15 * (1.0 + Real::abs(plus));
            match activation.parity() {
                Parity::Odd => assert_eq!(plus, -minus, "{activation:?}"),
                Parity::Even => assert_eq!(plus, minus, "{activation:?}"),
                Parity::Neither => assert_ne!(plus, minus, "{activation:?}"),
            }
            match activation.core_parity() {
                Parity::Odd => assert!((plus + minus - 2.0 * at_zero).abs() <= 4.0 * scale, "{activation:?}"),
                Parity::Even => assert!((plus - minus - 2.0 * slope * x).abs() <= 4.0 * scale, "{activation:?}"),
                Parity::Neither => {
                    assert!((plus + minus - 2.0 * at_zero).abs() > scale, "{activation:?}");
                    assert!((plus - minus - 2.0 * slope * x).abs() > scale, "{activation:?}");
                }
            }
        }
    }
}

#[test]
fn homogeneous_ones_scale() {
    for activation in every() {
        let (Some(n), Some(y)) = (activation.homogeneity(), activation.phi(0.7f64)) else { continue };
        let scaled = activation.phi(0.7 * 3.0).unwrap();
        assert!((scaled - y * 3f64.powi(n as i32)).abs() < 1e-14 * scaled.abs(), "{activation:?}");
    }
}
