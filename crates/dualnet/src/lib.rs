//! Neural networks in their dual form.
//!
//! A network of infinite width is a kernel: NNGP (its prior) and NTK (its training). A network is described once, as a
//! [`net::Net`]; everything else interprets that description or consumes what an interpreter gives.
//!
//! ```text
//! data -> net -> exact kernel -> ridge in the dual -> model -> prediction
//! ```

pub mod activation;
pub mod conformance;
pub mod dual;
pub mod error;
pub mod gram;
pub mod kernel;
pub mod linalg;
pub mod model;
pub mod net;
pub mod predict;
pub mod resources;
pub mod ridge;
pub mod simd;

pub use error::{Error, Result};
pub use linalg::{Mat, MatRef};
pub use resources::Resources;
