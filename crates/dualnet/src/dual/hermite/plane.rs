//! Hermite expansions on planes: every pair has coefficients of its own on both sides.

// Blocks of registers are counted, not iterated: an iterator's closures would leave the instruction set.
#![allow(clippy::needless_range_loop)]

use super::series::{Outside, Shape, Sums};
use super::{INVERSE, LINEAR, MEAN, SERIES};
use crate::dual::Constants;
use crate::dual::plane::{PlaneMut, Registers};
use crate::simd::{Element, Kernel, Lanes, Real, Vector};
use std::marker::PhantomData;

/// Registers that are worked on together, so that one's latency hides behind another's work.
const TOGETHER: usize = 4;

pub(super) struct Apply<'a, T, S> {
    pub plane: PlaneMut<'a, T>,
    pub terms: usize,
    pub shape: PhantomData<S>,
}

impl<T: Element, S: Shape> Kernel for Apply<'_, T, S> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { mut plane, terms, .. } = self;
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let mut e = 0;
        while e + TOGETHER * lanes <= plane.len {
            block::<V, T, S, TOGETHER>(simd, &mut plane, terms, e);
            e += TOGETHER * lanes;
        }
        while e < plane.len {
            block::<V, T, S, 1>(simd, &mut plane, terms, e);
            e += lanes;
        }
    }
}

#[inline(always)]
fn block<V: Vector, T: Element, S: Shape, const R: usize>(
    simd: V,
    plane: &mut PlaneMut<'_, T>,
    terms: usize,
    first: usize,
) {
    let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
    let zero = T::Lanes::<V>::splat(simd, T::default());
    let mut y = [zero; R];
    for b in 0..R {
        let at = Registers::new(simd, plane, first + b * lanes);
        y[b] = S::argument(at.pair(T::Lanes::<V>::load(simd, &plane.c[first + b * lanes..])).rho());
    }
    let mut sums = [Sums::zero(zero); R];
    for i in (0..terms).rev() {
        for b in 0..R {
            let at = Registers::new(simd, plane, first + b * lanes);
            sums[b].total = at.row(SERIES + i).mul_add(at.col(SERIES + i), sums[b].total);
            if i >= S::FIRST {
                let tail = sums[b].total;
                sums[b].descend(y[b], tail);
            }
        }
    }
    for b in 0..R {
        let e = first + b * lanes;
        let at = Registers::new(simd, plane, e);
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
