//! Dense row-major matrices and views of them.

use crate::error::{Error, Result};
use crate::simd::Element;

/// A dense row-major matrix that owns its entries.
///
/// ```
/// use dualnet::Mat;
/// let a = Mat::from_fn(2, 3, |i, j| (10 * i + j) as f64);
/// assert_eq!(a.row(1), &[10.0, 11.0, 12.0]);
/// assert_eq!(a[(1, 2)], 12.0);
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Mat<T> {
    data: Vec<T>,
    rows: usize,
    cols: usize,
}

/// A view of a row-major matrix; rows may lie apart.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    stride: usize,
}

/// A mutable view of a row-major matrix; rows may lie apart.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<T: Copy + Default> Mat<T> {
    /// All entries 0.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        let mut data = vec![T::default(); rows * cols];
        super::pages::advise_large(&mut data);
        Self { data, rows, cols }
    }

    /// Entry (i, j) is `f(i, j)`.
    pub fn from_fn(rows: usize, cols: usize, mut f: impl FnMut(usize, usize) -> T) -> Self {
        let mut data = Vec::with_capacity(rows * cols);
        for i in 0..rows {
            data.extend((0..cols).map(|j| f(i, j)));
        }
        Self { data, rows, cols }
    }
}

impl<T> Mat<T> {
    /// Takes `rows * cols` entries, row by row.
    pub fn from_vec(rows: usize, cols: usize, data: Vec<T>) -> Result<Self> {
        if rows.checked_mul(cols) != Some(data.len()) {
            return Err(Error::Shape {
                what: "matrix entries".into(),
                expected: format!("{rows} x {cols}"),
                found: format!("{} entries", data.len()),
            });
        }
        Ok(Self { data, rows, cols })
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// Row `i`.
    pub fn row(&self, i: usize) -> &[T] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }
    /// Row `i`, to write.
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        &mut self.data[i * self.cols..(i + 1) * self.cols]
    }
    /// All entries, row by row.
    pub fn as_slice(&self) -> &[T] {
        &self.data
    }
    /// All entries, row by row, to write.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.data
    }
    /// Gives the entries away, row by row.
    pub fn into_vec(self) -> Vec<T> {
        self.data
    }
    /// A view of the whole.
    pub fn as_ref(&self) -> MatRef<'_, T> {
        MatRef { data: &self.data, rows: self.rows, cols: self.cols, stride: self.cols }
    }
    /// A mutable view of the whole.
    pub fn as_mut(&mut self) -> MatMut<'_, T> {
        MatMut { data: &mut self.data, rows: self.rows, cols: self.cols, stride: self.cols }
    }
}

impl<T> std::ops::Index<(usize, usize)> for Mat<T> {
    type Output = T;
    fn index(&self, (i, j): (usize, usize)) -> &T {
        &self.row(i)[j]
    }
}

impl<T> std::ops::IndexMut<(usize, usize)> for Mat<T> {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut T {
        &mut self.row_mut(i)[j]
    }
}

impl<'a, T> MatRef<'a, T> {
    /// `rows` rows of `cols` entries, the first entries of two rows `stride` apart.
    pub fn new(data: &'a [T], rows: usize, cols: usize, stride: usize) -> Result<Self> {
        check(data.len(), rows, cols, stride)?;
        Ok(Self { data, rows, cols, stride })
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// Distance between the first entries of two rows.
    pub fn stride(&self) -> usize {
        self.stride
    }
    /// Row `i`.
    pub fn row(&self, i: usize) -> &'a [T] {
        &self.data[i * self.stride..i * self.stride + self.cols]
    }
    /// The entries, `stride` apart.
    pub fn data(&self) -> &'a [T] {
        self.data
    }
    /// The part where the `rows` named cross the `cols` named.
    pub fn block(&self, rows: std::ops::Range<usize>, cols: std::ops::Range<usize>) -> Result<Self> {
        if rows.end > self.rows || cols.end > self.cols || rows.is_empty() || cols.is_empty() {
            let empty = rows.start <= rows.end && cols.start <= cols.end && rows.end <= self.rows;
            return if empty && cols.end <= self.cols {
                Ok(Self { data: &[], rows: rows.len(), cols: cols.len(), stride: self.stride })
            } else {
                Err(Error::Shape {
                    what: "block of a matrix".into(),
                    expected: format!("within {} x {}", self.rows, self.cols),
                    found: format!("rows {rows:?}, columns {cols:?}"),
                })
            };
        }
        let data = &self.data[rows.start * self.stride + cols.start..];
        Ok(Self { data, rows: rows.len(), cols: cols.len(), stride: self.stride })
    }
}

impl<T: Copy> MatRef<'_, T> {
    /// A copy without gaps.
    pub fn to_mat(&self) -> Mat<T> {
        let mut data = Vec::with_capacity(self.rows * self.cols);
        for i in 0..self.rows {
            data.extend_from_slice(self.row(i));
        }
        Mat { data, rows: self.rows, cols: self.cols }
    }
    /// The rows named, in that order.
    pub fn select_rows(&self, rows: &[usize]) -> Mat<T> {
        let mut data = Vec::with_capacity(rows.len() * self.cols);
        for &i in rows {
            data.extend_from_slice(self.row(i));
        }
        Mat { data, rows: rows.len(), cols: self.cols }
    }
}

impl<T: Element> MatRef<'_, T> {
    /// The nearest numbers of another precision.
    pub(crate) fn cast<U: Element>(&self) -> Mat<U> {
        let mut data = Vec::with_capacity(self.rows * self.cols);
        for i in 0..self.rows {
            data.extend(self.row(i).iter().map(|x| U::from_f64(x.to_f64())));
        }
        Mat { data, rows: self.rows, cols: self.cols }
    }
    /// An error naming the first entry that is not finite.
    pub fn check_finite(&self, what: &str) -> Result<()> {
        for row in 0..self.rows {
            if let Some(column) = first_not_finite(self.row(row)) {
                let value = self.row(row)[column].to_f64();
                return Err(Error::NonFinite { what: what.into(), row, column, value });
            }
        }
        Ok(())
    }
}

/// Index of the first entry that is not finite.
pub(crate) fn first_not_finite<T: Element>(entries: &[T]) -> Option<usize> {
    // Whole chunks without a way out in between: registers of any instruction set compare several entries at once.
    const CHUNK: usize = 256;
    let fine = |chunk: &[T]| chunk.iter().fold(true, |fine, x| fine & x.is_finite());
    let at = entries.chunks(CHUNK).position(|chunk| !fine(chunk))? * CHUNK;
    entries[at..].iter().position(|x| !x.is_finite()).map(|i| at + i)
}

impl<'a, T> MatMut<'a, T> {
    /// `rows` rows of `cols` entries, the first entries of two rows `stride` apart.
    pub fn new(data: &'a mut [T], rows: usize, cols: usize, stride: usize) -> Result<Self> {
        check(data.len(), rows, cols, stride)?;
        Ok(Self { data, rows, cols, stride })
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// Distance between the first entries of two rows.
    pub fn stride(&self) -> usize {
        self.stride
    }
    /// Row `i`, to write.
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        &mut self.data[i * self.stride..i * self.stride + self.cols]
    }
    /// The entries, `stride` apart, to write.
    pub fn data_mut(&mut self) -> &mut [T] {
        self.data
    }
    /// The entries, `stride` apart, for as long as the view lasted.
    pub fn into_data(self) -> &'a mut [T] {
        self.data
    }
    /// The first `cols` columns.
    pub fn left_columns(self, cols: usize) -> Result<Self> {
        Self::new(self.data, self.rows, cols.min(self.cols), self.stride)
    }
    /// The same view, read only.
    pub fn rb(&self) -> MatRef<'_, T> {
        MatRef { data: self.data, rows: self.rows, cols: self.cols, stride: self.stride }
    }
}

fn check(len: usize, rows: usize, cols: usize, stride: usize) -> Result<()> {
    let needed =
        if rows == 0 || cols == 0 { Some(0) } else { (rows - 1).checked_mul(stride).and_then(|n| n.checked_add(cols)) };
    match needed {
        Some(needed) if needed <= len && (stride >= cols || rows <= 1) => Ok(()),
        _ => Err(Error::Shape {
            what: "matrix view".into(),
            expected: format!("{rows} rows of {cols}, {stride} apart"),
            found: format!("{len} entries"),
        }),
    }
}
