//! `dualnet export`: a pretrained encoder as an ONNX file.

use super::embed::PoolingOption;
use crate::error::Result;
use crate::options::{Common, Output, check_output};
use crate::output;
use clap::Args;
use dualnet_nn::onnx::{self, Precision};
use dualnet_nn::{Config, Embedder, VisionEmbedder};
use serde_json::json;
use std::path::PathBuf;

/// Write a pretrained encoder as an ONNX file
///
/// MODEL_DIR is a folder that `dualnet embed` takes: a pretrained one, or what `dualnet compress` wrote, of any format. ONNX Runtime and others run the
/// file without dualnet.
///
/// Inputs: for texts input_ids and attention_mask (batch, sequence), integers, padding at the end, from the folder's tokenizer.json; for images
/// pixel_values (batch, 3, size, size), scaled as the folder's preprocessor_config.json says. Outputs: last_hidden_state (batch, sequence, d), and
/// embedding (batch, d), what `dualnet embed` gives.
///
/// With --int8 matrices and the table of words are whole numbers with a factor for each row, and what they meet is rounded as it comes: a quarter of
/// the bytes, and faster where the processor has instructions for it (VNNI, AMX). Without them some runtimes saturate sums of such products: compare a few
/// embeddings there.
///
/// Cost: seconds; the file's bytes twice in memory, of which there may be 2 GiB.
#[derive(Args)]
pub struct Export {
    /// The folder of the encoder
    #[arg(value_name = "MODEL_DIR")]
    model: PathBuf,
    /// Whole numbers for matrices and the table of words
    #[arg(long)]
    int8: bool,
    /// Pooling of the output embedding; default: what the folder says (1_Pooling/config.json), else the mean; for images the first token
    #[arg(long)]
    pooling: Option<PoolingOption>,
    /// The file
    #[arg(short, long, value_name = "FILE.onnx")]
    output: PathBuf,
    #[command(flatten)]
    common: Common,
}

impl Export {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        check_output(&self.output, Output::File)?;
        let config = Config::read(&self.model)?;
        let (encoder, own, size) = match config.image {
            None => {
                let embedder = Embedder::load(&self.model)?;
                (embedder.encoder, embedder.pooling, 0)
            }
            Some(_) => {
                let embedder = VisionEmbedder::load(&self.model)?;
                (embedder.encoder, embedder.pooling, embedder.processor.size)
            }
        };
        let pooling = self.pooling.map_or(own, Into::into);
        let precision = if self.int8 { Precision::Int8 } else { Precision::F32 };
        let done = onnx::save(&encoder, pooling, size, precision, &self.output)?;
        if self.common.json {
            return output::print_json(&json!({
                "bytes": done.bytes, "precision": if self.int8 { "int8" } else { "f32" }, "rounding": done.rounding,
            }));
        }
        let mut said = output::bytes(done.bytes as u64);
        if self.int8 {
            said += &format!("; weights off by at most {} of their size", output::number(done.rounding));
        }
        self.common.say(&said);
        Ok(())
    }
}
