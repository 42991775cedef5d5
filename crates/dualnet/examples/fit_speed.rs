//! Seconds of fitting a model: on the clock, of running threads, and the most memory used.
//! `cargo run --release --example fit_speed [threads]`

use dualnet::model::{Column, Encoding, FitOptions, Frame, Preprocess, Target, Values, fit, plan};
use dualnet::resources::Progress;
use dualnet::{Mat, Resources, Result};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const COLUMNS: usize = 20;

/// When the choice of a candidate was over.
struct Watch(Mutex<Option<(Instant, f64)>>);

impl Progress for Watch {
    fn update(&self, what: &str, done: u64, _: u64) {
        if (what, done) == ("solving", 0)
            && let Ok(mut at) = self.0.lock()
        {
            *at = Some((Instant::now(), running()));
        }
    }
}

fn main() -> Result<()> {
    let threads = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(2);
    let heads = ("rows", "task", "candidates", "preparing", "choosing", "solving", "total", "running", "predict 1000");
    let (rows, task, tried, first, second, third, total, busy, predict) = heads;
    println!("{rows:>5} {task:<14} {tried:>10} {first:>10} {second:>9} {third:>8} {total:>6} {busy:>8} {predict:>13}");
    for rows in [1200, 2400] {
        for classes in [0, 3] {
            row(rows, classes, &FitOptions::default(), threads)?;
            row(rows, classes, &single()?, threads)?;
        }
    }
    Ok(())
}

fn single() -> Result<FitOptions> {
    let all = dualnet::model::candidates(
        &dualnet::model::NetChoice::Auto,
        dualnet::model::KernelChoice::Auto,
        &[Encoding::Plain],
    )?;
    Ok(FitOptions {
        net: dualnet::model::NetChoice::Net(all[2].net.clone()),
        kernel: dualnet::model::KernelChoice::Kind(all[2].kernel),
        encodings: vec![Encoding::Binned],
        ..FitOptions::default()
    })
}

/// Rows of numbers and their target: a smooth function with noise, or thirds of it.
fn data(rows: usize, classes: usize) -> Result<(Frame, Target)> {
    let entry = |i: usize, j: usize| ((i * 7919 + j * 104_729 + i * i * (31 + j)) % 10_007) as f64 / 5_003.5 - 1.0;
    let x = Mat::from_fn(rows, COLUMNS, entry);
    let value = |i: usize| (3.0 * x[(i, 0)]).sin() + x[(i, 1)] * x[(i, 2)] + 0.3 * entry(i, COLUMNS + 1);
    let values = match classes {
        0 => Values::Numbers((0..rows).map(value).collect()),
        _ => Values::Words((0..rows).map(|i| ((value(i) + 2.0) as usize % classes).to_string()).collect()),
    };
    let target = Target::from_columns(&[Column { name: "y".into(), values }], None)?;
    Ok((Frame::from_matrix(x.as_ref())?, target))
}

fn row(rows: usize, classes: usize, options: &FitOptions, threads: usize) -> Result<()> {
    let (x, y) = data(rows, classes)?;
    let watch = Arc::new(Watch(Mutex::new(None)));
    let resources = Resources::new(threads)?.with_progress(watch.clone());
    let start = Instant::now();
    for &encoding in &options.encodings {
        Preprocess::learn(&x, encoding)?.apply(&x)?;
    }
    let preparing = start.elapsed().as_secs_f64();
    let (start, before) = (Instant::now(), running());
    let model = fit(&x, &y, options, &resources)?;
    let (total, busy) = (start.elapsed().as_secs_f64(), running() - before);
    let solving = match watch.0.lock() {
        Ok(at) => at.map_or(0.0, |(at, _)| at.elapsed().as_secs_f64()),
        Err(_) => 0.0,
    };
    let choosing = total - solving - preparing;
    let start = Instant::now();
    model.predict(&x.select(&(0..1000).collect::<Vec<_>>()), None, &resources)?;
    let predict = start.elapsed().as_secs_f64();
    let plan = plan(rows, COLUMNS, model.classes().len().max(1), options)?;
    let (task, tried) = (if classes == 0 { "regression" } else { "classification" }, plan.candidates);
    println!(
        "{rows:>5} {task:<14} {tried:>10} {preparing:>10.3} {choosing:>9.3} {solving:>8.3} {total:>6.2} {busy:>8.2} {predict:>13.3}   planned {} MB, peak of the process {} MB",
        plan.bytes >> 20,
        peak() >> 10,
    );
    Ok(())
}

/// Seconds that the threads of this process have been running; 0 where the system does not say. Unlike the time on
/// the clock it does not count what other processes take.
fn running() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let one = |path: std::path::PathBuf| -> Option<f64> {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.flatten().filter_map(|task| one(task.path())).sum::<f64>() * 1e-9
}

/// Most KiB this process has held; 0 where the system does not say.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
