//! From columns to the numbers a kernel sees; learned on the training rows, saved with the model.
//!
//! Words become one 0/1 column a level; columns that say nothing are left out. What becomes of numbers is the [`Encoding`].
//! Afterwards all columns share one factor that makes the mean squared row norm equal to the number of columns, so that the
//! input variance of a net is 1 on average whatever the mixture of columns. Rows are not normalised one by one: on the 57
//! tables of bench/tables.py that costs accuracy.

use super::bins::Bins;
use super::dates::looks_like_dates;
use super::frame::{Column, Frame, Values};
use super::invalid;
use super::metric::Metric;
use crate::error::Result;
use crate::linalg::Mat;
use serde::{Deserialize, Serialize};

/// Standardised columns end here: a few outliers must not own the kernel.
const CLIP: f64 = 3.0;

/// Widest code of binned columns that is tried: beyond it, it costs more than it brings.
const MAX_BINNED: usize = 4096;

/// Rows encoded together.
const ROWS: usize = 64;

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

/// What a column that preprocessing reads held in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputKind {
    /// Numbers.
    Numbers {
        /// Their mean.
        mean: f64,
    },
    /// Words.
    Words,
}

/// What stands for a missing word: a level of its own where the training data had it, else an unknown one.
const MISSING_LEVEL: &str = "missing";

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
    /// What is done to the encoded columns at last; an array of its own in a saved model.
    #[serde(skip)]
    metric: Option<Metric>,
}

impl Preprocess {
    /// Learns from the training rows. Errors: no rows, no column that varies, more than [`MAX_LEVELS`] levels, words that are dates.
    pub fn learn(frame: &Frame, encoding: Encoding) -> Result<Self> {
        if frame.rows() == 0 {
            return Err(invalid("the data", "at least one row", "none", "check the file"));
        }
        let mut this = Self { encoding, steps: Vec::new(), dropped: Vec::new(), width: 0, factor: 1.0, metric: None };
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

    /// Learns each of `encodings` that shows the rows otherwise than those before it: what gives the same numbers, or a code wider
    /// than [`MAX_BINNED`], would cost and bring nothing.
    pub(super) fn learn_each(frame: &Frame, encodings: &[Encoding]) -> Result<Vec<Self>> {
        let mut learned: Vec<Self> = Vec::new();
        for &encoding in encodings {
            let preprocess = Self::learn(frame, encoding)?;
            let repeats = learned.iter().any(|other| other.same_code(&preprocess));
            let wide = encoding == Encoding::Binned && preprocess.width() > MAX_BINNED;
            if learned.is_empty() || !repeats && !wide {
                learned.push(preprocess);
            }
        }
        Ok(learned)
    }

    fn learn_numbers(&mut self, name: &str, values: &[f64]) -> Result<()> {
        if values.iter().all(|x| x == &values[0]) {
            self.dropped.push((name.into(), "constant".into()));
            return Ok(());
        }
        let (mean, deviation) = moments(values);
        let (factor, clip) = match self.encoding {
            Encoding::Plain | Encoding::Binned => (1.0 / deviation, Some(CLIP)),
            Encoding::Shared => (1.0, None),
        };
        if !factor.is_finite() || !mean.is_finite() || factor == 0.0 {
            let found = format!("mean {mean:e}, standard deviation {deviation:e}");
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

    /// Whether both give the same numbers, whatever their encodings are called.
    fn same_code(&self, other: &Self) -> bool {
        self.steps == other.steps && self.factor == other.factor
    }

    /// What is wrong with a preprocessing that was read from somewhere: `apply` relies on it.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let width = self.steps.iter().try_fold(0usize, |sum, step| sum.checked_add(step.width()));
        if width != Some(self.width) || self.width == 0 {
            return Err(format!("width {}, steps of width {width:?}", self.width));
        }
        if !(self.factor.is_finite() && self.factor > 0.0) {
            return Err(format!("factor {}", self.factor));
        }
        self.steps.iter().try_for_each(Step::check)
    }

    /// The columns that are read, with what they held in training.
    pub fn inputs(&self) -> Vec<(&str, InputKind)> {
        let kind = |step: &'_ Step| match step {
            Step::Scale { shift, .. } => Some(InputKind::Numbers { mean: *shift }),
            // Follows the scaling of the same column.
            Step::Bins { .. } => None,
            Step::OneHot { .. } => Some(InputKind::Words),
        };
        self.steps.iter().filter_map(|step| Some((step.name(), kind(step)?))).collect()
    }

    /// Fills missing cells (numbers that are not finite, empty words) of new rows in with what was learned: the mean of the
    /// training rows, or the level `missing`. Columns that are not read get zeros.
    ///
    /// ```
    /// use dualnet::model::{Column, Encoding, Frame, Preprocess, Values};
    /// let x = |values| vec![Column { name: "x".into(), values: Values::Numbers(values) }];
    /// let learned = Preprocess::learn(&Frame::new(x(vec![1.0, 3.0]))?, Encoding::Plain)?;
    /// let mut new = x(vec![f64::NAN, 7.0]);
    /// learned.fill_missing(&mut new);
    /// assert_eq!(new, x(vec![2.0, 7.0]));
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn fill_missing(&self, columns: &mut [Column]) {
        let inputs: std::collections::HashMap<&str, InputKind> = self.inputs().into_iter().collect();
        for column in columns {
            match (&mut column.values, inputs.get(column.name.as_str())) {
                (Values::Numbers(v), Some(InputKind::Numbers { mean })) => fill(v, *mean),
                (Values::Numbers(v), Some(InputKind::Words)) if v.iter().any(|x| !x.is_finite()) => {
                    let word = |x: &f64| if x.is_finite() { x.to_string() } else { MISSING_LEVEL.into() };
                    column.values = Values::Words(v.iter().map(word).collect());
                }
                (Values::Numbers(v), _) => fill(v, 0.0),
                (Values::Words(v), Some(InputKind::Numbers { mean })) => {
                    // All missing, and so of no type: numbers, as in training. Words among them stay for `apply` to name.
                    let number = |w: &String| if w.is_empty() { Ok(*mean) } else { w.parse::<f64>() };
                    if let Ok(numbers) = v.iter().map(number).collect() {
                        column.values = Values::Numbers(numbers);
                    }
                }
                (Values::Words(v), _) => {
                    v.iter_mut().filter(|w| w.is_empty()).for_each(|w| *w = MISSING_LEVEL.into());
                }
            }
        }
    }

    /// The numbers of new rows (n x width). Columns are found by name; others are ignored. A level never seen is all zeros.
    pub fn apply(&self, frame: &Frame) -> Result<Mat<f64>> {
        let mut out = Mat::zeros(frame.rows(), self.width);
        let codes = self.steps.iter().map(|step| step.of(frame)).collect::<Result<Vec<_>>>()?;
        // Some rows at a time: column by column, every entry of a wide matrix would be a cache miss.
        for first in (0..frame.rows()).step_by(ROWS) {
            let rows = first..frame.rows().min(first + ROWS);
            let mut at = 0;
            for code in &codes {
                let next = at + code.step.width();
                rows.clone().for_each(|i| code.write(i, &mut out.row_mut(i)[at..next]));
                at = next;
            }
        }
        out.as_mut_slice().iter_mut().for_each(|x| *x *= self.factor);
        out.as_ref().check_finite("the preprocessed input")?;
        match &self.metric {
            None => Ok(out),
            Some(metric) => metric.apply(out),
        }
    }

    /// With a metric on the encoded columns, or without one.
    pub(super) fn with_metric(mut self, metric: Option<Metric>) -> Self {
        self.metric = metric;
        self
    }

    /// The metric on the encoded columns that was learned, if one was.
    pub fn metric(&self) -> Option<&Metric> {
        self.metric.as_ref()
    }

    /// For each column after preprocessing the input it comes from, and its own name: `age`, `town = Rome`, `age, rank 3`.
    pub fn columns(&self) -> Vec<(String, String)> {
        let of = |step: &Step| -> Vec<(String, String)> {
            match step {
                Step::Scale { name, .. } => vec![(name.clone(), name.clone())],
                Step::Bins { name, bins } => {
                    (1..=bins.width()).map(|i| (name.clone(), format!("{name}, rank {i}"))).collect()
                }
                Step::OneHot { name, levels } => {
                    levels.iter().map(|level| (name.clone(), format!("{name} = {level}"))).collect()
                }
            }
        };
        self.steps.iter().flat_map(of).collect()
    }

    /// The number of the input that each encoded column is of; those of an input stand side by side.
    pub(super) fn input_of_columns(&self) -> Vec<usize> {
        let columns = self.columns();
        let mut numbers = Vec::with_capacity(columns.len());
        for (number, group) in columns.chunk_by(|a, b| a.0 == b.0).enumerate() {
            numbers.extend(group.iter().map(|_| number));
        }
        numbers
    }
}

/// A step with the column it reads.
struct Code<'a> {
    step: &'a Step,
    numbers: &'a [f64],
    words: &'a [String],
    /// What levels are as numbers, where words come as numbers: a column of codes may lack its one odd word in new data.
    values: Vec<Option<f64>>,
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
                let level = match self.words.get(i) {
                    Some(word) => levels.binary_search(word).ok(),
                    None => self.values.iter().position(|v| *v == Some(self.numbers[i])),
                };
                if let Some(level) = level {
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
    fn check(&self) -> std::result::Result<(), String> {
        match self {
            Step::Scale { name, shift, factor, clip } => {
                let fine = shift.is_finite() && factor.is_finite() && clip.is_none_or(|c| c > 0.0);
                if fine {
                    Ok(())
                } else {
                    Err(format!("column {name:?}: shift {shift}, factor {factor}, clip {clip:?}"))
                }
            }
            Step::Bins { name, bins } => bins.check().map_err(|e| format!("column {name:?}: {e}")),
            Step::OneHot { name, levels } => {
                let ascending = levels.windows(2).all(|w| w[0] < w[1]);
                if ascending { Ok(()) } else { Err(format!("column {name:?}: levels out of order")) }
            }
        }
    }
    fn name(&self) -> &str {
        let (Step::Scale { name, .. } | Step::Bins { name, .. } | Step::OneHot { name, .. }) = self;
        name
    }
    /// The step with its column of a frame.
    fn of<'a>(&'a self, frame: &'a Frame) -> Result<Code<'a>> {
        let name = self.name();
        let column = frame.column(name).ok_or_else(|| missing(name, frame))?;
        match (&column.values, self) {
            (Values::Numbers(v), Step::OneHot { levels, .. }) => {
                let values = levels.iter().map(|l| l.parse().ok()).collect();
                Ok(Code { step: self, numbers: v, words: &[], values })
            }
            (Values::Numbers(v), _) => Ok(Code { step: self, numbers: v, words: &[], values: Vec::new() }),
            (Values::Words(v), Step::OneHot { .. }) => {
                Ok(Code { step: self, numbers: &[], words: v, values: Vec::new() })
            }
            (Values::Words(v), _) => {
                let row = v.iter().position(|w| w.parse::<f64>().is_err()).unwrap_or(0);
                let found = format!("{:?} at row {row}", v.get(row).map_or("", |w| w));
                let hint = "give the column the type it had in training";
                Err(invalid(&format!("column {name:?}"), "numbers, as in the training data", &found, hint))
            }
        }
    }
}

fn fill(values: &mut [f64], with: f64) {
    values.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = with);
}

/// Mean and population standard deviation, from the first value on, so that a large common offset cancels exactly, and in a power
/// of two as unit, so that squares stay in range. A range beyond that of f64 gives numbers that are not finite.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    let Some(&origin) = values.first() else { return (0.0, 0.0) };
    let n = values.len() as f64;
    let largest = values.iter().fold(0.0f64, |m, x| m.max((x - origin).abs()));
    if largest == 0.0 {
        return (origin, 0.0);
    }
    let unit = f64::from_bits(largest.to_bits() & f64::INFINITY.to_bits()).max(f64::MIN_POSITIVE);
    let mean = values.iter().map(|x| (x - origin) / unit / n).sum::<f64>();
    let variance = values.iter().map(|x| ((x - origin) / unit - mean).powi(2) / n).sum::<f64>();
    (origin + unit * mean, unit * variance.sqrt())
}

fn missing(name: &str, frame: &Frame) -> crate::Error {
    let known: Vec<&str> = frame.columns().iter().map(|c| c.name.as_str()).take(8).collect();
    let (expected, found) = (format!("a column {name:?}, as in training"), format!("columns {}", known.join(", ")));
    invalid("the input columns", &expected, &found, "give the new data the columns of the training data")
}
