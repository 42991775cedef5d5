//! Tests of the net file and the checked net.
