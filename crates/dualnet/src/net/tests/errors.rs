//! Every way to be refused, with its exact position.

use super::super::limits::{MAX_LAYERS, MAX_TEXT};
use super::super::{Layer, Net, Spec, Weights};
use super::refusal;

/// Refuses the net of `layers` at `at`; the rest of the message contains `words`.
#[track_caller]
fn layers(layers: &str, at: &str, words: &str) {
    whole(&format!("{{\"layers\": {layers}}}"), at, words);
}

#[track_caller]
fn whole(json: &str, at: &str, words: &str) {
    check(Net::from_json(json), at, words);
}

#[track_caller]
fn check(parsed: crate::error::Result<Net>, at: &str, words: &str) {
    let (found, problem, hint) = refusal(parsed);
    let message = format!("{problem}; {hint}");
    assert_eq!(found, at, "{message}");
    assert!(message.contains(words), "{message}");
    assert!(!problem.is_empty() && !hint.is_empty());
}

#[test]
fn syntax() {
    whole("{\"layers\": [\"dense\",\n  relu]}", "line 2, column 3", "not valid JSON: expected value");
    whole("{\"layers\": [\"dense\"", "line 1, column 19", "EOF");
    whole("{\"layers\": [\"dense\"]} x", "line 1, column 23", "trailing");
    whole("{\"layers\": [{\"dense\": {\"w_std\": NaN}}]}", "line 1, column 33", "not valid JSON");
    whole("{\"w_std\": 1e400, \"layers\": []}", "line 1, column 15", "number out of range");
    check(Net::from_toml("w_std = 1\nlayers = ['dense'\n"), "line 2, column 18", "unclosed array");
    check(Net::from_toml("w_std = 1\nw_std = 2"), "line 2, column 1", "duplicate key");
    check(Net::from_toml("layers = []\nw_std = é"), "line 2, column 9", "not valid TOML");
    check(Net::from_toml("w_std = nan\nlayers = ['dense']"), "w_std", "finite");
    check(Net::from_toml("w_std = 1979-05-27\nlayers = ['dense']"), "w_std", "finite");
    check(Net::from_toml("layers = [{dropout = {keep = inf}}]"), "layers[0].dropout.keep", "finite");
}

#[test]
fn bombs() {
    let deep = "[".repeat(100_000);
    whole(&deep, "line 1, column 128", "recursion limit");
    let (_, problem, _) = refusal(Net::from_toml(&format!("layers = {deep}")));
    assert!(problem.contains("recursion"), "{problem}");
    layers(
        &format!("[{}\"dense\"{}]", "{\"residual\": [".repeat(20), "]}".repeat(20)),
        &residual(17),
        "nested too deeply",
    );
    layers(
        &format!("[{}\"dense\"]", "\"dense\",".repeat(MAX_LAYERS)),
        &format!("layers[{MAX_LAYERS}]"),
        "too many layers",
    );
    layers(
        &format!("[{{\"sum\": [{}[]]}}]", "[],".repeat(MAX_LAYERS)),
        &format!("layers[0].sum[{}]", MAX_LAYERS - 1),
        "too many",
    );
    whole(&" ".repeat(MAX_TEXT + 1), "net file", "limit");
    check(Net::from_toml(&" ".repeat(MAX_TEXT + 1)), "net file", "limit");
    let mut spec = Spec { layers: vec![Layer::Dense(Weights::default())], ..Spec::default() };
    for _ in 0..20 {
        spec.layers = vec![Layer::Residual(spec.layers)];
    }
    check(Net::new(spec), &residual(17), "nested too deeply");
    let wide = Spec { layers: vec![Layer::Dense(Weights::default()); MAX_LAYERS + 1], ..Spec::default() };
    check(Net::new(wide), &format!("layers[{MAX_LAYERS}].dense"), "too many layers");
    let limit = Spec { layers: vec![Layer::Dense(Weights::default()); MAX_LAYERS], ..Spec::default() };
    assert_eq!(Net::new(limit.clone()).unwrap().ops(1).unwrap().len(), MAX_LAYERS);
    assert!(Net::from_json(&Net::new(limit).unwrap().to_json()).is_ok());
    let long = format!("[{{\"dense\": {{\"{}\": 1}}}}]", "x\\n".repeat(1000));
    let (at, ..) = refusal(Net::from_json(&format!("{{\"layers\": {long}}}")));
    assert!(at.len() < 120 && !at.contains('\n'), "{at}");
}

fn residual(depth: usize) -> String {
    let inner: Vec<&str> = vec!["[0].residual"; depth];
    format!("layers{}", inner.concat())
}

#[test]
fn document() {
    whole("[]", "net file", "expected an object");
    whole("{}", "layers", "missing");
    whole("{\"layers\": []}", "layers", "no layers");
    whole("{\"layers\": \"dense\"}", "layers", "found \"dense\"; expected a list of layers");
    whole("{\"w_sdt\": 1, \"layers\": [\"dense\"]}", "w_sdt", "unknown key; did you mean w_std?");
    whole("{\"zebra\": 1}", "zebra", "known keys: parameterization, w_std, b_std, layers");
    whole("{\"w_std\": 1, \"w_std\": 2, \"layers\": [\"dense\"]}", "w_std", "given twice");
    whole("{\"parameterization\": \"mup\", \"layers\": [\"dense\"]}", "parameterization", "unknown word \"mup\"");
    whole(
        "{\"parameterization\": \"standart\", \"layers\": [\"dense\"]}",
        "parameterization",
        "did you mean standard?",
    );
    whole("{\"parameterization\": 1, \"layers\": [\"dense\"]}", "parameterization", "one of ntk, standard");
    whole("{\"w_std\": \"1.4\", \"layers\": [\"dense\"]}", "w_std", "found \"1.4\"; expected a finite number");
    whole("{\"w_std\": -1, \"layers\": [\"dense\"]}", "w_std", "found -1.0");
    whole("{\"b_std\": 1e10, \"layers\": [\"dense\"]}", "b_std", "1e9");
}

#[test]
fn layer_forms() {
    layers("[\"desne\"]", "layers[0]", "unknown layer \"desne\"; did you mean dense?");
    layers("[\"dense\", \"LeakyReLU\"]", "layers[1]", "did you mean leaky_relu?");
    layers("[\"xyzzy\"]", "layers[0]", "known layers: dense, conv");
    layers("[{\"dnse\": {}}]", "layers[0]", "did you mean dense?");
    layers("[3]", "layers[0]", "found 3");
    layers("[null]", "layers[0]", "found null");
    layers("[{}]", "layers[0]", "an object with 0 keys");
    layers("[{\"dense\": {}, \"relu\": {}}]", "layers[0]", "an object with 2 keys");
    layers("[{\"dense\": 3}]", "layers[0].dense", "found 3; expected an object");
    layers("[{\"flatten\": {\"size\": 3}}]", "layers[0].flatten.size", "there are no keys here");
    layers("[\"residual\"]", "layers[0].residual", "no branches given");
    layers("[{\"residual\": {}}]", "layers[0].residual", "expected a list of layers");
    layers("[{\"sum\": [\"dense\"]}]", "layers[0].sum[0]", "expected a list of layers");
    layers("[{\"sum\": \"dense\"}]", "layers[0].sum", "expected a list of branches");
    layers("[{\"sum\": []}]", "layers[0].sum", "no branches");
    layers("[{\"dense\": {\"w_std\": 1, \"w_std\": 1}}]", "layers[0].dense.w_std", "given twice");
}

#[test]
fn weights() {
    let nested = r#"["dense", "relu", {"sum": [[], ["dense", {"dense": {"w_std": 0}}]]}]"#;
    layers(nested, "layers[2].sum[1][1].dense.w_std", "found 0.0; expected a number from 1e-9 to 1e9");
    layers(r#"[{"dense": {"b_std": -0.1}}]"#, "layers[0].dense.b_std", "found -0.1");
    layers(r#"[{"dense": {"b_std": true}}]"#, "layers[0].dense.b_std", "found true");
    layers(r#"[{"dense": {"width": 0}}]"#, "layers[0].dense.width", "from 1 to");
    layers(r#"[{"dense": {"width_scale": [1]}}]"#, "layers[0].dense.width_scale", "found 1 numbers; expected two");
    layers(r#"[{"dense": {"width_scale": [1, 0]}}]"#, "layers[0].dense.width_scale[1]", "found 0.0");
    layers(r#"[{"dense": {"width_scale": 2}}]"#, "layers[0].dense.width_scale", "expected a list");
    let standard = r#"{"parameterization": "standard", "layers": ["dense", "relu", "dense"]}"#;
    whole(standard, "layers[0].dense.width", "the standard parameterization of layers[2].dense needs it");
    layers(r#"[{"concat": [["dense"], []]}]"#, "layers[0].concat[0][0].dense.width", "layers[0].concat needs it");
    layers(r#"["dense", {"concat": [["relu"], []]}]"#, "layers[0].dense.width", "layers[1].concat needs it");
    let nan = Spec { w_std: f64::NAN, layers: vec![Layer::Flatten], ..Spec::default() };
    check(Net::new(nan), "w_std", "found NaN");
}

#[test]
fn windows() {
    layers(r#"[{"conv": {"pading": "same"}}]"#, "layers[0].conv.pading", "unknown key; did you mean padding?");
    layers(r#"[{"conv": {"padding": "full"}}]"#, "layers[0].conv.padding", "known words: same, valid, circular");
    layers(r#"[{"conv": {"kernel": 3}}]"#, "layers[0].conv.kernel", "found 3; expected a list of whole numbers: [3]");
    layers(r#"[{"conv": {"kernel": [3.5, 3]}}]"#, "layers[0].conv.kernel", "found a list");
    layers(r#"[{"conv": {"kernel": [-3, 3]}}]"#, "layers[0].conv.kernel", "found a list");
    layers(r#"[{"conv": {"kernel": []}}]"#, "layers[0].conv.kernel: number of axes", "found 0");
    layers(r#"[{"conv": {"kernel": [3, 3, 3]}}]"#, "layers[0].conv.kernel: number of axes", "from 1 to 2");
    layers(r#"[{"conv": {"kernel": [3, 0]}}]"#, "layers[0].conv.kernel[1]", "found 0");
    layers(r#"[{"conv": {"kernel": [3, 99999999999999999999]}}]"#, "layers[0].conv.kernel", "found a list");
    layers(r#"[{"conv": {"kernel": [18446744073709551615, 1]}}]"#, "layers[0].conv.kernel[0]", "from 1 to 4096");
    layers(r#"[{"conv": {"stride": [2]}}]"#, "layers[0].conv.stride", "1 axes, while kernel has 2");
    layers(r#"[{"avg_pool": {"stride": [0, 1]}}]"#, "layers[0].avg_pool.stride[0]", "found 0");
    layers(
        r#"["conv", {"avg_pool": {"window": [2]}}]"#,
        "layers[1].avg_pool.window",
        "1-D, while layers[0].conv is 2-D",
    );
    layers(r#"[{"sum_pool": {"normalize_edges": true}}]"#, "layers[0].sum_pool.normalize_edges", "use avg_pool");
    layers(r#"[{"avg_pool": {"normalize_edges": 1}}]"#, "layers[0].avg_pool.normalize_edges", "expected true or false");
    layers(
        r#"["conv", "flatten", "conv"]"#,
        "layers[2].conv",
        "conv works over positions, and layers[1].flatten has left none",
    );
    layers(
        r#"["conv", "global_avg_pool", "flatten"]"#,
        "layers[2].flatten",
        "put flatten before layers[1].global_avg_pool",
    );
    let shrink = format!("[{}\"dense\"]", r#"{"avg_pool": {"window": [4096, 1]}},"#.repeat(3));
    layers(&shrink, "layers[2].avg_pool", "more than any image has");
    let strides = r#"["conv", {"sum": [["conv"], [{"conv": {"stride": [1, 2]}}]]}]"#;
    layers(strides, "layers[1].sum", "branch 0 and branch 1 leave different numbers of positions");
    layers(
        r#"["conv", {"residual": [{"conv": {"padding": "valid"}}]}]"#,
        "layers[1].residual",
        "leave different numbers",
    );
    layers(r#"["conv", {"sum": [["flatten", "dense"], ["conv"]]}]"#, "layers[1].sum", "leave different numbers");
}

#[test]
fn parameters() {
    layers(r#"["dense", {"leaky_relu": {"slope": 1}}]"#, "layers[1].leaky_relu.slope", "known keys: alpha, dual");
    layers(r#"["dense", "abrelu"]"#, "layers[1].abrelu.a", "missing, and it has no default; add \"a\"");
    layers(r#"["dense", {"abrelu": {"a": 1}}]"#, "layers[1].abrelu.b", "missing");
    layers(r#"["dense", "hermite"]"#, "layers[1].hermite.degree", "missing");
    layers(r#"["dense", "polynomial"]"#, "layers[1].polynomial.coefficients", "missing");
    layers(r#"["dense", {"monomial": {"degree": 25}}]"#, "layers[1].monomial.degree", "from 0 to 24");
    layers(
        r#"["dense", {"monomial": {"degree": 5000000000}}]"#,
        "layers[1].monomial.degree",
        "expected a whole number",
    );
    layers(r#"["dense", {"monomial": {"degree": -1}}]"#, "layers[1].monomial.degree", "found -1");
    layers(
        r#"["dense", {"monomial": {"degree": 2.0}}]"#,
        "layers[1].monomial.degree",
        "found 2.0; expected a whole number",
    );
    layers(r#"["dense", {"rectified_monomial": {"degree": 25}}]"#, "layers[1].rectified_monomial.degree", "24");
    layers(r#"["dense", {"hermite": {"degree": 101}}]"#, "layers[1].hermite.degree", "100");
    layers(
        r#"["dense", {"polynomial": {"coefficients": []}}]"#,
        "layers[1].polynomial.coefficients: how many",
        "found 0",
    );
    layers(r#"["dense", {"polynomial": {"coefficients": [1, 1e10]}}]"#, "layers[1].polynomial.coefficients[1]", "1e9");
    layers(
        r#"["dense", {"polynomial": {"coefficients": [1, null]}}]"#,
        "layers[1].polynomial.coefficients",
        "found a list",
    );
    layers(r#"["dense", {"gaussian": {"b": 0.5}}]"#, "layers[1].gaussian.b", "0 or a negative number");
    layers(r#"["dense", {"rbf": {"gamma": 0}}]"#, "layers[1].rbf.gamma", "above 0");
    layers(r#"["dense", {"exp_normalized": {"gamma": -1}}]"#, "layers[1].exp_normalized.gamma", "above 0");
    layers(r#"["dense", {"exp_normalized": {"gamma": 50, "shift": 1}}]"#, "layers[1].exp_normalized", "= 100.0");
    layers(r#"["dense", {"erf": {"a": 1e300}}]"#, "layers[1].erf.a", "magnitude at most 1e9");
    layers(r#"["dense", {"layer_norm": {"eps": -1}}]"#, "layers[1].layer_norm.eps", "from 0 to");
    layers(r#"["dense", "dropout"]"#, "layers[1].dropout.keep", "missing");
    layers(r#"["dense", {"dropout": {"keep": 0}}]"#, "layers[1].dropout.keep", "above 0 and at most 1");
    layers(r#"["dense", {"dropout": {"keep": 1.5}}]"#, "layers[1].dropout.keep", "found 1.5");
}

#[test]
fn duals() {
    layers(r#"["dense", {"tanh": {"dual": "hermite"}}]"#, "layers[1].tanh.dual", "one of the keys quadrature, hermite");
    layers(r#"["dense", {"tanh": {"dual": {}}}]"#, "layers[1].tanh.dual", "no dual given");
    layers(
        r#"["dense", {"tanh": {"dual": {"hermite": 4, "quadrature": 4}}}]"#,
        "layers[1].tanh.dual",
        "two duals given",
    );
    layers(r#"["dense", {"tanh": {"dual": {"hermit": 4}}}]"#, "layers[1].tanh.dual.hermit", "did you mean hermite?");
    layers(r#"["dense", {"tanh": {"dual": {"hermite": 0}}}]"#, "layers[1].tanh.dual.hermite", "from 1 to 300");
    layers(r#"["dense", {"tanh": {"dual": {"quadrature": 1}}}]"#, "layers[1].tanh.dual.quadrature", "from 2 to 200");
    layers(r#"["dense", {"tanh": {"dual": {"quadrature": 201}}}]"#, "layers[1].tanh.dual.quadrature", "found 201");
    let kernel = r#"["dense", {"hermite": {"degree": 2, "dual": {"hermite": 4}}}]"#;
    layers(kernel, "layers[1].hermite.dual", "no function to expand or integrate");
    layers(
        r#"["dense", {"exp_normalized": {"dual": {"quadrature": 4}}}]"#,
        "layers[1].exp_normalized.dual",
        "is a kernel",
    );
}

#[test]
fn attention() {
    layers(r#"[{"self_attention": {"scaling": "log"}}]"#, "layers[0].self_attention.scaling", "linear, sqrt");
    layers(
        r#"[{"self_attention": {"scaling": "sqrt"}}]"#,
        "layers[0].self_attention.scaling",
        "identity normalization only",
    );
    layers(r#"[{"self_attention": {"w_query": -1}}]"#, "layers[0].self_attention.w_query", "found -1.0");
    layers(r#"[{"self_attention": {"w_key": -1}}]"#, "layers[0].self_attention.w_key", "found -1.0");
    layers(r#"[{"self_attention": {"w_value": 0}}]"#, "layers[0].self_attention.w_value", "found 0.0");
    layers(r#"[{"self_attention": {"w_out": 0}}]"#, "layers[0].self_attention.w_out", "found 0.0");
    layers(r#"[{"self_attention": {"b_std": -1}}]"#, "layers[0].self_attention.b_std", "found -1.0");
    layers(r#"["flatten", "self_attention"]"#, "layers[1].self_attention", "works over positions");
}

#[test]
fn gaussian_inputs() {
    let hint = "insert a dense layer before it";
    layers(r#"["relu"]"#, "layers[0].relu", "relu needs a mean-zero Gaussian input, and the input does not give one");
    layers(r#"["dense", "relu", "erf"]"#, "layers[2].erf", "and layers[1].relu does not give one");
    layers(r#"["layer_norm"]"#, "layers[0].layer_norm", hint);
    layers(r#"["dense", {"dropout": {"keep": 0.5}}, "relu"]"#, "layers[2].relu", "layers[1].dropout");
    layers(r#"["conv", "flatten", "relu"]"#, "layers[2].relu", "layers[1].flatten");
    layers(r#"[{"product": [["dense"], ["dense"]]}, "relu"]"#, "layers[1].relu", "layers[0].product");
    let concat = r#"[{"concat": [[{"dense": {"width": 3}}], [{"dense": {"width": 3}}]]}, "relu"]"#;
    layers(concat, "layers[1].relu", "layers[0].concat");
    layers(r#"[{"residual": ["dense"]}, "relu"]"#, "layers[1].relu", "layers[0].residual");
    for good in [
        r#"["dense", "identity", "relu"]"#,
        r#"["dense", "layer_norm", "relu"]"#,
        r#"["conv", "avg_pool", "relu"]"#,
        r#"["conv", "global_avg_pool", "relu"]"#,
        r#"["conv", "relu", "self_attention", "relu"]"#,
        r#"["dense", {"residual": ["relu", "dense"]}, "erf"]"#,
        r#"["dense", {"residual": ["relu", "dense", {"dropout": {"keep": 0.9}}]}, "dense", "erf"]"#,
        r#"["dense", {"sum": [["relu"], ["erf", "dense"]]}]"#,
        r#"[{"product": [["dense"]]}, "relu"]"#,
    ] {
        super::net(good);
    }
}

#[test]
fn branches() {
    layers(r#"["dense", {"residual": []}]"#, "layers[1].residual", "its input and its branch are correlated");
    layers(r#"["dense", {"residual": ["relu"]}]"#, "layers[1].residual", "end one of them with a dense or conv layer");
    layers(
        r#"["dense", {"sum": [["dense"], [], ["dense", "relu"]]}]"#,
        "layers[1].sum",
        "branch 1 and branch 2 are correlated",
    );
    layers(
        r#"["dense", {"product": [[], ["relu"]]}]"#,
        "layers[1].product",
        "branch 0 and branch 1 are not independent",
    );
    layers(r#"["dense", {"product": [[{"residual": ["dense"]}], []]}]"#, "layers[1].product", "not independent");
    let widths = r#"["dense", {"sum": [[{"dense": {"width": 3}}], ["dense"], [{"dense": {"width": 4}}]]}]"#;
    layers(widths, "layers[1].sum", "branch 0 has 3 channels and branch 2 has 4");
}

#[test]
fn presets() {
    check(Net::preset("fc-rellu-3"), "preset \"fc-rellu-3\"", "unknown activation \"rellu\"; did you mean relu?");
    check(Net::preset("fc-monomial-3"), "preset \"fc-monomial-3\"", "monomial needs the key degree");
    check(Net::preset("fc-relu-three"), "preset \"fc-relu-three\"", "\"three\" is not a number of layers");
    check(Net::preset("fc-relu-0"), "preset \"fc-relu-0\": depth", "from 1 to 1000");
    check(Net::preset("fc-relu-1001"), "preset \"fc-relu-1001\": depth", "found 1001");
    check(Net::preset("myrtle-6"), "preset", "myrtle-5, myrtle-7 and myrtle-10");
    check(Net::preset("resnet"), "preset", "fc-relu-3");
    check(Net::preset(""), "preset", "unknown preset");
}

#[test]
fn sniffing() {
    let relu = Net::preset("fc-relu-1").unwrap();
    for text in [
        "fc-relu-1\n",
        "\u{feff}{\"layers\": [\"dense\", \"relu\", \"dense\"]}",
        " \n{\"layers\":[\"dense\",\"relu\",\"dense\"]}",
        "layers=['dense','relu','dense']",
        "# a net\nlayers = [\n 'dense',\n 'relu', 'dense']\n",
    ] {
        assert_eq!(text.parse::<Net>().unwrap(), relu, "{text}");
    }
    check(Net::parse(" \n"), "net", "empty");
    check(Net::parse("relu"), "preset", "unknown preset \"relu\"");
    check(Net::parse("a b"), "line 1, column 3", "not valid TOML");
}

#[test]
fn serde_errors_keep_the_position() {
    let error = serde_json::from_str::<Net>("{\"layers\": [\"desne\"]}").unwrap_err().to_string();
    assert!(error.starts_with("layers[0]: unknown layer \"desne\"; did you mean dense?"), "{error}");
}
