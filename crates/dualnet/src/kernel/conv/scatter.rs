//! Entries of a plane on their way to the planes of the next segment: pooling, strides, missing padding.

use super::planes::{Plane, State};
use super::program::{PAD, Scatter};
use crate::kernel::Float;
use crate::simd::{Isa, Kernel, Lanes, Vector, view, view_mut};

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
            Some(planes) => isa.run(Halve { scatter, u, planes: planes[v], width, from, to: to_values }),
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
    scatter: &'a Scatter,
    u: usize,
    planes: [Option<usize>; 2],
    width: usize,
    from: &'a [T],
    to: &'a mut [T],
}

impl<T: Float> Kernel for Halve<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { scatter, u, planes, width, from, to } = self;
        let (stride, half, rows) = (scatter.behind.stride(), scatter.behind.cols, scatter.wanted.rows.len());
        // The last register of a row keeps off the next row.
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let mut mask = [T::default(); PAD];
        for place in mask.iter_mut().take((half - 1) % lanes + 1) {
            *place = T::from_f64(1.0);
        }
        let mask = T::Lanes::<V>::load(simd, &mask);
        let count = half.div_ceil(lanes);
        for row in &scatter.row_entries[u] {
            let from = view::<V, T>(from, row.from * width, 2 * count);
            let at = |plane: usize| (plane * rows + row.plane) * stride + row.to * half;
            match planes {
                [Some(a), Some(b)] if a == b => {
                    add::<V, T, BOTH>(simd, from, view_mut::<V, T>(to, at(a), count), mask);
                }
                [a, b] => {
                    if let Some(a) = a {
                        add::<V, T, EVEN>(simd, from, view_mut::<V, T>(to, at(a), count), mask);
                    }
                    if let Some(b) = b {
                        add::<V, T, ODD>(simd, from, view_mut::<V, T>(to, at(b), count), mask);
                    }
                }
            }
        }
    }
}

const EVEN: u8 = 1;
const ODD: u8 = 2;
const BOTH: u8 = EVEN | ODD;

/// Adds the columns of even or odd number, or both, of a row to another row; `mask` limits the last register.
#[inline(always)]
fn add<V: Vector, T: Float, const WHICH: u8>(
    simd: V,
    from: &[<T::Lanes<V> as Lanes<V, T>>::Register],
    to: &mut [<T::Lanes<V> as Lanes<V, T>>::Register],
    mask: T::Lanes<V>,
) {
    let last = to.len() - 1;
    for (k, (to, from)) in to.iter_mut().zip(from.as_chunks::<2>().0).enumerate() {
        let (even, odd) = T::Lanes::<V>::of(simd, from[0]).unzip(T::Lanes::<V>::of(simd, from[1]));
        let mut sum = match WHICH {
            EVEN => even,
            ODD => odd,
            _ => even + odd,
        };
        if k == last {
            sum = sum * mask;
        }
        *to = (T::Lanes::<V>::of(simd, *to) + sum).register();
    }
}
