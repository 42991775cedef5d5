//! Columns of a kernel matrix, a panel of rows at a time: never the whole matrix.

use crate::error::{Error, Result};
use crate::kernel::{Float, Kernel, KernelKind, Region, TileOut};
use crate::linalg::first_not_finite;
use crate::resources::Resources;
use crate::simd::{self, Vector};

/// Tiles in the height of a panel. Of a dense kernel these are 512 rows: packing the other factor of a product takes few percent of its time,
/// and 128 columns stay in the second-level cache. Of images they are 32, so that all threads are at work till the end.
const TILES: usize = 4;

/// Rows of a panel of this kernel: whole tiles. It depends on the kernel alone, so that no bit of a result depends on threads.
pub(super) fn panel_rows<T: Float, K: Kernel<T>>(kernel: &K) -> usize {
    TILES * kernel.side().max(1)
}

/// What one thread needs to compute panels.
pub(crate) struct Tiles<T, W> {
    workspace: W,
    nngp: Vec<T>,
    ntk: Vec<T>,
    kind: KernelKind,
    side: usize,
}

impl<T: Float, W> Tiles<T, W> {
    pub(crate) fn new<K: Kernel<T, Workspace = W>>(kernel: &K, kind: KernelKind) -> Self {
        let side = kernel.side().max(1);
        let tile = |wanted: bool| vec![T::default(); if wanted { side * side } else { 0 }];
        Self {
            workspace: kernel.workspace(kind.get()),
            nngp: tile(true),
            ntk: tile(kind == KernelKind::Ntk),
            kind,
            side,
        }
    }

    /// K(x_i, y_j) for `rows` samples from number `first` on, a multiple of the side of a tile, and all samples of `cols`: row by row,
    /// `width` = the number of `cols` values each.
    ///
    /// # Errors
    /// Those of the kernel; a value that is not finite, with its row and column.
    pub(crate) fn panel<K: Kernel<T, Workspace = W>>(
        &mut self,
        kernel: &K,
        (samples, first, rows): (&K::Samples, usize, usize),
        cols: &K::Samples,
        panel: &mut [T],
        resources: &Resources,
    ) -> Result<()> {
        let (side, width) = (self.side, kernel.len(cols));
        for top in (0..rows).step_by(side) {
            for left in (0..width).step_by(side) {
                resources.check("the kernel matrix")?;
                let out = TileOut { region: Region::All, nngp: &mut self.nngp, ntk: &mut self.ntk };
                let at = ((samples, (first + top) / side), (cols, left / side));
                kernel.tile(&mut self.workspace, at.0, at.1, out, resources)?;
                let count = side.min(width - left);
                let lines = self.kind.of((&self.nngp, &self.ntk)).chunks_exact(side).take(rows - top);
                for (r, line) in lines.enumerate() {
                    panel[(top + r) * width + left..][..count].copy_from_slice(&line[..count]);
                }
            }
        }
        finite(panel, width, first)
    }
}

/// Refuses values that are not finite; the first row of the panel is row `first` of the matrix.
fn finite<T: Float>(panel: &[T], width: usize, first: usize) -> Result<()> {
    match first_not_finite(panel) {
        None => Ok(()),
        Some(at) => Err(Error::Overflow {
            at: "the kernel matrix".into(),
            what: "a value".into(),
            precision: T::NAME,
            row: first + at / width,
            column: at % width,
            hint: "scale the input down, or compute in f64".into(),
        }),
    }
}

/// Takes the squares of the rows of a panel from what is left of the diagonal; below `units` of it that is 0.
pub(super) struct Shrink<'a, T> {
    pub(super) panel: &'a [T],
    pub(super) residual: &'a mut [f64],
    pub(super) own: &'a [f64],
    pub(super) units: f64,
}

impl<T: Float> simd::Kernel for Shrink<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        const SUMS: usize = 16;
        let width = self.panel.len() / self.residual.len().max(1);
        for ((line, left), own) in self.panel.chunks_exact(width.max(1)).zip(self.residual).zip(self.own) {
            let mut sums = [0.0; SUMS];
            let (whole, rest) = line.as_chunks::<SUMS>();
            for chunk in whole {
                for (sum, f) in sums.iter_mut().zip(chunk) {
                    *sum += f.to_f64() * f.to_f64();
                }
            }
            for (sum, f) in sums.iter_mut().zip(rest) {
                *sum += f.to_f64() * f.to_f64();
            }
            let now = *left - sums.iter().sum::<f64>();
            *left = if now > self.units * own { now } else { 0.0 };
        }
    }
}
