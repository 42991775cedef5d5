//! One verb a file.

pub mod activations;
pub mod compress;
pub mod doctor;
pub mod embed;
pub mod evaluate;
pub mod export;
pub mod features;
pub mod fit;
pub mod kernel;
pub mod predict;
