//! How far a bundled network is from the original, measured on data, beside what a bound allows.

use super::bound::{Terms, deviation, layer_lipschitz};
use super::layer::SnnkLayer;
use super::network::{BundledNetwork, DenseNetwork, Stage};
use crate::error::{Error, Result};
use crate::features::{FeatureMap, transform};
use crate::kernel::Float;
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use std::ops::Range;

/// Difference of two matrices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// Frobenius norm of the difference over that of the original; infinite where only the latter is 0.
    pub relative: f64,
    /// Largest entry of the difference.
    pub max: f64,
}

impl Deviation {
    /// Of `found` from `original`.
    ///
    /// # Errors
    /// Other shapes.
    ///
    /// ```
    /// use dualnet::{Mat, snnk::Deviation};
    /// let (a, b) = (Mat::from_vec(1, 2, vec![3.0, 4.0])?, Mat::from_vec(1, 2, vec![3.0, 5.0])?);
    /// assert_eq!(Deviation::of(b.as_ref(), a.as_ref())?, Deviation { relative: 0.2, max: 1.0 });
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn of<T: Float>(found: MatRef<'_, T>, original: MatRef<'_, T>) -> Result<Self> {
        if (found.rows(), found.cols()) != (original.rows(), original.cols()) {
            return Err(Error::Shape {
                what: "outputs to compare".into(),
                expected: format!("{} x {}", original.rows(), original.cols()),
                found: format!("{} x {}", found.rows(), found.cols()),
            });
        }
        let (mut difference, mut norm, mut max) = (0.0, 0.0, 0.0f64);
        for i in 0..found.rows() {
            for (a, b) in found.row(i).iter().zip(original.row(i)) {
                let gap = a.to_f64() - b.to_f64();
                difference += gap * gap;
                norm += b.to_f64() * b.to_f64();
                max = max.max(gap.abs());
            }
        }
        let relative = if difference == 0.0 { 0.0 } else { (difference / norm).sqrt() };
        Ok(Self { relative, max })
    }
}

/// One part of a bundled network.
#[derive(Clone, Debug, PartialEq)]
pub struct StageReport {
    /// The layers of the original that it stands for.
    pub layers: Range<usize>,
    /// Its output on the exact inputs of these layers.
    pub alone: Deviation,
    /// Its output on what reaches it in the bundled network: the error up to here.
    pub end_to_end: Deviation,
    /// Largest error up to here that a bound allows; see [`BundledNetwork::report`].
    pub bound: Option<f64>,
}

/// Errors of a bundled network, part by part; those of the last are those of the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// From the input on.
    pub stages: Vec<StageReport>,
}

impl<T: Float> BundledNetwork<T> {
    /// Errors on the rows of `x` (n, d) against the network `original` that this one was made of.
    ///
    /// The bound of one map is Hoeffding's, for all rows and outputs and all maps at once (union bound) at
    /// `probability`, with c the largest term that occurs on these rows: a plug-in, since features have no largest
    /// value a priori. Errors of earlier parts are multiplied by the Lipschitz constants of what follows. It is about
    /// the distance to what the maps estimate: where that is not the layer (a ReLU-SNNK in place of a ReLU layer), the
    /// measured error holds the difference of both as well. `None` from the first part on that has no Psi (free,
    /// fitted) or no Lipschitz constant.
    ///
    /// # Errors
    /// Networks that do not belong together; a probability outside (0, 1); as [`transform`].
    pub fn report(
        &self,
        original: &DenseNetwork<T>,
        x: MatRef<'_, T>,
        probability: f64,
        resources: &Resources,
    ) -> Result<Report> {
        let layers = self.stages().last().map_or(0, |stage| stage.layers().end);
        if original.layers().len() != layers || original.inputs() != self.inputs() {
            return Err(Error::Shape {
                what: "original of a bundled network".into(),
                expected: format!("{layers} layers of {} inputs", self.inputs()),
                found: format!("{} layers of {} inputs", original.layers().len(), original.inputs()),
            });
        }
        if !(probability > 0.0 && probability < 1.0) {
            return Err(Error::Invalid {
                what: "probability of a bound".into(),
                expected: "between 0 and 1".into(),
                found: probability.to_string(),
                hint: "use 0.05".into(),
            });
        }
        let levels = self.stages().iter().map(|stage| match stage {
            Stage::Snnk(_, layer) => layer.levels().len(),
            Stage::Dense(..) => 0,
        });
        let share = probability / levels.sum::<usize>().max(1) as f64;
        let (mut exact, mut reached, mut bound) = (x.to_mat(), x.to_mat(), Some(0.0));
        let mut stages = Vec::new();
        for stage in self.stages() {
            let map = stage.map();
            bound = match stage {
                Stage::Dense(_, layer) => bound.and_then(|e| Some(e * layer_lipschitz(layer)?)),
                Stage::Snnk(_, layer) => layer.bound(bound, reached.as_ref(), share, resources)?,
            };
            let alone = transform(map.as_ref(), exact.as_ref(), resources)?;
            reached = transform(map.as_ref(), reached.as_ref(), resources)?;
            for layer in &original.layers()[stage.layers()] {
                exact = layer.forward(exact.as_ref(), resources)?;
            }
            stages.push(StageReport {
                layers: stage.layers(),
                alone: Deviation::of(alone.as_ref(), exact.as_ref())?,
                end_to_end: Deviation::of(reached.as_ref(), exact.as_ref())?,
                bound,
            });
        }
        Ok(Report { stages })
    }
}

impl<T: Float> SnnkLayer<T> {
    /// The error after this layer, with `before` in front of it and `probability` to spend on each map.
    fn bound(
        &self,
        before: Option<f64>,
        x: MatRef<'_, T>,
        probability: f64,
        resources: &Resources,
    ) -> Result<Option<f64>> {
        if self.levels().is_empty() {
            return Ok(None);
        }
        let (mut features, mut error) = (x.to_mat(), before);
        for (map, level) in self.tower().maps().iter().zip(self.levels()) {
            features = transform(map.as_ref(), features.as_ref(), resources)?;
            let entries = (features.rows() * level.outputs).max(1) as f64;
            let terms = Terms::Independent(largest_term(&features, &level.peaks));
            let own = deviation(terms, map.dim(), probability / entries);
            error = error.zip(level.lipschitz).map(|(error, constant)| error * constant + own);
        }
        Ok(error.zip(self.gain()).map(|(error, gain)| error * gain))
    }
}

/// The largest m |Phi_j Psi_j|.
fn largest_term<T: Float>(features: &Mat<T>, peaks: &[f64]) -> f64 {
    let mut largest = 0.0f64;
    for i in 0..features.rows() {
        let terms = features.row(i).iter().zip(peaks).map(|(phi, peak)| phi.to_f64().abs() * peak);
        largest = terms.fold(largest, f64::max);
    }
    features.cols() as f64 * largest
}
