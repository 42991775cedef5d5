//! Linear algebra: row-major matrices, and the products and decompositions that kernels and ridge need.
//! The only place that names the library underneath.

mod band;
mod block_tridiagonal;
pub mod cholesky;
mod csr;
pub mod eigh;
pub mod gemm;
pub mod mat;
mod pages;
mod qr;
mod shifted_cholesky;
pub(crate) mod syrk;
mod triangular;

pub(crate) use band::{BandReduction, dot, reduce};
pub(crate) use block_tridiagonal::BlockFactor;
pub use cholesky::Cholesky;
pub use csr::SparseRows;
pub use eigh::{Eigh, eigh};
pub use gemm::{Scalar, Update, gemm_nn, gemm_nn_parallel, gemm_nt, gemm_nt_parallel, gemm_tn, gemm_tn_parallel};
pub(crate) use gemm::{affine, in_range};
pub(crate) use mat::first_not_finite;
pub use mat::{Mat, MatMut, MatRef};
pub(crate) use qr::orthonormal_rows;
pub(crate) use shifted_cholesky::ShiftedCholesky;
pub(crate) use triangular::{inverse_transpose, substitute_rows};
