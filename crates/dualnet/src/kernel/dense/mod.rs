//! Exact kernels of nets without spatial layers.
//!
//! A tile is one matrix product, then all layers on strips of it that stay in the first-level cache. Per pair the state is
//! (c, 1-|rho|, t); variances are kept once a sample and layer ([`prepare`]). The matrix product costs 2d flops a pair; a ReLU layer
//! about 45 vector instructions for 16 (f32) or 8 (f64) pairs.

pub mod gradient;
pub mod input;
pub mod passes;
pub mod prepare;
pub mod program;
mod slopes;

use super::{Float, Get, Grams, Kernel, Region, TILE, TileOut};
use crate::dual::Precision;
use crate::error::{Error, Result};
use crate::gram;
use crate::linalg::MatRef;
use crate::net::Net;
use crate::resources::Resources;
use std::ops::Range;

pub use gradient::KernelGradient;
pub use prepare::DenseSamples;
use program::{Node, Program};

/// The exact NNGP and NTK of a dense net, for inputs with `width` columns.
///
/// Computing in `f64` carries 1-|rho| through the layers and agrees with 60-digit references to 1e-10 relative to the diagonal;
/// `f32` to about 1e-5.
///
/// ```
/// use dualnet::kernel::{DenseKernel, Get};
/// use dualnet::{Mat, Resources, net::Net};
/// let net = Net::parse("fc-relu-1")?;
/// let x = Mat::from_vec(2, 2, vec![1.0, 0.0, 0.0, 1.0])?;
/// let k = DenseKernel::new(&net, 2)?.gram(x.as_ref(), Get::Nngp, &Resources::new(1)?)?;
/// let nngp = k.nngp.unwrap();
/// // w_std = sqrt 2 keeps the square: K(x, x) = 2 |x|^2/d = 1; orthogonal inputs have 1/pi of that.
/// assert!((nngp[(0, 0)] - 1.0f64).abs() < 1e-15);
/// assert!((nngp[(0, 1)] - 1.0 / std::f64::consts::PI).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DenseKernel {
    /// For `f32`: expansions are shorter there.
    single: Program,
    /// For `f64`.
    double: Program,
    width: usize,
}

impl DenseKernel {
    /// Compiles `net` for inputs with `width` columns; a net with spatial layers is an error.
    pub fn new(net: &Net, width: usize) -> Result<Self> {
        if width == 0 {
            return Err(Error::Invalid {
                what: "input width".into(),
                expected: "at least one column".into(),
                found: "0".into(),
                hint: "check that the data have feature columns".into(),
            });
        }
        if let Some((at, name)) = net.first_spatial_layer() {
            return Err(Error::Unsupported {
                at,
                what: format!("the spatial layer {name}"),
                hint: "use a net of dense layers on flattened samples".into(),
            });
        }
        let ops = net.ops(width)?;
        let compile = |precision| Program::compile(&ops, precision);
        Ok(Self { single: compile(Precision::F32)?, double: compile(Precision::F64)?, width })
    }

    fn program<T: Float>(&self) -> &Program {
        match T::PRECISION {
            Precision::F32 => &self.single,
            Precision::F64 => &self.double,
        }
    }

    /// Refuses a net through which [`KernelGradient`] cannot go, by the name of the layer.
    pub fn check_gradients(&self) -> Result<()> {
        slopes::check(&self.double.nodes)
    }

    /// Columns expected of the input.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The symmetric kernel matrices of `x` (n x d). One triangle is computed. Cost n^2 (d + 25 layers) flops, memory n^2 values a matrix.
    pub fn gram<T: Float>(&self, x: MatRef<'_, T>, get: Get, resources: &Resources) -> Result<Grams<T>> {
        gram::symmetric(self, x, get, resources)
    }

    /// The kernel matrices between the rows of `x` (n x d) and of `y` (m x d): n x m.
    pub fn cross<T: Float>(
        &self,
        x: MatRef<'_, T>,
        y: MatRef<'_, T>,
        get: Get,
        resources: &Resources,
    ) -> Result<Grams<T>> {
        gram::cross(self, x, y, get, resources)
    }

    /// K(x_i, x_i) for each row: (NNGP, NTK). Cost O(n d).
    pub fn variances<T: Float>(&self, x: MatRef<'_, T>, resources: &Resources) -> Result<(Vec<f64>, Vec<f64>)> {
        let samples = self.prepare(x, "x", resources)?;
        Ok((samples.nngp, samples.ntk))
    }
}

/// Entries of a strip: `rows * TILE` of them fit in half of a 32 KiB cache together with 1-|rho| and t.
fn strip_rows<T>() -> usize {
    if size_of::<T>() == 4 { 8 } else { 4 }
}

/// Scratch of one thread: strips for branches, and 1-|rho| of the strip at work.
#[derive(Debug)]
pub struct Workspace<T> {
    delta: Vec<T>,
    branches: Vec<passes::Strip<T>>,
    constants: Vec<T>,
}

impl<T: Float> Kernel<T> for DenseKernel {
    type Samples = DenseSamples<T>;
    type Workspace = Workspace<T>;

    fn side(&self) -> usize {
        TILE
    }

    fn prepare(&self, x: MatRef<'_, T>, what: &str, resources: &Resources) -> Result<DenseSamples<T>> {
        prepare::prepare(self.program::<T>(), self.width, x, what, resources)
    }

    fn len(&self, samples: &DenseSamples<T>) -> usize {
        samples.len
    }

    fn own(&self, samples: &DenseSamples<T>, range: Range<usize>, _: &Resources) -> Result<Vec<(f64, f64)>> {
        Ok(range.map(|i| (samples.nngp[i], samples.ntk[i])).collect())
    }

    fn workspace(&self, get: Get) -> Workspace<T> {
        let len = strip_rows::<T>() * TILE;
        let t = if get.ntk() { len } else { 0 };
        Workspace {
            delta: vec![T::default(); len],
            branches: (0..self.program::<T>().branch_strips).map(|_| passes::Strip::zeros(len, t)).collect(),
            constants: vec![T::default(); self.program::<T>().max_constants * strip_rows::<T>()],
        }
    }

    fn workspace_bytes(&self, get: Get) -> u64 {
        let program = self.program::<T>();
        // A strip of a branch: c, 1-|rho| and t.
        let strips = 1 + program.branch_strips * (2 + usize::from(get.ntk()));
        (strip_rows::<T>() * (strips * TILE + program.max_constants) * size_of::<T>()) as u64
    }

    fn samples_bytes(&self, n: usize) -> u64 {
        self.program::<T>().samples_bytes::<T>(n, self.width)
    }

    fn tile(
        &self,
        workspace: &mut Workspace<T>,
        rows: (&DenseSamples<T>, usize),
        cols: (&DenseSamples<T>, usize),
        out: TileOut<'_, T>,
        resources: &Resources,
    ) -> Result<()> {
        let isa = resources.isa;
        input::inner_products(rows.0, rows.1, cols.0, cols.1, out.nngp)?;
        let step = strip_rows::<T>();
        let used = rows.0.len.saturating_sub(rows.1 * TILE).min(TILE);
        for first in (0..used).step_by(step) {
            let count = step.min(used - first);
            let span = first * TILE..(first + count) * TILE;
            let t = if out.ntk.is_empty() { &mut [][..] } else { &mut out.ntk[span.clone()] };
            let at = passes::Place {
                isa,
                rows: rows.0,
                row: rows.1 * TILE + first,
                count,
                cols: cols.0,
                col: cols.1 * TILE,
            };
            let mut strip = passes::StripMut { c: &mut out.nngp[span], delta: &mut workspace.delta[..count * TILE], t };
            input::angles(&at, &mut strip);
            run(&self.program::<T>().nodes, 0, &at, &mut strip, &mut workspace.branches, &mut workspace.constants);
        }
        if out.region == Region::Upper {
            for i in 0..used {
                let sample = rows.1 * TILE + i;
                out.nngp[i * TILE + i] = T::from_f64(rows.0.nngp[sample]);
                if let Some(t) = out.ntk.get_mut(i * TILE + i) {
                    *t = T::from_f64(rows.0.ntk[sample]);
                }
            }
        }
        Ok(())
    }
}

/// Applies `nodes` to a strip whose variances are those of stage `before`; returns the stage it ends in.
fn run<T: Float>(
    nodes: &[Node],
    before: usize,
    at: &passes::Place<'_, T>,
    strip: &mut passes::StripMut<'_, T>,
    spare: &mut [passes::Strip<T>],
    constants: &mut [T],
) -> usize {
    let mut before = before;
    for node in nodes {
        match node {
            Node::Affine { affine, after } => {
                passes::affine(at, *affine, before, *after, strip);
                before = *after;
            }
            Node::Dual { dual, constants: id, after, .. } => {
                passes::dual(at, dual.as_ref(), before, *id, *after, strip, constants);
                before = *after;
            }
            Node::LayerNorm { scale, after, .. } => {
                passes::layer_norm(at, *scale, strip);
                before = *after;
            }
            Node::Dropout { keep, after } => {
                passes::dropout(at, *keep, strip);
                before = *after;
            }
            Node::Join { join, branches, after } => {
                let (mine, deeper) = spare.split_at_mut(branches.len());
                let mut ends = Vec::with_capacity(branches.len());
                for (branch, copy) in branches.iter().zip(mine.iter_mut()) {
                    copy.copy_from(strip);
                    ends.push(run(branch, before, at, &mut copy.first(strip.c.len()), deeper, constants));
                }
                passes::join(at, join, mine, &ends, *after, strip);
                before = *after;
            }
        }
    }
    before
}
