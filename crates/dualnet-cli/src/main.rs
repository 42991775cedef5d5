//! `dualnet`: fit a network of infinite width to data, predict, compute kernels.

mod data;
mod error;
mod expected;
mod images;
mod job;
mod options;
mod output;
mod samples;
mod store;
mod streamed;
mod texts;
mod value;
mod verbs;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Neural networks in their dual form: closed-form training, exact kernels.
#[derive(Parser)]
#[command(name = "dualnet", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Fit(verbs::fit::Fit),
    Predict(verbs::predict::Predict),
    Evaluate(verbs::evaluate::Evaluate),
    Kernel(verbs::kernel::Kernel),
    Features(verbs::features::Features),
    Embed(verbs::embed::Embed),
    Compress(verbs::compress::Compress),
    Export(verbs::export::Export),
    Activations(verbs::activations::Activations),
    Doctor(verbs::doctor::Doctor),
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Fit(verb) => verb.run(),
        Verb::Predict(verb) => verb.run(),
        Verb::Evaluate(verb) => verb.run(),
        Verb::Kernel(verb) => verb.run(),
        Verb::Features(verb) => verb.run(),
        Verb::Embed(verb) => verb.run(),
        Verb::Compress(verb) => verb.run(),
        Verb::Export(verb) => verb.run(),
        Verb::Activations(verb) => verb.run(),
        Verb::Doctor(verb) => verb.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output may stop reading: head, less. That is their right and no error.
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            output::say(&format!("dualnet: {error}"));
            ExitCode::from(2)
        }
    }
}
