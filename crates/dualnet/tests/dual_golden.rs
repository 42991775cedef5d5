//! Duals and chains of them against values of 60 digits.
#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(clippy::neg_cmp_op_on_partial_ord)] // A NaN must fail, too.

use dualnet::conformance::dual::check;
use dualnet::dual::abrelu::{AbRelu, Identity};
use dualnet::dual::erf::Erf;
use dualnet::dual::gelu::Gelu;
use dualnet::dual::rectified_monomial::RectifiedMonomial;
use dualnet::dual::sign::Sign;
use dualnet::dual::{DynDual, Pair};
use npyz::npz::NpzArchive;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

/// Golden name and dual.
fn table() -> Vec<(&'static str, Arc<dyn DynDual>)> {
    vec![
        ("identity", Arc::new(Identity)),
        ("relu", Arc::new(AbRelu::relu())),
        ("leaky_relu_0.2", Arc::new(AbRelu::leaky_relu(0.2))),
        ("abrelu_-0.5_1.5", Arc::new(AbRelu::new(-0.5, 1.5))),
        ("abs", Arc::new(AbRelu::abs())),
        ("erf", Arc::new(Erf::new(1.0, 1.0, 0.0))),
        ("erf_0.7_1.3_0.2", Arc::new(Erf::new(0.7, 1.3, 0.2))),
        ("sigmoid_like", Arc::new(Erf::sigmoid_like())),
        ("gelu", Arc::new(Gelu)),
        ("sign", Arc::new(Sign)),
        ("rectified_monomial_0", Arc::new(RectifiedMonomial::new(0))),
        ("rectified_monomial_1", Arc::new(RectifiedMonomial::new(1))),
        ("rectified_monomial_2", Arc::new(RectifiedMonomial::new(2))),
        ("rectified_monomial_3", Arc::new(RectifiedMonomial::new(3))),
    ]
}

/// Agreement wanted, relative to the error scale of tests/golden/README.md.
const TOLERANCE: f64 = 1e-10;

struct Array {
    values: Vec<f64>,
    cols: usize,
}

struct Golden(NpzArchive<BufReader<File>>);

fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

impl Golden {
    fn open(name: &str) -> Self {
        Self(NpzArchive::open(golden_path(name)).unwrap())
    }
    fn array(&mut self, name: &str) -> Array {
        let file = self.0.by_name(name).unwrap().unwrap_or_else(|| panic!("no array {name}"));
        let cols = file.shape()[1] as usize;
        Array { values: file.into_vec().unwrap(), cols }
    }
}

impl Array {
    fn rows(&self) -> Vec<&[f64]> {
        self.values.chunks_exact(self.cols).collect()
    }
}

fn error(found: f64, truth: f64, scale: f64) -> f64 {
    if found == truth { 0.0 } else { (found - truth).abs() / truth.abs().max(scale).max(1e-30) }
}

/// 1 - |rho| of a triple, its determinant with one rounding more than exact.
fn pair_of(p: f64, q: f64, c: f64) -> Pair<f64> {
    let (sp, sq) = (p.sqrt(), q.sqrt());
    let (high, r) = (c * c, sp * sq);
    let det = p.mul_add(q, -high) - c.mul_add(c, -high);
    let delta = if r > 0.0 { (det / (r * (r + c.abs()))).clamp(0.0, 1.0) } else { 1.0 };
    Pair { c, p, q, sp, sq, delta }
}

#[test]
fn duals_agree_with_sixty_digits() {
    let mut golden = Golden::open("dual.npz");
    let triples = golden.array("c11_c22_c12");
    let mut failures = Vec::new();
    for (name, dual) in table() {
        let truth = golden.array(&format!("dual.{name}"));
        let mut worst = [(0.0, 0.0, 0.0, 0.0); 2];
        for (x, t) in triples.rows().into_iter().zip(truth.rows()) {
            let image = dual.pair(pair_of(x[0], x[1], x[2]));
            let own = |v: f64| dual.pair(pair_of(v, v, v));
            let scales =
                [(own(x[0]).k.abs() * own(x[1]).k.abs()).sqrt(), (own(x[0]).kdot.abs() * own(x[1]).kdot.abs()).sqrt()];
            for (i, found) in [image.k, image.kdot].into_iter().enumerate() {
                let e = error(found, t[i], scales[i]);
                if e > worst[i].0 || e.is_nan() {
                    worst[i] = (e, x[0], x[1], x[2]);
                }
            }
        }
        println!("{name}: k {:?}, kdot {:?}", worst[0], worst[1]);
        if !(worst[0].0 <= TOLERANCE && worst[1].0 <= TOLERANCE) {
            failures.push(name);
        }
    }
    assert!(failures.is_empty(), "off: {failures:?}");
}

/// The state of one pair: both variances, and what is carried.
#[derive(Clone, Copy)]
struct State {
    x: Pair<f64>,
    t: f64,
}

fn input(a: &[f64], b: &[f64]) -> State {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let d = a.len() as f64;
    let (c, p, q) = (dot(a, b) / d, dot(a, a) / d, dot(b, b) / d);
    let (na, nb) = (dot(a, a).sqrt(), dot(b, b).sqrt());
    let chord = |a: &f64, b: &f64| (a / na - b.copysign(b * c.signum()) / nb).powi(2);
    let delta = if na * nb > 0.0 { a.iter().zip(b).map(|(a, b)| chord(a, b)).sum::<f64>() / 2.0 } else { 1.0 };
    State { x: Pair { c, p, q, sp: p.sqrt(), sq: q.sqrt(), delta: delta.min(1.0) }, t: 0.0 }
}

fn dense(State { x, t }: State, w2: f64, b2: f64) -> State {
    let (c, p, q) = (w2 * x.c + b2, w2 * x.p + b2, w2 * x.q + b2);
    let (sp, sq) = (p.sqrt(), q.sqrt());
    let (r1, r) = (w2 * x.sp * x.sq, sp * sq);
    let gap = x.sp - x.sq;
    let was = if x.c < 0.0 { [2.0 - x.delta, x.delta] } else { [x.delta, 2.0 - x.delta] };
    let own = if c < 0.0 { r1 * was[1] + 2.0 * b2 } else { r1 * was[0] };
    let spread = if b2 > 0.0 { w2 * b2 * gap * gap / (r + r1 + b2) } else { 0.0 };
    let delta = if r > 0.0 { ((own + spread) / r).min(1.0) } else { 1.0 };
    State { x: Pair { c, p, q, sp, sq, delta }, t: w2 * t + c }
}

fn activate(State { x, t }: State, dual: &dyn DynDual) -> State {
    let image = dual.pair(x);
    let (p, q) = (dual.variance(x.p), dual.variance(x.q));
    State { x: Pair { c: image.k, p, q, sp: p.sqrt(), sq: q.sqrt(), delta: image.delta }, t: t * image.kdot }
}

/// NNGP and NTK of (dense, activation)^depth dense.
fn chain(a: &[f64], b: &[f64], dual: &dyn DynDual, depth: usize, w2: f64, b2: f64) -> [f64; 2] {
    let mut state = dense(input(a, b), w2, b2);
    for _ in 0..depth {
        state = dense(activate(state, dual), w2, b2);
    }
    [state.x.c, state.t]
}

/// The largest error of an array, on the scale that its rows and columns set.
fn worst(found: &[f64], truth: &Array, own: bool) -> f64 {
    let (rows, n) = (truth.rows(), truth.cols);
    let size = |i: usize, j: usize| {
        let pair = if own {
            rows[i][i] * rows[j][j]
        } else {
            let row = rows[i].iter().fold(0.0f64, |m, v| m.max(v.abs()));
            row * rows.iter().fold(0.0f64, |m, r| m.max(r[j].abs()))
        };
        pair.abs().sqrt()
    };
    let errors = (0..found.len()).map(|k| error(found[k], truth.values[k], size(k / n, k % n)));
    errors.fold(0.0, |m, e| if e > m || e.is_nan() { e } else { m })
}

#[test]
fn chains_agree_with_sixty_digits() {
    let text = std::fs::read_to_string(golden_path("fc.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let duals: HashMap<&str, Arc<dyn DynDual>> = table().into_iter().collect();
    let mut golden = Golden::open("fc.npz");
    let (mut count, mut failures) = (0, Vec::new());
    let mut worst_of: HashMap<String, f64> = HashMap::new();
    for case in &cases {
        let key = case["key"].as_str().unwrap();
        let name = case["activation"].as_str().unwrap_or_default();
        let Some(dual) = duals.get(name).filter(|_| key.starts_with("fc.") && case["source"] == "mpmath60") else {
            continue;
        };
        let number = |field: &str| case[field].as_f64().unwrap();
        let (w2, b2) = (number("W_std").powi(2), number("b_std").powi(2));
        let depth = number("depth") as usize;
        let x = golden.array(case["input"].as_str().unwrap());
        let y = golden.array(case["input2"].as_str().unwrap());
        for (tag, other) in [("self", &x), ("rect", &y)] {
            let mut found = [Vec::new(), Vec::new()];
            for a in x.rows() {
                for b in other.rows() {
                    let both = chain(a, b, dual.as_ref(), depth, w2, b2);
                    found[0].push(both[0]);
                    found[1].push(both[1]);
                }
            }
            for (kernel, found) in ["nngp", "ntk"].into_iter().zip(&found) {
                let array = format!("{key}.{tag}.{kernel}");
                let e = worst(found, &golden.array(&array), tag == "self");
                let most = worst_of.entry(format!("{name}.{kernel}")).or_default();
                *most = if e.is_nan() { e } else { most.max(e) };
                count += 1;
                if !(e <= TOLERANCE) {
                    failures.push(format!("{array}: {e:e}"));
                }
            }
        }
    }
    let mut lines: Vec<String> = worst_of.iter().map(|(name, e)| format!("{name}: {e:.1e}")).collect();
    lines.sort();
    println!("{count} arrays\n{}", lines.join("\n"));
    assert!(count >= 12 * table().len(), "only {count} arrays were compared");
    assert!(failures.is_empty(), "off:\n{}", failures.join("\n"));
}

#[test]
fn duals_conform() {
    for (name, dual) in table() {
        check(dual.as_ref()).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

/// Variances whose products leave the range of `f64`: GELU is ReLU there, and erf is sign.
#[test]
fn limits_of_large_variances() {
    let p = 1e200;
    let x = Pair { c: 0.98 * p, p, q: p, sp: 1e100, sq: 1e100, delta: 0.02 };
    let limits: [(Arc<dyn DynDual>, Arc<dyn DynDual>); 3] = [
        (Arc::new(Gelu), Arc::new(AbRelu::relu())),
        (Arc::new(Erf::new(1.0, 1.0, 0.0)), Arc::new(Sign)),
        (Arc::new(Erf::new(1.0, 1e200, 0.0)), Arc::new(Sign)),
    ];
    for (dual, limit) in limits {
        let (found, truth) = (dual.pair(x), limit.pair(x));
        assert!(error(found.k, truth.k, 0.0) < 1e-14, "{dual:?}: {found:?}, limit {truth:?}");
        assert!((found.kdot - truth.kdot).abs() < 1e-14, "{dual:?}: {found:?}, limit {truth:?}");
        assert!((found.delta - truth.delta).abs() < 1e-14, "{dual:?}: {found:?}, limit {truth:?}");
    }
}

#[test]
fn duals_conform_for_unusual_parameters() {
    let mut duals: Vec<Arc<dyn DynDual>> = vec![
        Arc::new(AbRelu::new(0.0, 0.0)),
        Arc::new(AbRelu::new(1.0, 1.0)),
        Arc::new(AbRelu::new(2.0, -3.0)),
        Arc::new(AbRelu::leaky_relu(-1e-9)),
        Arc::new(Erf::new(1.0, 0.0, 0.5)),
        Arc::new(Erf::new(0.0, 1.0, 0.0)),
        Arc::new(Erf::new(-2.0, -30.0, 1.0)),
        Arc::new(Erf::new(1.0, 1e-3, -4.0)),
    ];
    duals.extend((4..=20).map(|n| Arc::new(RectifiedMonomial::new(n)) as Arc<dyn DynDual>));
    for dual in duals {
        check(dual.as_ref()).unwrap_or_else(|e| panic!("{dual:?}: {e}"));
    }
}

/// The new 1 - |rho| through the angle that a kink would see next. golden/dual_delta.csv holds the closed forms of the
/// duals at 60 digits, from nearly equal samples to very unlike ones.
#[test]
fn next_angles_keep_their_digits() {
    let text = std::fs::read_to_string(golden_path("dual_delta.csv")).unwrap();
    let mut duals: HashMap<&str, Arc<dyn DynDual>> = table().into_iter().collect();
    duals.insert("rectified_monomial_20", Arc::new(RectifiedMonomial::new(20)));
    let (mut count, mut failures) = (0, Vec::new());
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let n: Vec<f64> = fields[1..].iter().map(|f| f.parse().unwrap()).collect();
        let (p, q, delta) = (n[0], n[1], n[2]);
        let (sp, sq) = (p.sqrt(), q.sqrt());
        let found = duals[fields[0]].pair(Pair { c: n[3] * sp * sq * (1.0 - delta), p, q, sp, sq, delta }).delta;
        let angle = |delta: f64| 2.0 * (delta / 2.0).sqrt().asin();
        let e = (angle(found) - angle(n[4])).abs();
        // A dual that depends on the norms loses a rounding of 1 - |rho| where these differ, and where k changes sign.
        let unlike = match duals[fields[0]].homogeneity() {
            Some(_) => 0.0,
            None if n[3] < 0.0 => 1.0,
            None => ((sp - sq).powi(2) / (sp * sq)).min(1.0),
        };
        count += 1;
        let blur = if unlike > 0.0 { 1e-15 * unlike / angle(n[4]) } else { 0.0 };
        if !(e <= 1e-14 + blur) {
            failures.push(format!("{line}: found {found:e}, angle off by {e:.1e}"));
        }
    }
    assert_eq!(count, 14 * 15 * 2);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
