//! Approximate inverses that make conjugate gradients converge in few steps.

use super::columns::restrict;
use super::rectangle::{Rectangle, SIDE};
use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::syrk::{Panels, Terms, add_outer_products};
use crate::linalg::{Mat, MatRef, ShiftedCholesky};
use crate::resources::Resources;
use rayon::prelude::*;

/// A symmetric positive definite approximation P of `K + shift I`.
pub trait Preconditioner {
    /// Rows and columns of P; `None`: any number.
    fn side(&self) -> Option<usize>;
    /// Makes P ready for another shift, and for the rows where `keep` is true alone (`None`: all rows).
    fn prepare(&mut self, shift: f64, keep: Option<&[bool]>, resources: &Resources) -> Result<()>;
    /// `P^-1 r` for r (n, c), which is zero in rows that are not kept; what it gives there does not matter.
    fn apply(&self, r: &Mat<f64>, resources: &Resources) -> Result<Mat<f64>>;
}

/// P = I: plain conjugate gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain;

impl Preconditioner for Plain {
    fn side(&self) -> Option<usize> {
        None
    }
    fn prepare(&mut self, _: f64, _: Option<&[bool]>, _: &Resources) -> Result<()> {
        Ok(())
    }
    fn apply(&self, r: &Mat<f64>, _: &Resources) -> Result<Mat<f64>> {
        Ok(r.clone())
    }
}

/// `P = F F^T + shift I` for a factor F (n, k) with `F F^T` near K: a partial Cholesky or a Nystrom approximation (Frangella, Tropp,
/// Udell 2021, arXiv 2110.02820; Diaz, Epperly, Frangella, Tropp, Webber 2023, arXiv 2304.12465, section 2.2).
///
/// ```text
/// P^-1 r = (r - F (F^T F + shift I)^-1 F^T r) / shift
/// ```
///
/// One Cholesky decomposition of k x k a shift; leaving rows out costs k^2 operations for each. With `k` about the number of eigenvalues of K above the shift, conjugate gradients
/// take a number of steps that depends on neither n nor the shift.
///
/// F is kept in `T`: rounding it to `f32` costs nothing, since the formula is exact for what was rounded. All arithmetic is in f64.
///
/// ```
/// use dualnet::ridge::iterative::{NystromPreconditioner, Preconditioner};
/// use dualnet::{Mat, Resources};
/// let resources = Resources::new(1)?;
/// let factor = Mat::from_vec(2, 1, vec![1.0, 1.0])?;
/// let p = NystromPreconditioner::from_factor(factor.as_ref(), 0.5, &resources)?;
/// let z = p.apply(&Mat::from_vec(2, 1, vec![1.0, 0.0])?, &resources)?;
/// // P = [[1.5, 1], [1, 1.5]], whose inverse is [[1.2, -0.8], [-0.8, 1.2]].
/// assert!((z[(0, 0)] - 1.2).abs() < 1e-12 && (z[(1, 0)] + 0.8).abs() < 1e-12);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Debug)]
pub struct NystromPreconditioner<T> {
    factor: Rectangle<T>,
    /// `F^T F` over all rows: its lower triangle.
    whole: Mat<f64>,
    /// `F^T F` over the rows kept, decomposed with the shift.
    inner: ShiftedCholesky,
    keep: Option<Vec<bool>>,
    shift: f64,
}

impl<T: Float> NystromPreconditioner<T> {
    /// Of F (n, k) and the number added to the diagonal of K, positive.
    ///
    /// # Errors
    /// A shift that is not positive and finite; entries that are not finite; a factor without columns; memory ([`Self::bytes`]).
    ///
    /// Cost n k^2 + k^3 / 3 operations.
    pub fn from_factor(factor: MatRef<'_, T>, shift: f64, resources: &Resources) -> Result<Self> {
        let (n, k) = (factor.rows(), factor.cols());
        if n == 0 || k == 0 {
            return Err(Error::Shape {
                what: "factor of a preconditioner".into(),
                expected: "at least one row and one column".into(),
                found: format!("{n} x {k}"),
            });
        }
        factor.check_finite("factor of a preconditioner")?;
        let hint = "use fewer landmarks, or raise the memory limit";
        resources.reserve("a preconditioner", Self::bytes(n, k), hint)?;
        let factor = Rectangle::new(factor, resources);
        let whole = gram(&factor, |_| true, resources)?;
        let inner = ShiftedCholesky::new(whole.clone(), resources);
        let mut made = Self { factor, whole, inner, keep: None, shift };
        made.prepare(shift, None, resources)?;
        Ok(made)
    }

    /// Bytes it keeps for a factor of `n` rows and `k` columns.
    pub fn bytes(n: usize, k: usize) -> u64 {
        let padded = (n.div_ceil(SIDE) * k.div_ceil(SIDE)).saturating_mul(SIDE * SIDE) as u64;
        padded.saturating_mul(size_of::<T>() as u64).saturating_add(16 * (k as u64).saturating_pow(2))
    }

    /// `F^T F` over the rows kept: what the others have of the whole is taken off it, or, where these are most, what the rows kept have.
    fn kept(&self, keep: Option<&[bool]>, resources: &Resources) -> Result<Mat<f64>> {
        let kept = |i: usize| keep.is_none_or(|keep| keep.get(i) == Some(&true));
        let n = self.factor.rows();
        if 2 * (0..n).filter(|&i| kept(i)).count() < n {
            return gram(&self.factor, kept, resources);
        }
        let mut sums = self.whole.clone();
        if keep.is_some() {
            let others = gram(&self.factor, |i| !kept(i), resources)?;
            sums.as_mut_slice().iter_mut().zip(others.as_slice()).for_each(|(s, o)| *s -= o);
        }
        Ok(sums)
    }

    /// Columns of the factor.
    pub fn rank(&self) -> usize {
        self.factor.columns()
    }
}

impl<T: Float> Preconditioner for NystromPreconditioner<T> {
    fn side(&self) -> Option<usize> {
        Some(self.factor.rows())
    }

    fn prepare(&mut self, shift: f64, keep: Option<&[bool]>, resources: &Resources) -> Result<()> {
        if !(shift.is_finite() && shift > 0.0) {
            return Err(Error::Invalid {
                what: "shift of a preconditioner".into(),
                expected: "a positive finite number".into(),
                found: shift.to_string(),
                hint: "raise lambda".into(),
            });
        }
        if self.keep.as_deref() != keep {
            self.inner = ShiftedCholesky::new(self.kept(keep, resources)?, resources);
            self.keep = keep.map(<[bool]>::to_vec);
        }
        self.shift = shift;
        self.inner.factor(shift, resources)?.map_err(|pivot| Error::NotPositiveDefinite {
            what: "preconditioner".into(),
            pivot,
            hint: "raise lambda: it is below the rounding of the factor".into(),
        })
    }

    fn apply(&self, r: &Mat<f64>, resources: &Resources) -> Result<Mat<f64>> {
        let explained = self.factor.transposed_times(r.as_ref(), resources)?;
        let weights = self.inner.solve(explained.as_ref(), resources)?;
        let mut z = self.factor.times(weights.as_ref(), resources)?;
        z.as_mut_slice().iter_mut().zip(r.as_slice()).for_each(|(z, r)| *z = (r - *z) / self.shift);
        restrict(&mut z, self.keep.as_deref());
        Ok(z)
    }
}

/// The lower triangle of `F^T F` over some rows, in f64.
fn gram<T: Float>(factor: &Rectangle<T>, some: impl Fn(usize) -> bool, resources: &Resources) -> Result<Mat<f64>> {
    /// Rows at a time.
    const CHUNK: usize = 2048;
    let (n, k) = (factor.rows(), factor.columns());
    let (ones, zeros) = (vec![1.0; k], vec![0.0; k]);
    let terms = Terms { units: &ones, first: (0.0, &zeros), second: (0.0, &zeros) };
    let mut sums = Mat::zeros(k, k);
    let rows: Vec<usize> = (0..n).filter(|&i| some(i)).collect();
    for rows in rows.chunks(CHUNK) {
        let mut panels = Panels::<f64>::zeros(rows.len(), k);
        resources.install(|| {
            panels.parts_mut().enumerate().for_each(|(j, part)| {
                let width = part.len() / rows.len();
                for (to, &i) in part.chunks_exact_mut(width).zip(rows) {
                    to.iter_mut().zip(factor.part(i, j)).for_each(|(to, from)| *to = from.to_f64());
                }
            });
        });
        add_outer_products(&mut sums, &panels, &terms, resources)?;
    }
    Ok(sums)
}
