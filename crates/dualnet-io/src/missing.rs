//! Missing and non-finite values: refused, dropped, filled in, or handed on.

use crate::array::{Array, Data};
use crate::error::{Error, Result};
use crate::options::Missing;
use crate::table::{Column, Places, Table, Values};
use std::path::Path;

/// The level that [`Missing::Mean`] gives to missing text.
pub const MISSING_LEVEL: &str = "missing";

/// True for the ways in which files write "no value".
pub(crate) fn is_missing_token(cell: &str) -> bool {
    const TOKENS: [&str; 9] = ["", "NA", "NaN", "null", "?", "N/A", "#N/A", "None", "<NA>"];
    // Most cells are numbers: their first character decides.
    let number = cell.as_bytes().first().is_some_and(|b| b.is_ascii_digit() || *b == b'-');
    !number && cell.len() <= 4 && TOKENS.iter().any(|token| token.eq_ignore_ascii_case(cell))
}

/// Does to `table` what `missing` says; columns named `target` are never filled in.
pub(crate) fn in_table(table: &mut Table, missing: Missing, target: Option<&str>) -> Result<()> {
    let means: Vec<Option<f64>> = match missing {
        Missing::Mean => table.columns.iter().map(mean_if_needed).collect(),
        _ => Vec::new(),
    };
    in_part(table, missing, target, &means)?;
    if table.rows == 0 { Err(no_row_left(Path::new(&table.source))) } else { Ok(()) }
}

/// Does to `table`, a part of a larger one, what `missing` says; `means` are those of the columns of the whole. All rows
/// may be dropped.
pub(crate) fn in_part(table: &mut Table, missing: Missing, target: Option<&str>, means: &[Option<f64>]) -> Result<()> {
    match missing {
        Missing::Refuse => refuse(table, None),
        Missing::Mean => {
            if let Some(name) = target {
                refuse(table, Some(name))?;
            }
            let file = Path::new(&table.source);
            let means = means.iter().copied().chain(std::iter::repeat(None));
            table.columns.iter_mut().zip(means).try_for_each(|(column, mean)| fill_in(file, column, mean))
        }
        Missing::Drop => {
            drop_rows(table);
            Ok(())
        }
        Missing::Keep => {
            for column in &mut table.columns {
                if let Values::Number(values) = &mut column.values {
                    values.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = f64::NAN);
                }
            }
            Ok(())
        }
    }
}

pub(crate) fn no_row_left(file: &Path) -> Error {
    let hint = "some column is perhaps empty: remove it, or use --missing mean";
    Error::malformed(file, "the rows", "one without missing values", "none", hint)
}

pub(crate) fn no_value(file: &Path, column: &str) -> Error {
    Error::malformed(file, format!("column {column}"), "some value", "none at all", "remove the column")
}

/// An error for the first missing cell, top to bottom, of all columns or of the one named.
pub(crate) fn refuse(table: &Table, only: Option<&str>) -> Result<()> {
    let first = |c: &Column| (0..c.len()).find(|&row| c.is_missing(row));
    let columns = table.columns.iter().filter(|c| only.is_none_or(|name| name == c.name));
    let Some((row, column)) = columns.filter_map(|c| Some((first(c)?, c))).min_by_key(|&(row, _)| row) else {
        return Ok(());
    };
    let found = match &column.values {
        Values::Number(v) => describe(v[row]),
        Values::Text(_) => describe(f64::NAN),
    };
    Err(Error::Missing { file: table.source.clone().into(), row: table.place(row), column: column.name.clone(), found })
}

pub(crate) fn describe(value: f64) -> String {
    if value.is_nan() { "a missing value".into() } else { format!("the number {value}") }
}

fn mean_if_needed(column: &Column) -> Option<f64> {
    match &column.values {
        Values::Number(values) if values.iter().any(|x| !x.is_finite()) => mean(values.iter().copied()),
        _ => None,
    }
}

fn fill_in(file: &Path, column: &mut Column, mean: Option<f64>) -> Result<()> {
    match &mut column.values {
        Values::Number(values) => {
            for x in values.iter_mut().filter(|x| !x.is_finite()) {
                *x = mean.ok_or_else(|| no_value(file, &column.name))?;
            }
        }
        Values::Text(cells) => {
            cells.iter_mut().filter(|cell| cell.is_empty()).for_each(|cell| *cell = MISSING_LEVEL.into());
        }
    }
    Ok(())
}

/// Mean of finite values, by running update so that large values do not overflow the sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Mean {
    n: f64,
    mean: f64,
}

impl Mean {
    /// Takes in a value if it is finite.
    pub(crate) fn add(&mut self, x: f64) {
        if x.is_finite() {
            self.n += 1.0;
            self.mean += x / self.n - self.mean / self.n;
        }
    }

    /// The mean, if there was a value.
    pub(crate) fn value(self) -> Option<f64> {
        (self.n > 0.0).then_some(self.mean)
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut mean = Mean::default();
    values.for_each(|x| mean.add(x));
    mean.value()
}

fn drop_rows(table: &mut Table) {
    let kept: Vec<bool> = (0..table.rows).map(|row| !table.columns.iter().any(|c| c.is_missing(row))).collect();
    let left = kept.iter().filter(|&&k| k).count();
    if left == table.rows {
        return;
    }
    table.places = Places::Each((0..table.rows).filter(|&row| kept[row]).map(|row| table.places.get(row)).collect());
    for column in &mut table.columns {
        match &mut column.values {
            Values::Number(values) => keep(values, &kept, 1),
            Values::Text(cells) => keep(cells, &kept, 1),
        }
    }
    table.rows = left;
}

/// Keeps the groups of `width` values whose flag is set.
fn keep<T>(values: &mut Vec<T>, kept: &[bool], width: usize) {
    let mut index = 0;
    values.retain(|_| {
        let stays = kept[index / width];
        index += 1;
        stays
    });
}

/// Does to arrays what `missing` says: rows are samples, columns the values of a sample. Labels are never filled in.
pub(crate) fn in_arrays(file: &Path, x: &mut Array, y: Option<&mut Array>, missing: Missing) -> Result<()> {
    if missing == Missing::Mean {
        y.map_or(Ok(()), |y| refuse_array(file, y, 0))?;
        let width = x.row_len();
        return match &mut x.data {
            Data::U8(_) => Ok(()),
            Data::F32(v) => fill_columns(file, v, width, |value| value as f32, mean_of_column),
            Data::F64(v) => fill_columns(file, v, width, |value| value, mean_of_column),
        };
    }
    in_array_part(file, x, y, missing, &[], 0)?;
    if x.rows() == 0 { Err(no_sample_left(file)) } else { Ok(()) }
}

/// Does to a part of larger arrays, which begins at row `first` (from 0), what `missing` says; `means` are those of the
/// columns of the whole. All rows may be dropped.
pub(crate) fn in_array_part(
    file: &Path,
    x: &mut Array,
    y: Option<&mut Array>,
    missing: Missing,
    means: &[Option<f64>],
    first: u64,
) -> Result<()> {
    match missing {
        Missing::Keep => Ok(()),
        Missing::Refuse => {
            refuse_array(file, x, first)?;
            y.map_or(Ok(()), |y| refuse_array(file, y, first))
        }
        Missing::Mean => {
            y.map_or(Ok(()), |y| refuse_array(file, y, first))?;
            let width = x.row_len();
            let mean_of = |column: usize| means.get(column).copied().flatten();
            match &mut x.data {
                Data::U8(_) => Ok(()),
                Data::F32(v) => fill_columns(file, v, width, |value| value as f32, |column, _| mean_of(column)),
                Data::F64(v) => fill_columns(file, v, width, |value| value, |column, _| mean_of(column)),
            }
        }
        Missing::Drop => {
            let mut kept = finite_rows(x);
            if let Some(y) = &y {
                kept.iter_mut().zip(finite_rows(y)).for_each(|(k, finite)| *k &= finite);
            }
            if kept.contains(&false) {
                keep_rows(x, &kept);
                y.into_iter().for_each(|y| keep_rows(y, &kept));
            }
            Ok(())
        }
    }
}

pub(crate) fn no_sample_left(file: &Path) -> Error {
    let hint = "use --missing mean, or look at the data";
    Error::malformed(file, "the samples", "one without missing values", "none", hint)
}

/// Position and value of the first number that is not finite.
fn first_bad(data: &Data) -> Option<(usize, f64)> {
    match data {
        Data::U8(_) => None,
        Data::F32(v) => v.iter().position(|x| !x.is_finite()).map(|at| (at, f64::from(v[at]))),
        Data::F64(v) => v.iter().position(|x| !x.is_finite()).map(|at| (at, v[at])),
    }
}

/// An error for the first number that is not finite, of an array whose first row is row `first` (from 0) of the file's.
pub(crate) fn refuse_array(file: &Path, array: &Array, first: u64) -> Result<()> {
    let Some((at, value)) = first_bad(&array.data) else { return Ok(()) };
    let width = array.row_len().max(1);
    let (row, column) = (format!("row {}", first + (at / width) as u64 + 1), (at % width + 1).to_string());
    Err(Error::Missing { file: file.into(), row, column, found: describe(value) })
}

fn finite_rows(array: &Array) -> Vec<bool> {
    let (rows, width) = (array.rows(), array.row_len());
    let finite = |row: usize| match &array.data {
        Data::U8(_) => true,
        Data::F32(v) => v[row * width..(row + 1) * width].iter().all(|x| x.is_finite()),
        Data::F64(v) => v[row * width..(row + 1) * width].iter().all(|x| x.is_finite()),
    };
    (0..rows).map(finite).collect()
}

fn keep_rows(array: &mut Array, kept: &[bool]) {
    let width = array.row_len();
    match &mut array.data {
        Data::U8(v) => keep(v, kept, width),
        Data::F32(v) => keep(v, kept, width),
        Data::F64(v) => keep(v, kept, width),
    }
    if let Some(rows) = array.shape.first_mut() {
        *rows = kept.iter().filter(|&&k| k).count();
    }
}

fn mean_of_column<T: Copy + Into<f64>>(column: usize, (values, width): (&[T], usize)) -> Option<f64> {
    mean(values.iter().skip(column).step_by(width).map(|&x| x.into()))
}

/// Replaces what is not finite by `narrow` of the mean that `mean_of` gives for its column, from the column's number or
/// from the values in rows of a given width.
fn fill_columns<T: Copy + Into<f64>>(
    file: &Path,
    values: &mut [T],
    width: usize,
    narrow: impl Fn(f64) -> T,
    mean_of: impl Fn(usize, (&[T], usize)) -> Option<f64>,
) -> Result<()> {
    if values.iter().all(|&x| x.into().is_finite()) {
        return Ok(());
    }
    for column in 0..width {
        if values.iter().skip(column).step_by(width).all(|&x| x.into().is_finite()) {
            continue;
        }
        let Some(mean) = mean_of(column, (values, width)) else {
            return Err(no_value(file, &(column + 1).to_string()));
        };
        values.iter_mut().skip(column).step_by(width).filter(|x| !(**x).into().is_finite()).for_each(|x| {
            *x = narrow(mean);
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        for token in ["", "NA", "na", "NaN", "nan", "null", "NULL", "?", "None", "#N/A", "<NA>"] {
            assert!(is_missing_token(token), "{token}");
        }
        for value in ["0", "-", "Nano", "none of these", "n", "NAN1"] {
            assert!(!is_missing_token(value), "{value}");
        }
    }

    #[test]
    fn the_mean_does_not_overflow() {
        assert_eq!(mean([f64::MAX, f64::NAN, f64::MAX].into_iter()), Some(f64::MAX));
        assert_eq!(mean([1.0, 2.0, 6.0, f64::INFINITY].into_iter()), Some(3.0));
        assert_eq!(mean([f64::NAN].into_iter()), None);
    }

    #[test]
    fn arrays_are_filled_column_by_column_or_lose_rows() {
        let nan = f32::NAN;
        let array = || Array { shape: vec![3, 2], data: Data::F32(vec![1.0, nan, 3.0, 4.0, 5.0, 8.0]) };
        let file = Path::new("a.npy");
        let mut filled = array();
        in_arrays(file, &mut filled, None, Missing::Mean).unwrap();
        assert_eq!(filled.data, Data::F32(vec![1.0, 6.0, 3.0, 4.0, 5.0, 8.0]));
        let (mut x, mut y) = (array(), Array { shape: vec![3], data: Data::F64(vec![0.0, 1.0, f64::INFINITY]) });
        in_arrays(file, &mut x, Some(&mut y), Missing::Drop).unwrap();
        assert_eq!((x.shape, x.data), (vec![1, 2], Data::F32(vec![3.0, 4.0])));
        assert_eq!((y.shape, y.data), (vec![1], Data::F64(vec![1.0])));
        let error = in_arrays(file, &mut array(), None, Missing::Refuse).unwrap_err().to_string();
        assert!(error.starts_with("a.npy: row 1, column 2: a missing value where"), "{error}");
    }
}
