//! A folder to work in, small data, and ways to run the command.

#![allow(dead_code)]

use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// A temporary folder in which the command runs.
pub struct Place(TempDir);

/// What a run gave.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::cargo_bin("dualnet").unwrap();
        command.current_dir(self.0.path()).args(line.split_whitespace());
        command
    }

    pub fn run(&self, line: &str) -> Done {
        let output = self.command(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs what must succeed.
    pub fn ok(&self, line: &str) -> Done {
        let done = self.run(line);
        assert_eq!(done.code, 0, "dualnet {line}: {}", done.err);
        done
    }

    /// Runs what must succeed and print one JSON object, and nothing but it.
    pub fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{line} --json")).out).unwrap()
    }

    /// Runs what must fail; the last line on standard error.
    pub fn error(&self, line: &str) -> String {
        let done = self.run(line);
        assert_eq!(done.code, 2, "dualnet {line}: {}{}", done.out, done.err);
        assert_eq!(done.out, "", "dualnet {line}");
        done.err.trim_end().lines().last().unwrap().to_string()
    }

    /// Runs what must fail with a message that holds every one of `parts`.
    pub fn fails(&self, line: &str, parts: &[&str]) {
        let error = self.error(line);
        for part in parts {
            assert!(error.contains(part), "dualnet {line}: {error:?} lacks {part:?}");
        }
    }
}

/// Numbers in [-1, 1] that look random, the same everywhere.
pub fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f64) / f64::from(1 << 23) - 1.0
    }
}

/// Rows (a, b): the input of everything here.
pub fn points(rows: usize, seed: u64) -> Vec<[f64; 2]> {
    let mut next = noise(seed);
    (0..rows).map(|_| [next(), next()]).collect()
}

/// a,b,y with y = sin 3a + b^2.
pub fn numbers_csv(rows: usize, seed: u64) -> String {
    let line = |[a, b]: [f64; 2]| format!("{a},{b},{}\n", (3.0 * a).sin() + b * b);
    format!("a,b,y\n{}", points(rows, seed).into_iter().map(line).collect::<String>())
}

/// a,b,c,kind: two classes in words, one column of words.
pub fn classes_csv(rows: usize, seed: u64) -> String {
    let line = |(i, [a, b]): (usize, [f64; 2])| {
        format!("{a},{b},{},{}\n", ["u", "v", "w"][i % 3], if a + b > 0.0 { "oak" } else { "fir" })
    };
    format!("a,b,c,kind\n{}", points(rows, seed).into_iter().enumerate().map(line).collect::<String>())
}

/// A .npy file, version 1.0, of little-endian values already in bytes.
pub fn npy(kind: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

/// [`points`] as .npy in f64.
pub fn points_npy(rows: usize, seed: u64) -> Vec<u8> {
    let bytes: Vec<u8> = points(rows, seed).into_iter().flatten().flat_map(f64::to_le_bytes).collect();
    npy("<f8", &format!("({rows}, 2)"), &bytes)
}

/// One number a row as .npy in f64.
pub fn column_npy(values: impl IntoIterator<Item = f64>) -> Vec<u8> {
    let values: Vec<f64> = values.into_iter().collect();
    let bytes: Vec<u8> = values.iter().copied().flat_map(f64::to_le_bytes).collect();
    npy("<f8", &format!("({},)", values.len()), &bytes)
}

/// The arrays of an .npz, through the reader that the library tests.
pub fn npz(place: &Place, name: &str) -> Vec<(String, dualnet_io::Array)> {
    let path = place.path(name);
    let mut archive = dualnet_io::npz::Archive::open(&path, u64::MAX).unwrap();
    let names: Vec<String> = archive.names().iter().map(|n| n.to_string()).collect();
    names.into_iter().map(|n| (n.clone(), archive.read(&n).unwrap())).collect()
}

/// The named column of a CSV text, as numbers.
pub fn csv_numbers(text: &str, name: &str) -> Vec<f64> {
    let mut lines = text.lines();
    let at = lines.next().unwrap().split(',').position(|n| n == name).unwrap();
    lines.map(|l| l.split(',').nth(at).unwrap().parse().unwrap()).collect()
}

/// The keys of an object.
pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Starts the command and lets it run.
pub fn start(place: &Place, line: &str) -> Child {
    std::process::Command::new(env!("CARGO_BIN_EXE_dualnet"))
        .current_dir(place.path(""))
        .args(line.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
