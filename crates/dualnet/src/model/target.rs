//! What is to be predicted: numbers or classes.

use super::frame::{Column, Values};
use super::invalid;
use crate::error::{Error, Result};
use crate::linalg::Mat;
use serde::{Deserialize, Serialize};

/// Most different integers that are taken as classes without being told.
pub const MAX_INTEGER_CLASSES: usize = 20;

/// The kind of prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of several classes.
    Classification,
    /// One or more numbers.
    Regression,
}

/// Targets of training or test rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Numbers: n x k.
    Numbers {
        /// One name a column.
        names: Vec<String>,
        /// The values.
        values: Mat<f64>,
    },
    /// Classes.
    Classes {
        /// Name of the target.
        name: String,
        /// The classes, sorted: as numbers if all are numbers, else as words.
        labels: Vec<String>,
        /// For each row the number of its class.
        codes: Vec<usize>,
    },
}

impl Target {
    /// Reads target columns. `task`: `None` takes words as classes, and a single column of at most
    /// [`MAX_INTEGER_CLASSES`] different integers that each occur five times on average too; everything else as numbers.
    ///
    /// ```
    /// use dualnet::model::{Column, Target, Values};
    /// let kind = Column { name: "kind".into(), values: Values::Words(vec!["oak".into(), "fir".into()]) };
    /// let Target::Classes { labels, codes, .. } = Target::from_columns(&[kind], None)? else { unreachable!() };
    /// assert_eq!(labels, ["fir", "oak"]);
    /// assert_eq!(codes, [1, 0]);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn from_columns(columns: &[Column], task: Option<Task>) -> Result<Self> {
        let Some(first) = columns.first() else {
            return Err(invalid("the target", "at least one column", "none", "name it with --target"));
        };
        let classes = match (task, columns.len()) {
            (Some(task), _) => task == Task::Classification,
            (None, 1) => match &first.values {
                Values::Words(_) => true,
                Values::Numbers(v) => few_integers(v),
            },
            (None, _) => false,
        };
        if classes {
            if columns.len() > 1 {
                return Err(invalid(
                    "the target",
                    "one column of classes",
                    "several columns",
                    "fit one model for each",
                ));
            }
            return Self::classes(first);
        }
        let mut values = Mat::zeros(first.values.len(), columns.len());
        for (j, column) in columns.iter().enumerate() {
            let Values::Numbers(v) = &column.values else {
                let hint = "leave out --task regression, or choose another target";
                return Err(invalid(&format!("target {:?}", column.name), "numbers", "words", hint));
            };
            if v.len() != values.rows() {
                return Err(Error::Shape {
                    what: format!("target {:?}", column.name),
                    expected: format!("{} entries", values.rows()),
                    found: format!("{}", v.len()),
                });
            }
            check_finite(column, v)?;
            for (i, &x) in v.iter().enumerate() {
                values[(i, j)] = x;
            }
        }
        Ok(Self::Numbers { names: columns.iter().map(|c| c.name.clone()).collect(), values })
    }

    fn classes(column: &Column) -> Result<Self> {
        let words: Vec<String> = match &column.values {
            Values::Words(v) => v.clone(),
            Values::Numbers(v) => {
                check_finite(column, v)?;
                // Adding 0 makes -0 the same class as 0.
                v.iter().map(|x| (x + 0.0).to_string()).collect()
            }
        };
        let mut labels: Vec<String> =
            words.iter().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        if let Some(numbers) = numbers_of(&labels) {
            let mut order: Vec<usize> = (0..labels.len()).collect();
            order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
            labels = order.into_iter().map(|i| labels[i].clone()).collect();
        }
        let code: std::collections::HashMap<&str, usize> =
            labels.iter().enumerate().map(|(i, l)| (l.as_str(), i)).collect();
        let codes = words.iter().map(|w| code[w.as_str()]).collect();
        Ok(Self::Classes { name: column.name.clone(), labels, codes })
    }

    /// Refuses what [`Target::from_columns`] would not make: no outputs, fewer than two classes, numbers that are not finite or
    /// belong to no class.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Target::Numbers { names, values } => {
                if values.cols() == 0 || names.len() != values.cols() {
                    let found = format!("{} names, {} columns", names.len(), values.cols());
                    return Err(invalid("the target", "a name for each of its columns", &found, "name a target"));
                }
                values.as_ref().check_finite("the target")
            }
            Target::Classes { name, labels, codes } => {
                let what = format!("target {name:?}");
                if let Some(row) = codes.iter().position(|&c| c >= labels.len()) {
                    let found = format!("{} at row {row}", codes[row]);
                    return Err(invalid(&what, &format!("classes below {}", labels.len()), &found, "name all classes"));
                }
                if codes.windows(2).all(|pair| pair[0] == pair[1]) {
                    let found = format!("only {:?}", codes.first().map_or("", |&c| &labels[c]));
                    let hint = "check the target column, and that the data are not sorted and cut";
                    return Err(invalid(&what, "at least two classes", &found, hint));
                }
                Ok(())
            }
        }
    }

    /// Refuses another number of rows than the data have.
    pub(super) fn check_rows(&self, rows: usize) -> Result<()> {
        if self.rows() == rows {
            return Ok(());
        }
        let (expected, found) = (format!("{rows} rows, as in the data"), self.rows().to_string());
        Err(Error::Shape { what: "target".into(), expected, found })
    }

    /// The class of each row; empty for numbers.
    pub(super) fn codes(&self) -> &[usize] {
        match self {
            Target::Numbers { .. } => &[],
            Target::Classes { codes, .. } => codes,
        }
    }

    /// Number of classes, where it has any.
    pub(super) fn classes_len(&self) -> Option<usize> {
        match self {
            Target::Numbers { .. } => None,
            Target::Classes { labels, .. } => Some(labels.len()),
        }
    }

    /// The kind of prediction this asks for.
    pub fn task(&self) -> Task {
        match self {
            Target::Numbers { .. } => Task::Regression,
            Target::Classes { .. } => Task::Classification,
        }
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Target::Numbers { values, .. } => values.rows(),
            Target::Classes { codes, .. } => codes.len(),
        }
    }
    /// Columns the ridge is solved for: one a number, or one a class.
    pub fn outputs(&self) -> usize {
        match self {
            Target::Numbers { values, .. } => values.cols(),
            Target::Classes { labels, .. } => labels.len(),
        }
    }
    /// The targets of some rows after those of others; all have the same names and classes.
    pub(super) fn concatenated(targets: Vec<Target>) -> Result<Self> {
        let mut targets = targets.into_iter();
        let Some(first) = targets.next() else {
            return Err(invalid("the target", "at least one row", "none", "check the file"));
        };
        let mixed = || {
            invalid(
                "the target of a batch",
                "the names and classes of the first batch",
                "others",
                "read all batches alike",
            )
        };
        match first {
            Target::Numbers { names, values } => {
                let (mut rows, cols) = (values.rows(), values.cols());
                let mut all = values.into_vec();
                for target in targets {
                    match target {
                        Target::Numbers { names: more, values } if more == names && values.cols() == cols => {
                            rows += values.rows();
                            all.extend(values.into_vec());
                        }
                        _ => return Err(mixed()),
                    }
                }
                Ok(Target::Numbers { names, values: Mat::from_vec(rows, cols, all)? })
            }
            Target::Classes { name, labels, mut codes } => {
                for target in targets {
                    match target {
                        Target::Classes { name: n, labels: l, codes: more } if n == name && l == labels => {
                            codes.extend(more);
                        }
                        _ => return Err(mixed()),
                    }
                }
                Ok(Target::Classes { name, labels, codes })
            }
        }
    }

    /// The rows named, in that order; classes keep their numbers.
    pub fn select(&self, rows: &[usize]) -> Target {
        match self {
            Target::Numbers { names, values } => {
                Target::Numbers { names: names.clone(), values: values.as_ref().select_rows(rows) }
            }
            Target::Classes { name, labels, codes } => Target::Classes {
                name: name.clone(),
                labels: labels.clone(),
                codes: rows.iter().map(|&i| codes[i]).collect(),
            },
        }
    }
}

fn check_finite(column: &Column, values: &[f64]) -> Result<()> {
    match values.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(row) => {
            let what = format!("target {:?}", column.name);
            Err(Error::NonFinite { what, row, column: 0, value: values[row] })
        }
    }
}

/// The labels as numbers, if all are finite ones.
pub(super) fn numbers_of(labels: &[String]) -> Option<Vec<f64>> {
    labels.iter().map(|l| l.parse().ok().filter(|x: &f64| x.is_finite())).collect()
}

/// At most [`MAX_INTEGER_CLASSES`] different integers, each five times on average.
fn few_integers(values: &[f64]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    for x in values {
        if x.fract() != 0.0 || x.abs() > 1e15 {
            return false;
        }
        seen.insert(*x as i64);
        if seen.len() > MAX_INTEGER_CLASSES {
            return false;
        }
    }
    !seen.is_empty() && values.len() >= 5 * seen.len()
}
