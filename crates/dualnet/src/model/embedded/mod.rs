//! Fitting features of the kernel of a net: random ones, or Nystrom features of landmarks.
//!
//! Net, kernel and encoding are chosen by exact leave-one-out of the kernels themselves on some hundred rows, as for an exact fit. How far the
//! features are from the kernel they stand for is measured on pairs of rows before the pass over all of them.

mod kernel_error;
mod map;
mod options;

pub use options::{EmbeddedOptions, KernelMap, plan_embedded};

use super::batches::Batches;
use super::compare::{Choice, choose};
use super::fitted::Model;
use super::primal::{FeatureReport, Named, Prepared, Sample, check_rows};
use super::units::units;
use crate::error::Result;
use crate::resources::Resources;
use map::Mapped;

/// Fits features of the kernel of a net to all rows of `batches`: [`EmbeddedFit::new`] and [`EmbeddedFit::solve`].
///
/// # Errors
/// Theirs.
pub fn fit_embedded(batches: &mut dyn Batches, options: &EmbeddedOptions, resources: &Resources) -> Result<Model> {
    EmbeddedFit::new(batches, options, resources)?.solve(batches, resources)
}

/// A feature map that was drawn for some rows, before the pass over all of them.
///
/// ```
/// use dualnet::model::{EmbeddedFit, EmbeddedOptions, Encoding, FitOptions, Frame, InMemory, KernelMap, Target};
/// use dualnet::model::{Column, Values};
/// use dualnet::{Mat, Resources};
/// let x = Mat::from_fn(200, 2, |i, j| ((i * (j + 2)) as f64).sin());
/// let y = (0..200).map(|i| x[(i, 0)] * x[(i, 1)]).collect();
/// let target = Target::from_columns(&[Column { name: "y".into(), values: Values::Numbers(y) }], None)?;
/// let (frame, resources) = (Frame::from_matrix(x.as_ref())?, Resources::new(1)?);
/// let mut rows = InMemory::new(&frame, &target)?;
/// let choice = FitOptions { encodings: vec![Encoding::Plain], ..FitOptions::default() };
/// let options = EmbeddedOptions { choice, ..EmbeddedOptions::new(KernelMap::Nystrom, 60) };
/// let drawn = EmbeddedFit::new(&mut rows, &options, &resources)?;
/// assert!(drawn.kernel_error() < 0.05);
/// let model = drawn.solve(&mut rows, &resources)?;
/// assert!(model.report().loo.as_ref().and_then(|m| m.r2).unwrap() > 0.98);
/// # Ok::<(), dualnet::Error>(())
/// ```
pub struct EmbeddedFit {
    prepared: Prepared,
    error: f64,
}

impl std::fmt::Debug for EmbeddedFit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { prepared, error } = self;
        f.debug_struct("EmbeddedFit").field("features", &prepared.features).field("kernel_error", error).finish()
    }
}

impl EmbeddedFit {
    /// Chooses net, kernel and encoding on a sample of the rows, draws the features and measures their error.
    ///
    /// # Errors
    /// Fewer than two rows; one class only; whatever preprocessing or the kernel refuses or reading meets; a net without features; more
    /// memory than allowed ([`plan_embedded`]).
    pub fn new(batches: &mut dyn Batches, options: &EmbeddedOptions, resources: &Resources) -> Result<Self> {
        let rows = check_rows(batches)?;
        options.check()?;
        let sample = Sample::take(batches, resources)?;
        let (columns, outputs) = (sample.frame.columns().len(), sample.target.outputs());
        let (bytes, _) = plan_embedded(rows, columns, outputs, options)?;
        let what = format!("a fit of {} {}", options.dim(rows), options.map.name());
        resources.reserve(&what, bytes, "use fewer features, or raise --memory")?;
        let units = units(&sample.target)?;
        let compared = sample.some(options.choice.compared(rows));
        let data = (&sample.frame, &sample.target);
        let Choice { candidate, preprocess, tried, compared_rows, metric, .. } =
            choose(data, &compared, &options.choice, &units, resources)?;
        let x = preprocess.apply(&sample.frame)?;
        let Mapped { embedding, map, landmarks, rank } =
            Mapped::new(&candidate, &x, &sample, rows, options, resources)?;
        let error = kernel_error::measure(&candidate, &map, &x, landmarks.as_deref(), resources)?;
        let features = FeatureReport {
            dim: embedding.dim(),
            precision: options.precision(rows),
            parameters: (outputs * (embedding.dim() + 1)) as u64,
            gcv: 0.0,
            tower: None,
            landmarks: landmarks.as_ref().map(Vec::len),
            rank,
            kernel_error: Some(error),
        };
        let named = Named { net: candidate.name, kernel: candidate.kernel, method: options.map.method() };
        let lambdas = options.choice.lambdas.clone();
        let prepared = Prepared {
            rows,
            sample,
            units,
            preprocess,
            x,
            embedding,
            map,
            lambdas,
            named,
            features,
            tried,
            compared_rows,
            metric,
        };
        Ok(Self { prepared, error })
    }

    /// Relative error of products of features against the exact kernel, in the Frobenius norm over pairs of training rows.
    pub fn kernel_error(&self) -> f64 {
        self.error
    }

    /// Features to be solved with.
    pub fn features(&self) -> usize {
        self.prepared.features.dim
    }

    /// Passes over all rows, which must be those it was made for, and solves.
    ///
    /// # Errors
    /// What reading meets, and rows that are not those of the first pass; memory; interruption.
    pub fn solve(self, batches: &mut dyn Batches, resources: &Resources) -> Result<Model> {
        self.prepared.solve(batches, resources)
    }
}
