//! Atomic files and folders, and CSV out.

use super::{Place, numbers, table, texts, with};
use dualnet_io::folder::{Existing, write_folder};
use dualnet_io::write::{write_csv, write_csv_to};
use dualnet_io::{Column, Elements, Missing, Values, atomic, load, npy};
use proptest::prelude::*;
use std::io::Write;

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let place = Place::new();
    let path = place.put("a", "old");
    let failed = atomic::write(&path, |file| {
        file.write_all(&[7; 100_000])?;
        Err(std::io::ErrorKind::StorageFull.into())
    });
    let text = place.text(failed);
    assert!(text.ends_with("; free some space or choose another disk"), "{text}");
    assert_eq!((std::fs::read(&path).unwrap(), place.names()), (b"old".to_vec(), vec!["a".to_string()]));
    atomic::write(&path, |file| file.write_all(b"new")).unwrap();
    assert_eq!((std::fs::read(&path).unwrap(), place.names()), (b"new".to_vec(), vec!["a".to_string()]));
}

#[test]
fn what_cannot_be_written_says_why_and_leaves_nothing() {
    let place = Place::new();
    let write = |name: &str| place.text(npy::write(&place.path(name), &[1], Elements::F64(&[1.0])));
    assert_eq!(
        write("no/a.npy"),
        "no/a.npy: cannot create: No such file or directory (os error 2); create the folder it shall lie in first"
    );
    std::fs::create_dir(place.path("folder")).unwrap();
    assert_eq!(write("folder"), "folder: cannot write: is a directory; name a file, not a folder");
    place.put("file", "");
    assert_eq!(
        write("file/a.npy"),
        "file/a.npy: cannot create: Not a directory (os error 20); a part of the path is a file: choose another path"
    );
    assert_eq!(place.names(), ["file", "folder"]);
    assert_eq!(place.path("folder").read_dir().unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn permissions_links_and_devices_are_respected() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    let place = Place::new();
    let path = place.put("a", "old");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a", place.path("link")).unwrap();
    atomic::write(&place.path("link"), |file| file.write_all(b"new")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(place.path("link").is_symlink());
    let null = std::path::Path::new("/dev/null");
    npy::write(null, &[1], Elements::F32(&[1.0])).unwrap();
    assert!(null.metadata().unwrap().file_type().is_char_device());
}

#[test]
fn a_folder_appears_whole_or_not_at_all() {
    let place = Place::new();
    let path = place.path("out");
    let replace = Existing::Replace { marker: "mark" };
    let fill = |content: &'static str| {
        move |folder: &std::path::Path| {
            std::fs::create_dir(folder.join("inner")).unwrap();
            std::fs::write(folder.join("mark"), content).unwrap();
            Ok(())
        }
    };
    write_folder(&path, replace, fill("1")).unwrap();
    let failed = write_folder(&path, replace, |folder| {
        fill("2")(folder)?;
        npy::write(&folder.join("none/a.npy"), &[1], Elements::F64(&[1.0]))
    });
    assert!(failed.is_err());
    assert_eq!(std::fs::read(path.join("mark")).unwrap(), b"1");
    write_folder(&path, replace, fill("3")).unwrap();
    assert_eq!(std::fs::read(path.join("mark")).unwrap(), b"3");
    assert!(write_folder(&path, Existing::Refuse, fill("4")).is_err());
    assert!(write_folder(&path, Existing::Replace { marker: "other" }, fill("5")).is_err());
    assert_eq!((std::fs::read(path.join("mark")).unwrap(), place.names()), (b"3".to_vec(), vec!["out".to_string()]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Numbers of any size and text with anything in it come back the same.
    #[test]
    fn csv_round_trip(cells in prop::collection::vec((any::<f64>(), "[a-z,;\"\n ]{0,6}[x-z]"), 1..20)) {
        let place = Place::new();
        let path = place.path("a.csv");
        let kept: Vec<_> = cells.into_iter().filter(|(x, t)| x.is_finite() && t.trim() == t).collect();
        prop_assume!(!kept.is_empty());
        let (x, t): (Vec<f64>, Vec<String>) = kept.into_iter().unzip();
        let columns = [
            Column { name: "a number".into(), values: Values::Number(x.clone()) },
            Column { name: "some, \"text\"".into(), values: Values::Text(t.clone()) },
        ];
        write_csv(&path, &columns).unwrap();
        let read = table(load(&path, &with(Missing::Keep)).unwrap());
        prop_assert_eq!(numbers(&read, "a number"), x);
        prop_assert_eq!(texts(&read, "some, \"text\""), t);
    }
}

#[test]
fn csv_goes_to_streams_and_refuses_ragged_columns() {
    let column = |name: &str, values: &[f64]| Column { name: name.into(), values: Values::Number(values.to_vec()) };
    let mut out = Vec::new();
    let name = std::path::Path::new("standard output");
    write_csv_to(&mut out, name, &[column("a", &[1.0, f64::NAN]), column("b", &[-0.0, 2e16])]).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "a,b\n1,-0\n,2e16\n");
    let error = write_csv_to(Vec::new(), name, &[column("a", &[1.0]), column("b", &[])]).unwrap_err();
    let expected = "standard output: column b: expected 1 values, found 0 values; give every column the same length";
    assert_eq!(error.to_string(), expected);
}
