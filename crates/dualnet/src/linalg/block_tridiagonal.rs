//! Block tridiagonal symmetric matrices and their shifted Cholesky decomposition.

use super::band::dot;
use super::cholesky::factor;
use super::gemm::{Side, Update, gemm};
use super::mat::{Mat, MatMut, MatRef};
use crate::error::Result;

/// Blocks of a symmetric matrix that is zero outside of its three block diagonals.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BlockTridiagonal {
    /// Symmetric blocks on the diagonal.
    pub diagonal: Vec<Mat<f64>>,
    /// Blocks below them: one fewer.
    pub below: Vec<Mat<f64>>,
}

impl BlockTridiagonal {
    /// `B x`.
    pub(crate) fn times(&self, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        let mut start = 0;
        for (block, d) in self.diagonal.iter().enumerate() {
            let next = start + d.rows();
            for i in 0..d.rows() {
                out[start + i] += dot(d.row(i), &x[start..next]);
            }
            if let Some(e) = self.below.get(block) {
                for i in 0..e.rows() {
                    out[next + i] += dot(e.row(i), &x[start..next]);
                    let xi = x[next + i];
                    out[start..next].iter_mut().zip(e.row(i)).for_each(|(o, e)| *o += e * xi);
                }
            }
            start = next;
        }
        out
    }

    /// The Cholesky decomposition of `B + shift I`, or the first pivot that fails.
    pub(crate) fn factor(&self, shift: f64) -> Result<std::result::Result<BlockFactor, usize>> {
        let (mut upper_inverse, mut below): (Vec<Mat<f64>>, Vec<Mat<f64>>) = (Vec::new(), Vec::new());
        let mut start = 0;
        for (block, d) in self.diagonal.iter().enumerate() {
            let mut d = d.clone();
            let width = d.rows();
            (0..width).for_each(|i| d[(i, i)] += shift);
            if block > 0 {
                let e = &self.below[block - 1];
                let mut f = Mat::zeros(width, e.cols());
                let before = &upper_inverse[block - 1];
                gemm(f.as_mut(), Update::Replace, 1.0, (e.as_ref(), Side::Plain), (before.as_ref(), Side::Plain))?;
                gemm(d.as_mut(), Update::Add, -1.0, (f.as_ref(), Side::Plain), (f.as_ref(), Side::Transposed))?;
                below.push(f);
            }
            if let Err(pivot) = factor(d.as_mut()) {
                return Ok(Err(start + pivot));
            }
            upper_inverse.push(inverse_transposed(&d));
            start += width;
        }
        Ok(Ok(BlockFactor { upper_inverse, below }))
    }

    #[cfg(test)]
    pub(crate) fn to_dense(&self) -> Mat<f64> {
        let n = self.diagonal.iter().map(Mat::rows).sum();
        let mut out = Mat::zeros(n, n);
        let mut start = 0;
        for (block, d) in self.diagonal.iter().enumerate() {
            let next = start + d.rows();
            for i in 0..d.rows() {
                out.row_mut(start + i)[start..next].copy_from_slice(d.row(i));
            }
            if let Some(e) = self.below.get(block) {
                for i in 0..e.rows() {
                    for j in 0..e.cols() {
                        out[(next + i, start + j)] = e[(i, j)];
                        out[(start + j, next + i)] = e[(i, j)];
                    }
                }
            }
            start = next;
        }
        out
    }
}

/// `L^-T` of a lower triangular L: upper triangular.
fn inverse_transposed(l: &Mat<f64>) -> Mat<f64> {
    let n = l.rows();
    let mut out = Mat::zeros(n, n);
    for c in 0..n {
        // Row c of the result is column c of L^-1.
        out[(c, c)] = 1.0 / l[(c, c)];
        for i in c + 1..n {
            out[(c, i)] = -dot(&l.row(i)[c..i], &out.row(c)[c..i]) / l[(i, i)];
        }
    }
    out
}

/// `B + shift I = L L^T`, L block bidiagonal.
#[derive(Clone, Debug)]
pub(crate) struct BlockFactor {
    /// `L_JJ^-T` for each block J.
    upper_inverse: Vec<Mat<f64>>,
    /// `L_{J+1,J}`.
    below: Vec<Mat<f64>>,
}

impl BlockFactor {
    /// For each row x of `rows`: `x^T (B + shift I)^-1 x`, in a forward substitution alone.
    pub(crate) fn quadratic_forms(&self, rows: MatRef<'_, f64>) -> Result<Vec<f64>> {
        let m = rows.rows();
        let widest = self.upper_inverse.first().map_or(0, Mat::rows);
        let mut out = vec![0.0; m];
        // Buffers of every step: what is left of the block of x, its solution, the solution before.
        let (mut rest, mut u, mut before) = (Mat::zeros(m, widest), Mat::zeros(m, widest), Mat::zeros(m, widest));
        let mut start = 0;
        for (block, inverse) in self.upper_inverse.iter().enumerate() {
            let width = inverse.rows();
            for (i, rest) in rest.as_mut_slice().chunks_exact_mut(widest).enumerate() {
                rest[..width].copy_from_slice(&rows.row(i)[start..start + width]);
            }
            if block > 0 {
                let f = (self.below[block - 1].as_ref(), Side::Transposed);
                let rest = rest.as_mut().left_columns(width)?;
                gemm(rest, Update::Add, -1.0, (before.as_ref(), Side::Plain), f)?;
            }
            let left = rest.as_ref().block(0..m, 0..width)?;
            let inverse = (inverse.as_ref(), Side::Plain);
            gemm(u.as_mut().left_columns(width)?, Update::Replace, 1.0, (left, Side::Plain), inverse)?;
            for (o, u) in out.iter_mut().zip(u.as_slice().chunks_exact(widest)) {
                *o += dot(&u[..width], &u[..width]);
            }
            std::mem::swap(&mut u, &mut before);
            start += width;
        }
        Ok(out)
    }

    /// Trace of `(B + shift I)^-1`, from its blocks on the diagonal alone: from the last to the first,
    /// `Z_J = L_J^-T (I + F_J^T Z_{J+1} F_J) L_J^-1` with F_J below L_J (Takahashi, Fagan, Chin 1973). All terms are positive.
    pub(crate) fn inverse_trace(&self) -> Result<f64> {
        let mut trace = 0.0;
        let mut after: Option<Mat<f64>> = None;
        for (block, inverse) in self.upper_inverse.iter().enumerate().rev() {
            let width = inverse.rows();
            let mut inner = Mat::from_fn(width, width, |i, j| if i == j { 1.0 } else { 0.0 });
            if let (Some(z), Some(f)) = (&after, self.below.get(block)) {
                let mut zf = Mat::zeros(f.rows(), width);
                gemm(zf.as_mut(), Update::Replace, 1.0, (z.as_ref(), Side::Plain), (f.as_ref(), Side::Plain))?;
                gemm(inner.as_mut(), Update::Add, 1.0, (f.as_ref(), Side::Transposed), (zf.as_ref(), Side::Plain))?;
            }
            let (mut left, mut z) = (Mat::zeros(width, width), Mat::zeros(width, width));
            let u = inverse.as_ref();
            gemm(left.as_mut(), Update::Replace, 1.0, (u, Side::Plain), (inner.as_ref(), Side::Plain))?;
            gemm(z.as_mut(), Update::Replace, 1.0, (left.as_ref(), Side::Plain), (u, Side::Transposed))?;
            trace += (0..width).map(|i| z[(i, i)]).sum::<f64>();
            after = Some(z);
        }
        Ok(trace)
    }

    /// `(B + shift I)^-1 X` in the memory of X (n, k).
    pub(crate) fn solve(&self, x: &mut Mat<f64>) -> Result<()> {
        let k = x.cols();
        let starts: Vec<usize> = self
            .upper_inverse
            .iter()
            .scan(0, |s, m| {
                let at = *s;
                *s += m.rows();
                Some(at)
            })
            .collect();
        for (block, inverse) in self.upper_inverse.iter().enumerate() {
            let width = inverse.rows();
            let (done, rest) = x.as_mut_slice().split_at_mut(starts[block] * k);
            if block > 0 {
                let f = &self.below[block - 1];
                let before = MatRef::new(&done[starts[block - 1] * k..], f.cols(), k, k)?;
                gemm(
                    MatMut::new(rest, width, k, k)?,
                    Update::Add,
                    -1.0,
                    (f.as_ref(), Side::Plain),
                    (before, Side::Plain),
                )?;
            }
            replace(&mut rest[..width * k], inverse, Side::Transposed, k)?;
        }
        for (block, inverse) in self.upper_inverse.iter().enumerate().rev() {
            let width = inverse.rows();
            let (now, after) = x.as_mut_slice()[starts[block] * k..].split_at_mut(width * k);
            if let Some(f) = self.below.get(block) {
                let after = MatRef::new(after, f.rows(), k, k)?;
                gemm(
                    MatMut::new(now, width, k, k)?,
                    Update::Add,
                    -1.0,
                    (f.as_ref(), Side::Transposed),
                    (after, Side::Plain),
                )?;
            }
            replace(now, inverse, Side::Plain, k)?;
        }
        Ok(())
    }
}

/// `x <- op(M) x`.
fn replace(x: &mut [f64], m: &Mat<f64>, side: Side, k: usize) -> Result<()> {
    let old = x.to_vec();
    let old = MatRef::new(&old, m.rows(), k, k)?;
    gemm(MatMut::new(x, m.rows(), k, k)?, Update::Replace, 1.0, (m.as_ref(), side), (old, Side::Plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> BlockTridiagonal {
        let entry = |s: usize| move |i: usize, j: usize| ((s + i + j) as f64).cos() * 0.3;
        let diagonal = [3, 3, 2]
            .iter()
            .enumerate()
            .map(|(s, &w)| Mat::from_fn(w, w, |i, j| entry(s)(i, j) + if i == j { 4.0 } else { 0.0 }));
        BlockTridiagonal {
            diagonal: diagonal.collect(),
            below: vec![Mat::from_fn(3, 3, entry(7)), Mat::from_fn(2, 3, entry(9))],
        }
    }

    #[test]
    fn solves_what_it_multiplies() -> Result<()> {
        let b = example();
        let x = Mat::from_fn(8, 2, |i, j| (i as f64 - 3.0) * (1.0 + j as f64) + 0.5);
        let shift = 0.25;
        let mut rhs = Mat::zeros(8, 2);
        for j in 0..2 {
            let column: Vec<f64> = (0..8).map(|i| x[(i, j)]).collect();
            for (i, y) in b.times(&column).into_iter().enumerate() {
                rhs[(i, j)] = y + shift * column[i];
            }
        }
        let factor = b.factor(shift)?.unwrap();
        let forms = factor.quadratic_forms(Mat::from_fn(1, 8, |_, i| rhs[(i, 0)]).as_ref())?;
        let expected: f64 = (0..8).map(|i| rhs[(i, 0)] * x[(i, 0)]).sum();
        assert!((forms[0] - expected).abs() < 1e-12 * expected.abs());
        let mut inverse = Mat::from_fn(8, 8, |i, j| if i == j { 1.0 } else { 0.0 });
        factor.solve(&mut inverse)?;
        let trace: f64 = (0..8).map(|i| inverse[(i, i)]).sum();
        assert!((factor.inverse_trace()? - trace).abs() < 1e-13 * trace);
        factor.solve(&mut rhs)?;
        for (found, expected) in rhs.as_slice().iter().zip(x.as_slice()) {
            assert!((found - expected).abs() < 1e-13);
        }
        Ok(())
    }

    #[test]
    fn names_the_failing_pivot() -> Result<()> {
        let mut b = example();
        b.diagonal[1][(2, 2)] = -1.0;
        assert_eq!(b.factor(0.0)?.err(), Some(5));
        Ok(())
    }
}
