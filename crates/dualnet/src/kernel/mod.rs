//! Exact kernels: interpreters that turn a net and samples into NNGP and NTK matrices.
//!
//! - [`dense`]: nets without spatial layers.
//! - [`conv`]: nets over the positions of images and sequences.
//! - [`NetKernel`]: whichever of the two a net needs.
//! - [`FlipKernel`]: either, averaged over the horizontal flip of images.
//!
//! [`crate::gram`] drives a [`Kernel`] over a grid of tiles.

pub mod conv;
pub mod dense;
pub mod flip;
pub mod float;
mod input_shape;
mod kind;
mod net_kernel;

use crate::error::Result;
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use std::ops::Range;

pub use conv::ConvKernel;
pub use dense::{DenseKernel, KernelGradient};
pub use flip::FlipKernel;
pub use float::Float;
pub use input_shape::InputShape;
pub use kind::KernelKind;
pub use net_kernel::{NetKernel, NetSamples, NetWorkspace};

/// Samples along each side of a dense kernel's tile. Every product is computed in whole tiles padded with zeros, so that a value
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

/// Which entries of a tile are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// All: rows and columns are different samples, though some may be equal.
    All,
    /// Those on and above the diagonal: rows and columns are the same samples. Entries on the diagonal are K(x, x) of one sample, where
    /// dropout keeps the same entries.
    Upper,
}

/// Where a kernel writes one tile: side * side values each, row by row, rows and columns beyond the samples and entries that are
/// not wanted undefined.
#[derive(Debug)]
pub struct TileOut<'a, T> {
    /// What is wanted.
    pub region: Region,
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
    /// Samples along each side of a tile.
    fn side(&self) -> usize;
    /// Reads samples (n x d); `what` names them in errors. Cost O(n d) and, per layer, O(n).
    fn prepare(&self, x: MatRef<'_, T>, what: &str, resources: &Resources) -> Result<Self::Samples>;
    /// Number of samples prepared.
    fn len(&self, samples: &Self::Samples) -> usize;
    /// Kernel values of some samples with themselves, computed in `f64`: (NNGP, NTK) of each.
    fn own(&self, samples: &Self::Samples, range: Range<usize>, resources: &Resources) -> Result<Vec<(f64, f64)>>;
    /// Scratch memory for [`Kernel::tile`].
    fn workspace(&self, get: Get) -> Self::Workspace;
    /// Bytes of a [`Kernel::workspace`], for plans; 0: too little to count.
    fn workspace_bytes(&self, _get: Get) -> u64 {
        0
    }
    /// Bytes that [`Kernel::prepare`] keeps of `n` samples, for plans; 0: too little to count.
    fn samples_bytes(&self, _n: usize) -> u64 {
        0
    }
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

/// The error of parts that belong to different kernels.
fn mixed(what: &str) -> crate::error::Error {
    crate::error::Error::Invalid {
        what: "parts of a kernel".into(),
        expected: "samples and workspace of the kernel itself".into(),
        found: what.into(),
        hint: "prepare both sides with the kernel that computes the tile".into(),
    }
}
