//! Instruction sets, chosen at run time.

use pulp::{NullaryFnOnce, Scalar, Simd};

/// An instruction set this program can run.
///
/// ```
/// use dualnet::simd::Isa;
/// let best = Isa::best();
/// assert!(Isa::available().contains(&best));
/// assert!(Isa::available().contains(&Isa::Portable));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// x86-64-v4: 512-bit registers with masks.
    Avx512,
    /// x86-64-v3: 256-bit registers with fused multiply-add.
    Avx2,
    /// Plain scalar code, on any machine.
    Portable,
}

/// What runs on the instruction set that was chosen: a function object generic in it.
///
/// ```
/// use dualnet::simd::{Isa, Kernel, Lanes, Element, Real, Vector};
///
/// /// Angles between unit vectors whose products are `1 - d`; as many as registers hold.
/// struct Angles<'a>(&'a mut [f32]);
///
/// impl Kernel for Angles<'_> {
///     type Output = ();
///     #[inline(always)]
///     fn run<V: Vector>(self, simd: V) {
///         type Register<V> = <f32 as Element>::Lanes<V>;
///         for d in self.0.chunks_exact_mut(Register::<V>::LANES) {
///             Register::<V>::load(simd, d).acos_one_minus().store(d);
///         }
///     }
/// }
///
/// let mut d = [0.5f32; 64];
/// Isa::best().run(Angles(&mut d));
/// assert!(d.iter().all(|angle| (angle - std::f32::consts::FRAC_PI_3).abs() < 2e-7));
/// ```
pub trait Kernel {
    /// What it gives back.
    type Output;
    /// Runs with registers of `V`.
    ///
    /// Where many short runs follow one another, implement it for `&mut` of a large function object: moving the object reads back in wide
    /// registers what was just written field by field, and waits until all stores before have reached the cache (30 ns a run).
    ///
    /// Implementations, and every function they hand registers to, are `#[inline(always)]`: what is not inlined into
    /// the entry point is compiled without its instruction set and runs some fifty times slower.
    fn run<V: Vector>(self, simd: V) -> Self::Output;
}

/// The instruction sets behind [`Isa`], with what `pulp::Simd` does not offer.
pub trait Vector: Simd {
    /// `bits << AMOUNT` in each 64-bit lane.
    fn shl_u64s<const AMOUNT: u32>(self, bits: Self::u64s) -> Self::u64s;
    /// `bits >> AMOUNT` in each 64-bit lane.
    fn shr_u64s<const AMOUNT: u32>(self, bits: Self::u64s) -> Self::u64s;
    /// `bits << AMOUNT` in each 32-bit lane.
    #[inline(always)]
    fn shl_u32s<const AMOUNT: u32>(self, bits: Self::u32s) -> Self::u32s {
        self.wrapping_dyn_shl_u32s(bits, self.splat_u32s(AMOUNT))
    }
    /// `bits >> AMOUNT` in each 32-bit lane.
    #[inline(always)]
    fn shr_u32s<const AMOUNT: u32>(self, bits: Self::u32s) -> Self::u32s {
        self.wrapping_dyn_shr_u32s(bits, self.splat_u32s(AMOUNT))
    }
    /// The lanes of `a`, then those of `b`: those in even places and those in odd places.
    fn unzip_f32s(self, a: Self::f32s, b: Self::f32s) -> (Self::f32s, Self::f32s);
    /// The lanes of `a`, then those of `b`: those in even places and those in odd places.
    fn unzip_f64s(self, a: Self::f64s, b: Self::f64s) -> (Self::f64s, Self::f64s);
    /// Is any lane set?
    fn any_m32s(self, mask: Self::m32s) -> bool;
    /// Is any lane set?
    fn any_m64s(self, mask: Self::m64s) -> bool;
    /// The smaller of both, `b` where either is NaN.
    #[inline(always)]
    fn lesser_f32s(self, a: Self::f32s, b: Self::f32s) -> Self::f32s {
        self.min_f32s(a, b)
    }
    /// The smaller of both, `b` where either is NaN.
    #[inline(always)]
    fn lesser_f64s(self, a: Self::f64s, b: Self::f64s) -> Self::f64s {
        self.min_f64s(a, b)
    }
    /// The larger of both, `b` where either is NaN.
    #[inline(always)]
    fn greater_f32s(self, a: Self::f32s, b: Self::f32s) -> Self::f32s {
        self.max_f32s(a, b)
    }
    /// The larger of both, `b` where either is NaN.
    #[inline(always)]
    fn greater_f64s(self, a: Self::f64s, b: Self::f64s) -> Self::f64s {
        self.max_f64s(a, b)
    }
    /// `a b + c` with one rounding, cheaply (without fused instructions by way of `f64`).
    #[inline(always)]
    fn fused_f32s(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s {
        self.mul_add_f32s(a, b, c)
    }
    /// `x 2^n` for integers |n| <= 252.
    #[inline(always)]
    fn scale_f32s(self, x: Self::f32s, n: Self::f32s) -> Self::f32s {
        // 2^n may be out of range where the product is not: two factors, each normal.
        let shift = self.splat_f32s(SHIFT_F32);
        let first = self.mul_add_e_f32s(n, self.splat_f32s(0.5), shift);
        let second = self.add_f32s(n, self.sub_f32s(self.splat_f32s(2.0 * SHIFT_F32), first));
        let first = self.transmute_f32s_u32s(self.shl_u32s::<23>(self.transmute_u32s_f32s(first)));
        let second = self.transmute_f32s_u32s(self.shl_u32s::<23>(self.transmute_u32s_f32s(second)));
        self.mul_f32s(self.mul_f32s(x, first), second)
    }
    /// `x 2^n` for integers |n| <= 2044.
    #[inline(always)]
    fn scale_f64s(self, x: Self::f64s, n: Self::f64s) -> Self::f64s {
        let shift = self.splat_f64s(SHIFT_F64);
        let first = self.mul_add_e_f64s(n, self.splat_f64s(0.5), shift);
        let second = self.add_f64s(n, self.sub_f64s(self.splat_f64s(2.0 * SHIFT_F64), first));
        let first = self.transmute_f64s_u64s(self.shl_u64s::<52>(self.transmute_u64s_f64s(first)));
        let second = self.transmute_f64s_u64s(self.shl_u64s::<52>(self.transmute_u64s_f64s(second)));
        self.mul_f64s(self.mul_f64s(x, first), second)
    }
}

/// Added to an integer n: the exponent of 2^n, as it is stored, in the low bits.
const SHIFT_F32: f32 = 12582912.0 + 127.0;
/// The same in double precision.
const SHIFT_F64: f64 = 6755399441055744.0 + 1023.0;

impl Isa {
    /// The widest one this machine has.
    pub fn best() -> Isa {
        Self::available()[0]
    }

    /// All that this machine has, widest first; [`Isa::Portable`] is always among them.
    pub fn available() -> Vec<Isa> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if pulp::x86::V4::try_new().is_some() {
                found.push(Isa::Avx512);
            }
            if pulp::x86::V3::try_new().is_some() {
                found.push(Isa::Avx2);
            }
        }
        found.push(Isa::Portable);
        found
    }

    /// Runs `kernel` compiled for this instruction set, or for [`Isa::Portable`] where the machine lacks it.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        match self {
            Isa::Avx512 => {
                if let Some(simd) = pulp::x86::V4::try_new() {
                    return simd.vectorize(Call { simd, kernel });
                }
            }
            Isa::Avx2 => {
                if let Some(simd) = pulp::x86::V3::try_new() {
                    return simd.vectorize(Call { simd, kernel });
                }
            }
            Isa::Portable => {}
        }
        kernel.run(Scalar)
    }
}

struct Call<V, K> {
    simd: V,
    kernel: K,
}

impl<V: Vector, K: Kernel> NullaryFnOnce for Call<V, K> {
    type Output = K::Output;
    #[inline(always)]
    fn call(self) -> K::Output {
        self.kernel.run(self.simd)
    }
}

/// Lanes 0, 2, 4, ... of two registers, counted on.
#[cfg(target_arch = "x86_64")]
const EVEN_16: [u32; 16] = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30];
#[cfg(target_arch = "x86_64")]
const ODD_16: [u32; 16] = [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31];
#[cfg(target_arch = "x86_64")]
const EVEN_8: [u64; 8] = [0, 2, 4, 6, 8, 10, 12, 14];
#[cfg(target_arch = "x86_64")]
const ODD_8: [u64; 8] = [1, 3, 5, 7, 9, 11, 13, 15];

#[cfg(target_arch = "x86_64")]
impl Vector for pulp::x86::V4 {
    #[inline(always)]
    fn unzip_f32s(self, a: Self::f32s, b: Self::f32s) -> (Self::f32s, Self::f32s) {
        let (a, b) = (pulp::cast(a), pulp::cast(b));
        let even = self.avx512f._mm512_permutex2var_ps(a, pulp::cast(EVEN_16), b);
        let odd = self.avx512f._mm512_permutex2var_ps(a, pulp::cast(ODD_16), b);
        (pulp::cast(even), pulp::cast(odd))
    }
    #[inline(always)]
    fn unzip_f64s(self, a: Self::f64s, b: Self::f64s) -> (Self::f64s, Self::f64s) {
        let (a, b) = (pulp::cast(a), pulp::cast(b));
        let even = self.avx512f._mm512_permutex2var_pd(a, pulp::cast(EVEN_8), b);
        let odd = self.avx512f._mm512_permutex2var_pd(a, pulp::cast(ODD_8), b);
        (pulp::cast(even), pulp::cast(odd))
    }
    #[inline(always)]
    fn shl_u64s<const AMOUNT: u32>(self, bits: Self::u64s) -> Self::u64s {
        self.shl_dyn_u64x8(bits, self.splat_u64x8(u64::from(AMOUNT)))
    }
    #[inline(always)]
    fn shr_u64s<const AMOUNT: u32>(self, bits: Self::u64s) -> Self::u64s {
        self.shr_dyn_u64x8(bits, self.splat_u64x8(u64::from(AMOUNT)))
    }
    #[inline(always)]
    fn any_m32s(self, mask: Self::m32s) -> bool {
        mask.0 != 0
    }
    #[inline(always)]
    fn any_m64s(self, mask: Self::m64s) -> bool {
        mask.0 != 0
    }
    #[inline(always)]
    fn scale_f32s(self, x: Self::f32s, n: Self::f32s) -> Self::f32s {
        pulp::cast(self.avx512f._mm512_scalef_ps(pulp::cast(x), pulp::cast(n)))
    }
    #[inline(always)]
    fn scale_f64s(self, x: Self::f64s, n: Self::f64s) -> Self::f64s {
        pulp::cast(self.avx512f._mm512_scalef_pd(pulp::cast(x), pulp::cast(n)))
    }
}

#[cfg(target_arch = "x86_64")]
impl Vector for pulp::x86::V3 {
    #[inline(always)]
    fn unzip_f32s(self, a: Self::f32s, b: Self::f32s) -> (Self::f32s, Self::f32s) {
        let (a, b) = (pulp::cast(a), pulp::cast(b));
        // Within halves of registers first, then pairs of lanes put in order.
        let even = self.avx._mm256_shuffle_ps::<0b10_00_10_00>(a, b);
        let odd = self.avx._mm256_shuffle_ps::<0b11_01_11_01>(a, b);
        let even = self.avx2._mm256_permute4x64_pd::<0b11_01_10_00>(pulp::cast(even));
        let odd = self.avx2._mm256_permute4x64_pd::<0b11_01_10_00>(pulp::cast(odd));
        (pulp::cast(even), pulp::cast(odd))
    }
    #[inline(always)]
    fn unzip_f64s(self, a: Self::f64s, b: Self::f64s) -> (Self::f64s, Self::f64s) {
        let (a, b) = (pulp::cast(a), pulp::cast(b));
        let even = self.avx2._mm256_permute4x64_pd::<0b11_01_10_00>(self.avx._mm256_unpacklo_pd(a, b));
        let odd = self.avx2._mm256_permute4x64_pd::<0b11_01_10_00>(self.avx._mm256_unpackhi_pd(a, b));
        (pulp::cast(even), pulp::cast(odd))
    }
    #[inline(always)]
    fn shl_u64s<const AMOUNT: u32>(self, bits: Self::u64s) -> Self::u64s {
        self.shl_dyn_u64x4(bits, self.splat_u64x4(u64::from(AMOUNT)))
    }
    #[inline(always)]
    fn shr_u64s<const AMOUNT: u32>(self, bits: Self::u64s) -> Self::u64s {
        self.shr_dyn_u64x4(bits, self.splat_u64x4(u64::from(AMOUNT)))
    }
    #[inline(always)]
    fn any_m32s(self, mask: Self::m32s) -> bool {
        self.avx._mm256_movemask_ps(pulp::cast(mask)) != 0
    }
    #[inline(always)]
    fn any_m64s(self, mask: Self::m64s) -> bool {
        self.avx._mm256_movemask_pd(pulp::cast(mask)) != 0
    }
}

impl Vector for Scalar {
    #[inline(always)]
    fn unzip_f32s(self, a: f32, b: f32) -> (f32, f32) {
        (a, b)
    }
    #[inline(always)]
    fn unzip_f64s(self, a: f64, b: f64) -> (f64, f64) {
        (a, b)
    }
    #[inline(always)]
    fn shl_u64s<const AMOUNT: u32>(self, bits: u64) -> u64 {
        bits << AMOUNT
    }
    #[inline(always)]
    fn shr_u64s<const AMOUNT: u32>(self, bits: u64) -> u64 {
        bits >> AMOUNT
    }
    #[inline(always)]
    fn any_m32s(self, mask: bool) -> bool {
        mask
    }
    #[inline(always)]
    fn any_m64s(self, mask: bool) -> bool {
        mask
    }
    // `f32::min` and its kin give the number where the other is NaN; the instructions of x86 do not.
    #[inline(always)]
    fn lesser_f32s(self, a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn lesser_f64s(self, a: f64, b: f64) -> f64 {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn greater_f32s(self, a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn greater_f64s(self, a: f64, b: f64) -> f64 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn fused_f32s(self, a: f32, b: f32, c: f32) -> f32 {
        // The product is exact in double precision.
        (f64::from(a) * f64::from(b) + f64::from(c)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Element, Lanes};

    struct Unzip<'a, T>(&'a [T], &'a mut [T]);

    impl<T: Element> Kernel for Unzip<'_, T> {
        type Output = usize;
        #[inline(always)]
        fn run<V: Vector>(self, simd: V) -> usize {
            let lanes = <T::Lanes<V> as Lanes<V, T>>::LANES;
            let low = T::Lanes::<V>::load(simd, self.0);
            let (even, odd) = low.unzip(T::Lanes::<V>::load(simd, &self.0[lanes..]));
            even.store(self.1);
            odd.store(&mut self.1[lanes..]);
            lanes
        }
    }

    fn unzips<T: Element>() {
        let from: Vec<T> = (0..32).map(|i| T::from_f64(f64::from(i))).collect();
        for isa in Isa::available() {
            let mut to = vec![T::default(); 32];
            let lanes = isa.run(Unzip(&from, &mut to));
            for i in 0..lanes {
                assert_eq!((to[i], to[lanes + i]), (from[2 * i], from[2 * i + 1]), "{isa:?}");
            }
        }
    }

    #[test]
    fn unzip_takes_even_and_odd_places_apart() {
        unzips::<f32>();
        unzips::<f64>();
    }
}
