//! The dense kernel, one pair at a time and layer by layer as the formulas stand (docs/kernels.md), in `f64`.

use crate::dual::{Pair, Precision, dual_of};
use crate::error::{Error, Result};
use crate::net::{Net, Op};

/// The state of a pair behind some layer.
#[derive(Clone, Copy, Debug)]
struct State {
    c: f64,
    p: f64,
    q: f64,
    delta: f64,
    t: f64,
}

/// Whether both samples of the pair are one and the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// A sample with itself: dropout keeps the same entries.
    Yes,
    /// Two samples, though they may be equal.
    No,
}

/// (NNGP, NTK) of two samples.
///
/// ```
/// use dualnet::{net::Net, oracle::dense::{Same, kernel}};
/// let (nngp, ntk) = kernel(&Net::parse("fc-relu-1")?, &[1.0, 0.0], &[0.0, 1.0], Same::No)?;
/// assert!((nngp - 1.0 / std::f64::consts::PI).abs() < 1e-15);
/// // The NTK adds the part of the first layer, which is 0 for orthogonal inputs.
/// assert_eq!(nngp, ntk);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn kernel(net: &Net, x: &[f64], y: &[f64], same: Same) -> Result<(f64, f64)> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (xx, yy, d) = (dot(x, x), dot(y, y), x.len() as f64);
    let c = dot(x, y) / d;
    // 1 - |rho| from the difference of the normalised samples, which does not cancel.
    let sign = if c < 0.0 { -1.0 } else { 1.0 };
    let gap: f64 = x.iter().zip(y).map(|(a, b)| (a / xx.sqrt() - sign * b / yy.sqrt()).powi(2)).sum();
    let delta = if xx > 0.0 && yy > 0.0 { (gap / 2.0).min(1.0) } else { 1.0 };
    let start = State { c, p: xx / d, q: yy / d, delta, t: 0.0 };
    let end = chain(&net.ops(x.len())?, start, same)?;
    Ok((end.c, end.t))
}

fn chain(ops: &[Op], mut s: State, same: Same) -> Result<State> {
    for op in ops {
        s = step(op, s, same)?;
    }
    Ok(s)
}

fn step(op: &Op, s: State, same: Same) -> Result<State> {
    Ok(match op {
        Op::Affine { w2, b2, tangent: g } => {
            let bias = State { c: *b2, p: *b2, q: *b2, delta: 0.0, t: 0.0 };
            let scaled = State { c: w2 * s.c, p: w2 * s.p, q: w2 * s.q, ..s };
            let out = if *b2 > 0.0 { sum(&[(1.0, scaled), (1.0, bias)]) } else { scaled };
            State { t: g.carry * s.t + g.from_input * s.c + g.from_output * out.c + g.constant, ..out }
        }
        Op::Activation { activation, choice, .. } => {
            let dual = dual_of(activation, *choice, Precision::F64)?;
            let (sp, sq) = (s.p.sqrt(), s.q.sqrt());
            let image = dual.pair(Pair { c: s.c, p: s.p, q: s.q, sp, sq, delta: s.delta });
            let (p, q) = (dual.variance(s.p), dual.variance(s.q));
            State { c: image.k, p, q, delta: image.delta, t: s.t * image.kdot }
        }
        Op::LayerNorm { eps } => {
            let (a, b) = (s.p + eps, s.q + eps);
            let scale = if a > 0.0 && b > 0.0 { 1.0 / (a.sqrt() * b.sqrt()) } else { 0.0 };
            let own = |v: f64, w: f64| if w > 0.0 { v / w } else { 0.0 };
            State { c: s.c * scale, t: s.t * scale, p: own(s.p, a), q: own(s.q, b), delta: s.delta }
        }
        Op::Dropout { keep } if same == Same::Yes => {
            State { c: s.c / keep, t: s.t / keep, p: s.p / keep, q: s.q / keep, delta: s.delta }
        }
        Op::Dropout { keep } => State { p: s.p / keep, q: s.q / keep, delta: 1.0 - keep * (1.0 - s.delta), ..s },
        Op::Sum(branches) => sum(&ends(branches.iter().map(|b| (1.0, b)), s, same)?),
        Op::Concat(branches) => sum(&ends(branches.iter().map(|(w, b)| (*w, b)), s, same)?),
        Op::Product(branches) => {
            let ends = ends(branches.iter().map(|b| (1.0, b)), s, same)?;
            let all = |f: fn(&State) -> f64| ends.iter().map(|(_, e)| f(e)).product::<f64>();
            let others =
                |i: usize| ends.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, (_, e))| e.c).product::<f64>();
            let t = ends.iter().enumerate().map(|(i, (_, e))| e.t * others(i)).sum();
            State { c: all(|e| e.c), p: all(|e| e.p), q: all(|e| e.q), delta: 1.0 - all(|e| 1.0 - e.delta), t }
        }
        spatial => {
            return Err(Error::Unsupported {
                at: "the dense oracle".into(),
                what: format!("the step {spatial:?}"),
                hint: "use a net of dense layers".into(),
            });
        }
    })
}

fn ends<'a>(branches: impl Iterator<Item = (f64, &'a Vec<Op>)>, s: State, same: Same) -> Result<Vec<(f64, State)>> {
    branches.map(|(weight, ops)| Ok((weight, chain(ops, s, same)?))).collect()
}

/// A weighted sum of independent parts. sqrt(p) sqrt(q) - |c| is the sum of what the parts lack and of the gap of the Cauchy-Schwarz
/// inequality between them, neither of which cancels.
fn sum(parts: &[(f64, State)]) -> State {
    let total = |f: fn(&State) -> f64| parts.iter().map(|(w, s)| w * f(s)).sum::<f64>();
    let (c, p, q) = (total(|s| s.c), total(|s| s.p), total(|s| s.q));
    let negative = c < 0.0;
    let r = p.sqrt() * q.sqrt();
    let (mut lack, mut gap, mut roots) = (0.0, 0.0, 0.0);
    for (i, (w, s)) in parts.iter().enumerate() {
        let own = w * s.p.sqrt() * s.q.sqrt();
        lack += own * if (s.c < 0.0) == negative { s.delta } else { 2.0 - s.delta };
        roots += own;
        for (v, other) in &parts[..i] {
            gap += w * v * (s.p.sqrt() * other.q.sqrt() - other.p.sqrt() * s.q.sqrt()).powi(2);
        }
    }
    let delta = if r > 0.0 { ((lack + gap / (r + roots)) / r).min(1.0) } else { 1.0 };
    State { c, p, q, delta, t: total(|s| s.t) }
}
