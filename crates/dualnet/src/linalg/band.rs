//! Reduction of a symmetric matrix to block tridiagonal form, `A = Q B Q^T`, all of it in matrix products.
//!
//! Reducing to a tridiagonal matrix spends half of its operations in products of a matrix with a vector, which are
//! bound by memory. Stopping at a band of width [`WIDTH`] leaves only products of matrices, and what is left is as
//! good: with B block tridiagonal, `(A + shift I)^-1` costs little for each further shift
//! ([`super::block_tridiagonal`]). This is the first half of a two-stage eigensolver (Bischof, Lang, Sun 2000).
//! Partitions are fixed: the bits do not depend on the number of threads.

use super::block_tridiagonal::BlockTridiagonal;
use super::eigh::square;
use super::gemm::{Side, Update, for_row_blocks, gemm};
use super::mat::{Mat, MatMut};
use crate::error::Result;
use crate::resources::Resources;

/// Rows of a block of B.
pub(crate) const WIDTH: usize = 16;

/// Panels whose reflections are applied to Q together: fewer passes over its memory.
const GROUP: usize = 4;

/// `A = Q B Q^T`.
#[derive(Clone, Debug)]
pub(crate) struct BandReduction {
    /// Orthogonal.
    pub q: Mat<f64>,
    /// Block tridiagonal.
    pub band: BlockTridiagonal,
}

/// Reflections of one panel: `I - V T V^T`, acting on rows from `first` on.
struct Reflections {
    first: usize,
    /// V^T, (WIDTH, n - first); of several panels their rows.
    vt: Mat<f64>,
    /// Upper triangular.
    t: Mat<f64>,
}

/// Reduces a symmetric matrix, of which only the lower triangle is read. Cost 8 n^3 / 3 operations; 2 n^2 numbers of
/// memory with the matrix itself.
pub(crate) fn reduce(mut a: Mat<f64>, resources: &Resources) -> Result<BandReduction> {
    let n = square("matrix to reduce", a.as_ref())?;
    let (mut diagonal, mut below) = (Vec::new(), Vec::new());
    let mut panels: Vec<Reflections> = Vec::new();
    for start in (0..n).step_by(WIDTH) {
        resources.check("reduction to a band")?;
        let first = (start + WIDTH).min(n);
        diagonal.push(Mat::from_fn(first - start, first - start, |i, j| a[(start + i.max(j), start + i.min(j))]));
        if first == n {
            break;
        }
        let (r, reflections) = resources.install(|| panel(&a, start))?;
        below.push(r);
        if n - first > 1 {
            resources.install(|| two_sided(&mut a, &reflections))?;
            panels.push(reflections);
        }
        resources.progress.update("reduction to a band", first as u64, 2 * n as u64);
    }
    drop(a);
    let mut q = Mat::from_fn(n, n, |i, j| if i == j { 1.0 } else { 0.0 });
    for group in panels.chunks(GROUP).rev() {
        resources.check("reduction to a band")?;
        let reflections = merge(group, n)?;
        resources.install(|| apply_left(&mut q, &reflections))?;
        resources.progress.update("reduction to a band", (2 * n - reflections.first) as u64, 2 * n as u64);
    }
    Ok(BandReduction { q, band: BlockTridiagonal { diagonal, below } })
}

/// QR decomposition of the block column below the diagonal block at `start`: R and the reflections.
fn panel(a: &Mat<f64>, start: usize) -> Result<(Mat<f64>, Reflections)> {
    let first = start + WIDTH;
    let m = a.rows() - first;
    let mut vt = Mat::zeros(WIDTH, m);
    for i in 0..m {
        for j in 0..WIDTH {
            vt[(j, i)] = a[(first + i, start + j)];
        }
    }
    let (r, tau) = householder(&mut vt);
    let mut inner = Mat::zeros(WIDTH, WIDTH);
    let v = (vt.as_ref(), Side::Transposed);
    gemm(inner.as_mut(), Update::Replace, 1.0, (vt.as_ref(), Side::Plain), v)?;
    // Forward recurrence of the compact WY form (Schreiber, Van Loan 1989).
    let mut t = Mat::zeros(WIDTH, WIDTH);
    for c in 0..WIDTH {
        t[(c, c)] = tau[c];
        for i in 0..c {
            t[(i, c)] = -tau[c] * (i..c).map(|l| t[(i, l)] * inner[(l, c)]).sum::<f64>();
        }
    }
    Ok((r, Reflections { first, vt, t }))
}

/// Turns the rows of `x` (columns of a panel) into Householder vectors; returns R and the factors tau.
fn householder(x: &mut Mat<f64>) -> (Mat<f64>, [f64; WIDTH]) {
    let (m, mut tau) = (x.cols(), [0.0; WIDTH]);
    let mut r = Mat::zeros(m.min(WIDTH), WIDTH);
    for c in 0..WIDTH {
        if c >= m {
            for i in 0..m {
                r[(i, c)] = x[(c, i)];
            }
            x.row_mut(c).fill(0.0);
            continue;
        }
        let (done, rest) = x.as_mut_slice()[c * m..].split_at_mut(m);
        let pivot = done[c];
        let tail = dot(&done[c + 1..], &done[c + 1..]);
        let mut head = pivot;
        if tail > 0.0 {
            head = -(pivot * pivot + tail).sqrt().copysign(pivot);
            tau[c] = (head - pivot) / head;
            let scale = 1.0 / (pivot - head);
            done[c + 1..].iter_mut().for_each(|v| *v *= scale);
        }
        done[c] = 1.0;
        for column in rest.chunks_exact_mut(m) {
            let w = tau[c] * dot(&done[c..], &column[c..]);
            column[c..].iter_mut().zip(&done[c..]).for_each(|(x, v)| *x -= w * v);
        }
        (0..c).for_each(|i| r[(i, c)] = done[i]);
        r[(c, c)] = head;
        done[..c].fill(0.0);
    }
    (r, tau)
}

/// Inner product in a fixed order that the compiler can vectorise.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    const LANES: usize = 16;
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0; LANES];
    for (x, y) in xs.zip(ys) {
        for l in 0..LANES {
            sums[l] += x[l] * y[l];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// `A <- H^T A H` on rows and columns from `first` on, H the reflections; keeps the lower triangle, and the blocks of
/// rows that cross the diagonal, up to date.
fn two_sided(a: &mut Mat<f64>, h: &Reflections) -> Result<()> {
    let (n, first) = (a.rows(), h.first);
    let m = n - first;
    let v = |rows: std::ops::Range<usize>| Ok((h.vt.as_ref().block(0..WIDTH, rows)?, Side::Transposed));
    let trailing = a.as_ref().block(first..n, first..n)?;
    let mut w = Mat::zeros(m, WIDTH);
    for_row_blocks(w.as_mut(), |i, mut w| {
        let end = i + w.rows();
        let mut av = Mat::zeros(w.rows(), WIDTH);
        if i > 0 {
            gemm(av.as_mut(), Update::Replace, 1.0, (trailing.block(i..end, 0..i)?, Side::Plain), v(0..i)?)?;
        }
        let mut crossing = trailing.block(i..end, i..end)?.to_mat();
        for r in 0..crossing.rows() {
            for c in 0..r {
                crossing[(c, r)] = crossing[(r, c)];
            }
        }
        gemm(av.as_mut(), Update::Add, 1.0, (crossing.as_ref(), Side::Plain), v(i..end)?)?;
        if end < m {
            gemm(av.as_mut(), Update::Add, 1.0, (trailing.block(end..m, i..end)?, Side::Transposed), v(end..m)?)?;
        }
        gemm(
            MatMut::new(w.data_mut(), end - i, WIDTH, WIDTH)?,
            Update::Replace,
            1.0,
            (av.as_ref(), Side::Plain),
            (h.t.as_ref(), Side::Plain),
        )
    })?;
    let (mut vw, mut s) = (Mat::zeros(WIDTH, WIDTH), Mat::zeros(WIDTH, WIDTH));
    gemm(vw.as_mut(), Update::Replace, 1.0, (h.vt.as_ref(), Side::Plain), (w.as_ref(), Side::Plain))?;
    gemm(s.as_mut(), Update::Replace, 1.0, (h.t.as_ref(), Side::Transposed), (vw.as_ref(), Side::Plain))?;
    // [V X] and [X V]: the update V X^T + X V^T is one product.
    let mut x = w;
    for_row_blocks(x.as_mut(), |i, x| {
        let end = i + x.rows();
        gemm(x, Update::Add, -0.5, v(i..end)?, (s.as_ref(), Side::Plain))
    })?;
    let vx = Mat::from_fn(m, 2 * WIDTH, |i, j| if j < WIDTH { h.vt[(j, i)] } else { x[(i, j - WIDTH)] });
    let xv = Mat::from_fn(m, 2 * WIDTH, |i, j| if j < WIDTH { x[(i, j)] } else { h.vt[(j - WIDTH, i)] });
    let below = &mut a.as_mut_slice()[first * n + first..];
    for_row_blocks(MatMut::new(below, m, m, n)?, |i, rows| {
        let end = i + rows.rows();
        let left = (vx.as_ref().block(i..end, 0..2 * WIDTH)?, Side::Plain);
        let right = (xv.as_ref().block(0..end, 0..2 * WIDTH)?, Side::Transposed);
        gemm(rows.left_columns(end)?, Update::Add, -1.0, left, right)
    })
}

/// The product of the reflections of consecutive panels: V side by side, T by the recurrence of `panel` in blocks.
fn merge(group: &[Reflections], n: usize) -> Result<Reflections> {
    let first = group.first().map_or(n, |h| h.first);
    let width = group.len() * WIDTH;
    let (mut vt, mut t) = (Mat::zeros(width, n - first), Mat::zeros(width, width));
    for (g, h) in group.iter().enumerate() {
        let start = g * WIDTH;
        for i in 0..WIDTH {
            vt.row_mut(start + i)[h.first - first..].copy_from_slice(h.vt.row(i));
            t.row_mut(start + i)[start..start + WIDTH].copy_from_slice(h.t.row(i));
        }
        if g == 0 {
            continue;
        }
        // The new corner is -T_before (V_before^T V) T.
        let (mut inner, mut right, mut corner) =
            (Mat::zeros(start, WIDTH), Mat::zeros(start, WIDTH), Mat::zeros(start, WIDTH));
        let before = vt.as_ref().block(0..start, h.first - first..n - first)?;
        gemm(inner.as_mut(), Update::Replace, 1.0, (before, Side::Plain), (h.vt.as_ref(), Side::Transposed))?;
        gemm(right.as_mut(), Update::Replace, 1.0, (inner.as_ref(), Side::Plain), (h.t.as_ref(), Side::Plain))?;
        let t_before = t.as_ref().block(0..start, 0..start)?;
        gemm(corner.as_mut(), Update::Replace, -1.0, (t_before, Side::Plain), (right.as_ref(), Side::Plain))?;
        for i in 0..start {
            t.row_mut(i)[start..start + WIDTH].copy_from_slice(corner.row(i));
        }
    }
    Ok(Reflections { first, vt, t })
}

/// `Q <- H Q`, where Q is the identity outside of rows and columns from `first` on.
fn apply_left(q: &mut Mat<f64>, h: &Reflections) -> Result<()> {
    let (n, first) = (q.rows(), h.first);
    let (m, width) = (n - first, h.vt.rows());
    let trailing = q.as_ref().block(first..n, first..n)?;
    // Z = (T V^T Q)^T, by columns of Q.
    let mut z = Mat::zeros(m, width);
    for_row_blocks(z.as_mut(), |i, z| {
        let end = i + z.rows();
        let mut qv = Mat::zeros(end - i, width);
        let columns = trailing.block(0..m, i..end)?;
        gemm(qv.as_mut(), Update::Replace, 1.0, (columns, Side::Transposed), (h.vt.as_ref(), Side::Transposed))?;
        gemm(z, Update::Replace, 1.0, (qv.as_ref(), Side::Plain), (h.t.as_ref(), Side::Transposed))
    })?;
    let below = &mut q.as_mut_slice()[first * n + first..];
    for_row_blocks(MatMut::new(below, m, m, n)?, |i, rows| {
        let v = h.vt.as_ref().block(0..width, i..i + rows.rows())?;
        gemm(rows, Update::Add, -1.0, (v, Side::Transposed), (z.as_ref(), Side::Transposed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::{gemm_nn, gemm_nt};

    fn symmetric(n: usize) -> Mat<f64> {
        let f = |i: usize, j: usize| ((i * j + 3 * (i + j)) as f64).sin() + if i == j { 2.0 } else { 0.0 };
        Mat::from_fn(n, n, f)
    }

    #[test]
    fn rebuilds_the_matrix_with_an_orthogonal_factor() -> Result<()> {
        let resources = Resources::new(2)?;
        for n in [1, 2, 15, 16, 17, 18, 32, 33, 65, 97, 300] {
            let a = symmetric(n);
            let BandReduction { q, band } = reduce(a.clone(), &resources)?;
            let b = band.to_dense();
            let (mut qb, mut rebuilt, mut qq) = (Mat::zeros(n, n), Mat::zeros(n, n), Mat::zeros(n, n));
            gemm_nn(qb.as_mut(), Update::Replace, 1.0, q.as_ref(), b.as_ref())?;
            gemm_nt(rebuilt.as_mut(), Update::Replace, 1.0, qb.as_ref(), q.as_ref())?;
            gemm_nt(qq.as_mut(), Update::Replace, 1.0, q.as_ref(), q.as_ref())?;
            for i in 0..n {
                for j in 0..n {
                    assert!((rebuilt[(i, j)] - a[(i, j)]).abs() < 1e-12, "A at {n}: ({i}, {j})");
                    let identity = if i == j { 1.0 } else { 0.0 };
                    assert!((qq[(i, j)] - identity).abs() < 1e-13, "Q at {n}: ({i}, {j})");
                    assert!(i.abs_diff(j) <= WIDTH || b[(i, j)] == 0.0, "band at {n}: ({i}, {j})");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn threads_do_not_change_a_bit() -> Result<()> {
        let runs: Vec<_> =
            [1, 2, 3, 8].map(|t| reduce(symmetric(257), &Resources::new(t).unwrap()).unwrap()).into_iter().collect();
        for run in &runs[1..] {
            assert!(run.q == runs[0].q && run.band == runs[0].band);
        }
        Ok(())
    }
}
