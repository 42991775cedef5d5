//! Streams: the batches of a file, one after the other, are what `load` gives, and so are the errors.

#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet_io::stream::{self, Chunk, ElementType, Kind, Levels, Schema, Stream};
use dualnet_io::{
    Array, Column, Data, Elements, Loaded, MISSING_LEVEL, Missing, Options, Result, Values, load, npy, npz,
};
use parquet::column::writer::ColumnWriter as W;
use parquet::data_type::ByteArray;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const POLICIES: [Missing; 4] = [Missing::Refuse, Missing::Drop, Missing::Mean, Missing::Keep];

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn with(missing: Missing) -> Options {
    Options { missing, ..Options::default() }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Everything a reader gave, in words, with where each row of a table stands. Shows every bit but those of a NaN.
#[derive(Debug, PartialEq)]
struct All {
    columns: String,
    places: Vec<String>,
}

fn all_of(loaded: Loaded) -> All {
    match loaded {
        Loaded::Table(t) => {
            All { columns: format!("{:?}", t.columns), places: (0..t.rows()).map(|row| t.place(row)).collect() }
        }
        Loaded::Arrays { x, y, .. } => All { columns: format!("{x:?} {y:?}"), places: Vec::new() },
    }
}

fn extend(array: &mut Array, more: Array) {
    array.shape[0] += more.shape[0];
    assert_eq!(array.shape[1..], more.shape[1..]);
    match (&mut array.data, more.data) {
        (Data::U8(a), Data::U8(b)) => a.extend(b),
        (Data::F32(a), Data::F32(b)) => a.extend(b),
        (Data::F64(a), Data::F64(b)) => a.extend(b),
        _ => panic!("another type"),
    }
}

/// One pass in batches of `rows`, put together.
fn pass(stream: &mut Stream, rows: usize) -> Result<All> {
    let (mut columns, mut places) = (Vec::<Column>::new(), Vec::new());
    let mut arrays: Option<(Array, Option<Array>)> = None;
    let mut last = rows;
    while let Some(chunk) = stream.next_batch(rows)? {
        assert_eq!(last, rows, "only the last batch is short");
        last = chunk.rows();
        assert!((1..=rows).contains(&last));
        match chunk {
            Chunk::Table(t) => {
                places.extend((0..t.rows()).map(|row| t.place(row)));
                if columns.is_empty() {
                    columns = t.columns;
                    continue;
                }
                for (column, more) in columns.iter_mut().zip(t.columns) {
                    assert_eq!(column.name, more.name);
                    match (&mut column.values, more.values) {
                        (Values::Number(a), Values::Number(b)) => a.extend(b),
                        (Values::Text(a), Values::Text(b)) => a.extend(b),
                        _ => panic!("another kind"),
                    }
                }
            }
            Chunk::Arrays { x, y } => match &mut arrays {
                None => arrays = Some((x, y)),
                Some((all_x, all_y)) => {
                    extend(all_x, x);
                    all_y.iter_mut().zip(y).for_each(|(a, b)| extend(a, b));
                }
            },
        }
    }
    assert!(stream.next_batch(rows)?.is_none());
    Ok(match arrays {
        Some((x, y)) => All { columns: format!("{x:?} {y:?}"), places },
        None => All { columns: format!("{columns:?}"), places },
    })
}

/// The schema of a table must say what the loaded table shows.
fn check_schema(stream: &Stream, loaded: &Loaded) {
    match (stream.schema(), loaded) {
        (Schema::Table { format, fields }, Loaded::Table(table)) => {
            assert_eq!((format, stream.rows()), (&table.format, Some(table.rows() as u64)));
            assert_eq!(fields.len(), table.columns.len());
            for (field, column) in fields.iter().zip(&table.columns) {
                let kind = match &column.values {
                    Values::Number(_) => Kind::Number,
                    Values::Text(cells) => {
                        let mut levels: Vec<String> = Vec::new();
                        for cell in cells.iter().filter(|cell| !cell.is_empty()) {
                            if !levels.contains(cell) {
                                levels.push(cell.clone());
                            }
                        }
                        Kind::Word(Levels::All(levels))
                    }
                };
                assert_eq!((&field.name, &field.kind), (&column.name, &kind));
            }
        }
        (Schema::Arrays { x, y }, Loaded::Arrays { x: all_x, y: all_y, .. }) => {
            assert_eq!(x.shape, all_x.shape[1..]);
            assert_eq!(y.as_ref().map(|y| &y.shape[..]), all_y.as_ref().map(|y| &y.shape[1..]));
            let element = match all_x.data {
                Data::U8(_) => ElementType::U8,
                Data::F32(_) => ElementType::F32,
                Data::F64(_) => ElementType::F64,
            };
            assert_eq!(x.element, element);
        }
        (schema, _) => panic!("{schema:?}"),
    }
}

/// Stream and load must agree: the same data in batches of any size, twice over, or the same error.
fn agree(path: &Path, options: &Options, batches: &[usize]) {
    let loaded = load(path, options);
    for &rows in batches {
        let mut stream = match stream::open(path, options) {
            Ok(stream) => stream,
            Err(error) => {
                assert_eq!(error.to_string(), loaded.as_ref().unwrap_err().to_string());
                continue;
            }
        };
        let found = pass(&mut stream, rows);
        match (&loaded, found) {
            (Ok(loaded), Ok(found)) => {
                check_schema(&stream, loaded);
                let expected = all_of(loaded.clone());
                assert_eq!(found, expected, "batches of {rows}");
                stream.restart().unwrap();
                stream.next_batch(1).unwrap();
                stream.restart().unwrap();
                assert_eq!(pass(&mut stream, rows).unwrap(), expected);
                let rows = stream.rows().unwrap();
                assert_eq!(
                    rows,
                    match loaded {
                        Loaded::Table(t) => t.rows(),
                        Loaded::Arrays { x, .. } => x.rows(),
                    } as u64
                );
            }
            (Err(expected), Err(found)) => {
                assert_eq!(found.to_string(), expected.to_string());
                assert_eq!(stream.next_batch(rows).unwrap_err(), found, "an error stays");
            }
            (expected, found) => panic!("{rows}: load gives {expected:?}, the stream {found:?}"),
        }
    }
}

/// Lines of cells that matter, quoted or not, some ragged, some blank.
fn text() -> impl Strategy<Value = String> {
    let cell = prop_oneof![
        12 => "[0-9]{1,3}(\\.[0-9]{0,2})?",
        2 => Just("NA".to_owned()),
        2 => Just(String::new()),
        1 => prop::sample::select(vec![
            "x", "y", "oak", "inf", "-inf", "-nan", "1e999", " 7 ", "\" 7,5\"", "007", "1e3", "?", "é", "missing", "1.",
            "\"a,b\"", "\"a\nb\"", "\"a\r\n\"\"b\"", "2024-01-31", "\"\"", "\"NA\"", "-.5", "+3", "\"4\"", "1,5", "2,5"
        ]).prop_map(str::to_owned),
    ];
    let width = 1..5usize;
    let style = (prop::sample::select(vec![",", ";", "\t"]), prop::sample::select(vec!["\n", "\r\n"]), any::<u8>());
    (width, style).prop_flat_map(move |(width, (delimiter, end, flags))| {
        let row = prop::collection::vec(cell.clone(), width);
        let odd = 0..60u8;
        prop::collection::vec((row, odd), 0..25).prop_map(move |rows| {
            let mut text = String::from(if flags & 1 == 1 { "\u{feff}" } else { "" });
            text += &(0..width).map(|i| format!("c{i}")).collect::<Vec<_>>().join(delimiter);
            for (cells, odd) in rows {
                text += end;
                match odd {
                    0..3 => text += end,
                    3 => text += "1,2,3,4,5,6,7",
                    _ => {}
                }
                text += &cells.join(delimiter);
            }
            for _ in 0..flags >> 1 & 3 {
                text += end;
            }
            text
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_of_any_text_are_what_load_gives(text in text(), rows in 1..12usize, target in any::<bool>()) {
        let place = Place::new();
        let path = place.put("t", &text);
        for missing in POLICIES {
            let target = target.then(|| "c0".to_owned());
            agree(&path, &Options { target, ..with(missing) }, &[rows, 1000]);
        }
        place.put("t", gzip(text.as_bytes()));
        agree(&path, &with(Missing::Keep), &[rows]);
    }
}

#[test]
fn kinds_levels_and_means_are_those_of_the_whole_file() {
    let place = Place::new();
    let path = place.put("t.csv", "id,code,kind\n1,007,oak\n2,NA,\n,1e2,fir\n4,B7,oak\ninf,5,elm\n");
    for missing in POLICIES {
        agree(&path, &with(missing), &[1, 2, 3, 5, 100]);
    }
    let levels = |missing| {
        let stream = stream::open(&path, &with(missing)).unwrap();
        let Schema::Table { fields, .. } = stream.schema() else { panic!() };
        fields[1..].iter().map(|field| field.kind.clone()).collect::<Vec<_>>()
    };
    let words = |words: &[&str]| Kind::Word(Levels::All(words.iter().map(|&w| w.to_owned()).collect()));
    assert_eq!(levels(Missing::Keep), [words(&["007", "1e2", "B7", "5"]), words(&["oak", "fir", "elm"])]);
    assert_eq!(levels(Missing::Drop), [words(&["007", "B7"]), words(&["oak"])]);
    let filled = words(&["007", MISSING_LEVEL, "1e2", "B7", "5"]);
    assert_eq!(levels(Missing::Mean), [filled, words(&["oak", MISSING_LEVEL, "fir", "elm"])]);
    let small = Options { max_bytes: 4 << 10, ..with(Missing::Keep) };
    let many: String = (0..100).map(|i| format!("w{i},{}\n", i % 2)).collect();
    let stream = stream::open(&place.put("m.csv", format!("w,n\n{many}")), &small).unwrap();
    let Schema::Table { fields, .. } = stream.schema() else { panic!() };
    assert_eq!(fields[0].kind, Kind::Word(Levels::TooMany));
}

#[test]
fn errors_name_the_line_of_the_whole_file() {
    let place = Place::new();
    let rows: String = (0..500).map(|i| format!("{i},{}\n", if i == 321 { "NA" } else { "1" })).collect();
    let path = place.put("t.csv", format!("a,b\n{rows}"));
    let error = stream::open(&path, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("t.csv: line 323, column b: a missing value"), "{error}");
    let mut values = vec![1.0; 1000];
    values[2 * 321 + 1] = f64::INFINITY;
    npy::write(&path, &[500, 2], Elements::F64(&values)).unwrap();
    let mut stream = stream::open(&path, &Options::default()).unwrap();
    for _ in 0..3 {
        assert_eq!(stream.next_batch(100).unwrap().unwrap().rows(), 100);
    }
    let error = stream.next_batch(100).unwrap_err().to_string();
    assert!(error.contains("t.csv: row 322, column 2: the number inf"), "{error}");
    agree(&path, &Options::default(), &[7, 500]);
}

/// Three row groups; nulls and NaN in the numbers, nulls in the words.
fn parquet(path: &Path, schema: &str) {
    let file = File::create(path).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(parse_message_type(schema).unwrap()), Arc::default()).unwrap();
    for group in 0..3 {
        let n = [40, 1, 59][group];
        let levels: Vec<i16> = (0..n).map(|i| i16::from(i % 9 != 3)).collect();
        let present = levels.iter().filter(|&&l| l == 1).count();
        let mut rows = writer.next_row_group().unwrap();
        while let Some(mut column) = rows.next_column().unwrap() {
            match column.untyped() {
                W::DoubleColumnWriter(w) => {
                    let value = |i| if i == 20 { f64::NAN } else { (i * i) as f64 / 7.0 };
                    let values: Vec<f64> = (0..present).map(value).collect();
                    w.write_batch(&values, Some(&levels), None).unwrap();
                }
                W::Int32ColumnWriter(w) => {
                    w.write_batch(&(0..n).collect::<Vec<i32>>(), None, None).unwrap();
                }
                W::ByteArrayColumnWriter(w) => {
                    let word = |i| ByteArray::from(["red", "green", "blue"][(i + group) % 3]);
                    w.write_batch(&(0..present).map(word).collect::<Vec<_>>(), Some(&levels), None).unwrap();
                }
                _ => panic!("a column of another type"),
            }
            column.close().unwrap();
        }
        rows.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn parquet_is_split_and_joined_across_row_groups() {
    let place = Place::new();
    let path = place.path("t.parquet");
    for columns in ["required int32 i;", "required int32 i; optional double d;", "optional binary s (UTF8);"] {
        parquet(&path, &format!("message t {{ {columns} }}"));
        for missing in POLICIES {
            agree(&path, &with(missing), &[1, 7, 40, 41, 64, 1000]);
        }
    }
    parquet(&path, "message t { required int32 i; optional double d; optional binary s (UTF8); }");
    for missing in POLICIES {
        for target in [None, Some("d".to_owned()), Some("i".to_owned())] {
            agree(&path, &Options { target, ..with(missing) }, &[9, 1000]);
        }
    }
}

/// An .npy of 12 rows of shape (3, 2) with the values at `bad` made infinite; `order` as in its header.
fn raw(descr: &str, order: &str, bad: &[usize]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (12, 3, 2), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    for i in 0..72u16 {
        let value = if bad.contains(&usize::from(i)) { f32::INFINITY } else { f32::from(i).sqrt() };
        match descr {
            "|u1" => bytes.push(i as u8),
            ">i2" => bytes.extend(i.to_be_bytes()),
            "<f4" => bytes.extend(value.to_le_bytes()),
            ">f8" => bytes.extend(f64::from(value).to_be_bytes()),
            _ => panic!("{descr}"),
        }
    }
    bytes
}

fn zipped(members: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn arrays_of_every_format() {
    let place = Place::new();
    let batches = [1, 5, 12, 13];
    let labels = place.path("labels.npy");
    npy::write(&labels, &[12], Elements::F64(&[1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., f64::NAN])).unwrap();
    for descr in ["|u1", ">i2", "<f4", ">f8"] {
        for order in ["False", "True"] {
            for bad in [&[][..], &[50], &[0, 6, 71], &[3, 9, 15, 21, 27, 33, 39, 45, 51, 57, 63, 69]] {
                let content = raw(descr, order, bad);
                let path = place.put("x", &content);
                for missing in POLICIES {
                    agree(&path, &with(missing), &batches);
                    let labels = Some(labels.clone());
                    agree(&path, &Options { labels, ..with(missing) }, &batches[..2]);
                }
                for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
                    if method == zip::CompressionMethod::Deflated && order == "True" {
                        continue;
                    }
                    let path = place.put("x", zipped(&[("y", &raw(">i2", "False", &[])), ("x", &content)], method));
                    agree(&path, &with(Missing::Mean), &batches);
                    agree(&path, &with(Missing::Drop), &batches[..1]);
                }
            }
        }
        agree(&place.put("x", gzip(&raw(descr, "False", &[50]))), &with(Missing::Drop), &batches);
    }
    let packed = place.put("x", gzip(&raw("<f4", "True", &[])));
    let error = stream::open(&packed, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("a packed array in Fortran order, read in batches, is not supported; unpack it"), "{error}");
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 2];
    idx.extend(0..48u8);
    let mut classes = vec![0, 0, 8, 1, 0, 0, 0, 12];
    classes.extend(0..12u8);
    let options = Options { labels: Some(place.put("classes", gzip(&classes))), ..Options::default() };
    for content in [gzip(&idx), idx] {
        agree(&place.put("images", content), &options, &batches);
    }
    let short = Options { labels: Some(place.put("classes", [0, 0, 8, 1, 0, 0, 0, 1, 7])), ..Options::default() };
    agree(&place.path("images"), &short, &[1]);
    agree(&place.path("none"), &short, &[1]);
}

#[test]
fn a_file_that_changes_is_an_error() {
    let place = Place::new();
    let changed = |result: Result<Option<Chunk>>| {
        let error = result.unwrap_err().to_string();
        assert!(error.ends_with("the file changed while it was read: try again"), "{error}");
    };
    let text = format!("a,b\n{}", "1,2\n".repeat(50_000));
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    let sound = |name: &str, content: &[u8]| {
        let path = place.put(name, content);
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let mut stream = stream::open(&path, &with(Missing::Keep)).unwrap();
        assert_eq!(stream.next_batch(10).unwrap().unwrap().rows(), 10);
        (path, stream)
    };
    // Grown, cut, replaced, written over.
    let (path, mut stream) = sound("t", text.as_bytes());
    File::options().append(true).open(&path).unwrap().write_all(b"3,4\n").unwrap();
    changed(stream.next_batch(10));
    assert!(stream.restart().is_err() && stream.next_batch(10).is_err());
    let (path, mut stream) = sound("t", text.as_bytes());
    File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    changed(stream.next_batch(10));
    let (path, mut stream) = sound("t", text.as_bytes());
    std::fs::rename(place.put("other", &text), &path).unwrap();
    changed(stream.restart().map(|()| None));
    // The same size and the same time, so that only the content tells.
    let cases = [
        ("t", text.clone().into_bytes(), text.replacen("1,2\n1", "1,3\n1", 1).into_bytes()),
        ("t", text.clone().into_bytes(), text.replacen("1,2\n1", "1,x\n1", 1).into_bytes()),
        ("t", text.clone().into_bytes(), text.replacen("1,2\n1", "1\n2,1", 1).into_bytes()),
        ("n", raw("<f4", "False", &[]), raw("<f4", "False", &[71])),
    ];
    for (name, content, other) in cases {
        let (path, mut stream) = sound(name, &content);
        while stream.next_batch(1000).unwrap().is_some() {}
        assert_eq!(content.len(), other.len());
        place.put(name, &other);
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let error = stream.restart().and_then(|()| pass(&mut stream, 1000)).unwrap_err().to_string();
        assert!(error.contains("the file changed while") || error.contains("found 1; quote cells"), "{error}");
    }
}

#[test]
fn batches_stay_within_the_limit_and_files_need_not() {
    let place = Place::new();
    let small = Options { max_bytes: 64 << 10, ..Options::default() };
    let text = format!("a,b\n{}", "1.25,2\n".repeat(100_000));
    for content in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        let path = place.put("t.csv", content);
        assert!(load(&path, &small).is_err());
        let mut stream = stream::open(&path, &small).unwrap();
        assert_eq!(pass(&mut stream, 1000).unwrap().places.len(), 100_000);
        stream.restart().unwrap();
        let error = stream.next_batch(usize::MAX).unwrap_err().to_string();
        assert!(
            error.ends_with("a batch: at least 65552 bytes are needed, the limit is 65536; raise it with --memory")
        );
    }
    // Rows that are dropped take no room.
    let mut gaps = String::from("a,b\n1,2\n");
    gaps += &"NA,1\n".repeat(20_000);
    gaps += "3,4\n";
    let mut stream =
        stream::open(&place.put("t.csv", gaps), &Options { missing: Missing::Drop, ..small.clone() }).unwrap();
    assert_eq!(pass(&mut stream, 100).unwrap().places, ["line 2", "line 20003"]);
    let x = vec![0.5; 100_000];
    npz::write(&place.path("x.npz"), &[("x", &[10_000, 10], Elements::F32(&x))]).unwrap();
    let mut stream = stream::open(&place.path("x.npz"), &small).unwrap();
    assert!(stream.next_batch(1639).unwrap_err().to_string().contains("a batch: at least 65560 bytes are needed"));
    stream.restart().unwrap();
    assert_eq!(stream.next_batch(1638).unwrap().unwrap().rows(), 1638);
    assert!(stream.next_batch(0).unwrap_err().to_string().contains("a batch: expected at least one row, found 0"));
    let open = format!("a,b\n1,\"{}", text);
    let error = stream::open(&place.put("t.csv", open), &small).unwrap_err().to_string();
    assert!(error.ends_with("line 2: expected a row of at most 65536 bytes, found a longer one; close every quote"));
    let folder = stream::open(place.0.path(), &small).unwrap_err().to_string();
    assert!(folder.contains("a folder read in batches is not supported; name the file"), "{folder}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_can_be_read_and_begun_again() {
    use std::os::fd::AsRawFd;
    let place = Place::new();
    let text = format!("a,b\n{}", "1.25,x\n".repeat(20_000));
    let npy = place.path("x.npy");
    npy::write(&npy, &[300, 4], Elements::F64(&[1.5; 1200])).unwrap();
    parquet(&place.path("p"), "message t { required int32 i; }");
    let archive = zipped(&[("x", &raw("<f4", "True", &[]))], zip::CompressionMethod::Stored);
    let contents = [
        text.clone().into_bytes(),
        gzip(text.as_bytes()),
        std::fs::read(&npy).unwrap(),
        std::fs::read(place.path("p")).unwrap(),
        archive,
    ];
    for content in contents {
        let expected = all_of(load(&place.put("plain", &content), &Options::default()).unwrap());
        let (reader, mut writer) = std::io::pipe().unwrap();
        let feeder = std::thread::spawn(move || writer.write_all(&content));
        let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
        let mut stream = stream::open(&path, &Options::default()).unwrap();
        feeder.join().unwrap().unwrap();
        drop(reader);
        for _ in 0..2 {
            assert_eq!(pass(&mut stream, 100).unwrap(), expected);
            stream.restart().unwrap();
        }
    }
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'x'; 2000]).unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
    let error = stream::open(&path, &Options { max_bytes: 1000, ..Options::default() }).unwrap_err().to_string();
    assert!(error.contains("at least 1001 bytes are needed, the limit is 1000"), "{error}");
}

#[test]
fn a_stream_may_go_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Stream>();
}
