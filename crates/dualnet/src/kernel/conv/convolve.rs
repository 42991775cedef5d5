//! Convolution within a plane: sums along the rows, then along the columns, then the affine map.
//!
//! Entries of a plane lie row behind row, so that a register may span rows and no width wastes lanes; masks keep neighbours of other
//! rows out. Rows above and below the cut of the plane are summed apart, with rows of zeros between.

// Registers are counted, not iterated: an iterator's closures would leave the instruction set.
#![allow(clippy::needless_range_loop)]

use super::axis::Edge;
use super::buffer::Buffer;
use super::planes::Plane;
use super::program::{Affine, Conv, Grid, PAD};
use crate::dual::ThreeRows;
use crate::kernel::Float;
use crate::simd::{Isa, Kernel, Lanes, Real, Register, Vector, view, view_mut};

/// Sums along rows.
#[derive(Debug)]
pub struct Sums<T> {
    c: Buffer<T>,
    t: Buffer<T>,
}

impl<T: Float> Sums<T> {
    /// Of `len` entries.
    pub fn new(len: usize, with_t: bool) -> Self {
        Self { c: Buffer::zeros(len), t: Buffer::zeros(if with_t { len } else { 0 }) }
    }
}

/// The neighbours along a row at one offset: for each of them its distance, and 1 or 0 for each entry of a plane.
#[derive(Debug)]
pub struct Masks<T> {
    own: f64,
    shifts: Vec<(isize, Buffer<T>)>,
}

impl<T> Default for Masks<T> {
    fn default() -> Self {
        Self { own: 0.0, shifts: Vec::new() }
    }
}

impl<T: Float> Masks<T> {
    /// Those of `conv` at column offset `v`, in place of others.
    pub fn fill(&mut self, conv: &Conv, grid: Grid, v: usize) {
        let (own, shifts) = conv.cols.shifts(v);
        self.own = own as f64;
        self.shifts.resize_with(shifts.len(), || (0, Buffer::default()));
        for ((by, mask), shift) in self.shifts.iter_mut().zip(shifts) {
            *by = shift.by;
            mask.reserve(grid.positions() + PAD);
            let (row, others) = mask.split_at_mut(grid.cols);
            for (to, inside) in row.iter_mut().zip(&shift.mask) {
                *to = T::from_f64(if *inside { 1.0 } else { 0.0 });
            }
            others.chunks_exact_mut(grid.cols).for_each(|other| other.copy_from_slice(row));
        }
    }
}

/// Rows `from .. to` of a plane, summed along rows into row `at` of the sums and on.
#[derive(Clone, Copy)]
struct Piece {
    from: usize,
    to: usize,
    at: usize,
}

/// A convolution whose sums along rows are done.
pub struct Summed<'a, T> {
    isa: Isa,
    conv: &'a Conv,
    grid: Grid,
    sums: &'a Sums<T>,
    with_t: bool,
    pieces: [Piece; 2],
    count: usize,
}

/// The sums along rows of a plane with offset `u` along the columns.
pub fn sum_rows<'a, T: Float>(
    isa: Isa,
    (conv, grid, u): (&'a Conv, Grid, usize),
    masks: &Masks<T>,
    plane: &Plane<T>,
    sums: &'a mut Sums<T>,
) -> Summed<'a, T> {
    let (h, low, high) = (grid.rows, conv.rows.low, conv.rows.high);
    let gap = low.max(high);
    let cut = if conv.rows.edge == Edge::Wrap { h } else { h - u };
    let pieces = [Piece { from: 0, to: cut, at: low }, Piece { from: cut, to: h, at: low + cut + gap }];
    let count = if cut < h { 2 } else { 1 };
    along_rows(isa, (conv, grid), masks, &pieces[..count], (&plane.c, plane.margin), &mut sums.c);
    let with_t = !plane.t.is_empty() && !conv.affine.first;
    if with_t {
        along_rows(isa, (conv, grid), masks, &pieces[..count], (&plane.t, plane.margin), &mut sums.t);
    }
    Summed { isa, conv, grid, sums, with_t, pieces, count }
}

impl<T: Float> Summed<'_, T> {
    /// Positions of the kernel.
    #[inline(always)]
    fn area(&self) -> usize {
        (self.conv.rows.low + self.conv.rows.high + 1) * (self.conv.cols.low + self.conv.cols.high + 1)
    }

    /// Fills the plane.
    pub fn finish(&self, plane: &mut Plane<T>) {
        let (low, high) = (self.conv.rows.low, self.conv.rows.high);
        for piece in &self.pieces[..self.count] {
            let (c, t) = plane.both();
            let sums = (&self.sums.c[..], if self.with_t { &self.sums.t[..] } else { &[][..] });
            let (taps, area, width, affine) = (low + high + 1, self.area(), self.grid.cols, &self.conv.affine);
            self.isa.run(&mut AlongColumns { taps, low, area, width, piece: *piece, affine, sums, c, t });
        }
    }

    /// Whether all that is left are three rows of both kernels in the NTK parameterization, the common case: [`Summed::three_rows`].
    pub fn is_three_rows(&self) -> bool {
        self.conv.rows.low + self.conv.rows.high == 2 && self.with_t && is_plain(&self.conv.affine)
    }

    /// Number of pieces of the plane.
    pub fn pieces(&self) -> usize {
        self.count
    }

    /// First entry of a piece, its entries, and what is left to do.
    #[inline(always)]
    pub fn three_rows(&self, piece: usize) -> (usize, usize, ThreeRows<'_, T>) {
        let (width, mean, affine) = (self.grid.cols, 1.0 / self.area() as f64, &self.conv.affine);
        let piece = self.pieces[piece];
        let from = (piece.at - self.conv.rows.low) * width;
        let (c, t) = (&self.sums.c[from..], &self.sums.t[from..]);
        let rows = ThreeRows {
            c: [c, &c[width..], &c[2 * width..]],
            t: [t, &t[width..], &t[2 * width..]],
            w: affine.w2 * mean,
            b: affine.b2,
            carry: affine.tangent.carry * mean,
        };
        (piece.from * width, (piece.to - piece.from) * width, rows)
    }
}

/// Whether t' = carry t + c', as in the NTK parameterization.
fn is_plain(affine: &Affine) -> bool {
    let g = affine.tangent;
    g.from_input == 0.0 && g.constant == 0.0 && g.from_output == 1.0
}

/// Convolves a plane in place.
pub fn convolve<T: Float>(
    isa: Isa,
    at: (&Conv, Grid, usize),
    masks: &Masks<T>,
    plane: &mut Plane<T>,
    sums: &mut Sums<T>,
) {
    sum_rows(isa, at, masks, plane, sums).finish(plane);
}

/// Fills the rows of `sums` that the pieces of a plane need. What the last register of a piece writes beyond it is overwritten, by zeros or
/// by what wraps around.
fn along_rows<T: Float>(
    isa: Isa,
    (conv, grid): (&Conv, Grid),
    masks: &Masks<T>,
    pieces: &[Piece],
    (from, margin): (&[T], usize),
    sums: &mut [T],
) {
    let (h, w, low, high) = (grid.rows, grid.cols, conv.rows.low, conv.rows.high);
    sums[..low * w].fill(T::default());
    for piece in pieces {
        isa.run(&mut AlongRows { masks, width: w, margin, piece: *piece, from, sums });
        let end = (piece.at + piece.to - piece.from) * w;
        sums[end..end + low.max(high) * w + PAD].fill(T::default());
    }
    if conv.rows.edge == Edge::Wrap {
        for row in (0..low).chain(low + h..low + h + high) {
            // The whole multiple of h keeps the difference positive.
            let from = (low + (row + low * h - low) % h) * w;
            sums.copy_within(from..from + w, row * w);
        }
    }
}

struct AlongRows<'a, T> {
    masks: &'a Masks<T>,
    width: usize,
    margin: usize,
    piece: Piece,
    from: &'a [T],
    sums: &'a mut [T],
}

impl<T: Float> Kernel for &mut AlongRows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let (masks, width, margin, piece, from) = (self.masks, self.width, self.margin, self.piece, self.from);
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let start = piece.from * width;
        let first = margin + start;
        let count = ((piece.to - piece.from) * width).div_ceil(lanes);
        let own = view::<V, T>(from, first, count);
        let sums = view_mut::<V, T>(&mut *self.sums, piece.at * width, count);
        // Neighbours on both sides are the common case.
        if let [(a, left), (b, right)] = &masks.shifts[..]
            && masks.own == 1.0
        {
            let before = view::<V, T>(from, first.wrapping_add_signed(*a), count);
            let behind = view::<V, T>(from, first.wrapping_add_signed(*b), count);
            let (left, right) = (view::<V, T>(left, start, count), view::<V, T>(right, start, count));
            // Where rows are one register or two, their masks stay in registers.
            match (width == lanes, width == 2 * lanes) {
                (true, _) => masked::<V, T, 1>(simd, own, before, behind, [left, right], sums),
                (_, true) => masked::<V, T, 2>(simd, own, before, behind, [left, right], sums),
                _ => {
                    for k in 0..count {
                        let (l, r) = (T::Lanes::<V>::of(simd, left[k]), T::Lanes::<V>::of(simd, right[k]));
                        sums[k] = three::<V, T>(simd, own[k], before[k], behind[k], l, r);
                    }
                }
            }
            return;
        }
        let times = T::Lanes::<V>::splat(simd, T::from_f64(masks.own));
        for k in 0..count {
            let e = k * lanes;
            let mut sum = T::Lanes::<V>::of(simd, own[k]) * times;
            for (by, mask) in &masks.shifts {
                let neighbour = T::Lanes::<V>::load(simd, &from[(first + e).wrapping_add_signed(*by)..]);
                sum = T::Lanes::<V>::load(simd, &mask[start + e..]).mul_add(neighbour, sum);
            }
            sums[k] = sum.register();
        }
    }
}

/// Sums of rows of `N` registers.
#[inline(always)]
fn masked<V: Vector, T: Float, const N: usize>(
    simd: V,
    own: &[Register<V, T>],
    before: &[Register<V, T>],
    behind: &[Register<V, T>],
    masks: [&[Register<V, T>]; 2],
    sums: &mut [Register<V, T>],
) {
    let zero = T::Lanes::<V>::splat(simd, T::default());
    let (mut l, mut r) = ([zero; N], [zero; N]);
    for i in 0..N {
        (l[i], r[i]) = (T::Lanes::<V>::of(simd, masks[0][i]), T::Lanes::<V>::of(simd, masks[1][i]));
    }
    let rows = own.as_chunks::<N>().0.iter().zip(before.as_chunks::<N>().0).zip(behind.as_chunks::<N>().0);
    for (((own, before), behind), sums) in rows.zip(sums.as_chunks_mut::<N>().0) {
        for i in 0..N {
            sums[i] = three::<V, T>(simd, own[i], before[i], behind[i], l[i], r[i]);
        }
    }
}

/// An entry and both neighbours that count.
#[inline(always)]
fn three<V: Vector, T: Float>(
    simd: V,
    own: Register<V, T>,
    before: Register<V, T>,
    behind: Register<V, T>,
    left: T::Lanes<V>,
    right: T::Lanes<V>,
) -> Register<V, T> {
    let sum = left.mul_add(T::Lanes::<V>::of(simd, before), T::Lanes::<V>::of(simd, own));
    right.mul_add(T::Lanes::<V>::of(simd, behind), sum).register()
}

struct AlongColumns<'a, T> {
    /// Rows that are summed.
    taps: usize,
    /// Those before the row itself.
    low: usize,
    /// Positions of the kernel.
    area: usize,
    width: usize,
    piece: Piece,
    affine: &'a Affine,
    sums: (&'a [T], &'a [T]),
    c: &'a mut [T],
    t: &'a mut [T],
}

impl<T: Float> Kernel for &mut AlongColumns<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        // Three rows and the NTK parameterization are the common case.
        match (self.taps == 3 && is_plain(self.affine), self.t.is_empty(), self.sums.1.is_empty()) {
            (true, false, false) => self.sum::<V, 3>(simd),
            (true, false, true) => self.first::<V, 3>(simd),
            (true, true, _) => self.nngp::<V, 3>(simd),
            (false, false, false) => self.sum::<V, 0>(simd),
            (false, false, true) => self.first::<V, 0>(simd),
            (false, true, _) => self.nngp::<V, 0>(simd),
        }
    }
}

impl<T: Float> AlongColumns<'_, T> {
    #[inline(always)]
    fn count<V: Vector>(&self) -> usize {
        ((self.piece.to - self.piece.from) * self.width).div_ceil(<T::Lanes<V> as Lanes<V, T>>::LANES)
    }

    #[inline(always)]
    fn rule<V: Vector>(&self, simd: V) -> Rule<T::Lanes<V>> {
        Rule::new(T::Lanes::<V>::splat(simd, T::default()), self.affine, 1.0 / self.area as f64)
    }

    /// The sums along rows of c, or those of t, at the first of the rows that are summed.
    #[inline(always)]
    fn rows<'s, V: Vector, const TAPS: usize>(&self, sums: &'s [T]) -> Rows<'s, V, T, TAPS> {
        let (taps, low, width, piece) = (self.taps, self.low, self.width, self.piece);
        Rows::new(sums, (piece.at - low) * width, (taps, width), self.count::<V>())
    }

    /// Both kernels.
    #[inline(always)]
    fn sum<V: Vector, const TAPS: usize>(&mut self, simd: V) {
        let (count, rule, to) = (self.count::<V>(), self.rule(simd), self.piece.from * self.width);
        let (rows, rows_t) = (self.rows::<V, TAPS>(self.sums.0), self.rows::<V, TAPS>(self.sums.1));
        let (c, t) = (view_mut::<V, T>(&mut *self.c, to, count), view_mut::<V, T>(&mut *self.t, to, count));
        for k in 0..count {
            let sum = rows.sum(simd, k);
            let out = rule.c(sum);
            c[k] = out.register();
            let sum_t = rows_t.sum(simd, k);
            let out = if TAPS == 3 { rule.t_plain(sum_t, out) } else { rule.t(sum, sum_t, out) };
            t[k] = out.register();
        }
    }

    /// Both kernels where t is 0 before.
    #[inline(always)]
    fn first<V: Vector, const TAPS: usize>(&mut self, simd: V) {
        let (count, rule, to) = (self.count::<V>(), self.rule(simd), self.piece.from * self.width);
        let (rows, zero) = (self.rows::<V, TAPS>(self.sums.0), T::Lanes::<V>::splat(simd, T::default()));
        let (c, t) = (view_mut::<V, T>(&mut *self.c, to, count), view_mut::<V, T>(&mut *self.t, to, count));
        for k in 0..count {
            let sum = rows.sum(simd, k);
            let out = rule.c(sum);
            c[k] = out.register();
            t[k] = if TAPS == 3 { out } else { rule.t(sum, zero, out) }.register();
        }
    }

    /// The NNGP alone.
    #[inline(always)]
    fn nngp<V: Vector, const TAPS: usize>(&mut self, simd: V) {
        let (count, rule, to) = (self.count::<V>(), self.rule(simd), self.piece.from * self.width);
        let rows = self.rows::<V, TAPS>(self.sums.0);
        let c = view_mut::<V, T>(&mut *self.c, to, count);
        for k in 0..count {
            c[k] = rule.c(rows.sum(simd, k)).register();
        }
    }
}

/// Entries `width` apart that are summed: three of them, or any number where `TAPS` is 0.
struct Rows<'a, V: Vector, T: Float, const TAPS: usize> {
    three: [&'a [Register<V, T>]; 3],
    sums: &'a [T],
    from: usize,
    taps: usize,
    width: usize,
}

impl<'a, V: Vector, T: Float, const TAPS: usize> Rows<'a, V, T, TAPS> {
    #[inline(always)]
    fn new(sums: &'a [T], from: usize, (taps, width): (usize, usize), count: usize) -> Self {
        let first = view::<V, T>(sums, from, count);
        let three = match TAPS {
            3 => [first, view::<V, T>(sums, from + width, count), view::<V, T>(sums, from + 2 * width, count)],
            _ => [first; 3],
        };
        Self { three, sums, from, taps, width }
    }

    #[inline(always)]
    fn sum(&self, simd: V, k: usize) -> T::Lanes<V> {
        let [a, b, c] = self.three;
        let mut sum = T::Lanes::<V>::of(simd, a[k]);
        if TAPS == 3 {
            return sum + T::Lanes::<V>::of(simd, b[k]) + T::Lanes::<V>::of(simd, c[k]);
        }
        let at = self.from + k * <T::Lanes<V> as Lanes<V, T>>::LANES;
        for d in 1..self.taps {
            sum = sum + T::Lanes::<V>::load(simd, &self.sums[at + d * self.width..]);
        }
        sum
    }
}

/// An affine map of sums over a kernel, in registers.
#[derive(Clone, Copy)]
pub struct Rule<R> {
    w2: R,
    b2: R,
    carry: R,
    from_input: R,
    from_output: R,
    constant: R,
}

impl<R: Real> Rule<R> {
    /// Of sums to be multiplied by `mean`.
    #[inline(always)]
    pub fn new(like: R, affine: &Affine, mean: f64) -> Self {
        let g = affine.tangent;
        Self {
            w2: like.lit(affine.w2 * mean),
            b2: like.lit(affine.b2),
            carry: like.lit(g.carry * mean),
            from_input: like.lit(g.from_input * mean),
            from_output: like.lit(g.from_output),
            constant: like.lit(g.constant),
        }
    }
    /// c'.
    #[inline(always)]
    pub fn c(&self, sum: R) -> R {
        sum.mul_add(self.w2, self.b2)
    }
    /// t' = carry t + c', as in the NTK parameterization.
    #[inline(always)]
    pub fn t_plain(&self, sum_t: R, out: R) -> R {
        sum_t.mul_add(self.carry, out)
    }
    /// t', from both sums and c'.
    #[inline(always)]
    pub fn t(&self, sum: R, sum_t: R, out: R) -> R {
        let own = self.from_input.mul_add(sum, self.constant);
        self.carry.mul_add(sum_t, self.from_output.mul_add(out, own))
    }
}
