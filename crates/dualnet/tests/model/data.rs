//! Data for the tests: random tables, and the two that come with the repository.

use dualnet::model::{Column, Encoding, FitOptions, Frame, KernelChoice, KernelKind, NetChoice, Target, Values};
use dualnet::net::Net;
use dualnet::{Mat, Resources};

/// Numbers without structure: a linear congruential generator, its upper bits.
pub struct Random(pub u64);

impl Random {
    /// In [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

pub fn one() -> Resources {
    Resources::new(1).unwrap()
}

pub fn numbers(name: &str, values: &[f64]) -> Column {
    Column { name: name.into(), values: Values::Numbers(values.to_vec()) }
}

pub fn words(name: &str, values: &[&str]) -> Column {
    Column { name: name.into(), values: Values::Words(values.iter().map(|w| w.to_string()).collect()) }
}

/// n rows of d normal columns.
pub fn frame(n: usize, d: usize, seed: u64) -> Frame {
    let mut random = Random(seed);
    Frame::from_matrix(Mat::from_fn(n, d, |_, _| random.normal()).as_ref()).unwrap()
}

pub fn column(frame: &Frame, j: usize) -> &[f64] {
    match &frame.columns()[j].values {
        Values::Numbers(v) => v,
        Values::Words(_) => unreachable!("a column of numbers"),
    }
}

/// sin of the first column plus the second, with noise.
pub fn wave(frame: &Frame, noise: f64, seed: u64) -> Target {
    let mut random = Random(seed ^ 0x5eed);
    let y: Vec<f64> = (0..frame.rows())
        .map(|i| (2.0 * column(frame, 0)[i]).sin() + column(frame, 1)[i] + noise * random.normal())
        .collect();
    Target::from_columns(&[numbers("y", &y)], None).unwrap()
}

/// Three classes: thirds of a direction.
pub fn thirds(frame: &Frame) -> Target {
    let class = |i: usize| match column(frame, 0)[i] + 0.5 * column(frame, 1)[i] {
        s if s < -0.4 => "low",
        s if s < 0.4 => "middle",
        _ => "top",
    };
    let all: Vec<&str> = (0..frame.rows()).map(class).collect();
    Target::from_columns(&[words("class", &all)], None).unwrap()
}

/// One candidate: a small net, plain columns.
pub fn single() -> FitOptions {
    FitOptions {
        net: NetChoice::Net(Net::from_json(r#"{"b_std":1,"layers":["dense","relu","dense"]}"#).unwrap()),
        kernel: KernelChoice::Kind(KernelKind::Nngp),
        encodings: vec![Encoding::Plain],
        ..FitOptions::default()
    }
}

/// A table of the repository: its columns but the last, and the last as words.
pub fn table(name: &str) -> (Frame, Vec<String>) {
    let path = format!("{}/../../data/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split(',').collect()).collect();
    let width = rows[0].len() - 1;
    let column = |j: usize| -> Vec<f64> { rows[1..].iter().map(|r| r[j].parse().unwrap()).collect() };
    let columns = (0..width).map(|j| numbers(rows[0][j], &column(j))).collect();
    (Frame::new(columns).unwrap(), rows[1..].iter().map(|r| r[width].to_string()).collect())
}
