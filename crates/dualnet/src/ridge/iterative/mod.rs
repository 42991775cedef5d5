//! Ridge regression on exact kernels too large to decompose.

mod geometry;
mod kept;
mod on_the_fly;
mod operator;
mod sweep;
mod tile_maker;
mod tile_product;

pub use kept::KeptTriangle;
pub use on_the_fly::OnTheFly;
pub use operator::{KernelOperator, Sums};
