//! Checks for implementations of this crate's traits, your own included: each returns what it found wrong, in words.

pub mod dual;
pub mod feature_map;
