//! From tiles to matrices, whole or by bands of rows.

use super::grid::{Grid, Kind, Tile};
use super::store::TileStore;
use crate::error::{Error, Result};
use crate::kernel::{Float, Get, Grams};
use crate::linalg::Mat;
use crate::resources::Resources;
use std::ops::Range;

/// The matrices of a job whose tiles are all there.
///
/// # Errors
/// [`Error::Memory`]; [`Error::Invalid`] with the first tile that is missing; what the store reports.
pub fn assemble<T: Float>(grid: &Grid, get: Get, store: &impl TileStore<T>, resources: &Resources) -> Result<Grams<T>> {
    let (n, m) = (grid.rows(), grid.columns());
    let what = format!("a kernel matrix of {n} x {m}");
    resources.reserve(&what, super::bytes::<T>(n, m, get), "raise --memory, or read the matrix by bands of rows")?;
    let zeros = |wanted: bool| wanted.then(|| Mat::zeros(n, m));
    let (mut nngp, mut ntk) = (zeros(get.nngp()), zeros(get.ntk()));
    let band = Band {
        nngp: nngp.as_mut().map(Mat::as_mut_slice).unwrap_or_default(),
        ntk: ntk.as_mut().map(Mat::as_mut_slice).unwrap_or_default(),
    };
    fill(grid, get, 0..grid.blocks().0, store, band)?;
    Ok(Grams { nngp, ntk })
}

/// Where rows of the matrices go; a matrix whose slice is empty is left out.
#[derive(Debug)]
pub struct Band<'a, T> {
    /// Rows of the NNGP, each with all columns.
    pub nngp: &'a mut [T],
    /// Rows of the NTK.
    pub ntk: &'a mut [T],
}

/// Fills in the rows of some row blocks: `blocks.len() * side` rows, fewer at the lower edge. Each tile that has a share in them is read once;
/// the bands of a symmetric matrix read most tiles twice in all.
///
/// # Errors
/// [`Error::Shape`] for blocks outside the grid or slices of another length, [`Error::Invalid`] for a missing tile; what the store reports.
pub fn fill<T: Float>(
    grid: &Grid,
    get: Get,
    blocks: Range<usize>,
    store: &impl TileStore<T>,
    band: Band<'_, T>,
) -> Result<()> {
    check_band(grid, get, &blocks, &band)?;
    let mut values = Vec::new();
    for i in blocks.clone() {
        for j in 0..grid.blocks().1 {
            // The image of a tile in this band comes with that tile.
            let mirrored = grid.kind() == Kind::Symmetric && j < i;
            if mirrored && j >= blocks.start {
                continue;
            }
            let Some(index) = (if mirrored { grid.find(j, i) } else { grid.find(i, j) }) else { continue };
            let tile = grid.tile(index);
            read(store, &tile, get, &mut values)?;
            let place = Place { grid, tile: &tile, first: blocks.start };
            let mut rest = &values[..];
            for (there, out) in [(get.nngp(), &mut *band.nngp), (get.ntk(), &mut *band.ntk)] {
                let Some((from, after)) = rest.split_at_checked(if there { tile.area() } else { 0 }) else { break };
                rest = after;
                if out.is_empty() || !there {
                    continue;
                }
                if mirrored {
                    place.transposed(from, out);
                    continue;
                }
                place.straight(from, out);
                if grid.kind() == Kind::Symmetric && i != j && blocks.contains(&j) {
                    place.transposed(from, out);
                }
            }
        }
    }
    Ok(())
}

fn read<T: Float>(store: &impl TileStore<T>, tile: &Tile, get: Get, values: &mut Vec<T>) -> Result<()> {
    values.resize(get.matrices() * tile.area(), T::default());
    if store.get(tile, values)? {
        return Ok(());
    }
    Err(Error::Invalid {
        what: format!("tile {} of the job", tile.index),
        expected: "its values".into(),
        found: "none yet".into(),
        hint: "run the job again: it computes what is missing".into(),
    })
}

fn check_band<T>(grid: &Grid, get: Get, blocks: &Range<usize>, band: &Band<'_, T>) -> Result<()> {
    let edge = |block: usize| block.saturating_mul(grid.side()).min(grid.rows());
    let values = edge(blocks.end).saturating_sub(edge(blocks.start)) * grid.columns();
    let fits = |slice: &[T], there: bool| slice.is_empty() || (there && slice.len() == values);
    if blocks.end <= grid.blocks().0 && fits(band.nngp, get.nngp()) && fits(band.ntk, get.ntk()) {
        return Ok(());
    }
    Err(Error::Shape {
        what: "a band of a kernel matrix".into(),
        expected: format!("row blocks below {} and slices of {values} values", grid.blocks().0),
        found: format!("row blocks {blocks:?}, slices of {} and {} values", band.nngp.len(), band.ntk.len()),
    })
}

/// Where a tile lies in a band that begins with row block `first`.
struct Place<'a> {
    grid: &'a Grid,
    tile: &'a Tile,
    first: usize,
}

impl Place<'_> {
    fn straight<T: Copy>(&self, from: &[T], out: &mut [T]) {
        let (side, m) = (self.grid.side(), self.grid.columns());
        let row = (self.tile.i - self.first) * side;
        for (r, values) in from.chunks_exact(self.tile.width.max(1)).enumerate() {
            out[(row + r) * m + self.tile.j * side..][..self.tile.width].copy_from_slice(values);
        }
    }

    fn transposed<T: Copy>(&self, from: &[T], out: &mut [T]) {
        let (side, m) = (self.grid.side(), self.grid.columns());
        let row = (self.tile.j - self.first) * side;
        for c in 0..self.tile.width {
            let to = &mut out[(row + c) * m + self.tile.i * side..][..self.tile.height];
            for (r, value) in to.iter_mut().enumerate() {
                *value = from[r * self.tile.width + c];
            }
        }
    }
}
