//! Duals without generics: whole tiles of pairs, on the instruction set chosen at run time.

use super::partials::{self, Partials, PartialsMut};
use super::plane::{self, PlaneMut};
use super::{Constants, Dual, Image, Pair};
use crate::simd::{Element, Isa, Kernel, Lanes, Vector};
use std::fmt::Debug;

/// What a kernel knows of the samples along one side of a tile, at the layer of a dual.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a, T> {
    /// Variances, before the activation.
    pub p: &'a [T],
    /// Standard deviations, before.
    pub sp: &'a [T],
    /// Standard deviations, after: sqrt(k(p, p, p)).
    pub out_sp: &'a [T],
    /// Constants of the dual: constant i of sample j at `i * p.len() + j`.
    pub constants: &'a [T],
}

/// A tile of pairs: entry (i, j) at `i * cols + j`. Updated in place: c becomes k, t becomes t * kdot.
#[derive(Debug)]
pub struct TileMut<'a, T> {
    /// Covariances.
    pub c: &'a mut [T],
    /// 1 - |rho|.
    pub delta: &'a mut [T],
    /// Tangent kernel; empty where only the NNGP is wanted.
    pub t: &'a mut [T],
    /// Samples along the rows.
    pub rows: Side<'a, T>,
    /// Samples along the columns; their number is a multiple of every register's width.
    pub cols: Side<'a, T>,
}

/// What a dual knows of samples by themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Constant i of sample j at `i * n + j`, as in [`Side`].
    pub constants: Vec<f64>,
    /// k(p, p, p) of each.
    pub variances: Vec<f64>,
    /// kdot(p, p, p) of each.
    pub slopes: Vec<f64>,
}

/// A [`Dual`] as an object.
pub trait DynDual: Debug + Send + Sync {
    /// [`Dual::variance`].
    fn variance(&self, p: f64) -> f64;
    /// [`Dual::constants_len`].
    fn constants_len(&self) -> usize;
    /// [`Dual::constants`].
    fn constants(&self, p: f64, out: &mut [f64]);
    /// [`Dual::homogeneity`].
    fn homogeneity(&self) -> Option<u32>;
    /// Constants, variances and slopes of samples with variances `p`.
    fn samples(&self, p: &[f64]) -> Samples {
        let (n, len) = (p.len(), self.constants_len());
        let mut all = Samples { constants: vec![0.0; n * len], variances: Vec::new(), slopes: Vec::new() };
        let mut one = vec![0.0; len];
        for (j, &p) in p.iter().enumerate() {
            self.constants(p, &mut one);
            one.iter().enumerate().for_each(|(i, x)| all.constants[i * n + j] = *x);
            let (s, delta) = (p.sqrt(), if p > 0.0 { 0.0 } else { 1.0 });
            all.variances.push(self.variance(p));
            all.slopes.push(self.pair(Pair { c: p, p, q: p, sp: s, sq: s, delta }).kdot);
        }
        all
    }
    /// [`Dual::pair`] of one pair.
    fn pair(&self, x: Pair<f64>) -> Image<f64>;
    /// Applies the dual to every pair of a tile.
    fn tile_f32(&self, isa: Isa, tile: TileMut<'_, f32>);
    /// Applies the dual to every pair of a tile.
    fn tile_f64(&self, isa: Isa, tile: TileMut<'_, f64>);
    /// [`Dual::slope_constants_len`].
    fn slope_constants_len(&self) -> usize {
        0
    }
    /// [`Dual::slope_constants`].
    fn slope_constants(&self, _p: f64, _out: &mut [f64]) {}
    /// [`Dual::partials`] of one pair; `None` where they are not known.
    fn partials(&self, _x: Pair<f64>) -> Option<Partials<f64>> {
        None
    }
    /// [`Dual::partials`] of every pair of a tile; nothing is written where they are not known.
    fn partials_tile(&self, _isa: Isa, _tile: PartialsMut<'_>) {}
    /// Applies the dual to every pair of a plane.
    fn plane_f32(&self, isa: Isa, plane: &mut PlaneMut<'_, f32>);
    /// Applies the dual to every pair of a plane.
    fn plane_f64(&self, isa: Isa, plane: &mut PlaneMut<'_, f64>);
}

impl<D: Dual> DynDual for D {
    fn variance(&self, p: f64) -> f64 {
        Dual::variance(self, p)
    }
    fn constants_len(&self) -> usize {
        Dual::constants_len(self)
    }
    fn constants(&self, p: f64, out: &mut [f64]) {
        Dual::constants(self, p, out);
    }
    fn homogeneity(&self) -> Option<u32> {
        Dual::homogeneity(self)
    }
    fn pair(&self, x: Pair<f64>) -> Image<f64> {
        let mut row = vec![0.0; Dual::constants_len(self)];
        let mut col = row.clone();
        Dual::constants(self, x.p, &mut row);
        Dual::constants(self, x.q, &mut col);
        let r = Dual::variance(self, x.p).sqrt() * Dual::variance(self, x.q).sqrt();
        Dual::pair(self, x, r, &Scalars { row: &row, col: &col })
    }
    fn tile_f32(&self, isa: Isa, tile: TileMut<'_, f32>) {
        isa.run(Apply { dual: self, tile });
    }
    fn tile_f64(&self, isa: Isa, tile: TileMut<'_, f64>) {
        isa.run(Apply { dual: self, tile });
    }
    fn slope_constants_len(&self) -> usize {
        Dual::slope_constants_len(self)
    }
    fn slope_constants(&self, p: f64, out: &mut [f64]) {
        Dual::slope_constants(self, p, out);
    }
    fn partials(&self, x: Pair<f64>) -> Option<Partials<f64>> {
        let [of, slopes] = [Dual::constants, Dual::slope_constants].map(|fill| {
            let len = Dual::constants_len(self).max(Dual::slope_constants_len(self));
            [x.p, x.q].map(|p| {
                let mut out = vec![0.0; len];
                fill(self, p, &mut out);
                out
            })
        });
        let r = Dual::variance(self, x.p).sqrt() * Dual::variance(self, x.q).sqrt();
        let [of, slopes] = [&of, &slopes].map(|[row, col]| Scalars { row, col });
        Dual::partials(self, x, r, &of, &slopes)
    }
    fn partials_tile(&self, isa: Isa, tile: PartialsMut<'_>) {
        isa.run(partials::Apply { dual: self, tile });
    }
    fn plane_f32(&self, isa: Isa, plane: &mut PlaneMut<'_, f32>) {
        isa.run(plane::Apply { dual: self, plane });
    }
    fn plane_f64(&self, isa: Isa, plane: &mut PlaneMut<'_, f64>) {
        isa.run(plane::Apply { dual: self, plane });
    }
}

/// Constants of one pair.
struct Scalars<'a> {
    row: &'a [f64],
    col: &'a [f64],
}

impl Constants<f64> for Scalars<'_> {
    fn row(&self, i: usize) -> f64 {
        self.row[i]
    }
    fn col(&self, i: usize) -> f64 {
        self.col[i]
    }
}

/// Constants of one row and a register of columns.
pub(super) struct Registers<'a, V, T> {
    pub simd: V,
    pub rows: &'a [T],
    pub row: usize,
    pub row_len: usize,
    pub cols: &'a [T],
    pub col: usize,
    pub col_len: usize,
}

impl<V: Vector, T: Element> Constants<T::Lanes<V>> for Registers<'_, V, T> {
    #[inline(always)]
    fn row(&self, i: usize) -> T::Lanes<V> {
        T::Lanes::<V>::splat(self.simd, self.rows[i * self.row_len + self.row])
    }
    #[inline(always)]
    fn col(&self, i: usize) -> T::Lanes<V> {
        T::Lanes::<V>::load(self.simd, &self.cols[i * self.col_len + self.col..])
    }
}

struct Apply<'a, D, T> {
    dual: &'a D,
    tile: TileMut<'a, T>,
}

impl<D: Dual, T: Element> Kernel for Apply<'_, D, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let TileMut { c, delta, t, rows, cols } = self.tile;
        let (n, m) = (rows.p.len(), cols.p.len());
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        for i in 0..n {
            let p = T::Lanes::<V>::splat(simd, rows.p[i]);
            let sp = T::Lanes::<V>::splat(simd, rows.sp[i]);
            let out_sp = T::Lanes::<V>::splat(simd, rows.out_sp[i]);
            for j in (0..m).step_by(lanes) {
                let at = i * m + j;
                let load = |from: &[T]| T::Lanes::<V>::load(simd, from);
                let x = Pair {
                    c: load(&c[at..]),
                    p,
                    q: load(&cols.p[j..]),
                    sp,
                    sq: load(&cols.sp[j..]),
                    delta: load(&delta[at..]),
                };
                let r = out_sp * load(&cols.out_sp[j..]);
                let constants = Registers {
                    simd,
                    rows: rows.constants,
                    row: i,
                    row_len: n,
                    cols: cols.constants,
                    col: j,
                    col_len: m,
                };
                let image = self.dual.pair(x, r, &constants);
                image.k.store(&mut c[at..]);
                image.delta.store(&mut delta[at..]);
                if !t.is_empty() {
                    (load(&t[at..]) * image.kdot).store(&mut t[at..]);
                }
            }
        }
    }
}
