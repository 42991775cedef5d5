//! From columns to the numbers a kernel sees; learned on the training rows, saved with the model.
//!
//! Words become one 0/1 column a level; columns that say nothing are left out. What becomes of numbers is the [`Encoding`].
//! Afterwards all columns share one factor that makes the mean squared row norm equal to the number of columns, so that the
//! input variance of a net is 1 on average whatever the mixture of columns. Rows are not normalised one by one: on the 57
//! tables of bench/tables.py that costs accuracy.

use super::bins::Bins;
use super::dates::looks_like_dates;
use super::frame::{Frame, Values};
use super::invalid;
use crate::error::Result;
use crate::linalg::Mat;
use serde::{Deserialize, Serialize};

/// Most levels of a column of words.
pub const MAX_LEVELS: usize = 1000;

/// How columns of numbers are shown to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Each column to mean 0 and standard deviation 1, clipped at +-3.
    Plain,
    /// As `Plain`, and beside it what makes the kernel fall with the distance in ranks ([`Bins`]): counts, codes and skewed
    /// columns become usable.
    Binned,
    /// Each column to mean 0, all by one factor: for pixels, which share a unit.
    Shared,
}

/// What becomes of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// (x - shift) * factor, clipped.
    Scale { name: String, shift: f64, factor: f64, clip: Option<f64> },
    /// A block of columns from the rank of x.
    Bins { name: String, bins: Bins },
    /// One 0/1 column for each level.
    OneHot { name: String, levels: Vec<String> },
}

/// Preprocessing learned from a frame.
///
/// ```
/// use dualnet::model::{Column, Encoding, Frame, Preprocess, Values};
/// let column = Column { name: "x".into(), values: Values::Numbers(vec![1.0, 3.0]) };
/// let frame = Frame::new(vec![column])?;
/// let z = Preprocess::learn(&frame, Encoding::Plain)?.apply(&frame)?;
/// assert_eq!(z.as_slice(), &[-1.0, 1.0]);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    encoding: Encoding,
    steps: Vec<Step>,
    /// (name, reason) of the columns left out.
    dropped: Vec<(String, String)>,
    width: usize,
    factor: f64,
}

impl Preprocess {
    /// Learns from the training rows. Errors: no rows, no column that varies, more than [`MAX_LEVELS`] levels, words that are dates.
    pub fn learn(frame: &Frame, encoding: Encoding) -> Result<Self> {
        if frame.rows() == 0 {
            return Err(invalid("the data", "at least one row", "none", "check the file"));
        }
        let mut this = Self { encoding, steps: Vec::new(), dropped: Vec::new(), width: 0, factor: 1.0 };
        for column in frame.columns() {
            match &column.values {
                Values::Numbers(v) => this.learn_numbers(&column.name, v)?,
                Values::Words(v) => this.learn_words(&column.name, v)?,
            }
        }
        this.width = this.steps.iter().map(Step::width).sum();
        if this.width == 0 {
            let hint = "check that the target was not the only informative column";
            return Err(invalid("the input columns", "at least one that varies", "only constant columns", hint));
        }
        let mut square = 0.0;
        for step in &this.steps {
            let (code, mut entries) = (step.of(frame)?, vec![0.0; step.width()]);
            for i in 0..frame.rows() {
                code.write(i, &mut entries);
                square += entries.iter().map(|x| x * x).sum::<f64>() / frame.rows() as f64;
            }
        }
        this.factor = (this.width as f64 / square).sqrt();
        Ok(this)
    }

    fn learn_numbers(&mut self, name: &str, values: &[f64]) -> Result<()> {
        if values.iter().all(|x| x == &values[0]) {
            self.dropped.push((name.into(), "constant".into()));
            return Ok(());
        }
        let (mean, variance) = moments(values);
        let (factor, clip) = match self.encoding {
            Encoding::Plain | Encoding::Binned => (1.0 / variance.sqrt(), Some(3.0)),
            Encoding::Shared => (1.0, None),
        };
        if !factor.is_finite() || !mean.is_finite() || factor == 0.0 {
            let found = format!("mean {mean:e}, variance {variance:e}");
            return Err(invalid(
                &format!("column {name:?}"),
                "a spread that can be standardised",
                &found,
                "rescale it",
            ));
        }
        self.steps.push(Step::Scale { name: name.into(), shift: mean, factor, clip });
        if self.encoding == Encoding::Binned
            && let Some(bins) = Bins::learn(values)
        {
            self.steps.push(Step::Bins { name: name.into(), bins });
        }
        Ok(())
    }

    fn learn_words(&mut self, name: &str, words: &[String]) -> Result<()> {
        let what = format!("column {name:?}");
        let levels: std::collections::BTreeSet<&String> = words.iter().collect();
        let reason = match levels.len() {
            1 => Some("constant"),
            n if n == words.len() && n > 20 => Some("every row has its own word"),
            _ => None,
        };
        if looks_like_dates(words) {
            let hint = "turn dates into numbers (year, month, weekday, days since ...) or leave the column out";
            return Err(invalid(&what, "numbers or categories", &format!("dates such as {:?}", words[0]), hint));
        }
        if let Some(reason) = reason {
            self.dropped.push((name.into(), reason.into()));
            return Ok(());
        }
        if levels.len() > MAX_LEVELS {
            let expected = format!("at most {MAX_LEVELS} different words");
            let hint = "leave the column out if it is an identifier or free text";
            return Err(invalid(&what, &expected, &levels.len().to_string(), hint));
        }
        self.steps.push(Step::OneHot { name: name.into(), levels: levels.into_iter().cloned().collect() });
        Ok(())
    }

    /// Columns after preprocessing.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How columns of numbers are shown to the kernel.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Columns left out, with the reason.
    pub fn dropped(&self) -> &[(String, String)] {
        &self.dropped
    }

    /// The numbers of new rows (n x width). Columns are found by name; others are ignored. A level never seen is all zeros.
    pub fn apply(&self, frame: &Frame) -> Result<Mat<f64>> {
        let mut out = Mat::zeros(frame.rows(), self.width);
        let mut at = 0;
        for step in &self.steps {
            let (code, next) = (step.of(frame)?, at + step.width());
            for i in 0..frame.rows() {
                code.write(i, &mut out.row_mut(i)[at..next]);
            }
            at = next;
        }
        out.as_mut_slice().iter_mut().for_each(|x| *x *= self.factor);
        out.as_ref().check_finite("the preprocessed input")?;
        Ok(out)
    }
}

/// A step with the column it reads.
struct Code<'a> {
    step: &'a Step,
    numbers: &'a [f64],
    words: &'a [String],
}

impl Code<'_> {
    /// Overwrites `out`, as wide as the step, with the code of row `i`.
    fn write(&self, i: usize, out: &mut [f64]) {
        match self.step {
            Step::Scale { shift, factor, clip, .. } => {
                let limit = clip.unwrap_or(f64::INFINITY);
                out[0] = ((self.numbers[i] - shift) * factor).clamp(-limit, limit);
            }
            Step::Bins { bins, .. } => bins.encode(self.numbers[i], out),
            Step::OneHot { levels, .. } => {
                out.fill(0.0);
                // A column of codes may come without its one odd word in new data, and so as numbers.
                let level = match self.words.get(i) {
                    Some(word) => levels.binary_search(word),
                    None => levels.binary_search(&self.numbers[i].to_string()),
                };
                if let Ok(level) = level {
                    out[level] = 1.0;
                }
            }
        }
    }
}

impl Step {
    fn width(&self) -> usize {
        match self {
            Step::Scale { .. } => 1,
            Step::Bins { bins, .. } => bins.width(),
            Step::OneHot { levels, .. } => levels.len(),
        }
    }
    /// The step with its column of a frame.
    fn of<'a>(&'a self, frame: &'a Frame) -> Result<Code<'a>> {
        let (Step::Scale { name, .. } | Step::Bins { name, .. } | Step::OneHot { name, .. }) = self;
        let column = frame.column(name).ok_or_else(|| missing(name, frame))?;
        match (&column.values, self) {
            (Values::Numbers(v), _) => Ok(Code { step: self, numbers: v, words: &[] }),
            (Values::Words(v), Step::OneHot { .. }) => Ok(Code { step: self, numbers: &[], words: v }),
            (Values::Words(v), _) => {
                let row = v.iter().position(|w| w.parse::<f64>().is_err()).unwrap_or(0);
                let found = format!("{:?} at row {row}", v.get(row).map_or("", |w| w));
                let hint = "give the column the type it had in training";
                Err(invalid(&format!("column {name:?}"), "numbers, as in the training data", &found, hint))
            }
        }
    }
}

/// Mean and population variance, from the first value on, so that a large common offset cancels exactly.
fn moments(values: &[f64]) -> (f64, f64) {
    let (n, origin) = (values.len() as f64, values[0]);
    let mean = values.iter().map(|x| (x - origin) / n).sum::<f64>();
    let variance = values.iter().map(|x| (x - origin - mean).powi(2) / n).sum::<f64>();
    (origin + mean, variance)
}

fn missing(name: &str, frame: &Frame) -> crate::Error {
    let known: Vec<&str> = frame.columns().iter().map(|c| c.name.as_str()).take(8).collect();
    let (expected, found) = (format!("a column {name:?}, as in training"), format!("columns {}", known.join(", ")));
    invalid("the input columns", &expected, &found, "give the new data the columns of the training data")
}
