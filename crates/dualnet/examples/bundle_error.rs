//! Error of bundled networks, as CSV: against depth (1 to 5 layers, all bundled) and against the number of bundled
//! layers of a network of 5.
//!
//! ReLU networks of width 64 with He weights and a linear head of 4 outputs, on normal inputs of 16 columns; a bundle of
//! all layers takes the head in as well. `given`: ReLU-SNNK maps with Psi of the weights, whose mean is the arc-cosine
//! kernel of the weights and not the layer, so that its error does not fall to 0 with features. `fitted`: one map of the
//! input of the bundled layers, its matrix fitted to their outputs on 4,000 rows. Errors are those of the outputs on 1,000
//! other rows. `cargo run --release --example bundle_error -- FEATURES SEEDS` (1024 3).
#![allow(clippy::print_stdout)]

use dualnet::activation::Activation;
use dualnet::random::{Draws, Purpose};
use dualnet::snnk::{
    Bundle, BundledNetwork, Counted, CountedSnnk, DenseLayer, DenseNetwork, FitOptions, ReluOptions, ReluSnnk, Tower,
};
use dualnet::{Error, Mat, Resources};
use std::sync::Arc;

const INPUTS: usize = 16;
const WIDTH: usize = 64;
const OUTPUTS: usize = 4;

fn main() -> dualnet::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| match args.get(i) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|e| Error::Invalid {
            what: format!("argument {}", i + 1),
            expected: "a whole number".into(),
            found: format!("{text} ({e})"),
            hint: "see the first lines of this example".into(),
        }),
    };
    let (features, seeds) = (number(0, 1024)?, number(1, 3)?);
    println!("form,features,seed,depth,bundled,relative_error,max_error,parameters,original_parameters");
    for seed in 0..seeds as u64 {
        let resources = Resources::new(2)?.with_seed(seed);
        for depth in 1..=5 {
            let network = network(depth, seed)?;
            row(&network, depth, depth, features, seed, &resources)?;
        }
        let network = network(5, seed)?;
        for bundled in 1..5 {
            row(&network, 5, bundled, features, seed, &resources)?;
        }
    }
    Ok(())
}

/// Both forms of a network of `depth` hidden layers of which the first `bundled` are one.
fn row(
    network: &DenseNetwork<f64>,
    depth: usize,
    bundled: usize,
    features: usize,
    seed: u64,
    resources: &Resources,
) -> dualnet::Result<()> {
    let options = ReluOptions { constant: 1.0, ..ReluOptions::default() };
    let widths = |layer: usize| if layer == 0 { INPUTS } else { features };
    let maps = (0..bundled).map(|layer| {
        let options = ReluOptions { layer: layer as u32, ..options };
        Ok(Arc::new(ReluSnnk::draw(widths(layer), features, options, resources)?) as Arc<dyn CountedSnnk<f64>>)
    });
    let maps = maps.collect::<dualnet::Result<Vec<_>>>()?;
    let layers = 0..if bundled == depth { depth + 1 } else { bundled };
    let given = network.bundle(&[Bundle { layers: layers.clone(), maps }], resources)?;
    let tower = Tower::relu(INPUTS, &[features], options, resources)?;
    let train = normals(4000, INPUTS, 1000 + seed);
    let fitted = network.fit_bundle(layers, tower, train.as_ref(), &FitOptions::default(), resources)?;
    let x = normals(1000, INPUTS, 2000 + seed);
    let print = |form: &str, net: &BundledNetwork<f64>| -> dualnet::Result<()> {
        let report = net.report(network, x.as_ref(), 0.05, resources)?;
        if let Some(last) = report.stages.last() {
            let (error, count) = (last.end_to_end, (net.count().parameters, network.count().parameters));
            let (relative, max) = (error.relative, error.max);
            println!("{form},{features},{seed},{depth},{bundled},{relative:.5},{max:.5},{},{}", count.0, count.1);
        }
        Ok(())
    };
    print("given", &given)?;
    print("fitted", &fitted)
}

fn network(depth: usize, seed: u64) -> dualnet::Result<DenseNetwork<f64>> {
    let layers = (0..=depth).map(|k| {
        let d = if k == 0 { INPUTS } else { WIDTH };
        let (l, activation) = if k < depth { (WIDTH, Activation::Relu) } else { (OUTPUTS, Activation::Identity) };
        let w = normals(l, d, 10 * seed + k as u64);
        let weights = Mat::from_fn(l, d, |i, j| w[(i, j)] * (2.0 / d as f64).sqrt());
        DenseLayer::new(weights, vec![0.0; l], activation)
    });
    DenseNetwork::new(layers.collect::<dualnet::Result<_>>()?)
}

fn normals(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut draws = Draws::new(seed, Purpose::ROWS, 1);
    Mat::from_fn(rows, cols, |_, _| draws.normal())
}
