//! The first stage of a tile: inner products of inputs, and the angles between them.
//!
//! 1-|rho| from a rounded inner product has an absolute error of a few units of roundoff u, an error of u/theta in the angle. Where
//! theta is small it is computed again from the difference of the normalised rows, |x/|x| -+ y/|y||^2 / 2, which is exact to u in
//! theta. This costs 3d flops for such pairs, at a lower rate than the matrix product; data of which most rows are nearly parallel
//! (a large common offset) pay for it.

use super::passes::{Place, StripMut};
use super::prepare::DenseSamples;
use crate::error::Result;
use crate::kernel::float::product;
use crate::kernel::{Float, TILE};

use crate::simd::{Kernel, Lanes, Real, Vector};

/// Below this 1-|rho| the angle is computed from the difference: theta < 0.044 in f64, 0.25 in f32.
fn near<T: Float>() -> f64 {
    if size_of::<T>() == 4 { 1.0 / 32.0 } else { 1.0 / 1024.0 }
}

/// out = X_i X_j^T for row block i of `rows` and row block j of `cols`.
pub fn inner_products<T: Float>(
    rows: &DenseSamples<T>,
    i: usize,
    cols: &DenseSamples<T>,
    j: usize,
    out: &mut [T],
) -> Result<()> {
    let a = &rows.x[i * TILE * rows.padded_width..(i + 1) * TILE * rows.padded_width];
    let b = &cols.columns[j * TILE * cols.width..(j + 1) * TILE * cols.width];
    product(a, b, out, rows.width, rows.padded_width)
}

/// Turns inner products in `strip.c` into covariances (divided by the width) and fills 1-|rho| and t = 0.
pub fn angles<T: Float>(at: &Place<'_, T>, strip: &mut StripMut<'_, T>) {
    at.isa.run(Angles { at, c: strip.c, delta: strip.delta });
    strip.t.fill(T::default());
}

struct Angles<'a, 'b, T> {
    at: &'a Place<'b, T>,
    c: &'a mut [T],
    delta: &'a mut [T],
}

impl<T: Float> Kernel for Angles<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Angles { at, c, delta } = self;
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let splat = |x: f64| T::Lanes::<V>::splat(simd, T::from_f64(x));
        let (scale, one, limit) = (splat(1.0 / at.rows.width as f64), splat(1.0), T::from_f64(near::<T>()));
        for i in 0..at.count {
            let inverse_row = T::Lanes::<V>::splat(simd, at.rows.inverse_norm[at.row + i]);
            let (c, delta) = (&mut c[i * TILE..(i + 1) * TILE], &mut delta[i * TILE..(i + 1) * TILE]);
            let mut smallest = one;
            for j in (0..TILE).step_by(lanes) {
                let dot = T::Lanes::<V>::load(simd, &c[j..]);
                let inverse_col = T::Lanes::<V>::load(simd, &at.cols.inverse_norm[at.col + j..]);
                // Grouped so that both orders of a pair round alike.
                let d = one - (dot.abs() * (inverse_row * inverse_col)).min(one);
                smallest = smallest.min(d);
                d.store(&mut delta[j..]);
                (dot * scale).store(&mut c[j..]);
            }
            let mut least = [T::default(); 16];
            smallest.store(&mut least);
            if least[..lanes].iter().any(|&d| d < limit) {
                for j in 0..TILE {
                    if delta[j] < limit {
                        near_pair(simd, at, i, j, &mut c[j], &mut delta[j]);
                    }
                }
            }
        }
    }
}

/// 1-|rho| of one pair from the difference of the normalised rows, and c to match.
#[inline(always)]
fn near_pair<V: Vector, T: Float>(simd: V, at: &Place<'_, T>, i: usize, j: usize, c: &mut T, delta: &mut T) {
    let width = at.rows.padded_width;
    let (i, j) = (at.row + i, at.col + j);
    let (x, y) = (&at.rows.x[i * width..(i + 1) * width], &at.cols.x[j * width..(j + 1) * width]);
    let negative = *c < T::default();
    let u = T::Lanes::<V>::splat(simd, at.rows.inverse_norm[i]);
    let v = T::Lanes::<V>::splat(simd, at.cols.inverse_norm[j]);
    let v = if negative { -v } else { v };
    let mut sum = T::Lanes::<V>::splat(simd, T::default());
    let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
    for k in (0..width).step_by(lanes) {
        let gap = T::Lanes::<V>::load(simd, &x[k..]) * u - T::Lanes::<V>::load(simd, &y[k..]) * v;
        sum = gap.mul_add(gap, sum);
    }
    let mut parts = [T::default(); 16];
    sum.store(&mut parts);
    let half: f64 = parts[..lanes].iter().map(|p| p.to_f64()).sum::<f64>() / 2.0;
    let half = half.min(1.0);
    let r = at.rows.stages[0].sp[i].to_f64() * at.cols.stages[0].sp[j].to_f64();
    let size = (1.0 - half) * r;
    *delta = T::from_f64(half);
    *c = T::from_f64(if negative { -size } else { size });
}
