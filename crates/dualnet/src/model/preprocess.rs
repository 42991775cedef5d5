//! From columns to the numbers a kernel sees; learned on the training rows, saved with the model.
//!
//! Numbers are standardised and clipped at three standard deviations, words become one 0/1 column a level. Columns that say nothing are left out.
//! Rows are not normalised: on 57 tables that cost .012 of accuracy and .05 of R2 (docs/model.md).

use super::frame::{Column, Frame, Values};
use crate::error::{Error, Result};
use crate::linalg::Mat;
use serde::{Deserialize, Serialize};

/// Most levels of a column of words.
pub const MAX_LEVELS: usize = 1000;

/// How columns of numbers are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Each column to mean 0 and standard deviation 1, clipped at +-3: for tables.
    Columns,
    /// Each column to mean 0, all by one factor (mean variance 1): for pixels, which share a unit.
    Global,
}

/// What becomes of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// (x - shift) * factor, clipped.
    Scale { name: String, shift: f64, factor: f64, clip: Option<f64> },
    /// One 0/1 column for each level.
    OneHot { name: String, levels: Vec<String> },
    /// Left out.
    Drop { name: String, reason: String },
}

/// Preprocessing learned from a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    steps: Vec<Step>,
    width: usize,
}

impl Preprocess {
    /// Learns from the training rows. Errors: no rows, no column that varies, more than [`MAX_LEVELS`] levels, words that look like dates.
    pub fn learn(frame: &Frame, scaling: Scaling) -> Result<Self> {
        if frame.rows() == 0 {
            return Err(invalid("the data", "at least one row", "none", "check the file"));
        }
        let moments: Vec<Option<(f64, f64)>> = frame.columns().iter().map(|c| moments(&c.values)).collect();
        let varying: Vec<f64> = moments.iter().flatten().map(|m| m.1).filter(|&v| v > 0.0).collect();
        let mean_variance = varying.iter().sum::<f64>() / varying.len().max(1) as f64;
        let steps: Vec<Step> = frame
            .columns()
            .iter()
            .zip(&moments)
            .map(|(column, moments)| step(column, *moments, scaling, mean_variance))
            .collect::<Result<_>>()?;
        let width = steps.iter().map(Step::width).sum();
        if width == 0 {
            return Err(invalid(
                "the input columns",
                "at least one that varies",
                "only constant columns",
                "check that the target was not the only informative column",
            ));
        }
        Ok(Self { steps, width })
    }

    /// Columns after preprocessing.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Name of the input column behind each output column, with the level for one-hot ones ("colour=red").
    pub fn feature_names(&self) -> Vec<String> {
        let mut names = Vec::with_capacity(self.width);
        for step in &self.steps {
            match step {
                Step::Scale { name, .. } => names.push(name.clone()),
                Step::OneHot { name, levels } => names.extend(levels.iter().map(|l| format!("{name}={l}"))),
                Step::Drop { .. } => {}
            }
        }
        names
    }

    /// Columns left out: (name, reason).
    pub fn dropped(&self) -> Vec<(&str, &str)> {
        let pair = |s: &'_ Step| match s {
            Step::Drop { .. } => true,
            _ => false,
        };
        self.steps
            .iter()
            .filter(|s| pair(s))
            .filter_map(|s| match s {
                Step::Drop { name, reason } => Some((name.as_str(), reason.as_str())),
                _ => None,
            })
            .collect()
    }

    /// The numbers of new rows (n x width). Columns are found by name; others are ignored. A level never seen is all zeros.
    pub fn apply(&self, frame: &Frame) -> Result<Mat<f64>> {
        let mut out = Mat::zeros(frame.rows(), self.width);
        let mut at = 0;
        for step in &self.steps {
            let name = match step {
                Step::Drop { .. } => continue,
                Step::Scale { name, .. } | Step::OneHot { name, .. } => name,
            };
            let column = frame.column(name).ok_or_else(|| missing(name, frame))?;
            match (step, &column.values) {
                (Step::Scale { shift, factor, clip, .. }, Values::Numbers(v)) => {
                    let limit = clip.unwrap_or(f64::INFINITY);
                    for (i, x) in v.iter().enumerate() {
                        out[(i, at)] = ((x - shift) * factor).clamp(-limit, limit);
                    }
                }
                (Step::OneHot { levels, .. }, Values::Words(v)) => one_hot(&mut out, at, levels, v),
                (Step::OneHot { levels, .. }, Values::Numbers(v)) => {
                    let words: Vec<String> = v.iter().map(|x| x.to_string()).collect();
                    one_hot(&mut out, at, levels, &words);
                }
                (_, Values::Words(v)) => {
                    let row = v.iter().position(|w| w.parse::<f64>().is_err()).unwrap_or(0);
                    return Err(invalid(
                        &format!("column {name:?}"),
                        "numbers, as in the training data",
                        &format!("{:?} at row {row}", v.get(row).map_or("", |w| w)),
                        "give the column the type it had in training",
                    ));
                }
                (Step::Drop { .. }, _) => {}
            }
            at += step.width();
        }
        out.as_ref().check_finite("the preprocessed input")?;
        Ok(out)
    }
}

impl Step {
    fn width(&self) -> usize {
        match self {
            Step::Scale { .. } => 1,
            Step::OneHot { levels, .. } => levels.len(),
            Step::Drop { .. } => 0,
        }
    }
}

fn one_hot(out: &mut Mat<f64>, at: usize, levels: &[String], words: &[String]) {
    for (i, word) in words.iter().enumerate() {
        if let Ok(level) = levels.binary_search(word) {
            out[(i, at + level)] = 1.0;
        }
    }
}

/// Mean and population variance; `None` for words. Computed from the first value on, so that a large common offset cancels exactly.
fn moments(values: &Values) -> Option<(f64, f64)> {
    let Values::Numbers(v) = values else { return None };
    let (n, origin) = (v.len() as f64, *v.first()?);
    let mean = v.iter().map(|x| (x - origin) / n).sum::<f64>();
    let variance = v.iter().map(|x| (x - origin - mean).powi(2) / n).sum::<f64>();
    Some((origin + mean, variance))
}

fn step(column: &Column, moments: Option<(f64, f64)>, scaling: Scaling, mean_variance: f64) -> Result<Step> {
    let name = column.name.clone();
    let drop = |reason: &str| Ok(Step::Drop { name: name.clone(), reason: reason.into() });
    match (&column.values, moments) {
        (Values::Numbers(v), Some((mean, variance))) => {
            if v.iter().all(|x| x == &v[0]) {
                return drop("constant");
            }
            let (variance, clip) = match scaling {
                Scaling::Columns => (variance, Some(3.0)),
                Scaling::Global => (mean_variance, None),
            };
            let factor = 1.0 / variance.sqrt();
            if !factor.is_finite() || !mean.is_finite() || factor == 0.0 {
                return Err(invalid(
                    &format!("column {name:?}"),
                    "a spread that can be standardised",
                    &format!("mean {mean:e}, variance {variance:e}"),
                    "rescale the column",
                ));
            }
            Ok(Step::Scale { name, shift: mean, factor, clip })
        }
        (Values::Words(v), _) => {
            let levels: std::collections::BTreeSet<&String> = v.iter().collect();
            if levels.len() == 1 {
                return drop("constant");
            }
            if v.iter().all(|w| looks_like_date(w)) {
                return Err(invalid(
                    &format!("column {name:?}"),
                    "numbers or categories",
                    &format!("dates such as {:?}", v[0]),
                    "turn dates into numbers (year, month, weekday, days since ...) or leave the column out",
                ));
            }
            if levels.len() > MAX_LEVELS {
                return Err(invalid(
                    &format!("column {name:?}"),
                    &format!("at most {MAX_LEVELS} different words"),
                    &format!("{}", levels.len()),
                    "leave the column out if it is an identifier or free text",
                ));
            }
            if levels.len() == v.len() && v.len() > 20 {
                return drop("every row has its own word");
            }
            Ok(Step::OneHot { name, levels: levels.into_iter().cloned().collect() })
        }
        _ => drop("empty"),
    }
}

/// Year-month-day in digits, in either order, with an optional time behind it.
fn looks_like_date(word: &str) -> bool {
    let date = word.split([' ', 'T']).next().unwrap_or("");
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let digits = parts.iter().all(|p| !p.is_empty() && p.len() <= 4 && p.bytes().all(|b| b.is_ascii_digit()));
    parts.len() == 3 && digits && (parts[0].len() == 4 || parts[2].len() == 4 || parts.iter().all(|p| p.len() <= 2))
}

fn missing(name: &str, frame: &Frame) -> Error {
    let known: Vec<&str> = frame.columns().iter().map(|c| c.name.as_str()).take(8).collect();
    invalid(
        "the input columns",
        &format!("a column {name:?}, as in training"),
        &format!("columns {}", known.join(", ")),
        "give the new data the columns of the training data",
    )
}

fn invalid(what: &str, expected: &str, found: &str, hint: &str) -> Error {
    Error::Invalid { what: what.into(), expected: expected.into(), found: found.into(), hint: hint.into() }
}
