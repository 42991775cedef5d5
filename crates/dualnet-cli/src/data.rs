//! From files to frames and targets.

use crate::error::{Error, Result};
use dualnet::model::{Column, Frame, Target, Task, Values};
use dualnet::{Mat, MatRef};
use dualnet_io::{Array, Loaded, Options, Table};
use std::path::Path;

/// Samples with what is to be predicted, as one file gives them.
pub struct Labelled {
    /// The input.
    pub frame: Frame,
    /// Target columns, not yet read as numbers or classes; empty where the data have none.
    pub target: Vec<Column>,
    /// A test set that came along.
    pub test: Option<(Frame, Vec<Column>)>,
    /// What kind of file it was.
    pub format: String,
}

/// Which columns of a table are the target.
#[derive(Clone, Copy)]
pub enum Wanted<'a> {
    /// Those named; none named: the last column.
    Named(&'a [String]),
    /// Those a model was fitted to, where they are there.
    IfPresent(&'a [String]),
}

/// Loads data for fitting or prediction.
pub fn load(path: &Path, wanted: Wanted<'_>, options: &Options) -> Result<Labelled> {
    match dualnet_io::load(path, options)? {
        Loaded::Table(table) => from_table(path, table, wanted),
        Loaded::Arrays { x, y, test } => {
            if let Wanted::Named([name, ..]) = wanted {
                return Err(Error::argument(
                    "--target",
                    "a table with named columns",
                    name,
                    "arrays carry their targets as y",
                ));
            }
            let test = match test {
                Some(pair) => Some((frame(path, &pair.0)?, targets(path, &pair.1, pair.0.rows())?)),
                None => None,
            };
            let target = match y {
                Some(y) => targets(path, &y, x.rows())?,
                None => Vec::new(),
            };
            Ok(Labelled { format: format!("arrays {:?}", x.shape), frame: frame(path, &x)?, target, test })
        }
    }
}

/// Reads target columns as numbers or classes.
pub fn target(path: &Path, columns: &[Column], task: Option<Task>) -> Result<Target> {
    if columns.is_empty() {
        return Err(Error::argument(
            &path.display().to_string(),
            "data with targets",
            "none",
            "name the column with --target, or give an array file its --labels",
        ));
    }
    Target::from_columns(columns, task).map_err(Error::within(path))
}

fn from_table(path: &Path, table: Table, wanted: Wanted<'_>) -> Result<Labelled> {
    let names: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
    let chosen: Vec<String> = match wanted {
        Wanted::Named([]) => names.last().cloned().into_iter().collect(),
        Wanted::Named(targets) => {
            if let Some(unknown) = targets.iter().find(|t| !names.contains(t)) {
                let hint = format!("the columns are {}", names.join(", "));
                return Err(Error::argument("--target", "the name of a column", unknown, &hint));
            }
            targets.to_vec()
        }
        Wanted::IfPresent(targets) if targets.iter().all(|t| names.contains(t)) => targets.to_vec(),
        Wanted::IfPresent(_) => Vec::new(),
    };
    let format = table.format.clone();
    let (mut inputs, mut target) = (Vec::new(), Vec::new());
    for column in table.columns {
        let values = match column.values {
            dualnet_io::Values::Number(v) => Values::Numbers(v),
            dualnet_io::Values::Text(v) => Values::Words(v),
        };
        let is_target = chosen.contains(&column.name);
        let column = Column { name: column.name, values };
        if is_target { target.push(column) } else { inputs.push(column) }
    }
    let frame = Frame::new(inputs).map_err(Error::within(path))?;
    Ok(Labelled { frame, target, test: None, format })
}

fn frame(path: &Path, x: &Array) -> Result<Frame> {
    let values = matrix(path, x)?;
    Frame::from_matrix(values.as_ref()).map_err(Error::within(path))
}

/// Samples along the first axis, everything else side by side.
pub fn matrix(path: &Path, x: &Array) -> Result<Mat<f64>> {
    if x.shape.len() < 2 {
        return Err(Error::argument(
            &path.display().to_string(),
            "an array with samples along the first axis and at least one more",
            &format!("shape {:?}", x.shape),
            "reshape one-dimensional input to (n, 1)",
        ));
    }
    Mat::from_vec(x.rows(), x.row_len(), x.to_f64()).map_err(Error::within(path))
}

fn targets(path: &Path, y: &Array, rows: usize) -> Result<Vec<Column>> {
    if y.rows() != rows || y.shape.len() > 2 {
        return Err(Error::argument(
            &path.display().to_string(),
            &format!("targets of shape ({rows},) or ({rows}, k)"),
            &format!("{:?}", y.shape),
            "give one target a sample",
        ));
    }
    let values = y.to_f64();
    let view = MatRef::new(&values, rows, y.row_len(), y.row_len()).map_err(Error::within(path))?;
    let name = |j: usize| if y.row_len() == 1 { "y".to_string() } else { format!("y{j}") };
    Ok((0..y.row_len())
        .map(|j| Column { name: name(j), values: Values::Numbers((0..rows).map(|i| view.row(i)[j]).collect()) })
        .collect())
}
