//! Exact kernels: interpreters that turn a net and samples into NNGP and NTK matrices.
//!
//! - [`dense`]: nets without spatial layers.
//!
//! [`crate::gram`] drives a [`Kernel`] over a grid of tiles.

pub mod dense;
pub mod float;

use crate::error::Result;
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;

pub use dense::DenseKernel;
pub use float::Float;

/// Samples along each side of a tile. Every product is computed in whole tiles padded with zeros, so that a value
/// depends on its two samples alone, never on what else is in the batch.
pub const TILE: usize = 128;

/// Which kernels are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Get {
    /// The covariance of the network at initialisation.
    Nngp,
    /// The tangent kernel, which governs training.
    Ntk,
    /// Both, in one pass.
    Both,
}

impl Get {
    /// Whether the NNGP is among them.
    pub fn nngp(self) -> bool {
        self != Get::Ntk
    }
    /// Whether the NTK is among them.
    pub fn ntk(self) -> bool {
        self != Get::Nngp
    }
    /// Number of matrices: 1 or 2.
    pub fn matrices(self) -> usize {
        1 + usize::from(self == Get::Both)
    }
}

/// Kernel matrices; `None` where not asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Grams<T> {
    /// NNGP, rows x columns.
    pub nngp: Option<Mat<T>>,
    /// NTK, rows x columns.
    pub ntk: Option<Mat<T>>,
}

/// Where a kernel writes one tile: `TILE * TILE` values each, row by row, rows and columns beyond the samples undefined.
#[derive(Debug)]
pub struct TileOut<'a, T> {
    /// NNGP; always computed.
    pub nngp: &'a mut [T],
    /// NTK; empty where not wanted.
    pub ntk: &'a mut [T],
}

/// An exact kernel.
pub trait Kernel<T: Float>: Sync {
    /// What is kept of the samples: anything that depends on one sample alone.
    type Samples: Send + Sync;
    /// Scratch memory of one thread.
    type Workspace: Send;
    /// Reads samples (n x d); `what` names them in errors. Cost O(n d) and, per layer, O(n).
    fn prepare(&self, x: MatRef<'_, T>, what: &str, resources: &Resources) -> Result<Self::Samples>;
    /// Number of samples prepared.
    fn len(&self, samples: &Self::Samples) -> usize;
    /// Kernel values of each sample with itself, in `f64`: (NNGP, NTK).
    fn diagonal<'a>(&self, samples: &'a Self::Samples) -> (&'a [f64], &'a [f64]);
    /// Scratch memory for [`Kernel::tile`].
    fn workspace(&self, get: Get) -> Self::Workspace;
    /// Fills the tile of row block `i` and column block `j`.
    fn tile(
        &self,
        workspace: &mut Self::Workspace,
        rows: (&Self::Samples, usize),
        cols: (&Self::Samples, usize),
        out: TileOut<'_, T>,
        resources: &Resources,
    ) -> Result<()>;
}
