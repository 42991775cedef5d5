//! provisional
use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
/// provisional
pub fn tile_nt<T: faer::traits::ComplexField>(a: &[T], b: &[T], out: &mut [T], [m, n, k]: [usize; 3], stride: usize) {
    let x = MatRef::from_row_major_slice(a, m, stride).subcols(0, k);
    let y = MatRef::from_row_major_slice(b, n, stride).subcols(0, k);
    matmul(MatMut::from_row_major_slice_mut(out, m, n), Accum::Replace, x, y.transpose(), T::one_impl(), Par::Seq);
}
