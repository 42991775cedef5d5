//! Number types in files, and reading a known count of them with every length checked before memory is taken.

use crate::array::{Data, count};
use crate::error::{Error, Result};
use crate::input::Length;
use std::io::Read;
use std::path::Path;

/// A number type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

/// A number type and its byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) number: Number,
    pub(crate) order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Element {
    /// Bytes of one value in the file.
    pub(crate) fn width(self) -> usize {
        match self.number {
            Number::Bool | Number::I8 | Number::U8 => 1,
            Number::I16 | Number::U16 | Number::F16 => 2,
            Number::I32 | Number::U32 | Number::F32 => 4,
            Number::I64 | Number::U64 | Number::F64 => 8,
        }
    }

    /// No values, with room for `capacity`.
    pub(crate) fn empty(self, capacity: usize) -> Data {
        match self.number {
            Number::Bool | Number::U8 => Data::U8(Vec::with_capacity(capacity)),
            Number::I8 | Number::I16 | Number::U16 | Number::F16 | Number::F32 => {
                Data::F32(Vec::with_capacity(capacity))
            }
            _ => Data::F64(Vec::with_capacity(capacity)),
        }
    }

    /// Decodes `bytes` (a multiple of the width) onto the end of `data`; the error is an integer that f64 cannot hold.
    fn decode(self, bytes: &[u8], data: &mut Data) -> std::result::Result<(), i128> {
        match (data, self.number) {
            (Data::U8(v), Number::Bool) => v.extend(bytes.iter().map(|&b| u8::from(b != 0))),
            (Data::U8(v), _) => v.extend_from_slice(bytes),
            (Data::F32(v), Number::I8) => v.extend(bytes.iter().map(|&b| f32::from(b.cast_signed()))),
            (Data::F32(v), Number::I16) => self.extend(bytes, v, |b| f32::from(i16::from_le_bytes(b))),
            (Data::F32(v), Number::U16) => self.extend(bytes, v, |b| f32::from(u16::from_le_bytes(b))),
            (Data::F32(v), Number::F16) => self.extend(bytes, v, |b| half(u16::from_le_bytes(b))),
            (Data::F32(v), _) => self.extend(bytes, v, f32::from_le_bytes),
            (Data::F64(v), Number::I32) => self.extend(bytes, v, |b| f64::from(i32::from_le_bytes(b))),
            (Data::F64(v), Number::U32) => self.extend(bytes, v, |b| f64::from(u32::from_le_bytes(b))),
            (Data::F64(v), Number::I64) => {
                let mut lost = None;
                self.extend(bytes, v, |b| exact(i64::from_le_bytes(b).into(), &mut lost));
                return lost.map_or(Ok(()), Err);
            }
            (Data::F64(v), Number::U64) => {
                let mut lost = None;
                self.extend(bytes, v, |b| exact(u64::from_le_bytes(b).into(), &mut lost));
                return lost.map_or(Ok(()), Err);
            }
            (Data::F64(v), _) => self.extend(bytes, v, f64::from_le_bytes),
        }
        Ok(())
    }

    fn extend<const N: usize, T>(self, bytes: &[u8], to: &mut Vec<T>, mut value: impl FnMut([u8; N]) -> T) {
        let chunks = bytes.as_chunks::<N>().0.iter().copied();
        match self.order {
            Order::Little => to.extend(chunks.map(value)),
            Order::Big => to.extend(chunks.map(|mut b| {
                b.reverse();
                value(b)
            })),
        }
    }
}

/// Largest integer up to which f64 holds every integer: 2^53.
pub(crate) const EXACT: i128 = 1 << 53;

/// `value` as f64; notes in `lost` one that would be rounded.
fn exact(value: i128, lost: &mut Option<i128>) -> f64 {
    if value.abs() > EXACT {
        *lost = Some(value);
    }
    value as f64
}

/// IEEE 754 binary16 to binary32, exact.
pub(crate) fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

/// In which order the values of an array lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The last axis fastest.
    C,
    /// The first axis fastest.
    Fortran,
}

/// What stands before the values of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) element: Element,
    pub(crate) layout: Layout,
    pub(crate) shape: Vec<usize>,
    /// Bytes of the header itself.
    pub(crate) bytes: u64,
}

impl Header {
    /// What is left of content of `length` bytes after the header.
    pub(crate) fn rest(&self, length: Length) -> Length {
        match length {
            Length::Exact(n) => Length::Exact(n.saturating_sub(self.bytes)),
            Length::AtMost(n) => Length::AtMost(n.saturating_sub(self.bytes)),
        }
    }

    /// The number of values.
    pub(crate) fn count(&self, file: &Path, at: &str, limit: u64) -> Result<usize> {
        count(&self.shape, || Error::TooLarge { file: file.into(), at: at.into(), needed: u64::MAX, limit })
    }
}

/// Where values come from: for messages, limits and plausibility.
pub(crate) struct Payload<'a> {
    pub(crate) file: &'a Path,
    /// "the values", "array x".
    pub(crate) at: String,
    /// Bytes that follow, as far as known.
    pub(crate) length: Length,
    pub(crate) limit: u64,
}

/// Values decoded at a time, in bytes: a multiple of every width.
const CHUNK: usize = 1 << 16;

impl Payload<'_> {
    /// Reads exactly `count` values and checks that nothing follows them. The length the header claims is checked against
    /// the length of the file (or, packed, against what it can unpack to) and the limit before memory is taken.
    pub(crate) fn read(&self, reader: &mut dyn Read, element: Element, count: usize) -> Result<Data> {
        let bytes = self.check(element, count)?;
        let needed = (count as u64).saturating_mul(element.empty(0).width() as u64);
        if needed > self.limit {
            return Err(Error::TooLarge { file: self.file.into(), at: self.at.clone(), needed, limit: self.limit });
        }
        let mut data = element.empty(count);
        self.append(reader, element, bytes, (bytes, bytes), &mut data)?;
        self.end(reader, bytes)?;
        Ok(data)
    }

    /// Holds the length of `count` values against what is known of the content; returns their bytes.
    pub(crate) fn check(&self, element: Element, count: usize) -> Result<u64> {
        let too_large =
            || Error::TooLarge { file: self.file.into(), at: self.at.clone(), needed: u64::MAX, limit: self.limit };
        let bytes = (count as u64).checked_mul(element.width() as u64).ok_or_else(too_large)?;
        match self.length {
            Length::Exact(found) if found > bytes => Err(self.left_over(bytes, &found.to_string())),
            Length::Exact(found) | Length::AtMost(found) if found < bytes => Err(self.truncated(bytes, bytes - found)),
            _ => Ok(bytes),
        }
    }

    /// Decodes the next `bytes` bytes onto the end of `data`; `left` of `all` bytes of values, for messages, have not been
    /// read.
    pub(crate) fn append(
        &self,
        reader: &mut dyn Read,
        element: Element,
        bytes: u64,
        (mut left, all): (u64, u64),
        data: &mut Data,
    ) -> Result<()> {
        let mut chunk = vec![0; bytes.min(CHUNK as u64) as usize];
        let end = left.saturating_sub(bytes);
        while left > end {
            let part = &mut chunk[..(left - end).min(CHUNK as u64) as usize];
            let filled = fill(reader, part).map_err(|e| Error::read(self.file, "read", &e))?;
            if filled < part.len() {
                return Err(self.truncated(all, left - filled as u64));
            }
            element.decode(part, data).map_err(|value| self.inexact(value))?;
            left -= part.len() as u64;
        }
        Ok(())
    }

    /// Checks that nothing follows the values, `bytes` of them. Reading past the end also makes a packed source verify its
    /// checksum.
    pub(crate) fn end(&self, reader: &mut dyn Read, bytes: u64) -> Result<()> {
        match reader.read(&mut [0]).map_err(|e| Error::read(self.file, "read", &e))? {
            0 => Ok(()),
            _ => Err(self.left_over(bytes, "more")),
        }
    }

    fn truncated(&self, expected: u64, missing: u64) -> Error {
        Error::Truncated { file: self.file.into(), at: self.at.clone(), expected, missing }
    }

    fn left_over(&self, expected: u64, found: &str) -> Error {
        let hint = "the shape in the header and the data do not agree: write the file again";
        Error::malformed(self.file, &self.at, format!("{expected} bytes of values"), found, hint)
    }

    fn inexact(&self, value: i128) -> Error {
        let hint = "integers beyond 2^53 do not fit a 64-bit float: store them as text or subtract an offset";
        Error::unsupported(self.file, &self.at, format!("the integer {value}"), hint)
    }
}

/// Fills `buffer` as far as the reader goes; returns the bytes filled. A packed source that breaks off has ended too.
pub(crate) fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn integers_beyond_two_to_the_53_are_refused() {
        let element = Element { number: Number::I64, order: Order::Big };
        let mut data = element.empty(0);
        assert_eq!(element.decode(&(-(1i64 << 53)).to_be_bytes(), &mut data), Ok(()));
        assert_eq!(element.decode(&((1i64 << 53) + 1).to_be_bytes(), &mut data), Err((1 << 53) + 1));
        assert_eq!(data.len(), 2);
    }
}
