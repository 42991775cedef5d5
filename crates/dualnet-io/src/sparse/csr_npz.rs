//! scipy.sparse.save_npz: a zip archive with the arrays data, indices, indptr, shape and format.

use super::{Sparse, SparseOptions, check_size};
use crate::array::{Array, Data};
use crate::error::{Error, Result};
use crate::npz::Archive;
use std::path::Path;

pub(super) fn read(path: &Path, options: &SparseOptions) -> Result<Sparse> {
    let mut archive = Archive::open(path, options.max_bytes)?;
    let format = archive.word("format")?;
    if format != "csr" {
        let hint = "save it with scipy.sparse.save_npz(file, x.tocsr())";
        return Err(Error::unsupported(path, "array format", format!("the layout {format:?}"), hint));
    }
    let (rows, columns) = shape(path, &archive.read("shape")?)?;
    let indptr = counts(path, "indptr", archive.read("indptr")?, u64::MAX)?;
    let entries = check_indptr(path, &indptr, rows)?;
    check_size(path, rows, entries, options.max_bytes)?;
    let indices = counts(path, "indices", archive.read("indices")?, u64::from(u32::MAX))?;
    let data = archive.read("data")?;
    for (name, length) in [("indices", indices.len()), ("data", data.data.len())] {
        if length != entries {
            let (expected, found) = (format!("{entries} entries, as indptr says"), length.to_string());
            return Err(Error::malformed(path, format!("array {name}"), expected, found, AGAIN));
        }
    }
    let indices: Vec<u32> = indices.into_iter().map(|index| index as u32).collect();
    let mut found = Sparse { columns, indptr, indices, values: data.into_f64(), y: None };
    for row in 0..rows {
        found.check_row(path, row)?;
    }
    Ok(found)
}

const AGAIN: &str = "write it again with scipy.sparse.save_npz";

fn shape(path: &Path, array: &Array) -> Result<(usize, usize)> {
    let numbers = array.to_f64();
    let whole = |x: f64| (x >= 0.0 && x.fract() == 0.0 && x <= (1u64 << 32) as f64).then_some(x as usize);
    match numbers[..] {
        [rows, columns] if array.shape.len() == 1 => whole(rows).zip(whole(columns)),
        _ => None,
    }
    .ok_or_else(|| {
        let found = format!("{:?}", numbers.iter().take(4).collect::<Vec<_>>());
        Error::malformed(path, "array shape", "two numbers, rows and columns, of at most 2^32", found, AGAIN)
    })
}

/// Whole numbers from 0 to `highest`.
fn counts(path: &Path, name: &str, array: Array, highest: u64) -> Result<Vec<usize>> {
    let wrong = |at: usize, found: f64| {
        let expected = format!("whole numbers from 0 to {highest}");
        Error::malformed(path, format!("array {name}, entry {at}"), expected, found.to_string(), AGAIN)
    };
    if array.shape.len() != 1 || !matches!(array.data, Data::F64(_) | Data::F32(_) | Data::U8(_)) {
        let found = format!("the shape {:?}", array.shape);
        return Err(Error::malformed(path, format!("array {name}"), "one axis", found, AGAIN));
    }
    // Integers are read as floats that hold them exactly.
    let number = |(at, x): (usize, f64)| {
        let fits = x >= 0.0 && x.fract() == 0.0 && x <= highest as f64 && x <= usize::MAX as f64;
        if fits { Ok(x as usize) } else { Err(wrong(at, x)) }
    };
    array.into_f64().into_iter().enumerate().map(number).collect()
}

/// The number of entries.
fn check_indptr(path: &Path, indptr: &[usize], rows: usize) -> Result<usize> {
    let at = "array indptr";
    if indptr.len() != rows.saturating_add(1) {
        let expected = format!("one number more than {rows} rows");
        return Err(Error::malformed(path, at, expected, indptr.len().to_string(), AGAIN));
    }
    if let Some(&first) = indptr.first().filter(|&&first| first != 0) {
        return Err(Error::malformed(path, at, "0 first", first.to_string(), AGAIN));
    }
    if let Some(row) = indptr.windows(2).position(|pair| pair[0] > pair[1]) {
        let found = format!("{} after {}", indptr[row + 1], indptr[row]);
        return Err(Error::malformed(
            path,
            format!("{at}, entry {}", row + 1),
            "numbers that do not fall",
            found,
            AGAIN,
        ));
    }
    Ok(indptr.last().copied().unwrap_or(0))
}

impl Sparse {
    /// Sorts the columns of a row, where the file has them in another order, and checks columns and values.
    fn check_row(&mut self, path: &Path, row: usize) -> Result<()> {
        let entries = self.indptr[row]..self.indptr[row + 1];
        let (columns, values) = (&mut self.indices[entries.clone()], &mut self.values[entries]);
        if columns.windows(2).any(|pair| pair[0] > pair[1]) {
            let mut both: Vec<(u32, f64)> = columns.iter().copied().zip(values.iter().copied()).collect();
            both.sort_by_key(|&(column, _)| column);
            for (at, (column, value)) in both.into_iter().enumerate() {
                (columns[at], values[at]) = (column, value);
            }
        }
        let place = |name: &str| format!("array {name}, row {row}");
        if let Some(&last) = columns.last().filter(|&&last| last as usize >= self.columns) {
            let expected = format!("columns below {}", self.columns);
            return Err(Error::malformed(path, place("indices"), expected, last.to_string(), AGAIN));
        }
        if let Some(pair) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
            let (found, hint) = (format!("column {} twice", pair[0]), "call x.sum_duplicates() before it is saved");
            return Err(Error::malformed(path, place("indices"), "each column once", found, hint));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (found, hint) = (format!("{} in column {}", values[at], columns[at]), "remove or replace it");
            return Err(Error::malformed(path, place("data"), "finite values", found, hint));
        }
        Ok(())
    }
}
