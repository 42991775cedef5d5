//! Parquet, written here through the parquet crate.

use super::{Place, numbers, table, texts, with};
use ::parquet::basic::{Compression, GzipLevel, ZstdLevel};
use ::parquet::column::writer::ColumnWriter as W;
use ::parquet::data_type::ByteArray;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use dualnet_io::{Missing, Options, load};
use std::path::Path;
use std::sync::Arc;

/// Two row groups of three rows each, one column of each kind; the second number of `d` and first text are null.
pub(super) fn write(path: &Path, compression: Compression) {
    let schema = "message t {
        optional double d; required float f; required int32 i; required int64 l (INTEGER(64, true));
        required int32 u (INTEGER(32, false)); required boolean b; optional binary s (UTF8); }";
    let properties = WriterProperties::builder().set_compression(compression).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(parse_message_type(schema).unwrap()), Arc::new(properties)).unwrap();
    for group in 0..2 {
        let mut rows = writer.next_row_group().unwrap();
        while let Some(mut column) = rows.next_column().unwrap() {
            let written = match column.untyped() {
                W::DoubleColumnWriter(w) => w.write_batch(&[0.5, 2.5], Some(&[1, 0, 1]), None).unwrap(),
                W::FloatColumnWriter(w) => w.write_batch(&[1.5, 2.5, group as f32], None, None).unwrap(),
                W::Int32ColumnWriter(w) => w.write_batch(&[-1, 2, 3], None, None).unwrap(),
                W::Int64ColumnWriter(w) => w.write_batch(&[-(1 << 40), 2, 3], None, None).unwrap(),
                W::BoolColumnWriter(w) => w.write_batch(&[true, false, true], None, None).unwrap(),
                W::ByteArrayColumnWriter(w) => {
                    let words = [ByteArray::from("red"), ByteArray::from("red")];
                    w.write_batch(&words, Some(&[0, 1, 1]), None).unwrap()
                }
                _ => panic!("a column of another type"),
            };
            assert!(written >= 2);
            column.close().unwrap();
        }
        rows.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn columns_of_every_kind_in_every_packing() {
    let place = Place::new();
    let path = place.path("a.parquet");
    let gzip = Compression::GZIP(GzipLevel::default());
    let zstd = Compression::ZSTD(ZstdLevel::default());
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip, Compression::LZ4_RAW, zstd] {
        write(&path, compression);
        let t = table(load(&path, &with(Missing::Keep)).unwrap());
        assert_eq!((t.rows(), t.format.as_str()), (6, "Parquet"));
        let d = numbers(&t, "d");
        assert!(d[1].is_nan() && d[4].is_nan(), "{compression:?}");
        assert_eq!([d[0], d[2], d[3], d[5]], [0.5, 2.5, 0.5, 2.5]);
        assert_eq!(numbers(&t, "f"), [1.5, 2.5, 0.0, 1.5, 2.5, 1.0]);
        assert_eq!(numbers(&t, "i")[..3], [-1.0, 2.0, 3.0]);
        assert_eq!(numbers(&t, "l")[..3], [-(2f64.powi(40)), 2.0, 3.0]);
        assert_eq!(numbers(&t, "u")[..3], [4_294_967_295.0, 2.0, 3.0]);
        assert_eq!(numbers(&t, "b")[..3], [1.0, 0.0, 1.0]);
        assert_eq!(texts(&t, "s"), ["", "red", "red", "", "red", "red"]);
    }
    let expected = "a.parquet: row 1, column s: a missing value where a value is expected; \
                    fill it in, or pass --missing drop or --missing mean";
    assert_eq!(place.error("a.parquet", &Options::default()), expected);
    let dropped = table(load(&path, &with(Missing::Drop)).unwrap());
    assert_eq!((dropped.rows(), dropped.place(1)), (2, "row 6".into()));
}

#[test]
fn types_that_are_not_read_are_named() {
    let place = Place::new();
    let path = place.path("a.parquet");
    let cases = [
        ("required int32 c (DATE);", "column c: the type Date is not supported"),
        ("required int64 c (TIMESTAMP(MILLIS, true));", "column c: the type Timestamp"),
        ("required int32 c (DECIMAL(5, 2));", "column c: the type Decimal"),
        ("required int96 c;", "column c: the type INT96 is not supported"),
        ("required binary c;", "column c: the type BYTE_ARRAY is not supported"),
        ("required fixed_len_byte_array(2) c (FLOAT16);", "column c: the type Float16 is not supported"),
        ("repeated int32 c;", "column c: the type list is not supported; flatten the table first"),
        ("required group g { required int32 c; }", "the schema: nested columns (lists or structures) is not supported"),
    ];
    for (column, expected) in cases {
        let schema = parse_message_type(&format!("message t {{ {column} }}")).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).unwrap().close().unwrap();
        let text = place.error("a.parquet", &Options::default());
        assert!(text.starts_with(&format!("a.parquet: {expected}")), "{text}");
    }
}

#[test]
fn truncated_and_empty_files() {
    let place = Place::new();
    let path = place.path("a.parquet");
    write(&path, Compression::SNAPPY);
    let whole = std::fs::read(&path).unwrap();
    place.put("cut.parquet", &whole[..whole.len() - 9]);
    let text = place.error("cut.parquet", &Options::default());
    assert!(text.contains("no PAR1 at the end of the file: it is truncated or encrypted"), "{text}");
    place.put("head.parquet", &whole[whole.len() - 20..]);
    place.put("stub.parquet", "PAR1");
    let stub = "stub.parquet: the file: 8 of 12 bytes are missing; the file is truncated: copy or download it again";
    assert_eq!(place.error("stub.parquet", &Options::default()), stub);
    let mut tail = b"PAR1".to_vec();
    tail.extend(&whole[whole.len() - 100..]);
    place.put("tail.parquet", tail);
    let text = place.error("tail.parquet", &Options::default());
    assert!(text.starts_with("tail.parquet: the footer: "), "{text}");
    let small = Options { max_bytes: 200, ..with(Missing::Keep) };
    assert!(place.error("a.parquet", &small).ends_with("the limit is 200; raise it with --memory"));
}

#[test]
fn a_page_that_claims_more_than_it_can_unpack_to_is_refused() {
    let place = Place::new();
    let path = place.path("a.parquet");
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(1 << 24)
        .set_data_page_row_count_limit(1 << 24)
        .build();
    let schema = Arc::new(parse_message_type("message t { required double x; }").unwrap());
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut rows = writer.next_row_group().unwrap();
    let mut column = rows.next_column().unwrap().unwrap();
    let values: Vec<f64> = (0..200_000).map(|i| f64::from(i).sin()).collect();
    let W::DoubleColumnWriter(w) = column.untyped() else { panic!("another type") };
    w.write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    rows.close().unwrap();
    writer.close().unwrap();
    assert_eq!(numbers(&table(load(&path, &Options::default()).unwrap()), "x"), values);

    // The page header: field 1 (type) = 0, field 2 (unpacked size) = a varint of four bytes, here made the largest.
    let mut bytes = std::fs::read(&path).unwrap();
    assert_eq!((&bytes[4..7], bytes[10] < 0x80), (&[0x15, 0x00, 0x15][..], true));
    bytes[7..11].copy_from_slice(&[0xfe, 0xff, 0xff, 0x7f]);
    place.put("a.parquet", bytes);
    let text = place.error("a.parquet", &Options::default());
    assert!(text.starts_with("a.parquet: column x: expected pages inside the file, found a page of"), "{text}");
    assert!(text.contains("said to hold 134217727"), "{text}");
    let small = Options { max_bytes: 1 << 20, ..Options::default() };
    assert!(place.error("a.parquet", &small).starts_with("a.parquet: "));
}
