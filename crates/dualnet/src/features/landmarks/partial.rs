//! Partial Cholesky decomposition of a kernel matrix, its columns computed as they are needed.

use super::columns::{Shrink, Tiles, panel_rows};
use super::invalid;
use crate::error::{Error, Result};
use crate::gram;
use crate::kernel::{Float, Kernel, KernelKind};
use crate::linalg::{Mat, MatMut, MatRef, Update, gemm_nn, gemm_nt_parallel, substitute_rows};
use crate::resources::{Progress, Resources};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// What is left of K(x, x) counts as rounding below this many units of roundoff of K(x, x).
const ROUNDING: f64 = 1024.0;
/// Rows that [`PartialCholesky::of_rows`] eliminates at once.
const BLOCK: usize = 128;

/// `K = F F^T + R` with R positive semi-definite and zero in the rows of the pivots: F F^T is the Nystrom approximation of K by them.
///
/// F (n, r) has as many columns as there are pivots; in the rows of the pivots, in order, it is lower triangular. A row that the pivots before
/// it explain up to rounding (its residual is at most 1,024 units of roundoff of its K(x, x)) cannot be a pivot: duplicates, zero rows and kernels
/// of low rank end with fewer pivots, never with NaN. K is the kernel matrix of the samples among themselves, as a fit takes it: with dropout its
/// diagonal is larger than the kernel of two different samples that are equal.
///
/// ```
/// use dualnet::features::PartialCholesky;
/// use dualnet::kernel::{DenseKernel, KernelKind};
/// use dualnet::{Mat, Resources, net::Net};
/// // A linear kernel of two columns: K = X X^T / 2 (w_std^2 / d), of rank 2.
/// let net = Net::parse("w_std = 1.0\nlayers = ['dense']")?;
/// let x = Mat::from_fn(5, 2, |i, j| (1 + i * i + j) as f64);
/// let kernel = DenseKernel::new(&net, 2)?;
/// let resources = Resources::new(1)?;
/// let partial = PartialCholesky::of_rows(&kernel, x.as_ref(), KernelKind::Nngp, &[4, 0, 2], &resources)?;
/// assert_eq!(partial.pivots(), [4, 0]);
/// let f = partial.factor();
/// let k01: f64 = f.row(0).iter().zip(f.row(1)).map(|(a, b)| a * b).sum();
/// assert!((k01 - (1.0 * 2.0 + 2.0 * 3.0) / 2.0).abs() < 1e-12);
/// assert_eq!(partial.relative_residual(), 0.0);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PartialCholesky<T> {
    kind: KernelKind,
    pivots: Vec<usize>,
    factor: Mat<T>,
    residual: Vec<f64>,
    relative: f64,
}

impl<T: Float> PartialCholesky<T> {
    /// With the rows of `x` (n, d) named as pivots, in that order; those that the ones before explain are left out, repetitions among them.
    ///
    /// Cost: n columns of the kernel for each of k rows, n k^2 operations; n k numbers of memory.
    ///
    /// # Errors
    /// A row that `x` does not have; input that the kernel refuses; memory.
    pub fn of_rows<K: Kernel<T>>(
        kernel: &K,
        x: MatRef<'_, T>,
        kind: KernelKind,
        rows: &[usize],
        resources: &Resources,
    ) -> Result<Self> {
        if let Some(row) = rows.iter().find(|row| **row >= x.rows()) {
            let expected = format!("rows below {}, the number of samples", x.rows());
            return Err(invalid("pivots of a Cholesky decomposition", &expected, &row.to_string(), "leave it out"));
        }
        let mut seen = vec![false; x.rows()];
        let rows: Vec<usize> = rows.iter().copied().filter(|row| !std::mem::replace(&mut seen[*row], true)).collect();
        let samples = kernel.prepare(x, "x", resources)?;
        let mut elimination = Elimination::new(kernel, (x, &samples), kind, rows.len(), resources)?;
        for rows in rows.chunks(BLOCK) {
            let mut block = elimination.block(rows)?;
            let taken = (0..rows.len()).filter(|i| block.take(*i)).collect::<Vec<_>>();
            elimination.eliminate(&taken.iter().map(|i| rows[*i]).collect::<Vec<_>>(), &block.lower(&taken)?)?;
        }
        Ok(elimination.finish())
    }

    /// Which kernel.
    pub fn kind(&self) -> KernelKind {
        self.kind
    }
    /// The rows chosen, in order.
    pub fn pivots(&self) -> &[usize] {
        &self.pivots
    }
    /// Number of pivots, r: the numerical rank of K where fewer than asked for were found.
    pub fn rank(&self) -> usize {
        self.pivots.len()
    }
    /// F (n, r).
    pub fn factor(&self) -> &Mat<T> {
        &self.factor
    }
    /// F, for as long as nothing else is wanted.
    pub fn into_factor(self) -> Mat<T> {
        self.factor
    }
    /// The diagonal of K - F F^T; 0 where it was rounding.
    pub fn residual(&self) -> &[f64] {
        &self.residual
    }
    /// The trace of K - F F^T over the trace of K: the relative error of the Nystrom approximation in the trace norm, in \[0, 1\].
    pub fn relative_residual(&self) -> f64 {
        self.relative
    }
}

/// Asked whether to stop as the one behind it is, and says nothing.
struct Quiet(Arc<dyn Progress>);

impl Progress for Quiet {
    fn update(&self, _: &str, _: u64, _: u64) {}
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}

/// Resources whose progress is not told of small kernel matrices.
pub(crate) fn quiet(resources: &Resources) -> Resources {
    resources.clone().with_progress(Arc::new(Quiet(Arc::clone(&resources.progress))))
}

/// A decomposition under way.
pub(super) struct Elimination<'a, T: Float, K: Kernel<T>> {
    kernel: &'a K,
    x: MatRef<'a, T>,
    samples: &'a K::Samples,
    kind: KernelKind,
    resources: &'a Resources,
    quiet: Resources,
    /// (n, as many columns as pivots were asked for), those of the pivots found so far filled.
    factor: Mat<T>,
    pivots: Vec<usize>,
    /// Of each row, whether it is a pivot.
    chosen: Vec<bool>,
    /// K(x, x), and what is left of it.
    own: Vec<f64>,
    residual: Vec<f64>,
}

impl<'a, T: Float, K: Kernel<T>> Elimination<'a, T, K> {
    /// Of at most `most` pivots, for the rows of `x`, prepared.
    pub(super) fn new(
        kernel: &'a K,
        (x, samples): (MatRef<'a, T>, &'a K::Samples),
        kind: KernelKind,
        most: usize,
        resources: &'a Resources,
    ) -> Result<Self> {
        let (n, most) = (x.rows(), most.min(x.rows()));
        let bytes = (n as u64).saturating_mul(most as u64).saturating_mul(size_of::<T>() as u64);
        let hint = "choose fewer landmarks, choose them among fewer rows, or take uniform or leverage";
        resources.reserve(&format!("a partial Cholesky factor of {n} x {most}"), bytes, hint)?;
        let own = own(kernel, samples, kind, resources)?;
        Ok(Self {
            kernel,
            x,
            samples,
            kind,
            resources,
            quiet: quiet(resources),
            factor: Mat::zeros(n, most),
            pivots: Vec::with_capacity(most),
            chosen: vec![false; n],
            residual: own.clone(),
            own,
        })
    }

    /// What is left of K(x, x), 0 where that is rounding.
    pub(super) fn residual(&self) -> &[f64] {
        &self.residual
    }
    /// Nothing of this row is left.
    pub(super) fn exhaust(&mut self, row: usize) {
        self.residual[row] = 0.0;
    }
    /// Pivots found so far.
    pub(super) fn found(&self) -> usize {
        self.pivots.len()
    }

    /// K - F F^T among different rows, exactly, in `f64`.
    pub(super) fn block(&self, rows: &[usize]) -> Result<Block> {
        let (x, found) = (self.x.select_rows(rows), self.found());
        let samples = self.kernel.prepare(x.as_ref(), "x", &self.quiet)?;
        let grams = gram::symmetric_prepared(self.kernel, &samples, self.kind.get(), &self.quiet)?;
        let mut rest = self.kind.matrix(grams)?.as_ref().cast::<f64>();
        if found > 0 {
            let f = Mat::from_fn(rows.len(), found, |i, j| self.factor[(rows[i], j)].to_f64());
            gemm_nt_parallel(self.resources, rest.as_mut(), Update::Add, -1.0, f.as_ref(), f.as_ref())?;
        }
        Ok(Block::new(rest, rows.iter().map(|row| floor::<T>(self.own[*row])).collect()))
    }

    /// Makes `rows` pivots; `lower` (their number squared) is the Cholesky factor of what is left among them.
    pub(super) fn eliminate(&mut self, rows: &[usize], lower: &Mat<f64>) -> Result<()> {
        let (found, width, stride) = (self.found(), rows.len(), self.factor.cols());
        if width == 0 {
            return Ok(());
        }
        let pivots = self.kernel.prepare(self.x.select_rows(rows).as_ref(), "x", &self.quiet)?;
        let among = Mat::from_fn(found, width, |i, j| self.factor[(rows[j], i)]);
        let l = lower.as_ref().cast::<T>();
        let step = Step { rows, found, chosen: &self.chosen, among: among.as_ref(), l: l.as_ref() };
        let side = panel_rows(self.kernel);
        let (kernel, samples, kind) = (self.kernel, self.samples, self.kind);
        let (resources, quiet, own) = (self.resources, &self.quiet, &self.own);
        let parts = self.factor.as_mut_slice().par_chunks_mut(side * stride).zip(self.residual.par_chunks_mut(side));
        resources.install(|| {
            parts.enumerate().try_for_each_init(
                || (Tiles::new(kernel, kind), vec![T::default(); side * width]),
                |(tiles, panel), (i, (factor, residual))| {
                    resources.check("landmarks")?;
                    let (first, height) = (i * side, residual.len());
                    let panel = &mut panel[..height * width];
                    tiles.panel(kernel, (samples, first, height), &pivots, panel, quiet)?;
                    step.apply(first, panel, MatMut::new(factor, height, stride, stride)?)?;
                    let own = &own[first..first + height];
                    quiet.isa.run(Shrink { panel, residual, own, units: ROUNDING * T::EPS });
                    Ok(())
                },
            )
        })?;
        for row in rows {
            (self.residual[*row], self.chosen[*row]) = (0.0, true);
        }
        self.pivots.extend_from_slice(rows);
        self.resources.progress.update("landmarks", self.pivots.len() as u64, stride as u64);
        Ok(())
    }

    /// The decomposition as far as it got.
    pub(super) fn finish(self) -> PartialCholesky<T> {
        let (n, rank, stride) = (self.x.rows(), self.pivots.len(), self.factor.cols());
        let factor = if rank == stride { self.factor } else { narrow(self.factor, n, rank) };
        // In units of the largest, so that no sum leaves the range.
        let largest = self.own.iter().copied().fold(0.0, f64::max);
        let sum = |values: &[f64]| values.iter().map(|v| v / largest).sum::<f64>();
        let relative = if largest > 0.0 { sum(&self.residual) / sum(&self.own) } else { 0.0 };
        PartialCholesky { kind: self.kind, pivots: self.pivots, factor, residual: self.residual, relative }
    }
}

/// The first columns, in the same memory.
fn narrow<T: Float>(factor: Mat<T>, rows: usize, cols: usize) -> Mat<T> {
    let stride = factor.cols();
    let mut data = factor.into_vec();
    for i in 1..rows {
        data.copy_within(i * stride..i * stride + cols, i * cols);
    }
    data.truncate(rows * cols);
    data.shrink_to_fit();
    Mat::from_vec(rows, cols, data).unwrap_or_default()
}

/// K(x, x) of every sample.
pub(super) fn own<T: Float, K: Kernel<T>>(
    kernel: &K,
    samples: &K::Samples,
    kind: KernelKind,
    resources: &Resources,
) -> Result<Vec<f64>> {
    let (n, side) = (kernel.len(samples), panel_rows(kernel));
    let blocks: Vec<Vec<f64>> = resources.install(|| {
        let range = |block: usize| -> Range<usize> { block * side..n.min((block + 1) * side) };
        let own = |block| kernel.own(samples, range(block), resources);
        let kinds = |own: Vec<(f64, f64)>| own.into_iter().map(|pair| kind.of(pair)).collect();
        (0..n.div_ceil(side)).into_par_iter().map(|block| Ok(kinds(own(block)?))).collect::<Result<_>>()
    })?;
    let own = blocks.concat();
    match own.iter().position(|k| !k.is_finite() || *k < 0.0) {
        None => Ok(own),
        Some(row) => Err(Error::Overflow {
            at: "the kernel matrix".into(),
            what: "a value".into(),
            precision: T::NAME,
            row,
            column: row,
            hint: "scale the input down".into(),
        }),
    }
}

/// Below this, what is left of K(x, x) = `own` is rounding.
fn floor<T: Float>(own: f64) -> f64 {
    ROUNDING * T::EPS * own
}

/// One step of the elimination, the same for all panels.
struct Step<'a, T> {
    rows: &'a [usize],
    found: usize,
    /// Which rows are pivots already.
    chosen: &'a [bool],
    /// F of the new pivots, transposed: (found, width).
    among: MatRef<'a, T>,
    l: MatRef<'a, T>,
}

impl<T: Float> Step<'_, T> {
    /// From columns of K in `panel`, whose first row is row `first` of all, to columns of F.
    fn apply(&self, first: usize, panel: &mut [T], mut factor: MatMut<'_, T>) -> Result<()> {
        let (height, width) = (factor.rows(), self.rows.len());
        if self.found > 0 {
            let old = factor.rb().block(0..height, 0..self.found)?;
            gemm_nn(MatMut::new(panel, height, width, width)?, Update::Add, T::from_f64(-1.0), old, self.among)?;
        }
        substitute_rows(self.l, MatMut::new(panel, height, width, width)?)?;
        // Of pivots F is known without the rounding of the product: nothing is left in those of earlier steps, and in those of this one what was
        // left among them, decomposed.
        for (line, _) in panel.chunks_exact_mut(width).zip(&self.chosen[first..]).filter(|(_, chosen)| **chosen) {
            line.fill(T::default());
        }
        for (j, row) in self.rows.iter().enumerate().filter(|(_, row)| (first..first + height).contains(*row)) {
            let line = &mut panel[(row - first) * width..][..width];
            line.fill(T::default());
            line[..=j].copy_from_slice(&self.l.row(j)[..=j]);
        }
        for (i, line) in panel.chunks_exact(width).enumerate() {
            factor.row_mut(i)[self.found..self.found + width].copy_from_slice(line);
        }
        Ok(())
    }
}

/// What is left of K among some rows, and the Cholesky factor of those taken so far.
pub(super) struct Block {
    rest: Mat<f64>,
    /// What was left of the diagonal at first, what is left now, and what counts as rounding.
    start: Vec<f64>,
    left: Vec<f64>,
    floors: Vec<f64>,
    /// Row c is the factor's column c, over all rows of the block.
    columns: Vec<Vec<f64>>,
}

impl Block {
    fn new(rest: Mat<f64>, floors: Vec<f64>) -> Self {
        let start: Vec<f64> = (0..rest.rows()).map(|i| rest[(i, i)]).collect();
        Self { rest, left: start.clone(), start, floors, columns: Vec::new() }
    }

    /// Whether nothing of row `i` was left to begin with.
    pub(super) fn exhausted(&self, i: usize) -> bool {
        self.start[i] <= self.floors[i]
    }
    /// Which share of what was left of row `i` at first is left now.
    pub(super) fn share(&self, i: usize) -> f64 {
        if self.left[i] > self.floors[i] { self.left[i] / self.start[i] } else { 0.0 }
    }

    /// Takes row `i`; false if what is left of it is rounding, or was taken. Cost: the rows of the block times those taken.
    pub(super) fn take(&mut self, i: usize) -> bool {
        if self.left[i] <= self.floors[i] {
            return false;
        }
        let mut column = self.rest.row(i).to_vec();
        for before in &self.columns {
            let factor = before[i];
            column.iter_mut().zip(before).for_each(|(c, b)| *c -= factor * b);
        }
        let pivot = self.left[i].sqrt();
        column.iter_mut().for_each(|c| *c /= pivot);
        self.left.iter_mut().zip(&column).for_each(|(left, c)| *left -= c * c);
        (column[i], self.left[i]) = (pivot, 0.0);
        self.columns.push(column);
        true
    }

    /// The factor of the rows taken, `order`.
    pub(super) fn lower(&self, order: &[usize]) -> Result<Mat<f64>> {
        let lower = Mat::from_fn(order.len(), order.len(), |i, j| if j <= i { self.columns[j][order[i]] } else { 0.0 });
        lower.as_ref().check_finite("a partial Cholesky factor")?;
        Ok(lower)
    }
}
