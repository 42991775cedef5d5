//! Linear algebra: row-major matrices, and the products and decompositions that kernels and ridge need.
//! The only place that names the library underneath.

pub mod gemm;
pub mod mat;

pub use mat::{Mat, MatMut, MatRef};
