//! Jobs of nets over images, by `kernel` and by `fit`: killed and taken up, divided, damaged, and their memory held against the plan.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// myrtle-5 with fewer layers, for 8 x 8 pixels.
const MYRTLE: &str = r#"{"layers": [
    "conv", "relu", "conv", "relu", {"avg_pool": {"window": [2, 2]}}, "conv", "relu", {"avg_pool": {"window": [2, 2]}}, "global_avg_pool", "dense"]}"#;

/// n images as .npy in f32.
fn images(n: usize, shape: [usize; 3], seed: u64) -> Vec<u8> {
    let [h, w, c] = shape;
    let mut next = noise(seed);
    let bytes: Vec<u8> = (0..n * h * w * c).flat_map(|_| (next() as f32).to_le_bytes()).collect();
    npy("<f4", &format!("({n}, {h}, {w}, {c})"), &bytes)
}

/// Labels 0 and 1.
fn labels(n: usize) -> Vec<u8> {
    column_npy((0..n).map(|i| f64::from(i as u32 * 7 % 5 % 2)))
}

fn logs(place: &Place, job: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place.path(job).join("tiles")) else { return Vec::new() };
    let mut logs: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    logs.sort();
    logs
}

/// Bytes in the logs of a job.
fn written(place: &Place, job: &str) -> u64 {
    logs(place, job).iter().map(|log| fs::metadata(log).unwrap().len()).sum()
}

/// Starts `line`, waits until it has written new tiles to the job, and kills it; true if it was still running.
fn kill_in_the_middle(place: &Place, line: &str, job: &str) -> bool {
    let before = written(place, job);
    let mut child = start(place, line);
    let running = loop {
        if child.try_wait().unwrap().is_some() {
            break false;
        }
        // More than the head of a log and the record that is being written.
        if written(place, job) > before + 2000 {
            break true;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[test]
fn killed_five_times_two_parts_and_memory_give_the_same_bytes() {
    let place = Place::new();
    place.put("net.json", MYRTLE);
    place.put("x.npy", images(N, [8, 8, 3], 1));
    let line = "kernel net.json --x x.npy --quiet";
    place.ok(&format!("{line} --threads 2 -o whole.npz"));
    let mut halves = [1, 2].map(|k| start(&place, &format!("{line} --threads 1 --job parts --part {k}/2")));
    assert!(halves.iter_mut().all(|child| child.wait().unwrap().success()));
    let parts = place.json(&format!("{line} --job parts -o parts.npz"));
    assert_eq!(parts["tiles"]["computed"], 0);
    assert!(place.read("parts.npz") == place.read("whole.npz"));
    let job = format!("{line} --threads 2 --job job -o job.npz");
    let killed = (0..5).filter(|_| kill_in_the_middle(&place, &job, "job")).count();
    assert!(killed > 2, "{killed} of 5 kills came in the middle");
    let rest = place.json(&job);
    assert_eq!([&rest["complete"], &rest["tiles"]["damaged"]], [&serde_json::json!(true), &serde_json::json!(0)]);
    assert!(rest["tiles"]["computed"].as_u64() < rest["tiles"]["total"].as_u64());
    assert!(place.read("job.npz") == place.read("whole.npz"));
}

/// Images enough for some seconds of work.
const N: usize = 160;

#[test]
fn a_fit_that_was_killed_gives_the_same_model() {
    let place = Place::new();
    place.put("net.json", MYRTLE);
    place.put("x.npy", images(N, [8, 8, 3], 2));
    place.put("new.npy", images(10, [8, 8, 3], 3));
    place.put("y.npy", labels(N));
    let line = "fit x.npy --labels y.npy --net net.json --whiten mean --augment flip --quiet --threads 2";
    place.ok(&format!("{line} -o whole"));
    let job = format!("{line} --job job -o model");
    assert!(kill_in_the_middle(&place, &job, "job") && !place.path("model").exists());
    let plan = place.json(&format!("{job} --dry-run"));
    let (total, done) = (plan["tiles"]["total"].as_u64().unwrap(), plan["tiles"]["done"].as_u64().unwrap());
    assert!(0 < done && done < total, "{plan}");
    assert_eq!(plan["left"]["tiles"], total - done);
    let fitted = place.json(&job);
    assert_eq!(fitted["tiles"], serde_json::json!({"total": total, "computed": total - done, "damaged": 0}));
    let model = |name: &str| fs::read_dir(place.path(name)).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(model("model").len(), model("whole").len());
    for path in model("whole") {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(fs::read(&path).unwrap() == place.read(&format!("model/{name}")), "{name}");
    }
    assert_eq!(place.ok("predict model new.npy").out, place.ok("predict whole new.npy").out);
    // Other targets find the kernel of the same images.
    place.put("z.npy", column_npy((0..N).map(|i| f64::from(i as u32 % 2))));
    let again = line.replace("y.npy", "z.npy");
    assert_eq!(place.json(&format!("{again} --job job"))["tiles"]["computed"], 0);
    for (change, key) in [
        (("--whiten mean", "--whiten none"), "key whiten: expected \"mean\", found \"none\" now"),
        (("--augment flip", "--augment none"), "key augment: "),
        (("--net net.json", "--net myrtle-5"), "key net.layers"),
        (("x.npy", "x.npy --holdout .5"), "key columns: "),
        (("fit x.npy --labels y.npy", "fit new.npy --labels few.npy"), "key columns: expected 160, found 10 now"),
    ] {
        place.put("few.npy", labels(10));
        place
            .fails(&format!("{} --job job", line.replace(change.0, change.1)), &["job/job.json: ", key, "another job"]);
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let place = Place::new();
    place.put("net.json", MYRTLE);
    place.put("x.npy", images(20, [8, 8, 3], 4));
    place.put("large.npy", images(5, [16, 16, 3], 5));
    place.put("grey.npy", images(5, [8, 8, 1], 6));
    place.put("y.npy", labels(20));
    let fails = |line: &str, parts: &[&str]| place.fails(&format!("kernel net.json --x x.npy {line}"), parts);
    let shape = "expected samples of 8 x 8 x 3, as in x.npy, found ";
    fails("--x2 large.npy --job job -o k.npz", &["large.npy: ", shape, "16 x 16 x 3"]);
    fails("--x2 grey.npy --job job -o k.npz", &["grey.npy: ", shape, "8 x 8 x 1"]);
    assert!(!place.path("job").exists(), "a job that cannot be began");
    let whole = |name: &str| place.ok(&format!("kernel net.json --x x.npy --quiet --threads 1 {name}"));
    whole("--job job -o k.npz");
    fails("--x2 x.npy --job job -o other.npz", &["job/job.json: ", "another job"]);
    place.fails("kernel net.json --x grey.npy --job job -o other.npz", &["job/job.json: ", "another job"]);
    place.fails("fit x.npy --labels y.npy --net net.json --job job", &["job/job.json: ", "another job"]);
    // One bit of one tile: named, computed again, nothing else lost.
    let log = logs(&place, "job").remove(0);
    let mut bytes = fs::read(&log).unwrap();
    bytes[200] ^= 4;
    fs::write(&log, &bytes).unwrap();
    let done = place.ok("kernel net.json --x x.npy --threads 1 --job job -o again.npz");
    assert!(done.err.contains("damaged bytes, of tile 0: what was there is computed again"), "{}", done.err);
    assert!(done.err.contains("1 tile of 6"), "{}", done.err);
    assert!(place.read("again.npz") == place.read("k.npz"));
    // A fit that has no images has no job.
    for net in ["auto", "fc-relu-1", "bundled:relu-1-64"] {
        let expected = ["--job: expected a fit to images", "leave --job out"];
        place.fails(&format!("fit x.npy --labels y.npy --net {net} --job new"), &expected);
    }
    assert!(!place.path("new").exists());
    place.fails("fit x.npy --labels y.npy --images 5", &["--images: expected a fit to images"]);
    let many = "fit x.npy --labels y.npy --net net.json --images 21";
    place.fails(many, &["--images: expected from 2 to the 20 of x.npy, found 21"]);
}

/// Most memory that `line` had, in bytes; the kernel keeps count of it.
#[cfg(target_os = "linux")]
fn peak(place: &Place, line: &str) -> u64 {
    let mut child = start(place, line);
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
        most = most.max(high.unwrap_or(0) * 1024);
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "{line}");
            return most;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// `kernel` of `n` images of 16 x 16, in memory and as a job, against its plan.
#[cfg(target_os = "linux")]
fn peaks_are_planned(n: usize) {
    let place = Place::new();
    place.put("flat.json", r#"{"layers": ["conv", "relu", "conv", "relu", "flatten", "dense"]}"#);
    place.put("x.npy", images(n, [16, 16, 3], 7));
    let line = "kernel flat.json --x x.npy --quiet --threads 2";
    for kept in ["", "--job job"] {
        let plan = place.json(&format!("{line} {kept} --dry-run"));
        let planned = plan["plan"]["peak"].as_u64().unwrap() as f64;
        let found = peak(&place, &format!("{line} {kept} -o k.npz")) as f64;
        println!("{kept:10} planned {:.1} MB, found {:.1} MB; {}", planned / 1e6, found / 1e6, plan["plan"]);
        // How much of the program itself is in memory is up to the system.
        assert!((found - planned).abs() < 0.1 * planned + 2e6, "{kept}: {planned} bytes planned, {found} found");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_peak_of_memory_is_the_plans() {
    peaks_are_planned(800);
}

/// `cargo test -p dualnet-cli --test conv_job -- --ignored --nocapture`
#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes a minute: eight million pairs"]
fn the_peak_of_much_memory_is_the_plans() {
    peaks_are_planned(4000);
}
