//! Predictions of an iterative fit, tile by tile: the kernel between new and training samples is never held.

use super::fit::IterativeFit;
use super::sweep::Panel;
use super::tile_maker::Entries;
use super::tile_product::{Sides, Strip, TileProduct};
use crate::error::{Error, Result};
use crate::gram::Meter;
use crate::kernel::{Float, Get, Kernel};
use crate::linalg::{Mat, MatRef};
use crate::resources::Resources;
use rayon::prelude::*;

impl IterativeFit {
    /// Predictions (m, outputs) for samples prepared by the kernel of the fit; `train` are those it was fitted to.
    ///
    /// # Errors
    /// Other numbers of training samples; what the kernel reports; interruption. Cost m n pairs of the kernel; memory: a tile a thread.
    pub fn predict<T: Float, K: Kernel<T>>(
        &self,
        kernel: &K,
        get: Get,
        train: &K::Samples,
        new: &K::Samples,
        resources: &Resources,
    ) -> Result<Mat<f64>> {
        let mut out = cross_times(kernel, get, new, train, self.coefficients.as_ref(), resources)?;
        for row in out.as_mut_slice().chunks_exact_mut(self.intercept.len().max(1)) {
            row.iter_mut().zip(&self.intercept).for_each(|(f, b)| *f += b);
        }
        Ok(out)
    }
}

/// `K(rows, cols) x` for x (cols, c), sums in f64, without the matrix.
pub(super) fn cross_times<T: Float, K: Kernel<T>>(
    kernel: &K,
    get: Get,
    rows: &K::Samples,
    cols: &K::Samples,
    x: MatRef<'_, f64>,
    resources: &Resources,
) -> Result<Mat<f64>> {
    let entries = Entries::cross(kernel, rows, cols, get)?;
    let (m, n, c, side) = (kernel.len(rows), kernel.len(cols), x.cols(), entries.side());
    if n != x.rows() {
        return Err(Error::Shape {
            what: "training samples of a prediction".into(),
            expected: format!("{}, as the fit", x.rows()),
            found: n.to_string(),
        });
    }
    let panel = Panel::<f64>::of(x, 0..c, side);
    let meter = Meter::new(m.div_ceil(side) as u64);
    let blocks: Vec<Vec<f64>> = resources.install(|| {
        (0..m.div_ceil(side))
            .into_par_iter()
            .with_max_len(1)
            .map_init(
                || (entries.scratch(), Strip::new(side, c)),
                |(scratch, strip), i| {
                    let mut y = vec![0.0; side * c];
                    for j in 0..n.div_ceil(side) {
                        let tile = entries.make_own(scratch, (i, j), resources)?;
                        let (yi, yj) = (&mut y[..], &mut [][..]);
                        let (xi, xj, sides) = (&[][..], panel.block(j), Sides::Rows);
                        resources.isa.run(&mut TileProduct { tile, side, columns: c, sides, xi, xj, yi, yj, strip });
                    }
                    meter.tick(resources);
                    Ok(y)
                },
            )
            .collect::<Result<_>>()
    })?;
    let mut out = Mat::zeros(m, c);
    panel.add_up(&[blocks.concat()], 0, &mut out.as_mut(), resources)?;
    Ok(out)
}
