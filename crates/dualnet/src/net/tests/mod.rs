//! Tests of the net file, the checked net and its steps.

mod errors;
mod golden;
mod ops;
mod properties;

use super::Net;
use crate::error::Error;

/// The net of `layers`, written as in JSON.
fn net(layers: &str) -> Net {
    Net::from_json(&format!("{{\"layers\": {layers}}}")).unwrap()
}

/// Position, problem and hint of the error that `parse` gives.
fn refusal(parsed: crate::error::Result<Net>) -> (String, String, String) {
    match parsed.unwrap_err() {
        Error::Net { at, problem, hint } => (at, problem, hint),
        other => panic!("not an error of a net: {other}"),
    }
}
