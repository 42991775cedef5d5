//! `dualnet doctor`: what this program found of the machine.

use crate::error::Result;
use crate::options::Common;
use crate::output;
use clap::Args;
use dualnet::simd::Isa;
use serde_json::json;

/// Show version, instruction sets, threads and memory
#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    common: Common,
}

impl Doctor {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let resources = self.common.resources()?;
        let sets: Vec<String> = Isa::available().iter().map(|isa| format!("{isa:?}").to_lowercase()).collect();
        if self.common.json {
            return output::print_json(&json!({
                "version": env!("CARGO_PKG_VERSION"),
                "instruction_set": sets[0],
                "instruction_sets": sets,
                "threads": resources.threads(),
                "memory": resources.memory,
            }));
        }
        let memory = resources.memory.map_or("not known; set it with --memory".into(), output::bytes);
        let rows = [
            ("version", env!("CARGO_PKG_VERSION").to_string()),
            ("instruction set", format!("{} (of {})", sets[0], sets.join(", "))),
            ("threads", resources.threads().to_string()),
            ("memory limit", memory),
        ];
        let text: String = rows.iter().map(|(name, value)| format!("{name:<17}{value}\n")).collect();
        output::print(&text)
    }
}
