//! What infinitely wide networks predict: posteriors, training by gradient flow, ensembles.
//!
//! Kernels come as arrays: `train` (n, n), `test` (m, n) and `own` (m, m). The loss is
//! `sum (f - y)^2 / (2 n outputs)`.

mod flow;
mod ode;
mod posterior;
mod regularisation;

pub use flow::{Ensemble, Flow, Time, max_learning_rate};
pub use ode::{Tolerance, gradient_descent};
pub use posterior::{Gaussian, Kernels, gp_inference, ntk_ensemble, ntk_gp};
pub use regularisation::DiagonalReg;
