//! What a fitted model makes of its inputs: how much each matters, in which directions, and how the prediction moves along one.

use super::draw::some_of;
use super::exact::Exact;
use super::fitted::{Model, Prediction, Solution};
use super::frame::{Column, Frame, Values};
use super::metric::WIDEST;
use crate::error::{Error, Result};
use crate::kernel::{DenseKernel, KernelGradient};
use crate::linalg::{Mat, MatRef, eigh};
use crate::random::{Draws, Purpose};
use crate::resources::Resources;
use serde::Serialize;

/// Rows that gradients are averaged over.
const ROWS: usize = 500;
/// Directions told of, and columns named of each.
const DIRECTIONS: usize = 3;
const NAMED: usize = 5;
/// Inputs with a curve, points of each, and rows that a point is the mean of.
const CURVES: usize = 6;
const POINTS: usize = 15;
const CURVE_ROWS: usize = 30;

/// An explanation of a model on some rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Rows that the gradients are averaged over.
    pub rows: usize,
    /// Every input that the model reads, the most important first.
    pub importances: Vec<Importance>,
    /// The directions of the input that the outputs follow most, the first of all foremost; empty for very wide inputs.
    pub directions: Vec<Direction>,
    /// The mean prediction along the most important inputs.
    pub curves: Vec<Curve>,
}

/// How much an input matters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importance {
    /// Name of the input.
    pub input: String,
    /// Its share in the mean squared gradient, over all its columns after encoding.
    pub share: f64,
}

/// An eigenvector of the average gradient outer product.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Direction {
    /// Its eigenvalue over the sum of all.
    pub share: f64,
    /// Its largest entries.
    pub weights: Vec<Weight>,
}

/// An entry of a direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weight {
    /// Column after encoding.
    pub column: String,
    /// Entry of the unit vector.
    pub weight: f64,
}

/// The prediction along an input: the mean over some rows, all else as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Name of the input.
    pub input: String,
    /// From the least value to the largest, or level by level.
    pub points: Vec<CurvePoint>,
}

/// A point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Value of the input.
    pub at: CurveAt,
    /// Mean prediction of each output; of classes the mean probability of each.
    pub outputs: Vec<f64>,
}

/// A value of an input.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CurveAt {
    /// A number.
    Number(f64),
    /// A word.
    Word(String),
}

impl Model {
    /// The gradient of each output with respect to the encoded inputs (those of [`Preprocess::columns`](super::Preprocess::columns),
    /// before a metric), at the rows of `frame`: one matrix (rows x columns) an output. Outputs are numbers in their own units, or the
    /// uncalibrated scores of classes.
    ///
    /// ```
    /// use dualnet::model::{Encoding, FitOptions, Frame, Target, fit};
    /// use dualnet::{Mat, Resources};
    /// let x = Mat::from_fn(60, 2, |i, j| ((i * (3 * j + 2)) as f64).sin());
    /// let values = Mat::from_fn(60, 1, |i, _| x[(i, 1)]);
    /// let target = Target::Numbers { names: vec!["y".into()], values };
    /// let (frame, resources) = (Frame::from_matrix(x.as_ref())?, Resources::new(1)?);
    /// let options = FitOptions { encodings: vec![Encoding::Plain], ..FitOptions::default() };
    /// let gradients = fit(&frame, &target, &options, &resources)?.gradients(&frame, &resources)?;
    /// // y is the second input: it rises by a standard deviation of 0.7 with it, and not with the first.
    /// assert!(gradients[0][(7, 0)].abs() < 0.05 && (gradients[0][(7, 1)] - 0.7).abs() < 0.1);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    ///
    /// # Errors
    /// A model in features, or of a net whose kernel has no gradients; those of [`Self::predict`].
    pub fn gradients(&self, frame: &Frame, resources: &Resources) -> Result<Vec<Mat<f64>>> {
        let exact = self.kernel_solution()?;
        let z = self.preprocess.apply(frame)?;
        let kernel = DenseKernel::new(&exact.net, z.cols())?;
        let all = gradient(&kernel, exact, resources)?.at(z.as_ref(), resources)?;
        match self.preprocess.metric() {
            None => Ok(all),
            Some(metric) => all.into_iter().map(|g| metric.apply(g)).collect(),
        }
    }

    /// Predictions for the training rows by the model without each of them; `None` for a model that was loaded, and for methods without
    /// leave-one-out of all rows.
    pub fn left_out(&self) -> Result<Option<Prediction>> {
        self.left_out.as_ref().map(|loo| self.outputs.prediction(loo.clone(), &[], None)).transpose()
    }

    /// Explains the model on the rows of `frame`, drawn by the seed of `resources` where there are many: the training rows are a good choice.
    ///
    /// Importances are shares in the diagonal of G = (1/n) sum_i sum_k grad f_k(x_i) grad f_k(x_i)^T with respect to the encoded inputs, and
    /// directions are eigenvectors of G: standard deviations of numbers and levels of words weigh the same.
    ///
    /// # Errors
    /// Those of [`Self::gradients`].
    pub fn explain(&self, frame: &Frame, resources: &Resources) -> Result<Explanation> {
        let exact = self.kernel_solution()?;
        let frame = some(frame, ROWS, resources);
        let columns = self.preprocess.columns();
        let z = self.preprocess.apply(&frame)?;
        let kernel = DenseKernel::new(&exact.net, z.cols())?;
        let gradient = gradient(&kernel, exact, resources)?;
        let (diagonal, directions) = match z.cols() <= WIDEST {
            true => {
                let g = gradient.outer_product(z.as_ref(), resources)?;
                let g = self.preprocess.metric().map_or(Ok(g.clone()), |metric| metric.pull_back(&g))?;
                ((0..g.rows()).map(|j| g[(j, j)].max(0.0)).collect(), directions(g.as_ref(), &columns, resources)?)
            }
            false => {
                let mut squares = gradient.squares(z.as_ref(), resources)?;
                if let Some(metric) = self.preprocess.metric() {
                    metric.pull_back_squares(&mut squares);
                }
                (squares, Vec::new())
            }
        };
        let importances = importances(&diagonal, &columns);
        let few = some(&frame, CURVE_ROWS, resources);
        let curve = |one: &Importance| self.curve(&one.input, &frame, &few, resources);
        let curves = importances.iter().take(CURVES).map(curve).collect::<Result<_>>()?;
        Ok(Explanation { rows: frame.rows(), importances, directions, curves })
    }

    fn kernel_solution(&self) -> Result<&Exact> {
        match &self.solution {
            Solution::Exact(exact) => Ok(exact),
            Solution::Features(_) => Err(Error::Unsupported {
                at: format!("a model by {}", self.report.method),
                what: "gradients of features".into(),
                hint: "fit with the exact method, or by conjugate gradients".into(),
            }),
        }
    }

    /// The mean prediction of `few` rows along an input with the values it has in `frame`.
    fn curve(&self, input: &str, frame: &Frame, few: &Frame, resources: &Resources) -> Result<Curve> {
        let values = frame.column(input).map(|column| grid(&column.values)).unwrap_or_default();
        let mut points = Vec::new();
        for at in values {
            let set = |column: &Column| Column {
                name: column.name.clone(),
                values: match (&at, column.name == input) {
                    (_, false) => column.values.clone(),
                    (CurveAt::Number(x), true) => Values::Numbers(vec![*x; few.rows()]),
                    (CurveAt::Word(word), true) => Values::Words(vec![word.clone(); few.rows()]),
                },
            };
            let moved = Frame::new(few.columns().iter().map(set).collect())?;
            let means = match self.predict(&moved, None, resources)? {
                Prediction::Numbers { values, .. } => means(&values),
                Prediction::Classes { probabilities, .. } => means(&probabilities),
            };
            points.push(CurvePoint { at, outputs: means });
        }
        Ok(Curve { input: input.into(), points })
    }
}

fn gradient<'a>(kernel: &'a DenseKernel, exact: &Exact, resources: &Resources) -> Result<KernelGradient<'a>> {
    KernelGradient::new(kernel, exact.kernel, exact.x.as_ref(), exact.coefficients.as_ref(), resources)
}

/// At most `wanted` rows at random, ascending.
fn some(frame: &Frame, wanted: usize, resources: &Resources) -> Frame {
    let draws = Draws::new(resources.seed, Purpose::EXPLANATION, 0);
    let mut rows = some_of((0..frame.rows()).collect(), wanted, draws);
    rows.sort_unstable();
    frame.select(&rows)
}

/// Numbers evenly spread over the quantiles from the least to the largest; the first levels of words.
fn grid(values: &Values) -> Vec<CurveAt> {
    match values {
        Values::Numbers(all) => {
            let mut sorted = all.clone();
            sorted.sort_by(f64::total_cmp);
            let at = |i: usize| sorted[i * (sorted.len() - 1) / (POINTS - 1)];
            let mut grid: Vec<f64> = if sorted.is_empty() { Vec::new() } else { (0..POINTS).map(at).collect() };
            grid.dedup();
            grid.into_iter().map(CurveAt::Number).collect()
        }
        Values::Words(all) => {
            let levels: std::collections::BTreeSet<&String> = all.iter().collect();
            levels.into_iter().take(POINTS).map(|level| CurveAt::Word(level.clone())).collect()
        }
    }
}

fn means(values: &Mat<f64>) -> Vec<f64> {
    let n = values.rows().max(1) as f64;
    (0..values.cols()).map(|j| (0..values.rows()).map(|i| values[(i, j)]).sum::<f64>() / n).collect()
}

/// Shares of the inputs in the sum over their columns, the largest first.
fn importances(diagonal: &[f64], columns: &[(String, String)]) -> Vec<Importance> {
    let total: f64 = diagonal.iter().sum();
    let mut all: Vec<Importance> = Vec::new();
    for (value, (input, _)) in diagonal.iter().zip(columns) {
        let share = if total > 0.0 { value / total } else { 0.0 };
        // The columns of an input stand side by side.
        match all.last_mut().filter(|last| last.input == *input) {
            Some(last) => last.share += share,
            None => all.push(Importance { input: input.clone(), share }),
        }
    }
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all
}

fn directions(g: MatRef<'_, f64>, columns: &[(String, String)], resources: &Resources) -> Result<Vec<Direction>> {
    let eigen = eigh(g, resources)?;
    let total: f64 = eigen.values.iter().map(|v| v.max(0.0)).sum();
    if total <= 0.0 {
        return Ok(Vec::new());
    }
    let one = |i: usize| {
        let vector = eigen.vectors.row(i);
        let mut order: Vec<usize> = (0..vector.len()).collect();
        order.sort_by(|&a, &b| vector[b].abs().total_cmp(&vector[a].abs()));
        // The sign of an eigenvector is arbitrary: its largest entry is positive.
        let sign = order.first().map_or(1.0, |&j| vector[j].signum());
        let weight = |&j: &usize| Weight { column: columns[j].1.clone(), weight: sign * vector[j] };
        Direction { share: eigen.values[i].max(0.0) / total, weights: order.iter().take(NAMED).map(weight).collect() }
    };
    Ok((0..eigen.values.len()).rev().take(DIRECTIONS).map(one).collect())
}
