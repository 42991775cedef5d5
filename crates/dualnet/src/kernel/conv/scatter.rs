//! Entries of a plane on their way to the planes of the next segment: pooling, strides, missing padding.

use super::planes::{Plane, State};
use super::program::{PAD, Scatter};
use crate::kernel::Float;
use crate::simd::{Isa, Kernel, Lanes, Vector};

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
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let (stride, half, rows) = (scatter.behind.stride(), scatter.behind.cols, scatter.wanted.rows.len());
        // The last register of a row keeps off the next row.
        let mut mask = [T::default(); PAD];
        for place in mask.iter_mut().take(if half % lanes == 0 { lanes } else { half % lanes }) {
            *place = T::from_f64(1.0);
        }
        let mask = T::Lanes::<V>::load(simd, &mask);
        for row in &scatter.row_entries[u] {
            let from = &from[row.from * width..];
            for r in (0..half).step_by(lanes) {
                let low = T::Lanes::<V>::load(simd, &from[2 * r..]);
                let (mut even, mut odd) = low.unzip(T::Lanes::<V>::load(simd, &from[2 * r + lanes..]));
                if r + lanes > half {
                    (even, odd) = (even * mask, odd * mask);
                }
                match planes {
                    [Some(a), Some(b)] if a == b => {
                        add::<V, T>(simd, even + odd, to, (a * rows + row.plane) * stride + row.to * half + r);
                    }
                    [a, b] => {
                        if let Some(a) = a {
                            add::<V, T>(simd, even, to, (a * rows + row.plane) * stride + row.to * half + r);
                        }
                        if let Some(b) = b {
                            add::<V, T>(simd, odd, to, (b * rows + row.plane) * stride + row.to * half + r);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add<V: Vector, T: Float>(simd: V, values: T::Lanes<V>, to: &mut [T], at: usize) {
    (T::Lanes::<V>::load(simd, &to[at..]) + values).store(&mut to[at..]);
}
