//! A sketch of tensor products that never forms them: x, y -> sqrt(1/m) (P1 H D1 x) .* (P2 H D2 y), TensorSRHT (Ahle, Kapralov, Knudsen,
//! Pagh, Velingkar, Woodruff, Zandieh 2020, "Oblivious sketching of high-degree polynomial kernels", arXiv 1909.01410, definition 15).
//!
//! Both factors are Hadamard transforms as of [`Srht`](super::Srht), in blocks of a power of two each of its own length. Whole blocks use
//! all rows instead of a sample with replacement as in the paper, which leaves out most of what is random: a product over a whole block
//! errs by the pairs of different coordinates on *both* sides alone. The second factor's rows are shuffled: rows in step would let errors
//! add up wherever two coordinates of x are as far apart (in the sense of exclusive or) as two of y.

use super::signs::{self, Streams, aligned};
use super::srht::{Order, Put, Sampled};
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{MatMut, MatRef};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::{Isa, Kernel, Vector};

/// A bilinear sketch of rows x (d1 columns) and y (d2 columns) in m features:
/// E T(x, y) . T(x', y') = (x . x') (y . y'), with a variance of the order of |x|^2 |x'|^2 |y|^2 |y'|^2 / m.
///
/// Cost of a pair of rows: for each side with p its columns, padded to a power of two of at least 64, p log2 p additions for each block of p
/// features begun.
///
/// ```
/// use dualnet::{Mat, Resources, random::Purpose, simd::Isa, transform::TensorSrht};
/// let resources = Resources::new(1)?.with_seed(1);
/// let sketch = TensorSrht::<f64>::draw(3, 5, 4096, Purpose::TENSOR_SRHT, &resources)?;
/// let (x, y) = (Mat::from_fn(1, 3, |_, j| j as f64), Mat::from_fn(1, 5, |_, j| 1.0 - j as f64));
/// let (mut out, mut scratch) = (Mat::zeros(1, 4096), vec![0.0; sketch.scratch()]);
/// sketch.tile(x.as_ref(), y.as_ref(), out.as_mut(), &mut scratch, Isa::best())?;
/// let length: f64 = out.row(0).iter().map(|x| x * x).sum();
/// // |x|^2 = 5, |y|^2 = 15.
/// assert!((length / 75.0 - 1.0).abs() < 0.15);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSrht<T> {
    left: Sampled<T>,
    right: Sampled<T>,
}

impl<T: Float> TensorSrht<T> {
    /// A sketch of rows of `left` and of `right` columns in `rows` features, drawn with the seed of `resources` on its threads.
    ///
    /// # Errors
    /// No columns or features; memory.
    pub fn draw(left: usize, right: usize, rows: usize, purpose: Purpose, resources: &Resources) -> Result<Self> {
        Self::from_streams(left, right, rows, Streams::new(purpose, resources), resources)
    }

    pub(super) fn from_streams(
        left: usize,
        right: usize,
        rows: usize,
        streams: Streams,
        resources: &Resources,
    ) -> Result<Self> {
        Ok(Self {
            left: Sampled::draw(left, rows, Order::Natural, streams.side(0), resources)?,
            right: Sampled::draw(right, rows, Order::Shuffled, streams.side(1), resources)?,
        })
    }

    /// m, the columns that come out.
    pub fn rows(&self) -> usize {
        self.left.rows
    }
    /// d1 and d2, the columns that go in.
    pub fn cols(&self) -> (usize, usize) {
        (self.left.cols, self.right.cols)
    }
    /// Numbers of scratch memory that [`Self::tile`] needs.
    pub fn scratch(&self) -> usize {
        self.buffer() + signs::room::<T>()
    }
    /// Bytes of signs and rows.
    pub(super) fn bytes(&self) -> u64 {
        self.left.held().saturating_add(self.right.held())
    }
    /// The longer of both transforms.
    pub(super) fn buffer(&self) -> usize {
        self.left.padded.max(self.right.padded)
    }

    /// Sketches of the rows of `x` (n, d1) and `y` (n, d2) in `out` (n, m), on the calling thread, each to the same bits as alone.
    /// Intermediate values grow to sqrt(p) times the length of a row.
    ///
    /// # Errors
    /// Shapes that do not fit; too little scratch.
    pub fn tile(
        &self,
        x: MatRef<'_, T>,
        y: MatRef<'_, T>,
        out: MatMut<'_, T>,
        scratch: &mut [T],
        isa: Isa,
    ) -> Result<()> {
        let (n, m, (d1, d2), needed) = (x.rows(), self.rows(), self.cols(), self.scratch());
        let shapes = (x.cols(), y.rows(), y.cols(), out.rows(), out.cols());
        if shapes != (d1, n, d2, n, m) || scratch.len() < needed {
            return Err(Error::Shape {
                what: "sketch of tensor products".into(),
                expected: format!("{n} x {d1} and {n} x {d2} to {n} x {m}, scratch of {needed}"),
                found: format!(
                    "{n} x {} and {} x {} to {} x {}, scratch of {}",
                    shapes.0,
                    shapes.1,
                    shapes.2,
                    shapes.3,
                    shapes.4,
                    scratch.len()
                ),
            });
        }
        isa.run(Tile { map: self, x, y, out, buffer: &mut aligned(scratch)[..self.buffer()] });
        Ok(())
    }

    /// One pair of rows.
    #[inline(always)]
    pub(super) fn row<V: Vector>(&self, simd: V, x: &[T], y: &[T], out: &mut [T], buffer: &mut [T]) {
        let left = (&self.left, x, Put::Scaled(self.left.scale()));
        for (side, x, put) in [left, (&self.right, y, Put::Times)] {
            side.row(simd, x, out, buffer, put);
        }
    }
}

struct Tile<'a, T> {
    map: &'a TensorSrht<T>,
    x: MatRef<'a, T>,
    y: MatRef<'a, T>,
    out: MatMut<'a, T>,
    buffer: &'a mut [T],
}

impl<T: Float> Kernel for Tile<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(mut self, simd: V) {
        for i in 0..self.x.rows() {
            self.map.row(simd, self.x.row(i), self.y.row(i), self.out.row_mut(i), self.buffer);
        }
    }
}
