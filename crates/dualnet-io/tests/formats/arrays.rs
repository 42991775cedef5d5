//! .npy, .npz and IDX.

use super::{Place, gzip, with};
use dualnet_io::{Array, Data, Elements, Error, Loaded, Missing, Options, idx, load, npy, npz};
use proptest::prelude::*;
use std::io::Write;

/// A .npy of version 1 with this header text and content.
fn raw(descr: &str, order: &str, shape: &str, content: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(content);
    bytes
}

fn idx_file(code: u8, shape: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, shape.len() as u8];
    bytes.extend(shape.iter().flat_map(|n| n.to_be_bytes()));
    bytes.extend(content);
    bytes
}

fn x_of(loaded: Loaded) -> Array {
    match loaded {
        Loaded::Arrays { x, .. } => x,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_number_type_and_both_byte_orders() {
    let place = Place::new();
    let cases: [(&str, Vec<u8>, Data); 16] = [
        ("|b1", vec![1, 0], Data::U8(vec![1, 0])),
        ("|u1", vec![255, 7], Data::U8(vec![255, 7])),
        ("|i1", vec![255, 7], Data::F32(vec![-1.0, 7.0])),
        ("<i2", [(-300i16).to_le_bytes(), 7i16.to_le_bytes()].concat(), Data::F32(vec![-300.0, 7.0])),
        (">u2", [65_535u16.to_be_bytes(), 7u16.to_be_bytes()].concat(), Data::F32(vec![65_535.0, 7.0])),
        ("<i4", [i32::MIN.to_le_bytes(), 7i32.to_le_bytes()].concat(), Data::F64(vec![-2_147_483_648.0, 7.0])),
        (">u4", [u32::MAX.to_be_bytes(), 7u32.to_be_bytes()].concat(), Data::F64(vec![4_294_967_295.0, 7.0])),
        ("<i8", [(-1i64 << 53).to_le_bytes(), 7i64.to_le_bytes()].concat(), Data::F64(vec![-(2f64.powi(53)), 7.0])),
        (">i8", [(-5i64).to_be_bytes(), 7i64.to_be_bytes()].concat(), Data::F64(vec![-5.0, 7.0])),
        ("<u8", [(1u64 << 53).to_le_bytes(), 7u64.to_le_bytes()].concat(), Data::F64(vec![2f64.powi(53), 7.0])),
        ("<f2", vec![0x00, 0x3c, 0x00, 0xc0], Data::F32(vec![1.0, -2.0])),
        (">f2", vec![0x3c, 0x00, 0xc0, 0x00], Data::F32(vec![1.0, -2.0])),
        ("<f4", [0.1f32.to_le_bytes(), 7f32.to_le_bytes()].concat(), Data::F32(vec![0.1, 7.0])),
        (">f4", [0.1f32.to_be_bytes(), 7f32.to_be_bytes()].concat(), Data::F32(vec![0.1, 7.0])),
        ("<f8", [0.1f64.to_le_bytes(), 7f64.to_le_bytes()].concat(), Data::F64(vec![0.1, 7.0])),
        (">f8", [0.1f64.to_be_bytes(), 7f64.to_be_bytes()].concat(), Data::F64(vec![0.1, 7.0])),
    ];
    for (descr, content, data) in cases {
        let path = place.put("a.npy", raw(descr, "False", "(2,)", &content));
        assert_eq!(npy::read(&path, 1 << 20).unwrap(), Array { shape: vec![2], data: data.clone() }, "{descr}");
        let path = place.put("a.npy.gz", gzip(&raw(descr, "True", "(2,)", &content)));
        assert_eq!(x_of(load(&path, &Options::default()).unwrap()).data, data, "{descr} in gzip");
    }
    let fortran = place.put("f.npy", raw("|u1", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6]));
    assert_eq!(npy::read(&fortran, 99).unwrap().data, Data::U8(vec![1, 2, 3, 4, 5, 6]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is written is read back bit for bit, by this crate and by an independent reader.
    #[test]
    fn npy_round_trip(values in prop::collection::vec(-1e300f64..1e300, 1..40), rows in 1usize..5) {
        let place = Place::new();
        let path = place.path("a.npy");
        let values = values.repeat(rows);
        let shape = [rows, values.len() / rows];
        npy::write(&path, &shape, Elements::F64(&values)).unwrap();
        let read = npy::read(&path, 1 << 20).unwrap();
        prop_assert_eq!(&read.shape, &shape);
        prop_assert_eq!(read.into_f64(), values.clone());
        let bytes = std::fs::read(&path).unwrap();
        let other = npyz::NpyFile::new(&bytes[..]).unwrap();
        prop_assert_eq!(other.shape(), &[shape[0] as u64, shape[1] as u64]);
        prop_assert_eq!(other.into_vec::<f64>().unwrap(), values);
    }
}

#[test]
fn npz_round_trip_stored_and_deflated() {
    let place = Place::new();
    let path = place.path("a.npz");
    let x: Vec<f32> = (0..40_000).map(|i| i as f32).collect();
    npz::write(&path, &[("x", &[200, 200], Elements::F32(&x)), ("y", &[200], Elements::F64(&[0.5; 200]))]).unwrap();
    let Loaded::Arrays { x: read, y: Some(y), test: None, classes: None } = load(&path, &Options::default()).unwrap()
    else {
        panic!()
    };
    assert_eq!((read.shape, read.data), (vec![200, 200], Data::F32(x.clone())));
    assert_eq!(y.into_f64(), [0.5; 200]);
    let mut other = npyz::npz::NpzArchive::open(&path).unwrap();
    assert_eq!(other.by_name("x").unwrap().unwrap().into_vec::<f32>().unwrap(), x);

    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    zip.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(&raw("|u1", "False", "(3, 1000)", &[9; 3000])).unwrap();
    zip.finish().unwrap();
    assert_eq!(x_of(load(&path, &Options::default()).unwrap()).data, Data::U8(vec![9; 3000]));
}

#[test]
fn idx_with_labels_and_a_standard_folder() {
    let place = Place::new();
    let images = idx_file(8, &[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let labels = idx_file(8, &[2], &[3, 4]);
    let path = place.put("images", gzip(&images));
    let options = Options { labels: Some(place.put("labels", &labels)), ..Options::default() };
    let Loaded::Arrays { x, y: Some(y), .. } = load(&path, &options).unwrap() else { panic!() };
    assert_eq!((x.shape, y.data), (vec![2, 2, 3], Data::U8(vec![3, 4])));
    let wide = idx_file(0x0d, &[2], &[1.5f32.to_be_bytes(), (-2f32).to_be_bytes()].concat());
    assert_eq!(idx::read(&place.put("wide", wide), 99).unwrap().data, Data::F32(vec![1.5, -2.0]));

    std::fs::create_dir(place.path("set")).unwrap();
    place.put("set/train-images-idx3-ubyte.gz", gzip(&images));
    place.put("set/train-labels-idx1-ubyte", &labels);
    place.put("set/t10k-images-idx3-ubyte", &images);
    let text = place.error("set", &Options::default());
    assert!(text.ends_with("found no t10k-labels-idx1-ubyte; add what is missing, or name a data file"), "{text}");
    place.put("set/t10k-labels-idx1-ubyte.gz", gzip(&labels));
    let Loaded::Arrays { x, y, test, .. } = load(&place.path("set"), &Options::default()).unwrap() else { panic!() };
    assert_eq!((x.rows(), y.unwrap().rows(), test.unwrap().0.shape), (2, 2, vec![2, 2, 3]));
    place.put("set/t10k-images-idx3-ubyte", idx_file(8, &[2, 1, 1], &[1, 2]));
    assert!(place.error("set", &Options::default()).contains("expected samples of shape [2, 3], found [1, 1]"));
}

#[test]
fn sizes_are_held_against_the_file_before_memory_is_taken() {
    let place = Place::new();
    let check = |name: &str, content: Vec<u8>, expected: &str| {
        place.put(name, content);
        assert_eq!(place.error(name, &Options::default()), format!("{name}: {expected}"));
    };
    let tail = "the file is truncated: copy or download it again";
    check(
        "short.npy",
        raw("<f8", "False", "(1000, 1000)", &[0; 80]),
        &format!("the values: 7999920 of 8000000 bytes are missing; {tail}"),
    );
    check(
        "long.npy",
        raw("<f8", "False", "(2,)", &[0; 17]),
        "the values: expected 16 bytes of values, found 17; \
         the shape in the header and the data do not agree: write the file again",
    );
    check(
        "vast.npy",
        raw("<f8", "False", "(4294967296, 4294967296)", &[]),
        "the values: at least 18446744073709551615 bytes are needed, the limit is 8589934592; raise it with --memory",
    );
    check(
        "head.npy",
        b"\x93NUMPY\x01\x00\xff\x00{'descr'".to_vec(),
        &format!("the values, the header: 247 of 255 bytes are missing; {tail}"),
    );
    check(
        "short.idx",
        idx_file(8, &[60_000, 28, 28], &[0; 10]),
        &format!("the values: 47039990 of 47040000 bytes are missing; {tail}"),
    );
    let mut cut = gzip(&idx_file(8, &[100, 10], &(0..1000).map(|i| (i * i % 251) as u8).collect::<Vec<_>>()));
    cut.truncate(cut.len() / 2);
    place.put("cut.gz", cut);
    let error = load(&place.path("cut.gz"), &Options::default()).unwrap_err();
    assert!(matches!(&error, Error::Truncated { expected: 1000, missing, .. } if *missing < 1000), "{error}");
    // A small gzip cannot unpack to what this header claims.
    place.put("lie.gz", gzip(&idx_file(8, &[60_000, 28, 28], &[0; 10])));
    let error = load(&place.path("lie.gz"), &Options::default()).unwrap_err();
    assert!(matches!(&error, Error::Truncated { expected: 47_040_000, .. }), "{error}");
    // A real one that unpacks beyond the limit is refused by name of the option.
    place.put("bomb.gz", gzip(&idx_file(8, &[1000, 1000], &vec![0; 1_000_000])));
    assert_eq!(
        place.error("bomb.gz", &Options { max_bytes: 999_999, ..Options::default() }),
        "bomb.gz: the values: at least 1000000 bytes are needed, the limit is 999999; raise it with --memory"
    );
}

#[test]
fn errors_say_where_and_what() {
    let place = Place::new();
    let ok = Options::default();
    place.put("a.npy", raw("<U5", "False", "(1,)", &[0; 20]));
    assert_eq!(
        place.error("a.npy", &ok),
        "a.npy: the values, the header: the data type <U5 is not supported; convert it with .astype(float); \
         classes may be numbered with np.unique(y, return_inverse=True)"
    );
    place.put("a.npy", raw("<i8", "False", "(1,)", &i64::MAX.to_le_bytes()));
    assert_eq!(
        place.error("a.npy", &ok),
        "a.npy: the values: the integer 9223372036854775807 is not supported; \
         integers beyond 2^53 do not fit a 64-bit float: store them as text or subtract an offset"
    );
    place.put("a.npy", raw("<f8", "False", "(2, 2)", &[0.0, 1.0, 2.0, f64::NAN].map(f64::to_le_bytes).concat()));
    assert_eq!(
        place.error("a.npy", &ok),
        "a.npy: row 2, column 2: a missing value where a value is expected; \
         fill it in, or pass --missing drop or --missing mean"
    );
    assert_eq!(x_of(load(&place.path("a.npy"), &with(Missing::Drop)).unwrap()).shape, [1, 2]);
    place.put("a.npy", "not an array");
    assert_eq!(
        place.error("a.npy", &ok),
        "a.npy: the beginning: expected CSV, Parquet, .npy, .npz or IDX, found other content in a file named .npy; \
         the file is damaged or misnamed"
    );
    place.put("e.npy", raw("<f8", "False", "(0, 3)", &[]));
    assert!(place.error("e.npy", &ok).starts_with("e.npy: the samples: expected at least one sample, found the shape"));
    npz::write(&place.path("k.npz"), &[("nngp", &[1], Elements::F64(&[1.0])), ("ntk", &[1], Elements::F64(&[1.0]))])
        .unwrap();
    assert_eq!(
        place.error("k.npz", &ok),
        "k.npz: the archive: expected array x, found arrays nngp, ntk; save it as np.savez(file, x=x, y=y)"
    );
    place.put("x.npy", raw("|u1", "False", "(3, 1)", &[1, 2, 3]));
    let labels = Options { labels: Some(place.put("y.npy", raw("|u1", "False", "(2,)", &[1, 2]))), ..ok.clone() };
    assert_eq!(
        place.error("x.npy", &labels),
        "y.npy: the labels: expected 3 labels, one for each sample, found the shape [2]; \
         samples and labels must come from the same set, in the same order"
    );
    std::fs::create_dir(place.path("folder")).unwrap();
    assert!(place.error("folder", &ok).contains("found an empty folder; add what is missing, or name a data file"));
}

#[test]
fn wrong_shapes_and_names_are_not_written() {
    let place = Place::new();
    let one = Elements::F64(&[1.0]);
    assert!(npy::write(&place.path("a.npy"), &[2], one).is_err());
    assert!(npz::write(&place.path("a.npz"), &[("x", &[1], one), ("x", &[1], one)]).is_err());
    assert!(npz::write(&place.path("a.npz"), &[("../x", &[1], one)]).is_err());
    assert_eq!(place.names(), Vec::<String>::new());
}
