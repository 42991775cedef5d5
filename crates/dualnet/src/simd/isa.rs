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
pub trait Kernel {
    /// What it gives back.
    type Output;
    /// Runs with registers of `V`.
    fn run<V: Vector>(self, simd: V) -> Self::Output;
}

/// The instruction sets behind [`Isa`], with what `pulp::Simd` does not offer.
pub trait Vector: Simd {
    /// `bits << AMOUNT` in each 64-bit lane.
    fn shl_u64s<const AMOUNT: u32>(self, bits: Self::u64s) -> Self::u64s;
}

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

#[cfg(target_arch = "x86_64")]
impl Vector for pulp::x86::V4 {
    #[inline(always)]
    fn shl_u64s<const AMOUNT: u32>(self, bits: Self::u64s) -> Self::u64s {
        self.shl_dyn_u64x8(bits, self.splat_u64x8(u64::from(AMOUNT)))
    }
}

#[cfg(target_arch = "x86_64")]
impl Vector for pulp::x86::V3 {
    #[inline(always)]
    fn shl_u64s<const AMOUNT: u32>(self, bits: Self::u64s) -> Self::u64s {
        self.shl_dyn_u64x4(bits, self.splat_u64x4(u64::from(AMOUNT)))
    }
}

impl Vector for Scalar {
    #[inline(always)]
    fn shl_u64s<const AMOUNT: u32>(self, bits: u64) -> u64 {
        bits << AMOUNT
    }
}
