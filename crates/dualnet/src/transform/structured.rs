//! Orthogonal rows that need no matrix: G = diag(r) p^{-3/2} H D1 H D2 H D3, with H the Walsh-Hadamard matrix of p rows, D1, D2,
//! D3 independent random signs, and r independent lengths, chi-distributed with p degrees of freedom. With sqrt(p) in place of r this is
//! SORF ("Orthogonal random features", Yu, Suresh, Choromanski, Holtmann-Rice, Kumar 2016, arXiv 1610.09072, section 4).
//!
//! The d columns of the input are padded with zeros to p, the next power of two, at least 64; blocks of p rows are stacked, the last one
//! cut.
//!
//! What holds, over the random signs and lengths:
//! - A row g has mean 0 and covariance I, exactly, for every d: D3 makes entries of g uncorrelated and of mean 0, D2 gives each direction
//!   q = g / r mean squares 1 / p, and E r^2 = p.
//! - Rows of a block are at right angles, as rows of p entries; of the d entries that meet the input only where d = p. With d far
//!   below p they are hardly more orthogonal than independent rows, and estimates hardly better.
//! - |g| is exactly chi_p where d = p, as for normal rows. Where d < p it is r times the length of a part of q, near chi_d.
//! - g is *not* normal: directions take finitely many values. Estimates of kernels of unit vectors are biased by what is missing.
//!   Measured over 20,000 seeds: for dense vectors less than its standard error of 0.001 from p = 16 on; for vectors along two axes,
//!   without the lower limit of p, up to 0.14 at p = 4, 0.03 at 8 and 0.005 at 16, which is why there is one; 0.0002 at 64
//!   (`examples/projection_variance.rs`).

use super::lengths::Lengths;
use super::signs::{self, Streams, aligned, padded, signed_transforms};
use crate::error::{Error, Result};
use crate::linalg::{Mat, MatMut, MatRef};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::{Element, Isa, Kernel, Lanes, Vector};
use rayon::prelude::*;

/// Signs and lengths.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Structured<T> {
    cols: usize,
    /// p.
    padded: usize,
    /// D3, D2, D1 of the first block, then of the second.
    signs: Vec<T>,
    /// r p^{-3/2}, one a row.
    scales: Vec<T>,
}

impl<T: Element> Structured<T> {
    /// Block b takes its signs from stream b, row j its length from stream j. Cost: 3 p random bits a block, two draws a row.
    pub(super) fn draw(rows: usize, cols: usize, purpose: Purpose, resources: &Resources) -> Result<Self> {
        let padded = padded(cols)?;
        let blocks = rows.div_ceil(padded);
        let numbers = 3u64.saturating_mul(padded as u64).saturating_mul(blocks as u64).saturating_add(rows as u64);
        let bytes = numbers.saturating_mul(size_of::<T>() as u64);
        super::reserve(bytes, "use fewer features", resources)?;
        let signs = signs::draw(3 * padded, blocks, Streams::new(purpose, resources), resources);
        let mut scales = vec![T::default(); rows];
        let (lengths, size) = (Lengths::new(resources.seed, purpose), padded as f64);
        resources.install(|| {
            scales.par_iter_mut().enumerate().for_each(|(j, scale)| {
                *scale = T::from_f64(lengths.chi(padded, j) / (size * size.sqrt()));
            });
        });
        Ok(Self { cols, padded, signs, scales })
    }

    pub(super) fn rows(&self) -> usize {
        self.scales.len()
    }
    pub(super) fn cols(&self) -> usize {
        self.cols
    }
    /// A padded row, and room to start it on a cache line.
    pub(super) fn scratch(&self) -> usize {
        self.padded + signs::room::<T>()
    }

    /// `out = x G^T`, row by row. Cost 3 p log2 p additions a row and block. Intermediate values grow to p^{3/2} times those of x.
    pub(super) fn project(&self, x: MatRef<'_, T>, mut out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        let (n, m) = (x.rows(), self.rows());
        if x.cols() != self.cols || (out.rows(), out.cols()) != (n, m) || scratch.len() < self.scratch() {
            return Err(Error::Shape {
                what: "structured projection".into(),
                expected: format!("{n} x {} to {n} x {m}, scratch of {}", self.cols, self.scratch()),
                found: format!("{n} x {} to {} x {}, scratch of {}", x.cols(), out.rows(), out.cols(), scratch.len()),
            });
        }
        for i in 0..n {
            self.row(x.row(i), out.row_mut(i), scratch, isa);
        }
        Ok(())
    }

    /// One row, of scratch long enough.
    fn row(&self, x: &[T], out: &mut [T], scratch: &mut [T], isa: Isa) {
        let buffer = &mut aligned(scratch)[..self.padded];
        isa.run(ProjectRow { projection: self, x, out, buffer });
    }

    /// G: row k of its transpose is the projection of unit vector k.
    pub(super) fn to_mat(&self) -> Mat<T> {
        let (m, d) = (self.rows(), self.cols);
        let (mut unit, mut column) = (vec![T::default(); d], vec![T::default(); m]);
        let mut scratch = vec![T::default(); self.scratch()];
        let mut out = Mat::zeros(m, d);
        for k in 0..d {
            unit[k] = T::from_f64(1.0);
            self.row(&unit, &mut column, &mut scratch, Isa::best());
            unit[k] = T::default();
            for (j, &x) in column.iter().enumerate() {
                out[(j, k)] = x;
            }
        }
        out
    }
}

struct ProjectRow<'a, T> {
    projection: &'a Structured<T>,
    x: &'a [T],
    out: &'a mut [T],
    buffer: &'a mut [T],
}

impl<T: Element> Kernel for ProjectRow<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { projection, x, out, buffer } = self;
        let p = projection.padded;
        let signs = projection.signs.chunks_exact(3 * p);
        for ((out, scales), signs) in out.chunks_mut(p).zip(projection.scales.chunks(p)).zip(signs) {
            signed_transforms(simd, x, signs, buffer);
            scale::<T, V>(simd, buffer, scales, out);
        }
    }
}

/// `out = x * scales`, for as many as `out` has.
#[inline(always)]
fn scale<T: Element, V: Vector>(simd: V, x: &[T], scales: &[T], out: &mut [T]) {
    let lanes = T::Lanes::<V>::LANES;
    let whole = out.len() / lanes * lanes;
    let (out, rest) = out.split_at_mut(whole);
    let parts = x.chunks_exact(lanes).zip(scales.chunks_exact(lanes));
    for (out, (x, scale)) in out.chunks_exact_mut(lanes).zip(parts) {
        (T::Lanes::<V>::load(simd, x) * T::Lanes::<V>::load(simd, scale)).store(out);
    }
    for (out, (x, scale)) in rest.iter_mut().zip(x[whole..].iter().zip(&scales[whole..])) {
        // Exact in double precision, so rounded once, as the product of a register is.
        *out = T::from_f64(x.to_f64() * scale.to_f64());
    }
}
