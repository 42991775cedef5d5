//! What each layer does to a strip of pairs: a few rows of samples against one tile of columns.

use super::prepare::DenseSamples;
use super::program::{Affine, Join};
use crate::dual::{DynDual, Side, TileMut};
use crate::kernel::{Float, TILE};
use crate::simd::{Isa, Kernel, Lanes, Real, Vector};

/// Where a strip lies.
#[derive(Debug)]
pub struct Place<'a, T> {
    /// Instruction set.
    pub isa: Isa,
    /// Samples along the rows.
    pub rows: &'a DenseSamples<T>,
    /// First row.
    pub row: usize,
    /// Rows of the strip.
    pub count: usize,
    /// Samples along the columns.
    pub cols: &'a DenseSamples<T>,
    /// First column; a multiple of [`TILE`].
    pub col: usize,
}

/// The state of a strip: entry (i, j) at `i * TILE + j`.
#[derive(Debug)]
pub struct StripMut<'a, T> {
    /// Covariances.
    pub c: &'a mut [T],
    /// 1 - |rho|.
    pub delta: &'a mut [T],
    /// Tangent kernel; empty where not wanted.
    pub t: &'a mut [T],
}

/// A strip of its own, for a branch.
#[derive(Debug, Clone)]
pub struct Strip<T> {
    pub(super) c: Vec<T>,
    delta: Vec<T>,
    pub(super) t: Vec<T>,
}

impl<T: Float> Strip<T> {
    /// `len` pairs, with `t` tangent entries (0 or `len`).
    pub fn zeros(len: usize, t: usize) -> Self {
        let zero = |n| vec![T::default(); n];
        Self { c: zero(len), delta: zero(len), t: zero(t) }
    }
    /// Takes the state of another strip.
    pub fn copy_from(&mut self, from: &StripMut<'_, T>) {
        self.c[..from.c.len()].copy_from_slice(from.c);
        self.delta[..from.c.len()].copy_from_slice(from.delta);
        self.t[..from.t.len()].copy_from_slice(from.t);
    }
    /// A view of the first `len` pairs to work on.
    pub fn first(&mut self, len: usize) -> StripMut<'_, T> {
        let t = len.min(self.t.len());
        StripMut { c: &mut self.c[..len], delta: &mut self.delta[..len], t: &mut self.t[..t] }
    }
}

impl<T: Float> Place<'_, T> {
    fn row_sp(&self, stage: usize) -> &[T] {
        &self.rows.stages[stage].sp[self.row..self.row + self.count]
    }
    fn col_sp(&self, stage: usize) -> &[T] {
        &self.cols.stages[stage].sp[self.col..self.col + TILE]
    }
}

/// Activation: c, 1-|rho| and t through the dual.
pub fn dual<T: Float>(
    at: &Place<'_, T>,
    dual: &dyn DynDual,
    before: usize,
    table: usize,
    after: usize,
    strip: &mut StripMut<'_, T>,
    scratch: &mut [T],
) {
    let (rows, cols) = sides(at, dual.constants_len(), before, table, after, scratch);
    T::apply(dual, at.isa, TileMut { c: strip.c, delta: strip.delta, t: strip.t, rows, cols });
}

/// The samples on both sides of an activation with `len` constants in a table.
pub(super) fn sides<'a, T: Float>(
    at: &'a Place<'_, T>,
    len: usize,
    before: usize,
    table: usize,
    after: usize,
    scratch: &'a mut [T],
) -> (Side<'a, T>, Side<'a, T>) {
    let rows = Side {
        p: &at.rows.stages[before].p[at.row..at.row + at.count],
        sp: at.row_sp(before),
        out_sp: at.row_sp(after),
        constants: row_constants(at, &at.rows.tables[table], len, scratch),
    };
    let cols = Side {
        p: &at.cols.stages[before].p[at.col..at.col + TILE],
        sp: at.col_sp(before),
        out_sp: at.col_sp(after),
        constants: col_constants(at, &at.cols.tables[table], len),
    };
    (rows, cols)
}

/// The `len` constants of each row of a strip from a table. There they lie a tile apart; a dual wants them a strip apart.
pub(super) fn row_constants<'a, T: Float>(at: &Place<'_, T>, table: &[T], len: usize, scratch: &'a mut [T]) -> &'a [T] {
    let (block, first) = (at.row / TILE, at.row % TILE);
    for i in 0..len {
        let from = (block * len + i) * TILE + first;
        scratch[i * at.count..(i + 1) * at.count].copy_from_slice(&table[from..from + at.count]);
    }
    &scratch[..len * at.count]
}

/// The same of the columns.
pub(super) fn col_constants<'a, T>(at: &Place<'_, T>, table: &'a [T], len: usize) -> &'a [T] {
    let block = at.col / TILE * len * TILE;
    if len == 0 { &[] } else { &table[block..block + len * TILE] }
}

/// Dense layer.
pub fn affine<T: Float>(at: &Place<'_, T>, affine: Affine, before: usize, after: usize, strip: &mut StripMut<'_, T>) {
    at.isa.run(AffinePass { at, affine, before, after, c: strip.c, delta: strip.delta, t: strip.t });
}

struct AffinePass<'a, 'b, T> {
    at: &'a Place<'b, T>,
    affine: Affine,
    before: usize,
    after: usize,
    c: &'a mut [T],
    delta: &'a mut [T],
    t: &'a mut [T],
}

impl<T: Float> Kernel for AffinePass<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let splat = |x: f64| T::Lanes::<V>::splat(simd, T::from_f64(x));
        let Affine { w2, b2, tangent: g } = self.affine;
        let (w, b) = (splat(w2), splat(b2));
        let (carry, from_in, from_out, constant) =
            (splat(g.carry), splat(g.from_input), splat(g.from_output), splat(g.constant));
        let bias = Bias { zero: splat(0.0), one: splat(1.0), two: splat(2.0), w, b, wb: splat(w2 * b2) };
        let (row_before, row_after) = (self.at.row_sp(self.before), self.at.row_sp(self.after));
        let (col_before, col_after) = (self.at.col_sp(self.before), self.at.col_sp(self.after));
        for i in 0..self.at.count {
            let (si, oi) = (T::Lanes::<V>::splat(simd, row_before[i]), T::Lanes::<V>::splat(simd, row_after[i]));
            for j in (0..TILE).step_by(lanes) {
                let span = i * TILE + j;
                let c = T::Lanes::<V>::load(simd, &self.c[span..]);
                let out = w.mul_add(c, b);
                out.store(&mut self.c[span..]);
                if b2 > 0.0 {
                    let sj = T::Lanes::<V>::load(simd, &col_before[j..]);
                    let oj = T::Lanes::<V>::load(simd, &col_after[j..]);
                    let delta = T::Lanes::<V>::load(simd, &self.delta[span..]);
                    bias.delta(c, delta, si, sj, out, oi * oj).store(&mut self.delta[span..]);
                }
                if !self.t.is_empty() {
                    let t = T::Lanes::<V>::load(simd, &self.t[span..]);
                    let t = carry.mul_add(t, from_out.mul_add(out, from_in.mul_add(c, constant)));
                    t.store(&mut self.t[span..]);
                }
            }
        }
    }
}

/// How a bias turns 1-|rho|.
struct Bias<R> {
    zero: R,
    one: R,
    two: R,
    w: R,
    b: R,
    wb: R,
}

impl<R: Real> Bias<R> {
    /// A bias adds a second, perfectly correlated part of variance b: with r1 = w sp sq and r = sp' sq',
    /// r (1 -+ rho') = w b (sp - sq)^2 / (r + r1 + b) + r1 (1 -+ rho) + (0 or 2b), the sign that of c'.
    #[inline(always)]
    fn delta(&self, c: R, delta: R, si: R, sj: R, out: R, r: R) -> R {
        let r1 = self.w * (si * sj);
        let gap = si - sj;
        let spread = self.wb * (gap * gap) / (r + r1 + self.b);
        let far = self.two - delta;
        let (was, is) = (c.lt(self.zero), out.lt(self.zero));
        let minus = R::select(was, far, delta);
        let plus = R::select(was, delta, far);
        let side = R::select(is, r1.mul_add(plus, self.b * self.two), r1 * minus);
        ((spread + side) / r).min(self.one)
    }
}

/// LayerNorm: c and t scaled by both samples' 1 / sqrt(p + eps); the angle stays.
pub fn layer_norm<T: Float>(at: &Place<'_, T>, table: usize, strip: &mut StripMut<'_, T>) {
    let rows = &at.rows.tables[table][at.row..at.row + at.count];
    let cols = &at.cols.tables[table][at.col..at.col + TILE];
    for values in [&mut *strip.c, &mut *strip.t].into_iter().filter(|v| !v.is_empty()) {
        at.isa.run(ScalePass { values, rows, cols });
    }
}

struct ScalePass<'a, T> {
    values: &'a mut [T],
    rows: &'a [T],
    cols: &'a [T],
}

impl<T: Float> Kernel for ScalePass<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        for (values, &row) in self.values.chunks_exact_mut(TILE).zip(self.rows) {
            let row = T::Lanes::<V>::splat(simd, row);
            for j in (0..TILE).step_by(lanes) {
                let scale = row * T::Lanes::<V>::load(simd, &self.cols[j..]);
                (T::Lanes::<V>::load(simd, &values[j..]) * scale).store(&mut values[j..]);
            }
        }
    }
}

/// Dropout between different samples: variances have grown by 1/keep, covariances have not, so rho shrinks.
pub fn dropout<T: Float>(at: &Place<'_, T>, keep: f64, strip: &mut StripMut<'_, T>) {
    at.isa.run(DropoutPass { keep, delta: strip.delta });
}

struct DropoutPass<'a, T> {
    keep: f64,
    delta: &'a mut [T],
}

impl<T: Float> Kernel for DropoutPass<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let keep = T::Lanes::<V>::splat(simd, T::from_f64(self.keep));
        let lost = T::Lanes::<V>::splat(simd, T::from_f64(1.0 - self.keep));
        for j in (0..self.delta.len()).step_by(<T::Lanes<V> as Lanes<V, T>>::LANES) {
            keep.mul_add(T::Lanes::<V>::load(simd, &self.delta[j..]), lost).store(&mut self.delta[j..]);
        }
    }
}

/// Branches become one; `ends` are their last stages.
pub fn join<T: Float>(
    at: &Place<'_, T>,
    join: &Join,
    branches: &[Strip<T>],
    ends: &[usize],
    after: usize,
    strip: &mut StripMut<'_, T>,
) {
    match join {
        Join::Sum(weights) => at.isa.run(SumPass { at, weights, branches, ends, after, strip }),
        Join::Product => at.isa.run(ProductPass { branches, strip }),
    }
}

struct SumPass<'a, 'b, 'c, T> {
    at: &'a Place<'b, T>,
    weights: &'a [f64],
    branches: &'a [Strip<T>],
    ends: &'a [usize],
    after: usize,
    strip: &'a mut StripMut<'c, T>,
}

impl<T: Float> Kernel for SumPass<'_, '_, '_, T> {
    type Output = ();
    /// c = sum_k w_k c_k. With r_k = w_k sp_k sq_k and r = sp sq of the sum,
    /// r (1 -+ rho) = sum_k r_k (1 -+ rho_k) + sum_{k<l} w_k w_l (sp_k sq_l - sp_l sq_k)^2 / (r + sum_k r_k): no cancellation.
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let splat = |x: f64| T::Lanes::<V>::splat(simd, T::from_f64(x));
        let (zero, one, two) = (splat(0.0), splat(1.0), splat(2.0));
        for i in 0..self.at.count {
            let row = |stage: usize| T::Lanes::<V>::splat(simd, self.at.row_sp(stage)[i]);
            for j in (0..TILE).step_by(lanes) {
                let span = i * TILE + j;
                let col = |stage: usize| T::Lanes::<V>::load(simd, &self.at.col_sp(stage)[j..]);
                let (mut c, mut t, mut minus, mut plus) = (zero, zero, zero, zero);
                let (mut sum_r, mut spread) = (zero, zero);
                for (k, (branch, &weight)) in self.branches.iter().zip(self.weights).enumerate() {
                    let w = splat(weight);
                    let ck = T::Lanes::<V>::load(simd, &branch.c[span..]);
                    let delta = T::Lanes::<V>::load(simd, &branch.delta[span..]);
                    let (si, sj) = (row(self.ends[k]), col(self.ends[k]));
                    let r = w * (si * sj);
                    let negative = ck.lt(zero);
                    let far = two - delta;
                    c = w.mul_add(ck, c);
                    minus = r.mul_add(T::Lanes::<V>::select(negative, far, delta), minus);
                    plus = r.mul_add(T::Lanes::<V>::select(negative, delta, far), plus);
                    sum_r = sum_r + r;
                    for (l, &other) in self.weights.iter().enumerate().take(k) {
                        let cross = si * col(self.ends[l]) - row(self.ends[l]) * sj;
                        spread = (cross * cross).mul_add(splat(weight * other), spread);
                    }
                    if !branch.t.is_empty() {
                        t = w.mul_add(T::Lanes::<V>::load(simd, &branch.t[span..]), t);
                    }
                }
                let r = row(self.after) * col(self.after);
                let side = T::Lanes::<V>::select(c.lt(zero), plus, minus);
                let delta = (side + spread / (r + sum_r)) / r;
                // r = 0: a sample of variance zero, whose angle counts as pi/2.
                let delta = T::Lanes::<V>::select(zero.lt(r), delta.min(one), one);
                c.store(&mut self.strip.c[span..]);
                delta.store(&mut self.strip.delta[span..]);
                if !self.strip.t.is_empty() {
                    t.store(&mut self.strip.t[span..]);
                }
            }
        }
    }
}

struct ProductPass<'a, 'c, T> {
    branches: &'a [Strip<T>],
    strip: &'a mut StripMut<'c, T>,
}

impl<T: Float> Kernel for ProductPass<'_, '_, T> {
    type Output = ();
    /// c = prod c_k, t by the product rule, 1 - prod(1 - delta_k) = d + delta_k - d delta_k step by step.
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let splat = |x: f64| T::Lanes::<V>::splat(simd, T::from_f64(x));
        for span in (0..self.strip.c.len()).step_by(lanes) {
            let (mut c, mut t, mut delta) = (splat(1.0), splat(0.0), splat(0.0));
            for branch in self.branches {
                let ck = T::Lanes::<V>::load(simd, &branch.c[span..]);
                let dk = T::Lanes::<V>::load(simd, &branch.delta[span..]);
                if !branch.t.is_empty() {
                    t = t * ck + T::Lanes::<V>::load(simd, &branch.t[span..]) * c;
                }
                c = c * ck;
                delta = delta + dk - delta * dk;
            }
            c.store(&mut self.strip.c[span..]);
            delta.store(&mut self.strip.delta[span..]);
            if !self.strip.t.is_empty() {
                t.store(&mut self.strip.t[span..]);
            }
        }
    }
}
