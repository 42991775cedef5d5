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
    /// Chunks of rows whose tiles are kept, at most: the first ones.
    most: usize,
    /// Tiles of these chunks, as far as a pass has come to them.
    kept: Vec<Vec<T>>,
    /// Chunks that all rows make, once a pass has seen them.
    chunks: Option<usize>,
}

/// What came of a pass.
pub(super) struct Passed {
    /// `K_nm^T right` over the rows that are not left out (m, columns).
    pub(super) products: Mat<f64>,
    /// `K_nm v` in the rows left out, in their order.
    pub(super) images: Mat<f64>,
}

/// What one block of rows gives: its share of the products, and its rows left out.
type Share = (Vec<f64>, Vec<f64>);

impl<'a, T: Float, K: Kernel<T>> Landmarks<'a, T, K> {
    /// Tiles are kept as far as they fit `room` bytes.
    pub(super) fn new(kernel: &'a K, samples: &'a K::Samples, get: Get, room: u64) -> Self {
        let each = chunk_bytes::<T>(kernel.len(samples), kernel.side()).max(1);
        let most = usize::try_from(room / each).unwrap_or(usize::MAX);
        Self { kernel, samples, get, most, kept: Vec::new(), chunks: None }
    }

    /// Number of landmarks.
    pub(super) fn len(&self) -> usize {
        self.kernel.len(self.samples)
    }

    /// `K_nm^T right` without the rows of `left_out`, which ascend.
    pub(super) fn pass(
        &mut self,
        source: &mut dyn Source<T>,
        right: Right<'_>,
        left_out: &[usize],
        resources: &Resources,
    ) -> Result<Passed> {
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
        let mut images = Vec::new();
        let mut add = |shares: Vec<Share>| {
            for (products, left_out) in shares {
                sums.iter_mut().zip(products).for_each(|(s, p)| *s += p);
                images.extend(left_out);
            }
        };
        let what = "rows beside landmarks";
        match (right, self.chunks) {
            // Nothing of the rows themselves is needed any more.
            (Right::Image(_), Some(chunks)) if chunks == self.kept.len() => {
                for chunk in 0..chunks {
                    resources.check(what)?;
                    add(self.chunk(chunk, None, None, &panel, left_out, resources)?);
                }
            }
            _ => {
                let mut chunk = 0;
                source.restart()?;
                for_each_chunk(&Identity(source.columns()), source, 0, what, resources, |mapped| {
                    if mapped.weights.iter().any(|w| *w != 1.0) {
                        return Err(weighted());
                    }
                    let targets = match right {
                        Right::Targets(outputs) => Some(Mat::from_fn(mapped.features.rows(), outputs + 1, |i, j| {
                            if j < outputs { mapped.targets.row(i)[j] } else { 1.0 }
                        })),
                        Right::Image(_) => None,
                    };
                    let x = Some(mapped.features);
                    add(self.chunk(chunk, x, targets.as_ref(), &panel, left_out, resources)?);
                    chunk += 1;
                    Ok(())
                })?;
                self.chunks = Some(chunk);
            }
        }
        let mut products = Mat::zeros(m, columns);
        panel.add_up(&[sums], 0, &mut products.as_mut(), resources)?;
        let mut images = Mat::from_vec(images.len() / columns.max(1), columns, images)?;
        for row in images.as_mut_slice().chunks_exact_mut(columns.max(1)) {
            row.iter_mut().zip(&panel.scales).for_each(|(f, scale)| *f *= scale);
        }
        Ok(Passed { products, images })
    }

    /// The shares of the row blocks of one chunk, whose rows are `x` where its tiles are not kept yet.
    fn chunk(
        &mut self,
        index: usize,
        x: Option<MatRef<'_, T>>,
        targets: Option<&Mat<f64>>,
        panel: &Panel<f64>,
        left_out: &[usize],
        resources: &Resources,
    ) -> Result<Vec<Share>> {
        let side = super::geometry::tile_side(self.kernel.side());
        let band = self.len().div_ceil(side) * side * side;
        let known = index < self.kept.len();
        let x = x.filter(|_| !known);
        let mut own = Vec::new();
        if let Some(x) = x {
            own = Mat::zeros(x.rows().div_ceil(side), band).into_vec();
            if index < self.most {
                self.kept.push(std::mem::take(&mut own));
            }
        }
        let tiles = self.kept.get_mut(index).unwrap_or(&mut own);
        let samples = x.map(|x| self.kernel.prepare(x, "rows of the source", resources)).transpose()?;
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
                    let first = index * CHUNK + i * side;
                    let inside = left_out.partition_point(|r| *r < first)
                        ..left_out.partition_point(|r| *r < (first + side).min((index + 1) * CHUNK));
                    let left_out: Vec<usize> = left_out[inside].iter().map(|r| r - first).collect();
                    let given = right.as_ref().map(|r| (r.block(i), &r.scales[..]));
                    Ok(block(band, side, given, panel, &left_out, strip, resources))
                })
                .collect()
        })
    }
}

/// `T^T u` for a block of rows, u given or `T v`, without the rows left out; and these rows of u.
fn block<T: Float>(
    band: &[T],
    side: usize,
    given: Option<(&[f64], &[f64])>,
    panel: &Panel<f64>,
    left_out: &[usize],
    strip: &mut Strip<f64>,
    resources: &Resources,
) -> Share {
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
    let mut images = Vec::with_capacity(left_out.len() * columns);
    for row in left_out {
        images.extend((0..columns).map(|k| std::mem::take(&mut u[k * side + row])));
    }
    let mut y = vec![0.0; band.len() / side.max(1) / side.max(1) * side * columns];
    for (tile, yj) in band.chunks_exact(side * side).zip(y.chunks_exact_mut((side * columns).max(1))) {
        let (xi, xj, yi) = (&u[..], &[][..], &mut [][..]);
        resources.isa.run(&mut TileProduct { tile, side, columns, sides: Sides::Columns, xi, xj, yi, yj, strip });
    }
    (y, images)
}

fn weighted() -> Error {
    Error::Unsupported {
        at: "fit on landmarks by conjugate gradients".into(),
        what: "weights of rows".into(),
        hint: "leave the weights out, or fit a Nystrom map with `accumulate`".into(),
    }
}

/// Bytes that the kernels of `rows` rows with `m` landmarks take in numbers of `T`, for a kernel with tiles of `kernel_side`.
pub fn landmark_bytes<T>(rows: usize, m: usize, kernel_side: usize) -> u64 {
    (rows.div_ceil(CHUNK) as u64).saturating_mul(chunk_bytes::<T>(m, kernel_side))
}

/// Bytes of one chunk of tiles.
pub(super) fn chunk_bytes<T>(m: usize, kernel_side: usize) -> u64 {
    let side = super::geometry::tile_side(kernel_side);
    (CHUNK.div_ceil(side) * side * m.div_ceil(side) * side * size_of::<T>()) as u64
}
