//! From products with G to features, on registers: one exponential, one sine and one cosine for each complex feature.
//!
//! What runs on a register is a method marked `#[inline(always)]`, not a closure: closures cannot be marked, and one that the compiler
//! chose to call would run without the instruction set.

use super::atoms::Columns;
use super::map::Form;
use crate::features::TILE;
use crate::kernel::Float;
use crate::linalg::MatRef;
use crate::simd::{Kernel, Lanes, Real, Vector};

type Register<T, V> = <T as crate::simd::Element>::Lanes<V>;

/// Turns the products in the first m of each `stride` entries of `out` into Re Phi, and fills the next m with Im Phi.
pub(super) struct PhiPass<'a, T> {
    pub columns: &'a Columns<T>,
    pub x: MatRef<'a, T>,
    pub out: &'a mut [T],
    pub stride: usize,
    pub m: usize,
}

impl<T: Float> Kernel for PhiPass<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { columns, x, out, stride, m } = self;
        for (i, row) in out.chunks_mut(stride).take(TILE).enumerate() {
            match columns.form {
                Form::Unbiased => {
                    let square = Register::<T, V>::splat(simd, square_length(x.row(i)));
                    fill(simd, &mut row[..2 * m], &Growing::<T, V> { columns, square });
                }
                Form::Bounded => fill(simd, &mut row[..2 * m], &Waves { columns }),
            }
        }
    }
}

/// As [`PhiPass`] for parameters: `x` has the weights and then the bias in each row. Im Psi gets a minus sign, so that the plain
/// dot product of two rows of real numbers is the real part of the complex one.
pub(super) struct PsiPass<'a, T> {
    pub columns: &'a Columns<T>,
    pub x: MatRef<'a, T>,
    pub out: &'a mut [T],
    pub stride: usize,
    pub m: usize,
}

impl<T: Float> Kernel for PsiPass<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { columns, x, out, stride, m } = self;
        let d = x.cols() - 1;
        for (i, row) in out.chunks_mut(stride).take(TILE).enumerate() {
            let square = Register::<T, V>::splat(simd, square_length(&x.row(i)[..d]));
            let bias = Register::<T, V>::splat(simd, x.row(i)[d]);
            fill(simd, &mut row[..2 * m], &Parameters::<T, V> { columns, square, bias });
        }
    }
}

/// One row: from products to features.
trait Row<T: Float, V: Vector> {
    /// Both parts of the features whose first column is `j`.
    fn feature(&self, simd: V, product: Register<T, V>, j: usize) -> (Register<T, V>, Register<T, V>);
}

/// Phi with its exponential.
struct Growing<'a, T: Float, V: Vector> {
    columns: &'a Columns<T>,
    square: Register<T, V>,
}

impl<T: Float, V: Vector> Row<T, V> for Growing<'_, T, V> {
    #[inline(always)]
    fn feature(&self, simd: V, product: Register<T, V>, j: usize) -> (Register<T, V>, Register<T, V>) {
        let c = self.columns;
        let size = at(simd, &c.growth, j).mul_add(self.square, at(simd, &c.level, j)).exp();
        let (sin, cos) = (product * at(simd, &c.turn, j)).sin_cos();
        (size * cos, size * sin)
    }
}

/// Phi of the bounded form.
struct Waves<'a, T> {
    columns: &'a Columns<T>,
}

impl<T: Float, V: Vector> Row<T, V> for Waves<'_, T> {
    #[inline(always)]
    fn feature(&self, simd: V, product: Register<T, V>, j: usize) -> (Register<T, V>, Register<T, V>) {
        let size = at(simd, &self.columns.size, j);
        let (sin, cos) = (product * at(simd, &self.columns.turn, j)).sin_cos();
        (size * cos, size * sin)
    }
}

/// Psi.
struct Parameters<'a, T: Float, V: Vector> {
    columns: &'a Columns<T>,
    square: Register<T, V>,
    bias: Register<T, V>,
}

impl<T: Float, V: Vector> Row<T, V> for Parameters<'_, T, V> {
    #[inline(always)]
    fn feature(&self, simd: V, product: Register<T, V>, j: usize) -> (Register<T, V>, Register<T, V>) {
        let c = self.columns;
        let exponent = product.mul_add(at(simd, &c.reach, j), at(simd, &c.level, j));
        let size = (exponent - at(simd, &c.decay, j) * self.square).exp();
        let (sin, cos) = (at(simd, &c.frequency, j) * self.bias).sin_cos();
        let (u, v) = (at(simd, &c.re, j), at(simd, &c.im, j));
        (size * (u * cos - v * sin), -(size * (u * sin + v * cos)))
    }
}

/// A register of a column of constants.
#[inline(always)]
fn at<T: Float, V: Vector>(simd: V, column: &[T], j: usize) -> Register<T, V> {
    Register::<T, V>::load(simd, &column[j..])
}

/// Runs over the registers of a row (re, im): from the products in re to both parts. The last register may be part of one.
#[inline(always)]
fn fill<T: Float, V: Vector>(simd: V, row: &mut [T], features: &impl Row<T, V>) {
    let (re, im) = row.split_at_mut(row.len() / 2);
    let lanes = <Register<T, V> as Lanes<V, T>>::LANES;
    let whole = re.len() - re.len() % lanes;
    for j in (0..whole).step_by(lanes) {
        let (u, v) = features.feature(simd, at(simd, re, j), j);
        u.store(&mut re[j..]);
        v.store(&mut im[j..]);
    }
    let rest = re.len() - whole;
    if rest > 0 {
        let mut part = [T::default(); 16];
        part[..rest].copy_from_slice(&re[whole..]);
        let (u, v) = features.feature(simd, at(simd, &part, 0), whole);
        u.store(&mut part);
        re[whole..].copy_from_slice(&part[..rest]);
        v.store(&mut part);
        im[whole..].copy_from_slice(&part[..rest]);
    }
}

/// |x|^2 in double precision, in a fixed order: eight running sums, so that the loop can use registers.
#[inline(always)]
fn square_length<T: Float>(x: &[T]) -> T {
    let mut sums = [0.0; 8];
    let chunks = x.chunks_exact(8);
    for (sum, x) in sums.iter_mut().zip(chunks.remainder()) {
        *sum = x.to_f64() * x.to_f64();
    }
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x.to_f64() * x.to_f64();
        }
    }
    T::from_f64(sums.iter().sum())
}
