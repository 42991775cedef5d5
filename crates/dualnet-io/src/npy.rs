//! NumPy's .npy: a magic, a version, a Python dictionary with type, order and shape, then the values.
//! (Format: numpy/lib/format.py.)

use crate::array::{Array, Elements, FloatKind};
use crate::atomic;
use crate::element::{Element, Header, Layout, Number, Order, Payload, fill};
use crate::error::{Error, Result};
use crate::input::{Input, Length};
use std::io::{Read, Write};
use std::path::Path;

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header read. NumPy's own default limit is 10,000 characters.
const MAX_HEADER: usize = 1 << 16;

/// Most axes read; NumPy allows 64.
pub(crate) const MAX_AXES: usize = 32;

/// Reads an array of booleans, integers or floats, of either byte order and either memory order.
///
/// # Errors
/// Anything that is not such a file, sizes that disagree with the file's, more than `max_bytes`.
pub fn read(path: &Path, max_bytes: u64) -> Result<Array> {
    from_input(&Input::new(path, max_bytes)?)
}

pub(crate) fn from_input(input: &Input) -> Result<Array> {
    from_reader(&mut *input.open()?, input.path(), "the values", input.length(), input.limit())
}

/// Reads one .npy from `reader`, which holds `length` bytes; `at` names the array in errors.
pub(crate) fn from_reader(reader: &mut dyn Read, file: &Path, at: &str, length: Length, limit: u64) -> Result<Array> {
    let header = read_header(reader, file, at)?;
    let n = header.count(file, at, limit)?;
    let payload = Payload { file, at: at.into(), length: header.rest(length), limit };
    let data = payload.read(reader, header.element, n)?;
    match header.layout {
        Layout::Fortran if header.shape.len() > 1 => Ok(Array::from_fortran(header.shape, data)),
        _ => Ok(Array { shape: header.shape, data }),
    }
}

/// Reads what stands before the values; `at` names the array in errors.
pub(crate) fn read_header(reader: &mut dyn Read, file: &Path, at: &str) -> Result<Header> {
    let bad = |expected: &str, found: String| {
        Error::malformed(file, format!("{at}, the header"), expected, found, "write it again with numpy.save")
    };
    let mut take = |count: usize| -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let filled = fill(reader, &mut bytes).map_err(|e| Error::read(file, "read", &e))?;
        if filled < count {
            let (expected, missing) = (count as u64, (count - filled) as u64);
            return Err(Error::Truncated { file: file.into(), at: format!("{at}, the header"), expected, missing });
        }
        Ok(bytes)
    };
    let start = take(8)?;
    if !start.starts_with(MAGIC) {
        return Err(bad("\\x93NUMPY at the beginning", format!("{:?}", String::from_utf8_lossy(&start[..6]))));
    }
    let (length, prefix) = match start[6] {
        1 => (take(2)?.iter().rev().fold(0usize, |n, &b| n << 8 | usize::from(b)), 10),
        2 | 3 => (take(4)?.iter().rev().fold(0usize, |n, &b| n << 8 | usize::from(b)), 12),
        version => return Err(bad("format version 1, 2 or 3", version.to_string())),
    };
    if length > MAX_HEADER {
        return Err(bad(&format!("at most {MAX_HEADER} bytes"), length.to_string()));
    }
    let bytes = take(length)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("text", "bytes that are not UTF-8".into()))?;
    let Some((descr, layout, shape)) = parse_dictionary(text) else {
        return Err(bad("a dictionary with descr, fortran_order and shape", format!("{:?}", shorten(text))));
    };
    let element = element(&descr).ok_or_else(|| {
        let hint = "convert it with .astype(float); classes may be numbered with np.unique(y, return_inverse=True)";
        Error::unsupported(file, format!("{at}, the header"), format!("the data type {}", shorten(&descr)), hint)
    })?;
    Ok(Header { element, layout, shape, bytes: (prefix + length) as u64 })
}

fn shorten(text: &str) -> String {
    let text = text.trim_end();
    if text.chars().count() <= 80 { text.into() } else { text.chars().take(80).chain("…".chars()).collect() }
}

/// `'<f8'` -> f64, little-endian.
fn element(descr: &str) -> Option<Element> {
    let mut characters = descr.chars();
    let order = match characters.next()? {
        '<' | '|' => Order::Little,
        '>' => Order::Big,
        _ => return None,
    };
    let number = match characters.as_str() {
        "b1" | "?" => Number::Bool,
        "i1" => Number::I8,
        "u1" => Number::U8,
        "i2" => Number::I16,
        "u2" => Number::U16,
        "i4" => Number::I32,
        "u4" => Number::U32,
        "i8" => Number::I64,
        "u8" => Number::U64,
        "f2" => Number::F16,
        "f4" => Number::F32,
        "f8" => Number::F64,
        _ => return None,
    };
    Some(Element { number, order })
}

/// The Python dictionary of a header, keys in any order; a `descr` that is no string (a structured type) comes back as is.
fn parse_dictionary(text: &str) -> Option<(String, Layout, Vec<usize>)> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut layout, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = parse_string(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        let after = match key {
            "descr" => {
                let (found, after) = parse_string(value).or_else(|| parse_list(value))?;
                descr = Some(found.to_owned());
                after
            }
            "fortran_order" => {
                let (found, after) = match value.strip_prefix("False") {
                    Some(after) => (Layout::C, after),
                    None => (Layout::Fortran, value.strip_prefix("True")?),
                };
                layout = Some(found);
                after
            }
            "shape" => {
                let (inside, after) = value.strip_prefix('(')?.split_once(')')?;
                shape = Some(parse_shape(inside)?);
                after
            }
            _ => return None,
        };
        rest = after.trim_start();
        rest = rest.strip_prefix(',').map_or_else(|| rest.is_empty().then_some(rest), |r| Some(r.trim_start()))?;
    }
    Some((descr?, layout?, shape?))
}

fn parse_string(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|&c| c == '\'' || c == '"')?;
    text[1..].split_once(quote)
}

/// The text of a bracketed list, brackets inside it counted.
fn parse_list(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then(|| text.split_at(at + 1));
        }
    }
    None
}

/// `3, 4,` -> [3, 4]; Python 2 wrote `3L`.
fn parse_shape(text: &str) -> Option<Vec<usize>> {
    let text = text.trim().strip_suffix(',').unwrap_or(text).trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let shape: Option<Vec<usize>> = text
        .split(',')
        .map(|length| {
            let digits = length.trim();
            let digits = digits.strip_suffix('L').unwrap_or(digits);
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        })
        .collect();
    shape.filter(|s| s.len() <= MAX_AXES)
}

/// The bytes before the values, of version 1, padded to 64 bytes as NumPy pads them.
pub(crate) fn header(shape: &[usize], kind: FloatKind) -> Vec<u8> {
    let descr = match kind {
        FloatKind::F32 => "<f4",
        FloatKind::F64 => "<f8",
    };
    let mut lengths: String = shape.iter().map(|n| format!("{n}, ")).collect();
    if shape.len() > 1 {
        lengths.truncate(lengths.len() - 2);
    }
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", lengths.trim_end());
    let unpadded = MAGIC.len() + 4 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[1, 0]);
    // At most 32 axes of 20 digits: far below the 65,535 bytes that two bytes can count.
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Refuses a shape that does not describe the values.
pub(crate) fn check_shape(file: &Path, at: &str, shape: &[usize], elements: Elements<'_>) -> Result<()> {
    let n = shape.iter().try_fold(1usize, |n, &length| n.checked_mul(length));
    if n == Some(elements.len()) && shape.len() <= MAX_AXES {
        return Ok(());
    }
    let found = format!("{} values", elements.len());
    Err(Error::malformed(file, at, format!("values for the shape {shape:?}"), found, "give the shape of the values"))
}

/// Refuses a shape whose values cannot be counted.
pub(crate) fn check_countable(file: &Path, at: &str, shape: &[usize]) -> Result<()> {
    if shape.len() <= MAX_AXES && shape.iter().try_fold(1usize, |n, &length| n.checked_mul(length)).is_some() {
        return Ok(());
    }
    Err(Error::malformed(file, at, "a shape of countable values", format!("{shape:?}"), "divide the array"))
}

/// Writes one array to `writer`.
pub(crate) fn write_to(writer: &mut dyn Write, shape: &[usize], elements: Elements<'_>) -> std::io::Result<()> {
    writer.write_all(&header(shape, elements.kind()))?;
    elements.write_to(writer)
}

/// Writes an array atomically: the file appears whole or not at all.
///
/// ```
/// use dualnet_io::{Elements, npy};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.npy");
/// npy::write(&path, &[2, 2], Elements::F64(&[1.0, 2.0, 3.0, 4.0]))?;
/// let a = npy::read(&path, 1 << 20)?;
/// assert_eq!((a.shape.clone(), a.into_f64()), (vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A shape that does not fit the values; whatever the file system refuses.
pub fn write(path: &Path, shape: &[usize], elements: Elements<'_>) -> Result<()> {
    check_shape(path, "the array", shape, elements)?;
    atomic::write(path, |file| write_to(file, shape, elements))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_of_all_ages_are_read() {
        let new = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }  \n";
        assert_eq!(parse_dictionary(new), Some(("<f8".into(), Layout::C, vec![3, 4])));
        let old = "{\"shape\": (3L,), 'fortran_order':True ,'descr':\"|b1\"}";
        assert_eq!(parse_dictionary(old), Some(("|b1".into(), Layout::Fortran, vec![3])));
        let scalar = "{'descr': '>i2', 'fortran_order': False, 'shape': ()}";
        assert_eq!(parse_dictionary(scalar), Some((">i2".into(), Layout::C, vec![])));
        let record = "{'descr': [('a', '<f8'), ('b', '<i4', (2,))], 'fortran_order': False, 'shape': (1,)}";
        assert_eq!(parse_dictionary(record).map(|d| d.0), Some("[('a', '<f8'), ('b', '<i4', (2,))]".into()));
    }

    #[test]
    fn other_dictionaries_are_refused() {
        for text in [
            "",
            "{}",
            "{'descr': '<f8', 'fortran_order': False}",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': ()}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,,2)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,) 'x': 1}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3",
            "{'descr",
        ] {
            assert_eq!(parse_dictionary(text), None, "{text}");
        }
        let many = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({})}}", "1,".repeat(33));
        assert_eq!(parse_dictionary(&many), None);
    }

    #[test]
    fn headers_are_padded_to_64_bytes() {
        for shape in [&[][..], &[3], &[3, 4], &[123_456, 789, 1, 2]] {
            let bytes = header(shape, FloatKind::F64);
            assert_eq!(bytes.len() % 64, 0);
            let text = std::str::from_utf8(&bytes[10..]).unwrap();
            assert_eq!(parse_dictionary(text), Some(("<f8".into(), Layout::C, shape.to_vec())));
        }
    }
}
