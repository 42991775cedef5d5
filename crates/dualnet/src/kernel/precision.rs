//! The two precisions a kernel can be computed in.

use crate::dual::{DynDual, TileMut};
use crate::linalg::gemm;
use crate::simd::{Element, Isa};

/// `f32` or `f64`: picks the instances of what is not generic.
pub trait Precision: Element {
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;
    /// Applies a dual to a tile.
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, Self>);
    /// `out = a b^T` for row-major `a` (m x k) and `b` (n x k) whose rows lie `stride` apart; `out` (m x n) has no gaps.
    fn gemm_nt(a: &[Self], b: &[Self], out: &mut [Self], shape: [usize; 3], stride: usize);
}

impl Precision for f32 {
    const NAME: &'static str = "f32";
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, f32>) {
        dual.tile_f32(isa, tile);
    }
    fn gemm_nt(a: &[f32], b: &[f32], out: &mut [f32], shape: [usize; 3], stride: usize) {
        gemm::tile_nt(a, b, out, shape, stride);
    }
}

impl Precision for f64 {
    const NAME: &'static str = "f64";
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, f64>) {
        dual.tile_f64(isa, tile);
    }
    fn gemm_nt(a: &[f64], b: &[f64], out: &mut [f64], shape: [usize; 3], stride: usize) {
        gemm::tile_nt(a, b, out, shape, stride);
    }
}
