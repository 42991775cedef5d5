//! Tiles of 256 and more rows, put together from those of a kernel, zero beyond the samples.

use super::geometry::tile_side;
use crate::error::{Error, Result};
use crate::gram::{Scratch, Tile};
use crate::kernel::{Float, Get, Kernel, Region};
use crate::resources::Resources;

/// A kernel, and which of its two matrices is meant.
pub(super) struct Entries<'a, T: Float, K: Kernel<T>> {
    pub(super) kernel: &'a K,
    pub(super) rows: &'a K::Samples,
    pub(super) cols: &'a K::Samples,
    pub(super) get: Get,
    /// Whether rows and columns are the same samples, so that tiles on the diagonal are symmetric.
    pub(super) region: Region,
}

/// Memory of one thread: of the kernel, and a tile.
pub(super) struct MakerScratch<T, W> {
    pub(super) kernel: Scratch<T, W>,
    pub(super) tile: Vec<T>,
}

impl<'a, T: Float, K: Kernel<T>> Entries<'a, T, K> {
    /// Of K(x, x).
    pub(super) fn symmetric(kernel: &'a K, samples: &'a K::Samples, get: Get) -> Result<Self> {
        one(get)?;
        Ok(Self { kernel, rows: samples, cols: samples, get, region: Region::Upper })
    }

    /// Of K(x, y).
    pub(super) fn cross(kernel: &'a K, rows: &'a K::Samples, cols: &'a K::Samples, get: Get) -> Result<Self> {
        one(get)?;
        Ok(Self { kernel, rows, cols, get, region: Region::All })
    }

    /// Rows and columns of a tile.
    pub(super) fn side(&self) -> usize {
        tile_side(self.kernel.side())
    }

    pub(super) fn scratch(&self) -> MakerScratch<T, K::Workspace> {
        let side = self.side();
        MakerScratch { kernel: Scratch::new(self.kernel, self.get), tile: vec![T::default(); side * side] }
    }

    /// Computes tile (i, j) into `to`, (side, side) without gaps.
    pub(super) fn make(
        &self,
        scratch: &mut Scratch<T, K::Workspace>,
        (i, j): (usize, usize),
        to: &mut [T],
        resources: &Resources,
    ) -> Result<()> {
        let (side, part) = (self.side(), self.kernel.side().max(1));
        let (n, m) = (self.kernel.len(self.rows), self.kernel.len(self.cols));
        let (parts, mirrored) = (side / part, self.region == Region::Upper && i == j);
        let length = |n: usize, block: usize| n.saturating_sub(block * part).min(part);
        to.fill(T::default());
        for row in 0..parts {
            for column in if mirrored { row } else { 0 }..parts {
                let (a, b) = (i * parts + row, j * parts + column);
                let (height, width) = (length(n, a), length(m, b));
                if height == 0 || width == 0 {
                    continue;
                }
                let region = if mirrored && row == column { Region::Upper } else { Region::All };
                let tile = Tile { index: 0, i: a, j: b, height, width, region };
                resources.check("the kernel matrix")?;
                scratch.compute(self.kernel, (self.rows, self.cols), &tile, resources)?;
                let [nngp, ntk] = scratch.values();
                let values = if self.get == Get::Ntk { ntk } else { nngp };
                for (r, values) in values.chunks_exact(part).take(height).enumerate() {
                    to[(row * part + r) * side + column * part..][..width].copy_from_slice(&values[..width]);
                }
            }
        }
        if mirrored {
            for r in 1..side {
                for c in 0..r {
                    to[r * side + c] = to[c * side + r];
                }
            }
        }
        Ok(())
    }

    /// Computes tile (i, j) into the scratch memory.
    pub(super) fn make_own<'s>(
        &self,
        scratch: &'s mut MakerScratch<T, K::Workspace>,
        at: (usize, usize),
        resources: &Resources,
    ) -> Result<&'s [T]> {
        let MakerScratch { kernel, tile } = scratch;
        self.make(kernel, at, tile, resources)?;
        Ok(tile)
    }

    /// Bytes of the scratch memory of one thread.
    pub(super) fn scratch_bytes(&self) -> u64 {
        scratch_bytes::<T, K>(self.kernel, self.get)
    }
}

/// Bytes of the scratch memory of one thread.
pub(super) fn scratch_bytes<T: Float, K: Kernel<T>>(kernel: &K, get: Get) -> u64 {
    let side = tile_side(kernel.side()) as u64;
    crate::gram::scratch_bytes(kernel, get) + side * side * size_of::<T>() as u64
}

/// Mean of K(x, x), computed in f64.
pub(super) fn mean_diagonal<T: Float, K: Kernel<T>>(
    kernel: &K,
    samples: &K::Samples,
    get: Get,
    resources: &Resources,
) -> Result<f64> {
    let n = kernel.len(samples);
    let own = kernel.own(samples, 0..n, resources)?;
    let values = own.iter().map(|(nngp, ntk)| if get == Get::Ntk { ntk } else { nngp });
    super::operator::positive(values.map(|k| k / n as f64).sum())
}

/// One of both kernels, or an error.
fn one(get: Get) -> Result<()> {
    match get {
        Get::Nngp | Get::Ntk => Ok(()),
        Get::Both => Err(Error::Invalid {
            what: "kernel of an iterative fit".into(),
            expected: "nngp or ntk".into(),
            found: "both".into(),
            hint: "fit with each of them in turn".into(),
        }),
    }
}
