//! CSV out.

use crate::atomic;
use crate::error::{Error, Result};
use crate::table::{Column, Values, check_names};
use std::io::{self, Write};
use std::path::Path;

/// Writes columns as CSV with a header, atomically. Numbers are written so that reading them gives the same bits; a missing
/// cell (NaN) is empty.
///
/// ```
/// use dualnet_io::{Column, Values, write::write_csv};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("out.csv");
/// write_csv(&path, &[Column { name: "prediction".into(), values: Values::Number(vec![0.1, 1e-20]) }])?;
/// assert_eq!(std::fs::read_to_string(&path)?, "prediction\n0.1\n1e-20\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Columns of different lengths; a name given twice; whatever the file system refuses.
pub fn write_csv(path: &Path, columns: &[Column]) -> Result<()> {
    check(path, columns)?;
    atomic::write(path, |file| write_rows(file, columns))
}

/// Writes columns as CSV to an open stream, such as standard output; `name` stands for it in errors.
///
/// # Errors
/// As [`write_csv`].
pub fn write_csv_to(writer: impl Write, name: &Path, columns: &[Column]) -> Result<()> {
    check(name, columns)?;
    write_rows(writer, columns).map_err(|e| Error::write(name, "write", &e))
}

fn check(path: &Path, columns: &[Column]) -> Result<()> {
    let rows = columns.first().map_or(0, Column::len);
    if let Some(other) = columns.iter().find(|c| c.len() != rows) {
        let (at, found) = (format!("column {}", other.name), format!("{} values", other.len()));
        return Err(Error::malformed(path, at, format!("{rows} values"), found, "give every column the same length"));
    }
    check_names(path, "the columns", columns.iter().map(|c| c.name.as_str()))
}

fn write_rows(writer: impl Write, columns: &[Column]) -> io::Result<()> {
    let mut out = ::csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(writer);
    out.write_record(columns.iter().map(|c| &c.name)).map_err(io_error)?;
    let mut cell = Vec::new();
    for row in 0..columns.first().map_or(0, Column::len) {
        for column in columns {
            match &column.values {
                Values::Number(values) => {
                    cell.clear();
                    write_number(&mut cell, values[row])?;
                    out.write_field(&cell)
                }
                Values::Text(cells) => out.write_field(&cells[row]),
            }
            .map_err(io_error)?;
        }
        out.write_record(None::<&[u8]>).map_err(io_error)?;
    }
    out.flush()
}

/// The shortest text that reads back as `value`, with an exponent where digits alone would be long.
fn write_number(out: &mut Vec<u8>, value: f64) -> io::Result<()> {
    let size = value.abs();
    if value.is_nan() {
        Ok(())
    } else if size == 0.0 || (1e-5..1e16).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    }
}

fn io_error(e: ::csv::Error) -> io::Error {
    match e.into_kind() {
        ::csv::ErrorKind::Io(e) => e,
        other => io::Error::other(format!("{other:?}")),
    }
}
