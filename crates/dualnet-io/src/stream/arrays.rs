//! Batches of samples and labels.

use super::array_rows::{ArrayRows, Form};
use super::schema::{ElementType, RowShape, Schema};
use super::{Chunk, Source};
use crate::array::{Array, Data};
use crate::dataset::{Format, check_pair, labels_twice, not_labels, sniff};
use crate::error::{Error, Result};
use crate::input::Input;
use crate::missing::{Mean, in_array_part, no_sample_left, no_value, refuse_array};
use crate::npz::Archive;
use crate::options::{Missing, Options};
use std::path::PathBuf;
use std::sync::Arc;

/// Values read at a time in the first pass.
const SURVEY: usize = 1 << 16;

/// Samples, and labels if there are any, read side by side.
pub(super) struct Arrays {
    path: PathBuf,
    schema: Schema,
    x: ArrayRows,
    y: Option<ArrayRows>,
    missing: Missing,
    means: Vec<Option<f64>>,
    limit: u64,
    /// Rows of a pass, if known.
    rows: Option<u64>,
    /// Rows read in this pass, and those of them not dropped.
    read: u64,
    kept: u64,
}

/// Opens arrays; goes through them once where means are asked for.
pub(super) fn open(input: &Arc<Input>, format: Format, options: &Options) -> Result<Arrays> {
    let path = input.path();
    let (x, mut y) = match Form::of(format) {
        Some(form) => (ArrayRows::open(input, form)?, None),
        None => open_archive(input)?,
    };
    if let Some(labels) = &options.labels {
        if y.is_some() {
            return Err(labels_twice(path));
        }
        let labels = Arc::new(Input::for_stream(labels, options.max_bytes)?);
        let form = Form::of(sniff(&labels)?).ok_or_else(|| not_labels(labels.path()))?;
        y = Some(ArrayRows::open(&labels, form)?);
    }
    check_pair(path, x.shape(), y.as_ref().map(ArrayRows::shape), options.labels.as_deref())?;
    let schema = Schema::Arrays { x: row_shape(&x), y: y.as_ref().map(row_shape) };
    let rows = (options.missing != Missing::Drop).then_some(x.rows_left() as u64);
    let (path, missing, limit) = (path.to_path_buf(), options.missing, options.max_bytes);
    let mut arrays = Arrays { path, schema, x, y, missing, means: Vec::new(), limit, rows, read: 0, kept: 0 };
    if missing == Missing::Mean && !matches!(arrays.x.empty(), Data::U8(_)) {
        arrays.means = arrays.survey()?;
        arrays.restart()?;
    }
    Ok(arrays)
}

fn open_archive(input: &Arc<Input>) -> Result<(ArrayRows, Option<ArrayRows>)> {
    let mut archive = Archive::from_file(input.path(), input.file()?, u64::MAX)?;
    let x = ArrayRows::open_member(input, archive.member("x")?, "x")?;
    if !archive.names().iter().any(|name| name == "y") {
        return Ok((x, None));
    }
    let y = ArrayRows::open_member(input, archive.member("y")?, "y")?;
    Ok((x, Some(y)))
}

fn row_shape(array: &ArrayRows) -> RowShape {
    let shape = array.shape().iter().skip(1).copied().collect();
    RowShape { shape, element: ElementType::of(&array.empty()) }
}

impl Arrays {
    /// The means of the columns of the samples.
    fn survey(&mut self) -> Result<Vec<Option<f64>>> {
        let width = self.x.row_len();
        self.check_room(1)?;
        let mut means = vec![Mean::default(); width];
        let mut filled = vec![false; width];
        while self.x.rows_left() > 0 {
            let first = self.read;
            let (x, y) = self.read((SURVEY / width).max(1))?;
            y.map_or(Ok(()), |y| refuse_array(&self.path, &y, first))?;
            let mut add = |index: usize, value: f64| {
                means[index % width].add(value);
                filled[index % width] |= !value.is_finite();
            };
            match &x.data {
                Data::U8(_) => {}
                Data::F32(v) => v.iter().enumerate().for_each(|(index, &value)| add(index, value.into())),
                Data::F64(v) => v.iter().enumerate().for_each(|(index, &value)| add(index, value)),
            }
        }
        let means: Vec<Option<f64>> = means.into_iter().map(Mean::value).collect();
        match means.iter().zip(filled).position(|(mean, filled)| filled && mean.is_none()) {
            Some(column) => Err(no_value(&self.path, &(column + 1).to_string())),
            None => Ok(means),
        }
    }

    /// The next `rows` rows, as far as there are so many.
    fn read(&mut self, rows: usize) -> Result<(Array, Option<Array>)> {
        let rows = rows.min(self.x.rows_left());
        let x = self.x.next(rows)?;
        let y = self.y.as_mut().map(|y| y.next(rows)).transpose()?;
        self.read += rows as u64;
        Ok((x, y))
    }

    fn check_room(&self, rows: usize) -> Result<()> {
        let row = self.x.row_bytes().saturating_add(self.y.as_ref().map_or(0, ArrayRows::row_bytes));
        let needed = row.saturating_mul(rows as u64);
        if needed <= self.limit {
            return Ok(());
        }
        Err(Error::TooLarge { file: self.path.clone(), at: "a batch".into(), needed, limit: self.limit })
    }
}

impl Source for Arrays {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn rows(&self) -> Option<u64> {
        self.rows
    }

    fn next(&mut self, rows: usize) -> Result<Option<Chunk>> {
        self.check_room(rows.min(self.x.rows_left()))?;
        let mut batch: Option<(Array, Option<Array>)> = None;
        let mut left = rows;
        while left > 0 && self.x.rows_left() > 0 {
            let first = self.read;
            let (mut x, mut y) = self.read(left)?;
            in_array_part(&self.path, &mut x, y.as_mut(), self.missing, &self.means, first)?;
            left = left.saturating_sub(x.rows());
            self.kept += x.rows() as u64;
            match &mut batch {
                _ if x.rows() == 0 => {}
                None => batch = Some((x, y)),
                Some((all_x, all_y)) => {
                    append(all_x, x);
                    all_y.iter_mut().zip(y).for_each(|(all_y, y)| append(all_y, y));
                }
            }
        }
        if self.x.rows_left() == 0 {
            self.rows = Some(self.kept);
            if self.kept == 0 {
                return Err(no_sample_left(&self.path));
            }
        }
        Ok(batch.map(|(x, y)| Chunk::Arrays { x, y }))
    }

    fn restart(&mut self) -> Result<()> {
        (self.read, self.kept) = (0, 0);
        self.x.restart()?;
        self.y.as_mut().map_or(Ok(()), ArrayRows::restart)
    }
}

/// Adds the rows of `more`, an array of the same row.
fn append(array: &mut Array, more: Array) {
    if let Some(first) = array.shape.first_mut() {
        *first += more.rows();
    }
    match (&mut array.data, more.data) {
        (Data::U8(values), Data::U8(more)) => values.extend(more),
        (Data::F32(values), Data::F32(more)) => values.extend(more),
        (Data::F64(values), Data::F64(more)) => values.extend(more),
        // The type of the values is fixed when an array is opened.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_at_the_end() {
        let mut array = Array { shape: vec![1, 2], data: Data::F32(vec![1.0, 2.0]) };
        append(&mut array, Array { shape: vec![2, 2], data: Data::F32(vec![3.0, 4.0, 5.0, 6.0]) });
        assert_eq!(array, Array { shape: vec![3, 2], data: Data::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) });
    }
}
