//! From files to samples.

use crate::error::{Error, Result};
use crate::options::{Common, MissingOption};
use crate::output;
use crate::samples::{Samples, listed};
use dualnet::model::{Column, Frame, InputKind, Model, Target, Values};
use dualnet_io::sparse::is_sparse;
use dualnet_io::{Array, Loaded, Missing, Options, Table};
use std::path::Path;

/// What a file or folder held.
pub struct Data {
    /// Its rows.
    pub samples: Samples,
    /// A test set that came along.
    pub test: Option<Samples>,
    /// What kind of file it was.
    pub format: String,
}

/// How data are read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// File with the labels of an array file.
    pub labels: Option<&'a Path>,
    /// What to do with missing values.
    pub missing: MissingOption,
    /// Memory, and whether to talk.
    pub common: &'a Common,
}

/// Which columns of a table are the target.
#[derive(Clone, Copy)]
pub enum Wanted<'a> {
    /// Those named; none named: the last column.
    Named(&'a [String]),
    /// Those a model was fitted to, where they are all there.
    IfPresent(&'a [String]),
}

/// Loads data. With [`Wanted::Named`], missing values are refused, or their rows dropped, or (mean) left in the input for
/// whoever knows the means; with [`Wanted::IfPresent`] they are all left in, for [`settle`], once it is known which columns
/// matter.
pub fn load(path: &Path, wanted: Wanted<'_>, reading: &Reading<'_>) -> Result<Data> {
    let options = Options {
        max_bytes: reading.common.memory().unwrap_or(u64::MAX),
        labels: reading.labels.map(Path::to_path_buf),
        missing: match (wanted, reading.missing) {
            (Wanted::Named(_), MissingOption::Refuse) => Missing::Refuse,
            _ => Missing::Keep,
        },
        target: None,
    };
    if is_sparse(path)? {
        let hint = "`dualnet features NET --x FILE -o F.npz` makes dense features of them, which can be fitted with the labels beside them";
        return Err(Error::argument(&path.display().to_string(), "dense rows", "sparse ones", hint));
    }
    let mut data = match dualnet_io::load(path, &options)? {
        Loaded::Table(table) => from_table(path, table, wanted)?,
        Loaded::Arrays { x, y, test, classes } => {
            if let Wanted::Named([name, ..]) = wanted {
                let hint = "arrays carry their targets as y, or in the file given with --labels";
                return Err(Error::argument("--target", "a table with named columns", name, hint));
            }
            let y = y.filter(|_| !matches!(wanted, Wanted::IfPresent([])));
            let named = |x: &Array, y: Option<&Array>| named_arrays(path, x, y, classes.as_deref());
            let test = match test {
                Some(pair) => Some(named(&pair.0, Some(&pair.1))?),
                None => None,
            };
            let shape: Vec<String> = x.shape.iter().map(usize::to_string).collect();
            let format = format!("array of shape ({})", shape.join(", "));
            Data { samples: named(&x, y.as_ref())?, test, format }
        }
    };
    if let Wanted::Named(_) = wanted {
        data.samples = settle(data.samples, reading)?;
    }
    Ok(data)
}

/// Does to rows with missing values what was asked for; `mean` leaves them in the input.
pub fn settle(samples: Samples, reading: &Reading<'_>) -> Result<Samples> {
    match reading.missing {
        MissingOption::Refuse => samples.refuse_missing().map(|()| samples),
        MissingOption::Mean => samples.refuse_missing_target().map(|()| samples),
        MissingOption::Drop => {
            let (samples, dropped) = samples.drop_missing()?;
            if dropped > 0 {
                let rows = output::count(dropped, "row");
                reading.common.say(&format!("{}: {rows} with missing values left out", samples.file.display()));
            }
            Ok(samples)
        }
    }
}

/// Rows for a model that was fitted before: its columns alone, checked, missing values filled in with its means. The target
/// is there if `targets` are named and found. Of a folder with a training and a test set the latter: the model has seen the
/// other.
pub fn load_for(model: &Model, path: &Path, targets: &[String], reading: &Reading<'_>) -> Result<Samples> {
    let data = load(path, Wanted::IfPresent(targets), reading)?;
    let mut samples = data.test.unwrap_or(data.samples);
    let inputs = model.inputs();
    let expected = inputs.iter().map(|(name, kind)| (*name, matches!(kind, InputKind::Numbers { .. })));
    samples.check_inputs(expected, model.report().n_features)?;
    samples.retain(&inputs.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>());
    let mut samples = settle(samples, reading)?;
    model.fill_missing(&mut samples.inputs);
    Ok(samples)
}

/// Rows and targets to judge a model by, from a file that must hold both; `hint` is what else could be done with one that does not.
pub fn load_judging(model: &Model, path: &Path, reading: &Reading<'_>, hint: &str) -> Result<(Frame, Target)> {
    let names = model.targets();
    let samples = load_for(model, path, &names, reading)?;
    if samples.target.is_empty() {
        return Err(no_target(&samples, &names, hint));
    }
    let target = samples.target(Some(model.task()))?;
    samples.check_classes(&target, model.classes())?;
    Ok((samples.into_frame()?, target))
}

/// An error for data without the target columns `names`.
pub fn no_target(samples: &Samples, names: &[String], hint: &str) -> Error {
    let file = samples.file.display().to_string();
    if samples.is_array() {
        let hint = format!("give --labels, or an .npz with x and y{hint}");
        return Error::argument(&file, "data with targets", "samples alone", &hint);
    }
    let columns: Vec<String> = samples.inputs.iter().map(|c| c.name.clone()).collect();
    let noun = if names.len() == 1 { "target column" } else { "target columns" };
    let hint = format!("add what is to be predicted{hint}");
    Error::argument(
        &file,
        &format!("the {noun} {}", names.join(", ")),
        &format!("the columns {}", listed(&columns)),
        &hint,
    )
}

/// A table with its columns divided into input and target.
pub fn from_table(path: &Path, mut table: Table, wanted: Wanted<'_>) -> Result<Data> {
    let names: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
    let chosen: Vec<String> = match wanted {
        Wanted::Named([]) => names.last().cloned().into_iter().collect(),
        Wanted::Named(targets) => {
            if let Some(unknown) = targets.iter().find(|t| !names.contains(t)) {
                let hint = format!("the columns are {}", listed(&names));
                return Err(Error::argument("--target", "the name of a column", unknown, &hint));
            }
            targets.to_vec()
        }
        Wanted::IfPresent(targets) if targets.iter().all(|t| names.contains(t)) => targets.to_vec(),
        Wanted::IfPresent(_) => Vec::new(),
    };
    let (mut inputs, mut target) = (Vec::new(), Vec::new());
    for column in std::mem::take(&mut table.columns) {
        let values = match column.values {
            dualnet_io::Values::Number(v) => Values::Numbers(v),
            dualnet_io::Values::Text(v) => Values::Words(v),
        };
        let is_target = chosen.contains(&column.name);
        let column = Column { name: column.name, values };
        if is_target { target.push(column) } else { inputs.push(column) }
    }
    let (format, rows) = (table.format.clone(), table.rows());
    Ok(Data { samples: Samples::new(path, inputs, target, rows, Some(table))?, test: None, format })
}

/// Puts the names of classes in the place of their numbers.
fn name_classes(path: &Path, target: &mut [Column], names: &[String]) -> Result<()> {
    for column in target {
        let Values::Numbers(codes) = &column.values else { continue };
        // A negative code becomes 0 here and fails the comparison.
        let name = |code: &f64| names.get(*code as usize).filter(|_| code.fract() == 0.0 && *code >= 0.0).cloned();
        let words: Option<Vec<String>> = codes.iter().map(name).collect();
        let Some(words) = words else {
            let expected = format!("numbers of {} named classes", names.len());
            let file = path.display().to_string();
            return Err(Error::argument(&file, &expected, "another label", "check the labels"));
        };
        column.values = Values::Words(words);
    }
    Ok(())
}

/// Samples along the first axis, everything else side by side as columns x0, x1, ...
pub fn from_arrays(path: &Path, x: &Array, y: Option<&Array>) -> Result<Samples> {
    named_arrays(path, x, y, None)
}

/// The same, where classes may have names.
fn named_arrays(path: &Path, x: &Array, y: Option<&Array>, classes: Option<&[String]>) -> Result<Samples> {
    if x.shape.len() < 2 {
        let expected = "an array with samples along the first axis and at least one more";
        let hint = "reshape one-dimensional input to (n, 1)";
        return Err(Error::argument(&path.display().to_string(), expected, &format!("shape {:?}", x.shape), hint));
    }
    let target = match y {
        None => Vec::new(),
        Some(y) => targets(path, x.rows(), y, classes)?,
    };
    Samples::new(path, columns(x, |j| format!("x{j}")), target, x.rows(), None)
}

/// Target columns of `rows` samples: y, or y0, y1, ...
pub fn targets(path: &Path, rows: usize, y: &Array, classes: Option<&[String]>) -> Result<Vec<Column>> {
    if y.rows() != rows || y.shape.len() > 2 {
        let (file, expected) = (path.display().to_string(), format!("targets of shape ({rows},) or ({rows}, k)"));
        return Err(Error::argument(&file, &expected, &format!("{:?}", y.shape), "give one target a sample"));
    }
    let mut target = match y.row_len() {
        1 => columns(y, |_| "y".into()),
        _ => columns(y, |j| format!("y{j}")),
    };
    classes.map_or(Ok(()), |names| name_classes(path, &mut target, names))?;
    Ok(target)
}

/// Samples turned into columns, some at a time: one whole column after the other would miss the cache at every entry.
fn columns(array: &Array, name: impl Fn(usize) -> String) -> Vec<Column> {
    const ROWS: usize = 64;
    let (values, width) = (array.to_f64(), array.row_len());
    let mut columns: Vec<Vec<f64>> = (0..width).map(|_| Vec::with_capacity(array.rows())).collect();
    for rows in values.chunks(ROWS * width.max(1)) {
        for (j, column) in columns.iter_mut().enumerate() {
            column.extend(rows.iter().skip(j).step_by(width));
        }
    }
    let named = |(j, values)| Column { name: name(j), values: Values::Numbers(values) };
    columns.into_iter().enumerate().map(named).collect()
}
