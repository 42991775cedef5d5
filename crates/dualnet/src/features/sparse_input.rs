//! Sparse rows before a feature map of dense ones.

use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{Mat, SparseRows};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::transform::CountSketch;

/// Features that a column meets: with fewer, rows whose length lies in few entries may err much, with more a row costs more.
const NONZEROS: usize = 4;

/// Sparse rows of d columns as dense ones of m: by a [`CountSketch`] (OSNAP with 4 non-zeros a column) where m < d, else as they are.
///
/// Scaled by sqrt(m / d), so that a net, which takes the mean of products over the columns it sees, estimates that over all d: for rows x and
/// y the standard deviation of what stands for x . y is at most sqrt(2 / m) |x| |y|, and its mean is x . y.
///
/// Cost of a row: 4 additions for each non-zero, and m to clear.
///
/// ```
/// use dualnet::features::SparseInput;
/// use dualnet::linalg::SparseRows;
/// use dualnet::Resources;
/// let resources = Resources::new(1)?.with_seed(1);
/// let input = SparseInput::<f64>::draw(1_000_000, 64, &resources)?;
/// // 3 and 4 in two of a million columns: a mean square of 25e-6.
/// let x = SparseRows::new(1_000_000, vec![0, 2], vec![17, 999_999], vec![3.0, 4.0])?;
/// let dense = input.dense(&x, 0, 1, &resources)?;
/// let mean: f64 = dense.row(0).iter().map(|x| x * x).sum::<f64>() / 64.0;
/// assert!((mean / 25e-6 - 1.0).abs() < 1.0);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SparseInput<T> {
    columns: usize,
    width: usize,
    sketch: Option<CountSketch<T>>,
}

impl<T: Float> SparseInput<T> {
    /// From `columns` columns to `width`, or to fewer where there are fewer, with the seed of `resources`.
    ///
    /// # Errors
    /// No columns; memory.
    pub fn draw(columns: usize, width: usize, resources: &Resources) -> Result<Self> {
        if columns == 0 || width == 0 {
            return Err(Error::Invalid {
                what: "sparse rows before a feature map".into(),
                expected: "at least one column, to be sketched in at least one".into(),
                found: format!("{columns} to {width}"),
                hint: "give rows with columns".into(),
            });
        }
        let sketch = match columns > width {
            true => {
                let nonzeros = NONZEROS.min(width);
                Some(CountSketch::draw(columns, width, nonzeros, Purpose::COUNT_SKETCH, resources)?)
            }
            false => None,
        };
        Ok(Self { columns, width: width.min(columns), sketch })
    }

    /// d.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// m.
    pub fn width(&self) -> usize {
        self.width
    }
    /// Whether anything is estimated.
    pub fn is_sketched(&self) -> bool {
        self.sketch.is_some()
    }

    /// `count` rows of `x` from row `first` on, as dense ones: (count, m).
    ///
    /// # Errors
    /// Another number of columns; rows that are not there; memory.
    pub fn dense(&self, x: &SparseRows<T>, first: usize, count: usize, resources: &Resources) -> Result<Mat<T>> {
        if x.cols() != self.columns || first.saturating_add(count) > x.rows() {
            return Err(Error::Shape {
                what: "sparse rows before a feature map".into(),
                expected: format!("{} columns, and rows {first} to {}", self.columns, first.saturating_add(count)),
                found: format!("{} columns and {} rows", x.cols(), x.rows()),
            });
        }
        let bytes = (count as u64).saturating_mul(self.width as u64).saturating_mul(size_of::<T>() as u64);
        resources.reserve("sketches of sparse rows", bytes, "map fewer rows at a time")?;
        let mut out = Mat::zeros(count, self.width);
        match &self.sketch {
            Some(sketch) => {
                sketch.sparse_rows(x, first, out.as_mut(), resources)?;
                let factor = T::from_f64((self.width as f64 / self.columns as f64).sqrt());
                for i in 0..count {
                    out.row_mut(i).iter_mut().for_each(|x| *x = *x * factor);
                }
            }
            None => {
                for i in 0..count {
                    let (columns, values) = x.row(first + i);
                    columns.iter().zip(values).for_each(|(&j, &value)| out[(i, j as usize)] = value);
                }
            }
        }
        Ok(out)
    }
}

/// Some rows as dense ones of the columns that any of them has, scaled so that means of products over those are the means over all columns.
pub(crate) fn compressed<T: Float>(x: &SparseRows<T>, rows: &[usize]) -> Mat<T> {
    let mut columns: Vec<u32> = rows.iter().flat_map(|&i| x.row(i).0.iter().copied()).collect();
    columns.sort_unstable();
    columns.dedup();
    let width = columns.len().max(1);
    let factor = (width as f64 / x.cols().max(1) as f64).sqrt();
    let mut out = Mat::zeros(rows.len(), width);
    for (i, &row) in rows.iter().enumerate() {
        let (own, values) = x.row(row);
        for (column, value) in own.iter().zip(values) {
            if let Ok(j) = columns.binary_search(column) {
                out[(i, j)] = T::from_f64(value.to_f64() * factor);
            }
        }
    }
    out
}
