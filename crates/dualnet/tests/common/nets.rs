//! Random nets and difficult samples for tests of dense kernels.

use dualnet::Mat;
use dualnet::net::Net;
use proptest::prelude::*;

/// Samples with duplicates, an antipode, a zero row, and norms from 1e-3 to 1e2.
pub fn samples(n: usize, d: usize, seed: u64) -> Mat<f64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut draw = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut x = Mat::from_fn(n, d, |_, _| draw());
    for i in 0..n {
        let scale = 10f64.powf(5.0 * (draw() + 0.5) - 3.0);
        let (from, scale) = match i % 7 {
            2 => (i - 2, 1.0),
            4 => (i - 4, -1.0),
            6 => (i, 0.0),
            _ => (i, scale),
        };
        let row: Vec<f64> = x.row(from).iter().map(|v| v * scale).collect();
        x.row_mut(i).copy_from_slice(&row);
    }
    x
}

/// Nets over all layers a dense kernel knows.
pub fn nets() -> impl Strategy<Value = Net> {
    let activation = prop::sample::select(vec![
        r#""relu""#,
        r#""erf""#,
        r#""gelu""#,
        r#""sign""#,
        r#"{"leaky_relu":{"alpha":0.2}}"#,
        r#"{"sin":{"b":0.7,"c":0.4}}"#,
        r#"{"rbf":{"gamma":0.3}}"#,
        r#"{"gaussian":{}}"#,
        r#""tanh""#,
        r#"{"rectified_monomial":{"degree":2}}"#,
    ]);
    let block = (activation, 0usize..6).prop_map(|(a, kind)| match kind {
        0 => format!(r#""dense",{a}"#),
        1 => format!(r#"{{"dense":{{"w_std":0.9,"b_std":0.5}}}},{a}"#),
        2 => format!(r#""dense",{{"residual":[{a},"dense"]}}"#),
        3 => format!(r#""dense","layer_norm",{a},{{"dropout":{{"keep":0.8}}}}"#),
        4 => format!(r#"{{"sum":[["dense",{a},"dense"],["dense"]]}},{a}"#),
        _ => format!(
            r#"{{"concat":[[{{"dense":{{"width":3}}}}],[{{"dense":{{"width":5}}}},{a},{{"dense":{{"width":2}}}}]]}},{{"product":[["dense",{a},"dense"],["dense"]]}}"#
        ),
    });
    (prop::collection::vec(block, 1..4), prop::sample::select(vec![0.0, 0.3])).prop_filter_map(
        "a net",
        |(blocks, b)| {
            Net::from_json(&format!(
                r#"{{"w_std":1.2,"b_std":{b},"layers":[{},"dense"]}}"#,
                blocks.join(r#","dense","#)
            ))
            .ok()
        },
    )
}
