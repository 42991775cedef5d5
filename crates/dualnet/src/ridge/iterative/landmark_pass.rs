//! Passes over the rows of a source: `K_nm^T (K_nm v - y)` for kernels between rows and landmarks, in blocks that are computed, used for both
//! products, and dropped, or kept for the passes to come.

use super::sweep::Panel;
use super::tile_maker::{Entries, MakerScratch};
use super::tile_product::{Sides, Strip, TileProduct};
use crate::error::{Error, Result};
use crate::kernel::{Float, Get, Kernel};
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use crate::ridge::source::{Identity, Source};
use crate::ridge::statistics::CHUNK;
use crate::ridge::stream::for_each_chunk;
use rayon::prelude::*;

/// What is multiplied with the transpose of K_nm.
#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    /// The targets (outputs), and a column of ones.
    Targets(usize),
    /// `K_nm v`.
    Image(MatRef<'a, f64>),
}

/// The kernel between rows and landmarks.
pub(super) struct Landmarks<'a, T: Float, K: Kernel<T>> {
    pub(super) kernel: &'a K,
    pub(super) samples: &'a K::Samples,
    pub(super) get: Get,
    /// Tiles of each chunk of rows, where they are kept.
    pub(super) kept: Option<Vec<Vec<T>>>,
    /// Whether the first pass has filled them.
    pub(super) filled: bool,
}

impl<T: Float, K: Kernel<T>> Landmarks<'_, T, K> {
    /// Number of landmarks.
    pub(super) fn len(&self) -> usize {
        self.kernel.len(self.samples)
    }

    /// `K_nm^T right` (m, columns), and the number of rows.
    pub(super) fn pass(
        &mut self,
        source: &mut dyn Source<T>,
        right: Right<'_>,
        resources: &Resources,
    ) -> Result<(Mat<f64>, u64)> {
        let side = super::geometry::tile_side(self.kernel.side());
        let (m, columns) = match right {
            Right::Targets(outputs) => (self.len(), outputs + 1),
            Right::Image(v) => (v.rows(), v.cols()),
        };
        let panel = match right {
            Right::Image(v) => Panel::<f64>::of(v, 0..columns, side),
            Right::Targets(_) => Panel::<f64>::of(Mat::zeros(m, columns).as_ref(), 0..columns, side),
        };
        let mut sums = vec![0.0; m.div_ceil(side) * side * columns];
        let (mut rows, mut chunk) = (0, 0);
        let mut use_block = |parts: Vec<Vec<f64>>| {
            for part in parts {
                sums.iter_mut().zip(part).for_each(|(s, p)| *s += p);
            }
        };
        source.restart()?;
        let identity = Identity(source.columns());
        for_each_chunk(&identity, source, 0, "rows beside landmarks", resources, |mapped| {
            if mapped.weights.iter().any(|w| *w != 1.0) {
                return Err(weighted());
            }
            rows += mapped.features.rows() as u64;
            let targets = match right {
                Right::Targets(outputs) => Some(Mat::from_fn(mapped.features.rows(), outputs + 1, |i, j| {
                    if j < outputs { mapped.targets.row(i)[j] } else { 1.0 }
                })),
                Right::Image(_) => None,
            };
            use_block(self.chunk(chunk, mapped.features, targets.as_ref(), &panel, resources)?);
            chunk += 1;
            Ok(())
        })?;
        self.filled = self.kept.is_some();
        let mut out = Mat::zeros(m, columns);
        panel.add_up(&[sums], 0, &mut out.as_mut(), resources)?;
        Ok((out, rows))
    }

    /// The shares of the row blocks of one chunk.
    fn chunk(
        &mut self,
        index: usize,
        x: MatRef<'_, T>,
        targets: Option<&Mat<f64>>,
        panel: &Panel<f64>,
        resources: &Resources,
    ) -> Result<Vec<Vec<f64>>> {
        let side = super::geometry::tile_side(self.kernel.side());
        let (blocks, across) = (x.rows().div_ceil(side), self.len().div_ceil(side));
        let band = across * side * side;
        let mut own = Vec::new();
        let tiles = match &mut self.kept {
            Some(kept) => {
                if kept.len() <= index {
                    kept.push(Mat::zeros(blocks, band).into_vec());
                }
                &mut kept[index]
            }
            None => {
                own.resize(blocks * band, T::default());
                &mut own
            }
        };
        let samples = if self.filled { None } else { Some(self.kernel.prepare(x, "rows of the source", resources)?) };
        let entries = samples.as_ref().map(|s| Entries::cross(self.kernel, s, self.samples, self.get)).transpose()?;
        let right = targets.map(|y| Panel::<f64>::of(y.as_ref(), 0..y.cols(), side));
        let memory = || (entries.as_ref().map(Entries::scratch), Strip::new(side, panel.columns));
        resources.install(|| {
            tiles
                .par_chunks_mut(band.max(1))
                .enumerate()
                .map_init(memory, |(scratch, strip), (i, band)| {
                    if let (Some(entries), Some(MakerScratch { kernel, .. })) = (&entries, scratch) {
                        for (j, tile) in band.chunks_exact_mut(side * side).enumerate() {
                            entries.make(kernel, (i, j), tile, resources)?;
                        }
                    }
                    Ok(block(band, side, right.as_ref().map(|r| (r.block(i), &r.scales[..])), panel, strip, resources))
                })
                .collect()
        })
    }
}

/// `T^T u` for a block of rows, u given or `T v`.
fn block<T: Float>(
    band: &[T],
    side: usize,
    given: Option<(&[f64], &[f64])>,
    panel: &Panel<f64>,
    strip: &mut Strip<f64>,
    resources: &Resources,
) -> Vec<f64> {
    let columns = panel.columns;
    let mut u = vec![0.0; side * columns];
    match given {
        Some((right, scales)) => {
            // Scaled like a column of the panel, whose scales are 1 here.
            for ((to, from), scale) in u.chunks_exact_mut(side).zip(right.chunks_exact(side)).zip(scales) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = from * scale);
            }
        }
        None => {
            for (j, tile) in band.chunks_exact(side * side).enumerate() {
                let (xi, xj, yi, yj) = (&[][..], panel.block(j), &mut u[..], &mut [][..]);
                let sides = Sides::Rows;
                resources.isa.run(&mut TileProduct { tile, side, columns, sides, xi, xj, yi, yj, strip });
            }
        }
    }
    let mut y = vec![0.0; band.len() / side.max(1) / side.max(1) * side * columns];
    for (tile, yj) in band.chunks_exact(side * side).zip(y.chunks_exact_mut((side * columns).max(1))) {
        let (xi, xj, yi) = (&u[..], &[][..], &mut [][..]);
        resources.isa.run(&mut TileProduct { tile, side, columns, sides: Sides::Columns, xi, xj, yi, yj, strip });
    }
    y
}

fn weighted() -> Error {
    Error::Unsupported {
        at: "fit on landmarks by conjugate gradients".into(),
        what: "weights of rows".into(),
        hint: "leave the weights out, or fit a Nystrom map with `accumulate`".into(),
    }
}

/// Bytes of one chunk of tiles.
pub(super) fn chunk_bytes<T>(m: usize, kernel_side: usize) -> u64 {
    let side = super::geometry::tile_side(kernel_side);
    (CHUNK.div_ceil(side) * side * m.div_ceil(side) * side * size_of::<T>()) as u64
}
