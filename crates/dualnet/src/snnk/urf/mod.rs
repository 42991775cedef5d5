//! Universal random features: f(w.x + b) for a function f with a Fourier transform, as a dot product of random features.
//!
//! With tau(xi) = int f(z) e^(-2 pi i xi z) dz and t = 2 pi xi,
//!
//! ```text
//! f(w.x + b) = E_xi [ (tau/q)(xi) e^(i t b) exp(xh . wh) ],   xh = i s t x,  wh = w / s,
//! exp(xh . wh) = E_g [ Lam_g(xh) Lam_g(wh) ],                 g ~ N(0, I),
//! ```
//!
//! so that one draw of (xi, g) is one complex feature (Scalable Neural Network Kernels, ICLR 2024, arXiv 2310.13225, section 3).
//!
//! - [`transform`]: tau of cos, sin, the Gaussian and sech; how xi is drawn ([`Spectrum`]).
//! - [`split`]: the scale s and the damping A of Lam ([`Estimator`]).
//! - [`map`]: the features, folded into real numbers ([`UrfMap`]).
//! - [`windowed`]: activations without a transform that can be sampled, as a Fourier series on a window ([`WindowedMap`]).
//! - [`moment`]: the predicted second moment and variance, and the error where they forbid the estimate.
//!
//! The second moment grows like e^(2 |t| |x| |w|): these features suit small norms, |x| |w| of a few units at most. For larger
//! ones [`moment::check`] gives an error, and features of another kind or a fit in closed form are the way.

mod atoms;
pub mod map;
pub mod moment;
mod parameters;
mod passes;
pub mod series;
pub mod split;
pub mod transform;
pub mod windowed;

pub use map::{ComplexFeatures, Form, Limit, UrfMap, UrfOptions};
pub use series::{Series, Truncation};
pub use split::{Estimator, Split, lambda, optimal_damping};
pub use transform::Spectrum;
pub use windowed::{Allocation, WindowedMap};
