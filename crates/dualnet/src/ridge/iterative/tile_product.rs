//! A tile times two blocks of vectors on registers: `y_i += T x_j` and `y_j += T^T x_i` in one reading of T.
//!
//! Vectors lie column by column within a block: `c` runs of `side` numbers. Eight rows of T stay in the first-level cache while all
//! columns pass, one at a time: eight registers of inner products along the rows, eight of weights, and for `T^T x` one of sums
//! that is loaded and stored once for eight rows. Nothing depends on the columns beside it, by a bit.

use crate::simd::{Element, Kernel, Lanes, Real, Register, Vector, view, view_mut};

/// Rows at a time, at most.
const MOST: usize = 8;
/// Lanes of the widest register.
const WIDEST: usize = 16;

/// What of a tile is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sides {
    /// `y_i += T x_j`.
    Rows,
    /// `y_j += T^T x_i`.
    Columns,
    /// Both.
    Both,
}

/// Memory of one thread.
#[derive(Debug)]
pub(super) struct Strip<A> {
    rows: Aligned<A>,
    sums: Aligned<A>,
}

impl<A: Element> Strip<A> {
    /// For tiles of `side` and blocks of at most `columns` vectors.
    pub(super) fn new(side: usize, columns: usize) -> Self {
        Self { rows: Aligned::zeros(MOST * side), sums: Aligned::zeros(columns * side) }
    }
}

/// One product: a tile of T, vectors and sums of products in A, results in f64.
#[derive(Debug)]
pub(super) struct TileProduct<'a, T, A> {
    pub(super) tile: &'a [T],
    pub(super) side: usize,
    pub(super) columns: usize,
    pub(super) sides: Sides,
    /// Vectors of the block of the tile's rows; not read for [`Sides::Rows`].
    pub(super) xi: &'a [A],
    /// Vectors of the block of the tile's columns; not read for [`Sides::Columns`].
    pub(super) xj: &'a [A],
    /// Not written for [`Sides::Columns`].
    pub(super) yi: &'a mut [f64],
    /// Not written for [`Sides::Rows`].
    pub(super) yj: &'a mut [f64],
    pub(super) strip: &'a mut Strip<A>,
}

impl<T: Element, A: Element> Kernel for &mut TileProduct<'_, T, A> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        match self.sides {
            Sides::Rows => sweep::<V, T, A, true, false>(simd, self),
            Sides::Columns => sweep::<V, T, A, false, true>(simd, self),
            Sides::Both => sweep::<V, T, A, true, true>(simd, self),
        }
    }
}

#[inline(always)]
fn sweep<V: Vector, T: Element, A: Element, const ALONG: bool, const DOWN: bool>(
    simd: V,
    p: &mut TileProduct<'_, T, A>,
) {
    // Inner products and weights of all rows stay in registers, of which there are 32 of 64 bytes, or 16.
    match <A::Lanes<V> as Lanes<V, A>>::LANES * size_of::<A>() {
        64 => strips::<V, T, A, MOST, ALONG, DOWN>(simd, p),
        _ => strips::<V, T, A, 4, ALONG, DOWN>(simd, p),
    }
}

#[inline(always)]
fn strips<V: Vector, T: Element, A: Element, const R: usize, const ALONG: bool, const DOWN: bool>(
    simd: V,
    p: &mut TileProduct<'_, T, A>,
) {
    let (side, columns) = (p.side, p.columns);
    let Strip { rows, sums } = &mut *p.strip;
    let (rows, sums) = (&mut rows.get()[..R * side], &mut sums.get()[..columns * side]);
    if DOWN {
        sums.fill(A::default());
    }
    for (strip, tile) in p.tile.chunks_exact(R * side).enumerate() {
        for (to, from) in rows.iter_mut().zip(tile) {
            *to = A::from_f64(from.to_f64());
        }
        for k in 0..columns {
            let column = k * side..(k + 1) * side;
            let mut dots = [A::Lanes::<V>::splat(simd, A::default()); R];
            let mut weights = dots;
            if DOWN {
                for (w, x) in weights.iter_mut().zip(&p.xi[column.clone()][strip * R..]) {
                    *w = A::Lanes::<V>::splat(simd, *x);
                }
            }
            let x = if ALONG { &p.xj[column.clone()] } else { &rows[..side] };
            strip_times_vector::<V, A, R, ALONG, DOWN>(simd, rows, x, &weights, &mut dots, &mut sums[column.clone()]);
            if ALONG {
                let to = &mut p.yi[column][strip * R..][..R];
                for (dots, to) in dots.chunks_exact(4).zip(to.chunks_exact_mut(4)) {
                    let totals = totals::<V, A>([dots[0], dots[1], dots[2], dots[3]]);
                    to.iter_mut().zip(totals).for_each(|(to, total)| *to += total.to_f64());
                }
            }
        }
    }
    if DOWN {
        for (to, from) in p.yj.iter_mut().zip(sums.iter()) {
            *to += from.to_f64();
        }
    }
}

/// `dots += rows x`, lane by lane, and `sums += rows^T weights`.
#[inline(always)]
fn strip_times_vector<V: Vector, A: Element, const R: usize, const ALONG: bool, const DOWN: bool>(
    simd: V,
    rows: &[A],
    x: &[A],
    weights: &[A::Lanes<V>; R],
    dots: &mut [A::Lanes<V>; R],
    sums: &mut [A],
) {
    let side = x.len();
    let count = side / <A::Lanes<V> as Lanes<V, A>>::LANES;
    let mut t: [&[Register<V, A>]; R] = [&[]; R];
    for (r, t) in t.iter_mut().enumerate() {
        *t = view::<V, A>(rows, r * side, count);
    }
    let (x, sums) = (view::<V, A>(x, 0, count), view_mut::<V, A>(sums, 0, count));
    let mut found = *dots;
    for v in 0..count {
        let x = A::Lanes::<V>::of(simd, x[v]);
        let mut sum = A::Lanes::<V>::of(simd, sums[v]);
        for r in 0..R {
            let entry = A::Lanes::<V>::of(simd, t[r][v]);
            if ALONG {
                found[r] = entry.mul_add(x, found[r]);
            }
            if DOWN {
                sum = entry.mul_add(weights[r], sum);
            }
        }
        if DOWN {
            sums[v] = sum.register();
        }
    }
    *dots = found;
}

/// The sums of the lanes of four registers.
#[inline(always)]
fn totals<V: Vector, A: Element>(dots: [A::Lanes<V>; 4]) -> [A; WIDEST] {
    let lanes = <A::Lanes<V> as Lanes<V, A>>::LANES;
    let mut out = [A::default(); WIDEST];
    if lanes < 4 {
        for (r, dot) in dots.into_iter().enumerate() {
            let mut parts = [A::default(); WIDEST];
            dot.store(&mut parts[..lanes]);
            out[r] = A::from_f64(parts[..lanes].iter().map(|p| p.to_f64()).sum());
        }
        return out;
    }
    // Neighbours are added, and what two registers leave is packed into one, until each sum has one lane.
    let mut sum = pairs::<V, A>(pairs::<V, A>(dots[0], dots[1]), pairs::<V, A>(dots[2], dots[3]));
    let mut each = lanes / 4;
    while each > 1 {
        sum = pairs::<V, A>(sum, sum);
        each /= 2;
    }
    sum.store(&mut out[..lanes]);
    out
}

/// Sums of neighbouring lanes: those of `a`, then those of `b`.
#[inline(always)]
fn pairs<V: Vector, A: Element>(a: A::Lanes<V>, b: A::Lanes<V>) -> A::Lanes<V> {
    let (even, odd) = a.unzip(b);
    even + odd
}

/// Numbers that begin at a cache line: loads of the widest registers touch one line each.
#[derive(Debug)]
pub(super) struct Aligned<A> {
    data: Vec<A>,
    first: usize,
    len: usize,
}

impl<A: Copy + Default> Aligned<A> {
    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        const LINE: usize = 64;
        let data = vec![A::default(); len + LINE / size_of::<A>().max(1)];
        // Where the distance cannot be told, any place is right, only slower.
        let first = data.as_ptr().align_offset(LINE).min(data.len() - len);
        Self { data, first, len }
    }
    /// The numbers.
    pub(super) fn get(&mut self) -> &mut [A] {
        &mut self.data[self.first..self.first + self.len]
    }
    /// The numbers, to be read.
    pub(super) fn as_slice(&self) -> &[A] {
        &self.data[self.first..self.first + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;

    fn number(i: usize) -> f64 {
        ((i * 7919 + 13) % 2003) as f64 / 1001.5 - 1.0
    }

    /// Against plain sums, for every instruction set, precision, side to compute and number of columns.
    fn agrees<T: Element, A: Element>(tolerance: f64) {
        let side = 256;
        for columns in [1, 2, 3, 4, 7, 10] {
            let tile: Vec<T> = (0..side * side).map(|i| T::from_f64(number(i))).collect();
            let x = |start: usize| (0..columns * side).map(|i| A::from_f64(number(start + i))).collect::<Vec<A>>();
            let (xi, xj) = (x(5), x(77));
            for isa in Isa::available() {
                for sides in [Sides::Rows, Sides::Columns, Sides::Both] {
                    let (mut yi, mut yj) = (vec![1.0; columns * side], vec![1.0; columns * side]);
                    let mut strip = Strip::new(side, columns);
                    isa.run(&mut TileProduct {
                        tile: &tile,
                        side,
                        columns,
                        sides,
                        xi: &xi,
                        xj: &xj,
                        yi: &mut yi,
                        yj: &mut yj,
                        strip: &mut strip,
                    });
                    for k in 0..columns {
                        for r in 0..side {
                            let dot = |entry: &dyn Fn(usize) -> f64, x: &[A]| {
                                1.0 + (0..side).map(|j| entry(j) * x[k * side + j].to_f64()).sum::<f64>()
                            };
                            let along = dot(&|j| tile[r * side + j].to_f64(), &xj);
                            let down = dot(&|j| tile[j * side + r].to_f64(), &xi);
                            let along = if sides == Sides::Columns { 1.0 } else { along };
                            let down = if sides == Sides::Rows { 1.0 } else { down };
                            let error = (yi[k * side + r] - along).abs();
                            assert!(error < tolerance, "{isa:?} {sides:?} {columns} {r}: {error}");
                            assert!((yj[k * side + r] - down).abs() < tolerance, "{isa:?} {sides:?} {columns} {r}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn products_are_those_of_plain_sums() {
        agrees::<f64, f64>(1e-12);
        agrees::<f32, f64>(1e-12);
        agrees::<f32, f32>(1e-4);
    }
}
