//! Convolution within a plane: sums along the rows, then along the columns, then the affine map.
//!
//! Entries of a plane lie row behind row, so that a register may span rows and no width wastes lanes; masks keep neighbours of other
//! rows out. Rows above and below the cut of the plane are summed apart, with rows of zeros between.

use super::axis::{Edge, Shift};
use super::planes::Plane;
use super::program::{Affine, Conv, Grid, PAD};
use crate::kernel::Float;
use crate::simd::{Isa, Kernel, Lanes, Real, Vector};

/// Sums along rows.
#[derive(Clone, Debug)]
pub struct Sums<T> {
    c: Vec<T>,
    t: Vec<T>,
}

impl<T: Float> Sums<T> {
    /// Of `len` entries.
    pub fn new(len: usize, with_t: bool) -> Self {
        Self { c: vec![T::default(); len], t: vec![T::default(); if with_t { len } else { 0 }] }
    }
}

/// The neighbours along a row at one offset.
#[derive(Clone, Debug)]
pub struct Masks<T> {
    own: f64,
    shifts: Vec<(isize, Vec<T>)>,
}

impl<T: Float> Masks<T> {
    /// At column offset `v`.
    pub fn new(conv: &Conv, v: usize) -> Self {
        let (own, shifts) = conv.cols.shifts(v);
        let n = conv.cols.n;
        let pattern = |shift: Shift| {
            let mask = (0..n + PAD).map(|j| T::from_f64(if shift.mask[j % n] { 1.0 } else { 0.0 })).collect();
            (shift.by, mask)
        };
        Self { own: own as f64, shifts: shifts.into_iter().map(pattern).collect() }
    }
}

/// Rows `from .. to` of a plane, summed along rows into row `at` of the sums and on.
#[derive(Clone, Copy)]
struct Piece {
    from: usize,
    to: usize,
    at: usize,
}

/// Convolves a plane in place.
pub fn convolve<T: Float>(
    isa: Isa,
    (conv, grid, u): (&Conv, Grid, usize),
    masks: &Masks<T>,
    plane: &mut Plane<T>,
    sums: &mut Sums<T>,
) {
    let (h, low, high) = (grid.rows, conv.rows.low, conv.rows.high);
    let gap = low.max(high);
    let cut = if conv.rows.edge == Edge::Wrap { h } else { h - u };
    let pieces = [Piece { from: 0, to: cut, at: low }, Piece { from: cut, to: h, at: low + cut + gap }];
    let pieces = if cut < h { &pieces[..] } else { &pieces[..1] };
    along_rows(isa, (conv, grid), masks, pieces, (&plane.c, plane.margin), &mut sums.c);
    let with_t = !plane.t.is_empty() && !conv.affine.first;
    if with_t {
        along_rows(isa, (conv, grid), masks, pieces, (&plane.t, plane.margin), &mut sums.t);
    }
    let taps = low + high + 1;
    let area = taps * (conv.cols.low + conv.cols.high + 1);
    for piece in pieces {
        let (c, t) = plane.both();
        let sums = (&sums.c[..], if with_t { &sums.t[..] } else { &[][..] });
        isa.run(AlongColumns { taps, low, area, width: grid.cols, piece: *piece, affine: &conv.affine, sums, c, t });
    }
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
        isa.run(AlongRows { masks, width: w, margin, piece: *piece, from, sums });
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

impl<T: Float> Kernel for AlongRows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { masks, width, margin, piece, from, sums } = self;
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let (first, to) = (margin + piece.from * width, piece.at * width);
        let len = (piece.to - piece.from) * width;
        let own = T::Lanes::<V>::splat(simd, T::from_f64(masks.own));
        let (step, mut phase) = (lanes % width, 0);
        // Neighbours on both sides are the common case.
        if let [(a, left), (b, right)] = &masks.shifts[..]
            && masks.own == 1.0
        {
            let (before, behind) = (first.wrapping_add_signed(*a), first.wrapping_add_signed(*b));
            for e in (0..len).step_by(lanes) {
                let sum = T::Lanes::<V>::load(simd, &from[first + e..]);
                let mask = T::Lanes::<V>::load(simd, &left[phase..]);
                let sum = mask.mul_add(T::Lanes::<V>::load(simd, &from[before + e..]), sum);
                let mask = T::Lanes::<V>::load(simd, &right[phase..]);
                mask.mul_add(T::Lanes::<V>::load(simd, &from[behind + e..]), sum).store(&mut sums[to + e..]);
                phase += step;
                phase -= if phase >= width { width } else { 0 };
            }
            return;
        }
        for e in (0..len).step_by(lanes) {
            let mut sum = T::Lanes::<V>::load(simd, &from[first + e..]) * own;
            for (by, mask) in &masks.shifts {
                let neighbour = T::Lanes::<V>::load(simd, &from[(first + e).wrapping_add_signed(*by)..]);
                sum = T::Lanes::<V>::load(simd, &mask[phase..]).mul_add(neighbour, sum);
            }
            sum.store(&mut sums[to + e..]);
            phase += step;
            phase -= if phase >= width { width } else { 0 };
        }
    }
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

impl<T: Float> Kernel for AlongColumns<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let Self { taps, low, area, width, piece, affine, sums, c, t } = self;
        let (from, to) = ((piece.at - low) * width, piece.from * width);
        let rule = Rule::<T::Lanes<V>>::new(T::Lanes::<V>::splat(simd, T::default()), affine, 1.0 / area as f64);
        for e in (0..(piece.to - piece.from) * width).step_by(lanes) {
            let sum = column::<V, T>(simd, sums.0, from + e, taps, width);
            let out = rule.c(sum);
            out.store(&mut c[to + e..]);
            if !t.is_empty() {
                let sum_t = match sums.1.is_empty() {
                    true => T::Lanes::<V>::splat(simd, T::default()),
                    false => column::<V, T>(simd, sums.1, from + e, taps, width),
                };
                rule.t(sum, sum_t, out).store(&mut t[to + e..]);
            }
        }
    }
}

/// The sum of `taps` entries, `width` apart.
#[inline(always)]
fn column<V: Vector, T: Float>(simd: V, sums: &[T], from: usize, taps: usize, width: usize) -> T::Lanes<V> {
    let mut sum = T::Lanes::<V>::load(simd, &sums[from..]);
    if taps == 3 {
        sum = sum + T::Lanes::<V>::load(simd, &sums[from + width..]);
        return sum + T::Lanes::<V>::load(simd, &sums[from + 2 * width..]);
    }
    for d in 1..taps {
        sum = sum + T::Lanes::<V>::load(simd, &sums[from + d * width..]);
    }
    sum
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
    /// t' = carry t + c', as in the NTK parameterization.
    plain: bool,
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
            plain: g.from_input == 0.0 && g.constant == 0.0 && g.from_output == 1.0,
        }
    }
    /// c'.
    #[inline(always)]
    pub fn c(&self, sum: R) -> R {
        sum.mul_add(self.w2, self.b2)
    }
    /// t', from both sums and c'.
    #[inline(always)]
    pub fn t(&self, sum: R, sum_t: R, out: R) -> R {
        if self.plain {
            return sum_t.mul_add(self.carry, out);
        }
        let own = self.from_input.mul_add(sum, self.constant);
        self.carry.mul_add(sum_t, self.from_output.mul_add(out, own))
    }
}
