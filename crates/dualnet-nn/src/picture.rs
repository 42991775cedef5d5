//! Images for vision encoders: resized, cut and scaled as `preprocessor_config.json` says.

use crate::config::{Config, Family, read_object};
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// The file.
pub const PREPROCESSOR: &str = "preprocessor_config.json";
/// Red, green, blue.
pub(crate) const CHANNELS: usize = 3;

/// How images become what an encoder was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Processor {
    /// What sides become.
    pub resize: Resize,
    /// How pixels between pixels are found.
    pub filter: Filter,
    /// Height and width of what is cut out of the middle (and of the result).
    pub size: usize,
    /// Subtracted from each channel, in 0..1.
    pub mean: [f32; 3],
    /// Divides what is left.
    pub deviation: [f32; 3],
}

/// What the sides of an image become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// Both this long.
    Both(usize),
    /// The shorter one this long, the longer one in proportion.
    Shortest(usize),
}

/// A filter, stretched where an image becomes smaller, so that all its pixels count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// A triangle.
    Bilinear,
    /// The cubic of Keys (1981) with a = -1/2.
    Bicubic,
}

/// Images of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    bytes: Vec<u8>,
    size: usize,
    mean: [f32; 3],
    deviation: [f32; 3],
}

impl Processor {
    /// What the folder of the model says. Without `preprocessor_config.json`: sides of 224, or what the configuration has, bilinear, with means and
    /// deviations of 0.5 for ViT; for DeiT and DINOv2 those of ImageNet, bicubic.
    ///
    /// # Errors
    /// A description that is damaged, or asks for what is not computed here.
    pub fn of_folder(folder: &Path, config: &Config) -> Result<Self> {
        let own = config.image.as_ref().map_or(224, |image| image.size);
        let vit = config.family == Family::Vit;
        let size = if config.family == Family::DinoV2 { own.min(224) } else { own };
        let (mean, deviation) = match vit {
            true => ([0.5; 3], [0.5; 3]),
            false => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        };
        let filter = if vit { Filter::Bilinear } else { Filter::Bicubic };
        let mut processor = Self { resize: Resize::Both(size), filter, size, mean, deviation };
        let path = folder.join(PREPROCESSOR);
        if path.is_file() {
            processor.read(&Keys { path: &path, map: read_object(&path)? })?;
        }
        Ok(processor)
    }

    fn read(&mut self, keys: &Keys<'_>) -> Result<()> {
        for key in ["do_resize", "do_rescale", "do_normalize"] {
            if keys.map.get(key).and_then(Value::as_bool) == Some(false) {
                return Err(keys.bad(key, "true", "false"));
            }
        }
        if let Some(sides) = keys.sides("size")? {
            (self.resize, self.size) = (sides, sides.length());
        }
        if keys.map.get("do_center_crop").and_then(Value::as_bool) == Some(true)
            && let Some(crop) = keys.sides("crop_size")?
        {
            self.size = crop.length();
        }
        if let Resize::Shortest(shortest) = self.resize
            && self.size > shortest
        {
            return Err(keys.bad("crop_size", &format!("at most {shortest}"), &self.size.to_string()));
        }
        if let Resize::Both(side) = self.resize {
            self.size = self.size.min(side);
        }
        match keys.map.get("resample").map(|value| (value, value.as_u64())) {
            None => {}
            Some((_, Some(2))) => self.filter = Filter::Bilinear,
            Some((_, Some(3))) => self.filter = Filter::Bicubic,
            Some((other, _)) => return Err(keys.bad("resample", "2 (bilinear) or 3 (bicubic)", &other.to_string())),
        }
        if let Some(factor) = keys.map.get("rescale_factor").and_then(Value::as_f64)
            && (factor * 255.0 - 1.0).abs() > 1e-3
        {
            return Err(keys.bad("rescale_factor", "1/255", &factor.to_string()));
        }
        self.mean = keys.three("image_mean")?.unwrap_or(self.mean);
        self.deviation = keys.three("image_std")?.unwrap_or(self.deviation);
        match self.deviation.iter().all(|d| *d > 0.0) {
            true => Ok(()),
            false => Err(keys.bad("image_std", "numbers above 0", "others")),
        }
    }

    /// No images yet.
    pub fn pictures(&self) -> Pictures {
        Pictures { bytes: Vec::new(), size: self.size, mean: self.mean, deviation: self.deviation }
    }

    /// Adds an image of height x width pixels of red, green and blue bytes.
    ///
    /// # Errors
    /// Another number of bytes; no pixels.
    pub fn add(&self, pictures: &mut Pictures, rgb: &[u8], height: usize, width: usize) -> Result<()> {
        if rgb.len() != height * width * CHANNELS || rgb.is_empty() {
            let expected = format!("{height} x {width} pixels of 3 bytes");
            return Err(Error::invalid("image", expected, format!("{} bytes", rgb.len()), "give all of its bytes"));
        }
        let (to_height, to_width) = match self.resize {
            Resize::Both(side) => (side, side),
            // As torchvision rounds.
            Resize::Shortest(side) if height <= width => (side, (side * width / height).max(side)),
            Resize::Shortest(side) => ((side * height / width).max(side), side),
        };
        let wide = resize_rows(rgb, width, to_width, self.filter);
        let tall = resize_columns(&wide, to_width, height, to_height, self.filter);
        let (top, left) = ((to_height - self.size) / 2, (to_width - self.size) / 2);
        for row in tall.chunks_exact(to_width * CHANNELS).skip(top).take(self.size) {
            pictures.bytes.extend_from_slice(&row[left * CHANNELS..(left + self.size) * CHANNELS]);
        }
        Ok(())
    }
}

impl Resize {
    fn length(self) -> usize {
        match self {
            Self::Both(n) | Self::Shortest(n) => n,
        }
    }
}

impl Pictures {
    /// How many.
    pub fn len(&self) -> usize {
        self.bytes.len() / (self.size * self.size * CHANNELS).max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Height and width.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Red, green and blue of each pixel, row by row, image by image.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Some of them.
    pub(crate) fn select(&self, which: &[usize]) -> Self {
        let bytes = self.size * self.size * CHANNELS;
        let chosen = which.iter().flat_map(|i| &self.bytes[i * bytes..(i + 1) * bytes]).copied();
        Self { bytes: chosen.collect(), ..*self }
    }

    /// Patches of image `i`, row by row, each its channels one after the other, each row by row.
    pub(crate) fn patches(&self, i: usize, side: usize, to: &mut [f32]) {
        let (size, grid) = (self.size, self.size / side);
        let image = &self.bytes[i * size * size * CHANNELS..];
        for (at, patch) in to.chunks_exact_mut(CHANNELS * side * side).take(grid * grid).enumerate() {
            let (top, left) = (at / grid * side, at % grid * side);
            for (j, value) in patch.iter_mut().enumerate() {
                let (channel, y, x) = (j / (side * side), j / side % side, j % side);
                let byte = image[((top + y) * size + left + x) * CHANNELS + channel];
                *value = (f32::from(byte) / 255.0 - self.mean[channel]) / self.deviation[channel];
            }
        }
    }
}

/// For each new place: the first old one that counts, and the weights from it on.
fn taps(from: usize, to: usize, filter: Filter) -> Vec<(usize, Vec<f64>)> {
    let scale = from as f64 / to as f64;
    let (stretch, reach) = (scale.max(1.0), if filter == Filter::Bilinear { 1.0 } else { 2.0 });
    let weight = |x: f64| {
        let x = x.abs();
        match filter {
            Filter::Bilinear => (1.0 - x).max(0.0),
            Filter::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Filter::Bicubic => 0.0,
        }
    };
    let place = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let first = ((centre - reach * stretch + 0.5).floor().max(0.0)) as usize;
        let last = ((centre + reach * stretch + 0.5).floor() as usize).min(from).max(first + 1);
        let weights: Vec<f64> = (first..last).map(|j| weight((j as f64 + 0.5 - centre) / stretch)).collect();
        let sum: f64 = weights.iter().sum();
        (first, weights.into_iter().map(|w| w / sum).collect())
    };
    (0..to).map(place).collect()
}

fn byte(x: f64) -> u8 {
    (x + 0.5).floor().clamp(0.0, 255.0) as u8
}

/// Rows of `from` pixels to rows of `to`.
fn resize_rows(rgb: &[u8], from: usize, to: usize, filter: Filter) -> Vec<u8> {
    if from == to {
        return rgb.to_vec();
    }
    let taps = taps(from, to, filter);
    let mut result = Vec::with_capacity(rgb.len() / from * to);
    for row in rgb.chunks_exact(from * CHANNELS) {
        for (first, weights) in &taps {
            for channel in 0..CHANNELS {
                let pixel = |j: usize| f64::from(row[(first + j) * CHANNELS + channel]);
                result.push(byte(weights.iter().enumerate().map(|(j, w)| w * pixel(j)).sum()));
            }
        }
    }
    result
}

/// Rows of `width` pixels: `from` of them to `to` of them.
fn resize_columns(rgb: &[u8], width: usize, from: usize, to: usize, filter: Filter) -> Vec<u8> {
    if from == to {
        return rgb.to_vec();
    }
    let row = width * CHANNELS;
    let mut result = Vec::with_capacity(row * to);
    for (first, weights) in taps(from, to, filter) {
        for at in 0..row {
            let pixel = |j: usize| f64::from(rgb[(first + j) * row + at]);
            result.push(byte(weights.iter().enumerate().map(|(j, w)| w * pixel(j)).sum()));
        }
    }
    result
}

struct Keys<'a> {
    path: &'a Path,
    map: Map<String, Value>,
}

impl Keys<'_> {
    fn bad(&self, key: &str, expected: &str, found: &str) -> Error {
        let hint = "bring the images to the form the encoder wants yourself, and change the file";
        Error::model(self.path, format!("key {key}"), expected, found, hint)
    }

    /// `{"height": 224, "width": 224}`, `{"shortest_edge": 256}` or 224.
    fn sides(&self, key: &str) -> Result<Option<Resize>> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        let side = |name: &str| {
            let n = if name.is_empty() { value.as_u64() } else { value.get(name).and_then(Value::as_u64) };
            n.filter(|n| (1..=1 << 14).contains(n)).map(|n| n as usize)
        };
        match (side(""), side("shortest_edge"), side("height"), side("width")) {
            (Some(n), ..) => Ok(Some(Resize::Both(n))),
            (_, Some(n), ..) => Ok(Some(Resize::Shortest(n))),
            (_, _, Some(a), Some(b)) if a == b => Ok(Some(Resize::Both(a))),
            _ => Err(self.bad(key, "equal height and width, or shortest_edge", &value.to_string())),
        }
    }

    fn three(&self, key: &str) -> Result<Option<[f32; 3]>> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        let list: Option<Vec<f32>> =
            value.as_array().map(|list| list.iter().filter_map(Value::as_f64).map(|x| x as f32).collect());
        match list.as_deref() {
            Some(&[a, b, c]) if [a, b, c].iter().all(|x| x.is_finite()) => Ok(Some([a, b, c])),
            _ => Err(self.bad(key, "three numbers", &value.to_string())),
        }
    }
}
