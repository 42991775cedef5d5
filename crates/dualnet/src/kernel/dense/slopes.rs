//! Derivatives of a strip of pairs in what the first sample of each brings to the input: c, the covariance, and p, its variance.
//!
//! A net's kernel is a function of (c, p, q) at its input. Carried through the layers beside (c, 1-|rho|, t) are dc/dc_0, dc/dp_0,
//! dt/dc_0 and dt/dp_0; dp/dp_0 is kept once a sample and stage. The values themselves take the passes of the kernel.

use super::passes::{self, Place, Strip, StripMut};
use super::prepare::DenseSamples;
use super::program::{Affine, Join, Node, Program};
use crate::dual::{DynDual, Pair, PartialsMut};
use crate::error::{Error, Result};
use crate::kernel::TILE;
use crate::resources::Resources;
use rayon::prelude::*;

/// What derivatives want of samples besides [`DenseSamples`].
#[derive(Clone, Debug)]
pub(super) struct SampleSlopes {
    /// dp/dp_0 at every stage, padded to whole tiles.
    stages: Vec<Vec<f64>>,
    /// Constants of duals, laid out as [`DenseSamples::tables`].
    tables: Vec<Vec<f64>>,
}

impl SampleSlopes {
    /// Follows the variances of samples through the net.
    ///
    /// # Errors
    /// An activation whose dual has no derivatives.
    pub fn new(program: &Program, samples: &DenseSamples<f64>, resources: &Resources) -> Result<Self> {
        let padded = samples.len.next_multiple_of(TILE);
        let mut this = Self { stages: vec![Vec::new(); program.stages], tables: vec![Vec::new(); program.tables] };
        let input = vec![1.0; padded];
        this.stages[0].clone_from(&input);
        resources.install(|| this.chain(&program.nodes, samples, 0, input))?;
        Ok(this)
    }

    fn chain(&mut self, nodes: &[Node], of: &DenseSamples<f64>, before: usize, own: Vec<f64>) -> Result<Vec<f64>> {
        let (mut before, mut own) = (before, own);
        for node in nodes {
            let after = match node {
                Node::Affine { affine, after } => {
                    own.iter_mut().for_each(|s| *s *= affine.w2);
                    *after
                }
                Node::Dual { dual, constants, after, at } => {
                    self.tables[*constants] = table(dual.as_ref(), &of.stages[before].p);
                    activate(dual.as_ref(), &of.stages[before].p, &mut own, at)?;
                    *after
                }
                Node::LayerNorm { eps, after, .. } => {
                    for (s, p) in own.iter_mut().zip(&of.stages[before].p) {
                        let square = (p + eps) * (p + eps);
                        *s *= if square > 0.0 { eps / square } else { 0.0 };
                    }
                    *after
                }
                Node::Dropout { keep, after } => {
                    own.iter_mut().for_each(|s| *s /= keep);
                    *after
                }
                Node::Join { join, branches, after } => {
                    let mut ends = Vec::with_capacity(branches.len());
                    for branch in branches {
                        let end = branch.last().map_or(before, Node::after);
                        ends.push((end, self.chain(branch, of, before, own.clone())?));
                    }
                    own = joined(join, &ends, of, own.len());
                    *after
                }
            };
            self.stages[after].clone_from(&own);
            before = after;
        }
        Ok(own)
    }
}

/// Constants of a dual's derivatives, tile by tile.
fn table(dual: &dyn DynDual, p: &[f64]) -> Vec<f64> {
    let len = dual.slope_constants_len();
    if len == 0 {
        return Vec::new();
    }
    let blocks: Vec<Vec<f64>> = p
        .par_chunks(TILE)
        .map(|p| {
            let (mut block, mut one) = (vec![0.0; len * TILE], vec![0.0; len]);
            for (j, &p) in p.iter().enumerate() {
                dual.slope_constants(p, &mut one);
                one.iter().enumerate().for_each(|(i, x)| block[i * TILE + j] = *x);
            }
            block
        })
        .collect();
    blocks.concat()
}

/// The variance map's slope, dk(p, p, p)/dp = dk/dc + 2 dk/dp, times that of p.
fn activate(dual: &dyn DynDual, p: &[f64], own: &mut [f64], at: &str) -> Result<()> {
    let slope = |p: f64| {
        let (s, delta) = (p.sqrt(), if p > 0.0 { 0.0 } else { 1.0 });
        dual.partials(Pair { c: p, p, q: p, sp: s, sq: s, delta }).map(|found| found.k_c + 2.0 * found.k_p)
    };
    let done = own.par_iter_mut().zip(p).map(|(s, &p)| slope(p).map(|slope| *s *= slope)).collect::<Option<()>>();
    done.ok_or_else(|| unknown(at))
}

fn unknown(at: &str) -> Error {
    Error::Unsupported {
        at: at.into(),
        what: "gradients through a dual whose derivatives are not known".into(),
        hint: "leave \"dual\" out, or ask for a Hermite expansion".into(),
    }
}

/// Refuses nodes without derivatives.
pub(super) fn check(nodes: &[Node]) -> Result<()> {
    for node in nodes {
        match node {
            Node::Dual { dual, at, .. } => {
                let one = Pair { c: 1.0, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 0.0 };
                dual.partials(one).map(|_| ()).ok_or_else(|| unknown(at))?;
            }
            Node::Join { branches, .. } => branches.iter().try_for_each(|branch| check(branch))?,
            Node::Affine { .. } | Node::LayerNorm { .. } | Node::Dropout { .. } => {}
        }
    }
    Ok(())
}

fn joined(join: &Join, ends: &[(usize, Vec<f64>)], of: &DenseSamples<f64>, len: usize) -> Vec<f64> {
    match join {
        Join::Sum(weights) => {
            let term = |i: usize| ends.iter().zip(weights).map(|((_, s), w)| w * s[i]).sum();
            (0..len).map(term).collect()
        }
        Join::Product => {
            let one = |i: usize| {
                ends.iter().fold((1.0, 0.0), |(p, s), (end, slope)| {
                    let q = of.stages[*end].p[i];
                    (p * q, s * q + p * slope[i])
                })
            };
            (0..len).map(|i| one(i).1).collect()
        }
    }
}

/// Derivatives of a strip: entry (i, j) at `i * TILE + j`.
#[derive(Clone, Debug)]
pub(super) struct StripSlopes {
    /// dc/dc_0.
    pub c_c: Vec<f64>,
    /// dc/dp_0.
    pub c_p: Vec<f64>,
    /// dt/dc_0; empty where only the NNGP is wanted.
    pub t_c: Vec<f64>,
    /// dt/dp_0; empty where only the NNGP is wanted.
    pub t_p: Vec<f64>,
}

impl StripSlopes {
    /// Of the input.
    pub fn input(len: usize, t: usize) -> Self {
        Self { c_c: vec![1.0; len], c_p: vec![0.0; len], t_c: vec![0.0; t], t_p: vec![0.0; t] }
    }

    /// All arrays, each scaled row by row and column by column.
    fn all(&mut self) -> [&mut Vec<f64>; 4] {
        [&mut self.c_c, &mut self.c_p, &mut self.t_c, &mut self.t_p]
    }
}

/// Samples of both sides of a tile, with their derivatives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides<'a> {
    pub rows: &'a SampleSlopes,
    pub cols: &'a SampleSlopes,
}

/// Partial derivatives of a dual on a strip, and the constants it wants.
#[derive(Debug)]
pub(super) struct Scratch {
    partials: [Vec<f64>; 5],
    constants: Vec<f64>,
    slopes: Vec<f64>,
}

impl Scratch {
    /// For strips of `len` pairs with `t` tangent entries.
    pub fn new(program: &Program, rows: usize, t: usize) -> Self {
        let len = rows * TILE;
        let most = |nodes: &[Node]| most_constants(nodes);
        Self {
            partials: [len, len, t, t, t].map(|n| vec![0.0; n]),
            constants: vec![0.0; program.max_constants * rows],
            slopes: vec![0.0; most(&program.nodes) * rows],
        }
    }
}

fn most_constants(nodes: &[Node]) -> usize {
    let one = |node: &Node| match node {
        Node::Dual { dual, .. } => dual.slope_constants_len(),
        Node::Join { branches, .. } => branches.iter().map(|b| most_constants(b)).max().unwrap_or(0),
        Node::Affine { .. } | Node::LayerNorm { .. } | Node::Dropout { .. } => 0,
    };
    nodes.iter().map(one).max().unwrap_or(0)
}

/// Takes a strip and its derivatives through `nodes`; returns the stage they end in.
pub(super) fn run(
    nodes: &[Node],
    before: usize,
    at: &Place<'_, f64>,
    of: Sides<'_>,
    (strip, slopes): (&mut StripMut<'_, f64>, &mut StripSlopes),
    scratch: &mut Scratch,
) -> usize {
    let mut before = before;
    for node in nodes {
        match node {
            Node::Affine { affine: map, after } => {
                affine(*map, slopes);
                passes::affine(at, *map, before, *after, strip);
            }
            Node::Dual { dual: map, constants, after, .. } => {
                dual(at, of, map.as_ref(), (before, *constants, *after), strip, slopes, scratch);
                passes::dual(at, map.as_ref(), before, *constants, *after, strip, &mut scratch.constants);
            }
            Node::LayerNorm { scale, .. } => {
                layer_norm(at, of, (*scale, before), strip, slopes);
                passes::layer_norm(at, *scale, strip);
            }
            Node::Dropout { keep, .. } => passes::dropout(at, *keep, strip),
            Node::Join { join: how, branches, after } => {
                let mut ends = Vec::with_capacity(branches.len());
                let mut parts = Vec::with_capacity(branches.len());
                let mut slopes_of = Vec::with_capacity(branches.len());
                for branch in branches {
                    let (mut part, mut own) = (Strip::zeros(strip.c.len(), strip.t.len()), slopes.clone());
                    part.copy_from(strip);
                    let mut view = part.first(strip.c.len());
                    ends.push(run(branch, before, at, of, (&mut view, &mut own), scratch));
                    parts.push(part);
                    slopes_of.push(own);
                }
                join(how, &parts, &slopes_of, slopes);
                passes::join(at, how, &parts, &ends, *after, strip);
            }
        }
        before = node.after();
    }
    before
}

/// c' = w2 c + b2; t' = carry t + from_input c + from_output c' + constant.
fn affine(Affine { w2, tangent: g, .. }: Affine, slopes: &mut StripSlopes) {
    let through = g.from_input + g.from_output * w2;
    for (t, c) in [(&mut slopes.t_c, &mut slopes.c_c), (&mut slopes.t_p, &mut slopes.c_p)] {
        t.iter_mut().zip(c.iter()).for_each(|(t, c)| *t = g.carry * *t + through * c);
        c.iter_mut().for_each(|c| *c *= w2);
    }
}

/// c' = k(c, p, q); t' = t kdot(c, p, q).
fn dual(
    at: &Place<'_, f64>,
    of: Sides<'_>,
    dual: &dyn DynDual,
    (before, table, after): (usize, usize, usize),
    strip: &StripMut<'_, f64>,
    slopes: &mut StripSlopes,
    Scratch { partials, constants, slopes: more }: &mut Scratch,
) {
    let len = strip.c.len();
    let tangent = len.min(strip.t.len());
    let [k_c, k_p, kdot, kdot_c, kdot_p] = partials;
    let (rows, cols) = passes::sides(at, dual.constants_len(), before, table, after, constants);
    let wanted = dual.slope_constants_len();
    let tile = PartialsMut {
        c: strip.c,
        delta: strip.delta,
        rows,
        cols,
        row_slopes: passes::row_constants(at, &of.rows.tables[table], wanted, more),
        col_slopes: passes::col_constants(at, &of.cols.tables[table], wanted),
        k_c: &mut k_c[..len],
        k_p: &mut k_p[..len],
        kdot: &mut kdot[..tangent],
        kdot_c: &mut kdot_c[..tangent],
        kdot_p: &mut kdot_p[..tangent],
    };
    dual.partials_tile(at.isa, tile);
    for i in 0..at.count {
        let own = of.rows.stages[before][at.row + i];
        let span = i * TILE..(i + 1) * TILE;
        if tangent > 0 {
            let (c_c, c_p) = (&slopes.c_c[span.clone()], &slopes.c_p[span.clone()]);
            let (t_c, t_p) = (&mut slopes.t_c[span.clone()], &mut slopes.t_p[span.clone()]);
            let (kdot, kdot_c, kdot_p) = (&kdot[span.clone()], &kdot_c[span.clone()], &kdot_p[span.clone()]);
            let t = &strip.t[span.clone()];
            for j in 0..TILE {
                t_c[j] = t_c[j] * kdot[j] + t[j] * (kdot_c[j] * c_c[j]);
                t_p[j] = t_p[j] * kdot[j] + t[j] * (kdot_c[j] * c_p[j] + kdot_p[j] * own);
            }
        }
        let (c_c, c_p) = (&mut slopes.c_c[span.clone()], &mut slopes.c_p[span.clone()]);
        let (k_c, k_p) = (&k_c[span.clone()], &k_p[span]);
        for j in 0..TILE {
            c_c[j] *= k_c[j];
            c_p[j] = k_c[j] * c_p[j] + k_p[j] * own;
        }
    }
}

/// c' = c s(p) s(q) with s = 1/sqrt(p + eps), t likewise; ds/dp = -s^3/2.
fn layer_norm(
    at: &Place<'_, f64>,
    of: Sides<'_>,
    (table, before): (usize, usize),
    strip: &StripMut<'_, f64>,
    slopes: &mut StripSlopes,
) {
    let cols = &at.cols.tables[table][at.col..at.col + TILE];
    for i in 0..at.count {
        let scale = at.rows.tables[table][at.row + i];
        let own = of.rows.stages[before][at.row + i] * -0.5 * scale * scale;
        let span = i * TILE..(i + 1) * TILE;
        slopes.c_p[span.clone()].iter_mut().zip(&strip.c[span.clone()]).for_each(|(s, c)| *s += own * c);
        if !strip.t.is_empty() {
            slopes.t_p[span.clone()].iter_mut().zip(&strip.t[span.clone()]).for_each(|(s, t)| *s += own * t);
        }
        for values in slopes.all().into_iter().filter(|v| !v.is_empty()) {
            values[span.clone()].iter_mut().zip(cols).for_each(|(v, col)| *v *= scale * col);
        }
    }
}

/// Sums with weights, or the product rule.
fn join(join: &Join, parts: &[Strip<f64>], branches: &[StripSlopes], slopes: &mut StripSlopes) {
    match join {
        Join::Sum(weights) => {
            slopes.all().into_iter().for_each(|v| v.fill(0.0));
            for (branch, w) in branches.iter().zip(weights) {
                let from = [&branch.c_c, &branch.c_p, &branch.t_c, &branch.t_p];
                for (to, from) in slopes.all().into_iter().zip(from) {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += w * from);
                }
            }
        }
        Join::Product => {
            for at in 0..slopes.c_c.len() {
                // (c, t) and their derivatives in c_0 and p_0 of the product so far.
                let (mut c, mut t) = ([1.0, 0.0, 0.0], [0.0; 3]);
                for (part, of) in parts.iter().zip(branches) {
                    let own = [part.c[at], of.c_c[at], of.c_p[at]];
                    if let Some(tangent) = part.t.get(at) {
                        let tangent = [*tangent, of.t_c[at], of.t_p[at]];
                        let (a, b) = (times(t, own), times(c, tangent));
                        t = [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
                    }
                    c = times(c, own);
                }
                (slopes.c_c[at], slopes.c_p[at]) = (c[1], c[2]);
                if !slopes.t_c.is_empty() {
                    (slopes.t_c[at], slopes.t_p[at]) = (t[1], t[2]);
                }
            }
        }
    }
}

/// The product of two numbers with two derivatives each.
fn times(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] * b[0], a[1] * b[0] + a[0] * b[1], a[2] * b[0] + a[0] * b[2]]
}
