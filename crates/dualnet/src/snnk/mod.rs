//! Scalable neural network kernels: a layer f(W x + b) as a dot product Psi(W, b) Phi(x) of what is known of the parameters
//! and what is known of the input ("Scalable Neural Network Kernels", ICLR 2024, arXiv 2310.13225).

mod bundled;
mod bundled_tower;
pub mod urf;

pub use bundled::{BundledNet, Directions};
pub use bundled_tower::{BundledTower, TowerOptions, bundled_tower};

use crate::error::Result;
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
