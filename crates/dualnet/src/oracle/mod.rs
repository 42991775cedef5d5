//! Slow, plain versions of what is fast elsewhere: for tests, and for whoever wants to read what is computed.

pub mod conv;
pub mod dense;
