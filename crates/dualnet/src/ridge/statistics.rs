//! Sufficient statistics of ridge regression on features: weighted means, scatter about them, and products with the targets.
//!
//! Rows are added in chunks of [`CHUNK`]. A chunk is centred about its own mean, multiplied out in the precision of the features,
//! and joined to what is there by the update of Chan, Golub and LeVeque (1983): with weights W_a, W_b and means that differ by d,
//!
//! ```text
//! S = S_a + S_b + W_a W_b / (W_a + W_b) d d^T
//! ```
//!
//! All sums are in f64 and always about the mean, so neither large means nor many rows cost digits; and since every set of rows
//! obeys the same rule, shards, threads and machines are the same thing.

use super::chunk::{Chunk, Plan};
use super::mean::Means;
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::syrk::{Terms, add_outer_products};
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use rayon::prelude::*;

/// Rows that are multiplied out together.
pub const CHUNK: usize = 2048;

/// What ridge regression has to know of rows of features and targets: m^2 numbers for any number of rows.
///
/// ```
/// use dualnet::{Mat, Resources, ridge::RidgeStatistics};
/// let resources = Resources::new(1)?;
/// let x = Mat::from_vec(3, 1, vec![1.0f32, 2.0, 6.0])?;
/// let y = Mat::from_vec(3, 1, vec![1.0, 0.0, 2.0])?;
/// let mut all = RidgeStatistics::new(1, 1, &resources)?;
/// all.add(x.as_ref(), y.as_ref(), &[], &resources)?;
/// assert_eq!((all.rows(), all.mean()[0], all.target_mean()[0]), (3, 3.0, 1.0));
/// assert!((all.scatter()[(0, 0)] - 14.0).abs() < 1e-5); // 4 + 1 + 9
/// assert!((all.cross()[(0, 0)] - 4.0).abs() < 1e-5); // (-2)(0) + (-1)(-1) + (3)(1)
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RidgeStatistics {
    rows: u64,
    weight: f64,
    mean: Means,
    target_mean: Means,
    scatter: Mat<f64>,
    cross: Mat<f64>,
    target_scatter: Vec<f64>,
}

impl RidgeStatistics {
    /// Of no rows yet, for `features` features (m) and `outputs` columns of targets (k).
    ///
    /// # Errors
    /// No features or no outputs; memory: m^2 + m k numbers of 8 bytes.
    pub fn new(features: usize, outputs: usize, resources: &Resources) -> Result<Self> {
        if features == 0 || outputs == 0 {
            return Err(Error::Shape {
                what: "statistics of ridge".into(),
                expected: "at least one feature and one output".into(),
                found: format!("{features} features, {outputs} outputs"),
            });
        }
        let (m, k) = (features as u64, outputs as u64);
        let bytes = m.saturating_mul(m.saturating_add(k)).saturating_mul(8);
        resources.reserve("statistics of ridge", bytes, "use fewer features, or raise the memory limit")?;
        Ok(Self {
            rows: 0,
            weight: 0.0,
            mean: Means::new(vec![0.0; features], vec![0.0; features]),
            target_mean: Means::new(vec![0.0; outputs], vec![0.0; outputs]),
            scatter: Mat::zeros(features, features),
            cross: Mat::zeros(features, outputs),
            target_scatter: vec![0.0; outputs],
        })
    }

    /// Adds rows: features (n, m), targets (n, k), and a weight of the squared error for each row (empty: all 1). A weight counts
    /// as so many equal rows, except in [`Self::rows`]; a row of weight 0 counts as absent.
    ///
    /// Either all rows are added or, with an error, none. Centred features are rounded to `T`, and products of them are summed in
    /// `T` over at most 256 rows: with `f64` nothing is lost, with `f32` entries of the scatter carry an error of about 1e-6 of
    /// the product of the two standard deviations, for any mean and any number of rows.
    ///
    /// # Errors
    /// Shapes; numbers that are not finite; weights that are negative; features whose squares leave the range of f64, or, in
    /// `f32`, that come within a factor of 8 of its end; interruption, after which the statistics are to be dropped.
    ///
    /// Cost n m (m + 2 k) operations; a copy of [`CHUNK`] rows.
    pub fn add<T: Float>(
        &mut self,
        features: MatRef<'_, T>,
        targets: MatRef<'_, f64>,
        weights: &[f64],
        resources: &Resources,
    ) -> Result<()> {
        let (n, m, k) = (features.rows(), self.features(), self.outputs());
        if features.cols() != m || (targets.rows(), targets.cols()) != (n, k) {
            return Err(Error::Shape {
                what: "rows of ridge".into(),
                expected: format!("features {n} x {m}, targets {n} x {k}"),
                found: format!("features {n} x {}, targets {} x {}", features.cols(), targets.rows(), targets.cols()),
            });
        }
        check_weights(weights, n, 0)?;
        targets.check_finite("targets of ridge")?;
        // All of them before the first sum is touched.
        let plans = (0..n)
            .step_by(CHUNK)
            .map(|first| Plan::new(first..n.min(first + CHUNK), features, targets, weights, resources))
            .collect::<Result<Vec<_>>>()?;
        for plan in plans.into_iter().flatten() {
            let chunk = plan.centre(features, targets, weights, resources)?;
            self.join(&chunk, resources)?;
        }
        Ok(())
    }

    /// Joins a chunk, whose scatter is still to be multiplied out.
    fn join<T: Float>(&mut self, chunk: &Chunk<T>, resources: &Resources) -> Result<()> {
        self.begin(&chunk.mean, &chunk.target_mean);
        let difference = chunk.mean.less(&self.mean);
        let target_difference = chunk.target_mean.less(&self.target_mean);
        let pull = self.pull(chunk.weight);
        let terms =
            Terms { units: &chunk.units, first: (-1.0 / chunk.weight, &chunk.sums), second: (pull, &difference) };
        add_outer_products(&mut self.scatter, &chunk.rows, &terms, resources)?;
        self.join_small(&chunk.cross, &chunk.target_scatter, &difference, &target_difference, pull);
        self.advance(chunk.weight, chunk.count, &difference, &target_difference);
        Ok(())
    }

    /// Adds the rows that another set of statistics was made of. Any order of merges gives the same up to rounding.
    ///
    /// # Errors
    /// Another number of features or outputs. Cost 2 m^2 operations.
    pub fn merge(&mut self, other: &Self, resources: &Resources) -> Result<()> {
        let shape = |s: &Self| (s.features(), s.outputs());
        if shape(self) != shape(other) {
            let say = |(m, k)| format!("{m} features and {k} outputs");
            return Err(Error::Shape {
                what: "statistics to merge".into(),
                expected: say(shape(self)),
                found: say(shape(other)),
            });
        }
        if other.weight == 0.0 {
            return Ok(());
        }
        let pull = self.pull(other.weight);
        self.begin(&other.mean, &other.target_mean);
        let difference = other.mean.less(&self.mean);
        let target_difference = other.target_mean.less(&self.target_mean);
        let m = self.features();
        resources.install(|| {
            self.scatter.as_mut_slice().par_chunks_mut(m).enumerate().for_each(|(i, row)| {
                let scale = pull * difference[i];
                let terms = other.scatter.row(i).iter().zip(&difference);
                row[..=i].iter_mut().zip(terms).for_each(|(s, (o, d))| *s += o + scale * d);
            });
        });
        self.join_small(&other.cross, &other.target_scatter, &difference, &target_difference, pull);
        self.advance(other.weight, other.rows, &difference, &target_difference);
        Ok(())
    }

    /// W_a W_b / (W_a + W_b).
    fn pull(&self, weight: f64) -> f64 {
        self.weight * (weight / (self.weight + weight))
    }

    fn join_small(&mut self, cross: &Mat<f64>, scatter: &[f64], dx: &[f64], dy: &[f64], pull: f64) {
        for (i, dx) in dx.iter().enumerate() {
            let terms = cross.row(i).iter().zip(dy);
            self.cross.row_mut(i).iter_mut().zip(terms).for_each(|(c, (o, dy))| *c += o + pull * dx * dy);
        }
        let terms = scatter.iter().zip(dy);
        self.target_scatter.iter_mut().zip(terms).for_each(|(s, (o, dy))| *s += o + pull * dy * dy);
    }

    fn advance(&mut self, weight: f64, rows: u64, dx: &[f64], dy: &[f64]) {
        self.weight += weight;
        self.rows += rows;
        let share = weight / self.weight;
        self.mean.advance(share, dx);
        self.target_mean.advance(share, dy);
    }

    /// The first rows say where the data are.
    fn begin(&mut self, mean: &Means, target_mean: &Means) {
        if self.weight == 0.0 {
            (self.mean, self.target_mean) = (mean.clone(), target_mean.clone());
        }
    }

    /// Rows of positive weight so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }
    /// Sum of the weights, W.
    pub fn weight(&self) -> f64 {
        self.weight
    }
    /// Number of features, m.
    pub fn features(&self) -> usize {
        self.mean.values().len()
    }
    /// Number of columns of targets, k.
    pub fn outputs(&self) -> usize {
        self.target_mean.values().len()
    }
    /// Weighted means of the features (m).
    pub fn mean(&self) -> &[f64] {
        self.mean.values()
    }
    /// Weighted means of the targets (k).
    pub fn target_mean(&self) -> &[f64] {
        self.target_mean.values()
    }
    /// `sum w (phi - mean)(phi - mean)^T` (m, m): only the lower triangle means something.
    pub fn scatter(&self) -> &Mat<f64> {
        &self.scatter
    }
    /// `sum w (phi - mean)(y - mean)^T` (m, k).
    pub fn cross(&self) -> &Mat<f64> {
        &self.cross
    }
    /// `sum w (y - mean)^2` of each output (k).
    pub fn target_scatter(&self) -> &[f64] {
        &self.target_scatter
    }
    /// The scatter and the products with the targets, given away.
    pub(super) fn into_parts(self) -> (Mat<f64>, Mat<f64>) {
        (self.scatter, self.cross)
    }
}

/// Refuses weights that are negative or not finite, or too many or few; rows are counted from `first`.
pub(super) fn check_weights(weights: &[f64], n: usize, first: usize) -> Result<()> {
    if !weights.is_empty() && weights.len() != n {
        return Err(Error::Shape {
            what: "weights of ridge".into(),
            expected: format!("{n}, one for each row, or none"),
            found: weights.len().to_string(),
        });
    }
    match weights.iter().position(|w| !(*w >= 0.0 && *w <= MOST)) {
        None => Ok(()),
        Some(row) => Err(Error::Invalid {
            what: format!("weight of row {}", first + row),
            expected: format!("a number between 0 and {MOST:e}"),
            found: weights[row].to_string(),
            hint: "only ratios of weights matter; divide all by the largest".into(),
        }),
    }
}

/// The largest weight: sums of products with features of the largest size stay within f64.
const MOST: f64 = 1e20;
