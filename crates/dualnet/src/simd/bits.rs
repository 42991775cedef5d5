//! What the vector functions need beyond arithmetic: the binary representation of the lanes.

use super::coefficients::Tables;
use super::isa::Vector;
use super::lanes::{F32s, F64s};
use super::real::Real;

/// A register whose lanes are binary floating point numbers.
pub(super) trait Bits: Real {
    /// The type of a lane.
    type Scalar: Tables;
    /// 3/2 of the power of two from which on all numbers are integers, even ones beyond: adding it rounds to the
    /// nearest integer and leaves that integer, in two's complement, in the low bits.
    const ROUND: f64;
    /// The exponent of 1 as it is stored.
    const BIAS: f64;
    /// Where e^x certainly is 0, and where it certainly is infinite; 2^(n/2) is normal for every n between.
    const EXP_RANGE: (f64, f64);
    /// Are multiples of the first two pieces of pi / 2 by n < 2^20 exact?
    const EXACT_PRODUCTS: bool;
    /// Largest argument of the vector reduction modulo pi / 2.
    const TRIG_LIMIT: f64;
    /// From here on erf rounds to 1.
    const ERF_END: f64;
    /// The least positive number.
    const LEAST: f64;
    /// The largest finite number.
    const LARGEST: f64;

    /// `self * a + b` with one rounding for `f32` everywhere; for `f64` as [`Real::mul_add`], so products must be exact.
    fn fused(self, a: Self, b: Self) -> Self;
    /// `self * 2^n` for integers n; gradual underflow, infinite on overflow. `self` is within [1/2, 2].
    fn scale(self, n: Self) -> Self;
    /// `2^self` for an integer that gives a normal number; 0 for the least of them less one.
    fn pow2(self) -> Self;
    /// m in [sqrt(1/2), sqrt 2) and an integer k with `self = m 2^k`, for positive finite numbers.
    fn split_exponent(self) -> (Self, Self);
    /// The sign bit alone.
    fn sign(self) -> Self;
    /// Exclusive or of all bits.
    fn xor(self, bits: Self) -> Self;
    /// Is the sign bit set?
    fn is_negative(self) -> Self::Mask;
    /// Is the lowest bit set?
    fn is_odd(self) -> Self::Mask;
    /// Bit 1, moved to where the sign is, all others clear.
    fn bit_one_as_sign(self) -> Self;
    /// Is any lane of the mask set?
    fn any(mask: Self::Mask) -> bool;
    /// Sine, lane by lane.
    fn sin_by_lane(self) -> Self;
    /// Cosine, lane by lane.
    fn cos_by_lane(self) -> Self;

    /// The integer nearest to `self * factor`, and the same one with [`Bits::ROUND`] added.
    #[inline(always)]
    fn round_multiple(self, factor: f64) -> (Self, Self) {
        let shifted = self.mul_add(self.lit(factor), self.lit(Self::ROUND));
        (shifted - Self::ROUND, shifted)
    }
}

macro_rules! bits {
    ($name:ident, $t:ident, $u:ident, mantissa $mantissa:literal, exponents $biggest:literal, sqrt_half $sqrt_half:expr,
     range $range:expr, trig $trig:expr, erf $erf:expr, fused $fused:ident, scale $scale:ident, any $any:ident,
     shl $shl:ident, shr $shr:ident, splat $splat:ident $splat_u:ident, to_bits $to:ident, from_bits $from:ident,
     $add:ident $and:ident $or:ident $equal:ident, float $fand:ident $fxor:ident,
     signed $as_signed:ident $less:ident $splat_i:ident) => {
        impl<V: Vector> Bits for $name<V> {
            type Scalar = $t;
            const ROUND: f64 = 1.5 * (1u64 << $mantissa) as f64;
            const BIAS: f64 = $biggest as f64;
            const EXP_RANGE: (f64, f64) = $range;
            const EXACT_PRODUCTS: bool = $mantissa >= 52;
            const TRIG_LIMIT: f64 = $trig;
            const ERF_END: f64 = $erf;
            const LEAST: f64 = $t::from_bits(1) as f64;
            const LARGEST: f64 = $t::MAX as f64;

            #[inline(always)]
            fn fused(self, a: Self, b: Self) -> Self {
                Self(self.0, self.0.$fused(self.1, a.1, b.1))
            }
            #[inline(always)]
            fn scale(self, n: Self) -> Self {
                Self(self.0, self.0.$scale(self.1, n.1))
            }
            #[inline(always)]
            fn pow2(self) -> Self {
                let v = self.0;
                let biased = self + (Self::ROUND + Self::BIAS);
                Self(v, v.$from(v.$shl::<$mantissa>(v.$to(biased.1))))
            }
            #[inline(always)]
            fn split_exponent(self) -> (Self, Self) {
                let v = self.0;
                let tiny = self.lt(self.lit($t::MIN_POSITIVE as f64));
                let x = Self::select(tiny, self * (1u64 << $mantissa) as f64, self);
                let moved = Self::select(tiny, self.lit(f64::from($mantissa)), self.lit(0.0));
                // Moves sqrt(1/2) to a power of two, so that the exponent changes there.
                let half: $u = ($sqrt_half as $t).to_bits();
                let one: $u = (1.0 as $t).to_bits();
                let shifted = v.$add(v.$to(x.1), v.$splat_u(one - half));
                let fraction = v.$and(shifted, v.$splat_u((1 << $mantissa) - 1));
                let m = v.$from(v.$add(fraction, v.$splat_u(half)));
                // An integer in the low bits of 2^mantissa is that integer added to it.
                let base = (1u64 << $mantissa) as $t;
                let k = v.$from(v.$or(v.$shr::<$mantissa>(shifted), v.$splat_u(base.to_bits())));
                (Self(v, m), Self(v, k) - (f64::from(base) + Self::BIAS) - moved)
            }
            #[inline(always)]
            fn sign(self) -> Self {
                Self(self.0, self.0.$fand(self.1, self.0.$splat(-0.0)))
            }
            #[inline(always)]
            fn xor(self, bits: Self) -> Self {
                Self(self.0, self.0.$fxor(self.1, bits.1))
            }
            #[inline(always)]
            fn is_negative(self) -> Self::Mask {
                let v = self.0;
                (v, v.$less(v.$as_signed(v.$to(self.1)), v.$splat_i(0)))
            }
            #[inline(always)]
            fn is_odd(self) -> Self::Mask {
                let v = self.0;
                let one = v.$splat_u(1);
                (v, v.$equal(v.$and(v.$to(self.1), one), one))
            }
            #[inline(always)]
            fn bit_one_as_sign(self) -> Self {
                let v = self.0;
                Self(v, v.$from(v.$shl::<{ $u::BITS - 2 }>(v.$to(self.1)))).sign()
            }
            #[inline(always)]
            fn any(mask: Self::Mask) -> bool {
                mask.0.$any(mask.1)
            }
            #[inline(always)]
            fn sin_by_lane(self) -> Self {
                self.map($t::sin)
            }
            #[inline(always)]
            fn cos_by_lane(self) -> Self {
                self.map($t::cos)
            }
        }
    };
}

bits!(
    F32s, f32, u32, mantissa 23, exponents 127, sqrt_half std::f32::consts::FRAC_1_SQRT_2,
    range (-104.5, 89.0), trig 1e5, erf 3.95, fused fused_f32s, scale scale_f32s, any any_m32s,
    shl shl_u32s, shr shr_u32s, splat splat_f32s splat_u32s, to_bits transmute_u32s_f32s, from_bits transmute_f32s_u32s,
    add_u32s and_u32s or_u32s equal_u32s, float and_f32s xor_f32s,
    signed transmute_i32s_u32s less_than_i32s splat_i32s
);
bits!(
    F64s, f64, u64, mantissa 52, exponents 1023, sqrt_half std::f64::consts::FRAC_1_SQRT_2,
    range (-746.0, 710.0), trig 1e6, erf 5.95, fused mul_add_e_f64s, scale scale_f64s, any any_m64s,
    shl shl_u64s, shr shr_u64s, splat splat_f64s splat_u64s, to_bits transmute_u64s_f64s, from_bits transmute_f64s_u64s,
    add_u64s and_u64s or_u64s equal_u64s, float and_f64s xor_f64s,
    signed transmute_i64s_u64s less_than_i64s splat_i64s
);
