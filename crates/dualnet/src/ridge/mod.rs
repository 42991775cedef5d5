//! Ridge regression, in the dual of a kernel and in the primal of features that come in batches: lambda paths with exact
//! leave-one-out, classification, prediction intervals; logistic regression on features.

mod chunk;
pub mod classify;
pub mod dual;
pub mod interval;
pub mod iterative;
mod lbfgs;
mod leave_one_out;
pub mod logistic;
mod logistic_loss;
mod mean;
pub mod options;
pub mod path;
pub mod primal;
pub mod primal_loo;
mod primal_solve;
mod refine;
mod shifted;
pub mod source;
pub mod statistics;
mod stream;

pub(crate) use classify::one_hot_columns;
pub use classify::{Calibration, ClassScores, argmax, one_hot};
pub(crate) use dual::mean_diagonal;
pub use dual::{DualFit, DualPath};
pub use interval::{IntervalCalibration, Width};
pub use logistic::{LogisticFit, LogisticOptions, Outcome, logistic};
pub use options::{Centering, DualOptions, LambdaScale, default_path};
pub use path::{Jitter, PathPoint, best};
pub use primal::{PrimalFit, PrimalOptions, PrimalPath, PrimalPoint, PrimalSolver, best_by_gcv};
pub use primal_loo::PrimalLeaveOneOut;
pub use source::{ArraySource, Batch, Identity, Source};
pub use statistics::RidgeStatistics;
pub use stream::{Kept, accumulate, accumulate_keeping};
