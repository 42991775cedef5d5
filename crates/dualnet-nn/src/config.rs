//! `config.json` of a pretrained encoder: which family, and its sizes.

use crate::activation::Activation;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The file.
pub const CONFIG: &str = "config.json";
/// Our key for hidden widths that differ from layer to layer, which the standard format cannot say.
pub const WIDTHS: &str = "intermediate_sizes";
/// Our key for the ranks of feed-forward nets whose matrices are products, layer by layer (0: they are not).
pub const RANKS: &str = "ffn_ranks";

/// Our key for the number of random features of a pooler that has them.
pub const POOLER: &str = "pooler_features";

/// Most bytes of a description.
const MAX_JSON: u64 = 16 << 20;
/// Most of any size in a configuration: far above any model, far below where products of two overflow.
const MAX_SIZE: u64 = 1 << 24;

/// Encoders of one block structure: embeddings, then layers of attention and feed-forward net, each with a residual sum and a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// BERT, MiniLM.
    Bert,
    /// RoBERTa, XLM-R, CamemBERT: BERT whose positions count from the id of padding on.
    Roberta,
    /// MPNet: no types of tokens, and a bias of attention by relative position that all layers share.
    MpNet,
    /// DistilBERT: no types of tokens.
    DistilBert,
    /// ViT: patches of images for tokens, norms before each part and one at the end.
    Vit,
    /// DeiT: ViT with a second token before the patches.
    Deit,
    /// DINOv2: ViT with factors on what each part gives (layer scale).
    DinoV2,
}

/// How images become tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// Height and width of the images that the table of positions is for.
    pub size: usize,
    /// Height and width of a patch.
    pub patch: usize,
    /// Tokens before those of the patches.
    pub prefix: usize,
}

impl Family {
    /// Whether it takes images.
    pub fn vision(self) -> bool {
        matches!(self, Self::Vit | Self::Deit | Self::DinoV2)
    }

    /// Whether the table of positions is stretched to images of another size.
    pub fn stretches(self) -> bool {
        self == Self::DinoV2
    }
}

/// What `config.json` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The family.
    pub family: Family,
    /// Length d of a token's vector.
    pub hidden: usize,
    /// Heads of attention; they divide `hidden`.
    pub heads: usize,
    /// Hidden width of the feed-forward net of each layer.
    pub widths: Vec<usize>,
    /// Rank of its two matrices where they are products; 0: they are not.
    pub ranks: Vec<usize>,
    /// Its activation.
    pub activation: Activation,
    /// Added to variances by layer norms.
    pub eps: f32,
    /// Number of tokens in the vocabulary.
    pub vocabulary: usize,
    /// Rows of the table of positions.
    pub positions: usize,
    /// The row of that table for the first token.
    pub first_position: usize,
    /// Rows of the table of types (0: the family has none).
    pub types: usize,
    /// Buckets of relative positions (0: none).
    pub buckets: usize,
    /// Random features of the pooler, where it has them.
    pub pooler_features: Option<usize>,
    /// Of encoders of images.
    pub image: Option<ImageConfig>,
}

impl Config {
    /// Reads `config.json` in `folder`.
    ///
    /// # Errors
    /// A file that is missing or no JSON; an architecture that is not of these families, or a variant that is not computed here; a key that
    /// is missing or out of range.
    pub fn read(folder: &Path) -> Result<Self> {
        let json = Keys::read(folder)?;
        let family = json.family()?;
        json.refuse_variants()?;
        if family.vision() {
            return json.vision(family);
        }
        let distil = family == Family::DistilBert;
        let name = |standard, distilbert| if distil { distilbert } else { standard };
        let hidden = json.size(name("hidden_size", "dim"))?;
        let heads_key = name("num_attention_heads", "n_heads");
        let heads = json.size(heads_key)?;
        if !hidden.is_multiple_of(heads) {
            return Err(json.bad(heads_key, &format!("a divisor of {hidden}"), &heads.to_string()));
        }
        let layers = json.size(name("num_hidden_layers", "n_layers"))?;
        let width = json.size(name("intermediate_size", "hidden_dim"))?;
        let first_position = match family {
            Family::Roberta | Family::MpNet => json.number("pad_token_id", 1)? + 1,
            _ => 0,
        };
        let positions = json.size("max_position_embeddings")?;
        if first_position >= positions {
            return Err(json.bad("max_position_embeddings", &format!("more than {first_position}"), "too few"));
        }
        Ok(Self {
            family,
            hidden,
            heads,
            widths: json.widths(layers, width)?,
            ranks: json.ranks(layers)?,
            activation: json.activation(name("hidden_act", "activation"))?,
            eps: if distil { 1e-12 } else { json.eps()? },
            vocabulary: json.size("vocab_size")?,
            positions,
            first_position,
            types: if matches!(family, Family::Bert | Family::Roberta) {
                json.number("type_vocab_size", 2)?
            } else {
                0
            },
            buckets: if family == Family::MpNet { json.number("relative_attention_num_buckets", 32)? } else { 0 },
            pooler_features: json.optional(POOLER)?,
            image: None,
        })
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.widths.len()
    }

    /// Most tokens of a text, those that begin and end it included.
    pub fn longest(&self) -> usize {
        self.positions - self.first_position
    }
}

/// The keys of the file, with errors that name it.
struct Keys {
    path: PathBuf,
    map: Map<String, Value>,
}

impl Keys {
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        let map = read_object(&path)?;
        Ok(Self { path, map })
    }

    fn bad(&self, key: &str, expected: &str, found: &str) -> Error {
        let hint = "the folder must be that of a pretrained encoder, as saved by transformers";
        Error::model(&self.path, format!("key {key}"), expected, found, hint)
    }

    fn family(&self) -> Result<Family> {
        let known = "bert, roberta, xlm-roberta, camembert, mpnet, distilbert, vit, deit or dinov2";
        match self.map.get("model_type").and_then(Value::as_str) {
            Some("bert") => Ok(Family::Bert),
            Some("roberta" | "xlm-roberta" | "camembert") => Ok(Family::Roberta),
            Some("mpnet") => Ok(Family::MpNet),
            Some("distilbert") => Ok(Family::DistilBert),
            Some("vit") => Ok(Family::Vit),
            Some("deit") => Ok(Family::Deit),
            Some("dinov2") => Ok(Family::DinoV2),
            Some(other) => Err(self.bad("model_type", known, other)),
            None => Err(self.bad("model_type", known, "none")),
        }
    }

    /// What changes the computation and is not built.
    fn refuse_variants(&self) -> Result<()> {
        match self.map.get("position_embedding_type").map(|v| v.as_str().unwrap_or("another value")) {
            None | Some("absolute") => {}
            Some(other) => return Err(self.bad("position_embedding_type", "absolute", other)),
        }
        for key in ["is_decoder", "add_cross_attention"] {
            if self.map.get(key).and_then(Value::as_bool) == Some(true) {
                return Err(self.bad(key, "false (an encoder)", "true"));
            }
        }
        Ok(())
    }

    fn vision(&self, family: Family) -> Result<Config> {
        let hidden = self.size("hidden_size")?;
        let heads = self.size("num_attention_heads")?;
        if !hidden.is_multiple_of(heads) {
            return Err(self.bad("num_attention_heads", &format!("a divisor of {hidden}"), &heads.to_string()));
        }
        if let Some(act) = self.map.get("pooler_act").filter(|act| !act.is_null() && act.as_str() != Some("tanh")) {
            return Err(self.bad("pooler_act", "tanh", &act.to_string()));
        }
        for (key, wanted) in [("qkv_bias", true), ("use_swiglu_ffn", false)] {
            if self.map.get(key).and_then(Value::as_bool) == Some(!wanted) {
                return Err(self.bad(key, &wanted.to_string(), &(!wanted).to_string()));
            }
        }
        let (size, patch) = (self.size("image_size")?, self.size("patch_size")?);
        if patch > size {
            return Err(self.bad("patch_size", &format!("at most {size}"), &patch.to_string()));
        }
        if self.number("num_channels", 3)? != 3 {
            return Err(self.bad("num_channels", "3", "another number"));
        }
        let width = match family {
            Family::DinoV2 => self.product("mlp_ratio", 4.0, hidden)?,
            _ => self.size("intermediate_size")?,
        };
        let layers = self.size("num_hidden_layers")?;
        let prefix = if family == Family::Deit { 2 } else { 1 };
        let default_eps = if family == Family::DinoV2 { 1e-6 } else { 1e-12 };
        Ok(Config {
            family,
            hidden,
            heads,
            widths: self.widths(layers, width)?,
            ranks: self.ranks(layers)?,
            activation: self.activation("hidden_act")?,
            eps: if self.map.contains_key("layer_norm_eps") { self.eps()? } else { default_eps },
            vocabulary: 0,
            positions: prefix + (size / patch).pow(2),
            first_position: 0,
            types: 0,
            buckets: 0,
            pooler_features: self.optional(POOLER)?,
            image: Some(ImageConfig { size, patch, prefix }),
        })
    }

    /// A factor times `n`, cut to an integer as transformers does.
    fn product(&self, key: &str, default: f64, n: usize) -> Result<usize> {
        let factor = match self.map.get(key) {
            None => default,
            Some(value) => value.as_f64().unwrap_or(f64::NAN),
        };
        let product = factor * n as f64;
        match (1.0..=MAX_SIZE as f64).contains(&product) {
            true => Ok(product as usize),
            false => Err(self.bad(key, &format!("a number of 1/{n} or more"), &factor.to_string())),
        }
    }

    /// A size: 1 or more.
    fn size(&self, key: &str) -> Result<usize> {
        match self.map.get(key).map(|value| (value, value.as_u64())) {
            Some((_, Some(n))) if (1..=MAX_SIZE).contains(&n) => Ok(n as usize),
            Some((value, _)) => Err(self.bad(key, &format!("an integer from 1 to {MAX_SIZE}"), &value.to_string())),
            None => Err(self.bad(key, "an integer", "no such key")),
        }
    }

    /// A size that may be missing.
    fn optional(&self, key: &str) -> Result<Option<usize>> {
        self.map.contains_key(key).then(|| self.size(key)).transpose()
    }

    fn number(&self, key: &str, default: usize) -> Result<usize> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => match value.as_u64() {
                Some(n) if n <= MAX_SIZE => Ok(n as usize),
                _ => Err(self.bad(key, &format!("an integer from 0 to {MAX_SIZE}"), &value.to_string())),
            },
        }
    }

    fn eps(&self) -> Result<f32> {
        match self.map.get("layer_norm_eps") {
            None => Ok(1e-12),
            Some(value) => match value.as_f64() {
                Some(eps) if (1e-30..1.0).contains(&eps) => Ok(eps as f32),
                _ => Err(self.bad("layer_norm_eps", "a number from 1e-30 to 1", &value.to_string())),
            },
        }
    }

    fn activation(&self, key: &str) -> Result<Activation> {
        let name = self.map.get(key).and_then(Value::as_str).unwrap_or("none");
        Activation::by_name(name).ok_or_else(|| self.bad(key, Activation::NAMES, name))
    }

    fn widths(&self, layers: usize, width: usize) -> Result<Vec<usize>> {
        if layers > 1000 {
            return Err(self.bad("the number of layers", "at most 1000", &layers.to_string()));
        }
        Ok(self.each_layer(WIDTHS, layers, 1)?.unwrap_or_else(|| vec![width; layers]))
    }

    /// 0: no product.
    fn ranks(&self, layers: usize) -> Result<Vec<usize>> {
        Ok(self.each_layer(RANKS, layers, 0)?.unwrap_or_else(|| vec![0; layers]))
    }

    /// An integer of `least` or more for each layer.
    fn each_layer(&self, key: &str, layers: usize, least: u64) -> Result<Option<Vec<usize>>> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        let numbers = || {
            let list = value.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()?;
            (list.len() == layers && list.iter().all(|n| (least..=MAX_SIZE).contains(n)))
                .then(|| list.into_iter().map(|n| n as usize).collect())
        };
        let expected = format!("{layers} integers from {least} on");
        numbers().map(Some).ok_or_else(|| self.bad(key, &expected, &value.to_string()))
    }
}

/// Reads a JSON object.
pub(crate) fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let failed = |e: std::io::Error| {
        let hint =
            "name the folder of a pretrained encoder: config.json, model.safetensors, and tokenizer.json for texts";
        Error::model(path, "the file", "a file that can be read", e.to_string(), hint)
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_JSON {
        return Err(Error::model(
            path,
            "the file",
            format!("at most {MAX_JSON} bytes"),
            size.to_string(),
            "restore it",
        ));
    }
    let text = std::fs::read(path).map_err(failed)?;
    let hint = "the file is damaged: restore it from a copy";
    match serde_json::from_slice(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Error::model(path, "the file", "a JSON object", "another JSON value", hint)),
        Err(e) => {
            let at = format!("line {}, column {}", e.line(), e.column());
            Err(Error::model(path, at, "JSON", e.to_string(), hint))
        }
    }
}
