//! Features of whole nets against the exact kernels: without bias, with errors that fall as they should, and refused where there are none.
#![allow(clippy::unwrap_used, clippy::panic)]

mod case;
mod random;
mod sketch;
