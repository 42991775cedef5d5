//! Random nets survive both formats; random text never panics.

use super::super::limits::{MAX_DEGREE, MAX_EXPANSION, MAX_HERMITE_DEGREE, MAX_POINTS};
use super::super::{
    AttentionNormalization, AttentionScaling, DualChoice, Layer, Net, Padding, Parameterization, Pooling, Spec,
    Weights, write,
};
use crate::activation::Activation;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn std() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1.0), 1e-9..1e9, 0.1..3.0]
}

fn weights() -> BoxedStrategy<Weights> {
    let b_std = prop_oneof![Just(0.0), std()];
    let scale = option::of([std(), std()]);
    (option::of(std()), option::of(b_std), 1.0..1e9, scale)
        .prop_map(|(w_std, b_std, width, width_scale)| Weights { w_std, b_std, width: Some(width), width_scale })
        .boxed()
}

fn activation() -> BoxedStrategy<Activation> {
    let any = || prop_oneof![Just(0.0), Just(1.0), -1e9..1e9];
    prop_oneof![
        proptest::sample::select(vec![
            Activation::Identity,
            Activation::Relu,
            Activation::Abs,
            Activation::SigmoidLike,
            Activation::Gelu,
            Activation::Gabor,
            Activation::Sign,
            Activation::Tanh,
            Activation::Sigmoid,
            Activation::Silu,
            Activation::Softplus,
            Activation::Selu,
            Activation::Mish,
            Activation::GeluTanh,
        ]),
        any().prop_map(|alpha| Activation::LeakyRelu { alpha }),
        any().prop_map(|alpha| Activation::Elu { alpha }),
        (any(), any()).prop_map(|(a, b)| Activation::Abrelu { a, b }),
        (any(), any(), any()).prop_map(|(a, b, c)| Activation::Erf { a, b, c }),
        (any(), any(), any()).prop_map(|(a, b, c)| Activation::Sin { a, b, c }),
        (any(), any(), any()).prop_map(|(a, b, c)| Activation::Cos { a, b, c }),
        std().prop_map(|gamma| Activation::Rbf { gamma }),
        (any(), -1e9..=0.0).prop_map(|(a, b)| Activation::Gaussian { a, b }),
        (any(), any()).prop_map(|(a, b)| Activation::Exp { a, b }),
        (0..=MAX_HERMITE_DEGREE).prop_map(|degree| Activation::Hermite { degree }),
        (0..=MAX_DEGREE).prop_map(|degree| Activation::Monomial { degree }),
        (0..=MAX_DEGREE).prop_map(|degree| Activation::RectifiedMonomial { degree }),
        vec(any(), 1..=25).prop_map(|coefficients| Activation::Polynomial { coefficients }),
        (1e-6..1e9, -1e9..=-1.0).prop_map(|(gamma, shift)| Activation::ExpNormalized { gamma, shift }),
    ]
    .boxed()
}

/// A dense layer with 9 channels.
fn dense(weights: Weights) -> Layer {
    Layer::Dense(Weights { width: Some(9.0), width_scale: None, ..weights })
}

/// A weight layer, and an activation behind it.
fn pair() -> BoxedStrategy<Vec<Layer>> {
    let dual = prop_oneof![
        Just(DualChoice::Default),
        (2..=MAX_POINTS).prop_map(DualChoice::Quadrature),
        (1..=MAX_EXPANSION).prop_map(DualChoice::Hermite),
    ];
    let padding = || proptest::sample::select(vec![Padding::Same, Padding::Valid, Padding::Circular]);
    let sizes = || vec(1_usize..5, 2);
    // Boxed, for the stack of builds without optimisation.
    let weight = prop_oneof![
        weights().prop_map(Layer::Dense),
        (weights(), sizes(), sizes(), padding()).prop_map(|(weights, kernel, stride, padding)| Layer::Conv {
            weights,
            kernel,
            stride,
            padding
        }),
        (sizes(), sizes(), padding(), any::<bool>()).prop_map(|(window, stride, padding, normalize_edges)| {
            Layer::Pool { pooling: Pooling::Average, window, stride, padding, normalize_edges }
        }),
        (any::<bool>(), [std(), std(), std(), std()], 0..4_usize).prop_map(|(sqrt, w, zeta)| Layer::SelfAttention {
            scaling: if sqrt { AttentionScaling::Sqrt } else { AttentionScaling::Linear },
            normalization: match zeta {
                _ if sqrt => AttentionNormalization::Identity,
                0 => AttentionNormalization::Softmax,
                1 => AttentionNormalization::Identity,
                2 => AttentionNormalization::Abs,
                _ => AttentionNormalization::Relu,
            },
            w_query: w[0],
            w_key: w[1],
            w_value: w[2],
            w_out: w[3],
            b_std: 0.0,
        }),
        prop_oneof![Just(1e-12), 0.0..1.0].prop_map(|eps| Layer::LayerNorm { eps }),
    ]
    .boxed();
    (weight, activation(), dual, 1e-3..=1.0)
        .prop_map(|(weight, activation, dual, keep)| {
            let kernel = matches!(activation, Activation::Hermite { .. } | Activation::ExpNormalized { .. });
            let dual = if kernel { DualChoice::Default } else { dual };
            let first = dense(Weights::default());
            vec![first.clone(), weight, Layer::Activation { activation, dual }, Layer::Dropout { keep }, first]
        })
        .boxed()
}

/// Layers that start anywhere and end Gaussian with 9 channels.
fn block() -> impl Strategy<Value = Vec<Layer>> {
    // Nothing in a branch moves positions.
    let still =
        pair().prop_filter("keeps positions", |layers| !matches!(layers[1], Layer::Conv { .. } | Layer::Pool { .. }));
    still.boxed().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| vec![dense(Weights::default()), Layer::Residual(inner)]),
            vec(inner.clone(), 1..3).prop_map(|branches| vec![Layer::Sum(branches)]),
            (inner.clone(), weights()).prop_map(|(inner, w)| vec![Layer::Concat(vec![vec![], inner]), dense(w)]),
            vec(inner, 1..3).prop_map(|branches| vec![Layer::Product(branches), dense(Weights::default())]),
        ]
    })
}

fn spec() -> impl Strategy<Value = Spec> {
    let end = proptest::sample::select(vec![
        vec![],
        vec![Layer::Flatten],
        vec![Layer::GlobalPool(Pooling::Average), Layer::Dense(Weights::default())],
        vec![Layer::GlobalPool(Pooling::Sum)],
    ]);
    let parameterization = proptest::sample::select(vec![Parameterization::Ntk, Parameterization::Standard]);
    (parameterization, std(), prop_oneof![Just(0.0), std()], pair(), vec(block(), 0..3), end).prop_map(
        |(parameterization, w_std, b_std, first, blocks, end)| {
            let start = dense(Weights::default());
            let mut layers = first;
            for block in blocks {
                layers.extend(block);
                layers.push(start.clone());
            }
            layers.extend(end);
            Spec { parameterization, w_std, b_std, layers }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_net_survives_both_formats(spec in spec()) {
        let net = Net::new(spec.clone()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(net.spec(), &spec);
        prop_assert_eq!(&Net::from_json(&net.to_json()).unwrap(), &net);
        let toml = toml::to_string(&write::spec(&spec)).unwrap();
        prop_assert_eq!(&Net::from_toml(&toml).unwrap(), &net);
        prop_assert!(net.to_string().len() < 100_000);
        prop_assert!(net.ops(9).is_ok());
        let _ = net.output_positions(&[40, 40]);
    }

    #[test]
    fn mutated_text_never_panics(spec in spec(), edits in vec((any::<prop::sample::Index>(), "[]\\[\"{},:0-9a-z.e-]{0,3}", 0..4_usize), 1..4)) {
        let json = Net::new(spec.clone()).map(|net| net.to_json()).unwrap();
        let toml = toml::to_string(&write::spec(&spec)).unwrap();
        for text in [json, toml] {
            let mut text: Vec<char> = text.chars().collect();
            for (at, new, cut) in &edits {
                let start = at.index(text.len() + 1);
                let end = (start + cut).min(text.len());
                text.splice(start..end, new.chars());
            }
            let text: String = text.into_iter().collect();
            for parsed in [Net::from_json(&text), Net::from_toml(&text), Net::parse(&text), Net::preset(&text)] {
                match parsed {
                    Ok(net) => prop_assert!(Net::from_json(&net.to_json()).is_ok()),
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
            }
        }
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,60}") {
        let _ = (Net::parse(&text).is_ok(), Net::from_json(&text).is_ok(), Net::from_toml(&text).is_ok());
        prop_assert!(Net::preset(&text).is_err() || text.starts_with("fc-") || text.starts_with("myrtle-"));
    }
}
