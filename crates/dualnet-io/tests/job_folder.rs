//! Job folders: resumed, shared, damaged, and made by somebody who means harm.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet_io::job_folder::JobFolder;
use dualnet_io::{Elements, ElementsMut, Error};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const TILES: u64 = 12;
const MAX: usize = 64;
/// Magic and hash; head of a record and checksum.
const HEAD: usize = 40;
const OVERHEAD: usize = 36;

fn manifest() -> Value {
    json!({"format": 1, "net": {"w_std": 0.1 + 0.2, "layers": ["dense", {"dense": {"w_std": 0.1}}]}, "rows": 7})
}

fn open(path: &Path) -> Result<JobFolder, Error> {
    JobFolder::open(path, &manifest(), TILES, MAX)
}

/// Up to eight values of a tile, different for each.
fn values(tile: u64) -> Vec<f64> {
    (0..1 + tile % 8).map(|i| tile as f64 + 0.125 * i as f64).collect()
}

fn put(job: &JobFolder, tile: u64) {
    job.put(tile, Elements::F64(&values(tile))).unwrap();
}

/// The tiles a job has; their values must be right.
fn tiles(job: &JobFolder) -> Vec<u64> {
    let held: Vec<u64> = (0..TILES).filter(|tile| job.has(*tile)).collect();
    for &tile in &held {
        let mut read = vec![0.0; values(tile).len()];
        assert!(job.read(tile, ElementsMut::F64(&mut read)).unwrap());
        assert_eq!(read, values(tile));
    }
    assert_eq!(job.found(), held.len() as u64);
    held
}

fn logs(path: &Path) -> Vec<PathBuf> {
    let mut logs: Vec<_> = fs::read_dir(path.join("tiles")).unwrap().map(|e| e.unwrap().path()).collect();
    logs.sort();
    logs
}

/// A job with some tiles in one log, the log and its bytes.
fn job_with(held: &[u64]) -> (TempDir, PathBuf, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job");
    let job = open(&path).unwrap();
    held.iter().for_each(|tile| put(&job, *tile));
    job.sync().unwrap();
    let log = logs(&path).remove(0);
    let bytes = fs::read(&log).unwrap();
    (folder, path, log, bytes)
}

/// Where the record of the n-th of these tiles begins.
fn start(held: &[u64], n: usize) -> usize {
    HEAD + held[..n].iter().map(|tile| OVERHEAD + 8 * values(*tile).len()).sum::<usize>()
}

#[test]
fn a_job_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job");
    assert!(!JobFolder::exists(&path));
    assert_eq!(tiles(&open(&path).unwrap()), [0u64; 0]);
    assert!(JobFolder::exists(&path));
    // Processes that only look leave nothing behind.
    assert_eq!(logs(&path), [] as [PathBuf; 0]);
    for (held, expected) in [(&[3, 0][..], &[0, 3][..]), (&[11], &[0, 3, 11]), (&[5, 6], &[0, 3, 5, 6, 11])] {
        let job = open(&path).unwrap();
        held.iter().for_each(|tile| put(&job, *tile));
        drop(job);
        assert_eq!(tiles(&open(&path).unwrap()), expected);
    }
    assert_eq!(logs(&path).len(), 3);
    assert!(open(&path).unwrap().damage().is_empty());
    let job = open(&path).unwrap();
    assert!(!job.read(4, ElementsMut::F64(&mut [0.0; 5])).unwrap());
    assert!(!job.has(TILES) && !job.has(u64::MAX));
    let error = job.read(3, ElementsMut::F64(&mut [0.0; 3])).unwrap_err().to_string();
    assert!(error.contains("tile 3: expected as many values as the tile has, found 32 bytes"), "{error}");
}

#[test]
fn what_was_put_is_in_the_file_before_put_returns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job");
    let job = open(&path).unwrap();
    for tile in 0..TILES {
        put(&job, tile);
        assert_eq!(tiles(&open(&path).unwrap()), (0..=tile).collect::<Vec<_>>());
    }
}

#[test]
fn many_write_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job");
    std::thread::scope(|scope| {
        for k in 0..4 {
            let path = &path;
            scope.spawn(move || {
                // Each a process of its own, with two threads; tile 0 is computed by all.
                let job = open(path).unwrap();
                std::thread::scope(|inner| {
                    inner.spawn(|| put(&job, 0));
                    inner.spawn(|| (0..TILES).filter(|t| t % 4 == k).for_each(|t| put(&job, t)));
                });
            });
        }
    });
    let job = open(&path).unwrap();
    assert_eq!((tiles(&job), logs(&path).len()), ((0..TILES).collect(), 4));
    assert!(job.damage().is_empty());
}

#[test]
fn a_log_cut_anywhere_keeps_its_whole_records() {
    let held = [4, 2, 9];
    let (_folder, path, log, bytes) = job_with(&held);
    for length in 0..bytes.len() {
        fs::write(&log, &bytes[..length]).unwrap();
        let job = open(&path).unwrap();
        let mut expected: Vec<u64> = (0..3).filter(|n| start(&held, n + 1) <= length).map(|n| held[n]).collect();
        expected.sort_unstable();
        assert_eq!(tiles(&job), expected, "cut at {length}");
        assert!(job.damage().is_empty());
    }
}

#[test]
fn a_flipped_byte_costs_one_tile_and_is_named() {
    let held = [4, 2, 9];
    let (_folder, path, log, bytes) = job_with(&held);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        fs::write(&log, &bad).unwrap();
        let job = open(&path).unwrap();
        let hit = (0..3).rfind(|n| start(&held, *n) <= at);
        let mut expected: Vec<u64> = (0..3).filter(|n| Some(*n) != hit).map(|n| held[n]).collect();
        expected.sort_unstable();
        assert_eq!(tiles(&job), expected, "byte {at}");
        // What follows the last whole record is taken for one that was cut off.
        let told: Vec<_> = job.damage().iter().map(|d| (d.offset as usize, d.bytes as usize)).collect();
        match hit {
            None => assert_eq!(told, [(0, HEAD)]),
            Some(2) => assert_eq!(told, [(0usize, 0usize); 0]),
            Some(n) => assert_eq!(told, [(start(&held, n), start(&held, n + 1) - start(&held, n))], "byte {at}"),
        }
        if at == start(&held, 0) + 30 {
            let text = job.damage()[0].to_string();
            assert!(text.ends_with(".log: offset 40: 76 damaged bytes, of tile 4"), "{text}");
        }
        // Nothing is lost: the tile is put anew.
        if let Some(n) = hit {
            put(&job, held[n]);
            assert_eq!(tiles(&open(&path).unwrap()), [2, 4, 9]);
            fs::remove_file(logs(&path).into_iter().find(|l| *l != log).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_record_that_changes_while_the_job_is_open() {
    let held = [4, 2];
    let (_folder, path, log, mut bytes) = job_with(&held);
    let job = open(&path).unwrap();
    bytes[start(&held, 1) + 21] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let error = job.read(2, ElementsMut::F64(&mut [0.0; 3])).unwrap_err().to_string();
    for part in [".log: offset 116: expected the record of tile 2", "run the job again"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn one_tile_with_two_values_is_an_error_with_both_files() {
    let (_folder, path, first, _) = job_with(&[4, 2]);
    let job = open(&path).unwrap();
    put(&job, 2);
    assert_eq!(tiles(&open(&path).unwrap()), [2, 4]);
    let job = open(&path).unwrap();
    job.put(4, Elements::F64(&[1.0; 5])).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("tile 4: expected the values it has in") && error.contains("remove its log"), "{error}");
    assert!(error.contains(first.to_str().unwrap()) && error.matches(".log").count() == 2, "{error}");
}

#[test]
fn folders_of_other_jobs() {
    let (folder, path, log, _) = job_with(&[4]);
    let other = |key: &str, value: Value| {
        let mut other = manifest();
        *other.pointer_mut(key).unwrap() = value;
        JobFolder::open(&path, &other, TILES, MAX).unwrap_err().to_string()
    };
    let error = other("/rows", json!(8));
    assert!(error.contains("job.json: key rows: expected 7, found 8 now; the folder holds another job"), "{error}");
    let error = other("/net/layers/1/dense/w_std", json!(0.2));
    assert!(error.contains("key net.layers[1].dense.w_std: expected 0.1, found 0.2 now"), "{error}");
    let mut more = manifest();
    more["isa"] = json!("Avx2");
    let error = JobFolder::open(&path, &more, TILES, MAX).unwrap_err().to_string();
    assert!(error.contains("key isa: expected nothing, found \"Avx2\" now"), "{error}");
    assert!(JobFolder::open(&path, &json!(1), TILES, MAX).is_err());

    // A log that strayed in from another job, and a record of it.
    let second = folder.path().join("second");
    let job = JobFolder::open(&second, &more, TILES, MAX).unwrap();
    put(&job, 5);
    let stray = logs(&second).remove(0);
    fs::copy(&stray, path.join("tiles/stray.log")).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("stray.log: offset 0: expected the beginning of a log of this job"), "{error}");
    fs::remove_file(path.join("tiles/stray.log")).unwrap();
    let mut mixed = fs::read(&log).unwrap();
    mixed.extend(&fs::read(&stray).unwrap()[HEAD..]);
    fs::write(&log, mixed).unwrap();
    assert_eq!(tiles(&open(&path).unwrap()), [4]);
}

#[test]
fn what_is_no_job() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let error = |path: &Path| open(path).unwrap_err().to_string();
    fs::create_dir(at("things")).unwrap();
    fs::write(at("things/letter.txt"), "x").unwrap();
    assert!(error(&at("things")).contains("found letter.txt and no job.json; choose another folder"));
    fs::write(at("file"), "x").unwrap();
    assert!(error(&at("file")).contains("file"));
    assert!(error(&at("no/job")).contains("create the folder it shall lie in first"));
    // Killed between the steps of its beginning.
    fs::create_dir_all(at("begun/tiles")).unwrap();
    fs::write(at("begun/.dualnet-abc.tmp"), "{").unwrap();
    assert_eq!(open(&at("begun")).unwrap().found(), 0);
    // Tiles of nobody knows what.
    let (_kept, path, ..) = job_with(&[4]);
    let text = fs::read(path.join("job.json")).unwrap();
    fs::remove_file(path.join("job.json")).unwrap();
    assert!(error(&path).contains("found tiles and no job.json"));
    for length in 0..text.len() - 1 {
        fs::write(path.join("job.json"), &text[..length]).unwrap();
        assert!(error(&path).contains("job.json: line "), "cut at {length}");
    }
    fs::write(path.join("job.json"), &text).unwrap();
    assert_eq!(tiles(&open(&path).unwrap()), [4]);
}

#[test]
fn what_cannot_be_put() {
    let folder = tempfile::tempdir().unwrap();
    let job = open(&folder.path().join("job")).unwrap();
    let error = job.put(TILES, Elements::F64(&[1.0])).unwrap_err().to_string();
    assert!(error.contains("expected a tile below 12 of at most 64 bytes, found tile 12 of 8 bytes"), "{error}");
    assert!(job.put(0, Elements::F64(&[1.0; 9])).is_err());
    // A folder that was taken away.
    fs::remove_dir_all(folder.path().join("job")).unwrap();
    assert!(job.put(0, Elements::F64(&[1.0])).unwrap_err().to_string().contains("tiles: cannot begin a log in"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Whatever happens to a log, what is read is what was put.
    #[test]
    fn mangled_logs_never_give_wrong_values(
        edits in prop::collection::vec((0usize..700, 0usize..40, prop::collection::vec(any::<u8>(), 0..60)), 1..4),
    ) {
        let (_folder, path, log, mut bytes) = job_with(&[4, 2, 9, 7, 0, 11]);
        for (at, removed, added) in edits {
            let at = at.min(bytes.len());
            let end = bytes.len().min(at + removed);
            bytes.splice(at..end, added);
        }
        fs::write(&log, &bytes).unwrap();
        match open(&path) {
            Ok(job) => prop_assert!(tiles(&job).iter().all(|t| [4, 2, 9, 7, 0, 11].contains(t))),
            Err(error) => prop_assert!(error.to_string().contains("remove the file"), "{}", error),
        }
    }

    #[test]
    fn noise_is_no_log(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let (_folder, path, log, _) = job_with(&[4]);
        fs::write(&log, &bytes).unwrap();
        prop_assert_eq!(open(&path).is_ok(), bytes.len() < HEAD);
    }
}

#[test]
fn lengths_are_not_believed() {
    let (_folder, path, log, bytes) = job_with(&[4, 2]);
    // A length of nearly 4 GiB, and a number beyond the last tile.
    for (at, new) in [(8, u32::MAX.to_le_bytes().to_vec()), (12, u64::MAX.to_le_bytes().to_vec())] {
        let mut bad = bytes.clone();
        bad.splice(HEAD + at..HEAD + at + new.len(), new);
        fs::write(&log, &bad).unwrap();
        let job = open(&path).unwrap();
        assert_eq!(tiles(&job), [2]);
        assert_eq!(job.damage().len(), 1);
    }
}
