//! Self-attention over all positions (Hron et al. 2020, "Infinite attention: NNGP and NTK for deep attention networks").

use super::state::{Square, State, combine};
use crate::net::{AttentionNormalization, AttentionScaling};

/// Behind an attention layer; `score` = w_query w_key, `w2` = (w_value w_out)^2.
pub(super) fn attend(
    s: &State,
    (scaling, normalization): (AttentionScaling, AttentionNormalization),
    score: f64,
    (w2, b2): (f64, f64),
) -> State {
    match scaling {
        AttentionScaling::Linear => linear(s, normalization, score, (w2, b2)),
        AttentionScaling::Sqrt => square_root(s, score * score * w2, b2),
    }
}

/// Scores over the width, with queries and keys alike: the scores become score * p(P, R), as certain as p, and train no more. So the layer
/// is a fixed G = zeta(score p), the values and the output: c' = w2 G c G'^T + b2, and each of the two weight matrices adds c' - b2 to t'.
fn linear(s: &State, zeta: AttentionNormalization, score: f64, (w2, b2): (f64, f64)) -> State {
    let n = s.positions();
    let (g, h) = (weights(&s.p, n, zeta, score), weights(&s.q, n, zeta, score));
    let through = |left: &Square, k: &Square, right: &Square| -> Square {
        times(&times(left, k, n), &transpose(right, n), n).iter().map(|v| w2 * v).collect()
    };
    let biased = |k: Square| -> Square { k.iter().map(|v| v + b2).collect() };
    let c = through(&g, &s.c, &h);
    let t = biased(combine(&[(1.0, &through(&g, &s.t, &h)), (2.0, &c)]));
    State { size: s.size, c: biased(c), p: biased(through(&g, &s.p, &g)), q: biased(through(&h, &s.q, &h)), t }
}

/// zeta of the scores of position P at R; the softmax is over R.
fn weights(p: &Square, n: usize, zeta: AttentionNormalization, score: f64) -> Square {
    let scores: Square = p.iter().map(|v| score * v).collect();
    match zeta {
        AttentionNormalization::Identity => scores,
        AttentionNormalization::Abs => scores.iter().map(|v| v.abs()).collect(),
        AttentionNormalization::Relu => scores.iter().map(|v| v.max(0.0)).collect(),
        AttentionNormalization::Softmax => scores.chunks_exact(n).flat_map(softmax).collect(),
    }
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|v| (v - most).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|v| v / total).collect()
}

/// Scores over the root of the width, with queries and keys of their own: a score A(P, R) is Gaussian, E\[A(P, R) A'(P', R')\] =
/// score^2 c(P, P') c(R, R'), and a head's output sum_R A(P, R) V(R) has the covariance w c(P, P') sum over R, R' of c(R, R')^2, from the query,
/// the key and the value. In t' each of the three factors gives way to t once, and each of the four weight matrices adds c' - b2.
fn square_root(s: &State, w: f64, b2: f64) -> State {
    let inner = |a: &Square, b: &Square| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let map = |k: &Square| -> Square {
        let squares = inner(k, k);
        k.iter().map(|v| w * squares * v + b2).collect()
    };
    let (cc, ct) = (inner(&s.c, &s.c), inner(&s.c, &s.t));
    let t = s.c.iter().zip(&s.t).map(|(c, t)| w * (2.0 * ct * c + cc * (t + 4.0 * c)) + b2).collect();
    State { size: s.size, c: map(&s.c), p: map(&s.p), q: map(&s.q), t }
}

fn times(a: &Square, b: &Square, n: usize) -> Square {
    let entry = |at: usize| (0..n).map(|k| a[at / n * n + k] * b[n * k + at % n]).sum();
    (0..n * n).map(entry).collect()
}

fn transpose(a: &Square, n: usize) -> Square {
    (0..n * n).map(|at| a[at % n * n + at / n]).collect()
}
