//! Bytes to arrays and back.
