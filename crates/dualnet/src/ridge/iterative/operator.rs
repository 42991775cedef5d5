//! A symmetric matrix that is known by its products.

use crate::error::{Error, Result};
use crate::linalg::{MatMut, MatRef};
use crate::resources::Resources;

/// The precision that products of entries are summed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sums {
    /// That of the tiles; tiles are joined in f64. With f32 tiles vectors are rounded to f32, too: an entry of `K x` has an error
    /// of about 2e-7 of `|K_i| |x|`, norms of the row of K and of x. Twice as fast as f64.
    #[default]
    Tiles,
    /// f64: the product is exact but for rounding in f64.
    Double,
}

/// A symmetric positive semi-definite matrix K (n, n) that can be multiplied with blocks of vectors.
pub trait KernelOperator: Sync {
    /// Rows and columns of K.
    fn side(&self) -> usize;
    /// Mean entry on the diagonal: the unit of lambda.
    fn mean_diagonal(&self) -> f64;
    /// `out = K x` for x (n, c). Any number of threads gives the same bits, and a column alone as beside others.
    ///
    /// # Errors
    /// Shapes; entries of x that are not finite; products beyond the range of the sums; memory; interruption.
    fn apply(&self, x: MatRef<'_, f64>, sums: Sums, out: MatMut<'_, f64>, resources: &Resources) -> Result<()>;
}

/// Refuses vectors that do not fit an operator of side `n`.
pub(super) fn check(n: usize, x: MatRef<'_, f64>, out: &MatMut<'_, f64>) -> Result<()> {
    if x.rows() != n || (out.rows(), out.cols()) != (n, x.cols()) {
        return Err(Error::Shape {
            what: "product with a kernel".into(),
            expected: format!("vectors of {n} rows, and as many columns to write as to read"),
            found: format!("{} x {}, to write {} x {}", x.rows(), x.cols(), out.rows(), out.cols()),
        });
    }
    x.check_finite("vectors to multiply with a kernel")
}

/// The mean of a diagonal: a positive number, or the kernel is refused.
pub(super) fn positive(mean: f64) -> Result<f64> {
    if mean.is_finite() && mean > f64::MIN_POSITIVE {
        return Ok(mean);
    }
    Err(Error::Invalid {
        what: "diagonal of the kernel".into(),
        expected: "a positive mean".into(),
        found: mean.to_string(),
        hint: "all samples may be zero; scale them, or give the net a bias".into(),
    })
}
