//! `dualnet activations`: what a net file may name.

use crate::error::Result;
use crate::options::Common;
use crate::output;
use clap::Args;
use dualnet::activation::Activation;
use dualnet::dual::{Precision, default_degree};
use serde_json::json;

/// List the activations: formula, which dual is exact, homogeneous or not
#[derive(Args)]
pub struct Activations {
    #[command(flatten)]
    common: Common,
}

impl Activations {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let all = Activation::examples();
        if self.common.json {
            let list: Vec<_> = all
                .iter()
                .map(|a| {
                    json!({
                        "name": a.name(), "formula": a.formula(), "exact": default_degree(a, Precision::F64).is_none(),
                        "hermite_degree": default_degree(a, Precision::F64),
                        "homogeneity": a.homogeneity(),
                    })
                })
                .collect();
            return output::print_json(&json!({ "activations": list }));
        }
        let mut rows = vec![["activation", "formula", "dual", "homogeneous"].map(String::from)];
        for a in &all {
            let dual = match default_degree(a, Precision::F64) {
                None => "closed form".to_string(),
                Some(degree) => format!("Hermite expansion of degree {degree}"),
            };
            let degree = a.homogeneity().map_or("no".into(), |n| format!("degree {n}"));
            rows.push([a.name().to_string(), a.formula().to_string(), dual, degree]);
        }
        output::print(&columns(&rows))
    }
}

/// Rows of words, every column to the left.
fn columns(rows: &[[String; 4]]) -> String {
    let width = |j: usize| rows.iter().map(|r| r[j].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |r: &[String; 4]| {
        let pad = |j: usize| format!("{}{}", r[j], " ".repeat(widths[j] + 2 - r[j].chars().count()));
        format!("{}{}{}{}\n", pad(0), pad(1), pad(2), r[3])
    };
    rows.iter().map(line).collect()
}
