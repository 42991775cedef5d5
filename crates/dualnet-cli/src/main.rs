//! The command line of dualnet.
fn main() {}
