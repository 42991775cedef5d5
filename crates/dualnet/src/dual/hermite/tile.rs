//! Hermite expansions on whole tiles.
//!
//! Where the leading columns of a tile and all its rows have the same constants (inputs of equal norm), the running sums of
//! the series are numbers of the tile, and a term costs two fused multiply-adds. Elsewhere a term costs a product and a sum
//! more. Both do the same operations in the same order on a pair, so a pair has the same bits in either.

// Blocks of registers are counted, not iterated: an iterator's closures would leave the instruction set.
#![allow(clippy::needless_range_loop)]

use super::series::{Outside, Shape, Sums, excess};
use super::{INVERSE, LINEAR, MEAN, SERIES, SNAPPED, TURN};
use crate::dual::{Pair, Side, TileMut};
use crate::simd::{Element, Kernel, Lanes, Vector};
use std::marker::PhantomData;

pub(super) struct Apply<'a, T, S> {
    pub tile: TileMut<'a, T>,
    pub terms: usize,
    pub shape: PhantomData<S>,
}

impl<T: Element, S: Shape> Kernel for Apply<'_, T, S> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let Self { mut tile, terms, .. } = self;
        let (n, m) = (tile.rows.p.len(), tile.cols.p.len());
        if n == 0 || m == 0 {
            return;
        }
        let equal = equal_columns(&tile.rows, &tile.cols, SERIES + terms) / lanes * lanes;
        if equal > 0 {
            uniform::<V, T, S>(simd, &mut tile, terms, equal);
        }
        let mut i = 0;
        // Four rows share each load of a column's constants; machines with 16 registers hold two.
        while lanes * size_of::<T>() >= 64 && i + 4 <= n {
            general::<V, T, S, 4>(simd, &mut tile, terms, i, equal);
            i += 4;
        }
        while i + 2 <= n {
            general::<V, T, S, 2>(simd, &mut tile, terms, i, equal);
            i += 2;
        }
        if i < n {
            general::<V, T, S, 1>(simd, &mut tile, terms, i, equal);
        }
    }
}

/// How many leading columns share all constants with all rows.
#[inline(always)]
fn equal_columns<T: Element>(rows: &Side<'_, T>, cols: &Side<'_, T>, constants: usize) -> usize {
    let (n, m) = (rows.p.len(), cols.p.len());
    let mut equal = m;
    for c in 0..constants {
        let (rows, cols) = (&rows.constants[c * n..][..n], &cols.constants[c * m..][..equal]);
        let first = rows[0];
        if rows.iter().any(|&x| x != first) {
            return 0;
        }
        equal = cols.iter().position(|&x| x != first).unwrap_or(equal);
        if equal == 0 {
            return 0;
        }
    }
    equal
}

// Plain functions, not closures: a closure would not inherit the instruction set.
#[inline(always)]
fn load<V: Vector, T: Element>(simd: V, from: &[T], at: usize) -> T::Lanes<V> {
    T::Lanes::<V>::load(simd, &from[at..])
}

#[inline(always)]
fn splat<V: Vector, T: Element>(simd: V, from: &[T], at: usize) -> T::Lanes<V> {
    T::Lanes::<V>::splat(simd, from[at])
}

/// Constants of one row and of a register of columns.
struct Corner<'a, V, T> {
    simd: V,
    rows: Side<'a, T>,
    cols: Side<'a, T>,
    row: usize,
    col: usize,
}

impl<V: Vector, T: Element> Corner<'_, V, T> {
    #[inline(always)]
    fn row(&self, c: usize) -> T::Lanes<V> {
        splat::<V, T>(self.simd, self.rows.constants, c * self.rows.p.len() + self.row)
    }
    #[inline(always)]
    fn col(&self, c: usize) -> T::Lanes<V> {
        load::<V, T>(self.simd, self.cols.constants, c * self.cols.p.len() + self.col)
    }
    #[inline(always)]
    fn product(&self, c: usize) -> T::Lanes<V> {
        self.row(c) * self.col(c)
    }
}

#[inline(always)]
fn load_pair<V: Vector, T: Element>(simd: V, tile: &TileMut<'_, T>, i: usize, j: usize) -> Pair<T::Lanes<V>> {
    let at = i * tile.cols.p.len() + j;
    Pair {
        c: load::<V, T>(simd, tile.c, at),
        p: splat::<V, T>(simd, tile.rows.p, i),
        q: load::<V, T>(simd, tile.cols.p, j),
        sp: splat::<V, T>(simd, tile.rows.sp, i),
        sq: load::<V, T>(simd, tile.cols.sp, j),
        delta: load::<V, T>(simd, tile.delta, at),
    }
}

/// The argument y of the series. Loads what it needs anew: few registers should live through the recurrence.
#[inline(always)]
fn argument<V: Vector, T: Element, S: Shape>(simd: V, tile: &TileMut<'_, T>, i: usize, j: usize) -> T::Lanes<V> {
    S::argument(load_pair(simd, tile, i, j).rho())
}

#[inline(always)]
fn store<V: Vector, T: Element, S: Shape>(
    simd: V,
    tile: &mut TileMut<'_, T>,
    (i, j): (usize, usize),
    x: &Pair<T::Lanes<V>>,
    outside: Outside<T::Lanes<V>>,
    sums: Sums<T::Lanes<V>>,
) {
    let image = S::image(x, outside, sums);
    let at = i * tile.cols.p.len() + j;
    image.k.store(&mut tile.c[at..]);
    image.delta.store(&mut tile.delta[at..]);
    if !tile.t.is_empty() {
        (load::<V, T>(simd, tile.t, at) * image.kdot).store(&mut tile.t[at..]);
    }
}

/// Registers of a row that are worked on together, so that one's latency hides behind another's work.
const TOGETHER: usize = 4;

#[inline(always)]
fn uniform<V: Vector, T: Element, S: Shape>(simd: V, tile: &mut TileMut<'_, T>, terms: usize, columns: usize) {
    let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
    let n = tile.rows.p.len();
    let at = Corner { simd, rows: tile.rows, cols: tile.cols, row: 0, col: 0 };
    let zero = T::Lanes::<V>::splat(simd, T::default());
    let mut tails = Vec::with_capacity(terms);
    let mut total = zero;
    for i in (0..terms).rev() {
        total = total + at.product(SERIES + i);
        if i >= S::FIRST {
            tails.push(total);
        }
    }
    let outside =
        Outside { mean: at.product(MEAN), linear: at.product(LINEAR), inverse: at.product(INVERSE), excess: zero };
    // The first steps of the recurrence, from 0, are known beforehand.
    let start = Sums { total, g: tails.first().copied().unwrap_or(zero), h: zero };
    let rest = tails.get(1..).unwrap_or_default();
    for i in 0..n {
        let mut j = 0;
        while j + TOGETHER * lanes <= columns {
            let mut y = [zero; TOGETHER];
            for b in 0..TOGETHER {
                y[b] = argument::<V, T, S>(simd, tile, i, j + b * lanes);
            }
            let mut sums = [start; TOGETHER];
            if let Some(&tail) = rest.first() {
                for b in 0..TOGETHER {
                    sums[b] = start.second(y[b], tail);
                }
            }
            for &tail in rest.iter().skip(1) {
                for b in 0..TOGETHER {
                    sums[b].descend(y[b], tail);
                }
            }
            for b in 0..TOGETHER {
                let x = load_pair(simd, tile, i, j + b * lanes);
                store::<V, T, S>(simd, tile, (i, j + b * lanes), &x, outside, sums[b]);
            }
            j += TOGETHER * lanes;
        }
        while j < columns {
            let x = load_pair(simd, tile, i, j);
            let y = argument::<V, T, S>(simd, tile, i, j);
            let mut sums = start;
            for &tail in rest {
                sums.descend(y, tail);
            }
            store::<V, T, S>(simd, tile, (i, j), &x, outside, sums);
            j += lanes;
        }
    }
}

#[inline(always)]
fn general<V: Vector, T: Element, S: Shape, const R: usize>(
    simd: V,
    tile: &mut TileMut<'_, T>,
    terms: usize,
    row: usize,
    from: usize,
) {
    let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
    let (n, m) = (tile.rows.p.len(), tile.cols.p.len());
    let (rows, cols) = (tile.rows, tile.cols);
    let zero = T::Lanes::<V>::splat(simd, T::default());
    for j in (from..m).step_by(lanes) {
        let mut y = [zero; R];
        for b in 0..R {
            y[b] = argument::<V, T, S>(simd, tile, row + b, j);
        }
        let mut sums = [Sums::zero(zero); R];
        for i in (0..terms).rev() {
            let col = load::<V, T>(simd, cols.constants, (SERIES + i) * m + j);
            let own = &rows.constants[(SERIES + i) * n + row..][..R];
            for b in 0..R {
                sums[b].total = sums[b].total + T::Lanes::<V>::splat(simd, own[b]) * col;
            }
            if i >= S::FIRST {
                for b in 0..R {
                    let tail = sums[b].total;
                    sums[b].descend(y[b], tail);
                }
            }
        }
        let out_sq = load::<V, T>(simd, cols.out_sp, j);
        for b in 0..R {
            let at = Corner { simd, rows, cols, row: row + b, col: j };
            let x = load_pair(simd, tile, row + b, j);
            let (mean, linear) = (at.product(MEAN), at.product(LINEAR));
            let norms = splat::<V, T>(simd, rows.out_sp, row + b) * out_sq;
            let at_one = S::at_one(x.r(), mean, linear, sums[b].total);
            let excess = excess(norms, at_one, at.row(TURN) + at.col(TURN), at.row(SNAPPED) - at.col(SNAPPED));
            let outside = Outside { mean, linear, inverse: at.product(INVERSE), excess };
            store::<V, T, S>(simd, tile, (row + b, j), &x, outside, sums[b]);
        }
    }
}
