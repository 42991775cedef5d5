//! Deep fully connected networks of the smooth duals against 60-digit values, by a scalar interpreter.
#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(clippy::neg_cmp_op_on_partial_ord)] // A NaN must fail, too.

mod smooth;

use dualnet::dual::{DynDual, Pair};
use smooth::{duals, golden};

const W2: f64 = 1.3 * 1.3;
const FEATURES: usize = 7;

/// A pair with its tangent kernel.
struct State {
    x: Pair<f64>,
    t: f64,
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn input(x: &[f64], y: &[f64]) -> State {
    let d = FEATURES as f64;
    let (c, p, q) = (dot(x, y) / d, dot(x, x) / d, dot(y, y) / d);
    let (nx, ny) = (dot(x, x).sqrt(), dot(y, y).sqrt());
    let gap: Vec<f64> = x.iter().zip(y).map(|(a, b)| a / nx - (b / ny).copysign(b * c)).collect();
    let delta = if nx * ny == 0.0 { 1.0 } else { (dot(&gap, &gap) / 2.0).min(1.0) };
    State { x: Pair { c, p, q, sp: p.sqrt(), sq: q.sqrt(), delta }, t: 0.0 }
}

fn dense(State { x, t }: State, b2: f64) -> State {
    let (c, p, q) = (W2 * x.c + b2, W2 * x.p + b2, W2 * x.q + b2);
    let (sp, sq) = (p.sqrt(), q.sqrt());
    let (r, before) = (sp * sq, W2 * x.r());
    let gap = W2 * b2 * (x.sp - x.sq).powi(2) / (r + before + b2);
    // 1 - rho' or 1 + rho', whichever side c' is on, from the same side before.
    let same = if (c < 0.0) == (x.c < 0.0) { x.delta } else { 2.0 - x.delta };
    let part = before * same + if c < 0.0 { 2.0 * b2 } else { 0.0 };
    let delta = if r > 0.0 { ((gap + part) / r).clamp(0.0, 1.0) } else { 1.0 };
    State { x: Pair { c, p, q, sp, sq, delta }, t: W2 * t + c }
}

fn activate(State { x, t }: State, dual: &dyn DynDual) -> State {
    let image = dual.pair(x);
    let (p, q) = (dual.variance(x.p), dual.variance(x.q));
    State { x: Pair { c: image.k, p, q, sp: p.sqrt(), sq: q.sqrt(), delta: image.delta }, t: t * image.kdot }
}

/// (NNGP, NTK) of (Dense dual)^depth Dense.
fn chain(dual: &dyn DynDual, depth: usize, b2: f64, x: &[f64], y: &[f64]) -> [f64; 2] {
    let mut state = dense(input(x, y), b2);
    for _ in 0..depth {
        state = dense(activate(state, dual), b2);
    }
    [state.x.c, state.t]
}

/// Largest error of a matrix, each entry over the scale of its row and column.
fn worst(got: &[f64], expected: &[f64], cols: usize, scale: impl Fn(usize, usize) -> f64) -> f64 {
    let mut worst = 0.0f64;
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let off = (g - e).abs() / e.abs().max(scale(i / cols, i % cols)).max(1e-30);
        worst = worst.max(if g == e {
            0.0
        } else if off.is_nan() {
            f64::INFINITY
        } else {
            off
        });
    }
    worst
}

#[test]
fn deep_networks_agree_with_sixty_digits() {
    let manifest = std::fs::read_to_string(format!("{}/tests/golden/fc.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let manifest: Vec<serde_json::Value> = serde_json::from_str(&manifest).unwrap();
    let inputs = |name: &serde_json::Value| golden("fc.npz", name.as_str().unwrap());
    for (name, dual) in duals() {
        let (mut compared, mut largest) = (0, 0.0f64);
        for case in manifest.iter().filter(|case| case["activation"] == name.as_str()) {
            let key = case["key"].as_str().unwrap();
            if !key.starts_with("fc.") || case["source"] != "mpmath60" {
                continue;
            }
            let (depth, b2) = (case["depth"].as_u64().unwrap() as usize, case["b_std"].as_f64().unwrap().powi(2));
            let (x, y) = (inputs(&case["input"]), inputs(&case["input2"]));
            let rows = |x: &[f64]| x.chunks(FEATURES).map(<[f64]>::to_vec).collect::<Vec<_>>();
            let (x, y) = (rows(&x), rows(&y));
            for (output, kernel) in ["nngp", "ntk"].iter().enumerate() {
                let all = |y: &[Vec<f64>]| -> Vec<f64> {
                    x.iter().flat_map(|x| y.iter().map(|y| chain(&*dual, depth, b2, x, y)[output])).collect()
                };
                let (n, m) = (x.len(), y.len());
                let t = golden("fc.npz", &format!("{key}.self.{kernel}"));
                let own = worst(&all(&x), &t, n, |i, j| (t[i * n + i] * t[j * n + j]).abs().sqrt());
                let t = golden("fc.npz", &format!("{key}.rect.{kernel}"));
                let row = |i: usize| (0..m).map(|j| t[i * m + j].abs()).fold(0.0, f64::max);
                let col = |j: usize| (0..n).map(|i| t[i * m + j].abs()).fold(0.0, f64::max);
                let rect = worst(&all(&y), &t, m, |i, j| (row(i) * col(j)).sqrt());
                assert!(own.max(rect) < 1e-10, "{key} {kernel}: self {own}, rect {rect}");
                largest = largest.max(own).max(rect);
                compared += 2;
            }
        }
        println!("{name}: {largest:.1e} over {compared} arrays");
        assert!(compared >= 4, "{name}: only {compared} golden arrays");
    }
}
