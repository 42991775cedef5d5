//! Delimited text.

use super::{Place, gzip, numbers, table, texts, with};
use dualnet_io::{MISSING_LEVEL, Missing, Options, load};

#[test]
fn delimiters_line_ends_quotes_marks_and_gzip() {
    let place = Place::new();
    let cases: [(&str, &[u8], &str); 6] = [
        ("a.csv", b"n,t\n1,x\n-2.5e3,\"y, z\"\n", "commas"),
        ("b.tsv", b"n\tt\r\n1\tx\r\n-2.5e3\ty, z\r\n", "tabs"),
        ("c.csv", b"\xef\xbb\xbfn;t\n1; x\n-2.5e3 ;\"y, z\"", "semicolons"),
        ("d.txt", b"n|t\n\n1|x\n-2.5e3|y, z\n\n", "bars"),
        ("e.dat", b"n,t\r\n\"1\",\"x\"\r\n\"-2.5e3\",\"y, z\"\r\n", "commas"),
        ("f.csv.gz", &gzip(b"n,t\n1,x\n-2.5e3,\"y, z\"\n"), "commas"),
    ];
    for (name, content, delimiter) in cases {
        let path = place.put(name, content);
        let t = table(load(&path, &Options::default()).unwrap());
        assert_eq!(t.format, format!("CSV, separated by {delimiter}"), "{name}");
        assert_eq!(numbers(&t, "n"), [1.0, -2500.0], "{name}");
        assert_eq!(texts(&t, "t"), ["x", "y, z"], "{name}");
        assert_eq!((t.rows(), t.source.as_str()), (2, path.to_str().unwrap()));
    }
}

#[test]
fn a_column_whose_text_comes_late_keeps_its_first_cells_as_written() {
    let place = Place::new();
    let path = place.put("a.csv", "id,code\n1,007\n2,NA\n3,1e2\n4,B7\n");
    let t = table(load(&path, &with(Missing::Keep)).unwrap());
    assert_eq!(texts(&t, "code"), ["007", "", "1e2", "B7"]);
    assert_eq!(numbers(&t, "id"), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn one_column_and_counted_names_are_headers() {
    let place = Place::new();
    assert_eq!(numbers(&table(load(&place.put("a.csv", "y\n1\n2\n"), &Options::default()).unwrap()), "y"), [1.0, 2.0]);
    let t = table(load(&place.put("b.csv", "0,1,2\n5,6,7\n"), &Options::default()).unwrap());
    assert_eq!(numbers(&t, "2"), [7.0]);
}

#[test]
fn missing_values_are_refused_dropped_filled_or_kept() {
    let place = Place::new();
    let path = place.put("m.csv", "a,b,c\n1,x,2\n\n3,?,inf\nNA,y,4\n7,\"z\nz\",6\n8,w,\n");
    assert_eq!(
        place.error("m.csv", &Options::default()),
        "m.csv: line 4, column b: a missing value where a value is expected; \
         fill it in, or pass --missing drop or --missing mean"
    );
    let dropped = table(load(&path, &with(Missing::Drop)).unwrap());
    assert_eq!((dropped.rows(), numbers(&dropped, "c")), (2, vec![2.0, 6.0]));
    assert_eq!([dropped.place(0), dropped.place(1)], ["line 2", "line 6"]);
    let filled = table(load(&path, &with(Missing::Mean)).unwrap());
    assert_eq!(numbers(&filled, "a"), [1.0, 3.0, 4.75, 7.0, 8.0]);
    assert_eq!(numbers(&filled, "c"), [2.0, 4.0, 4.0, 6.0, 4.0]);
    assert_eq!(texts(&filled, "b")[1], MISSING_LEVEL);
    let kept = table(load(&path, &with(Missing::Keep)).unwrap());
    assert!(numbers(&kept, "c")[1].is_nan() && kept.columns[1].is_missing(1) && !kept.columns[1].is_missing(0));
    let target = Options { target: Some("c".into()), ..with(Missing::Mean) };
    assert!(place.error("m.csv", &target).starts_with("m.csv: line 4, column c: the number inf where"));
}

#[test]
fn errors_say_where_and_what() {
    let place = Place::new();
    let hint = "quote cells that hold the delimiter, and close every quote";
    let cases: [(&[u8], &str); 14] = [
        (b"", "line 1: expected column names, found an empty file; check the file"),
        (b"a,b\n", "line 2: expected a row of values, found the end of the file; check the file"),
        (
            b"5.1,3.5,setosa\n4.9,3.0,setosa\n",
            "line 1: expected column names, found the values 5.1, 3.5, setosa; \
             put a line with the names of the columns before the first row",
        ),
        (b"a,b\n1,2\n\n3\n", &format!("line 4: expected 2 cells as in the header, found 1; {hint}")),
        (b"a,b\r\n1,2\r\n3,4,5\r\n", &format!("line 3: expected 2 cells as in the header, found 3; {hint}")),
        (b"a,b\n\"1,2\n3,4\n5,6", &format!("line 2: expected 2 cells as in the header, found 1; {hint}")),
        (b"a,b,a\n1,2,3\n", "line 1: expected different names, found \"a\" in columns 1 and 3; rename one of them"),
        (
            b",b\n0,2\n",
            "line 1: expected a name for every column, found no name in column 1; \
             name it or remove it; pandas leaves row numbers out with index=False",
        ),
        (
            b"a,b\n1,x\n2,caf\xe9\n",
            "line 3, column b: expected UTF-8 text, found other bytes; \
             save the file as UTF-8 (iconv -f latin1 -t utf-8)",
        ),
        (
            b"caf\xe9,b\n1,x\n",
            "line 1, column 1: expected UTF-8 text, found other bytes; \
             save the file as UTF-8 (iconv -f latin1 -t utf-8)",
        ),
        (
            b"a;b\n1,5;x\n2;y\n",
            "column a: expected numbers with a decimal point, found 1,5; \
             write numbers with points (sed 's/,/./g' where the comma has no other use)",
        ),
        (b"\xff\xfea\0,\0", "the file: UTF-16 text is not supported; save it as UTF-8"),
        (b"\x89HDF\r\n\x1a\n", "the file: HDF5 is not supported; export it as .npz or Parquet"),
        (
            b"\x7fELF\0\0\0",
            "the beginning: expected CSV, Parquet, .npy, .npz or IDX, found binary content of another kind; \
             convert it to one of these; text must be UTF-8",
        ),
    ];
    for (content, expected) in cases {
        place.put("x.csv", content);
        assert_eq!(place.error("x.csv", &Options::default()), format!("x.csv: {expected}"));
    }
    let missing = place.error("none.csv", &Options::default());
    assert_eq!(missing, "none.csv: cannot open: No such file or directory (os error 2); check the path");
}

#[test]
fn too_many_columns_and_too_little_memory() {
    let place = Place::new();
    let header: Vec<String> = (0..100_001).map(|i| format!("c{i}")).collect();
    place.put("wide.csv", header.join(",") + "\n");
    assert_eq!(
        place.error("wide.csv", &Options::default()),
        "wide.csv: line 1: expected at most 100000 columns, found 100001; store wide data as an array (.npy)"
    );
    place.put("long.csv", "a\n".to_owned() + &"1\n".repeat(1000));
    let small = Options { max_bytes: 4000, ..Options::default() };
    assert_eq!(
        place.error("long.csv", &small),
        "long.csv: the table: at least 4008 bytes are needed, the limit is 4000; raise it with --memory"
    );
    place.put("bomb.csv.gz", gzip(&vec![b'a'; 1 << 20]));
    assert_eq!(
        place.error("bomb.csv.gz", &small),
        "bomb.csv.gz: the unpacked content: at least 4001 bytes are needed, the limit is 4000; raise it with --memory"
    );
}

#[test]
fn labels_beside_a_table_are_refused() {
    let place = Place::new();
    place.put("a.csv", "a\n1\n");
    let options = Options { labels: Some(place.path("y.npy")), ..Options::default() };
    let expected = "a.csv: --labels: a label file beside a table is not supported; \
                    a table holds its own labels: name the column with --target";
    assert_eq!(place.error("a.csv", &options), expected);
}
