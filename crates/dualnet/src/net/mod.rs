//! One description of a network, for every interpreter.
//!
//! - [`spec`]: what a net file says, unchecked.

pub mod spec;

pub use spec::{Layer, Parameterization, Spec};
