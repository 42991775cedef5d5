//! Planes at work, and states: all the planes between two segments.

use super::buffer::Buffer;
use super::program::{Grid, Offsets, PAD};
use crate::kernel::{Float, Get};
use crate::simd::{Isa, Kernel, Lanes, Vector};

/// One plane: covariances, and the tangent kernel unless only the NNGP is wanted. Readable by `margin` entries on either side.
#[derive(Debug)]
pub struct Plane<T> {
    /// Covariances, from entry `margin` on.
    pub c: Buffer<T>,
    /// Tangent kernel, likewise; empty where not wanted.
    pub t: Buffer<T>,
    /// Entries before the first.
    pub margin: usize,
}

impl<T: Float> Plane<T> {
    /// For any plane of up to `len` entries.
    pub fn new(len: usize, margin: usize, get: Get) -> Self {
        let buffer = |wanted: bool| Buffer::zeros(if wanted { len + 2 * margin + PAD } else { 0 });
        Self { c: buffer(true), t: buffer(get.ntk()), margin }
    }
    /// Takes the entries of another plane of one size.
    pub fn copy_from(&mut self, other: &Self) {
        self.c.copy_from_slice(&other.c);
        self.t.copy_from_slice(&other.t);
    }
    /// Another one with the same entries.
    pub fn copy(&self) -> Self {
        Self { c: self.c.clone(), t: self.t.clone(), margin: self.margin }
    }
    /// Covariances from the first entry on.
    #[inline(always)]
    pub fn c(&mut self) -> &mut [T] {
        &mut self.c[self.margin..]
    }
    /// The tangent kernel from the first entry on; empty where not wanted.
    #[inline(always)]
    pub fn t(&mut self) -> &mut [T] {
        if self.t.is_empty() { &mut self.t } else { &mut self.t[self.margin..] }
    }
    /// Both.
    #[inline(always)]
    pub fn both(&mut self) -> (&mut [T], &mut [T]) {
        let t = if self.t.is_empty() { &mut self.t[..] } else { &mut self.t[self.margin..] };
        (&mut self.c[self.margin..], t)
    }
}

/// All planes between two segments.
#[derive(Debug)]
pub struct State<T> {
    /// Plane k at `k * stride`.
    pub c: Buffer<T>,
    /// Likewise; empty where not wanted.
    pub t: Buffer<T>,
    /// Positions.
    pub grid: Grid,
    /// Which planes.
    pub offsets: Offsets,
    /// To be multiplied with.
    pub scale: f64,
}

impl<T: Float> State<T> {
    /// Values of each of the two arrays.
    pub fn len(grid: Grid, offsets: &Offsets) -> usize {
        offsets.planes() * grid.stride()
    }

    /// Zeros, in buffers that have served before where there are some.
    pub fn zeros(grid: Grid, offsets: Offsets, scale: f64, get: Get, spare: &mut Vec<Buffer<T>>) -> Self {
        let len = Self::len(grid, &offsets);
        let mut buffer = |wanted: bool| {
            if !wanted {
                return Buffer::default();
            }
            let mut buffer = spare.pop().unwrap_or_default();
            buffer.reset(len);
            buffer
        };
        Self { c: buffer(true), t: buffer(get.ntk()), grid, offsets, scale }
    }

    /// Gives the buffers back.
    pub fn release(self, spare: &mut Vec<Buffer<T>>) {
        spare.extend([self.t, self.c].into_iter().filter(|b| !b.is_empty()));
    }

    /// Copies the plane of an offset, multiplied by the scale; zeros if it is not there.
    pub fn load(&self, isa: Isa, offset: (usize, usize), plane: &mut Plane<T>) {
        let len = self.grid.positions();
        let Some(at) = self.offsets.plane(offset).map(|k| k * self.grid.stride()) else {
            plane.c()[..len].fill(T::default());
            let t = plane.t();
            let len = len.min(t.len());
            t[..len].fill(T::default());
            return;
        };
        let (c, t) = plane.both();
        for (from, to) in [(&self.c, c), (&self.t, t)] {
            if !to.is_empty() {
                isa.run(&mut Scaled { from: &from[at..], to, len, factor: self.scale });
            }
        }
    }

    /// Writes the plane of an offset.
    pub fn store(&mut self, offset: (usize, usize), plane: &mut Plane<T>) {
        let len = self.grid.positions();
        if let Some(at) = self.offsets.plane(offset).map(|k| k * self.grid.stride()) {
            let (c, t) = plane.both();
            self.c[at..at + len].copy_from_slice(&c[..len]);
            if !t.is_empty() {
                self.t[at..at + len].copy_from_slice(&t[..len]);
            }
        }
    }
}

/// `to = factor * from`.
struct Scaled<'a, T> {
    from: &'a [T],
    to: &'a mut [T],
    len: usize,
    factor: f64,
}

impl<T: Float> Kernel for &mut Scaled<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let factor = T::Lanes::<V>::splat(simd, T::from_f64(self.factor));
        for e in (0..self.len).step_by(<T::Lanes<V> as Lanes<V, T>>::LANES) {
            (T::Lanes::<V>::load(simd, &self.from[e..]) * factor).store(&mut self.to[e..]);
        }
    }
}

/// The sum of the first `len` entries, in lanes and then in order.
pub struct Sum<'a, T> {
    /// The entries.
    pub from: &'a [T],
    /// How many.
    pub len: usize,
}

impl<T: Float> Kernel for Sum<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> f64 {
        let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
        let whole = self.len / lanes * lanes;
        let mut sum = T::Lanes::<V>::splat(simd, T::default());
        for e in (0..whole).step_by(lanes) {
            sum = sum + T::Lanes::<V>::load(simd, &self.from[e..]);
        }
        let mut parts = [T::default(); PAD];
        sum.store(&mut parts);
        let mut total = 0.0;
        for part in parts[..lanes].iter().chain(&self.from[whole..self.len]) {
            total += part.to_f64();
        }
        total
    }
}
