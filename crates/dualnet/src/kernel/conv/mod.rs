//! Exact kernels of nets over positions: convolutions, pooling, attention.

use super::{Float, Get, InputShape, Kernel, TileOut};
use crate::error::{Error, Result};
use crate::linalg::MatRef;
use crate::net::Net;
use crate::resources::Resources;
use std::ops::Range;

/// The exact NNGP and NTK of a net over positions.
#[derive(Clone, Debug)]
pub struct ConvKernel {
    shape: InputShape,
}

/// Samples prepared for a [`ConvKernel`].
#[derive(Debug)]
pub struct ConvSamples<T> {
    x: Vec<T>,
}

/// Scratch memory of one thread.
#[derive(Debug)]
pub struct ConvWorkspace<T> {
    planes: Vec<T>,
}

/// Samples along each side of a tile.
const SIDE: usize = 8;

fn unfinished() -> Error {
    Error::Unsupported { at: "a net over positions".into(), what: "its kernel".into(), hint: "use a dense net".into() }
}

impl ConvKernel {
    /// Compiles `net` for samples of that shape: images or sequences.
    pub fn new(_net: &Net, _shape: &InputShape) -> Result<Self> {
        Err(unfinished())
    }

    /// What one sample looks like.
    pub fn shape(&self) -> &InputShape {
        &self.shape
    }
}

impl<T: Float> Kernel<T> for ConvKernel {
    type Samples = ConvSamples<T>;
    type Workspace = ConvWorkspace<T>;

    fn side(&self) -> usize {
        SIDE
    }

    fn prepare(&self, _x: MatRef<'_, T>, _what: &str, _resources: &Resources) -> Result<ConvSamples<T>> {
        Err(unfinished())
    }

    fn len(&self, samples: &ConvSamples<T>) -> usize {
        samples.x.len()
    }

    fn own(&self, _samples: &ConvSamples<T>, _range: Range<usize>, _resources: &Resources) -> Result<Vec<(f64, f64)>> {
        Err(unfinished())
    }

    fn workspace(&self, _get: Get) -> ConvWorkspace<T> {
        ConvWorkspace { planes: Vec::new() }
    }

    fn tile(
        &self,
        workspace: &mut ConvWorkspace<T>,
        _rows: (&ConvSamples<T>, usize),
        _cols: (&ConvSamples<T>, usize),
        _out: TileOut<'_, T>,
        _resources: &Resources,
    ) -> Result<()> {
        workspace.planes.clear();
        Err(unfinished())
    }
}
