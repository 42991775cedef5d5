//! Duals of activations: what a nonlinearity does to the covariance of two Gaussian pre-activations.
//!
//! For (u, v) ~ N(0, [[p, c], [c, q]]) and an activation phi,
//! k(c, p, q) = E\[phi(u) phi(v)\] and kdot(c, p, q) = E\[phi'(u) phi'(v)\] = dk/dc (Price's theorem).
//!
//! A dual is one formula over [`Real`] ([`Dual::pair`]); [`DynDual`] is its face without generics, which kernels call tile
//! by tile.

pub mod abrelu;
mod arcsine;
mod choose;
pub mod erf;
pub mod exp;
pub mod exp_normalized;
pub mod gabor;
pub mod gaussian;
pub mod gelu;
pub mod hermite;
pub mod hermite_power;
pub mod kernel_only;
pub mod numeric;
pub mod partials;
pub mod plane;
pub mod polynomial;
pub mod quadrature;
pub mod quadrature_rule;
pub mod rbf;
pub mod rectified_monomial;
pub mod sign;
pub mod sin;
pub mod tile;

use crate::simd::Real;
use std::fmt::Debug;

pub use choose::{closed_form, dual_of};
pub use numeric::{Precision, default_degree, numeric_dual};
pub use partials::{Partials, PartialsMut};
pub use plane::{PlaneMut, Points, ThreeRows};
pub use tile::{DynDual, Samples, Side, TileMut};

/// One pair of pre-activations, or a register of them.
#[derive(Clone, Copy, Debug)]
pub struct Pair<V> {
    /// Covariance.
    pub c: V,
    /// Variance of the first.
    pub p: V,
    /// Variance of the second.
    pub q: V,
    /// Standard deviations `sqrt(p)`, `sqrt(q)`.
    pub sp: V,
    /// See `sp`.
    pub sq: V,
    /// `1 - |rho|` in \[0, 1\] with rho = c / (sp sq); 1 where p q = 0. Carried through the layers because it cannot be
    /// recovered from `c` near |rho| = 1 (kernels.md, numerical rules).
    pub delta: V,
}

impl<V: Real> Pair<V> {
    /// r = sqrt(p) sqrt(q).
    #[inline(always)]
    pub fn r(&self) -> V {
        self.sp * self.sq
    }
    /// rho in \[-1, 1\]; signed as `c`. 0 where p q = 0.
    #[inline(always)]
    pub fn rho(&self) -> V {
        (self.delta.lit(1.0) - self.delta).copysign(self.c)
    }
    /// 1 - rho^2 without cancellation.
    #[inline(always)]
    pub fn sin2(&self) -> V {
        self.delta * (self.delta.lit(2.0) - self.delta)
    }
    /// The determinant p q - c^2 without cancellation.
    #[inline(always)]
    pub fn det(&self) -> V {
        let r = self.r();
        r * (r * self.sin2())
    }
    /// E\[(u - v)^2\] = p + q - 2c without cancellation.
    #[inline(always)]
    pub fn distance2(&self) -> V {
        let gap = self.sp - self.sq;
        let one_minus_rho = V::select(self.c.lt(self.c.lit(0.0)), self.c.lit(2.0) - self.delta, self.delta);
        gap.mul_add(gap, self.r() * one_minus_rho * 2.0)
    }
    /// theta = acos(rho) in \[0, pi\], accurate at both ends; pi/2 where p q = 0.
    #[inline(always)]
    pub fn theta(&self) -> V {
        let acute = self.delta.acos_one_minus();
        V::select(self.c.lt(self.c.lit(0.0)), acute.lit(std::f64::consts::PI) - acute, acute)
    }
}

/// What a dual makes of a [`Pair`].
#[derive(Clone, Copy, Debug)]
pub struct Image<V> {
    /// k = E\[phi(u) phi(v)\].
    pub k: V,
    /// kdot = dk/dc = E\[phi'(u) phi'(v)\].
    pub kdot: V,
    /// 1 - |k| / sqrt(k(p,p,p) k(q,q,q)), in \[0, 1\].
    pub delta: V,
}

impl<V: Real> Image<V> {
    /// With `delta` taken from `k` and `r = sqrt(k(p,p,p)) sqrt(k(q,q,q))`: exact enough where the activation is smooth and
    /// its input moderate; loses half of the digits at |rho| = 1, which the next kink would show.
    #[inline(always)]
    pub fn from_k(k: V, kdot: V, r: V) -> Self {
        let one = k.lit(1.0);
        // The smallest normal number of the precision: r = 0 (then k = 0 too) gives delta = 1.
        let tiny = k.lit(if V::EPS > 1e-10 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE });
        let delta = one - (k.abs() / r.max(tiny)).min(one);
        Self { k, kdot, delta }
    }
}

/// Constants that a dual keeps for each sample (e.g. Hermite coefficients at its variance), in registers.
pub trait Constants<V> {
    /// Constant `i` of the first of the pair.
    fn row(&self, i: usize) -> V;
    /// Constant `i` of the second of the pair.
    fn col(&self, i: usize) -> V;
}

/// A dual activation: one formula for single numbers and for registers, in both precisions.
///
/// `pair` may be evaluated on [`Jet`](crate::simd::Jet)s as well, which gives the partial derivatives of k and kdot in (c, p, q).
pub trait Dual: Debug + Send + Sync + 'static {
    /// k(c, p, q), kdot and the new 1-|rho|. `r = sqrt(k(p,p,p)) sqrt(k(q,q,q))` of the result is given; `constants` are those
    /// of [`Dual::constants`] for both samples.
    ///
    /// Finite for every finite valid pair, zero variances and |rho| = 1 included.
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, constants: &C) -> Image<V>;

    /// k and kdot alone, where no 1-|rho| is carried on: convolutions form it anew from `c`. May round differently from
    /// [`Dual::pair`], within the precision of a register.
    #[inline(always)]
    fn values<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, constants: &C) -> (V, V) {
        let image = self.pair(x, r, constants);
        (image.k, image.kdot)
    }

    /// The variance map p -> k(p, p, p).
    fn variance(&self, p: f64) -> f64;

    /// Number of constants kept for each sample.
    fn constants_len(&self) -> usize {
        0
    }

    /// Fills the constants of a sample with variance `p`.
    fn constants(&self, _p: f64, _out: &mut [f64]) {}

    /// Partial derivatives of k and kdot, by the conventions of [`partials`]; `slopes` are the constants of [`Dual::slope_constants`].
    /// `None` for every pair: not known, and kernels of nets with this dual have no gradients.
    #[inline(always)]
    fn partials<V: Real, C: Constants<V>>(
        &self,
        _x: Pair<V>,
        _r: V,
        _constants: &C,
        _slopes: &C,
    ) -> Option<Partials<V>> {
        None
    }

    /// Number of constants that [`Dual::partials`] wants of each sample besides.
    fn slope_constants_len(&self) -> usize {
        0
    }

    /// Fills these of a sample with variance `p`.
    fn slope_constants(&self, _p: f64, _out: &mut [f64]) {}

    /// Degree of homogeneity n if k(s^2 c, s^2 p, s^2 q) = s^(2n) k(c, p, q); `None` if not homogeneous.
    fn homogeneity(&self) -> Option<u32> {
        None
    }
}
