//! Rows of which most entries are 0, in compressed form (CSR).

use super::mat::{Mat, MatRef};
use crate::error::{Error, Result};
use crate::simd::Element;

/// A matrix by its non-zeros, row by row (compressed sparse rows): row i has the entries `indptr[i]` to `indptr[i + 1]`, each with a column
/// and a value. Checked once: columns of a row increase and are in range, values are finite.
///
/// ```
/// use dualnet::linalg::SparseRows;
/// // (0, 7, 0) and (0, 0, 0) and (5, 0, 6)
/// let x = SparseRows::new(3, vec![0, 1, 1, 3], vec![1, 0, 2], vec![7.0, 5.0, 6.0])?;
/// assert_eq!((x.rows(), x.cols(), x.len()), (3, 3, 3));
/// assert_eq!(x.row(2), (&[0, 2][..], &[5.0, 6.0][..]));
/// assert_eq!(x.to_mat().row(0), [0.0, 7.0, 0.0]);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SparseRows<T> {
    cols: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<T>,
}

impl<T: Element> SparseRows<T> {
    /// `cols` columns; `indptr` has one number more than there are rows, from 0 to the number of entries; `indices` are columns counted
    /// from 0.
    ///
    /// # Errors
    /// [`Error::Shape`] with the row where the parts do not fit: no numbers in `indptr`, or ones that fall or go beyond the entries;
    /// columns out of range, out of order or twice. [`Error::NonFinite`] for a value, with its row and column.
    pub fn new(cols: usize, indptr: Vec<usize>, indices: Vec<u32>, values: Vec<T>) -> Result<Self> {
        let found = Self { cols, indptr, indices, values };
        found.check_rows()?;
        for i in 0..found.rows() {
            found.check_row(i)?;
        }
        Ok(found)
    }

    /// The non-zeros of a matrix.
    ///
    /// # Errors
    /// More than 2^32 columns; an entry that is not finite.
    pub fn from_dense(x: MatRef<'_, T>) -> Result<Self> {
        if x.cols() > 1 << 32 {
            return Err(wrong("at most 2^32 columns", &x.cols().to_string()));
        }
        x.check_finite("rows to be compressed")?;
        let mut found = Self { cols: x.cols(), indptr: vec![0], indices: Vec::new(), values: Vec::new() };
        for i in 0..x.rows() {
            for (j, &value) in x.row(i).iter().enumerate().filter(|(_, value)| **value != T::default()) {
                found.indices.push(j as u32);
                found.values.push(value);
            }
            found.indptr.push(found.values.len());
        }
        Ok(found)
    }

    fn check_rows(&self) -> Result<()> {
        let entries = self.values.len();
        if self.indices.len() != entries {
            return Err(wrong(&format!("a column for each of {entries} values"), &self.indices.len().to_string()));
        }
        if self.indptr.first() != Some(&0) || self.indptr.last() != Some(&entries) {
            let found = format!("{:?} and {:?}", self.indptr.first(), self.indptr.last());
            return Err(wrong(&format!("rows that begin at 0 and end at {entries}"), &found));
        }
        match self.indptr.windows(2).position(|pair| pair[0] > pair[1]) {
            Some(row) => {
                let found = format!("{} to {} in row {row}", self.indptr[row], self.indptr[row + 1]);
                Err(wrong("rows that end where they begin or later", &found))
            }
            None => Ok(()),
        }
    }

    fn check_row(&self, i: usize) -> Result<()> {
        let (columns, values) = self.row(i);
        if let Some(&column) = columns.iter().find(|&&column| column as usize >= self.cols) {
            return Err(wrong(&format!("columns below {}", self.cols), &format!("{column} in row {i}")));
        }
        if let Some(pair) = columns.windows(2).find(|pair| pair[0] >= pair[1]) {
            let found = format!("{} after {} in row {i}", pair[1], pair[0]);
            return Err(wrong("columns of a row in increasing order, each once", &found));
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Error::NonFinite {
                what: "sparse rows".into(),
                row: i,
                column: columns[at] as usize,
                value: values[at].to_f64(),
            }),
            None => Ok(()),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.indptr.len() - 1
    }
    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.values.len()
    }
    /// No entries at all.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
    /// Columns and values of row `i`.
    pub fn row(&self, i: usize) -> (&[u32], &[T]) {
        let entries = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[entries.clone()], &self.values[entries])
    }
    /// Where rows begin and end, the columns, and the values.
    pub fn parts(&self) -> (&[usize], &[u32], &[T]) {
        (&self.indptr, &self.indices, &self.values)
    }
    /// With all its zeros.
    pub fn to_mat(&self) -> Mat<T> {
        let mut out = Mat::zeros(self.rows(), self.cols);
        for i in 0..self.rows() {
            let (columns, values) = self.row(i);
            let row = out.row_mut(i);
            columns.iter().zip(values).for_each(|(&j, &value)| row[j as usize] = value);
        }
        out
    }
}

fn wrong(expected: &str, found: &str) -> Error {
    Error::Shape { what: "sparse rows".into(), expected: expected.into(), found: found.into() }
}
