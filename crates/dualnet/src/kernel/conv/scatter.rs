//! Entries of a plane on their way to the planes of the next segment: pooling, strides, missing padding.

use super::planes::{Plane, State};
use super::program::{Halves, PAD, Scatter};
use crate::kernel::Float;
use crate::simd::{Isa, Kernel, Lanes, Vector, view};

/// Adds the entries of the plane whose offsets have the numbers `(u, v)` to the planes of `to`.
pub fn scatter<T: Float>(
    isa: Isa,
    scatter: &Scatter,
    (u, v): (usize, usize),
    width: usize,
    plane: &mut Plane<T>,
    to: &mut State<T>,
) {
    let (c, t) = plane.both();
    for (from, to_values) in [(c, &mut to.c), (t, &mut to.t)] {
        if from.is_empty() {
            continue;
        }
        match &scatter.halves {
            Some(halves) => {
                isa.run(&mut Halve { half: scatter.behind.cols, halves, at: (u, v), width, from, to: to_values })
            }
            None => general(scatter, (u, v), width, from, to_values),
        }
    }
}

/// Any map, entry by entry: 1 to 2 ns each.
fn general<T: Float>(scatter: &Scatter, (u, v): (usize, usize), width: usize, from: &[T], to: &mut [T]) {
    let (stride, new_width, rows) = (scatter.behind.stride(), scatter.behind.cols, scatter.wanted.rows.len());
    for row in &scatter.row_entries[u] {
        let from = &from[row.from * width..(row.from + 1) * width];
        let weight = T::from_f64(row.weight);
        for entry in &scatter.col_entries[v] {
            let at = (entry.plane * rows + row.plane) * stride + row.to * new_width + entry.to;
            to[at] = T::from_f64(entry.weight) * weight * from[entry.from] + to[at];
        }
    }
}

/// Windows of two columns: even columns go to one plane, odd ones to the next or the same.
struct Halve<'a, T> {
    /// New columns.
    half: usize,
    halves: &'a Halves,
    at: (usize, usize),
    width: usize,
    from: &'a [T],
    to: &'a mut [T],
}

impl<T: Float> Kernel for &mut Halve<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let (halves, (u, v), width, from) = (self.halves, self.at, self.width, self.from);
        let to = &mut *self.to;
        let half = self.half;
        // The last register of a row keeps off the next row.
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let mut mask = [T::default(); PAD];
        for place in mask.iter_mut().take(half % lanes) {
            *place = T::from_f64(1.0);
        }
        let mask = T::Lanes::<V>::load(simd, &mask);
        let (count, ragged) = (half.div_ceil(lanes), half % lanes > 0);
        let planes = halves.planes[v];
        for (row, sources) in &halves.rows[u] {
            let first = view::<V, T>(from, sources[0] * width, 2 * count);
            let (second, rest) = match &sources[1..] {
                [] => (None, &[][..]),
                [second, rest @ ..] => (Some(view::<V, T>(from, second * width, 2 * count)), rest),
            };
            for k in 0..count {
                let mut low = T::Lanes::<V>::of(simd, first[2 * k]);
                let mut high = T::Lanes::<V>::of(simd, first[2 * k + 1]);
                if let Some(second) = second {
                    low = low + T::Lanes::<V>::of(simd, second[2 * k]);
                    high = high + T::Lanes::<V>::of(simd, second[2 * k + 1]);
                }
                for row in rest {
                    let next = view::<V, T>(from, row * width, 2 * count);
                    low = low + T::Lanes::<V>::of(simd, next[2 * k]);
                    high = high + T::Lanes::<V>::of(simd, next[2 * k + 1]);
                }
                let (mut evens, mut odds) = low.unzip(high);
                if ragged && k + 1 == count {
                    (evens, odds) = (evens * mask, odds * mask);
                }
                let at = row + k * lanes;
                match planes {
                    [Some(a), Some(b)] if a == b => add::<V, T>(simd, evens + odds, to, a + at),
                    [a, b] => {
                        if let Some(a) = a {
                            add::<V, T>(simd, evens, to, a + at);
                        }
                        if let Some(b) = b {
                            add::<V, T>(simd, odds, to, b + at);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add<V: Vector, T: Float>(simd: V, values: T::Lanes<V>, to: &mut [T], at: usize) {
    let to = &mut to[at..at + <T::Lanes<V> as Lanes<V, T>>::LANES];
    (T::Lanes::<V>::load(simd, to) + values).store(to);
}
