//! Sketches with few non-zeros a column, whose cost is that of the non-zeros of the input.

use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef, SparseRows};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use crate::simd::{Isa, Kernel, Vector};
use rayon::prelude::*;

/// Columns that share a stream of draws.
const CHUNK: usize = 1024;
/// Rows of a sparse matrix that one thread sketches at a time.
const ROWS: usize = 128;

/// A linear sketch in which each column of the input meets `s` features, with a random sign and the factor s^{-1/2}: CountSketch for s = 1
/// (Charikar, Chen, Farach-Colton 2002), OSNAP for more (Nelson and Nguyen 2013, "OSNAP: faster numerical linear algebra algorithms via
/// sparser subspace embeddings", arXiv 1211.1002, the block construction: one feature in each of s equal parts).
///
/// E S(x) . S(y) = x . y, with a variance of at most 2 |x|^2 |y|^2 / m; larger s makes a large error less likely where few entries carry the
/// length.
///
/// Cost of a row: s additions for each non-zero, and m to clear. Sparse and dense rows give the same bits.
///
/// ```
/// use dualnet::linalg::SparseRows;
/// use dualnet::{Resources, random::Purpose, transform::CountSketch};
/// let resources = Resources::new(1)?.with_seed(1);
/// let sketch = CountSketch::<f64>::draw(1_000_000, 64, 4, Purpose::COUNT_SKETCH, &resources)?;
/// // 3 and 4 in two of a million columns.
/// let x = SparseRows::new(1_000_000, vec![0, 2], vec![17, 999_999], vec![3.0, 4.0])?;
/// let out = sketch.sparse(&x, &resources)?;
/// let length: f64 = out.row(0).iter().map(|x| x * x).sum();
/// // 25, but for the parts where both columns meet: of 4 products at most.
/// assert!((length - 25.0).abs() <= 24.0);
/// assert!(out.row(0).iter().filter(|x| **x != 0.0).count() <= 8);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CountSketch<T> {
    cols: usize,
    rows: usize,
    nonzeros: usize,
    /// For each column s features: twice the feature, plus 1 for a negative sign.
    targets: Vec<u32>,
    /// s^{-1/2}.
    scale: T,
}

impl<T: Float> CountSketch<T> {
    /// A sketch of `cols` columns in `rows` features with `nonzeros` of them for each column, drawn with the seed of `resources` on its
    /// threads.
    ///
    /// # Errors
    /// No columns or features; no non-zeros, or more than features; more than 2^31 features; memory.
    pub fn draw(cols: usize, rows: usize, nonzeros: usize, purpose: Purpose, resources: &Resources) -> Result<Self> {
        if cols == 0 || rows == 0 || rows > 1 << 31 || nonzeros == 0 || nonzeros > rows {
            return Err(Error::Invalid {
                what: "a CountSketch".into(),
                expected: "columns, features (at most 2^31), and from one to all of these for each column".into(),
                found: format!("{cols} columns, {rows} features, {nonzeros} for each column"),
                hint: "one to eight for each column are usual".into(),
            });
        }
        let bytes = (cols as u64).saturating_mul(nonzeros as u64).saturating_mul(4);
        super::reserve(bytes, "use fewer non-zeros a column", resources)?;
        let mut targets = vec![0; cols * nonzeros];
        resources.install(|| {
            targets.par_chunks_mut(CHUNK * nonzeros).enumerate().for_each(|(chunk, targets)| {
                let mut draws = Draws::new(resources.seed, purpose, chunk as u64);
                for (i, target) in targets.iter_mut().enumerate() {
                    let part = i % nonzeros;
                    let (first, end) = (bound(part, rows, nonzeros), bound(part + 1, rows, nonzeros));
                    let feature = first + draws.below(end - first);
                    *target = (feature as u32) << 1 | (draws.bits() & 1) as u32;
                }
            });
        });
        Ok(Self { cols, rows, nonzeros, targets, scale: T::from_f64(1.0 / (nonzeros as f64).sqrt()) })
    }

    /// m, the columns that come out.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// d, the columns that go in.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// s, the features that a column meets.
    pub fn nonzeros(&self) -> usize {
        self.nonzeros
    }
    /// Numbers of scratch memory that [`Self::tile`] needs: none.
    pub fn scratch(&self) -> usize {
        0
    }

    /// Sketches of the rows of `x` (n, d) in `out` (n, m), on the calling thread, each to the same bits as alone.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, _: &mut [T], isa: Isa) -> Result<()> {
        self.check((x.rows(), x.cols()), &out)?;
        isa.run(Tile { map: self, x, out });
        Ok(())
    }

    /// Sketches of the rows of a sparse matrix: (n, m), on the threads of `resources`.
    ///
    /// # Errors
    /// Another number of columns; memory.
    pub fn sparse(&self, x: &SparseRows<T>, resources: &Resources) -> Result<Mat<T>> {
        let bytes = (x.rows() as u64).saturating_mul(self.rows as u64).saturating_mul(size_of::<T>() as u64);
        resources.reserve("sketches of sparse rows", bytes, "sketch fewer rows at a time")?;
        let mut out = Mat::zeros(x.rows(), self.rows);
        self.sparse_rows(x, 0, out.as_mut(), resources)?;
        Ok(out)
    }

    /// The same for as many rows as `out` has, from row `first` of `x` on.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn sparse_rows(
        &self,
        x: &SparseRows<T>,
        first: usize,
        out: MatMut<'_, T>,
        resources: &Resources,
    ) -> Result<()> {
        let rows = out.rows();
        self.check((x.rows().saturating_sub(first).min(rows), x.cols()), &out)?;
        let (stride, m) = (out.stride(), self.rows);
        if rows == 0 {
            return Ok(());
        }
        let used = (rows - 1) * stride + m;
        resources.install(|| {
            out.into_data()[..used].par_chunks_mut(ROWS * stride).enumerate().for_each(|(tile, out)| {
                for (i, out) in out.chunks_mut(stride).enumerate() {
                    let (columns, values) = x.row(first + tile * ROWS + i);
                    self.add(columns.iter().map(|&j| j as usize).zip(values.iter().copied()), &mut out[..m]);
                }
            });
        });
        Ok(())
    }

    fn check(&self, (n, d): (usize, usize), out: &MatMut<'_, T>) -> Result<()> {
        if d == self.cols && (out.rows(), out.cols()) == (n, self.rows) {
            return Ok(());
        }
        Err(Error::Shape {
            what: "CountSketch".into(),
            expected: format!("{n} x {} to {n} x {}", self.cols, self.rows),
            found: format!("{n} x {d} to {} x {}", out.rows(), out.cols()),
        })
    }

    /// The sketch of one row, from its entries by increasing column. A zero adds nothing, so it may be among them.
    #[inline(always)]
    fn add(&self, entries: impl Iterator<Item = (usize, T)>, out: &mut [T]) {
        out.fill(T::default());
        for (column, value) in entries {
            for &target in &self.targets[column * self.nonzeros..(column + 1) * self.nonzeros] {
                let sign = T::from_f64(if target & 1 == 0 { 1.0 } else { -1.0 });
                let out = &mut out[(target >> 1) as usize];
                *out = *out + sign * value;
            }
        }
        if self.nonzeros > 1 {
            out.iter_mut().for_each(|out| *out = self.scale * *out);
        }
    }
}

/// Where part `part` of `parts` of `rows` features begins.
fn bound(part: usize, rows: usize, parts: usize) -> usize {
    (part as u128 * rows as u128 / parts as u128) as usize
}

struct Tile<'a, T> {
    map: &'a CountSketch<T>,
    x: MatRef<'a, T>,
    out: MatMut<'a, T>,
}

impl<T: Float> Kernel for Tile<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(mut self, _: V) {
        for i in 0..self.x.rows() {
            let entries = self.x.row(i).iter().copied().enumerate().filter(|(_, value)| *value != T::default());
            self.map.add(entries, self.out.row_mut(i));
        }
    }
}
