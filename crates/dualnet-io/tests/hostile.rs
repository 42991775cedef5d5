//! Damaged files of every format: an answer or an error that names the file, never a panic, never memory beyond the limit.

#![allow(clippy::unwrap_used)]

use dualnet_io::{
    Column, Elements, Error, Loaded, Missing, Options, Values, load, model_folder, npy, npz, sparse, stream, write,
};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::column::writer::ColumnWriter as W;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// What a load may take here.
const LIMIT: u64 = 1 << 20;

/// Beyond it: buffers, decoders and the allocator's own reserves.
const SLACK: u64 = 16 << 20;

#[derive(Debug, Clone)]
enum Damage {
    Set(f64, u8),
    Flip(f64, u8),
    Insert(f64, Vec<u8>),
    Remove(f64, usize),
    /// A length made huge, in either byte order.
    Fill(f64, usize, u8),
    Cut(f64),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let at = || 0.0..1.0f64;
    let one = prop_oneof![
        (at(), any::<u8>()).prop_map(|(p, b)| Damage::Set(p, b)),
        (at(), 0..8u8).prop_map(|(p, b)| Damage::Flip(p, b)),
        (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(p, b)| Damage::Insert(p, b)),
        (at(), 1..20usize).prop_map(|(p, n)| Damage::Remove(p, n)),
        (at(), 1..9usize, prop_oneof![Just(0xffu8), Just(0x7f), Just(0x00)])
            .prop_map(|(p, n, b)| Damage::Fill(p, n, b)),
        at().prop_map(Damage::Cut),
    ];
    prop::collection::vec(one, 1..4)
}

fn apply(bytes: &mut Vec<u8>, damage: &[Damage]) {
    for d in damage {
        let place = |p: f64| (p * bytes.len() as f64) as usize;
        match d {
            Damage::Set(p, b) => {
                let at = place(*p);
                bytes.get_mut(at).into_iter().for_each(|x| *x = *b);
            }
            Damage::Flip(p, b) => {
                let at = place(*p);
                bytes.get_mut(at).into_iter().for_each(|x| *x ^= 1 << b);
            }
            Damage::Insert(p, new) => {
                let at = place(*p);
                drop(bytes.splice(at..at, new.iter().copied()));
            }
            Damage::Remove(p, n) => {
                let at = place(*p);
                drop(bytes.drain(at..(at + n).min(bytes.len())));
            }
            Damage::Fill(p, n, b) => {
                let at = place(*p);
                bytes.iter_mut().skip(at).take(*n).for_each(|x| *x = *b);
            }
            Damage::Cut(p) => bytes.truncate(place(*p)),
        }
    }
}

/// Most address space the process has had, in bytes. Reserved memory counts even if it was never touched.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[cfg(not(target_os = "linux"))]
fn peak() -> u64 {
    0
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn parquet_file(path: &Path, compression: Compression) {
    let schema = "message t { optional double d; required int64 l; required boolean b; optional binary s (UTF8); }";
    let properties = WriterProperties::builder().set_compression(compression).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(parse_message_type(schema).unwrap()), Arc::new(properties)).unwrap();
    let mut rows = writer.next_row_group().unwrap();
    while let Some(mut column) = rows.next_column().unwrap() {
        let n = 50i64;
        let levels: Vec<i16> = (0..n).map(|i| i16::from(i % 7 != 0)).collect();
        let present = levels.iter().filter(|&&l| l == 1).count() as i64;
        match column.untyped() {
            W::DoubleColumnWriter(w) => {
                let values: Vec<f64> = (0..present).map(|i| (i % 5) as f64).collect();
                w.write_batch(&values, Some(&levels), None).unwrap();
            }
            W::Int64ColumnWriter(w) => {
                w.write_batch(&(0..n).collect::<Vec<_>>(), None, None).unwrap();
            }
            W::BoolColumnWriter(w) => {
                w.write_batch(&(0..n).map(|i| i % 3 == 0).collect::<Vec<_>>(), None, None).unwrap();
            }
            W::ByteArrayColumnWriter(w) => {
                let words: Vec<_> = (0..present).map(|i| ByteArray::from(["red", "green"][i as usize % 2])).collect();
                w.write_batch(&words, Some(&levels), None).unwrap();
            }
            _ => unreachable!(),
        }
        column.close().unwrap();
    }
    rows.close().unwrap();
    writer.close().unwrap();
}

/// A sound file of every format, by name.
fn sound_files(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let path = folder.join("sound");
    let read = || std::fs::read(&path).unwrap();
    let values: Vec<f64> = (0..120).map(f64::from).collect();
    let mut files = Vec::new();
    npy::write(&path, &[30, 4], Elements::F64(&values)).unwrap();
    files.push(("a.npy", read()));
    files.push(("a.npy.gz", gzip(&read())));
    npz::write(&path, &[("x", &[30, 4], Elements::F64(&values)), ("y", &[30], Elements::F64(&values[..30]))]).unwrap();
    files.push(("stored.npz", read()));
    let inner = {
        npy::write(&path, &[30, 4], Elements::F64(&values)).unwrap();
        read()
    };
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(&inner).unwrap();
    files.push(("deflated.npz", zip.finish().unwrap().into_inner()));
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 4];
    idx.extend((0..80).map(|i| i as u8));
    files.push(("idx.gz", gzip(&idx)));
    files.push(("idx", idx));
    let cells = (0..30).map(|i| format!("level {}", i % 3)).collect();
    let columns = [
        Column { name: "number".into(), values: Values::Number(values[..30].to_vec()) },
        Column { name: "text".into(), values: Values::Text(cells) },
    ];
    write::write_csv(&path, &columns).unwrap();
    files.push(("a.csv", read()));
    files.push(("a.csv.gz", gzip(&read())));
    let gz = Compression::GZIP(GzipLevel::default());
    let zstd = Compression::ZSTD(ZstdLevel::default());
    for (name, compression) in [
        ("plain.parquet", Compression::UNCOMPRESSED),
        ("snappy.parquet", Compression::SNAPPY),
        ("gzip.parquet", gz),
        ("zstd.parquet", zstd),
        ("lz4.parquet", Compression::LZ4_RAW),
    ] {
        parquet_file(&path, compression);
        files.push((name, read()));
    }
    std::fs::remove_file(&path).unwrap();
    files
}

/// Sound files of sparse rows.
fn sparse_files() -> Vec<(&'static str, Vec<u8>)> {
    let array = |descr: &str, shape: &str, content: Vec<u8>| {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend([text.as_bytes(), &content].concat());
        bytes
    };
    let (mut indptr, mut indices, mut data) = (vec![0i32], Vec::new(), Vec::new());
    let mut text = String::from("# made\n");
    for i in 0..30i32 {
        text += &format!("{}", i % 3 - 1);
        for j in (0..10).filter(|j| (i * j) % 4 == 1) {
            indices.push(j);
            data.push(f64::from(i + j));
            text += &format!(" {}:{}", j + 1, i + j);
        }
        indptr.push(indices.len() as i32);
        text += "\n";
    }
    let bytes = |x: &[i32]| x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let arrays = [
        ("indices", array("<i4", &format!("({},)", indices.len()), bytes(&indices))),
        ("indptr", array("<i4", "(31,)", bytes(&indptr))),
        ("format", array("|S3", "()", b"csr".to_vec())),
        ("shape", array("<i8", "(2,)", [30i64, 10].iter().flat_map(|x| x.to_le_bytes()).collect())),
        ("data", array("<f8", &format!("({},)", data.len()), data.iter().flat_map(|x| x.to_le_bytes()).collect())),
    ];
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in arrays {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&content).unwrap();
    }
    let npz = zip.finish().unwrap().into_inner();
    vec![("sparse.npz", npz), ("rows.svm.gz", gzip(text.as_bytes())), ("rows.svm", text.into_bytes())]
}

/// Reads sparse rows, which must fit together; errors must name the file.
fn load_sparse(path: &Path) -> Result<bool, TestCaseError> {
    let options = sparse::SparseOptions { max_bytes: LIMIT, ..Default::default() };
    let x = match sparse::load(path, &options) {
        Ok(x) => x,
        Err(e) => return named(&e, path),
    };
    prop_assert!(x.indices.len() == x.values.len() && x.values.iter().all(|value| value.is_finite()));
    prop_assert!(x.indptr[0] == 0 && *x.indptr.last().unwrap() == x.values.len());
    for row in x.indptr.windows(2) {
        let columns = &x.indices[row[0]..row[1]];
        prop_assert!(columns.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(columns.iter().all(|&column| (column as usize) < x.columns));
    }
    prop_assert!(x.y.is_none_or(|y| y.len() + 1 == x.indptr.len()));
    Ok(true)
}

/// Loads a file, whole and in batches, which must agree; errors must name it.
fn load_one(path: &Path) -> Result<bool, TestCaseError> {
    let options = Options { max_bytes: LIMIT, missing: Missing::Keep, ..Options::default() };
    let loaded = load(path, &options);
    let streamed = stream_one(path, &options);
    match (loaded, streamed) {
        (Ok(loaded), Ok(rows)) => {
            prop_assert_eq!(rows, rows_of(&loaded));
            Ok(true)
        }
        (Ok(_), Err(e)) => Err(TestCaseError::fail(format!("loaded, but not in batches: {e}"))),
        (Err(e), Ok(_)) => Err(TestCaseError::fail(format!("read in batches, but not loaded: {e}"))),
        (Err(a), Err(b)) => named(&a, path).and_then(|_| named(&b, path)),
    }
}

fn rows_of(loaded: &Loaded) -> usize {
    match loaded {
        Loaded::Table(table) => table.rows(),
        Loaded::Arrays { x, .. } => x.rows(),
    }
}

/// Reads a file in small batches, twice; returns its rows.
fn stream_one(path: &Path, options: &Options) -> Result<usize, Error> {
    let mut stream = stream::open(path, options)?;
    let mut rows = [0, 0];
    for rows in &mut rows {
        while let Some(chunk) = stream.next_batch(7)? {
            *rows += chunk.rows();
        }
        stream.restart()?;
    }
    assert!(rows[0] == rows[1] && stream.rows() == Some(rows[0] as u64));
    Ok(rows[0])
}

fn named(e: &Error, path: &Path) -> Result<bool, TestCaseError> {
    prop_assert!(e.file() == path, "{e}");
    prop_assert!(e.to_string().starts_with(&path.display().to_string()), "{e}");
    Ok(false)
}

/// Damaged copies of each file. PROPTEST_CASES asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(80)
}

/// Runs `check` on damaged copies of `sound`.
fn run(name: &str, sound: &[u8], check: impl Fn(Vec<u8>) -> Result<bool, TestCaseError>) {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    // The parquet crate panics on some of this; that the reader turns it into an error is what is tested, so be quiet.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let before = peak();
    let result = TestRunner::new(config).run(&damage(), |damage| {
        let mut bytes = sound.to_vec();
        apply(&mut bytes, &damage);
        check(bytes)?;
        let grown = peak() - before;
        prop_assert!(grown < LIMIT + SLACK, "{grown} bytes taken for {damage:?}");
        Ok(())
    });
    std::panic::set_hook(hook);
    assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
}

/// Sound files of folders: a name and the content.
fn image_files() -> Vec<(&'static str, Vec<u8>)> {
    let image = image::RgbImage::from_fn(20, 30, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
    let encode = |format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::DynamicImage::from(image.clone()).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    vec![
        ("1.png", encode(image::ImageFormat::Png)),
        ("1.jpg", encode(image::ImageFormat::Jpeg)),
        ("data_batch_1.bin", vec![7; 3 * 3073]),
    ]
}

/// One test, so that one thread alone decides how much memory the process has taken.
#[test]
fn damaged_files_give_an_answer_or_an_error_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    for (name, sound) in sound_files(folder.path()) {
        let path = folder.path().join(name);
        std::fs::write(&path, &sound).unwrap();
        assert!(load_one(&path).unwrap(), "{name} is not even sound");
        run(name, &sound, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            load_one(&path)
        });
    }
    for (name, sound) in sparse_files() {
        let path = folder.path().join(name);
        std::fs::write(&path, &sound).unwrap();
        assert!(load_sparse(&path).unwrap(), "{name} is not even sound");
        run(name, &sound, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            load_sparse(&path)
        });
    }
    for (name, sound) in image_files() {
        let set = tempfile::tempdir().unwrap();
        let path = set.path().join(name);
        run(name, &sound, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            let options = Options { max_bytes: LIMIT, ..Options::default() };
            // A file that no longer looks like what it is makes the folder the one to name.
            load(set.path(), &options).map(|_| true).or_else(|e| named(&e, &path).or_else(|_| named(&e, set.path())))
        });
    }
    let model = folder.path().join("model");
    model_folder::save(&model, serde_json::json!({"net": 1}), &[("a", &[3], &[1.0; 3]), ("b", &[2, 2], &[2.0; 4])])
        .unwrap();
    let (json, tensors) = (model.join(model_folder::JSON), model.join(model_folder::TENSORS));
    let sound_json = std::fs::read(&json).unwrap();
    run("model.json", &sound_json, |bytes| {
        std::fs::write(&json, bytes).unwrap();
        // Damage to the hash recorded makes the array file the one to name.
        model_folder::load(&model).map(|_| true).or_else(|e| named(&e, &json).or_else(|_| named(&e, &tensors)))
    });
    let sound = std::fs::read(&tensors).unwrap();
    run("model.safetensors", &sound, |bytes| {
        // With the right hash, so that the reader of the arrays has to find the damage.
        let hash = format!("blake3:{}", blake3::hash(&bytes).to_hex());
        std::fs::write(&json, serde_json::json!({"hashes": {model_folder::TENSORS: hash}}).to_string()).unwrap();
        std::fs::write(&tensors, bytes).unwrap();
        model_folder::load(&model).map(|_| true).or_else(|e| named(&e, &tensors))
    });
}
