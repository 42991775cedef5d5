//! Hermite expansions on planes: every pair has coefficients of its own on both sides.

// Blocks of registers are counted, not iterated: an iterator's closures would leave the instruction set.
#![allow(clippy::needless_range_loop)]

use super::series::{Outside, Shape, Sums as Series};
use super::{INVERSE, LINEAR, MEAN, SERIES};
use crate::dual::Constants;
use crate::dual::plane::{PlaneMut, Registers, Sums};
use crate::simd::{Element, Kernel, Lanes, Real, Vector, view_mut};
use std::marker::PhantomData;

/// Registers that are worked on together, so that one's latency hides behind another's work.
const TOGETHER: usize = 4;

pub(super) struct Apply<'a, 'p, T, S> {
    pub plane: &'a mut PlaneMut<'p, T>,
    pub terms: usize,
    pub shape: PhantomData<S>,
}

impl<T: Element, S: Shape> Kernel for Apply<'_, '_, T, S> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { plane, terms, .. } = self;
        let count = plane.len.div_ceil(<T::Lanes<V> as Lanes<V, T>>::LANES);
        if let Some(rows) = plane.rows {
            let sums = Sums::<V, T>::new(simd, rows, count);
            let (c, t) = (view_mut::<V, T>(&mut *plane.c, 0, count), view_mut::<V, T>(&mut *plane.t, 0, count));
            for k in 0..count {
                let (before, slope) = sums.get(simd, k, count);
                (c[k], t[k]) = (before.register(), slope.register());
            }
        }
        let mut at = Registers::<V, T>::new(simd, plane, count);
        let mut k = 0;
        while k + TOGETHER <= count {
            block::<V, T, S, TOGETHER>(simd, &mut at, plane, terms, k);
            k += TOGETHER;
        }
        while k < count {
            block::<V, T, S, 1>(simd, &mut at, plane, terms, k);
            k += 1;
        }
    }
}

#[inline(always)]
fn block<V: Vector, T: Element, S: Shape, const R: usize>(
    simd: V,
    at: &mut Registers<'_, V, T>,
    plane: &mut PlaneMut<'_, T>,
    terms: usize,
    first: usize,
) {
    let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
    let zero = T::Lanes::<V>::splat(simd, T::default());
    let mut y = [zero; R];
    for b in 0..R {
        at.k = first + b;
        y[b] = S::argument(at.pair(T::Lanes::<V>::load(simd, &plane.c[at.k * lanes..])).rho());
    }
    let mut sums = [Series::zero(zero); R];
    for i in (0..terms).rev() {
        for b in 0..R {
            at.k = first + b;
            sums[b].total = at.row(SERIES + i).mul_add(at.col(SERIES + i), sums[b].total);
            if i >= S::FIRST {
                let tail = sums[b].total;
                sums[b].descend(y[b], tail);
            }
        }
    }
    for b in 0..R {
        at.k = first + b;
        let e = at.k * lanes;
        let x = at.pair(T::Lanes::<V>::load(simd, &plane.c[e..]));
        let outside = Outside {
            mean: at.row(MEAN) * at.col(MEAN),
            linear: at.row(LINEAR) * at.col(LINEAR),
            inverse: at.row(INVERSE) * at.col(INVERSE),
            excess: zero,
        };
        let image = S::image(&x, outside, sums[b]);
        image.k.store(&mut plane.c[e..]);
        if !plane.t.is_empty() {
            (T::Lanes::<V>::load(simd, &plane.t[e..]) * image.kdot).store(&mut plane.t[e..]);
        }
    }
}
