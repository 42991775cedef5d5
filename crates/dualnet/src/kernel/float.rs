//! The two precisions a kernel can be computed in.

use crate::dual::{DynDual, Precision, TileMut};
use crate::linalg::{MatMut, MatRef, Scalar, Update, gemm_nt};
use crate::simd::Isa;

/// `f32` or `f64`: picks the instances of what is not generic.
pub trait Float: Scalar {
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;
    /// The same as a value.
    const PRECISION: Precision;
    /// Applies a dual to a tile.
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, Self>);
}

impl Float for f32 {
    const NAME: &'static str = "f32";
    const PRECISION: Precision = Precision::F32;
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, f32>) {
        dual.tile_f32(isa, tile);
    }
}

impl Float for f64 {
    const NAME: &'static str = "f64";
    const PRECISION: Precision = Precision::F64;
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, f64>) {
        dual.tile_f64(isa, tile);
    }
}

/// `out = a b^T` for row-major `a` and `b` of `rows` rows of `width` entries, `stride` apart; `out` has no gaps.
pub(super) fn product<T: Float>(
    a: &[T],
    b: &[T],
    out: &mut [T],
    rows: usize,
    width: usize,
    stride: usize,
) -> crate::Result<()> {
    let (a, b) = (MatRef::new(a, rows, width, stride)?, MatRef::new(b, rows, width, stride)?);
    gemm_nt(MatMut::new(out, rows, rows, rows)?, Update::Replace, T::from_f64(1.0), a, b)
}
