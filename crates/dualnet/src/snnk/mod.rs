//! Scalable neural network kernels: a layer f(W x + b) as a dot product Psi(W, b) Phi(x) of what is known of the
//! parameters and what is known of the input ("Scalable Neural Network Kernels", ICLR 2024, arXiv 2310.13225).

pub mod bound;
mod bundle;
mod bundled;
mod bundled_tower;
mod count;
mod layer;
mod network;
mod relu;
mod report;
mod solve;
mod tower;
pub mod urf;

pub use bundle::{FitOptions, Intercept, Penalty};
pub use bundled::{BundledNet, Directions};
pub use bundled_tower::{TowerOptions, bundled_tower};
pub use count::{Count, Counted, CountedMap, CountedSnnk};
pub use layer::{DenseLayer, Level, SnnkLayer};
pub use network::{Bundle, BundledNetwork, DenseNetwork, Stage};
pub use relu::{ReluOptions, ReluSnnk, half_arc_cosine};
pub use report::{Deviation, Report, StageReport};
pub use tower::Tower;

use crate::error::{Error, Result};
use crate::features::FeatureMap;
use crate::kernel::Float;
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;

/// A pair of maps: Phi, the [`FeatureMap`], of inputs, and Psi of parameters, with E Phi(x) . Psi(w, b) = K(x, (w, b)).
pub trait Snnk<T: Float>: FeatureMap<T> {
    /// Psi of each row of `weights` (l, d) with its entry of `biases` (l; empty: all 0): (l, m).
    ///
    /// # Errors
    /// Shapes; entries that are not finite; parameters so large that the estimate is worthless or overflows.
    fn psi(&self, weights: MatRef<'_, T>, biases: &[T], resources: &Resources) -> Result<Mat<T>>;
}

/// Refuses weights (l, d) and biases (l, or none) that do not belong to a map of `inputs` columns.
fn checked_parameters<T: Float>(inputs: usize, weights: MatRef<'_, T>, biases: &[T]) -> Result<()> {
    if weights.cols() != inputs || !(biases.is_empty() || biases.len() == weights.rows()) {
        return Err(Error::Shape {
            what: "parameters of a layer".into(),
            expected: format!("weights of {inputs} columns, and a bias for each row or none"),
            found: format!("weights {} x {}, {} biases", weights.rows(), weights.cols(), biases.len()),
        });
    }
    weights.check_finite("weights")?;
    MatRef::new(biases, 1, biases.len(), biases.len())?.check_finite("biases")
}
