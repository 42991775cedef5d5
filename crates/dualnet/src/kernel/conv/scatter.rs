//! Entries of a plane on their way to the planes of the next segment: pooling, strides, missing padding.

use super::buffer::Buffer;
use super::planes::{Plane, State};
use super::program::{Half, PAD, Rows, Scatter};
use crate::kernel::Float;
use crate::simd::{Isa, Kernel, Lanes, Real, Vector, view};

/// What windows of two columns need at one column offset.
#[derive(Debug)]
pub struct Parts<T>(Vec<Part<T>>);

/// The entries of a row that go to one plane: its place, even columns, odd columns.
#[derive(Debug)]
struct Part<T> {
    to: usize,
    even: Side<T>,
    odd: Side<T>,
}

/// Every second column of a row.
#[derive(Debug)]
enum Side<T> {
    None,
    All,
    /// Those with a one; zeros keep the last register off the next row.
    Some(Buffer<T>),
}

impl<T> Default for Parts<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Float> Parts<T> {
    /// From the plan.
    pub fn new(halves: &[Half]) -> Self {
        let part = |half: &Half| Part { to: half.to, even: Side::new(&half.even), odd: Side::new(&half.odd) };
        Self(halves.iter().map(part).collect())
    }
}

impl<T: Float> Side<T> {
    fn new(inside: &[bool]) -> Self {
        if inside.iter().all(|inside| !inside) {
            return Side::None;
        }
        if inside.iter().all(|inside| *inside) && inside.len().is_multiple_of(PAD) {
            return Side::All;
        }
        let mut mask = Buffer::zeros(inside.len() + PAD);
        for (to, inside) in mask.iter_mut().zip(inside) {
            *to = T::from_f64(if *inside { 1.0 } else { 0.0 });
        }
        Side::Some(mask)
    }
}

/// Adds the entries of the plane whose offsets have the numbers `(u, v)` to the planes of `to`; `parts` are those of v.
pub fn scatter<T: Float>(
    isa: Isa,
    scatter: &Scatter,
    (u, v): (usize, usize),
    width: usize,
    parts: &Parts<T>,
    plane: &mut Plane<T>,
    to: &mut State<T>,
) {
    let (c, t) = plane.both();
    for (from, to) in [(c, &mut to.c), (t, &mut to.t)] {
        if from.is_empty() {
            continue;
        }
        match &scatter.halves {
            Some(halves) => {
                let rows = &halves.rows[u];
                isa.run(&mut Halve { half: scatter.behind.cols, rows, parts: &parts.0, width, from, to });
            }
            None => general(scatter, (u, v), width, from, to),
        }
    }
}

/// Any map, entry by entry: about 1 ns each.
fn general<T: Float>(scatter: &Scatter, (u, v): (usize, usize), width: usize, from: &[T], to: &mut [T]) {
    for row in &scatter.row_moves[u] {
        let from = &from[row.from * width..(row.from + 1) * width];
        match scatter.weighted {
            false => {
                for entry in &scatter.col_moves[v] {
                    let to = &mut to[row.to + entry.to];
                    *to = *to + from[entry.from];
                }
            }
            true => {
                for entry in &scatter.col_moves[v] {
                    let to = &mut to[row.to + entry.to];
                    *to = T::from_f64(row.weight * entry.weight) * from[entry.from] + *to;
                }
            }
        }
    }
}

/// Windows of two columns.
struct Halve<'a, T> {
    /// New columns.
    half: usize,
    /// Where rows go.
    rows: &'a [Rows],
    parts: &'a [Part<T>],
    width: usize,
    from: &'a [T],
    to: &'a mut [T],
}

impl<T: Float> Kernel for &mut Halve<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let (rows, width, from, parts) = (self.rows, self.width, self.from, self.parts);
        let to = &mut *self.to;
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let count = self.half.div_ceil(lanes);
        // Columns of a number that the widest register divides are the common case: no masks.
        match parts {
            [Part { to: a, even: Side::All, odd: Side::All }] => {
                for row in rows {
                    let to = &mut to[a + row.to..][..count * lanes];
                    for k in 0..count {
                        let (even, odd) = halves::<V, T>(simd, row, width, from, count, k);
                        sum_into::<V, T>(simd, even + odd, &mut to[k * lanes..]);
                    }
                }
            }
            [Part { to: a, even: Side::All, odd: Side::None }, Part { to: b, even: Side::None, odd: Side::All }]
            | [Part { to: b, even: Side::None, odd: Side::All }, Part { to: a, even: Side::All, odd: Side::None }] => {
                for row in rows {
                    for k in 0..count {
                        let (even, odd) = halves::<V, T>(simd, row, width, from, count, k);
                        sum_into::<V, T>(simd, even, &mut to[a + row.to + k * lanes..]);
                        sum_into::<V, T>(simd, odd, &mut to[b + row.to + k * lanes..]);
                    }
                }
            }
            parts => {
                for row in rows {
                    for k in 0..count {
                        let (even, odd) = halves::<V, T>(simd, row, width, from, count, k);
                        for part in parts {
                            let to = &mut to[part.to + row.to + k * lanes..];
                            let mut sum = T::Lanes::<V>::load(simd, to);
                            sum = add::<V, T>(simd, sum, even, &part.even, k);
                            sum = add::<V, T>(simd, sum, odd, &part.odd, k);
                            sum.store(to);
                        }
                    }
                }
            }
        }
    }
}

/// Even and odd columns of registers 2k and 2k + 1 of a row, or of the sum of two rows.
#[inline(always)]
fn halves<V: Vector, T: Float>(
    simd: V,
    row: &Rows,
    width: usize,
    from: &[T],
    count: usize,
    k: usize,
) -> (T::Lanes<V>, T::Lanes<V>) {
    let first = view::<V, T>(from, row.first * width, 2 * count);
    let (mut low, mut high) = (T::Lanes::<V>::of(simd, first[2 * k]), T::Lanes::<V>::of(simd, first[2 * k + 1]));
    if let Some(second) = row.second {
        let second = view::<V, T>(from, second * width, 2 * count);
        low = low + T::Lanes::<V>::of(simd, second[2 * k]);
        high = high + T::Lanes::<V>::of(simd, second[2 * k + 1]);
    }
    low.unzip(high)
}

/// Adds to what is there.
#[inline(always)]
fn sum_into<V: Vector, T: Float>(simd: V, values: T::Lanes<V>, to: &mut [T]) {
    (T::Lanes::<V>::load(simd, to) + values).store(to);
}

/// `sum` and those of `values` that belong to a side.
#[inline(always)]
fn add<V: Vector, T: Float>(simd: V, sum: T::Lanes<V>, values: T::Lanes<V>, side: &Side<T>, k: usize) -> T::Lanes<V> {
    match side {
        Side::None => sum,
        Side::All => sum + values,
        Side::Some(mask) => {
            let at = k * <T::Lanes<V> as Lanes<V, T>>::LANES;
            T::Lanes::<V>::load(simd, &mask[at..]).mul_add(values, sum)
        }
    }
}
