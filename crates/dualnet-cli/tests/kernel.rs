//! `dualnet kernel`.

#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use dualnet_io::Data;

#[test]
fn json_has_the_promised_names() {
    let place = Place::new();
    place.put("x.npy", points_npy(7, 1));
    place.put("z.npy", points_npy(5, 2));
    let own = place.json("kernel fc-relu-3 --x x.npy -o k.npz --threads 2");
    for name in ["rows", "columns", "pairs", "seconds", "threads", "precision"] {
        assert!(keys(&own).contains(&name), "{name}");
    }
    assert_eq!([&own["rows"], &own["columns"], &own["pairs"], &own["threads"]], [7, 7, 28, 2]);
    assert_eq!(own["precision"], "f64");
    let cross = place.json("kernel fc-relu-3 --x x.npy --x2 z.npy -o k.npz --precision f32");
    assert_eq!([&cross["rows"], &cross["columns"], &cross["pairs"]], [7, 5, 35]);
    assert_eq!(cross["precision"], "f32");
}

#[test]
fn arrays_hold_the_kernels() {
    let place = Place::new();
    // One hidden layer of ReLUs, w_std sqrt 2, on unit vectors at 90 degrees, d = 2: after the first layer the variance is
    // 2/2 and the covariance 0; the arc-cosine kernel of degree 1 gives 1/2 and 1/(2 pi), the last layer doubles them. To
    // this the NTK adds 2 kdot (kdot = 1/2 on the diagonal) times the NTK before, which is 1 and 0.
    let bytes: Vec<u8> = [1.0f64, 0.0, 0.0, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    place.put("x.npy", npy("<f8", "(2, 2)", &bytes));
    place.ok("kernel fc-relu-1 --x x.npy -o k.npz");
    let arrays = npz(&place, "k.npz");
    assert_eq!(arrays.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["nngp", "ntk"]);
    let (nngp, ntk) = (arrays[0].1.to_f64(), arrays[1].1.to_f64());
    let inverse_pi = std::f64::consts::FRAC_1_PI;
    for (found, expected) in [(nngp, [1.0, inverse_pi, inverse_pi, 1.0]), (ntk, [2.0, inverse_pi, inverse_pi, 2.0])] {
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-14, "{found:?}");
        }
    }
}

#[test]
fn get_precision_and_sources() {
    let place = Place::new();
    place.put("x.npy", points_npy(9, 1));
    place.ok("kernel fc-erf-2 --x x.npy -o both.npz");
    place.ok("kernel fc-erf-2 --x x.npy --get ntk -o one.npz");
    let (both, one) = (npz(&place, "both.npz"), npz(&place, "one.npz"));
    assert_eq!(one, [both[1].clone()]);
    place.ok("kernel fc-erf-2 --x x.npy --precision f32 -o f32.npz");
    let single = npz(&place, "f32.npz");
    assert!(matches!(single[0].1.data, Data::F32(_)) && matches!(both[0].1.data, Data::F64(_)));
    for (a, b) in single[0].1.to_f64().iter().zip(both[0].1.to_f64()) {
        assert!((a - b).abs() < 1e-5);
    }
    // Samples of 32 bits, and an .npz that holds them as x.
    let halves: Vec<u8> = [0.5f32, 0.25, -1.5, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let doubles: Vec<u8> = [0.5f64, 0.25, -1.5, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    place.put("f4.npy", npy("<f4", "(2, 2)", &halves));
    place.put("f8.npy", npy("<f8", "(2, 2)", &doubles));
    let x = [0.5, 0.25, -1.5, 2.0];
    dualnet_io::npz::write(&place.path("x.npz"), &[("x", &[2, 2], dualnet_io::Elements::F64(&x))]).unwrap();
    for name in ["f4.npy", "f8.npy", "x.npz"] {
        place.ok(&format!("kernel fc-erf-2 --x {name} -o {name}.npz"));
    }
    assert!(
        place.read("f4.npy.npz") == place.read("f8.npy.npz") && place.read("f8.npy.npz") == place.read("x.npz.npz")
    );
}

#[test]
fn presets_and_net_files_say_the_same() {
    let place = Place::new();
    place.put("x.npy", points_npy(9, 1));
    place.put("n.json", r#"{"layers": ["dense", "gelu", "dense"]}"#);
    place.put("n.toml", "layers = [\"dense\", \"gelu\", \"dense\"]\n");
    for net in ["fc-gelu-1", "n.json", "n.toml"] {
        place.ok(&format!("kernel {net} --x x.npy -o {net}.npz"));
    }
    let file = |net: &str| place.read(&format!("{net}.npz"));
    assert!(file("fc-gelu-1") == file("n.json") && file("n.json") == file("n.toml"));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let place = Place::new();
    place.put("x.npy", points_npy(300, 1));
    place.put("z.npy", points_npy(150, 2));
    for (name, second) in [("own", ""), ("cross", "--x2 z.npy")] {
        for threads in 1..=3 {
            place.ok(&format!("kernel fc-relu-2 --x x.npy {second} --threads {threads} -o {name}{threads}.npz"));
        }
        let file = |threads: usize| place.read(&format!("{name}{threads}.npz"));
        assert!(file(1) == file(2) && file(1) == file(3), "{name}");
    }
}

#[test]
fn what_is_said() {
    let place = Place::new();
    place.put("x.npy", points_npy(7, 1));
    let done = place.ok("kernel fc-relu-3 --x x.npy -o k.npz");
    assert!(done.out.is_empty() && done.err.starts_with("7 x 7 (28 pairs), 784 bytes, "), "{}", done.err);
    let done = place.ok("kernel fc-relu-3 --x x.npy -o k.npz --quiet");
    assert_eq!((done.out.as_str(), done.err.as_str()), ("", ""));
    let plan = place.json("kernel fc-relu-3 --x x.npy --dry-run");
    assert_eq!([&plan["pairs"], &plan["bytes"]], [28, 784]);
    let number = |name: &str| plan.pointer(name).unwrap().as_f64().unwrap();
    assert!(number("/seconds_expected") > 0.0 && plan["seconds"].is_null());
    assert!((number("/seconds_expected") / number("/seconds_per_pair") - 28.0).abs() < 1e-9);
    // At the peak there are the program, the prepared samples, two tiles of 128 x 128 and more for each thread, and the matrices.
    let peak = number("/plan/program") + number("/plan/samples") + number("/plan/workspaces") + 784.0;
    assert!(number("/plan/peak") <= peak && number("/plan/workspaces") > 2.0 * 128.0 * 128.0 * 8.0, "{plan}");
    let text = place.ok("kernel fc-relu-3 --x x.npy --dry-run --memory 500").out;
    assert!(
        text.starts_with("7 x 7 (28 pairs): matrices 784 bytes in memory; ")
            && text.contains(" of memory (more than the 500 bytes allowed); ")
            && text.contains(" a pair: about ")
            && text.trim_end().ends_with(" UTC"),
        "{text}"
    );
}

#[test]
fn nets_that_cannot_be() {
    let place = Place::new();
    place.put("x.npy", points_npy(4, 1));
    place.put("conv.json", r#"{"layers": ["dense", {"conv": {"kernel": [3, 3]}}, "relu"]}"#);
    place.put("key.json", r#"{"layers": ["dense", "relu", {"dense": {"w_sdt": 1}}]}"#);
    place.put("broken.json", r#"{"layers": ["dense""#);
    let cases: [(&str, &[&str]); 8] = [
        ("conv.json", &["conv.json: layers[2].relu: expected one vector for each sample at the end", "append flatten"]),
        ("key.json", &["key.json: layers[2].dense.w_sdt: unknown key; did you mean w_std?"]),
        ("broken.json", &["broken.json: line ", "not valid JSON"]),
        ("nowhere.toml", &["no file nowhere.toml; try fc-relu-3"]),
        ("myrtle-5", &["x.npy: expected an array of shape (n, h, w, c) for a net over images", "found shape [4, 2]"]),
        ("fc-foo-3", &["unknown activation \"foo\"; known activations: identity, relu"]),
        ("fc-monomial-3", &["monomial needs the key degree", "write a net file"]),
        ("other", &["unknown preset \"other\"; known presets: fc-ACTIVATION-DEPTH"]),
    ];
    for (net, parts) in cases {
        place.fails(&format!("kernel {net} --x x.npy -o k.npz"), parts);
    }
}

#[test]
fn samples_that_cannot_be() {
    let place = Place::new();
    place.put("x.npy", points_npy(4, 1));
    let wide: Vec<u8> = (0..8).flat_map(|i| f64::from(i).to_le_bytes()).collect();
    place.put("wide.npy", npy("<f8", "(2, 4)", &wide));
    place.put("images.npy", npy("<f8", "(2, 2, 2)", &wide));
    place.put("nan.npy", npy("<f8", "(1, 2)", &[1.0f64, f64::INFINITY].map(f64::to_le_bytes).concat()));
    place.put("t.csv", "a,b\n1,2\n");
    let fails = |line: &str, part: &str| place.fails(&format!("kernel fc-relu-3 {line}"), &[part]);
    fails("--x x.npy --x2 wide.npy -o k.npz", "wide.npy: expected 2 values a sample, as in x.npy, found 4");
    fails(
        "--x images.npy -o k.npz",
        "images.npy: expected an array of shape (n, d) for a dense net, found shape [2, 2, 2]",
    );
    fails(
        "--x nan.npy -o k.npz",
        "nan.npy: row 1, column 2: expected a finite number, found the number inf; fill it in",
    );
    place.put("small.npy", npy("<f8", "(1, 2, 2)", &wide[..32]));
    place.fails("kernel myrtle-5 --x small.npy -o k.npz", &["small.npy: layers[", "use larger images"]);
    fails("--x t.csv -o k.npz", "t.csv: expected an array of numbers (.npy, .npz, IDX), found a table");
    fails("--x no.npy -o k.npz", "no.npy: cannot open");
    fails("--x x.npy -o no/k.npz", "-o: expected a path in a folder that exists");
    place.put("many.npy", points_npy(500, 1));
    let what = "a kernel matrix of 500 x 500, with samples and workspaces, needs ";
    fails("--x many.npy -o k.npz --memory 1M", what);
    fails("--x many.npy -o k.npz --memory 4M", "bytes, the limit is 4194304; raise --memory");
    place.ok("kernel fc-relu-3 --x many.npy -o many.npz --memory 6M --threads 2");
    assert!(!place.path("k.npz").exists());
    assert_eq!(place.run("kernel fc-relu-3 --x x.npy").code, 2);
    assert!(place.run("kernel fc-relu-3 --x x.npy -o k.npz --get foo").err.contains("[possible values: nngp, ntk]"));
}
