//! Pretrained Transformers: load a folder, embed texts or images, make the encoder smaller from unlabeled ones.
//!
//! One description of the model, [`Encoder`], serves inference and training: the same tiles of 128 tokens, on the products and vector
//! functions of `dualnet`. Texts lie one after the other without padding, and give the same bits alone as among others, for any number
//! of threads.
//!
//! | | |
//! |---|---|
//! | [`Embedder`], [`VisionEmbedder`] | a folder of a pretrained encoder: texts or images to vectors |
//! | [`Encoder`], [`Layer`], [`Ffn`], [`Attention`], [`Pooler`] | its parts, public and replaceable |
//! | [`compress`] | narrower feed-forward nets and another pooler, from texts alone |
//! | [`onnx`] | an encoder as a file for other runtimes |
//! | [`Config`], [`Weights`], [`Tokenizer`], [`Processor`], [`Pooling`] | the files of the folder |

mod activation;
mod adam;
mod attention;
mod batch;
pub mod compress;
mod config;
mod embedder;
mod encoder;
mod error;
mod ffn;
mod layer;
mod linear;
mod names;
mod norm;
pub mod onnx;
mod patches;
mod picture;
mod pool;
mod pooler;
mod relative;
mod snnk;
mod tokenize;
mod vision;
mod weights;

pub use activation::Activation;
pub use attention::Attention;
pub use batch::{Batch, Inputs};
pub use config::{CONFIG, Config, Family, ImageConfig, POOLER, RANKS, WIDTHS};
pub use embedder::{BATCH, Embedded, Embedder, embed};
pub use encoder::{Embeddings, Encoder, TokenEmbeddings};
pub use error::{Error, Result};
pub use ffn::Ffn;
pub use layer::{Layer, NormOrder};
pub use linear::Linear;
pub use norm::LayerNorm;
pub use patches::PatchEmbeddings;
pub use picture::{Filter, PREPROCESSOR, Pictures, Processor, Resize};
pub use pool::Pooling;
pub use pooler::Pooler;
pub use relative::RelativeBias;
pub use tokenize::{TOKENIZER, Tokenizer, Tokens};
pub use vision::VisionEmbedder;
pub use weights::{INDEX, SINGLE, Weights};

use dualnet::Resources;

/// Matrices of tokens have a multiple of so many rows, and products too: the library of products may round otherwise for rows that do not fill its
/// registers.
pub(crate) const TILE: usize = 128;

/// Most rows that one task computes. A product packs its weights for each task: with 128 rows that is 10 % of its time.
const MOST_ROWS: usize = 1024;

/// How many of `rows` one task computes: whole tiles, so few that each thread has some. The bits do not depend on it (tests of `linear`).
pub(crate) fn task_rows(rows: usize, resources: &Resources) -> usize {
    rows.div_ceil(resources.threads()).next_multiple_of(TILE).clamp(TILE, MOST_ROWS)
}
