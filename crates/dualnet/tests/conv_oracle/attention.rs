//! Attention: by hand where one position is left, and with sqrt scaling against networks of many heads.

use super::draws::{Normal, consistent, dot};
use dualnet::kernel::InputShape;
use dualnet::net::Net;
use dualnet::oracle::conv::{Same, spatial};

#[test]
fn one_position_by_hand() {
    // c = 0.5, p = 1, q = 0.25 in front of the layer; score 1.2 * 0.5, (w_value w_out)^2 = 0.64.
    let at = |normalization: &str, scaling: &str| {
        let net = Net::from_json(&format!(
            r#"{{"layers":[{{"self_attention":{{"scaling":"{scaling}","normalization":"{normalization}","w_query":1.2,"w_key":0.5,"w_value":0.8,"b_std":0.3}}}}]}}"#
        ));
        let found = spatial(&net.unwrap(), &InputShape::image(1, 1, 1), &[-1.0], &[-0.5], Same::No).unwrap();
        (found.nngp[0], found.ntk[0])
    };
    let close = |(c, t): (f64, f64), (k, u): (f64, f64)| assert!((c - k).abs() < 1e-15 && (t - u).abs() < 1e-15);
    // A softmax over one position is 1; the others are the scores 0.6 and 0.15. Two weight matrices and the bias train.
    close(at("softmax", "linear"), (0.64 * 0.5 + 0.09, 2.0 * 0.64 * 0.5 + 0.09));
    let product = 0.64 * 0.6 * 0.15 * 0.5;
    for normalization in ["identity", "abs", "relu"] {
        close(at(normalization, "linear"), (product + 0.09, 2.0 * product + 0.09));
    }
    // Four weight matrices train.
    let cube = 0.36 * 0.64 * 0.125;
    close(at("identity", "sqrt"), (cube + 0.09, 4.0 * cube + 0.09));
}

const LENGTH: usize = 3;
const CHANNELS: usize = 2;
/// Units of the dense layer in front, and heads. A head has one dimension: the covariance of its scores holds for any number.
const WIDTH: usize = 256;
const HEADS: usize = 512;
/// Standard deviations: dense layer, query, key, value, output, biases.
const DENSE: f64 = 1.3;
const ROLES: [f64; 3] = [0.9, 1.1, 0.8];
const OUT: f64 = 1.2;
const BIAS: f64 = 0.3;

/// Weights of the dense layer, of queries, keys and values (each heads x width), and of the output.
struct Network {
    dense: Vec<Vec<f64>>,
    roles: [Vec<Vec<f64>>; 3],
    out: Vec<f64>,
}

/// What one sequence is in a network.
struct Pass {
    input: Vec<Vec<f64>>,
    /// Behind the dense layer, position by position.
    hidden: Vec<Vec<f64>>,
    /// sum_R A(P, R) V(R) of every head, position by position.
    heads: Vec<Vec<f64>>,
    /// For each position P of the output and each role: gradients with respect to the queries (keys, values) of every head at every
    /// position S.
    gradients: Vec<[Vec<Vec<f64>>; 3]>,
}

fn pass(network: &Network, sequence: &[f64]) -> Pass {
    let linear = |weights: &[Vec<f64>], x: &[Vec<f64>], std: f64| -> Vec<Vec<f64>> {
        let scale = std / (weights[0].len() as f64).sqrt();
        x.iter().map(|x| weights.iter().map(|w| scale * dot(w, x)).collect()).collect()
    };
    let input: Vec<Vec<f64>> = sequence.chunks(CHANNELS).map(<[f64]>::to_vec).collect();
    let hidden = linear(&network.dense, &input, DENSE);
    let [q, k, v] = [0, 1, 2].map(|role| linear(&network.roles[role], &hidden, ROLES[role]));
    let mix = |h: usize| (0..LENGTH).map(|r| k[r][h] * v[r][h]).sum::<f64>();
    let heads = (0..LENGTH).map(|p| (0..HEADS).map(|h| q[p][h] * mix(h)).collect()).collect();
    let of_head = |h: usize| OUT * network.out[h] / (HEADS as f64).sqrt();
    let gradient = |p: usize| {
        let at = |f: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
            (0..LENGTH).map(|s| (0..HEADS).map(|h| of_head(h) * f(s, h)).collect()).collect()
        };
        let query = at(&|s, h| if s == p { mix(h) } else { 0.0 });
        [query, at(&|s, h| q[p][h] * v[s][h]), at(&|s, h| q[p][h] * k[s][h])]
    };
    Pass { heads, gradients: (0..LENGTH).map(gradient).collect(), hidden, input }
}

/// Gradients of the output at P with respect to the hidden units at every position.
fn to_hidden(network: &Network, pass: &Pass, p: usize) -> Vec<Vec<f64>> {
    let mut all = vec![vec![0.0; WIDTH]; LENGTH];
    for (role, std) in ROLES.into_iter().enumerate() {
        let scale = std / (WIDTH as f64).sqrt();
        for (out, gradients) in all.iter_mut().zip(&pass.gradients[p][role]) {
            for (g, weights) in gradients.iter().zip(&network.roles[role]) {
                out.iter_mut().zip(weights).for_each(|(out, w)| *out += scale * g * w);
            }
        }
    }
    all
}

/// sum over positions S, S' of <g_S, h_S'> std^2 <x_S, y_S'> / fan-in: what a weight matrix adds to the tangent kernel.
fn weights_kernel(g: &[Vec<f64>], h: &[Vec<f64>], x: &[Vec<f64>], y: &[Vec<f64>], std: f64) -> f64 {
    let pairs = (0..LENGTH * LENGTH).map(|at| (at / LENGTH, at % LENGTH));
    pairs.map(|(s, r)| dot(&g[s], &h[r]) * std * std * dot(&x[s], &y[r]) / x[s].len() as f64).sum()
}

/// (NNGP given all but the output's weights, tangent kernel) at positions P and P'.
fn empirical(network: &Network, a: &Pass, b: &Pass, p: usize, r: usize) -> (f64, f64) {
    let nngp = OUT * OUT * dot(&a.heads[p], &b.heads[r]) / HEADS as f64 + BIAS * BIAS;
    let mut ntk = nngp;
    for (role, std) in ROLES.into_iter().enumerate() {
        ntk += weights_kernel(&a.gradients[p][role], &b.gradients[r][role], &a.hidden, &b.hidden, std);
    }
    ntk += weights_kernel(&to_hidden(network, a, p), &to_hidden(network, b, r), &a.input, &b.input, DENSE);
    (nngp, ntk)
}

#[test]
fn networks_of_many_heads_have_the_kernels_of_sqrt_scaling() {
    let net = Net::from_json(&format!(
        r#"{{"layers":[{{"dense":{{"w_std":{DENSE}}}}},{{"self_attention":{{"scaling":"sqrt","normalization":"identity",
        "w_query":{},"w_key":{},"w_value":{},"w_out":{OUT},"b_std":{BIAS}}}}}]}}"#,
        ROLES[0], ROLES[1], ROLES[2]
    ))
    .unwrap();
    let mut normal = Normal::new(5);
    let x = normal.many(LENGTH * CHANNELS);
    // Close enough for the kernels of (x, y) to be far from 0.
    let y: Vec<f64> = x.iter().map(|v| v + 0.5 * normal.draw()).collect();
    let limit = spatial(&net, &InputShape::sequence(LENGTH, CHANNELS), &x, &y, Same::No).unwrap();
    let networks: Vec<_> = (0..64)
        .map(|seed| {
            let mut normal = Normal::new(1000 + seed);
            let mut draw = |rows, cols| -> Vec<Vec<f64>> { (0..rows).map(|_| normal.many(cols)).collect() };
            let (dense, roles) = (draw(WIDTH, CHANNELS), [(); 3].map(|()| draw(HEADS, WIDTH)));
            let network = Network { dense, roles, out: normal.many(HEADS) };
            let passes = [&x, &y].map(|sequence| pass(&network, sequence));
            (network, passes)
        })
        .collect();
    let most = |values: &[f64]| values.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let scale = (most(&limit.nngp), most(&limit.ntk));
    for (p, r) in [(0, 0), (1, 1), (0, 2), (2, 1)] {
        let found: Vec<_> = networks.iter().map(|(network, [a, b])| empirical(network, a, b, p, r)).collect();
        let at = LENGTH * p + r;
        consistent(&format!("({p}, {r})"), &found, (limit.nngp[at], limit.ntk[at]), scale, 4.0 / WIDTH as f64);
    }
}
