//! One verb a file.

pub mod activations;
pub mod doctor;
pub mod evaluate;
pub mod features;
pub mod fit;
pub mod kernel;
pub mod predict;
