//! Classification by ridge on one-hot targets: probabilities calibrated on leave-one-out scores, and what they score.
//!
//! Targets are one-hot; [`Centering::Targets`](super::Centering) centres them. Scores of samples by the models without
//! them are as good as fresh data, so a calibration fitted to them holds for new samples.

use crate::error::{Error, Result};
use crate::linalg::{Cholesky, Mat, MatRef};
use crate::resources::Resources;

/// Up to this many classes each has a bias; with more, only the scale is fitted (Newton's Hessian would grow).
pub const MOST_BIASES: usize = 128;
/// Newton steps allowed; a strictly convex loss of few parameters takes about ten.
const NEWTON_STEPS: usize = 100;
/// Weight of the penalty that keeps the loss strictly convex, against n samples.
const PENALTY: f64 = 1e-3;

/// One-hot targets (n, classes) of labels 0 to classes - 1.
///
/// # Errors
/// A label out of range; fewer than two classes; samples of one class only.
///
/// ```
/// let y = dualnet::ridge::one_hot(&[1, 0], 2)?;
/// assert_eq!(y.as_slice(), &[0.0, 1.0, 1.0, 0.0]);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub fn one_hot(labels: &[usize], classes: usize) -> Result<Mat<f64>> {
    check_labels(labels, classes)?;
    if labels.windows(2).all(|l| l[0] == l[1]) {
        return Err(Error::Invalid {
            what: "labels".into(),
            expected: "samples of at least two classes".into(),
            found: format!("{} samples of one class", labels.len()),
            hint: "check the target column, and that the data are not sorted and cut".into(),
        });
    }
    one_hot_columns(labels, classes)
}

/// [`one_hot`] of some samples of many, which may all be of one class.
pub(crate) fn one_hot_columns(labels: &[usize], classes: usize) -> Result<Mat<f64>> {
    check_labels(labels, classes)?;
    Ok(Mat::from_fn(labels.len(), classes, |i, j| if labels[i] == j { 1.0 } else { 0.0 }))
}

pub(super) fn check_labels(labels: &[usize], classes: usize) -> Result<()> {
    let bad = labels.iter().position(|&l| l >= classes);
    if classes >= 2 && bad.is_none() {
        return Ok(());
    }
    Err(Error::Invalid {
        what: bad.map_or("classes".into(), |row| format!("label of sample {row}")),
        expected: if bad.is_some() { format!("below {classes}") } else { "at least 2".into() },
        found: bad.map_or(classes, |row| labels[row]).to_string(),
        hint: "number the classes from 0".into(),
    })
}

/// How good probabilities are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// Share of samples whose class has the largest probability (the first of equals).
    pub accuracy: f64,
    /// Mean of -ln p(class), in nats; p is taken to be at least 1e-15.
    pub log_loss: f64,
    /// Mean squared distance of the probabilities to the one-hot target, 0 to 2.
    pub brier: f64,
}

impl ClassScores {
    /// Scores probabilities (n, classes) of samples with these labels.
    ///
    /// ```
    /// use dualnet::{Mat, ridge::ClassScores};
    /// let s = ClassScores::new(Mat::from_vec(1, 2, vec![0.5, 0.5])?.as_ref(), &[1])?;
    /// assert_eq!((s.accuracy, s.log_loss, s.brier), (0.0, 2f64.ln(), 0.5));
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn new(probabilities: MatRef<'_, f64>, labels: &[usize]) -> Result<Self> {
        check_scores(probabilities, labels)?;
        let (mut right, mut log_loss, mut brier) = (0usize, 0.0, 0.0);
        for (i, &label) in labels.iter().enumerate() {
            let p = probabilities.row(i);
            right += usize::from(argmax(p) == label);
            log_loss -= p[label].max(1e-15).ln();
            brier += p.iter().enumerate().map(|(j, p)| (p - f64::from(j == label)).powi(2)).sum::<f64>();
        }
        let n = labels.len() as f64;
        Ok(Self { accuracy: right as f64 / n, log_loss: log_loss / n, brier: brier / n })
    }
}

/// Index of the largest entry, the first of equals.
pub fn argmax(row: &[f64]) -> usize {
    row.iter().enumerate().fold(0, |best, (j, x)| if *x > row[best] { j } else { best })
}

fn check_scores(scores: MatRef<'_, f64>, labels: &[usize]) -> Result<()> {
    if scores.rows() != labels.len() || labels.is_empty() {
        return Err(Error::Shape {
            what: "scores of classes".into(),
            expected: format!("{} rows, one for each label, and at least one", labels.len()),
            found: scores.rows().to_string(),
        });
    }
    check_labels(labels, scores.cols())?;
    scores.check_finite("scores of classes")
}

/// Probabilities from scores: `softmax(scale * score + bias)`, scale >= 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Inverse temperature.
    pub scale: f64,
    /// One for each class.
    pub bias: Vec<f64>,
}

impl Calibration {
    /// Minimises the log loss of leave-one-out scores (n, classes) by Newton's method.
    ///
    /// Targets are smoothed as by Platt (1999): a class of N samples counts as having been seen (N + 1) / (N + 2) of
    /// the time where it is right, so that separable scores give a finite scale and no probability of 0 or 1. Scores
    /// that are worse than none give scale 0: the probabilities are then the shares of the classes.
    /// Cost n classes^2 operations a step, about ten steps.
    ///
    /// ```
    /// use dualnet::{Mat, Resources, ridge::Calibration};
    /// let scores = Mat::from_fn(100, 2, |i, j| if (i < 50) == (j == 0) { 1.0 } else { 0.0 });
    /// let labels: Vec<usize> = (0..100).map(|i| usize::from(i >= 50)).collect();
    /// let calibration = Calibration::fit(scores.as_ref(), &labels, &Resources::new(1)?)?;
    /// let p = calibration.probabilities(scores.as_ref())?;
    /// assert!((p[(0, 0)] - 51.0 / 52.0).abs() < 1e-3);
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn fit(scores: MatRef<'_, f64>, labels: &[usize], resources: &Resources) -> Result<Self> {
        check_scores(scores, labels)?;
        let problem = Problem::new(scores, labels);
        let mut at = vec![0.0; problem.parameters()];
        at[0] = 1.0;
        problem.minimise(&mut at, Scale::Free, resources)?;
        if at[0] <= 0.0 {
            at.fill(0.0);
            problem.minimise(&mut at, Scale::Zero, resources)?;
        }
        let bias = (0..scores.cols()).map(|c| at.get(c + 1).copied().unwrap_or(0.0)).collect();
        Ok(Self { scale: at[0] / problem.unit, bias })
    }

    /// Probabilities (m, classes) of scores (m, classes).
    pub fn probabilities(&self, scores: MatRef<'_, f64>) -> Result<Mat<f64>> {
        if scores.cols() != self.bias.len() {
            return Err(Error::Shape {
                what: "scores of classes".into(),
                expected: format!("{} columns", self.bias.len()),
                found: scores.cols().to_string(),
            });
        }
        scores.check_finite("scores of classes")?;
        let mut out = scores.to_mat();
        for i in 0..out.rows() {
            let row = out.row_mut(i);
            // Differences first: scores of any size then stay finite.
            let top = row.iter().copied().fold(f64::MIN, f64::max);
            row.iter_mut().zip(&self.bias).for_each(|(x, b)| *x = self.scale * (*x - top).max(f64::MIN) + b);
            softmax(row);
        }
        Ok(out)
    }
}

/// Turns logits into probabilities and returns the logarithm of their denominator.
pub(super) fn softmax(row: &mut [f64]) -> f64 {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|x| *x = (*x - top).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|x| *x /= sum);
    top + sum.ln()
}

/// Whether the scale is among the parameters that move.
#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Free,
    Zero,
}

/// The loss of a calibration: parameters are the scale, then the biases.
struct Problem {
    /// Scores less their row's mean, in units of `unit`.
    scores: Mat<f64>,
    /// Typical size of a score.
    unit: f64,
    /// Smoothed targets.
    targets: Mat<f64>,
}

impl Problem {
    fn new(scores: MatRef<'_, f64>, labels: &[usize]) -> Self {
        let (n, k) = (scores.rows(), scores.cols());
        let largest = (0..n).flat_map(|i| scores.row(i)).fold(0.0f64, |m, x| m.max(x.abs()));
        let unit = if largest > f64::MIN_POSITIVE { largest } else { 1.0 };
        let mut scaled = Mat::from_fn(n, k, |i, j| scores.row(i)[j] / unit);
        for i in 0..n {
            let mean = scaled.row(i).iter().sum::<f64>() / k as f64;
            scaled.row_mut(i).iter_mut().for_each(|x| *x -= mean);
        }
        let mut counts = vec![0usize; k];
        labels.iter().for_each(|&l| counts[l] += 1);
        let targets = Mat::from_fn(n, k, |i, j| {
            let doubt = 1.0 / (counts[labels[i]] + 2) as f64;
            if labels[i] == j { 1.0 - doubt } else { doubt / (k - 1) as f64 }
        });
        Self { scores: scaled, unit, targets }
    }

    fn parameters(&self) -> usize {
        if self.scores.cols() <= MOST_BIASES { 1 + self.scores.cols() } else { 1 }
    }

    /// Loss, and probabilities into `row`s.
    fn loss(&self, at: &[f64], mut each: impl FnMut(usize, &[f64])) -> f64 {
        let mut loss = 0.5 * PENALTY * at[1..].iter().map(|b| b * b).sum::<f64>();
        let mut row = vec![0.0; self.scores.cols()];
        for i in 0..self.scores.rows() {
            for (c, (x, s)) in row.iter_mut().zip(self.scores.row(i)).enumerate() {
                *x = at[0] * s + at.get(c + 1).copied().unwrap_or(0.0);
            }
            loss -= row.iter().zip(self.targets.row(i)).map(|(x, t)| x * t).sum::<f64>();
            loss += softmax(&mut row);
            each(i, &row);
        }
        loss
    }

    /// Gradient and Hessian.
    fn derivatives(&self, at: &[f64], scale: Scale) -> (Vec<f64>, Mat<f64>) {
        let m = self.parameters();
        let (mut gradient, mut hessian) = (vec![0.0; m], Mat::zeros(m, m));
        self.loss(at, |i, p| {
            let s = self.scores.row(i);
            let mean: f64 = p.iter().zip(s).map(|(p, s)| p * s).sum();
            gradient[0] += p.iter().zip(self.targets.row(i)).zip(s).map(|((p, t), s)| (p - t) * s).sum::<f64>();
            hessian[(0, 0)] += p.iter().zip(s).map(|(p, s)| p * (s - mean) * (s - mean)).sum::<f64>();
            for c in 1..m {
                gradient[c] += p[c - 1] - self.targets[(i, c - 1)];
                hessian[(c, 0)] += p[c - 1] * (s[c - 1] - mean);
                for d in 1..=c {
                    hessian[(c, d)] += p[c - 1] * (f64::from(c == d) - p[d - 1]);
                }
            }
        });
        for c in 1..m {
            gradient[c] += PENALTY * at[c];
            hessian[(c, c)] += PENALTY;
        }
        // Constant scores leave the scale undetermined; it then stays where it is.
        hessian[(0, 0)] += PENALTY * 1e-3;
        if scale == Scale::Zero {
            gradient[0] = 0.0;
            hessian[(0, 0)] = 1.0;
            (1..m).for_each(|c| hessian[(c, 0)] = 0.0);
        }
        (gradient, hessian)
    }

    /// Damped Newton steps until they no longer lower the loss.
    fn minimise(&self, at: &mut Vec<f64>, scale: Scale, resources: &Resources) -> Result<()> {
        let mut loss = self.loss(at, |_, _| {});
        for _ in 0..NEWTON_STEPS {
            resources.check("calibration")?;
            let (gradient, hessian) = self.derivatives(at, scale);
            let steps = Mat::from_vec(gradient.len(), 1, gradient.clone())?;
            let step =
                Cholesky::new(hessian, "Hessian of the calibration", resources)?.solve(steps.as_ref(), resources)?;
            let slope: f64 = gradient.iter().zip(step.as_slice()).map(|(g, s)| g * s).sum();
            let mut length = 1.0;
            let accepted = loop {
                let next: Vec<f64> = at.iter().zip(step.as_slice()).map(|(x, s)| x - length * s).collect();
                let new = self.loss(&next, |_, _| {});
                if new.is_finite() && new <= loss - 1e-4 * length * slope {
                    break Some((next, new));
                }
                length *= 0.5;
                if length < 1e-10 {
                    break None;
                }
            };
            match accepted {
                Some((next, new)) => {
                    let gain = loss - new;
                    (*at, loss) = (next, new);
                    if gain <= 1e-13 * loss.abs() {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }
}
