//! Diagonal random signs, and H D x: what every transform made of Hadamard matrices shares.

use super::fwht::{Entry, transform};
use crate::error::{Error, Result};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::simd::{Element, Lanes, Vector};
use rayon::prelude::*;

/// The least length of a transform: signs of fewer rows take too few values for projections to be near normal, and shorter
/// transforms would not fill the widest registers.
const LEAST: usize = 64;
/// Bytes of a cache line, on which the widest registers are loaded at full speed.
const LINE: usize = 64;
/// Fewer signs are drawn before other threads have woken up.
const WORTH: usize = 1 << 16;

/// Where the signs of blocks are drawn from: block b from stream `first` + b of the seed and the purpose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    seed: u64,
    purpose: Purpose,
    first: u64,
}

impl Streams {
    /// From stream 0 on.
    pub(super) fn new(purpose: Purpose, resources: &Resources) -> Self {
        Self { seed: resources.seed, purpose, first: 0 }
    }
    /// Those of part `part` of a map, below 2^20. Parts are 2^44 streams apart.
    pub(super) fn part(self, part: u64) -> Self {
        Self { first: self.first.wrapping_add(part << 44), ..self }
    }
    /// Those of the first (0) or second (1) factor of a part.
    pub(super) fn side(self, side: u64) -> Self {
        Self { first: self.first.wrapping_add(side << 43), ..self }
    }
    /// Those of what is not a sign.
    pub(super) fn others(self) -> Self {
        Self { first: self.first.wrapping_add(1 << 42), ..self }
    }
    /// The draws of block `b`.
    pub(super) fn block(&self, b: usize) -> Draws {
        Draws::new(self.seed, self.purpose, self.first.wrapping_add(b as u64))
    }
}

/// `count` signs a block, each 1 or -1.
pub(super) fn draw<T: Element>(count: usize, blocks: usize, streams: Streams, resources: &Resources) -> Vec<T> {
    let mut out = vec![T::default(); count * blocks];
    let fill = |(b, signs): (usize, &mut [T])| {
        let mut draws = streams.block(b);
        for signs in signs.chunks_mut(64) {
            let bits = draws.bits();
            for (i, sign) in signs.iter_mut().enumerate() {
                *sign = T::from_f64(if bits >> i & 1 == 0 { 1.0 } else { -1.0 });
            }
        }
    };
    if out.len() < WORTH {
        out.chunks_mut(count.max(1)).enumerate().for_each(fill);
    } else {
        resources.install(|| out.par_chunks_mut(count.max(1)).enumerate().for_each(fill));
    }
    out
}

/// The power of two that `cols` columns are padded to, at least 64.
pub(super) fn padded(cols: usize) -> Result<usize> {
    cols.max(LEAST).checked_next_power_of_two().ok_or_else(|| Error::Invalid {
        what: "columns of a Hadamard transform".into(),
        expected: "a number that can be padded to a power of two".into(),
        found: cols.to_string(),
        hint: "use fewer columns".into(),
    })
}

/// Numbers beyond what is wanted that let it start on a cache line.
pub(super) const fn room<T>() -> usize {
    LINE / size_of::<T>()
}

/// The part of `scratch` from the first cache line on: at most [`room`] numbers fewer.
pub(super) fn aligned<T>(scratch: &mut [T]) -> &mut [T] {
    let skip = scratch.as_ptr().align_offset(LINE).min(room::<T>()).min(scratch.len());
    &mut scratch[skip..]
}

/// `buffer` = ... H D2 H D1 x, x padded with zeros to the length of `buffer`, for as many diagonals as `signs` holds.
#[inline(always)]
pub(super) fn signed_transforms<T: Element, V: Vector>(simd: V, x: &[T], signs: &[T], buffer: &mut [T]) {
    buffer[..x.len()].copy_from_slice(x);
    buffer[x.len()..].fill(T::default());
    for signs in signs.chunks_exact(buffer.len()) {
        transform(simd, buffer, &Signs(signs));
    }
}

/// Products with signs.
struct Signs<'a, T>(&'a [T]);

impl<T: Element> Entry<T> for Signs<'_, T> {
    #[inline(always)]
    fn one(&self, x: T, at: usize) -> T {
        T::from_f64(x.to_f64() * self.0[at].to_f64())
    }
    #[inline(always)]
    fn register<V: Vector>(&self, simd: V, x: T::Lanes<V>, at: usize) -> T::Lanes<V> {
        x * T::Lanes::<V>::load(simd, &self.0[at..])
    }
}
