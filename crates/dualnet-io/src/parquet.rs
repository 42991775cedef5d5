//! Parquet: flat schemas of numbers, booleans and strings; dictionaries and nulls included.

use crate::element::EXACT;
use crate::error::{Error, Result};
use crate::input::{Input, inflated_at_most};
use crate::parquet_walk::{self as walk, Page as PageSize};
use crate::table::{Column, Places, Table, Values, check_names};
use ::parquet::basic::{Compression, ConvertedType, Encoding, LogicalType, Repetition, Type as Physical};
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescriptor;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub(crate) const MAGIC: &[u8] = b"PAR1";

/// Rows decoded at a time.
const BATCH: usize = 1 << 14;

/// The format's name in [`Table`].
pub(crate) const FORMAT: &str = "Parquet";

const DAMAGED: &str = "the file is damaged: copy or write it again";

/// Reads a table, nulls as missing cells.
pub(crate) fn from_input(input: &Input) -> Result<Table> {
    guarded(input.path(), || {
        let mut file = Groups::open(input, input.limit())?;
        let mut columns = file.empty_columns();
        let mut used = 0;
        for group in 0..file.len() {
            let rows = file.rows_of(group)?;
            for (index, column) in columns.iter_mut().enumerate() {
                file.open_column(group, index)?.0.read(rows, &mut column.values, &mut used)?;
            }
        }
        let rows = columns.first().map_or(0, Column::len);
        if rows == 0 {
            return Err(no_rows(input.path()));
        }
        let (source, format) = (input.path().display().to_string(), FORMAT.into());
        Ok(Table { source, format, columns, rows, places: Places::From(1), noun: "row" })
    })
}

/// The parquet crate indexes and asserts on what damaged pages say. Its panics end here as an error; the caller must not
/// use again what `read` has touched then.
pub(crate) fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(Error::malformed(path, "the pages", "readable Parquet data", "inconsistent bytes", DAMAGED))
    })
}

pub(crate) fn no_rows(path: &Path) -> Error {
    Error::malformed(path, "the table", "rows", "none", "check how the file was written")
}

/// A file opened, its footer checked. All methods may panic on damaged files: call them through [`guarded`].
pub(crate) struct Groups {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
    reader: SerializedFileReader<File>,
    columns: Vec<(String, Kind)>,
}

impl Groups {
    /// Opens a file of which no page may unpack to more than `limit` bytes.
    pub(crate) fn open(input: &Input, limit: u64) -> Result<Self> {
        let path = input.path();
        let (mut file, size) = input.file()?;
        check_footer(path, &mut file, size, limit)?;
        let reader = SerializedFileReader::new(file).map_err(|e| malformed(path, "the footer", &e))?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        check_names(path, "the schema", schema.columns().iter().map(|c| c.name()))?;
        let mut columns = Vec::with_capacity(schema.num_columns());
        for descriptor in schema.columns() {
            columns.push((descriptor.name().to_owned(), kind(path, descriptor)?));
        }
        // Page headers are walked through a file of their own.
        let (file, _) = input.file()?;
        Ok(Self { path: path.into(), file, size, limit, reader, columns })
    }

    /// The number of row groups.
    pub(crate) fn len(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// The rows that a row group is said to have.
    pub(crate) fn rows_of(&self, group: usize) -> Result<usize> {
        let rows = self.reader.metadata().row_group(group).num_rows();
        usize::try_from(rows).map_err(|_| {
            Error::malformed(&self.path, format!("row group {group}"), "a number of rows", rows.to_string(), DAMAGED)
        })
    }

    /// All columns, without cells.
    pub(crate) fn empty_columns(&self) -> Vec<Column> {
        let column = |(name, kind): &(String, Kind)| {
            let values = if *kind == Kind::Text { Values::Text(Vec::new()) } else { Values::Number(Vec::new()) };
            Column { name: name.clone(), values }
        };
        self.columns.iter().map(column).collect()
    }

    /// Column `index` of a row group, and the bytes that its largest page unpacks to.
    pub(crate) fn open_column(&mut self, group: usize, index: usize) -> Result<(OpenColumn, u64)> {
        let path = &self.path;
        let row_group = self.reader.get_row_group(group).map_err(|e| malformed(path, "the row groups", &e))?;
        let (name, kind) = &self.columns[index];
        let at = format!("column {name}");
        let chunk = row_group.metadata().column(index);
        let largest = check_chunk(path, &at, &mut self.file, self.size, chunk, self.limit)?;
        let pages = row_group.get_column_page_reader(index).map_err(|e| malformed(path, &at, &e))?;
        let descriptor = chunk.column_descr_ptr();
        let nullable = descriptor.max_def_level() > 0;
        let reader = get_column_reader(descriptor, Box::new(Checked { inner: pages }));
        Ok((OpenColumn { path: path.clone(), at, limit: self.limit, reader, kind: *kind, nullable }, largest))
    }
}

/// A column of a row group, its next cells to be read.
pub(crate) struct OpenColumn {
    path: PathBuf,
    at: String,
    limit: u64,
    reader: ColumnReader,
    kind: Kind,
    nullable: bool,
}

impl OpenColumn {
    /// Adds the next `rows` cells to `values` and their bytes to `used`.
    pub(crate) fn read(&mut self, rows: usize, values: &mut Values, used: &mut u64) -> Result<()> {
        let mut sink = Sink { path: &self.path, at: &self.at, used, limit: self.limit, values };
        sink.read(&mut self.reader, self.kind, rows, self.nullable)
    }
}

fn malformed(path: &Path, at: &str, e: &ParquetError) -> Error {
    Error::malformed(path, at, "readable Parquet data", e.to_string(), DAMAGED)
}

/// Reads the footer for itself and checks every length in it.
fn check_footer(path: &Path, file: &mut File, size: u64, limit: u64) -> Result<()> {
    let io = |e: std::io::Error| Error::read(path, "read", &e);
    let bad = |found: String| Error::malformed(path, "the footer", "Parquet metadata", found, DAMAGED);
    if size < 12 {
        return Err(Error::Truncated { file: path.into(), at: "the file".into(), expected: 12, missing: 12 - size });
    }
    let mut tail = [0; 8];
    file.seek(SeekFrom::End(-8)).and_then(|_| file.read_exact(&mut tail)).map_err(io)?;
    let [a, b, c, d, magic @ ..] = tail;
    if magic != MAGIC {
        return Err(bad("no PAR1 at the end of the file: it is truncated or encrypted".into()));
    }
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if length > size - 12 {
        let (at, missing) = ("the footer".into(), length - (size - 12));
        return Err(Error::Truncated { file: path.into(), at, expected: length, missing });
    }
    if length > limit {
        return Err(Error::TooLarge { file: path.into(), at: "the footer".into(), needed: length, limit });
    }
    let mut footer = vec![0; length as usize];
    file.seek(SeekFrom::Start(size - 8 - length)).and_then(|_| file.read_exact(&mut footer)).map_err(io)?;
    walk::check_footer(&footer).map_err(|why| match why.as_str() {
        walk::NESTED => Error::unsupported(path, "the schema", why, "flatten the table first"),
        _ => bad(why),
    })
}

/// Holds a column chunk's offsets and the lengths of its pages against the file, the packing method and the limit. Returns
/// the bytes that the largest page unpacks to.
fn check_chunk(
    path: &Path,
    at: &str,
    file: &mut File,
    size: u64,
    chunk: &ColumnChunkMetaData,
    limit: u64,
) -> Result<u64> {
    let bad = |found: String| Error::malformed(path, at, "pages inside the file", found, DAMAGED);
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let (Ok(start), Ok(length)) = (u64::try_from(start), u64::try_from(chunk.compressed_size())) else {
        return Err(bad("a negative offset".into()));
    };
    if start.checked_add(length).is_none_or(|end| end > size) {
        return Err(bad(format!("{length} bytes from byte {start} of {size}")));
    }
    let codec = chunk.compression();
    let pages = walk::pages(file, start, length).map_err(|e| Error::read(path, "read", &e))?.map_err(&bad)?;
    let mut largest = 0;
    for (content, page) in pages {
        largest = page.unpacked.max(largest);
        let most = match codec {
            Compression::UNCOMPRESSED => page.unpacked,
            // A copy of 3 bytes gives at most 64.
            Compression::SNAPPY => page.packed.saturating_mul(64).saturating_add(64),
            Compression::GZIP(_) => inflated_at_most(page.packed),
            Compression::LZ4_RAW => page.packed.saturating_mul(255).saturating_add(64),
            // A block of 4 bytes gives at most 128 KiB.
            Compression::ZSTD(_) => page.packed.saturating_mul(1 << 15).saturating_add(1 << 17),
            other => {
                let found = format!("the packing method {other:?}");
                return Err(Error::unsupported(path, at, found, "write the file again with snappy or zstd"));
            }
        };
        if page.unpacked > most.saturating_add(page.levels) {
            return Err(bad(format!("a page of {} bytes said to hold {}", page.packed, page.unpacked)));
        }
        if page.unpacked > limit {
            let (file, at) = (path.into(), format!("a page of {at}"));
            return Err(Error::TooLarge { file, at, needed: page.unpacked, limit });
        }
        if matches!(codec, Compression::GZIP(_)) {
            check_gzip(file, content, page).map_err(|e| Error::read(path, "unpack", &e))?.map_err(&bad)?;
        }
    }
    Ok(largest)
}

/// The parquet crate unpacks gzip without end, so that a page is unpacked here first, into nothing.
fn check_gzip(file: &mut File, content: u64, page: PageSize) -> std::io::Result<walk::Walked<()>> {
    let expected = page.unpacked.saturating_sub(page.levels);
    if expected == 0 {
        return Ok(Ok(()));
    }
    file.seek(SeekFrom::Start(content + page.levels))?;
    let packed = std::io::BufReader::new(file.take(page.packed.saturating_sub(page.levels)));
    let unpacked = flate2::bufread::MultiGzDecoder::new(packed).take(expected.saturating_add(1));
    let found = std::io::copy(&mut { unpacked }, &mut std::io::sink())?;
    Ok(if found == expected { Ok(()) } else { Err(format!("a page of {expected} bytes that unpacks to others")) })
}

/// Looks at unpacked pages before the decoders reserve memory by what is in them.
struct Checked {
    inner: Box<dyn PageReader>,
}

impl Checked {
    fn check(page: &Page) -> ParquetResult<()> {
        let refuse = |what: String| Err(ParquetError::General(what));
        match page {
            // Every plain value of a dictionary takes at least four bytes.
            Page::DictionaryPage { buf, num_values, .. } if *num_values as usize > buf.len() / 4 => {
                refuse(format!("a dictionary of {num_values} values in {} bytes", buf.len()))
            }
            // These state a number of lengths inside the page, and values built from prefixes can outgrow any bound.
            Page::DataPage { encoding, .. } | Page::DataPageV2 { encoding, .. }
                if matches!(encoding, Encoding::DELTA_BYTE_ARRAY | Encoding::DELTA_LENGTH_BYTE_ARRAY) =>
            {
                refuse(format!(
                    "the encoding {encoding}, which is not supported: write with plain or dictionary encoding"
                ))
            }
            _ => Ok(()),
        }
    }
}

impl PageReader for Checked {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let page = self.inner.get_next_page()?;
        page.as_ref().map_or(Ok(()), Self::check)?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.inner.skip_next_page()
    }
}

impl Iterator for Checked {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Float,
    Signed,
    Unsigned,
    Text,
}

fn kind(path: &Path, column: &ColumnDescriptor) -> Result<Kind> {
    let refuse = |what: String, hint: &str| {
        Err(Error::unsupported(path, format!("column {}", column.name()), format!("the type {what}"), hint))
    };
    let repeated = column.self_type().get_basic_info().repetition() == Repetition::REPEATED;
    if column.path().parts().len() != 1 || column.max_rep_level() > 0 || column.max_def_level() > 1 || repeated {
        return refuse("list".into(), "flatten the table first");
    }
    let cast = "cast the column to a number or to text first";
    match (column.physical_type(), column.logical_type_ref(), column.converted_type()) {
        (Physical::BOOLEAN, None, _) | (Physical::FLOAT | Physical::DOUBLE, None, ConvertedType::NONE) => {
            Ok(Kind::Float)
        }
        (Physical::INT32 | Physical::INT64, Some(LogicalType::Integer(integer)), _) => {
            Ok(if integer.is_signed { Kind::Signed } else { Kind::Unsigned })
        }
        // A column that pyarrow saw only nulls in.
        (Physical::INT32 | Physical::INT64, Some(LogicalType::Unknown), _) => Ok(Kind::Signed),
        (Physical::INT32 | Physical::INT64, None, converted) => match converted {
            ConvertedType::NONE
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64 => Ok(Kind::Signed),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
                Ok(Kind::Unsigned)
            }
            other => refuse(other.to_string(), cast),
        },
        (Physical::BYTE_ARRAY, Some(LogicalType::String | LogicalType::Enum | LogicalType::Json), _)
        | (Physical::BYTE_ARRAY, None, ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON) => {
            Ok(Kind::Text)
        }
        (_, Some(logical), _) => refuse(format!("{logical:?}"), cast),
        (physical, None, ConvertedType::NONE) => refuse(physical.to_string(), cast),
        (_, None, converted) => refuse(converted.to_string(), cast),
    }
}

/// A column being filled.
struct Sink<'a> {
    path: &'a Path,
    at: &'a str,
    used: &'a mut u64,
    limit: u64,
    values: &'a mut Values,
}

impl Sink<'_> {
    fn read(&mut self, reader: &mut ColumnReader, kind: Kind, rows: usize, nullable: bool) -> Result<()> {
        use ColumnReader as R;
        match reader {
            R::BoolColumnReader(r) => {
                self.column(r, rows, nullable, |s, v| s.number(v.map(|&b| f64::from(u8::from(b)))))
            }
            R::FloatColumnReader(r) => self.column(r, rows, nullable, |s, v| s.number(v.map(|&x| f64::from(x)))),
            R::DoubleColumnReader(r) => self.column(r, rows, nullable, |s, v| s.number(v.copied())),
            R::Int32ColumnReader(r) if kind == Kind::Unsigned => {
                self.column(r, rows, nullable, |s, v| s.number(v.map(|&n| f64::from(n.cast_unsigned()))))
            }
            R::Int32ColumnReader(r) => self.column(r, rows, nullable, |s, v| s.number(v.map(|&n| f64::from(n)))),
            R::Int64ColumnReader(r) if kind == Kind::Unsigned => {
                self.column(r, rows, nullable, |s, v| s.integer(v.map(|&n| n.cast_unsigned().into())))
            }
            R::Int64ColumnReader(r) => self.column(r, rows, nullable, |s, v| s.integer(v.map(|&n| n.into()))),
            R::ByteArrayColumnReader(r) => self.column(r, rows, nullable, Self::text),
            R::Int96ColumnReader(_) | R::FixedLenByteArrayColumnReader(_) => {
                Err(Error::unsupported(self.path, self.at, "its type", "cast the column to a number or to text first"))
            }
        }
    }

    /// Decodes `rows` cells in batches and hands each, or the absence of one, to `push`.
    fn column<T: DataType>(
        &mut self,
        reader: &mut ColumnReaderImpl<T>,
        rows: usize,
        nullable: bool,
        mut push: impl FnMut(&mut Self, Option<&T::T>) -> Result<()>,
    ) -> Result<()> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let mut done = 0;
        while done < rows {
            levels.clear();
            values.clear();
            let batch = BATCH.min(rows - done);
            let read = reader.read_records(batch, nullable.then_some(&mut levels), None, &mut values);
            let (records, ..) = read.map_err(|e| malformed(self.path, self.at, &e))?;
            if records == 0 {
                let (expected, found) = (format!("{rows} values in the row group"), done.to_string());
                return Err(Error::malformed(self.path, self.at, expected, found, DAMAGED));
            }
            // Eight bytes a number; text counts its own.
            *self.used = self.used.saturating_add(8 * records as u64);
            self.check()?;
            let mut present = values.iter();
            if nullable {
                for &level in &levels {
                    push(self, if level > 0 { present.next() } else { None })?;
                }
            } else {
                present.try_for_each(|value| push(self, Some(value)))?;
            }
            done += records;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if *self.used <= self.limit {
            return Ok(());
        }
        Err(Error::TooLarge { file: self.path.into(), at: "the table".into(), needed: *self.used, limit: self.limit })
    }

    fn number(&mut self, value: Option<f64>) -> Result<()> {
        if let Values::Number(values) = self.values {
            values.push(value.unwrap_or(f64::NAN));
        }
        Ok(())
    }

    fn integer(&mut self, value: Option<i128>) -> Result<()> {
        match value {
            Some(n) if n.abs() > EXACT => {
                let hint = "integers beyond 2^53 do not fit a 64-bit float: store them as text or subtract an offset";
                Err(Error::unsupported(self.path, self.at, format!("the integer {n}"), hint))
            }
            _ => self.number(value.map(|n| n as f64)),
        }
    }

    fn text(&mut self, value: Option<&ByteArray>) -> Result<()> {
        let bytes = value.map_or(&[][..], |v| v.data());
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::malformed(self.path, self.at, "UTF-8 text", "other bytes", DAMAGED))?;
        *self.used = self.used.saturating_add(16 + text.len() as u64);
        self.check()?;
        if let Values::Text(cells) = self.values {
            cells.push(text.to_owned());
        }
        Ok(())
    }
}
