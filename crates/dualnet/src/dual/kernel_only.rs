//! Duals given by k alone: kdot follows from Price's theorem, kdot = dk/dc with p and q held fixed, by forward
//! differentiation. No activation needs to stand behind the kernel.

use super::{Constants, Dual, Image, Pair};
use crate::simd::{Jet, Real};
use std::fmt::Debug;

/// A kernel of covariance and variances, written over any [`Real`].
///
/// The formula is evaluated on numbers with derivatives; where a root or an angle makes its slope infinite (rho = 1, or a zero
/// variance) that slope counts as 0, as long as the formula goes through [`Real`]'s functions.
///
/// ```
/// use dualnet::dual::{DynDual, Pair, kernel_only::{KernelFormula, KernelOnly}};
/// use dualnet::simd::Real;
///
/// /// The arc-cosine kernel of ReLU: (s + c (pi - theta)) / (2 pi).
/// #[derive(Debug)]
/// struct ArcCosine;
/// impl KernelFormula for ArcCosine {
///     fn k<V: Real>(&self, c: V, p: V, q: V) -> V {
///         let s = (p * q - c * c).max(c.lit(0.0)).sqrt();
///         let angle = s.atan2(c);
///         (s + c * (-angle + std::f64::consts::PI)) * (0.5 / std::f64::consts::PI)
///     }
/// }
/// let pair = Pair { c: 0.6, p: 1.0, q: 4.0, sp: 1.0, sq: 2.0, delta: 0.7 };
/// let image = DynDual::pair(&KernelOnly::new(ArcCosine), pair);
/// // kdot = (pi - theta) / (2 pi) with cos(theta) = 0.3.
/// assert!((image.kdot - (0.5 - 0.3f64.acos() / (2.0 * std::f64::consts::PI))).abs() < 1e-15);
/// ```
///
/// ```
/// use dualnet::dual::{DynDual, Pair, kernel_only::{KernelFormula, KernelOnly}};
/// use dualnet::simd::Real;
///
/// /// The kernel of e^x: exp((p + q)/2 + c), which is its own derivative.
/// #[derive(Debug)]
/// struct Exponential;
/// impl KernelFormula for Exponential {
///     fn k<V: Real>(&self, c: V, p: V, q: V) -> V {
///         ((p + q) * 0.5 + c).exp()
///     }
/// }
/// let pair = Pair { c: -0.2, p: 1.0, q: 0.5, sp: 1.0, sq: 0.5f64.sqrt(), delta: 1.0 - 0.2 / 0.5f64.sqrt() };
/// let image = DynDual::pair(&KernelOnly::new(Exponential), pair);
/// assert!((image.k - 0.55f64.exp()).abs() < 1e-15);
/// assert_eq!(image.kdot, image.k);
/// ```
pub trait KernelFormula: Debug + Send + Sync + 'static {
    /// k(c, p, q), for |c| <= sqrt(p q). Must be positive semidefinite: that is not checked.
    fn k<V: Real>(&self, c: V, p: V, q: V) -> V;

    /// The variance map p -> k(p, p, p); override it where a shorter or more accurate form is known.
    fn variance(&self, p: f64) -> f64 {
        self.k(p, p, p)
    }

    /// See [`Dual::homogeneity`].
    fn homogeneity(&self) -> Option<u32> {
        None
    }
}

/// A [`KernelFormula`] as a [`Dual`]. Cost: one evaluation on numbers with derivatives, two to three times that of k.
///
/// 1 - |rho| is taken from k and loses half of the digits near 1; formulas that the next layer's kink must not disturb should
/// implement [`Dual`] themselves.
#[derive(Clone, Debug)]
pub struct KernelOnly<F> {
    formula: F,
}

impl<F: KernelFormula> KernelOnly<F> {
    /// The dual of `formula`.
    pub fn new(formula: F) -> Self {
        Self { formula }
    }
}

impl<F: KernelFormula> Dual for KernelOnly<F> {
    #[inline(always)]
    fn pair<V: Real, C: Constants<V>>(&self, x: Pair<V>, r: V, _constants: &C) -> Image<V> {
        let jet = self.formula.k(Jet::variable(x.c), Jet::constant(x.p), Jet::constant(x.q));
        Image::from_k(jet.value, finite_slope(jet.slope), r)
    }

    fn variance(&self, p: f64) -> f64 {
        self.formula.variance(p)
    }

    fn homogeneity(&self) -> Option<u32> {
        self.formula.homogeneity()
    }
}

/// 0 for an infinite slope and for the NaN of two that cancel.
#[inline(always)]
fn finite_slope<V: Real>(slope: V) -> V {
    let zero = slope.lit(0.0);
    let largest = slope.lit(if V::EPS > 1e-10 { f64::from(f32::MAX) } else { f64::MAX });
    // A comparison with NaN is false.
    let bounded = V::select(slope.lt(largest), slope, zero);
    V::select((-largest).lt(bounded), bounded, zero)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dual::DynDual;
    use std::f64::consts::PI;

    /// ReLU as its formula stands in the literature.
    #[derive(Debug)]
    struct ArcCosine;

    impl KernelFormula for ArcCosine {
        fn k<V: Real>(&self, c: V, p: V, q: V) -> V {
            let s = (p * q - c * c).max(c.lit(0.0)).sqrt();
            (s + c * (-s.atan2(c) + PI)) * (0.5 / PI)
        }
        fn homogeneity(&self) -> Option<u32> {
            Some(1)
        }
    }

    #[test]
    fn arc_cosine_agrees_with_the_closed_form() {
        let dual = KernelOnly::new(ArcCosine);
        for rho in [-0.999, -0.5, 0.0, 0.1, 0.7, 0.99999] {
            let (p, q) = (0.3f64, 2.0f64);
            let (sp, sq) = (p.sqrt(), q.sqrt());
            let image = DynDual::pair(&dual, Pair { c: rho * sp * sq, p, q, sp, sq, delta: 1.0 - f64::abs(rho) });
            let theta = rho.acos();
            let k = sp * sq * (theta.sin() + (PI - theta) * rho) / (2.0 * PI);
            assert!((image.k - k).abs() < 1e-15, "{rho}");
            assert!((image.kdot - (PI - theta) / (2.0 * PI)).abs() < 1e-11, "{rho}");
        }
        assert_eq!(DynDual::homogeneity(&dual), Some(1));
        assert!((DynDual::variance(&dual, 3.0) - 1.5).abs() < 1e-15);
    }

    #[test]
    fn singular_slopes_give_no_nan() {
        let dual = KernelOnly::new(ArcCosine);
        for (c, p, q) in [(1.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)] {
            let delta = if p * q == 0.0 { 1.0 } else { 0.0 };
            let image = DynDual::pair(&dual, Pair { c, p, q, sp: p, sq: q, delta });
            assert!(image.k.is_finite() && image.kdot.is_finite() && image.delta.is_finite(), "{c} {p} {q}: {image:?}");
        }
    }

    #[test]
    fn infinite_slopes_count_as_zero() {
        /// sqrt(1 - c): infinitely steep at 1.
        #[derive(Debug)]
        struct Root;
        impl KernelFormula for Root {
            fn k<V: Real>(&self, c: V, _p: V, _q: V) -> V {
                (-c + 1.0).sqrt()
            }
        }
        let image =
            DynDual::pair(&KernelOnly::new(Root), Pair { c: 1.0, p: 1.0, q: 1.0, sp: 1.0, sq: 1.0, delta: 0.0 });
        assert_eq!(image.kdot, 0.0);
    }
}
