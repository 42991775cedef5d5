//! `dualnet kernel --job`: killed and taken up, divided, damaged.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Pairs of some ten microseconds.
const SLOW: &str = r#"{"layers": ["dense", {"tanh": {"dual": {"quadrature": 6}}}, "dense"]}"#;

fn logs(place: &Place, job: &str) -> Vec<PathBuf> {
    let mut logs: Vec<_> = fs::read_dir(place.path(job).join("tiles")).unwrap().map(|e| e.unwrap().path()).collect();
    logs.sort();
    logs
}

/// Bytes in the logs of a job.
fn written(place: &Place, job: &str) -> u64 {
    if !place.path(job).join("tiles").exists() {
        return 0;
    }
    logs(place, job).iter().map(|log| fs::metadata(log).unwrap().len()).sum()
}

/// A job killed `kills` times after random spans, then taken up till the end: it computes what the killed ones have not, and the result has
/// the bytes of an undisturbed one.
fn kill_and_resume(kills: usize, mut span: Duration, rows: usize) {
    let place = Place::new();
    place.put("slow.json", SLOW);
    place.put("x.npy", points_npy(rows, 1));
    let line = "kernel slow.json --x x.npy --precision f32 --threads 2 --quiet";
    place.ok(&format!("{line} -o whole.npz"));
    let mut next = noise(kills as u64);
    let (mut killed, mut ended, mut useful) = (0, 0, 0);
    while killed < kills {
        let before = written(&place, "job");
        let mut child = start(&place, &format!("{line} --job job -o k.npz"));
        std::thread::sleep(span.mul_f64(0.5 + 0.5 * next()));
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        if running {
            killed += 1;
            match written(&place, "job") > before {
                true => useful += 1,
                // Killed before its first tile: this machine is slow, or busy.
                false => span = span.mul_f64(1.2),
            }
        } else {
            // What ended before it was killed begins anew.
            ended += 1;
            assert!(place.read("k.npz") == place.read("whole.npz"));
            fs::remove_dir_all(place.path("job")).unwrap();
        }
    }
    assert!(useful > 0, "no kill came in the middle");
    let plan = if place.path("job").exists() {
        place.json(&format!("{line} --job job --dry-run"))
    } else {
        serde_json::json!({"tiles": {"done": 0}})
    };
    let done = place.json(&format!("{line} --job job -o k.npz"));
    assert_eq!(done["complete"], true);
    let tiles = |name: &str| done["tiles"][name].as_u64().unwrap();
    assert_eq!(tiles("computed") + plan["tiles"]["done"].as_u64().unwrap(), tiles("total"));
    assert_eq!((tiles("done"), tiles("damaged")), (tiles("total"), 0));
    assert!(place.read("k.npz") == place.read("whole.npz"), "{kills} kills changed the result");
    println!(
        "{kills} kills, {useful} of them with new tiles in the log, {ended} jobs ended between them; {}",
        done["tiles"]
    );
}

#[test]
fn killed_five_times() {
    kill_and_resume(5, Duration::from_millis(500), 1000);
}

/// `cargo test -p dualnet-cli --test kernel_job -- --ignored --nocapture`
#[test]
#[ignore = "takes a minute: fifty kills"]
fn killed_fifty_times() {
    kill_and_resume(50, Duration::from_millis(1500), 4000);
}

#[test]
fn jobs_give_the_bytes_of_no_job() {
    let place = Place::new();
    place.put("x.npy", points_npy(300, 1));
    place.put("z.npy", points_npy(150, 2));
    for (name, more) in [("own", ""), ("cross", "--x2 z.npy"), ("single", "--precision f32"), ("ntk", "--get ntk")] {
        let line = format!("kernel fc-erf-2 --x x.npy {more}");
        place.ok(&format!("{line} --threads 1 -o {name}.npz"));
        let done = place.json(&format!("{line} --threads 2 --job {name} -o {name}2.npz"));
        assert!(place.read(&format!("{name}.npz")) == place.read(&format!("{name}2.npz")), "{name}");
        let pairs = if name == "cross" { 300 * 150 } else { 300 * 301 / 2 };
        assert_eq!([&done["pairs"], &done["tiles"]["computed"]], [pairs, 6]);
        assert_eq!([&done["part"], &done["complete"]], [&serde_json::json!("1/1"), &serde_json::json!(true)]);
        for key in ["rows", "columns", "pairs", "seconds", "threads", "precision"] {
            assert!(keys(&done).contains(&key), "{key}");
        }
        // Once more: nothing is computed, the result is written again.
        let again = place.json(&format!("{line} --job {name} -o {name}3.npz"));
        assert_eq!([&again["pairs"], &again["tiles"]["computed"], &again["tiles"]["done"]], [0, 0, 6]);
        assert!(place.read(&format!("{name}.npz")) == place.read(&format!("{name}3.npz")), "{name}");
    }
}

#[test]
fn two_parts_at_once_are_one_job() {
    let place = Place::new();
    place.put("slow.json", SLOW);
    place.put("x.npy", points_npy(500, 1));
    let line = "kernel slow.json --x x.npy --threads 1 --quiet --precision f32";
    place.ok(&format!("{line} -o whole.npz"));
    let mut halves = [1, 2].map(|k| start(&place, &format!("{line} --job job --part {k}/2 -o both{k}.npz")));
    assert!(halves.iter_mut().all(|child| child.wait().unwrap().success()));
    assert_eq!(logs(&place, "job").len(), 2);
    // Whoever was last wrote the result.
    let last: Vec<_> = ["both1.npz", "both2.npz"].into_iter().filter(|name| place.path(name).exists()).collect();
    assert!(!last.is_empty() && last.iter().all(|name| place.read(name) == place.read("whole.npz")));
    let done = place.json(&format!("{line} --job job -o k.npz"));
    assert_eq!([&done["tiles"]["computed"], &done["tiles"]["done"]], [0, 10]);
    assert!(place.read("k.npz") == place.read("whole.npz"));
}

#[test]
fn a_part_alone_writes_no_result() {
    let place = Place::new();
    place.put("x.npy", points_npy(300, 1));
    let line = "kernel fc-relu-1 --x x.npy --job job";
    let part = place.json(&format!("{line} --part 2/4"));
    assert_eq!([&part["tiles"]["computed"], &part["tiles"]["total"], &part["tiles"]["done"]], [2, 6, 2]);
    assert_eq!([&part["part"], &part["complete"]], [&serde_json::json!("2/4"), &serde_json::json!(false)]);
    let said = place.ok(&format!("{line} --part 1/4 -o k.npz")).err;
    assert!(said.contains("4 of 6 tiles done; nothing is written before all are"), "{said}");
    assert!(!place.path("k.npz").exists());
    let plan = place.json(&format!("{line} --dry-run"));
    assert_eq!([&plan["tiles"]["done"], &plan["left"]["tiles"]], [4, 2]);
    // Without --part: the rest, and the result.
    let rest = place.json(&format!("{line} -o k.npz"));
    assert_eq!([&rest["tiles"]["computed"], &rest["tiles"]["done"]], [2, 6]);
    place.ok("kernel fc-relu-1 --x x.npy -o whole.npz");
    assert!(place.read("k.npz") == place.read("whole.npz"));
}

#[test]
fn a_damaged_tile_is_named_and_computed_again() {
    let place = Place::new();
    place.put("x.npy", points_npy(300, 1));
    let line = "kernel fc-relu-1 --x x.npy --job job --threads 1";
    place.ok(&format!("{line} -o whole.npz"));
    let log = logs(&place, "job").remove(0);
    let mut bytes = fs::read(&log).unwrap();
    bytes[300_000] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let done = place.ok(&format!("{line} -o k.npz"));
    let place_of = "offset 262220: 262180 damaged bytes, of tile 1: what was there is computed again";
    assert!(done.err.contains(place_of), "{}", done.err);
    assert!(place.read("k.npz") == place.read("whole.npz"));
    let again = place.json(&format!("{line} -o k.npz"));
    assert_eq!([&again["tiles"]["computed"], &again["tiles"]["damaged"]], [0, 0]);
    // Cut in the middle of a record, as by the loss of power.
    fs::write(&log, &bytes[..700_000]).unwrap();
    let cut = place.json(&format!("{line} -o k.npz"));
    assert_eq!([&cut["tiles"]["computed"], &cut["tiles"]["damaged"]], [3, 0]);
    assert!(place.read("k.npz") == place.read("whole.npz"));
}

#[test]
fn folders_of_other_jobs_are_refused() {
    let place = Place::new();
    place.put("x.npy", points_npy(20, 1));
    place.put("z.npy", points_npy(20, 2));
    place.put("w.npy", points_npy(21, 1));
    place.ok("kernel fc-relu-1 --x x.npy --job job -o k.npz");
    let before = place.read("k.npz");
    let fails = |line: &str, parts: &[&str]| place.fails(&format!("kernel {line} --job job -o other.npz"), parts);
    let precision = "key precision: expected \"f64\", found \"f32\" now; the folder holds another job";
    fails("fc-relu-1 --x x.npy --precision f32", &["job.json: ", precision]);
    fails("fc-relu-2 --x x.npy", &["key net.layers: "]);
    fails("fc-relu-1 --x z.npy", &["key x.blake3: "]);
    fails("fc-relu-1 --x w.npy", &["key columns: expected 20, found 21 now"]);
    fails("fc-relu-1 --x x.npy --x2 z.npy", &["key kind: expected \"symmetric\", found \"rectangular\" now"]);
    fails("fc-relu-1 --x x.npy --get ntk", &["key matrices: expected [\"nngp\",\"ntk\"], found [\"ntk\"] now"]);
    assert!(!place.path("other.npz").exists());
    let text = String::from_utf8(place.read("job/job.json")).unwrap();
    place.put("job/job.json", text.replace("\"isa\": \"", "\"isa\": \"other-"));
    fails("fc-relu-1 --x x.npy", &["key isa: expected \"other-"]);
    place.put("job/job.json", text);
    place.ok("kernel fc-relu-1 --x x.npy --job job -o k.npz");
    assert!(place.read("k.npz") == before);
    place.put("things/a", "1");
    place.fails(
        "kernel fc-relu-1 --x x.npy --job things -o k.npz",
        &["things: the folder: expected a new or empty one"],
    );
}

#[test]
fn arguments_that_do_not_fit() {
    let place = Place::new();
    place.put("x.npy", points_npy(20, 1));
    let usage = |line: &str| {
        let done = place.run(&format!("kernel fc-relu-1 --x x.npy {line}"));
        assert_eq!(done.code, 2, "{line}");
        done.err
    };
    assert!(usage("--part 1/2").contains("--job <DIR>"));
    assert!(usage("--job job").contains("--output <FILE.npz>"));
    assert!(usage("--job job --part 3/2").contains("expected k/N with 1 <= k <= N, found 3/2"));
    assert!(!place.path("job").exists());
    // A plan begins nothing; a job too large for the memory neither.
    let plan = place.json("kernel fc-relu-1 --x x.npy --job job --part 1/2 --dry-run");
    assert_eq!(plan["left"]["tiles"], 1);
    let small = "kernel fc-relu-1 --x x.npy --job job --part 1/2 --memory 100K";
    place.fails(small, &["the job of a kernel matrix of 20 x 20 needs ", "the limit is 102400; raise --memory"]);
    assert!(!place.path("job").exists());
}
