//! The slow oracle of nets over positions: against the dense oracle, finite random networks and values by hand.
#![allow(clippy::unwrap_used, clippy::panic)]

mod attention;
mod convolution;
mod draws;

use dualnet::Error;
use dualnet::kernel::InputShape;
use dualnet::net::Net;
use dualnet::oracle::conv::{MAX_POSITIONS, Same, kernel, spatial};
use dualnet::oracle::dense;

fn net(layers: &str) -> Net {
    Net::from_json(&format!(r#"{{"w_std":1.2,"b_std":0.3,"layers":[{layers}]}}"#)).unwrap()
}

#[test]
fn one_position_is_the_dense_oracle() {
    let chain = |weights: &str| {
        format!(
            r#"{weights},{{"residual":["relu",{weights}]}},"layer_norm","gelu",{{"dropout":{{"keep":0.7}}}},
            {{"concat":[[{{"dense":{{"width":3}}}}],[{weights},"erf",{{"dense":{{"width":2}}}}]]}},
            {{"product":[[{weights},"tanh"],[{weights}]]}},{weights}"#
        )
    };
    let dense_net = net(&chain(r#""dense""#));
    let one = r#"{"conv":{"kernel":[1,1]}}"#;
    // Padding counts in the divisor: of nine taps one is inside.
    let nine = r#"{"conv":{"w_std":3.6}}"#;
    let (x, y) = ([0.3, -1.1, 0.8], [0.9, 0.2, -0.4]);
    for weights in [one, nine] {
        let conv_net = net(&format!(r#"{},"flatten""#, chain(weights)));
        for (y, same) in [(y, Same::No), (x, Same::Yes), (x, Same::No)] {
            let (k, t) = kernel(&conv_net, &InputShape::image(1, 1, 3), &x, &y, same).unwrap();
            let (dense_k, dense_t) = dense::kernel(&dense_net, &x, &y, same).unwrap();
            // Without the carried 1-|rho| the angle of a sample and its copy under dropout is good to half of the digits.
            assert!((k - dense_k).abs() < 1e-13 && (t - dense_t).abs() < 1e-12, "{k} {dense_k}, {t} {dense_t}");
        }
    }
}

#[test]
fn a_sequence_is_an_image_of_width_one() {
    let sequence = net(
        r#"{"conv":{"kernel":[3],"stride":[2]}},"relu",{"avg_pool":{"window":[2],"stride":[1],"padding":"same","normalize_edges":true}},
        {"conv":{"kernel":[4],"padding":"circular"}},"erf","global_avg_pool""#,
    );
    let image = net(
        r#"{"conv":{"kernel":[3,1],"stride":[2,1]}},"relu",{"avg_pool":{"window":[2,1],"stride":[1,1],"padding":"same","normalize_edges":true}},
        {"conv":{"kernel":[4,1],"padding":"circular"}},"erf","global_avg_pool""#,
    );
    let x: Vec<f64> = (0..14).map(|i| f64::from(i * i % 11) / 5.0 - 1.0).collect();
    let y: Vec<f64> = (0..14).map(|i| f64::from(i * i % 13) / 6.0 - 1.0).collect();
    let a = kernel(&sequence, &InputShape::sequence(7, 2), &x, &y, Same::No).unwrap();
    assert_eq!(a, kernel(&image, &InputShape::image(7, 1, 2), &x, &y, Same::No).unwrap());
}

#[test]
fn windows_by_hand() {
    let run = |layers: &str, x: &[f64], y: &[f64]| {
        let net = Net::from_json(&format!(r#"{{"w_std":1,"layers":[{layers}]}}"#)).unwrap();
        spatial(&net, &InputShape::sequence(x.len(), 1), x, y, Same::No).unwrap()
    };
    let (x, y) = ([1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 1000.0]);
    // Same, window 4: three positions are missing, one of them in front. Window 0 holds 1 + 2 + 3 and 111.
    let pool = |rest: &str| format!(r#"{{"sum_pool":{{"window":[4],"stride":[1],{rest}}}}}"#);
    assert_eq!(run(&pool(r#""padding":"same""#), &x, &y).nngp[0], 6.0 * 111.0);
    // Circular: 4 + 1 + 2 + 3 everywhere.
    assert_eq!(run(&pool(r#""padding":"circular""#), &x, &y).nngp, vec![10.0 * 1111.0; 16]);
    // Normalised edges: the mean of what is inside; positions (0, 3) have windows {1, 2, 3} and {100, 1000}.
    let mean = r#"{"avg_pool":{"window":[4],"stride":[1],"padding":"same","normalize_edges":true}}"#;
    assert!((run(mean, &x, &y).nngp[3] - 2.0 * 550.0).abs() < 1e-11);
    // Stride 3, kernel 2, nothing missing: positions 0 and 3, the second window with one tap outside.
    let conv = run(r#"{"conv":{"kernel":[2],"stride":[3]}}"#, &x, &y);
    assert_eq!((conv.positions, conv.nngp), (vec![2], vec![(1.0 + 20.0) / 2.0, 500.0, 2.0, 2000.0]));
}

#[test]
fn errors_say_where() {
    let shape = InputShape::image(3, 2, 1);
    let pooled = net(r#""conv","relu","global_avg_pool""#);
    let fine = [0.5; 6];
    let bad = [0.5, 0.5, f64::NAN, 0.5, 0.5, 0.5];
    let error = kernel(&pooled, &shape, &fine, &bad, Same::No).unwrap_err();
    assert!(matches!(error, Error::NonFinite { row: 1, column: 2, .. }), "{error}");
    let error = kernel(&pooled, &shape, &fine[..5], &fine, Same::No).unwrap_err();
    assert_eq!(error.to_string(), "x: expected 6 values (3 x 2 x 1), found 5");
    let error = kernel(&net(r#""conv","relu","conv""#), &shape, &fine, &fine, Same::No).unwrap_err();
    assert!(error.to_string().starts_with("layers[2].conv: the output still has [3, 2] positions"), "{error}");
    let error = kernel(&pooled, &InputShape::sequence(6, 1), &fine, &fine, Same::No).unwrap_err();
    assert!(error.to_string().starts_with("layers[0].conv"), "{error}");
    let huge = [1e200; 6];
    let error = kernel(&pooled, &shape, &huge, &fine, Same::No).unwrap_err();
    assert!(matches!(error, Error::Overflow { .. }), "{error}");
    let cubes = InputShape { positions: vec![1, 2, 3], channels: 1 };
    let flat = net(r#""dense","flatten""#);
    assert!(kernel(&flat, &cubes, &fine, &fine, Same::No).unwrap_err().to_string().contains("at most two axes"));
    for (height, width) in [(MAX_POSITIONS + 1, 1), (usize::MAX, 2), (0, 6)] {
        assert!(kernel(&pooled, &InputShape::image(height, width, 1), &fine, &fine, Same::No).is_err());
    }
    assert!(kernel(&pooled, &InputShape::image(3, 2, 0), &[], &[], Same::No).is_err());
}
