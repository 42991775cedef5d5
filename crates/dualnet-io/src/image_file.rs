//! One PNG or JPEG file: 8 bits a channel, grey or colour.

use crate::element::fill;
use crate::error::{Error, Result};
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Longest side that is read: a header may claim any.
const MAX_SIDE: u32 = 1 << 14;

/// A decoded image.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) pixels: Pixels,
}

/// Row by row.
#[derive(Debug)]
pub(crate) enum Pixels {
    /// One byte a pixel.
    Grey(Vec<u8>),
    /// Red, green, blue.
    Colour(Vec<u8>),
}

/// Whether the file begins as PNG or JPEG files do.
pub(crate) fn is_image(path: &Path) -> Result<bool> {
    let mut head = [0; 16];
    let mut file = File::open(path).map_err(|e| Error::read(path, "open", &e))?;
    let filled = fill(&mut file, &mut head).map_err(|e| Error::read(path, "read", &e))?;
    Ok(matches!(image::guess_format(&head[..filled]), Ok(ImageFormat::Png | ImageFormat::Jpeg)))
}

/// Reads an image of at most `limit` bytes. `expected`: height and width it must have, and the file that set them; an image of another
/// size is not even unpacked.
///
/// # Errors
/// Other formats; damage; another size; 16 bits a channel; pixels that are not opaque.
pub(crate) fn read(path: &Path, expected: Option<((usize, usize), &Path)>, limit: u64) -> Result<Image> {
    let file = File::open(path).map_err(|e| Error::read(path, "open", &e))?;
    let metadata = file.metadata().map_err(|e| Error::read(path, "open", &e))?;
    // A JPEG is read whole before it is unpacked.
    if metadata.len() > limit.max(1 << 16) {
        return Err(Error::TooLarge { file: path.into(), at: "the image".into(), needed: metadata.len(), limit });
    }
    let reader = ImageReader::new(BufReader::new(file)).with_guessed_format();
    let mut reader = reader.map_err(|e| Error::read(path, "read", &e))?;
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::Jpeg) => {}
        Some(other) => {
            let found = format!("{} (.{})", other.to_mime_type(), other.extensions_str().first().unwrap_or(&""));
            return Err(Error::unsupported(path, "the image", found, "save it as PNG"));
        }
        None => {
            let hint = "move files that are no images elsewhere";
            return Err(Error::malformed(path, "the image", "a PNG or JPEG image", "other content", hint));
        }
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // Beside the pixels a decoder holds rows and tables.
    limits.max_alloc = Some(limit.saturating_mul(2).max(1 << 20));
    reader.limits(limits);
    let failed = |e: ImageError| refused(path, e, limit);
    let decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(path, (height, width), expected)?;
    let needed = decoder.total_bytes();
    if needed > limit {
        return Err(Error::TooLarge { file: path.into(), at: "the image".into(), needed, limit });
    }
    let color = decoder.color_type();
    let pixels = match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
            opaque(path, DynamicImage::from_decoder(decoder).map_err(failed)?)?
        }
        _ => {
            let bits = color.bits_per_pixel() / u16::from(color.channel_count());
            return Err(Error::unsupported(path, "the image", format!("{bits} bits a channel"), "save it with 8"));
        }
    };
    Ok(Image { height, width, pixels })
}

/// All images of a set have one size.
fn check_size(path: &Path, found: (usize, usize), expected: Option<((usize, usize), &Path)>) -> Result<()> {
    let words = |(height, width): (usize, usize)| format!("{height} x {width} pixels (height x width)");
    match expected {
        Some((size, first)) if size != found => {
            let expected = format!("{}, as in {}", words(size), first.display());
            Err(Error::malformed(path, "the image", expected, words(found), "bring all images to one size first"))
        }
        _ if found.0 == 0 || found.1 == 0 => {
            Err(Error::malformed(path, "the image", "at least one pixel", words(found), "the file is damaged"))
        }
        _ => Ok(()),
    }
}

/// The pixels without their opacity, which must be full: what shows through would be a guess.
fn opaque(path: &Path, image: DynamicImage) -> Result<Pixels> {
    let transparent = |values: &[u8], channels: usize| {
        values.chunks_exact(channels).position(|pixel| pixel.last() != Some(&255)).map(|at| {
            let hint = "save it without transparency, on a background of your choice";
            let row = at / (image.width() as usize).max(1);
            Error::unsupported(path, format!("the image, row {row} of pixels"), "a pixel that is not opaque", hint)
        })
    };
    let without = |values: &[u8], channels: usize| -> Vec<u8> {
        values.chunks_exact(channels).flat_map(|pixel| &pixel[..channels - 1]).copied().collect()
    };
    Ok(match &image {
        DynamicImage::ImageLuma8(v) => Pixels::Grey(v.as_raw().clone()),
        DynamicImage::ImageRgb8(v) => Pixels::Colour(v.as_raw().clone()),
        DynamicImage::ImageLumaA8(v) => match transparent(v.as_raw(), 2) {
            None => Pixels::Grey(without(v.as_raw(), 2)),
            Some(error) => return Err(error),
        },
        DynamicImage::ImageRgba8(v) => match transparent(v.as_raw(), 4) {
            None => Pixels::Colour(without(v.as_raw(), 4)),
            Some(error) => return Err(error),
        },
        _ => return Err(Error::unsupported(path, "the image", "its kind of pixels", "save it with 8 bits a channel")),
    })
}

/// An error of the decoder in our words.
fn refused(path: &Path, error: ImageError, limit: u64) -> Error {
    match error {
        ImageError::IoError(e) => Error::read(path, "read", &e),
        ImageError::Limits(e) => {
            let found = format!("{e} (sides up to {MAX_SIDE} pixels and {limit} bytes are read)");
            Error::unsupported(path, "the image", found, "make it smaller, or raise --memory")
        }
        ImageError::Unsupported(e) => Error::unsupported(path, "the image", e.to_string(), "save it as an 8-bit PNG"),
        other => {
            let hint = "the file is damaged: copy or make it again";
            Error::malformed(path, "the image", "a whole PNG or JPEG image", other.to_string(), hint)
        }
    }
}
