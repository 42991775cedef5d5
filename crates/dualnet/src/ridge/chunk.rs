//! A chunk of rows on its way into [`super::RidgeStatistics`]: centred about its own mean, each column scaled by a power of two to
//! at most 1, each row by the root of its weight.
//!
//! The scales cost no digit, and keep products in `f32` clear of both ends of its range whatever the units of the features are.

use super::mean::Means;
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::syrk::{Panels, SIDE};
use crate::linalg::{Mat, MatRef, Update, gemm_tn};
use crate::resources::Resources;
use crate::simd::{Kernel, Vector};
use rayon::prelude::*;
use std::ops::Range;

/// Rows converted to f64 at a time.
const CONVERTED: usize = 128;
/// Largest magnitude of features and targets: their squares, times weights and any number of rows, stay within f64.
const LARGEST: f64 = 1e130;

/// Rows that were checked, and how they will be centred and scaled.
pub(super) struct Plan<T> {
    rows: Range<usize>,
    /// Largest weight.
    heaviest: f64,
    /// Sum of the weights.
    weight: f64,
    /// Rows of positive weight.
    count: u64,
    /// What is subtracted from the columns: their means, rounded to `T`.
    shift: Vec<T>,
    /// Powers of two that are at least the largest distance to the shift.
    units: Vec<f64>,
    target_shift: Vec<f64>,
}

/// A chunk, centred.
pub(super) struct Chunk<T> {
    /// `sqrt(w / heaviest) (phi - shift) / unit`.
    pub(super) rows: Panels<T>,
    /// Unit of each column times the root of the largest weight.
    pub(super) units: Vec<f64>,
    pub(super) weight: f64,
    pub(super) count: u64,
    pub(super) mean: Means,
    /// `sum w (phi - shift)`: what rounding the mean has left.
    pub(super) sums: Vec<f64>,
    /// About the means.
    pub(super) cross: Mat<f64>,
    pub(super) target_mean: Means,
    pub(super) target_scatter: Vec<f64>,
}

/// The weight of row `i`, where an empty list means 1.
pub(super) fn weight(weights: &[f64], i: usize) -> f64 {
    weights.get(i).copied().unwrap_or(1.0)
}

impl<T: Float> Plan<T> {
    /// Checks the rows named and plans their scaling; `None` where no row has a positive weight.
    pub(super) fn new(
        rows: Range<usize>,
        features: MatRef<'_, T>,
        targets: MatRef<'_, f64>,
        weights: &[f64],
        resources: &Resources,
    ) -> Result<Option<Self>> {
        let own: Vec<f64> = rows.clone().map(|i| weight(weights, i)).collect();
        let heaviest = own.iter().copied().fold(0.0, f64::max);
        let relative: Vec<f64> = own.iter().map(|w| if heaviest > 0.0 { w / heaviest } else { 0.0 }).collect();
        let panels: Vec<Columns<T>> = resources.install(|| {
            let parts = (0..features.cols().div_ceil(SIDE)).into_par_iter();
            parts
                .map(|j| {
                    let block = features.block(rows.clone(), j * SIDE..features.cols().min((j + 1) * SIDE))?;
                    Ok(resources.isa.run(Scan { block, weights: &relative }))
                })
                .collect::<Result<_>>()
        })?;
        if let Some(j) = panels.iter().flat_map(|p| &p.suspects).position(|s| *s) {
            return Err(refuse(features, rows, j));
        }
        if let Some((row, column)) =
            rows.clone().find_map(|i| targets.row(i).iter().position(|y| y.abs() > LARGEST).map(|j| (i, j)))
        {
            return Err(too_large("a target", "f64", row, column));
        }
        if heaviest == 0.0 {
            return Ok(None);
        }
        let total: f64 = relative.iter().sum();
        let mut plan = Self {
            heaviest,
            weight: heaviest * total,
            count: relative.iter().filter(|w| **w > 0.0).count() as u64,
            shift: Vec::with_capacity(features.cols()),
            units: Vec::with_capacity(features.cols()),
            target_shift: (0..targets.cols())
                .map(|j| rows.clone().zip(&relative).map(|(i, w)| w * targets.row(i)[j]).sum::<f64>() / total)
                .collect(),
            rows,
        };
        for panel in &panels {
            for j in 0..panel.sums.len() {
                let (low, high) = (panel.low[j].to_f64(), panel.high[j].to_f64());
                // Within the range, so that a constant column becomes 0 exactly.
                let shift = T::from_f64((panel.sums[j] / total).max(low).min(high));
                plan.units.push(power_of_two((high - shift.to_f64()).max(shift.to_f64() - low)));
                plan.shift.push(shift);
            }
        }
        Ok(Some(plan))
    }

    /// Centres and scales the rows, and multiplies them with the targets.
    pub(super) fn centre(
        self,
        features: MatRef<'_, T>,
        targets: MatRef<'_, f64>,
        weights: &[f64],
        resources: &Resources,
    ) -> Result<Chunk<T>> {
        let (n, m, k) = (self.rows.len(), features.cols(), targets.cols());
        let roots: Vec<f64> = self.rows.clone().map(|i| (weight(weights, i) / self.heaviest).sqrt()).collect();
        // One column for the sums, then the targets.
        let sides = Mat::from_fn(n, k + 1, |i, j| match j {
            0 => roots[i],
            _ => roots[i] * (targets.row(self.rows.start + i)[j - 1] - self.target_shift[j - 1]),
        });
        let mut rows = Panels::zeros(n, m);
        let mut products = Mat::zeros(m, k + 1);
        resources.install(|| {
            let parts = rows.parts_mut().zip(products.as_mut_slice().par_chunks_mut(SIDE * (k + 1))).enumerate();
            parts.try_for_each(|(j, (part, products))| {
                let columns = j * SIDE..m.min((j + 1) * SIDE);
                let block = features.block(self.rows.clone(), columns.clone())?;
                let (shift, units) = (&self.shift[columns.clone()], &self.units[columns]);
                resources.isa.run(Centre { block, shift, units, roots: &roots, out: &mut *part });
                multiply(part, &sides, products, resources)
            })
        })?;
        let root = self.heaviest.sqrt();
        let units: Vec<f64> = self.units.iter().map(|u| u * root).collect();
        Ok(self.finish(rows, units, &sides, &products))
    }

    fn finish(self, rows: Panels<T>, units: Vec<f64>, sides: &Mat<f64>, products: &Mat<f64>) -> Chunk<T> {
        let (m, k) = (products.rows(), self.target_shift.len());
        let (root, total) = (self.heaviest.sqrt(), self.weight);
        let mut moments = vec![(0.0, 0.0); k];
        for i in 0..sides.rows() {
            let side = sides.row(i);
            for (moment, y) in moments.iter_mut().zip(&side[1..]) {
                *moment = (moment.0 + side[0] * y, moment.1 + y * y);
            }
        }
        // What is left of the sums of the targets, and of the features.
        let left: Vec<f64> = moments.iter().map(|s| s.0 * self.heaviest).collect();
        let sums: Vec<f64> = (0..m).map(|i| products[(i, 0)] * units[i] * root).collect();
        let cross = Mat::from_fn(m, k, |i, j| products[(i, j + 1)] * units[i] * root - sums[i] * (left[j] / total));
        let scatter = moments.iter().zip(&left).map(|(s, l)| (s.1 * self.heaviest - l * (l / total)).max(0.0));
        let shift = self.shift.iter().map(|c| c.to_f64()).collect();
        Chunk {
            rows,
            units,
            weight: total,
            count: self.count,
            mean: Means::new(shift, sums.iter().map(|s| s / total).collect()),
            target_scatter: scatter.collect(),
            target_mean: Means::new(self.target_shift, left.iter().map(|l| l / total).collect()),
            sums,
            cross,
        }
    }
}

/// `X^T sides` of one panel, in f64.
fn multiply<T: Float>(x: &[T], sides: &Mat<f64>, out: &mut [f64], resources: &Resources) -> Result<()> {
    let (n, k) = (sides.rows(), sides.cols());
    let width = out.len() / k;
    let mut wide = vec![0.0; CONVERTED * width];
    for first in (0..n).step_by(CONVERTED) {
        let last = n.min(first + CONVERTED);
        let wide = &mut wide[..(last - first) * width];
        resources.isa.run(Convert { from: &x[first * width..last * width], to: &mut *wide });
        let rows = MatRef::new(wide, last - first, width, width)?;
        let out = crate::linalg::MatMut::new(&mut *out, width, k, k)?;
        gemm_tn(out, Update::Add, 1.0, rows, sides.as_ref().block(first..last, 0..k)?)?;
    }
    Ok(())
}

/// The least power of two above `x`, within bounds whose inverses `f32` can hold too.
fn power_of_two(x: f64) -> f64 {
    const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
    let x = x.max(2f64.powi(-100));
    2.0 * f64::from_bits(x.to_bits() & EXPONENT)
}

/// What a pass over a panel found of its columns.
struct Columns<T> {
    /// Weighted sums.
    sums: Vec<f64>,
    low: Vec<T>,
    high: Vec<T>,
    /// Columns that hold something that is not finite, or too large.
    suspects: Vec<bool>,
}

struct Scan<'a, T> {
    block: MatRef<'a, T>,
    weights: &'a [f64],
}

impl<T: Float> Kernel for Scan<'_, T> {
    type Output = Columns<T>;
    #[inline(always)]
    fn run<V: Vector>(self, _: V) -> Columns<T> {
        let width = self.block.cols();
        let limit = T::from_f64(limit::<T>());
        let below = T::from_f64(-limit.to_f64());
        // Crossed bounds: the first row of positive weight sets both.
        let (mut low, mut high) = (vec![limit; width], vec![below; width]);
        let (mut sums, mut suspects) = (vec![0.0; width], vec![false; width]);
        for (i, &w) in self.weights.iter().enumerate() {
            let row = &self.block.row(i)[..width];
            let (low, high, sums, suspects) =
                (&mut low[..width], &mut high[..width], &mut sums[..width], &mut suspects[..width]);
            for j in 0..width {
                let x = row[j];
                // False for NaN.
                suspects[j] |= !(x <= limit && x >= below);
            }
            if w > 0.0 {
                for j in 0..width {
                    let x = row[j];
                    low[j] = if x < low[j] { x } else { low[j] };
                    high[j] = if x > high[j] { x } else { high[j] };
                    sums[j] += w * x.to_f64();
                }
            }
        }
        Columns { sums, low, high, suspects }
    }
}

/// Largest magnitude of a feature.
fn limit<T: Float>() -> f64 {
    if T::EPS < 1e-10 { LARGEST } else { f64::from(f32::MAX) / 8.0 }
}

/// Why column `j` of these rows cannot be taken.
fn refuse<T: Float>(features: MatRef<'_, T>, rows: Range<usize>, column: usize) -> Error {
    let at = |i: &usize| features.row(*i)[column].to_f64();
    let bad = |i: &usize| at(i).abs() > limit::<T>();
    match rows.clone().find(|i| !at(i).is_finite()) {
        Some(row) => Error::NonFinite { what: "features of ridge".into(), row, column, value: at(&row) },
        None => too_large("a feature", T::NAME, rows.clone().find(bad).unwrap_or(rows.start), column),
    }
}

fn too_large(what: &str, precision: &'static str, row: usize, column: usize) -> Error {
    Error::Overflow {
        at: "statistics of ridge".into(),
        what: format!("a product with {what}"),
        precision,
        row,
        column,
        hint: "scale the columns so that their entries are near 1".into(),
    }
}

struct Centre<'a, T> {
    block: MatRef<'a, T>,
    shift: &'a [T],
    units: &'a [f64],
    roots: &'a [f64],
    out: &'a mut [T],
}

impl<T: Float> Kernel for Centre<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        let width = self.block.cols();
        let inverse: Vec<f64> = self.units.iter().map(|u| 1.0 / u).collect();
        let (shift, inverse) = (&self.shift[..width], &inverse[..width]);
        for (i, out) in self.out.chunks_exact_mut(width).enumerate() {
            let (row, root) = (&self.block.row(i)[..width], self.roots[i]);
            for j in 0..width {
                // In f64, so that f32 rounds once.
                out[j] = T::from_f64((row[j].to_f64() - shift[j].to_f64()) * inverse[j] * root);
            }
        }
        if let Some(row) = self.roots.iter().position(|r| *r == 0.0) {
            // What a row of weight 0 holds may be of any size.
            for (i, out) in self.out.chunks_exact_mut(width).enumerate().skip(row) {
                if self.roots[i] == 0.0 {
                    out.fill(T::default());
                }
            }
        }
    }
}

struct Convert<'a, T> {
    from: &'a [T],
    to: &'a mut [f64],
}

impl<T: Float> Kernel for Convert<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to = from.to_f64();
        }
    }
}
