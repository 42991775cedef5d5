//! svmlight text and scipy's .npz.

use super::Place;
use dualnet_io::sparse::{Base, Sparse, SparseOptions, load};
use dualnet_io::{Options, Result};
use std::io::Write;

fn read(place: &Place, text: &str, options: &SparseOptions) -> Result<Sparse> {
    load(&place.put("x.svm", text), options)
}

fn array(descr: &str, shape: &str, content: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend([text.as_bytes(), content].concat());
    bytes
}

fn longs(numbers: &[i64]) -> Vec<u8> {
    array("<i8", &format!("({},)", numbers.len()), &numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

fn archive(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in arrays {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// As scipy writes it.
fn csr(format: Vec<u8>, shape: &[i64], indptr: &[i64], indices: &[i64], data: &[f32]) -> Vec<u8> {
    let values = data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    archive(&[
        ("indices", longs(indices)),
        ("indptr", longs(indptr)),
        ("format", format),
        ("shape", longs(shape)),
        ("data", array("<f4", &format!("({},)", data.len()), &values)),
    ])
}

fn named_csr() -> Vec<u8> {
    array("|S3", "()", b"csr")
}

#[test]
fn text_counts_columns_from_0_or_from_1() {
    let place = Place::new();
    let with = |base, columns| SparseOptions { base, columns, ..Default::default() };
    let text = "+1 1:1 3:-2e-1 # a comment: 7:8\n\n# a line of comment\n0.5\n-1\t2:0  4:5 \r\n";
    let x = read(&place, text, &with(Base::Auto, None)).unwrap();
    assert_eq!((x.rows(), x.columns), (3, 4));
    assert_eq!((&x.indptr[..], &x.indices[..]), (&[0, 2, 2, 4][..], &[0, 2, 1, 3][..]));
    assert_eq!((&x.values[..], x.y.as_deref()), (&[1.0, -0.2, 0.0, 5.0][..], Some(&[1.0, 0.5, -1.0][..])));
    assert_eq!(read(&place, text, &with(Base::Zero, None)).unwrap().indices, [1, 3, 2, 4]);
    assert_eq!(read(&place, text, &with(Base::One, Some(9))).unwrap().columns, 9);
    assert_eq!(read(&place, "1 0:1 3:2", &with(Base::Auto, None)).unwrap().indices, [0, 3]);
    assert_eq!(read(&place, "1\n2", &with(Base::Auto, None)).unwrap().columns, 0);
    let highest = read(&place, "1 4294967295:1", &with(Base::Zero, None)).unwrap();
    assert_eq!((highest.columns, &highest.indices[..]), (1 << 32, &[u32::MAX][..]));
}

#[test]
fn what_is_wrong_with_text_is_said_with_its_place() {
    let place = Place::new();
    let options = SparseOptions::default();
    for (text, words) in [
        ("", "the text: expected at least one row"),
        ("1 1:1\nred 1:1\n", "line 2, column 1: expected a label that is a finite number, found \"red\""),
        ("1 1:1\nnan 1:1\n", "line 2, column 1: expected a label"),
        ("1,2 1:1\n", "line 1, column 1: a list of labels is not supported"),
        ("1 qid:3 1:1\n", "line 1, column 3: qid"),
        ("1 5\n", "line 1, column 3: expected column:value, found \"5\""),
        ("1 1:1  x:2\n", "line 1, column 8: expected a column below 2^32, found \"x\""),
        ("1 -1:2\n", "expected a column below 2^32, found \"-1\""),
        ("1 4294967296:2\n", "expected a column below 2^32"),
        ("1 1:\n", "line 1, column 5: expected a finite number, found \"\""),
        ("1 1:inf\n", "line 1, column 5: expected a finite number, found \"inf\""),
        ("1 3:1 3:1\n", "line 1, column 7: expected a column after 3, found 3"),
        ("1 3:1 2:1\n", "line 1, column 7: expected a column after 3, found 2"),
        ("1 1:\u{fffd}\n", "line 1, column 5: expected a finite number"),
    ] {
        let found = place.text(read(&place, text, &options));
        assert!(found.starts_with("x.svm: ") && found.contains(words), "{text:?}: {found}");
    }
    let found = place.text(read(&place, "1 0:1", &SparseOptions { base: Base::One, ..options }));
    assert!(found.contains("numbers from 1 on"), "{found}");
    let found = place.text(read(&place, "1 5:1", &SparseOptions { columns: Some(4), ..options }));
    assert!(found.contains("at most 4 columns, found 5"), "{found}");
    let many = "1 1:1 2:2\n".repeat(1000);
    let found = place.text(read(&place, &many, &SparseOptions { max_bytes: 20_000, ..options }));
    assert!(found.contains("the sparse rows: at least 20040 bytes are needed, the limit is 20000"), "{found}");
    let long = format!("1 {}", "1".repeat(5000));
    let found = place.text(read(&place, &long, &SparseOptions { max_bytes: 4000, ..options }));
    assert!(found.contains("line 1, column 1: expected a line of at most 4000 bytes"), "{found}");
}

#[test]
fn archives_of_scipy_are_read_and_sorted() {
    let place = Place::new();
    let characters = array("<U3", "()", &"csr".bytes().flat_map(|b| [b, 0, 0, 0]).collect::<Vec<u8>>());
    for format in [named_csr(), characters] {
        let bytes = csr(format, &[3, 4], &[0, 2, 2, 3], &[3, 0, 1], &[1.5, 2.5, 3.5]);
        let x = load(&place.put("x.npz", bytes), &SparseOptions::default()).unwrap();
        let sorted = (vec![0, 2, 2, 3], vec![0, 3, 1], vec![2.5, 1.5, 3.5]);
        assert_eq!((x.columns, x.y.is_none()), (4, true));
        assert_eq!((x.indptr, x.indices, x.values), sorted);
    }
    let found = place.error("x.npz", &Options::default());
    assert!(found.contains("a sparse matrix"), "{found}");
}

#[test]
fn what_is_wrong_with_an_archive_is_said_with_the_array() {
    let place = Place::new();
    let good = named_csr;
    for (bytes, words) in [
        (csr(array("|S3", "()", b"csc"), &[1, 1], &[0, 0], &[], &[]), "array format: the layout \"csc\" is not"),
        (csr(array("|S3", "()", &[200, 1]), &[1, 1], &[0, 0], &[], &[]), "array format: expected a short word"),
        (csr(good(), &[1, 1, 1], &[0, 0], &[], &[]), "array shape: expected two numbers"),
        (csr(good(), &[-1, 1], &[0, 0], &[], &[]), "array shape"),
        (csr(good(), &[2, 1], &[0, 0], &[], &[]), "array indptr: expected one number more than 2 rows, found 2"),
        (csr(good(), &[1, 1], &[1, 1], &[], &[]), "array indptr: expected 0 first"),
        (csr(good(), &[2, 2], &[0, 2, 1], &[0], &[1.0]), "array indptr, entry 2: expected numbers that do not fall"),
        (csr(good(), &[1, 2], &[0, 3], &[0], &[1.0]), "array indices: expected 3 entries, as indptr says, found 1"),
        (csr(good(), &[1, 2], &[0, 1], &[0], &[1.0, 2.0]), "array data: expected 1 entries"),
        (csr(good(), &[1, 2], &[0, 1], &[2], &[1.0]), "array indices, row 0: expected columns below 2, found 2"),
        (csr(good(), &[1, 2], &[0, 1], &[-1], &[1.0]), "array indices, entry 0: expected whole numbers"),
        (csr(good(), &[1, 2], &[0, 2], &[1, 1], &[1.0, 2.0]), "row 0: expected each column once, found column 1 twice"),
        (csr(good(), &[1, 2], &[0, 1], &[1], &[f32::NAN]), "array data, row 0: expected finite values"),
        (csr(good(), &[1, 2], &[0, 1 << 40], &[1], &[1.0]), "the sparse rows: at least"),
        (archive(&[("format", good())]), "array shape"),
    ] {
        let path = place.put("x.npz", bytes);
        let found = place.text(load(&path, &SparseOptions::default()));
        assert!(found.starts_with("x.npz: ") && found.contains(words), "{words}: {found}");
    }
}
