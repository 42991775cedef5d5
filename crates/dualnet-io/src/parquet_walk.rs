//! A check of Parquet's lengths before the parquet crate acts on them.
//!
//! That crate reserves memory, and recurses, as the file's numbers say: children of a schema node, bytes of an unpacked
//! page. Here the same Thrift structures (compact protocol) are walked with every length held against the bytes there are.

use std::io::{self, Read, Seek, SeekFrom};

/// Deepest nesting of structures walked.
const MAX_DEPTH: usize = 32;

/// Why a structure is refused, in words for a message.
pub(crate) type Walked<T> = std::result::Result<T, String>;

/// Types of the compact protocol's fields and elements.
mod kind {
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const MAP: u8 = 11;
    pub(super) const STRUCT: u8 = 12;
}

/// A position in Thrift's compact encoding.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn byte(&mut self) -> Walked<u8> {
        let byte = self.bytes.get(self.at).copied().ok_or("a structure that breaks off")?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Walked<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("an integer of more than ten bytes".into())
    }

    fn integer(&mut self) -> Walked<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// The next field's number and type, or the end of the structure.
    fn field(&mut self, last: i64) -> Walked<Option<(i64, u8)>> {
        let byte = self.byte()?;
        match (byte >> 4, byte & 0x0f) {
            (_, 0) => Ok(None),
            (0, kind) => Ok(Some((self.integer()?, kind))),
            (step, kind) => Ok(Some((last.saturating_add(i64::from(step)), kind))),
        }
    }

    /// Length and element type of a list; every element takes at least a byte.
    fn list(&mut self) -> Walked<(usize, u8)> {
        let byte = self.byte()?;
        let length = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
        self.check(length)?;
        Ok((length as usize, byte & 0x0f))
    }

    fn check(&self, length: u64) -> Walked<()> {
        let left = self.bytes.len() - self.at;
        if length > left as u64 {
            return Err(format!("a length of {length} with {left} bytes left"));
        }
        Ok(())
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Walked<()> {
        if depth > MAX_DEPTH {
            return Err(format!("structures nested more than {MAX_DEPTH} deep"));
        }
        match kind {
            kind::TRUE | kind::FALSE => {}
            kind::BYTE => drop(self.byte()?),
            kind::I16..=kind::I64 => drop(self.varint()?),
            kind::DOUBLE => self.advance(8)?,
            kind::BINARY => {
                let length = self.varint()?;
                self.advance(length)?;
            }
            kind::LIST | kind::SET => {
                let (length, element) = self.list()?;
                for _ in 0..length {
                    self.skip(element, depth + 1)?;
                }
            }
            kind::MAP => {
                let length = self.varint()?;
                self.check(length)?;
                let kinds = if length > 0 { self.byte()? } else { 0 };
                for _ in 0..length {
                    self.skip(kinds >> 4, depth + 1)?;
                    self.skip(kinds & 0x0f, depth + 1)?;
                }
            }
            kind::STRUCT => self.fields(depth, |walk, _, kind| walk.skip(kind, depth + 1))?,
            other => return Err(format!("an unknown Thrift type {other}")),
        }
        Ok(())
    }

    fn advance(&mut self, length: u64) -> Walked<()> {
        self.check(length)?;
        self.at += length as usize;
        Ok(())
    }

    /// Calls `each` with number and type of every field of a structure; it must consume the field.
    fn fields(&mut self, depth: usize, mut each: impl FnMut(&mut Self, i64, u8) -> Walked<()>) -> Walked<()> {
        if depth > MAX_DEPTH {
            return Err(format!("structures nested more than {MAX_DEPTH} deep"));
        }
        let mut last = 0;
        while let Some((number, kind)) = self.field(last)? {
            each(self, number, kind)?;
            last = number;
        }
        Ok(())
    }
}

/// Checks the file's metadata (FileMetaData): all lengths plausible, and a flat schema: a root, then columns without
/// children, which also bounds the recursion of the reader.
pub(crate) fn check_footer(bytes: &[u8]) -> Walked<()> {
    let mut walk = Walk { bytes, at: 0 };
    walk.fields(0, |walk, number, kind| match (number, kind) {
        (2, kind::LIST) => check_schema(walk),
        _ => walk.skip(kind, 1),
    })
}

fn check_schema(walk: &mut Walk<'_>) -> Walked<()> {
    let (length, kind) = walk.list()?;
    if kind != kind::STRUCT {
        return Err("a schema that is no list of structures".into());
    }
    for index in 0..length {
        let mut children = 0;
        walk.fields(1, |walk, number, kind| match (number, kind) {
            (5, kind::I16..=kind::I64) => {
                children = walk.integer()?;
                Ok(())
            }
            _ => walk.skip(kind, 2),
        })?;
        match index {
            0 if children != length as i64 - 1 && children <= length as i64 => return Err(NESTED.into()),
            0 if children > length as i64 => return Err(format!("a schema of {children} columns in {length} entries")),
            0 => {}
            _ if children != 0 => return Err(NESTED.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Said of schemas that are not flat.
pub(crate) const NESTED: &str = "nested columns (lists or structures)";

/// What a page's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Page {
    /// Bytes unpacked.
    pub(crate) unpacked: u64,
    /// Bytes in the file after the header.
    pub(crate) packed: u64,
    /// Bytes of the header.
    pub(crate) header: u64,
    /// Bytes of a version 2 page's levels, which are never packed.
    pub(crate) levels: u64,
}

/// Parses one PageHeader at the beginning of `bytes`.
pub(crate) fn page(bytes: &[u8]) -> Walked<Page> {
    let mut walk = Walk { bytes, at: 0 };
    let mut page = Page::default();
    let size = |walk: &mut Walk<'_>| -> Walked<u64> {
        let size = walk.integer()?;
        u64::try_from(size).map_err(|_| format!("a page of {size} bytes"))
    };
    walk.fields(0, |walk, number, kind| {
        match (number, kind) {
            (2, kind::I16..=kind::I64) => page.unpacked = size(walk)?,
            (3, kind::I16..=kind::I64) => page.packed = size(walk)?,
            (8, kind::STRUCT) => walk.fields(1, |walk, number, kind| {
                match (number, kind) {
                    (5 | 6, kind::I16..=kind::I64) => page.levels = page.levels.saturating_add(size(walk)?),
                    _ => walk.skip(kind, 2)?,
                }
                Ok(())
            })?,
            _ => walk.skip(kind, 1)?,
        }
        Ok(())
    })?;
    page.header = walk.at as u64;
    Ok(page)
}

/// The headers of the pages in `length` bytes from `start`, each with the offset of its content.
pub(crate) fn pages(file: &mut (impl Read + Seek), start: u64, length: u64) -> io::Result<Walked<Vec<(u64, Page)>>> {
    let (mut at, end) = (start, start.saturating_add(length));
    let mut pages = Vec::new();
    let mut bytes = Vec::new();
    while at < end {
        let mut parsed = Err(String::new());
        // Headers are small unless they carry long statistics.
        for window in [1 << 12, 1 << 20] {
            bytes.clear();
            file.seek(SeekFrom::Start(at))?;
            file.by_ref().take(window.min(end - at)).read_to_end(&mut bytes)?;
            parsed = page(&bytes);
            if parsed.is_ok() {
                break;
            }
        }
        let page = match parsed {
            Ok(page) => page,
            Err(why) => return Ok(Err(why)),
        };
        let content = at + page.header;
        if page.packed > end - content.min(end) {
            return Ok(Err(format!("a page of {} bytes with {} left", page.packed, end - content.min(end))));
        }
        pages.push((content, page));
        at = content + page.packed;
    }
    Ok(Ok(pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_header_is_parsed() {
        // type 0, unpacked 300 (zigzag 600), packed 20, data_page_header { num_values 5 }.
        let bytes = [0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0x28, 0x2c, 0x15, 0x0a, 0x00, 0x00, 0xff];
        assert_eq!(page(&bytes), Ok(Page { unpacked: 300, packed: 20, header: 12, levels: 0 }));
        assert!(page(&bytes[..11]).is_err());
    }

    #[test]
    fn lengths_beyond_the_bytes_and_deep_nesting_are_refused() {
        // Field 2: a list of 2^31 structures.
        let long = [0x29, 0xfc, 0x80, 0x80, 0x80, 0x80, 0x08, 0x00];
        assert_eq!(check_footer(&long), Err("a length of 2147483648 with 1 bytes left".into()));
        // A root that claims a billion children.
        let wide = [0x29, 0x1c, 0x55, 0x80, 0xa8, 0xd6, 0xb9, 0x07, 0x00, 0x00];
        assert!(check_footer(&wide).is_err());
        assert!(check_footer(&[0x1c; 100_000]).is_err());
        assert!(check_footer(&[0xff; 10]).is_err());
    }
}
