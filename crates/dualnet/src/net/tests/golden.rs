//! The net file of every golden case.

use super::super::{Net, text, write};
use std::collections::BTreeMap;

fn nets() -> BTreeMap<String, serde_json::Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/nets.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn golden(key: &str) -> Net {
    Net::from_json(&nets()[key].to_string()).unwrap()
}

#[test]
fn every_golden_net_builds_and_survives_both_formats() {
    let nets = nets();
    assert_eq!(nets.len(), 260);
    for (key, json) in nets {
        let net = Net::from_json(&json.to_string()).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(Net::from_json(&net.to_json()).unwrap(), net, "{key}");
        let toml = toml::to_string(&write::spec(net.spec())).unwrap();
        assert_eq!(Net::from_toml(&toml).unwrap(), net, "{key}");
        assert_eq!(Net::parse(&toml).unwrap(), net, "{key}");
        assert_eq!(serde_json::from_value::<Net>(serde_json::to_value(&net).unwrap()).unwrap(), net, "{key}");
        assert!(!net.ops(7).unwrap().is_empty(), "{key}");
        assert_eq!(net.is_spatial(), key.starts_with("conv"), "{key}");
        assert_eq!(net.output_is_spatial(), key.starts_with("convfull"), "{key}");
        assert_eq!(net.has_dropout(), key == "fcx.dropout", "{key}");
        let axes = match key.as_str() {
            "conv.conv1d_gap" => Some(1),
            key => key.starts_with("conv").then_some(2),
        };
        assert_eq!(net.axes(), axes, "{key}");
        let positions: &[usize] = if axes == Some(1) { &[9] } else { &[8, 8] };
        assert_eq!(net.output_positions(positions).unwrap().is_empty(), key.starts_with("conv."), "{key}");
    }
}

#[test]
fn presets_are_golden_nets() {
    assert_eq!(Net::preset("myrtle-5").unwrap(), golden("conv.myrtle5_gap"));
    let mut relu = golden("fc.relu.d3.nobias").spec().clone();
    relu.w_std = std::f64::consts::SQRT_2;
    assert_eq!(Net::preset("fc-relu-3").unwrap(), Net::new(relu).unwrap());
    for (name, convolutions) in [("myrtle-5", 4), ("myrtle-7", 6), ("myrtle-10", 9)] {
        let net = Net::preset(name).unwrap();
        let count = |layer: &str| net.spec().layers.iter().filter(|l| l.name() == layer).count();
        assert_eq!((count("conv"), count("relu"), count("avg_pool")), (convolutions, convolutions, 2), "{name}");
        assert!(net.output_positions(&[32, 32]).unwrap().is_empty());
        assert_eq!(net.last_layer(), format!("layers[{}].dense", 2 * convolutions + 3));
    }
}

#[test]
fn numbers_survive_to_the_last_bit() {
    // A parser may round the last bit the wrong way; the writer must give digits that read back.
    for w_std in [std::f64::consts::SQRT_2, 0.1 + 0.2, 1.0 / 3.0, 5.0e-9 / 3.0] {
        let net = Net::from_json(&format!("{{\"w_std\": {w_std:?}, \"layers\": [\"dense\"]}}")).unwrap();
        assert_eq!(net.spec().w_std.to_bits(), w_std.to_bits());
        assert_eq!(Net::from_json(&net.to_json()).unwrap().spec().w_std.to_bits(), w_std.to_bits());
    }
}

#[test]
fn order_and_repeats_of_keys_are_seen() {
    assert!(text::json("{\"a\": 1, \"a\": 2}").is_ok(), "left to the reader of keys, which names the position");
}

#[test]
fn examples_of_the_documentation_are_nets() {
    let page = include_str!("../../../../../docs/net.md");
    let mut blocks = 0;
    for (i, block) in page.split("```").enumerate().filter(|(i, _)| i % 2 == 1) {
        let (format, example) = block.split_once('\n').unwrap();
        let net = if format == "json" { Net::from_json(example) } else { Net::from_toml(example) };
        net.unwrap_or_else(|error| panic!("block {i}: {error}"));
        blocks += 1;
    }
    assert_eq!(blocks, 3);
}
