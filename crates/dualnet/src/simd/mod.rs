//! Vector arithmetic: one formula, written once over [`Real`], runs on every instruction set and in both precisions.
//!
//! - [`real`]: the trait that formulas are written in.
//! - [`lanes`]: registers of `f32` and `f64` that implement it.
//! - [`isa`]: choice of the instruction set at run time.
//! - `acos`, `atan`, `erf`, `exp`, `ln`, `tanh`, `trig`: the elementary functions, on the constants in `coefficients`.
//! - [`jet`]: numbers that carry a derivative, for duals given by `k` alone.

#[cfg(test)]
mod accuracy;
mod acos;
mod atan;
mod bits;
mod coefficients;
mod erf;
mod exp;
pub mod isa;
pub mod jet;
pub mod lanes;
mod ln;
mod poly;
pub mod real;
mod tanh;
mod trig;

pub use isa::{Isa, Kernel, Vector};
pub use jet::Jet;
pub use lanes::{Element, F32s, F64s, Lanes, Register, view, view_mut};
pub use real::Real;
