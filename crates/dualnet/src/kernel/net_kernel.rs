//! The kernel of a net, dense or convolutional.

use super::conv::{ConvKernel, ConvSamples, ConvWorkspace};
use super::dense::{DenseKernel, DenseSamples, Workspace};
use super::{Float, InputShape, Kernel, TileOut};
use crate::error::Result;
use crate::kernel::Get;
use crate::linalg::MatRef;
use crate::net::Net;
use crate::resources::Resources;
use std::ops::Range;

/// The exact kernel of any net: a [`DenseKernel`] where no layer works over positions (samples with positions are flattened then), else a
/// [`ConvKernel`].
///
/// ```
/// use dualnet::kernel::{InputShape, NetKernel};
/// use dualnet::net::Net;
/// let kernel = NetKernel::new(&Net::parse("fc-relu-1")?, &InputShape::image(28, 28, 1))?;
/// assert!(matches!(kernel, NetKernel::Dense(_)));
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum NetKernel {
    /// Of a net without spatial layers.
    Dense(DenseKernel),
    /// Of a net over positions.
    Conv(ConvKernel),
}

/// Samples prepared for a [`NetKernel`].
#[derive(Debug)]
pub enum NetSamples<T> {
    /// For the dense kernel.
    Dense(DenseSamples<T>),
    /// For the convolutional kernel.
    Conv(ConvSamples<T>),
}

/// Scratch memory of one thread.
#[derive(Debug)]
pub enum NetWorkspace<T> {
    /// For the dense kernel.
    Dense(Workspace<T>),
    /// For the convolutional kernel.
    Conv(Box<ConvWorkspace<T>>),
}

impl NetKernel {
    /// Compiles `net` for samples of that shape.
    ///
    /// # Errors
    /// A net that does not fit the shape; positions left at the end.
    pub fn new(net: &Net, shape: &InputShape) -> Result<Self> {
        Ok(match net.is_spatial() {
            true => NetKernel::Conv(ConvKernel::new(net, shape)?),
            false => NetKernel::Dense(DenseKernel::new(net, shape.width())?),
        })
    }
}

/// Samples and workspaces come from the kernel they are used with; another's are an error of the program, not of its input.
fn mixed() -> crate::error::Error {
    super::mixed("samples of a dense and of a convolutional kernel")
}

impl<T: Float> Kernel<T> for NetKernel {
    type Samples = NetSamples<T>;
    type Workspace = NetWorkspace<T>;

    fn side(&self) -> usize {
        match self {
            NetKernel::Dense(kernel) => Kernel::<T>::side(kernel),
            NetKernel::Conv(kernel) => Kernel::<T>::side(kernel),
        }
    }

    fn prepare(&self, x: MatRef<'_, T>, what: &str, resources: &Resources) -> Result<NetSamples<T>> {
        Ok(match self {
            NetKernel::Dense(kernel) => NetSamples::Dense(kernel.prepare(x, what, resources)?),
            NetKernel::Conv(kernel) => NetSamples::Conv(kernel.prepare(x, what, resources)?),
        })
    }

    fn len(&self, samples: &NetSamples<T>) -> usize {
        match (self, samples) {
            (NetKernel::Dense(kernel), NetSamples::Dense(samples)) => kernel.len(samples),
            (NetKernel::Conv(kernel), NetSamples::Conv(samples)) => kernel.len(samples),
            _ => 0,
        }
    }

    fn own(&self, samples: &NetSamples<T>, range: Range<usize>, resources: &Resources) -> Result<Vec<(f64, f64)>> {
        match (self, samples) {
            (NetKernel::Dense(kernel), NetSamples::Dense(samples)) => kernel.own(samples, range, resources),
            (NetKernel::Conv(kernel), NetSamples::Conv(samples)) => kernel.own(samples, range, resources),
            _ => Err(mixed()),
        }
    }

    fn workspace(&self, get: Get) -> NetWorkspace<T> {
        match self {
            NetKernel::Dense(kernel) => NetWorkspace::Dense(kernel.workspace(get)),
            NetKernel::Conv(kernel) => NetWorkspace::Conv(Box::new(kernel.workspace(get))),
        }
    }

    fn workspace_bytes(&self, get: Get) -> u64 {
        match self {
            NetKernel::Dense(kernel) => Kernel::<T>::workspace_bytes(kernel, get),
            NetKernel::Conv(kernel) => Kernel::<T>::workspace_bytes(kernel, get),
        }
    }

    fn samples_bytes(&self, n: usize) -> u64 {
        match self {
            NetKernel::Dense(kernel) => Kernel::<T>::samples_bytes(kernel, n),
            NetKernel::Conv(kernel) => Kernel::<T>::samples_bytes(kernel, n),
        }
    }

    fn tile(
        &self,
        workspace: &mut NetWorkspace<T>,
        rows: (&NetSamples<T>, usize),
        cols: (&NetSamples<T>, usize),
        out: TileOut<'_, T>,
        resources: &Resources,
    ) -> Result<()> {
        match (self, workspace, rows.0, cols.0) {
            (NetKernel::Dense(kernel), NetWorkspace::Dense(w), NetSamples::Dense(a), NetSamples::Dense(b)) => {
                kernel.tile(w, (a, rows.1), (b, cols.1), out, resources)
            }
            (NetKernel::Conv(kernel), NetWorkspace::Conv(w), NetSamples::Conv(a), NetSamples::Conv(b)) => {
                kernel.tile(w, (a, rows.1), (b, cols.1), out, resources)
            }
            _ => Err(mixed()),
        }
    }
}
