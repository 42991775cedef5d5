//! The subsampled randomised Hadamard transform: x -> sqrt(1/m) P H D x, D random signs, H the Walsh-Hadamard matrix of p rows, P a
//! choice of m of its rows (Ailon and Chazelle 2009; Tropp 2011, "Improved analysis of the subsampled randomized Hadamard transform",
//! arXiv 1011.1595).
//!
//! The d columns of the input are padded with zeros to p, the next power of two, at least 64. Where m exceeds p, independent blocks of p
//! rows are stacked; of the last one m mod p rows are taken, without replacement. A whole block keeps inner products exactly, so only
//! the last one errs.

use super::signs::{self, Streams, aligned, padded, signed_transforms};
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{MatMut, MatRef};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::{Isa, Kernel, Vector};

/// A linear sketch of d columns in m, with E of a product of two sketches the product of the rows:
/// E S(x) . S(y) = x . y, with a variance of at most 2 |x|^2 |y|^2 / m, and none where m is a multiple of p.
///
/// Cost of a row: p log2 p additions for each block of p features begun.
///
/// ```
/// use dualnet::{Mat, Resources, random::Purpose, simd::Isa, transform::Srht};
/// let resources = Resources::new(1)?.with_seed(1);
/// let sketch = Srht::<f64>::draw(100, 128, Purpose::SRHT, &resources)?;
/// let x = Mat::from_fn(1, 100, |_, j| j as f64);
/// let (mut out, mut scratch) = (Mat::zeros(1, 128), vec![0.0; sketch.scratch()]);
/// sketch.tile(x.as_ref(), out.as_mut(), &mut scratch, Isa::best())?;
/// // A whole block: 0 + 1 + 4 + ... + 99^2, exactly.
/// let length: f64 = out.row(0).iter().map(|x| x * x).sum();
/// assert!((length - 328_350.0).abs() < 1e-7);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Srht<T>(Sampled<T>);

impl<T: Float> Srht<T> {
    /// A sketch of `cols` columns in `rows` features, drawn with the seed of `resources` on its threads.
    ///
    /// # Errors
    /// No columns or features; memory.
    pub fn draw(cols: usize, rows: usize, purpose: Purpose, resources: &Resources) -> Result<Self> {
        let streams = Streams::new(purpose, resources);
        Ok(Self(Sampled::draw(cols, rows, Order::Natural, streams, resources)?))
    }
    /// m, the columns that come out.
    pub fn rows(&self) -> usize {
        self.0.rows
    }
    /// d, the columns that go in.
    pub fn cols(&self) -> usize {
        self.0.cols
    }
    /// Numbers of scratch memory that [`Self::tile`] needs.
    pub fn scratch(&self) -> usize {
        self.0.padded + signs::room::<T>()
    }
    /// Sketches of the rows of `x` (n, d) in `out` (n, m), on the calling thread, each to the same bits as alone. Intermediate values grow
    /// to sqrt(p) times the length of a row.
    ///
    /// # Errors
    /// Shapes that do not fit; too little scratch.
    pub fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let (n, needed) = (x.rows(), self.scratch());
        if x.cols() != self.cols() || (out.rows(), out.cols()) != (n, self.rows()) || scratch.len() < needed {
            return Err(Error::Shape {
                what: "Hadamard sketch".into(),
                expected: format!("{n} x {} to {n} x {}, scratch of {needed}", self.cols(), self.rows()),
                found: format!("{n} x {} to {} x {}, scratch of {}", x.cols(), out.rows(), out.cols(), scratch.len()),
            });
        }
        isa.run(Tile { map: &self.0, x, out, buffer: &mut aligned(scratch)[..self.0.padded] });
        Ok(())
    }
}

struct Tile<'a, T> {
    map: &'a Sampled<T>,
    x: MatRef<'a, T>,
    out: MatMut<'a, T>,
    buffer: &'a mut [T],
}

impl<T: Float> Kernel for Tile<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(mut self, simd: V) {
        let put = Put::Scaled(self.map.scale());
        for i in 0..self.x.rows() {
            self.map.row(simd, self.x.row(i), self.out.row_mut(i), self.buffer, put);
        }
    }
}

/// In which order a whole block gives its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// That of the transform, at no cost.
    Natural,
    /// A random one.
    Shuffled,
}

/// Rows of stacked blocks H D, not scaled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sampled<T> {
    pub(super) cols: usize,
    pub(super) rows: usize,
    /// p.
    pub(super) padded: usize,
    /// D, block after block.
    signs: Vec<T>,
    /// Blocks that give all their rows in their own order.
    natural: usize,
    /// Which rows of their blocks the rows after those are.
    order: Vec<u32>,
}

impl<T: Float> Sampled<T> {
    /// Block b takes signs and order from streams b.
    pub(super) fn draw(
        cols: usize,
        rows: usize,
        order: Order,
        streams: Streams,
        resources: &Resources,
    ) -> Result<Self> {
        if cols == 0 || rows == 0 {
            return Err(Error::Invalid {
                what: "a Hadamard sketch".into(),
                expected: "at least one column and one feature".into(),
                found: format!("{cols} columns, {rows} features"),
                hint: "give inputs with columns and ask for features".into(),
            });
        }
        let padded = padded(cols)?;
        super::reserve(Self::bytes(padded, rows), "use fewer features", resources)?;
        if u32::try_from(padded - 1).is_err() {
            return Err(Error::Invalid {
                what: "columns of a Hadamard sketch".into(),
                expected: "at most 2^32".into(),
                found: cols.to_string(),
                hint: "sketch them with a CountSketch first".into(),
            });
        }
        let natural = if order == Order::Natural { rows / padded } else { 0 };
        let signs = signs::draw(padded, rows.div_ceil(padded), streams, resources);
        let order = (natural..rows.div_ceil(padded))
            .flat_map(|b| choose(padded, padded.min(rows - b * padded), &streams, b))
            .collect();
        Ok(Self { cols, rows, padded, signs, natural, order })
    }

    /// Bytes of signs and order, at most.
    fn bytes(padded: usize, rows: usize) -> u64 {
        let signs = (rows.div_ceil(padded) as u64).saturating_mul(padded as u64);
        signs.saturating_mul(size_of::<T>() as u64).saturating_add((rows as u64).saturating_mul(4))
    }

    /// Bytes of those there are.
    pub(super) fn held(&self) -> u64 {
        (size_of_val(&self.signs[..]) + size_of_val(&self.order[..])) as u64
    }

    /// sqrt(1/m).
    pub(super) fn scale(&self) -> T {
        T::from_f64(1.0 / (self.rows as f64).sqrt())
    }

    /// Writes or multiplies the features of one row. `buffer` has room for p numbers.
    #[inline(always)]
    pub(super) fn row<V: Vector>(&self, simd: V, x: &[T], out: &mut [T], buffer: &mut [T], put: Put<T>) {
        let p = self.padded;
        let buffer = &mut buffer[..p];
        // One place for the transform, which is large and inlined.
        for (b, (out, signs)) in out.chunks_mut(p).zip(self.signs.chunks_exact(p)).enumerate() {
            signed_transforms(simd, x, signs, buffer);
            match b.checked_sub(self.natural) {
                None => put.all(out, buffer),
                Some(b) => put.some(out, buffer, &self.order[b * p..]),
            }
        }
    }
}

/// What becomes of a feature.
#[derive(Clone, Copy)]
pub(super) enum Put<T> {
    /// It is written, times a factor.
    Scaled(T),
    /// It multiplies what is there.
    Times,
}

impl<T: Float> Put<T> {
    /// Each entry of `from` in its place.
    #[inline(always)]
    fn all(self, out: &mut [T], from: &[T]) {
        match self {
            Put::Scaled(scale) => out.iter_mut().zip(from).for_each(|(out, y)| *out = scale * *y),
            Put::Times => out.iter_mut().zip(from).for_each(|(out, y)| *out = *out * *y),
        }
    }
    /// Those of `from` that `order` names.
    #[inline(always)]
    fn some(self, out: &mut [T], from: &[T], order: &[u32]) {
        match self {
            Put::Scaled(scale) => out.iter_mut().zip(order).for_each(|(out, &j)| *out = scale * from[j as usize]),
            Put::Times => out.iter_mut().zip(order).for_each(|(out, &j)| *out = *out * from[j as usize]),
        }
    }
}

/// `count` of the rows of block `b`, in random order: the beginning of a shuffle (Fisher and Yates).
fn choose(padded: usize, count: usize, streams: &Streams, b: usize) -> Vec<u32> {
    let mut draws = streams.others().block(b);
    let mut rows: Vec<u32> = (0..padded as u64).map(|j| j as u32).collect();
    for i in 0..count {
        rows.swap(i, i + draws.below(padded - i));
    }
    rows.truncate(count);
    rows
}
