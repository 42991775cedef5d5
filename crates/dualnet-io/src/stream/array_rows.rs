//! Rows of one array: .npy, IDX, or a member of an .npz.

use crate::array::{Array, Data};
use crate::dataset::Format;
use crate::element::{Header, Layout, Payload};
use crate::error::{Error, Result};
use crate::input::{Input, Length};
use crate::npz::{Member, Packing};
use crate::{idx, npy};
use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Where an array lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Npy,
    Idx,
}

impl Form {
    pub(super) fn of(format: Format) -> Option<Self> {
        match format {
            Format::Npy => Some(Self::Npy),
            Format::Idx => Some(Self::Idx),
            Format::Csv | Format::Parquet | Format::Npz => None,
        }
    }
}

/// Values as they come, summed up.
struct Summed {
    inner: Box<dyn Read + Send>,
    crc: Crc,
}

impl Read for Summed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.crc.update(&buffer[..count]);
        Ok(count)
    }
}

enum Reader {
    /// One row after the other.
    Rows(Summed),
    /// The first axis is the fastest: the rows wanted of one column after the other, which begin at this byte.
    Columns(File, u64),
}

/// An array being read.
pub(super) struct ArrayRows {
    input: Arc<Input>,
    form: Form,
    member: Option<Member>,
    /// The array's name in errors.
    at: String,
    header: Header,
    /// Bytes of all values.
    bytes: u64,
    reader: Reader,
    read: usize,
    /// CRC-32 that the content must have, once known.
    checksum: Option<u32>,
}

impl ArrayRows {
    /// Opens a file that is one array.
    pub(super) fn open(input: &Arc<Input>, form: Form) -> Result<Self> {
        Self::new(Arc::clone(input), form, None, "the values".into())
    }

    /// Opens an array inside an archive.
    pub(super) fn open_member(input: &Arc<Input>, member: Member, name: &str) -> Result<Self> {
        Self::new(Arc::clone(input), Form::Npy, Some(member), format!("array {name}"))
    }

    fn new(input: Arc<Input>, form: Form, member: Option<Member>, at: String) -> Result<Self> {
        let (header, content) = begin(&input, form, member, &at)?;
        let checksum = member.map(|member| member.crc);
        let count = header.count(input.path(), &at, u64::MAX)?;
        let length = member.map_or_else(|| input.length(), |member| member.length);
        let payload = payload(&input, &at, header.rest(length));
        let bytes = payload.check(header.element, count)?;
        let whole = header.bytes.saturating_add(bytes);
        if let Some(member) = member.filter(|member| member.size < whole) {
            let (expected, hint) = (format!("{whole} bytes by the archive's list"), "copy or write it again");
            return Err(Error::malformed(input.path(), at, expected, member.size.to_string(), hint));
        }
        let reader = reader(&input, &header, member, &at, content)?;
        Ok(Self { input, form, member, at, header, bytes, reader, read: 0, checksum })
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// Values of a row; only for shapes without an axis of length 0.
    pub(super) fn row_len(&self) -> usize {
        self.header.shape.iter().skip(1).product()
    }

    /// Bytes that a row takes in memory.
    pub(super) fn row_bytes(&self) -> u64 {
        (self.row_len() as u64).saturating_mul(self.empty().width() as u64)
    }

    /// No values, of the type that they have in memory.
    pub(super) fn empty(&self) -> Data {
        self.header.element.empty(0)
    }

    pub(super) fn rows_left(&self) -> usize {
        self.header.shape.first().map_or(0, |&rows| rows.saturating_sub(self.read))
    }

    /// The next `rows` rows, of which there must be as many. After the last row the end of the content is checked too.
    pub(super) fn next(&mut self, rows: usize) -> Result<Array> {
        let width = self.header.element.width() as u64;
        let row_len = self.row_len();
        let mut data = self.header.element.empty(rows.saturating_mul(row_len));
        let mut shape = self.header.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = rows;
        }
        let payload = payload(&self.input, &self.at, Length::AtMost(self.bytes));
        let array = match &mut self.reader {
            Reader::Rows(content) => {
                let row_bytes = row_len as u64 * width;
                let left = self.bytes - self.read as u64 * row_bytes;
                let bytes = rows as u64 * row_bytes;
                payload.append(content, self.header.element, bytes, (left, self.bytes), &mut data)?;
                Array { shape, data }
            }
            Reader::Columns(file, start) => {
                let bytes = rows as u64 * width;
                let column_bytes = self.bytes / row_len.max(1) as u64;
                for column in 0..row_len as u64 {
                    let skipped = column * column_bytes + self.read as u64 * width;
                    let sought = file.seek(SeekFrom::Start(*start + skipped));
                    sought.map_err(|e| Error::read(self.input.path(), "read", &e))?;
                    let left = self.bytes - skipped;
                    payload.append(file, self.header.element, bytes, (left, self.bytes), &mut data)?;
                }
                Array::from_fortran(shape, data)
            }
        };
        self.read += rows;
        if self.rows_left() == 0 {
            self.end()?;
        }
        self.input.check_unchanged().map(|()| array)
    }

    /// Nothing follows the values, and all is what it was in an earlier pass, or is in the archive's list.
    fn end(&mut self) -> Result<()> {
        let Reader::Rows(content) = &mut self.reader else { return Ok(()) };
        payload(&self.input, &self.at, Length::AtMost(self.bytes)).end(content, self.bytes)?;
        let found = content.crc.sum();
        match (self.checksum.replace(found), self.member) {
            (Some(expected), Some(_)) if expected != found => {
                let (expected, hint) = ("content with the checksum in the archive", "copy or write it again");
                Err(Error::malformed(self.input.path(), &self.at, expected, "other content", hint))
            }
            (Some(expected), None) if expected != found => {
                Err(Error::changed(self.input.path(), "the values as in the first pass", "other values"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn restart(&mut self) -> Result<()> {
        self.input.check_unchanged()?;
        let (header, content) = begin(&self.input, self.form, self.member, &self.at)?;
        if header != self.header {
            return Err(Error::changed(self.input.path(), "the header as before", "another"));
        }
        self.reader = reader(&self.input, &header, self.member, &self.at, content)?;
        self.read = 0;
        Ok(())
    }
}

fn payload<'a>(input: &'a Input, at: &str, length: Length) -> Payload<'a> {
    Payload { file: input.path(), at: at.into(), length, limit: u64::MAX }
}

/// The header, and the content after it.
fn begin(input: &Input, form: Form, member: Option<Member>, at: &str) -> Result<(Header, Summed)> {
    let inner = match member {
        None => input.open_stream()?,
        Some(member) => {
            let file = plain(input, member.start)?.take(member.packed);
            match member.packing {
                Packing::Stored => Box::new(file) as Box<dyn Read + Send>,
                Packing::Deflated => Box::new(DeflateDecoder::new(BufReader::with_capacity(1 << 16, file))),
            }
        }
    };
    let mut content = Summed { inner, crc: Crc::new() };
    let header = match form {
        Form::Npy => npy::read_header(&mut content, input.path(), at)?,
        Form::Idx => idx::read_header(&mut content, input.path())?,
    };
    Ok((header, content))
}

/// How to come to the values: in the order of the file, or column by column.
fn reader(input: &Input, header: &Header, member: Option<Member>, at: &str, content: Summed) -> Result<Reader> {
    if header.layout == Layout::C || header.shape.len() < 2 {
        return Ok(Reader::Rows(content));
    }
    let start = match member {
        None => Some(header.bytes),
        Some(Member { start, packing: Packing::Stored, .. }) => Some(start.saturating_add(header.bytes)),
        Some(_) => None,
    };
    match start.map(|start| Ok((input.open_at(start)?, start))).transpose()? {
        Some((Some(file), start)) => Ok(Reader::Columns(file, start)),
        _ => {
            let found = "a packed array in Fortran order, read in batches,";
            let hint = "unpack it, or save it as numpy.ascontiguousarray(x)";
            Err(Error::unsupported(input.path(), at, found, hint))
        }
    }
}

fn plain(input: &Input, start: u64) -> Result<File> {
    let packed = || Error::unsupported(input.path(), "the file", "this format inside gzip", "unpack it with gunzip");
    input.open_at(start)?.ok_or_else(packed)
}
