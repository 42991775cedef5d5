//! Steps for interpreters.

use super::super::{DualChoice, Net, Op, Tangent};
use super::net;
use crate::activation::Activation;
use crate::error::Error;

fn tangent(op: &Op) -> Tangent {
    match op {
        Op::Affine { tangent, .. } | Op::Conv { tangent, .. } => *tangent,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ntk_parameterization() {
    let net = Net::from_json(
        r#"{"w_std": 2, "b_std": 3, "layers": ["dense", "relu", {"dense": {"w_std": 0.5, "b_std": 0}}]}"#,
    );
    let ops = net.unwrap().ops(7).unwrap();
    let rule = |carry| Tangent { from_output: 1.0, from_input: 0.0, carry, constant: 0.0 };
    assert_eq!(
        ops,
        [
            Op::Affine { w2: 4.0, b2: 9.0, tangent: rule(4.0) },
            Op::Activation { activation: Activation::Relu, choice: DualChoice::Default, at: "layers[1].relu".into() },
            Op::Affine { w2: 0.25, b2: 0.0, tangent: rule(0.25) },
        ]
    );
}

#[test]
fn standard_parameterization_reads_the_true_fan_in() {
    let net = Net::from_json(
        r#"{"parameterization": "standard", "w_std": 1, "b_std": 0.5, "layers": [
            {"dense": {"width": 64, "width_scale": [1, 2]}}, "relu",
            {"dense": {"width": 32, "width_scale": [4, 3], "b_std": 0}}, "relu", {"dense": {"width_scale": [3, 1]}}]}"#,
    );
    let ops = net.unwrap().ops(7).unwrap();
    // N / s0: the input's 7 features, 64 * 2 channels / 4, 32 * 3 channels / 3.
    for (i, from_input, constant) in [(0, 7.0, 1.0), (2, 32.0, 0.0), (4, 32.0, 1.0)] {
        assert_eq!(tangent(&ops[i]), Tangent { from_output: 0.0, from_input, carry: 1.0, constant });
    }
}

#[test]
fn standard_convolution_counts_the_kernel() {
    let net = Net::from_json(
        r#"{"parameterization": "standard", "w_std": 1, "layers": [
            {"conv": {"kernel": [3, 2], "width": 5}}, "relu", "global_avg_pool", "dense"]}"#,
    );
    let ops = net.unwrap().ops(3).unwrap();
    assert_eq!(tangent(&ops[0]).from_input, 18.0);
    assert_eq!(tangent(&ops[3]).from_input, 5.0);
}

#[test]
fn branches() {
    let ops = net(r#"["dense", {"residual": ["relu", "dense"]}, {"product": [[], ["dense"]]}]"#).ops(3).unwrap();
    let Op::Sum(branches) = &ops[1] else { panic!("{ops:?}") };
    assert_eq!((branches.len(), branches[0].len(), branches[1].len()), (2, 0, 2));
    assert!(matches!(&branches[1][0], Op::Activation { at, .. } if at == "layers[1].residual[0].relu"));
    assert!(matches!(&ops[2], Op::Product(branches) if branches.len() == 2));
}

#[test]
fn concat_weighs_branches_by_width() {
    // The golden case: widths 2, 4 and 6.
    let layers = r#"[{"concat": [[{"dense": {"width": 2}}], [{"dense": {"width": 4}}], [{"dense": {"width": 3}}, "gelu", {"dense": {"width": 6}}]]}, "dense"]"#;
    let weights = |net: &Net, d| match &net.ops(d).unwrap()[0] {
        Op::Concat(branches) => branches.iter().map(|branch| branch.0).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(weights(&net(layers), 7), [2.0 / 12.0, 4.0 / 12.0, 6.0 / 12.0]);
    // An empty branch counts as much as the input, also through a concat within.
    let nested = net(r#"[{"concat": [[], [{"concat": [[], [{"dense": {"width": 5, "width_scale": [1, 2]}}]]}]]}]"#);
    assert_eq!(weights(&nested, 5), [0.25, 0.75]);
    assert_eq!(weights(&nested, 10), [1.0 / 3.0, 2.0 / 3.0]);
}

#[test]
fn widths_that_depend_on_the_data() {
    let net = net(r#"[{"residual": [{"dense": {"width": 64}}]}]"#);
    assert!(net.ops(64).is_ok());
    let Err(Error::Net { at, problem, .. }) = net.ops(32) else { panic!() };
    assert_eq!(
        (at.as_str(), problem.as_str()),
        ("layers[0].residual", "its input has 32 channels and its branch has 64")
    );
    assert!(matches!(net.ops(0), Err(Error::Invalid { .. })));
}

#[test]
fn attention_gathers_its_weights() {
    let layers = r#"["conv", "relu", {"self_attention": {"w_query": 2, "w_key": 3, "w_value": 0.5, "w_out": 3, "b_std": 2}}, "relu", "flatten"]"#;
    let ops = net(layers).ops(3).unwrap();
    assert!(matches!(ops[2], Op::SelfAttention { score: 6.0, w2: 2.25, b2: 4.0, .. }), "{:?}", ops[2]);
}

#[test]
fn spatial_facts() {
    let net = net(r#"["dense", "relu", {"sum": [["dense"], [{"self_attention": {}}]]}]"#);
    assert_eq!(net.first_spatial_layer(), Some(("layers[2].sum[1][0].self_attention".into(), "self_attention")));
    assert_eq!((net.output_is_spatial(), net.axes(), net.last_layer().as_str()), (true, None, "layers[2].sum"));
    let dense = Net::preset("fc-gelu-2").unwrap();
    assert_eq!((dense.first_spatial_layer(), dense.output_is_spatial()), (None, false));
}

#[test]
fn positions_through_a_net() {
    let same_sizes = net(
        r#"[{"sum": [[{"conv": {"stride": [2, 2]}}], [{"conv": {"kernel": [2, 2], "stride": [2, 2], "padding": "valid"}}]]}]"#,
    );
    assert_eq!(same_sizes.output_positions(&[8, 6]).unwrap(), [4, 3]);
    let odd = same_sizes.output_positions(&[9, 6]).unwrap_err().to_string();
    assert!(odd.starts_with("layers[0].sum: one branch ends with [5, 3] positions, another with [4, 3]"), "{odd}");
    assert!(
        same_sizes.output_positions(&[8]).unwrap_err().to_string().starts_with("layers[0].sum[0][0].conv: a 2-D layer")
    );
    assert!(same_sizes.output_positions(&[0, 8]).is_err());
    let small = net(r#"["conv", "avg_pool", "avg_pool"]"#).output_positions(&[3, 8]).unwrap_err().to_string();
    assert!(
        small.starts_with("layers[2].avg_pool: [2, 2] positions do not fit into the [1, 4] that are left"),
        "{small}"
    );
}

#[test]
fn one_line() {
    let net = Net::from_json(
        r#"{"b_std": 0.1, "layers": [{"conv": {"kernel": [5, 5]}}, {"residual": ["relu", "conv"]}, "global_avg_pool",
            {"sum": [[], ["dense"]]}, {"dense": {"w_std": 1}}, {"tanh": {"dual": {"hermite": 9}}}, {"dropout": {"keep": 0.123456}}]}"#,
    );
    assert_eq!(
        net.unwrap().to_string(),
        "conv(kernel 5x5) residual(relu conv) global_avg_pool sum(input | dense) dense(w_std 1) tanh(dual hermite 9) \
         dropout(keep 0.1235) (ntk, w_std 1.414, b_std 0.1)"
    );
    let long = Net::preset("fc-relu-500").unwrap().to_string();
    assert!(long.ends_with("relu ... 975 more ... relu dense (ntk, w_std 1.414, b_std 0)"), "{long}");
}
