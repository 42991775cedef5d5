//! How fast files are read whole and in batches: `cargo run --release -p dualnet-io --example stream_speed [FILE …]`.
//!
//! Without a file, CSV of 45,730 x 10 and of 1,000,000 x 10 numbers is written to a temporary folder first, and the latter's
//! numbers as .npy.

use dualnet_io::stream::{self, Stream};
use dualnet_io::{Elements, Options, Result, load, npy};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Rows of a batch.
const BATCH: usize = 4096;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        for rows in [45_730, 1_000_000] {
            paths.push(folder.path().join(format!("{rows}.csv")));
            std::fs::write(&paths[paths.len() - 1], csv(rows)?)?;
        }
        paths.push(folder.path().join("1000000.npy"));
        npy::write(&paths[2], &[1_000_000, 10], Elements::F64(&numbers(10_000_000)))?;
    }
    println!("{:>10} {:>8} {:>10} {:>10} {:>10}   MB/s", "rows", "MB", "load", "open", "batches");
    for path in &paths {
        let megabytes = std::fs::metadata(path)?.len() as f64 / 1e6;
        let load = fastest(|| load(path, &Options::default()).map(drop))?;
        let open = fastest(|| stream(path).map(drop))?;
        let mut stream = stream(path)?;
        let mut rows = 0;
        let batches = fastest(|| {
            stream.restart()?;
            rows = 0;
            while let Some(chunk) = stream.next_batch(BATCH)? {
                rows += chunk.rows();
            }
            Ok(())
        })?;
        let [load, open, batches] = [load, open, batches].map(|seconds| megabytes / seconds);
        println!("{rows:>10} {megabytes:>8.1} {load:>10.0} {open:>10.0} {batches:>10.0}");
    }
    Ok(())
}

fn stream(path: &Path) -> Result<Stream> {
    stream::open(path, &Options::default())
}

/// Seconds of the fastest of five runs.
fn fastest(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Numbers from 0 to 1 of up to 17 digits.
fn numbers(count: usize) -> Vec<f64> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count).map(|_| next()).collect()
}

/// Ten columns of numbers, written so that they read back as the same bits.
fn csv(rows: usize) -> std::io::Result<Vec<u8>> {
    let mut text = b"a,b,c,d,e,f,g,h,i,j\n".to_vec();
    for row in numbers(10 * rows).as_chunks::<10>().0 {
        for (column, value) in row.iter().enumerate() {
            write!(text, "{}{value}", if column == 0 { "" } else { "," })?;
        }
        text.push(b'\n');
    }
    Ok(text)
}
