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
    match missing {
        Missing::Refuse => refuse(table, None),
        Missing::Mean => {
            if let Some(name) = target {
                refuse(table, Some(name))?;
            }
            let file = table.source.clone();
            table.columns.iter_mut().try_for_each(|column| fill_in(Path::new(&file), column))
        }
        Missing::Drop => drop_rows(table),
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

/// An error for the first missing cell, top to bottom, of all columns or of the one named.
fn refuse(table: &Table, only: Option<&str>) -> Result<()> {
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

fn describe(value: f64) -> String {
    if value.is_nan() { "a missing value".into() } else { format!("the number {value}") }
}

fn fill_in(file: &Path, column: &mut Column) -> Result<()> {
    match &mut column.values {
        Values::Number(values) => {
            if values.iter().all(|x| x.is_finite()) {
                return Ok(());
            }
            let Some(mean) = mean(values.iter().copied()) else {
                let at = format!("column {}", column.name);
                return Err(Error::malformed(file, at, "some value", "none at all", "remove the column"));
            };
            values.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = mean);
        }
        Values::Text(cells) => {
            cells.iter_mut().filter(|cell| cell.is_empty()).for_each(|cell| *cell = MISSING_LEVEL.into());
        }
    }
    Ok(())
}

/// Mean of the finite values, by running update so that large values do not overflow the sum.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut n = 0.0;
    let mut mean = 0.0;
    for x in values.filter(|x| x.is_finite()) {
        n += 1.0;
        mean += x / n - mean / n;
    }
    (n > 0.0).then_some(mean)
}

fn drop_rows(table: &mut Table) -> Result<()> {
    let kept: Vec<bool> = (0..table.rows).map(|row| !table.columns.iter().any(|c| c.is_missing(row))).collect();
    let left = kept.iter().filter(|&&k| k).count();
    if left == table.rows {
        return Ok(());
    }
    if left == 0 {
        let hint = "some column is perhaps empty: remove it, or use --missing mean";
        let file = Path::new(&table.source);
        return Err(Error::malformed(file, "the rows", "one without missing values", "none", hint));
    }
    table.places = Places::Each((0..table.rows).filter(|&row| kept[row]).map(|row| table.places.get(row)).collect());
    for column in &mut table.columns {
        match &mut column.values {
            Values::Number(values) => keep(values, &kept, 1),
            Values::Text(cells) => keep(cells, &kept, 1),
        }
    }
    table.rows = left;
    Ok(())
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
    match missing {
        Missing::Keep => Ok(()),
        Missing::Refuse => {
            refuse_array(file, x)?;
            y.map_or(Ok(()), |y| refuse_array(file, y))
        }
        Missing::Mean => {
            y.map_or(Ok(()), |y| refuse_array(file, y))?;
            let width = x.row_len();
            match &mut x.data {
                Data::U8(_) => Ok(()),
                Data::F32(v) => fill_columns(file, v, width, |value| value as f32),
                Data::F64(v) => fill_columns(file, v, width, |value| value),
            }
        }
        Missing::Drop => {
            let mut kept = finite_rows(x);
            if let Some(y) = &y {
                kept.iter_mut().zip(finite_rows(y)).for_each(|(k, finite)| *k &= finite);
            }
            if !kept.contains(&true) {
                let hint = "use --missing mean, or look at the data";
                return Err(Error::malformed(file, "the samples", "one without missing values", "none", hint));
            }
            keep_rows(x, &kept);
            if let Some(y) = y {
                keep_rows(y, &kept);
            }
            Ok(())
        }
    }
}

/// Position and value of the first number that is not finite.
fn first_bad(data: &Data) -> Option<(usize, f64)> {
    match data {
        Data::U8(_) => None,
        Data::F32(v) => v.iter().position(|x| !x.is_finite()).map(|at| (at, f64::from(v[at]))),
        Data::F64(v) => v.iter().position(|x| !x.is_finite()).map(|at| (at, v[at])),
    }
}

fn refuse_array(file: &Path, array: &Array) -> Result<()> {
    let Some((at, value)) = first_bad(&array.data) else { return Ok(()) };
    let width = array.row_len().max(1);
    let (row, column) = (format!("row {}", at / width + 1), (at % width + 1).to_string());
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

fn fill_columns<T: Copy + Into<f64>>(
    file: &Path,
    values: &mut [T],
    width: usize,
    narrow: impl Fn(f64) -> T,
) -> Result<()> {
    if values.iter().all(|&x| x.into().is_finite()) {
        return Ok(());
    }
    for column in 0..width {
        let of_column = || values.iter().skip(column).step_by(width).map(|&x| x.into());
        if of_column().all(f64::is_finite) {
            continue;
        }
        let Some(mean) = mean(of_column()) else {
            let at = format!("column {}", column + 1);
            return Err(Error::malformed(file, at, "some value", "none at all", "remove the column"));
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
