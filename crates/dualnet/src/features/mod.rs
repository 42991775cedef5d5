//! Feature maps: x -> Phi(x), so that a kernel is a dot product and a fit is a ridge in the primal.
//!
//! A [`FeatureMap`] maps one tile of [`TILE`] rows; [`transform`] drives it over any number of rows.

mod apply;
mod arc_cosine;
mod flip;
mod hermite_series;
mod homogeneous;
pub mod landmarks;
mod net;
mod nystrom;
pub(crate) mod pointwise;
mod random;
mod scaling;
mod sparse_input;

pub use arc_cosine::{ArcCosine, ArcCosineFeatures, ArcCosineOptions};
pub use flip::FlipFeatures;
pub use hermite_series::{HermiteSeries, HermiteTerms};
pub use homogeneous::{HomogeneousOptions, HomogeneousSeries, HomogeneousSketch};
pub use landmarks::{Landmarks, PartialCholesky};
pub use net::{NetFeatureOptions, NetFeatures, Rest};
pub use nystrom::{NystromFeatures, Root};
pub(crate) use random::same_length;
pub use random::{RandomFeatures, RandomOptions};
pub use scaling::{ScaleTo, Scaling};
pub use sparse_input::SparseInput;
pub(crate) use sparse_input::compressed;

use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef, first_not_finite};
use crate::resources::Resources;
use crate::simd::Isa;
use rayon::prelude::*;

/// Rows of a tile. Every tile is computed whole, padded with zeros, so that a row gives the same bits alone and in a batch.
pub const TILE: usize = 128;

/// A map of rows to features, the same for a row whatever else is in the batch.
pub trait FeatureMap<T: Float>: Send + Sync + std::fmt::Debug {
    /// Columns of the input, d.
    fn inputs(&self) -> usize;
    /// Number of features, m.
    fn dim(&self) -> usize;
    /// Numbers of scratch memory that [`Self::tile`] needs.
    fn scratch(&self) -> usize;
    /// Bytes that [`Self::tile`] needs beside `x` and `out`: scratch memory, and what it allocates itself.
    fn work_bytes(&self) -> u64 {
        (self.scratch() * size_of::<T>()) as u64
    }
    /// Maps the rows of `x` (TILE, d), all finite, to those of `out` (TILE, m), on the calling thread. What `out` and
    /// `scratch` held does not matter.
    fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()>;
}

/// Features of the rows of `x` (n, d): (n, m). Any number of threads gives the same bits, and row i alone as in a batch.
///
/// # Errors
/// Another number of columns than the map takes; an entry that is not finite, with its row and column; a feature beyond the
/// range of `T`, with the row; memory.
pub fn transform<T: Float, F: FeatureMap<T> + ?Sized>(
    map: &F,
    x: MatRef<'_, T>,
    resources: &Resources,
) -> Result<Mat<T>> {
    let bytes = (x.rows() as u64).saturating_mul(map.dim() as u64).saturating_mul(size_of::<T>() as u64);
    resources.reserve("features", bytes, "transform fewer rows at a time")?;
    let mut out = Mat::zeros(x.rows(), map.dim());
    transform_into(map, x, out.as_mut(), resources)?;
    Ok(out)
}

/// [`transform`] into memory that is there already, (n, m).
pub fn transform_into<T: Float, F: FeatureMap<T> + ?Sized>(
    map: &F,
    x: MatRef<'_, T>,
    out: MatMut<'_, T>,
    resources: &Resources,
) -> Result<()> {
    let (n, d, m) = (x.rows(), map.inputs(), map.dim());
    if x.cols() != d || (out.rows(), out.cols()) != (n, m) {
        return Err(Error::Shape {
            what: "input of a feature map".into(),
            expected: format!("{n} x {d}, to be mapped to {n} x {m}"),
            found: format!("{n} x {}, to be mapped to {} x {}", x.cols(), out.rows(), out.cols()),
        });
    }
    x.check_finite("input of a feature map")?;
    if n == 0 || m == 0 {
        return Ok(());
    }
    let stride = out.stride();
    let tiles = out.into_data().par_chunks_mut(TILE * stride).take(n.div_ceil(TILE)).enumerate();
    resources.install(|| {
        tiles.try_for_each_init(
            || Workspace {
                x: vec![T::default(); TILE * d],
                out: Vec::new(),
                scratch: vec![T::default(); map.scratch()],
            },
            |workspace, (tile, out)| {
                // An image takes milliseconds.
                resources.check("features")?;
                let rows = TILE.min(n - tile * TILE);
                map_rows(
                    map,
                    x.block(tile * TILE..tile * TILE + rows, 0..d)?,
                    MatMut::new(out, rows, m, stride)?,
                    workspace,
                    resources.isa,
                )
                .map_err(|e| e.after_rows(tile * TILE))
            },
        )
    })
}

/// What one thread needs beside the input and the output.
struct Workspace<T> {
    x: Vec<T>,
    out: Vec<T>,
    scratch: Vec<T>,
}

/// Maps at most [`TILE`] rows, which a tile of zeros is filled up from where there are fewer.
fn map_rows<T: Float, F: FeatureMap<T> + ?Sized>(
    map: &F,
    x: MatRef<'_, T>,
    mut out: MatMut<'_, T>,
    workspace: &mut Workspace<T>,
    isa: Isa,
) -> Result<()> {
    let (rows, d, m) = (x.rows(), map.inputs(), map.dim());
    let Workspace { x: padded, out: whole, scratch } = workspace;
    if rows == TILE {
        let stride = out.stride();
        map.tile(x, MatMut::new(out.data_mut(), TILE, m, stride)?, scratch, isa)?;
    } else {
        padded.fill(T::default());
        for i in 0..rows {
            padded[i * d..(i + 1) * d].copy_from_slice(x.row(i));
        }
        whole.resize(TILE * m, T::default());
        map.tile(MatRef::new(padded, TILE, d, d)?, MatMut::new(whole, TILE, m, m)?, scratch, isa)?;
        for i in 0..rows {
            out.row_mut(i).copy_from_slice(&whole[i * m..(i + 1) * m]);
        }
    }
    for row in 0..rows {
        if let Some(column) = first_not_finite(out.row_mut(row)) {
            return Err(Error::Overflow {
                at: "a feature map".into(),
                what: "a feature".into(),
                precision: T::NAME,
                row,
                column,
                hint: "scale the inputs down".into(),
            });
        }
    }
    Ok(())
}
