//! Random projections: X -> X G^T, with rows of G of mean 0 and covariance I.
//!
//! | kind | rows of G | cost of a row of X |
//! |---|---|---|
//! | [`ProjectionKind::Gaussian`] | independent | 2 d m |
//! | [`ProjectionKind::Orthogonal`] | at right angles within blocks of d, each of the length of a normal vector | 2 d m |
//! | [`ProjectionKind::Structured`] | products of signs and Hadamard matrices of p rows, p the power of two from d on, at least 64 | 3 m log2 p |
//!
//! And sketches, which keep products of rows on average in fewer columns; s is the number of non-zeros a column, p as above:
//!
//! | sketch | estimates | additions for a row of X |
//! |---|---|---|
//! | [`CountSketch`] | x . y | s for each non-zero of the row, which may be sparse |
//! | [`Srht`] | x . y | m log2 p |
//! | [`TensorSrht`] | (x . x') (y . y') | m log2 p for each side |
//! | [`PolySketch`] | (x . y)^l for all l from 2 to q | (q/2) log2 q [`TensorSrht`]s |

mod count_sketch;
mod fwht;
mod gaussian;
mod lengths;
mod orthogonal;
mod poly_sketch;
mod signs;
mod srht;
mod structured;
mod tensor_srht;

pub use count_sketch::CountSketch;
pub use fwht::{fwht, fwht_rows};
pub use poly_sketch::{PolySketch, Power};
pub use srht::Srht;
pub use tensor_srht::TensorSrht;

use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef, Update, gemm_nt};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::Isa;
use serde::{Deserialize, Serialize};
use structured::Structured;

/// How the rows of a projection are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectionKind {
    /// Independent standard normals.
    #[default]
    Gaussian,
    /// Blocks of d rows of a Haar-distributed orthogonal matrix, each scaled by an independent chi of d degrees of freedom. Each row by
    /// itself is normal; kernels are estimated without bias and with less variance. Drawing costs 8 d^3 / 3 operations a block.
    Orthogonal,
    /// Products of diagonal signs and Walsh-Hadamard matrices of p rows, the power of two from d on and at least 64, without a stored
    /// matrix: r p^{-3/2} H D1 H D2 H D3. Mean 0 and covariance I hold exactly, normality only in the limit: kernels of unit vectors are
    /// estimated with a bias of at most about 0.0002 at p = 64 and less beyond. Saves time from about 100 columns on.
    Structured,
}

/// A projection of d columns to m: row j of G depends on the seed, the purpose, d and j alone, so that the first rows of a larger
/// projection are the smaller one. (In the last block of an orthogonal one, where m cuts it, this holds up to rounding.)
///
/// ```
/// use dualnet::{Resources, random::Purpose, transform::{Projection, ProjectionKind}};
/// let resources = Resources::new(1)?.with_seed(3);
/// for kind in [ProjectionKind::Gaussian, ProjectionKind::Orthogonal, ProjectionKind::Structured] {
///     let g = Projection::<f64>::draw(kind, 1000, 5, Purpose::PROJECTION, &resources)?;
///     let rows = g.to_mat();
///     let mean_square = rows.as_slice().iter().map(|x| x * x).sum::<f64>() / 5000.0;
///     assert!((mean_square - 1.0).abs() < 0.1);
/// }
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Projection<T>(Drawn<T>);

#[derive(Clone, Debug, PartialEq)]
enum Drawn<T> {
    Gaussian(Mat<T>),
    Orthogonal(Mat<T>),
    Structured(Structured<T>),
}

impl<T: Float> Projection<T> {
    /// Draws `rows` rows of `cols` entries with the seed of `resources`, on its threads, of which nothing depends on the number.
    /// The lengths of orthogonal and structured rows come from [`Purpose::LENGTHS`] of the same layer.
    ///
    /// # Errors
    /// No columns; memory; interruption of an orthogonal one.
    pub fn draw(
        kind: ProjectionKind,
        rows: usize,
        cols: usize,
        purpose: Purpose,
        resources: &Resources,
    ) -> Result<Self> {
        if cols == 0 {
            return Err(Error::Invalid {
                what: "columns of a projection".into(),
                expected: "at least one".into(),
                found: "0".into(),
                hint: "give inputs with columns".into(),
            });
        }
        if kind == ProjectionKind::Structured {
            return Ok(Self(Drawn::Structured(Structured::draw(rows, cols, purpose, resources)?)));
        }
        let bytes = (rows as u64).saturating_mul(cols as u64).saturating_mul(size_of::<T>() as u64);
        reserve(bytes, "use fewer features, or a structured projection", resources)?;
        Ok(Self(match kind {
            ProjectionKind::Orthogonal => Drawn::Orthogonal(orthogonal::draw(rows, cols, purpose, resources)?),
            _ => Drawn::Gaussian(gaussian::draw(rows, cols, purpose, resources)),
        }))
    }

    /// How it was drawn.
    pub fn kind(&self) -> ProjectionKind {
        match &self.0 {
            Drawn::Gaussian(_) => ProjectionKind::Gaussian,
            Drawn::Orthogonal(_) => ProjectionKind::Orthogonal,
            Drawn::Structured(_) => ProjectionKind::Structured,
        }
    }
    /// m, the columns that come out.
    pub fn rows(&self) -> usize {
        match &self.0 {
            Drawn::Gaussian(matrix) | Drawn::Orthogonal(matrix) => matrix.rows(),
            Drawn::Structured(structured) => structured.rows(),
        }
    }
    /// d, the columns that go in.
    pub fn cols(&self) -> usize {
        match &self.0 {
            Drawn::Gaussian(matrix) | Drawn::Orthogonal(matrix) => matrix.cols(),
            Drawn::Structured(structured) => structured.cols(),
        }
    }
    /// Numbers of scratch memory that [`Self::tile`] needs.
    pub fn scratch(&self) -> usize {
        match &self.0 {
            Drawn::Gaussian(_) | Drawn::Orthogonal(_) => 0,
            Drawn::Structured(structured) => structured.scratch(),
        }
    }
    /// G, written out: (m, d). A structured one is what it makes of unit vectors, at the cost of d rows.
    pub fn to_mat(&self) -> Mat<T> {
        match &self.0 {
            Drawn::Gaussian(matrix) | Drawn::Orthogonal(matrix) => matrix.clone(),
            Drawn::Structured(structured) => structured.to_mat(),
        }
    }
    /// `out = x G^T` for one tile of rows, x (n, d) to out (n, m), on the calling thread. With a stored matrix the bits of a row may
    /// depend on n, so tiles are of [`TILE`](crate::features::TILE) rows; those of a structured projection do not.
    ///
    /// # Errors
    /// Shapes that do not fit; too little scratch.
    pub fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, scratch: &mut [T], isa: Isa) -> Result<()> {
        match &self.0 {
            Drawn::Gaussian(matrix) | Drawn::Orthogonal(matrix) => {
                gemm_nt(out, Update::Replace, T::from_f64(1.0), x, matrix.as_ref())
            }
            Drawn::Structured(structured) => structured.project(x, out, scratch, isa),
        }
    }
}

/// Refuses a projection beyond the limit of `resources`, or beyond what can be addressed.
fn reserve(bytes: u64, hint: &str, resources: &Resources) -> Result<()> {
    let limit = isize::MAX as u64;
    if bytes > limit {
        return Err(Error::Memory { what: "a projection".into(), needed: bytes, limit, hint: hint.into() });
    }
    resources.reserve("a projection", bytes, hint)
}
