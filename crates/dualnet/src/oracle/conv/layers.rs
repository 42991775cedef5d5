//! One layer after the other.

use super::Same;
use super::activation::activate;
use super::attention::attend;
use super::state::{Square, State, combine, diagonal, trace};
use super::window::Windows;
use crate::error::Result;
use crate::net::{Op, Pooling, Tangent};

pub(super) fn chain(ops: &[Op], mut s: State, same: Same) -> Result<State> {
    for op in ops {
        s = step(op, s, same)?.finite()?;
    }
    Ok(s)
}

fn step(op: &Op, s: State, same: Same) -> Result<State> {
    let n = s.positions();
    Ok(match op {
        Op::Affine { w2, b2, tangent } => affine(&s, (*w2, *b2), tangent),
        Op::Conv { kernel, stride, padding, w2, b2, tangent, .. } => {
            let windows = Windows::new(s.size, kernel, stride, *padding);
            affine(&s.each(windows.size(), |k| windows.convolve(k)), (*w2, *b2), tangent)
        }
        Op::Activation { activation, choice, .. } => activate(activation, *choice, &s)?,
        Op::Pool { pooling, window, stride, padding, normalize_edges, .. } => {
            let windows = Windows::new(s.size, window, stride, *padding);
            let sums = s.each(windows.size(), |k| windows.sum(k));
            match pooling {
                Pooling::Sum => sums,
                Pooling::Average => {
                    let counts = windows.counts(*normalize_edges);
                    sums.each(sums.size, |k| divide(k, &counts, &counts))
                }
            }
        }
        Op::Flatten => s.each([1, 1], |k| vec![trace(k, n) / n as f64]),
        Op::GlobalPool(pooling) => {
            let count = if *pooling == Pooling::Average { (n * n) as f64 } else { 1.0 };
            s.each([1, 1], |k| vec![k.iter().sum::<f64>() / count])
        }
        Op::LayerNorm { eps } => {
            let root = |k: &Square| -> Vec<f64> { diagonal(k, n).iter().map(|v| (v + eps).sqrt()).collect() };
            let (a, b) = (root(&s.p), root(&s.q));
            let (c, t) = (divide(&s.c, &a, &b), divide(&s.t, &a, &b));
            State { size: s.size, c, t, p: divide(&s.p, &a, &a), q: divide(&s.q, &b, &b) }
        }
        Op::Dropout { keep } => drop_entries(s, *keep, same),
        Op::Sum(branches) => sum(&ends(branches.iter().map(|b| (1.0, b)), &s, same)?),
        Op::Concat(branches) => sum(&ends(branches.iter().map(|(w, b)| (*w, b)), &s, same)?),
        Op::Product(branches) => product(&ends(branches.iter().map(|b| (1.0, b)), &s, same)?),
        Op::SelfAttention { scaling, normalization, score, w2, b2, .. } => {
            attend(&s, (*scaling, *normalization), *score, (*w2, *b2))
        }
    })
}

/// c' = w2 c + b2 and the rule of the tangent kernel.
fn affine(s: &State, (w2, b2): (f64, f64), g: &Tangent) -> State {
    let map = |k: &Square| -> Square { k.iter().map(|v| w2 * v + b2).collect() };
    let c = map(&s.c);
    let rule = |((t, c), out): ((&f64, &f64), &f64)| g.carry * t + g.from_input * c + g.from_output * out + g.constant;
    let t = s.t.iter().zip(&s.c).zip(&c).map(rule).collect();
    State { size: s.size, c, p: map(&s.p), q: map(&s.q), t }
}

/// Entry (P, P') over a_P b_P'; 0 where the divisor is 0, as then is the entry.
fn divide(k: &Square, a: &[f64], b: &[f64]) -> Square {
    let divisors = a.iter().flat_map(|a| b.iter().map(move |b| a * b));
    k.iter().zip(divisors).map(|(v, d)| if d > 0.0 { v / d } else { 0.0 }).collect()
}

/// Entries of the same sample and position are divided by the probability of keeping.
fn drop_entries(mut s: State, keep: f64, same: Same) -> State {
    let n = s.positions();
    for i in 0..n {
        s.p[n * i + i] /= keep;
        s.q[n * i + i] /= keep;
        if same == Same::Yes {
            s.c[n * i + i] /= keep;
            s.t[n * i + i] /= keep;
        }
    }
    s
}

fn ends<'a>(branches: impl Iterator<Item = (f64, &'a Vec<Op>)>, s: &State, same: Same) -> Result<Vec<(f64, State)>> {
    branches.map(|(weight, ops)| Ok((weight, chain(ops, s.clone(), same)?))).collect()
}

/// Weighted sums over independent branches.
fn sum(ends: &[(f64, State)]) -> State {
    let total = |of: fn(&State) -> &Square| combine(&ends.iter().map(|(w, s)| (*w, of(s))).collect::<Vec<_>>());
    let size = ends.first().map_or([0, 0], |(_, s)| s.size);
    State { size, c: total(|s| &s.c), p: total(|s| &s.p), q: total(|s| &s.q), t: total(|s| &s.t) }
}

/// c' = product of c_i, t' = sum of t_i times the other c_j.
fn product(ends: &[(f64, State)]) -> State {
    let size = ends.first().map_or([0, 0], |(_, s)| s.size);
    let len = ends.first().map_or(0, |(_, s)| s.c.len());
    let all = |of: fn(&State) -> &Square| -> Square {
        (0..len).map(|at| ends.iter().map(|(_, s)| of(s)[at]).product()).collect()
    };
    let others = |i: usize, at: usize| -> f64 {
        ends.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, (_, s))| s.c[at]).product()
    };
    let t = (0..len).map(|at| ends.iter().enumerate().map(|(i, (_, s))| s.t[at] * others(i, at)).sum()).collect();
    State { size, c: all(|s| &s.c), p: all(|s| &s.p), q: all(|s| &s.q), t }
}
