//! Images to vectors: processor, encoder, pooling, length one.

use crate::batch::Inputs;
use crate::config::{Config, ImageConfig};
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::picture::{Pictures, Processor};
use crate::pool::Pooling;
use std::path::Path;

/// A pretrained encoder of images with all that turns images into vectors.
#[derive(Debug)]
pub struct VisionEmbedder {
    /// The encoder.
    pub encoder: Encoder,
    /// What images go through first.
    pub processor: Processor,
    /// The pooling: the first token, unless it is replaced.
    pub pooling: Pooling,
    /// Its configuration as it was loaded.
    pub config: Config,
    image: ImageConfig,
}

impl VisionEmbedder {
    /// Loads a folder as `transformers` saves it: `config.json`, `model.safetensors` (or shards with their index), and
    /// `preprocessor_config.json` if there is one.
    ///
    /// # Errors
    /// What of it is missing, damaged, or of an architecture that is not known here; images that do not consist of whole patches; for ViT and
    /// DeiT, images of another size than the encoder's.
    pub fn load(folder: &Path) -> Result<Self> {
        let (encoder, config) = Encoder::load(folder)?;
        let Some(image) = config.image.clone() else {
            let hint = "an encoder of texts takes --texts";
            return Err(Error::model(folder, "the encoder", "one of images", format!("{:?}", config.family), hint));
        };
        let processor = Processor::of_folder(folder, &config)?;
        let fits = processor.size >= image.patch && (config.family.stretches() || processor.size == image.size);
        if !fits {
            let (expected, found) = (format!("images of {0} x {0}", image.size), processor.size.to_string());
            return Err(Error::model(folder, "preprocessor_config.json", expected, found, "change size or crop_size"));
        }
        Ok(Self { encoder, processor, pooling: Pooling::Cls, config, image })
    }

    /// What the encoder is given for some images.
    pub fn inputs(&self, pictures: Pictures) -> Inputs {
        Inputs::Images { pictures, patch: self.image.patch, prefix: self.image.prefix }
    }
}
