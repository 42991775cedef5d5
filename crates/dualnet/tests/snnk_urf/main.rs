//! Universal random features: golden values, statistics of the estimates, windowed series, hostile input.

// The exemption of tests covers functions marked as such only.
#![allow(clippy::unwrap_used, clippy::panic)]

mod golden;
mod moments;
mod robust;
mod shared;
mod statistics;
mod windowed;
