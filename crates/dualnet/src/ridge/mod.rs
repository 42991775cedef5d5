//! Ridge regression in the dual: a lambda path with exact leave-one-out, classification, prediction intervals.

mod chunk;
pub mod classify;
pub mod dual;
pub mod interval;
mod leave_one_out;
pub mod options;
pub mod path;
mod refine;
mod shifted;
pub mod statistics;

pub use classify::{Calibration, ClassScores, argmax, one_hot};
pub use dual::{DualFit, DualPath};
pub use interval::{IntervalCalibration, Width};
pub use options::{Centering, DualOptions, LambdaScale, default_path};
pub use path::{Jitter, PathPoint, best};
pub use statistics::RidgeStatistics;
