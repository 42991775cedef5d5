//! Random projections: X -> X G^T, with rows of G of mean 0 and covariance I.
//!
//! | kind | rows of G | cost of a row of X |
//! |---|---|---|
//! | [`ProjectionKind::Gaussian`] | independent | 2 d m |
//! | [`ProjectionKind::Orthogonal`] | at right angles within blocks of d, each of the length of a normal vector | 2 d m |
//! | [`ProjectionKind::Structured`] | products of signs and Hadamard matrices | 6 m log2 d |

mod fwht;
mod gaussian;

pub use fwht::{fwht, fwht_rows};

use crate::error::{Error, Result};
use crate::kernel::Float;
use crate::linalg::{Mat, MatMut, MatRef, Update, gemm_nt};
use crate::random::Purpose;
use crate::resources::Resources;
use crate::simd::Isa;
use serde::{Deserialize, Serialize};

/// How the rows of a projection are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectionKind {
    /// Independent standard normals.
    #[default]
    Gaussian,
    /// Blocks of d rows of a Haar-distributed orthogonal matrix, each scaled by an independent chi of d degrees of freedom.
    Orthogonal,
    /// Products of diagonal signs and Walsh-Hadamard matrices, without a stored matrix.
    Structured,
}

/// A projection of d columns to m: row j of G depends on the seed, the purpose and j alone.
///
/// ```
/// use dualnet::{Resources, random::Purpose, transform::{Projection, ProjectionKind}};
/// let resources = Resources::new(1)?.with_seed(3);
/// let g = Projection::<f64>::draw(ProjectionKind::Gaussian, 1000, 5, Purpose::PROJECTION, &resources)?;
/// let rows = g.to_mat();
/// let mean_square = rows.as_slice().iter().map(|x| x * x).sum::<f64>() / 5000.0;
/// assert!((mean_square - 1.0).abs() < 0.1);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Projection<T> {
    kind: ProjectionKind,
    matrix: Mat<T>,
}

impl<T: Float> Projection<T> {
    /// Draws `rows` rows of `cols` entries with the seed of `resources`.
    ///
    /// # Errors
    /// No columns; memory.
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
        let bytes = (rows as u64).saturating_mul(cols as u64).saturating_mul(size_of::<T>() as u64);
        resources.reserve("a projection", bytes, "use fewer features, or a structured projection")?;
        let matrix = match kind {
            ProjectionKind::Gaussian => gaussian::draw(rows, cols, purpose, resources),
            ProjectionKind::Orthogonal | ProjectionKind::Structured => {
                return Err(Error::Unsupported {
                    at: "projection".into(),
                    what: format!("{kind:?}"),
                    hint: "use a Gaussian one".into(),
                });
            }
        };
        Ok(Self { kind, matrix })
    }

    /// How it was drawn.
    pub fn kind(&self) -> ProjectionKind {
        self.kind
    }
    /// m, the columns that come out.
    pub fn rows(&self) -> usize {
        self.matrix.rows()
    }
    /// d, the columns that go in.
    pub fn cols(&self) -> usize {
        self.matrix.cols()
    }
    /// Numbers of scratch memory that [`Self::tile`] needs.
    pub fn scratch(&self) -> usize {
        0
    }
    /// G, written out.
    pub fn to_mat(&self) -> Mat<T> {
        self.matrix.clone()
    }
    /// `out = x G^T` for one tile of rows, on the calling thread.
    pub fn tile(&self, x: MatRef<'_, T>, out: MatMut<'_, T>, _scratch: &mut [T], _isa: Isa) -> Result<()> {
        gemm_nt(out, Update::Replace, T::from_f64(1.0), x, self.matrix.as_ref())
    }
}
