//! One description of a network, for every interpreter.
//!
//! - [`spec`]: what a net file says, unchecked.

pub mod op;
pub mod spec;
pub use op::*;

pub use spec::{Layer, Parameterization, Spec};
