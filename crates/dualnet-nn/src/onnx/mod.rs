//! An encoder as an ONNX file, which runtimes in many languages run: tokens or pixels to hidden states and embeddings.
//!
//! Texts: `input_ids` and `attention_mask` (batch, sequence), integers, padding at the end. Images: `pixel_values` (batch, 3, height, width), as
//! `preprocessor_config.json` says. Outputs: `last_hidden_state` (batch, sequence, d) and `embedding` (batch, d), pooled and of length one. The file needs
//! the standard operators of version 17 alone, and no dualnet to run.

mod begin;
mod blocks;
mod end;
mod graph;
mod maps;
mod proto;

use crate::encoder::{Embeddings, Encoder};
use crate::error::{Error, Result};
use crate::pool::Pooling;
use graph::{Graph, Size};
use maps::Maps;
use prost::Message;
use std::io::Write;
use std::path::Path;

/// Names of the sizes that the caller chooses.
const BATCH: &str = "batch";
const SEQUENCE: &str = "sequence";
/// Most bytes of a file in this format: lengths are kept in 31 bits.
const MOST: usize = (1 << 31) - (1 << 20);

/// The numbers of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    F32,
    /// Whole numbers from -127 to 127 with a factor for each output; what they meet is rounded to 256 levels when it comes ("dynamic
    /// quantization"). Biases, norms and positions stay as they are.
    Int8,
}

/// What became of an encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exported {
    /// Of the file.
    pub bytes: usize,
    /// The largest relative error of a rounded matrix, root of the sum of squares to that of its entries; 0 in f32.
    pub rounding: f64,
}

/// Writes the encoder to the new or replaced file `to`. Images have `image_size` pixels a side; of no meaning for texts.
///
/// # Errors
/// More than 2 GiB of weights; a pooling that needs a pooler, where there is none; an image size that the positions do not stretch to; what the file system refuses.
///
/// Cost: the bytes of the file, twice, in memory.
pub fn save(
    encoder: &Encoder,
    pooling: Pooling,
    image_size: usize,
    precision: Precision,
    to: &Path,
) -> Result<Exported> {
    let mut graph = Graph::default();
    let mut maps = Maps::new(precision);
    build(encoder, pooling, image_size, (&mut graph, &mut maps))?;
    if graph.size() > MOST {
        let hint = "export with whole numbers (int8), a quarter of the bytes, or compress the encoder first";
        return Err(Error::invalid("weights", format!("at most {MOST} bytes"), graph.size().to_string(), hint));
    }
    let bytes = graph.finish().encode_to_vec();
    dualnet_io::atomic::write(to, |file| file.write_all(&bytes))?;
    Ok(Exported { bytes: bytes.len(), rounding: maps.rounding })
}

fn build(encoder: &Encoder, pooling: Pooling, image_size: usize, (graph, maps): (&mut Graph, &mut Maps)) -> Result<()> {
    let begin = match &encoder.embeddings {
        Embeddings::Tokens(tokens) => {
            let relative = encoder.relative.as_ref().map(|bias| (bias, encoder.longest()));
            begin::tokens(graph, maps, tokens, relative)
        }
        Embeddings::Patches(patches) => begin::patches(graph, patches, image_size)?,
    };
    let mut x = begin.x;
    for layer in encoder.layers.iter().enumerate() {
        x = blocks::layer(graph, maps, layer, &x, &begin.terms);
    }
    if let Some(norm) = &encoder.final_norm {
        x = blocks::norm(graph, "final_norm", norm, &x);
    }
    let d = Size::Is(encoder.hidden());
    let tokens = match &encoder.embeddings {
        Embeddings::Tokens(_) => Size::Any(SEQUENCE),
        Embeddings::Patches(patches) => Size::Is(patches.length(image_size)),
    };
    graph.output("last_hidden_state", &x, &[Size::Any(BATCH), tokens, d]);
    let embedding = end::pooled((graph, maps), (encoder, pooling), &x, begin.present.as_deref())?;
    graph.output("embedding", &embedding, &[Size::Any(BATCH), d]);
    Ok(())
}
