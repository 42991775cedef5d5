//! Time of one pair of images on one thread: `conv_speed NET HEIGHT WIDTH CHANNELS [f32|f64]`.
//!
//! Prints the best and the median of 301 single pairs, and the nanoseconds for one of the N^2 pairs of positions of the input.

use dualnet::kernel::{ConvKernel, Float, Get, InputShape, Kernel, Region, TileOut};
use dualnet::net::Net;
use dualnet::random::{Draws, Purpose};
use dualnet::{Mat, Resources};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |i: usize, default: &str| args.get(i).cloned().unwrap_or_else(|| default.into());
    let text = arg(0, "myrtle-5");
    let net = match std::fs::read_to_string(&text) {
        Ok(file) => Net::parse(&file)?,
        Err(_) => Net::parse(&text)?,
    };
    let shape = InputShape::image(arg(1, "32").parse()?, arg(2, "32").parse()?, arg(3, "3").parse()?);
    match arg(4, "f32").as_str() {
        "f64" => time::<f64>(&net, &shape),
        _ => time::<f32>(&net, &shape),
    }
}

fn time<T: Float>(net: &Net, shape: &InputShape) -> Result<(), Box<dyn std::error::Error>> {
    let resources = Resources::new(1)?;
    let kernel = ConvKernel::new(net, shape)?;
    let mut draws = Draws::new(0, Purpose::ROWS, 0);
    let data = (0..2 * shape.width()).map(|_| T::from_f64(draws.normal())).collect();
    let x: Mat<T> = Mat::from_vec(2, shape.width(), data)?;
    let part = |i: usize| x.as_ref().block(i..i + 1, 0..shape.width());
    let (x, y) = (kernel.prepare(part(0)?, "x", &resources)?, kernel.prepare(part(1)?, "y", &resources)?);
    let mut workspace = Kernel::<T>::workspace(&kernel, Get::Both);
    let side = Kernel::<T>::side(&kernel);
    let (mut nngp, mut ntk) = (vec![T::default(); side * side], vec![T::default(); side * side]);
    let mut times = Vec::new();
    for _ in 0..301 {
        let out = TileOut { region: Region::All, nngp: &mut nngp, ntk: &mut ntk };
        let start = Instant::now();
        kernel.tile(&mut workspace, (&x, 0), (&y, 0), out, &resources)?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let positions = (shape.width() / shape.channels) as f64;
    println!(
        "{shape} {}: best {:.4} ms a pair, median {:.4} ms; {:.4} ns an entry",
        T::NAME,
        1e3 * times[0],
        1e3 * times[150],
        1e9 * times[0] / (positions * positions)
    );
    Ok(())
}
