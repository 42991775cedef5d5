//! The Walsh-Hadamard transform x -> H x, unnormalised and in natural (Sylvester) order:
//! H_1 = 1, H_2n = ((H_n, H_n), (H_n, -H_n)), so that H_jk = (-1)^(number of ones that j and k share) and H H = n I.
//!
//! n log2 n additions, level by level: level i adds and subtracts entries 2^i apart. Levels within a register are an
//! exchange of lanes each; the next three are done while eight registers are loaded; the others in passes of three levels over
//! blocks of the first cache, and beyond it a pass as soon as its eight blocks are ready (depth first, as the recursion of
//! FFHT: Andoni, Indyk, Laarhoven, Razenshteyn, Schmidt 2015, "Practical and optimal LSH for angular distance", code of the
//! same name).
//!
//! Every path adds the same numbers in the same order, lower levels first: the bits depend neither on the instruction set nor
//! on whether a row comes alone.

use crate::error::{Error, Result};
use crate::linalg::MatMut;
use crate::simd::{Element, Isa, Kernel, Lanes, Real, Vector};
use std::ops::{Add, Sub};

/// Bytes of a block that all its passes find in the first cache.
const BLOCK_BYTES: usize = 32 << 10;
/// Lanes of the widest register.
const MAX_LANES: usize = 16;

/// `x <- H x` for one vector whose length is a power of two.
///
/// Cost: n log2 n additions, in about twice the time that these take at the full speed of 512-bit registers, 1.6 times at that of 256
/// bits (`examples/projection_speed.rs`), up to the size of the second cache; fastest where `x` starts on a cache line.
///
/// ```
/// use dualnet::{simd::Isa, transform::fwht};
/// let mut x = [1.0, 2.0, 3.0, 4.0];
/// fwht(&mut x, Isa::best())?;
/// assert_eq!(x, [10.0, -2.0, -4.0, 0.0]);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for a length that is not a power of two. Entries beyond the range of `T` become infinite, and NaN stays
/// NaN: who owns the entries checks them.
pub fn fwht<T: Element>(x: &mut [T], isa: Isa) -> Result<()> {
    check_length(x.len())?;
    let stride = x.len();
    isa.run(Rows { x, length: stride, stride });
    Ok(())
}

/// [`fwht`] of each row, to the same bits as of the row alone. On the calling thread.
///
/// ```
/// use dualnet::{Mat, simd::Isa, transform::fwht_rows};
/// let mut x = Mat::from_fn(3, 2, |i, j| (i + j) as f32);
/// fwht_rows(x.as_mut(), Isa::best())?;
/// assert_eq!(x.row(2), [5.0, -1.0]);
/// # Ok::<(), dualnet::Error>(())
/// ```
///
/// # Errors
/// As [`fwht`].
pub fn fwht_rows<T: Element>(x: MatMut<'_, T>, isa: Isa) -> Result<()> {
    let (rows, length, stride) = (x.rows(), x.cols(), x.stride());
    check_length(length)?;
    let used = if rows == 0 { 0 } else { (rows - 1) * stride + length };
    isa.run(Rows { x: &mut x.into_data()[..used], length, stride });
    Ok(())
}

fn check_length(length: usize) -> Result<()> {
    if length.is_power_of_two() {
        return Ok(());
    }
    Err(Error::Shape {
        what: "length of a Walsh-Hadamard transform".into(),
        expected: "a power of two; pad with zeros".into(),
        found: length.to_string(),
    })
}

struct Rows<'a, T> {
    x: &'a mut [T],
    length: usize,
    stride: usize,
}

impl<T: Element> Kernel for Rows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        for row in self.x.chunks_mut(self.stride) {
            transform(simd, &mut row[..self.length], &Plain);
        }
    }
}

/// What is done to entries as they are first read.
pub(super) trait Entry<T> {
    /// The entry at index `at`, now `x`.
    fn one(&self, x: T, at: usize) -> T;
    /// A register of entries from index `at` on.
    fn register<V: Vector>(&self, simd: V, x: T::Lanes<V>, at: usize) -> T::Lanes<V>
    where
        T: Element;
}

/// Nothing.
pub(super) struct Plain;

impl<T: Element> Entry<T> for Plain {
    #[inline(always)]
    fn one(&self, x: T, _: usize) -> T {
        x
    }
    #[inline(always)]
    fn register<V: Vector>(&self, _: V, x: T::Lanes<V>, _: usize) -> T::Lanes<V> {
        x
    }
}

/// H entry(x) in place; the length is a power of two.
#[inline(always)]
pub(super) fn transform<T: Element, V: Vector>(simd: V, x: &mut [T], entry: &impl Entry<T>) {
    let (n, lanes) = (x.len(), T::Lanes::<V>::LANES);
    match n / lanes {
        0 => return plain(x, entry),
        1 => return first::<T, V, 1>(simd, x, 0, entry),
        2 => return first::<T, V, 2>(simd, x, 0, entry),
        4 => return first::<T, V, 4>(simd, x, 0, entry),
        _ => {}
    }
    // The largest block that leaves whole passes of three levels.
    let mut block = n;
    while block * size_of::<T>() > BLOCK_BYTES {
        block /= 8;
    }
    for start in (0..n).step_by(block) {
        let part = &mut x[start..start + block];
        first::<T, V, 8>(simd, part, start, entry);
        let mut h = 8 * lanes;
        while h < block {
            // No closures: one that is not inlined would be compiled without the instruction set.
            let radix = (block / h).min(8);
            for part in part.chunks_exact_mut(radix * h) {
                match radix {
                    2 => radix_2::<T, V>(simd, part),
                    4 => radix_4::<T, V>(simd, part),
                    _ => radix_8::<T, V>(simd, part),
                }
            }
            h *= radix;
        }
        let (end, mut ready) = (start + block, 8 * block);
        while ready <= n && end % ready == 0 {
            radix_8::<T, V>(simd, &mut x[end - ready..end]);
            ready *= 8;
        }
    }
}

/// Shorter than a register: entry by entry.
#[inline(always)]
fn plain<T: Element>(x: &mut [T], entry: &impl Entry<T>) {
    for (at, x) in x.iter_mut().enumerate() {
        *x = entry.one(*x, at);
    }
    let mut h = 1;
    while h < x.len() {
        for pair in x.chunks_exact_mut(2 * h) {
            let (low, high) = pair.split_at_mut(h);
            for (a, b) in low.iter_mut().zip(high) {
                // Sums of two numbers of single precision, rounded from double precision, are rounded once.
                (*a, *b) = (T::from_f64(a.to_f64() + b.to_f64()), T::from_f64(a.to_f64() - b.to_f64()));
            }
        }
        h *= 2;
    }
}

/// The lowest levels: those within a register, then those among `R` neighbouring registers. `x` starts at index `start`.
#[inline(always)]
fn first<T: Element, V: Vector, const R: usize>(simd: V, x: &mut [T], start: usize, entry: &impl Entry<T>) {
    let lanes = T::Lanes::<V>::LANES;
    for (i, part) in x.chunks_exact_mut(R * lanes).enumerate() {
        let mut registers = [T::Lanes::<V>::splat(simd, T::default()); R];
        for (k, register) in registers.iter_mut().enumerate() {
            let loaded = T::Lanes::<V>::load(simd, &part[k * lanes..]);
            *register = within::<T, V>(simd, entry.register(simd, loaded, start + (i * R + k) * lanes));
        }
        butterflies(&mut registers);
        for (k, register) in registers.into_iter().enumerate() {
            register.store(&mut part[k * lanes..]);
        }
    }
}

/// All levels among the lanes of a register.
#[inline(always)]
fn within<T: Element, V: Vector>(simd: V, mut x: T::Lanes<V>) -> T::Lanes<V> {
    let lanes = T::Lanes::<V>::LANES;
    if lanes > 1 {
        x = level::<T, V, 1>(simd, x);
    }
    if lanes > 2 {
        x = level::<T, V, 2>(simd, x);
    }
    if lanes > 4 {
        x = level::<T, V, 4>(simd, x);
    }
    if lanes > 8 {
        x = level::<T, V, 8>(simd, x);
    }
    x
}

/// Lanes `H` apart: x + y in the lower, x - y in the upper. The exchange through an array compiles to one instruction, and the
/// product with 1 or -1 is exact, fused or not.
#[inline(always)]
fn level<T: Element, V: Vector, const H: usize>(simd: V, x: T::Lanes<V>) -> T::Lanes<V> {
    let (mut from, mut exchanged, mut sign) =
        ([T::default(); MAX_LANES], [T::default(); MAX_LANES], [T::default(); MAX_LANES]);
    x.store(&mut from);
    for i in 0..T::Lanes::<V>::LANES {
        exchanged[i] = from[i ^ H];
        sign[i] = T::from_f64(if i & H == 0 { 1.0 } else { -1.0 });
    }
    x.mul_add(T::Lanes::<V>::load(simd, &sign), T::Lanes::<V>::load(simd, &exchanged))
}

/// All levels among `R` registers.
#[inline(always)]
fn butterflies<L: Copy + Add<Output = L> + Sub<Output = L>, const R: usize>(x: &mut [L; R]) {
    let mut h = 1;
    while h < R {
        for i in 0..R {
            if i & h == 0 {
                (x[i], x[i + h]) = (x[i] + x[i + h], x[i] - x[i + h]);
            }
        }
        h *= 2;
    }
}

/// One level over the whole of `x`.
#[inline(always)]
fn radix_2<T: Element, V: Vector>(simd: V, x: &mut [T]) {
    let lanes = T::Lanes::<V>::LANES;
    let (a, b) = halves(x);
    for (a, b) in a.chunks_exact_mut(lanes).zip(b.chunks_exact_mut(lanes)) {
        together::<T, V, 2>(simd, [a, b]);
    }
}

/// The two highest levels of `x`.
#[inline(always)]
fn radix_4<T: Element, V: Vector>(simd: V, x: &mut [T]) {
    let lanes = T::Lanes::<V>::LANES;
    let (low, high) = halves(x);
    let ((a, b), (c, d)) = (halves(low), halves(high));
    let low = a.chunks_exact_mut(lanes).zip(b.chunks_exact_mut(lanes));
    let high = c.chunks_exact_mut(lanes).zip(d.chunks_exact_mut(lanes));
    for ((a, b), (c, d)) in low.zip(high) {
        together::<T, V, 4>(simd, [a, b, c, d]);
    }
}

/// The three highest levels of `x`.
#[inline(always)]
fn radix_8<T: Element, V: Vector>(simd: V, x: &mut [T]) {
    let lanes = T::Lanes::<V>::LANES;
    let (low, high) = halves(x);
    let ((ab, cd), (ef, gh)) = (halves(low), halves(high));
    let ((a, b), (c, d), (e, f), (g, h)) = (halves(ab), halves(cd), halves(ef), halves(gh));
    let ab = a.chunks_exact_mut(lanes).zip(b.chunks_exact_mut(lanes));
    let cd = c.chunks_exact_mut(lanes).zip(d.chunks_exact_mut(lanes));
    let ef = e.chunks_exact_mut(lanes).zip(f.chunks_exact_mut(lanes));
    let gh = g.chunks_exact_mut(lanes).zip(h.chunks_exact_mut(lanes));
    for (((a, b), (c, d)), ((e, f), (g, h))) in ab.zip(cd).zip(ef.zip(gh)) {
        together::<T, V, 8>(simd, [a, b, c, d, e, f, g, h]);
    }
}

#[inline(always)]
fn halves<T>(x: &mut [T]) -> (&mut [T], &mut [T]) {
    x.split_at_mut(x.len() / 2)
}

/// All levels among `R` registers in memory.
#[inline(always)]
fn together<T: Element, V: Vector, const R: usize>(simd: V, mut parts: [&mut [T]; R]) {
    let mut registers = [T::Lanes::<V>::splat(simd, T::default()); R];
    for (register, part) in registers.iter_mut().zip(&parts) {
        *register = T::Lanes::<V>::load(simd, part);
    }
    butterflies(&mut registers);
    for (register, part) in registers.into_iter().zip(&mut parts) {
        register.store(part);
    }
}
