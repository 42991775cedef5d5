//! Ridge regression on exact kernels too large to decompose: conjugate gradients on products with the kernel matrix.
//!
//! - [`KernelOperator`]: a kernel matrix known by its products. [`KeptTriangle`] keeps the tiles on and above the diagonal;
//!   [`OnTheFly`] computes them anew for each product.
//! - [`Preconditioner`]: an approximate inverse. [`NystromPreconditioner`] takes a factor F with `F F^T` near K; [`Plain`] is none.
//! - [`fit()`]: a path of lambdas from the largest to the smallest, all outputs at once, chosen by rows held out.
//! - [`fit_landmarks`]: on m landmarks, rows in batches (Falkon).
//!
//! Products are computed in tiles; vectors, recurrences and coefficients are in f64.

mod columns;
mod fit;
mod geometry;
mod kept;
mod landmark_pass;
mod landmarks;
mod on_the_fly;
mod operator;
mod options;
mod pcg;
mod preconditioner;
mod predict;
mod rectangle;
mod solve;
mod sweep;
mod tile_maker;
mod tile_product;

pub use fit::{IterativeFit, fit};
pub use kept::KeptTriangle;
pub use landmark_pass::landmark_bytes;
pub use landmarks::{LandmarkFit, LandmarkOptions, LandmarkPath, fit_landmarks};
pub use on_the_fly::OnTheFly;
pub use operator::{KernelOperator, Sums};
pub use options::{AfterHoldout, EarlyStop, IterativeOptions};
pub use preconditioner::{NystromPreconditioner, Plain, Preconditioner};
pub use solve::{Ending, HoldoutScore, IterativePoint};
