//! A metric as what it does to inputs: x becomes M^(1/2) x.

use crate::error::{Error, Result};
use crate::linalg::{Mat, MatMut, MatRef, Update, eigh, gemm_nn, in_range};
use crate::resources::Resources;

/// Rows transformed together, padded with zeros: a row has the same bits alone as in any batch.
const ROWS: usize = 128;

/// The square root of a metric M with trace d.
///
/// ```
/// use dualnet::model::Metric;
/// use dualnet::Mat;
/// // The second input moves the function four times as much: its scale doubles against the first, sqrt(16)^(1/2).
/// let metric = Metric::from_squares(&[1.0, 16.0], 0.5).unwrap();
/// let x = metric.apply(Mat::from_vec(1, 2, vec![1.0, 1.0])?)?;
/// assert!((x[(0, 1)] / x[(0, 0)] - 2.0).abs() < 1e-15);
/// assert!((x[(0, 0)].powi(2) + x[(0, 1)].powi(2) - 2.0).abs() < 1e-15);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Metric(Root);

#[derive(Clone, Debug, PartialEq)]
enum Root {
    Full(Mat<f64>),
    Diagonal(Vec<f64>),
}

impl Metric {
    /// The full metric of an outer product G of gradients: M = G^(1/2) d / tr G^(1/2). `None` for G = 0. Cost 9 d^3.
    pub fn from_outer_product(g: MatRef<'_, f64>, resources: &Resources) -> Result<Option<Self>> {
        let d = g.rows();
        let eigen = eigh(g, resources)?;
        // Rounding may take eigenvalues of 0 below it.
        let roots: Vec<f64> = eigen.values.iter().map(|v| v.max(0.0).sqrt()).collect();
        let trace: f64 = roots.iter().sum();
        if !(trace > 0.0 && trace.is_finite()) {
            return Ok(None);
        }
        let fourth: Vec<f64> = roots.iter().map(|r| (r / trace * d as f64).sqrt()).collect();
        let scaled = Mat::from_fn(d, d, |i, j| fourth[i] * eigen.vectors[(i, j)]);
        let mut root = Mat::zeros(d, d);
        crate::linalg::gemm_tn(root.as_mut(), Update::Replace, 1.0, scaled.as_ref(), eigen.vectors.as_ref())?;
        Ok(Some(Self(Root::Full(in_range(root, "a metric")?))))
    }

    /// The diagonal metric of the diagonal of G: M = diag(G_jj^p) d / sum_j G_jj^p with p = `power`. `None` for G = 0.
    pub fn from_squares(squares: &[f64], power: f64) -> Option<Self> {
        let roots: Vec<f64> = squares.iter().map(|v| v.max(0.0).powf(power)).collect();
        let trace: f64 = roots.iter().sum();
        let usable = trace > 0.0 && trace.is_finite();
        let scale = |r: &f64| (r / trace * roots.len() as f64).sqrt();
        usable.then(|| Self(Root::Diagonal(roots.iter().map(scale).collect())))
    }

    /// The same without `inputs`, `of_columns` being the input of each column, and with trace d again. `None`: there is nothing to leave out, or nothing
    /// else; full metrics keep all.
    pub(super) fn without(&self, inputs: &[usize], of_columns: &[usize]) -> Option<Self> {
        let Root::Diagonal(roots) = &self.0 else { return None };
        let kept = |(root, input): (&f64, &usize)| if inputs.contains(input) { 0.0 } else { root * root };
        let squares: Vec<f64> = roots.iter().zip(of_columns).map(kept).collect();
        if inputs.is_empty() { None } else { Self::from_squares(&squares, 1.0) }
    }

    /// Columns of the inputs.
    pub fn width(&self) -> usize {
        match &self.0 {
            Root::Full(root) => root.rows(),
            Root::Diagonal(roots) => roots.len(),
        }
    }

    /// M^(1/2) x for each row x of an n x d matrix.
    ///
    /// # Errors
    /// Another number of columns; values beyond the range of f64.
    pub fn apply(&self, mut x: Mat<f64>) -> Result<Mat<f64>> {
        let d = self.width();
        if x.cols() != d {
            let (expected, found) = (format!("{d} columns"), format!("{} columns", x.cols()));
            return Err(Error::Shape { what: "inputs of a metric".into(), expected, found });
        }
        match &self.0 {
            Root::Diagonal(roots) => {
                x.as_mut_slice()
                    .chunks_exact_mut(d)
                    .for_each(|row| row.iter_mut().zip(roots).for_each(|(x, r)| *x *= r));
            }
            Root::Full(root) => {
                let (mut some, mut out) = (vec![0.0; ROWS * d], vec![0.0; ROWS * d]);
                for rows in x.as_mut_slice().chunks_mut(ROWS * d) {
                    some[..rows.len()].copy_from_slice(rows);
                    some[rows.len()..].fill(0.0);
                    let (from, to) = (MatRef::new(&some, ROWS, d, d)?, MatMut::new(&mut out, ROWS, d, d)?);
                    gemm_nn(to, Update::Replace, 1.0, from, root.as_ref())?;
                    rows.copy_from_slice(&out[..rows.len()]);
                }
            }
        }
        in_range(x, "inputs in their metric")
    }

    /// M^(1/2) G M^(1/2): an outer product of gradients with respect to M^(1/2) x, as one with respect to x.
    pub(in crate::model) fn pull_back(&self, g: &Mat<f64>) -> Result<Mat<f64>> {
        match &self.0 {
            Root::Diagonal(r) => Ok(Mat::from_fn(g.rows(), g.cols(), |i, j| r[i] * g[(i, j)] * r[j])),
            Root::Full(root) => {
                let (mut half, mut out) = (Mat::zeros(g.rows(), g.cols()), Mat::zeros(g.rows(), g.cols()));
                gemm_nn(half.as_mut(), Update::Replace, 1.0, root.as_ref(), g.as_ref())?;
                gemm_nn(out.as_mut(), Update::Replace, 1.0, half.as_ref(), root.as_ref())?;
                Ok(out)
            }
        }
    }

    /// The diagonal of the same, of a diagonal metric.
    pub(in crate::model) fn pull_back_squares(&self, squares: &mut [f64]) {
        if let Root::Diagonal(roots) = &self.0 {
            squares.iter_mut().zip(roots).for_each(|(g, r)| *g *= r * r);
        }
    }

    /// Its numbers: d, or d x d.
    pub(in crate::model) fn values(&self) -> (Vec<usize>, Vec<f64>) {
        match &self.0 {
            Root::Full(root) => (vec![root.rows(), root.cols()], root.as_slice().to_vec()),
            Root::Diagonal(roots) => (vec![roots.len()], roots.clone()),
        }
    }

    /// From [`Self::values`] of a full metric.
    pub(in crate::model) fn full(values: Mat<f64>) -> Self {
        Self(Root::Full(values))
    }

    /// Likewise of one that has a number for each input.
    pub(in crate::model) fn diagonal(values: Vec<f64>) -> Self {
        Self(Root::Diagonal(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_left_out_with_all_their_columns() {
        let metric = Metric::from_squares(&[1.0, 2.0, 5.0, 8.0], 1.0).unwrap();
        let less = metric.without(&[7], &[3, 7, 7, 9]).unwrap();
        assert_eq!(less, Metric::from_squares(&[1.0, 0.0, 0.0, 8.0], 1.0).unwrap());
        assert_eq!(metric.without(&[], &[3, 7, 7, 9]), None);
        assert_eq!(metric.without(&[3, 7, 9], &[3, 7, 7, 9]), None);
        assert_eq!(Metric::full(Mat::from_fn(4, 4, |_, _| 1.0)).without(&[7], &[3, 7, 7, 9]), None);
    }
}
