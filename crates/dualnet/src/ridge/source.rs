//! Rows that arrive in batches, so that a fit needs none of them in memory.

use crate::error::{Error, Result};
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef};
use crate::simd::Isa;

/// Some consecutive rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<T> {
    /// Inputs (rows, columns).
    pub x: Mat<T>,
    /// Targets (rows, outputs).
    pub y: Mat<f64>,
    /// A weight for each row; empty: all 1.
    pub weights: Vec<f64>,
}

/// Where rows come from: an array, a file, a network. Whoever implements it reports what goes wrong as [`Error::Source`].
///
/// Batches may have any number of rows, another each time: no result depends on it, bit for bit.
pub trait Source<T> {
    /// Columns of `x`.
    fn columns(&self) -> usize;
    /// Columns of `y`.
    fn outputs(&self) -> usize;
    /// Number of rows, where it is known before they are read.
    fn rows(&self) -> Option<u64>;
    /// The next rows; `None` after the last. A batch without rows is allowed and is not the end.
    fn next(&mut self) -> Result<Option<Batch<T>>>;
    /// Goes back to the first row: the same rows follow in the same order.
    fn restart(&mut self) -> Result<()>;
}

/// Rows of arrays in memory.
///
/// ```
/// use dualnet::{Mat, ridge::{ArraySource, Source}};
/// let (x, y) = (Mat::from_fn(5, 2, |i, _| i as f64), Mat::from_fn(5, 1, |i, _| i as f64));
/// let mut source = ArraySource::new(x.as_ref(), y.as_ref(), &[], 2)?;
/// let mut sizes = Vec::new();
/// while let Some(batch) = source.next()? {
///     sizes.push(batch.x.rows());
/// }
/// assert_eq!(sizes, [2, 2, 1]);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ArraySource<'a, T> {
    x: MatRef<'a, T>,
    y: MatRef<'a, f64>,
    weights: &'a [f64],
    batch: usize,
    next: usize,
}

impl<'a, T> ArraySource<'a, T> {
    /// Of inputs (n, d), targets (n, k) and weights (n, or none), `batch` rows at a time.
    ///
    /// # Errors
    /// Numbers of rows that differ; a batch of no rows.
    pub fn new(x: MatRef<'a, T>, y: MatRef<'a, f64>, weights: &'a [f64], batch: usize) -> Result<Self> {
        if y.rows() != x.rows() || !(weights.is_empty() || weights.len() == x.rows()) {
            return Err(Error::Shape {
                what: "targets and weights of an array".into(),
                expected: format!("{} rows, as the inputs", x.rows()),
                found: format!("{} targets, {} weights", y.rows(), weights.len()),
            });
        }
        if batch == 0 {
            return Err(Error::Invalid {
                what: "rows of a batch".into(),
                expected: "at least 1".into(),
                found: "0".into(),
                hint: "2048 suits most machines".into(),
            });
        }
        Ok(Self { x, y, weights, batch, next: 0 })
    }
}

impl<T: Float> Source<T> for ArraySource<'_, T> {
    fn columns(&self) -> usize {
        self.x.cols()
    }
    fn outputs(&self) -> usize {
        self.y.cols()
    }
    fn rows(&self) -> Option<u64> {
        Some(self.x.rows() as u64)
    }
    fn next(&mut self) -> Result<Option<Batch<T>>> {
        let first = self.next;
        let last = self.x.rows().min(first.saturating_add(self.batch));
        if first == last {
            return Ok(None);
        }
        self.next = last;
        Ok(Some(Batch {
            x: self.x.block(first..last, 0..self.x.cols())?.to_mat(),
            y: self.y.block(first..last, 0..self.y.cols())?.to_mat(),
            weights: if self.weights.is_empty() { Vec::new() } else { self.weights[first..last].to_vec() },
        }))
    }
    fn restart(&mut self) -> Result<()> {
        self.next = 0;
        Ok(())
    }
}

/// The map that leaves its input as it is: primal ridge on the columns themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(
    /// Number of columns.
    pub usize,
);

impl<T: Float> FeatureMap<T> for Identity {
    fn inputs(&self) -> usize {
        self.0
    }
    fn dim(&self) -> usize {
        self.0
    }
    fn scratch(&self) -> usize {
        0
    }
    fn tile(&self, x: MatRef<'_, T>, mut out: MatMut<'_, T>, _scratch: &mut [T], _isa: Isa) -> Result<()> {
        (0..x.rows()).for_each(|i| out.row_mut(i).copy_from_slice(x.row(i)));
        Ok(())
    }
}
