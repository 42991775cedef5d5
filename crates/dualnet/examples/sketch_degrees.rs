//! The degrees that sketches choose, and their bias: the table of docs/features.md.
//!
//! cargo run --release --example sketch_degrees

use dualnet::activation::Activation;
use dualnet::features::HermiteSeries;
use dualnet::net::spec::DualChoice;

fn main() -> dualnet::Result<()> {
    println!("| activation | degree | error at v = 0.5 | 2 | 8 | beyond at v = 8 |");
    println!("|---|---:|---:|---:|---:|---:|");
    for activation in Activation::examples() {
        if activation == Activation::Identity {
            continue;
        }
        let degree = HermiteSeries::chosen_degree(&activation, DualChoice::Default, 2.0)?;
        let series = HermiteSeries::new(&activation, DualChoice::Default, degree)?;
        let errors: Vec<String> = [0.5, 2.0, 8.0].iter().map(|&v| format!("{:.4}", series.error(v))).collect();
        println!("| {} | {degree} | {} | {:.3} |", activation.name(), errors.join(" | "), series.at(8.0).beyond);
    }
    Ok(())
}
