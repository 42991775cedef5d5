//! Rows of a file before they become a frame: raw columns, some cells perhaps missing, and where each row stands.

use crate::error::{Error, Result};
use dualnet::model::{Column, Frame, Target, Task, Values};
use dualnet_io::{MISSING_LEVEL, Table};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Rows with what is to be predicted.
#[derive(Clone)]
pub struct Samples {
    /// The file.
    pub file: PathBuf,
    /// The input; missing numbers are NaN, missing words empty.
    pub inputs: Vec<Column>,
    /// Target columns, not yet read as numbers or classes; empty where the data have none.
    pub target: Vec<Column>,
    /// Number in the file of each row.
    rows: Vec<usize>,
    /// Knows the lines; `None`: an array.
    table: Option<Rc<Table>>,
}

impl Samples {
    /// All rows of a file, of which there are `rows`.
    pub fn new(
        file: &Path,
        inputs: Vec<Column>,
        target: Vec<Column>,
        rows: usize,
        table: Option<Table>,
    ) -> Result<Self> {
        if inputs.is_empty() {
            let hint = "leave at least one column to predict from";
            return Err(Error::argument(&file.display().to_string(), "a column of input", "none", hint));
        }
        Ok(Self { file: file.into(), inputs, target, rows: (0..rows).collect(), table: table.map(Rc::new) })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether columns have no names of their own.
    pub fn is_array(&self) -> bool {
        self.table.is_none()
    }

    /// Where a row stands, as a person counts: "line 3" of a CSV file, "row 2" elsewhere.
    pub fn place(&self, row: usize) -> String {
        let row = self.rows.get(row).copied().unwrap_or(row);
        self.table.as_ref().map_or_else(|| format!("row {}", row + 1), |table| table.place(row))
    }

    /// The rows named, in that order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let part = |columns: &[Column]| {
            columns.iter().map(|c| Column { name: c.name.clone(), values: c.values.select(rows) }).collect()
        };
        Self {
            file: self.file.clone(),
            inputs: part(&self.inputs),
            target: part(&self.target),
            rows: rows.iter().map(|&i| self.rows[i]).collect(),
            table: self.table.clone(),
        }
    }

    /// Leaves rows with missing cells out; also says how many those were.
    pub fn drop_missing(self) -> Result<(Self, usize)> {
        let whole = |i: &usize| !self.inputs.iter().chain(&self.target).any(|c| is_missing(&c.values, *i));
        let kept: Vec<usize> = (0..self.len()).filter(whole).collect();
        let dropped = self.len() - kept.len();
        match (dropped, kept.is_empty()) {
            (0, _) => Ok((self, 0)),
            (_, true) => Err(Error::argument(
                &self.file.display().to_string(),
                "a row without missing values",
                "none",
                "remove a column that is mostly empty, or use --missing mean",
            )),
            _ => Ok((self.select(&kept), dropped)),
        }
    }

    /// An error for the first missing cell.
    pub fn refuse_missing(&self) -> Result<()> {
        self.refuse(self.inputs.iter().chain(&self.target), "fill it in, or pass --missing drop or --missing mean")
    }

    /// An error for the first missing target: those are never made up.
    pub fn refuse_missing_target(&self) -> Result<()> {
        self.refuse(self.target.iter(), "targets are not filled in: remove the row, or pass --missing drop")
    }

    fn refuse<'a>(&self, columns: impl Iterator<Item = &'a Column>, hint: &str) -> Result<()> {
        let first = |c: &Column| (0..c.values.len()).find(|&i| is_missing(&c.values, i));
        let Some((row, column)) = columns.filter_map(|c| Some((first(c)?, c))).min_by_key(|(row, _)| *row) else {
            return Ok(());
        };
        let what = format!("{}: {}, column {}", self.file.display(), self.place(row), column.name);
        Err(Error::argument(&what, "a value", "a missing or infinite one", hint))
    }

    /// Fills missing cells in: the mean of the column; for words a level of its own.
    pub fn fill_with_means(&mut self) -> Result<()> {
        for column in &mut self.inputs {
            match &mut column.values {
                Values::Words(words) => {
                    words.iter_mut().filter(|w| w.is_empty()).for_each(|w| *w = MISSING_LEVEL.into());
                }
                Values::Numbers(numbers) => {
                    let Some(mean) = mean(numbers) else {
                        let what = format!("{}: column {}", self.file.display(), column.name);
                        return Err(Error::argument(&what, "some value", "none at all", "remove the column"));
                    };
                    numbers.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = mean);
                }
            }
        }
        Ok(())
    }

    /// Leaves all columns of input out but those named.
    pub fn retain(&mut self, names: &[String]) {
        self.inputs.retain(|c| names.contains(&c.name));
    }

    /// The input as a frame.
    pub fn into_frame(self) -> Result<Frame> {
        Frame::new(self.inputs).map_err(Error::within(&self.file))
    }

    /// The targets as numbers or classes.
    pub fn target(&self, task: Option<Task>) -> Result<Target> {
        Target::from_columns(&self.target, task).map_err(Error::within(&self.file))
    }

    /// Refuses classes that are not among `known`.
    pub fn check_classes(&self, target: &Target, known: &[String]) -> Result<()> {
        check_classes(&self.file, target, known, |row| self.place(row))
    }

    /// Refuses data that lack one of the columns named, or hold words where there were numbers.
    pub fn check_inputs<'a>(&self, expected: impl Iterator<Item = (&'a str, bool)>, count: usize) -> Result<()> {
        let file = self.file.display().to_string();
        if self.is_array() && self.inputs.len() != count {
            let expected = format!("{count} values a sample, as in the training data");
            return Err(Error::argument(&file, &expected, &self.inputs.len().to_string(), "use arrays of one shape"));
        }
        for (name, numbers) in expected {
            let Some(column) = self.inputs.iter().find(|c| c.name == name) else {
                let names: Vec<String> = self.inputs.iter().map(|c| c.name.clone()).collect();
                let hint = "give new data the columns of the training data";
                let expected = format!("a column {name}, as in the training data");
                return Err(Error::argument(&file, &expected, &format!("the columns {}", listed(&names)), hint));
            };
            if let (Values::Words(words), true) = (&column.values, numbers)
                && let Some(row) = words.iter().position(|w| !w.is_empty() && w.parse::<f64>().is_err())
            {
                let what = format!("{file}: {}, column {name}", self.place(row));
                let hint = "give the column the type it had in training";
                let expected = "a number, as in the training data";
                return Err(Error::argument(&what, expected, &format!("{:?}", words[row]), hint));
            }
        }
        Ok(())
    }
}

/// Refuses classes that are not among `known`; `place` says where a row stands.
pub fn check_classes(file: &Path, target: &Target, known: &[String], place: impl Fn(usize) -> String) -> Result<()> {
    let Target::Classes { name, labels, codes } = target else { return Ok(()) };
    let unknown = |code: &usize| !known.iter().any(|k| same(k, &labels[*code]));
    let Some(row) = codes.iter().position(unknown) else { return Ok(()) };
    let what = format!("{}: {}, column {name}", file.display(), place(row));
    let hint = "a model cannot be judged on classes it has never seen: leave such rows out";
    Err(Error::argument(&what, &format!("one of {}", listed(known)), &format!("{:?}", labels[codes[row]]), hint))
}

/// The first few of a list of names.
pub fn listed(names: &[String]) -> String {
    let some = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 8 { format!("{some}, … ({} in all)", names.len()) } else { some }
}

fn is_missing(values: &Values, row: usize) -> bool {
    match values {
        Values::Numbers(v) => !v[row].is_finite(),
        Values::Words(v) => v[row].is_empty(),
    }
}

/// Mean of the finite values, by running update so that large values do not overflow a sum.
fn mean(values: &[f64]) -> Option<f64> {
    let (mut n, mut mean) = (0.0, 0.0);
    for x in values.iter().filter(|x| x.is_finite()) {
        n += 1.0;
        mean += x / n - mean / n;
    }
    (n > 0.0).then_some(mean)
}

/// The same word, or the same number written otherwise.
fn same(a: &str, b: &str) -> bool {
    a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if x == y)
}
