//! Ridge regression in the dual: a lambda path with exact leave-one-out, classification, prediction intervals.

pub mod dual;
pub mod options;
pub mod path;

pub use dual::{DualFit, DualPath};
pub use options::{Centering, DualOptions, LambdaScale, default_path};
pub use path::{Jitter, PathPoint, best};
