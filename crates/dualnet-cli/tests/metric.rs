//! `fit --metric` and `fit --report`.
#![allow(clippy::unwrap_used)]

mod common;

use common::Place;

/// Ten columns, of which two matter.
fn planted(rows: usize) -> String {
    let value = |i: usize, j: usize| ((i * (2 * j + 3) + j * j * 7) as f64 * 0.618_034).fract() * 2.0 - 1.0;
    let mut text: String = (0..10).map(|j| format!("c{j},")).collect();
    text += "y\n";
    for i in 0..rows {
        text += &(0..10).map(|j| format!("{},", value(i, j))).collect::<String>();
        text += &format!("{}\n", (5.0 * value(i, 2)).sin() + value(i, 6).powi(2));
    }
    text
}

#[test]
fn a_metric_is_reported_saved_and_used() {
    let place = Place::new();
    place.put("p.csv", planted(240));
    let fit = |what: &str| place.json(&format!("fit p.csv --target y --net fc-relu-2 --kernel ntk {what}"));
    let none = fit("--metric none --holdout .3");
    assert!(none.get("metric").is_none());
    let auto = fit("--holdout .3 -o m");
    assert!(["full", "diagonal", "sharp"].contains(&auto["metric"]["kind"].as_str().unwrap()));
    let tried = auto["metric"]["tried"].as_array().unwrap();
    for kind in ["full", "diagonal", "sharp"] {
        assert!(tried.iter().any(|t| t["kind"] == kind && t["net"].is_string() && t["encoding"].is_string()), "{kind}");
    }
    let used = |t: &&serde_json::Value| ["kind", "steps", "mse"].iter().all(|key| t[key] == auto["metric"][key]);
    assert_eq!(tried.iter().find(used).unwrap()["encoding"], auto["encoding"]);
    let r2 = |report: &serde_json::Value| report["test"]["r2"].as_f64().unwrap();
    assert!(r2(&auto) > r2(&none) + 0.1, "{} {}", r2(&auto), r2(&none));
    let inputs = auto["explanation"]["importances"].as_array().unwrap();
    let first: Vec<&str> = inputs.iter().take(2).map(|i| i["input"].as_str().unwrap()).collect();
    assert!(first.contains(&"c2") && first.contains(&"c6"), "{first:?}");
    assert_eq!(auto["path"].as_array().unwrap().len(), 21);
    let judged = place.json("evaluate m p.csv");
    assert!(judged["r2"].as_f64().unwrap() > 0.95, "{judged}");

    let full = fit("--metric full");
    assert_eq!(full["metric"]["kind"], "full");
    let text = place.ok("fit p.csv --target y --net fc-relu-2 --kernel ntk --metric diagonal").out;
    assert!(text.contains("\nmetric       diagonal, ") && text.contains("\ninput   importance\n"), "{text}");
}

#[test]
fn the_plan_names_the_metric_and_little_time_leaves_it_out() {
    let place = Place::new();
    place.put("p.csv", planted(240));
    let plan = place.json("fit p.csv --target y --method exact --dry-run");
    assert_eq!(plan["metric"]["choice"], "auto");
    let (all, metric) =
        (plan["seconds_expected"].as_f64().unwrap(), plan["metric"]["seconds_expected"].as_f64().unwrap());
    assert!(0.0 < metric && metric < all);
    let words = place.ok("fit p.csv --target y --method exact --dry-run").out;
    assert!(words.contains(", of which at most ") && words.contains(" for a metric"), "{words}");
    let none = place.json("fit p.csv --target y --method exact --metric none --dry-run");
    assert_eq!(none["metric"]["seconds_expected"], 0.0);
    // Work is compared, not seconds: no two commands agree on those.
    place.put("big.csv", planted(2400));
    let plan = |metric: &str| place.json(&format!("fit big.csv --target y --method exact {metric} --dry-run"));
    let flops = |metric: &str| plan(metric)["flops"].as_f64().unwrap();
    let (with, without) = (flops("--metric auto"), flops("--metric none"));
    assert!(with > 2.0 * without, "{with} {without}");
    assert_eq!(plan("--time 1h")["metric"]["choice"], "auto");
    // Between too little for any fit and enough for all lies the time for a fit without a metric.
    let without = (0..40).map(|power| 0.001 * 1.4_f64.powi(power)).any(|time| {
        let run = place.run(&format!("fit big.csv --target y --method exact --time {time}s --dry-run --json"));
        run.code == 0 && serde_json::from_str::<serde_json::Value>(&run.out).unwrap()["metric"]["choice"] == "none"
    });
    assert!(without);
}

#[test]
fn a_metric_by_name_is_refused_where_there_is_none() {
    let place = Place::new();
    place.put("p.csv", planted(60));
    place.fails(
        "fit p.csv --net bundled:relu-1-64 --metric full",
        &["--metric: expected auto or none for a bundled net"],
    );
    let wrong = place.run("fit p.csv --target y --metric best").err;
    assert!(wrong.contains("[possible values: auto, none, full, diagonal, sharp]"), "{wrong}");
    // Quadrature has no derivatives: auto goes on without, and without an explanation.
    place.put("q.json", r#"{"layers":["dense",{"tanh":{"dual":{"quadrature":9}}},"dense"]}"#);
    let report = place.json("fit p.csv --target y --net q.json --kernel nngp");
    assert!(report.get("metric").is_none() && report.get("explanation").is_none());
    place.fails("fit p.csv --target y --net q.json --kernel nngp --metric full", &["layers[1]", "derivatives"]);
}

#[test]
fn the_page_stands_by_itself() {
    let place = Place::new();
    place.put("p.csv", planted(120));
    place.ok("fit p.csv --target y --net fc-relu-2 --kernel ntk --holdout .25 --report numbers.html");
    let mut classes = planted(120).replace(",y\n", ",kind <&>\n");
    classes = classes
        .lines()
        .map(|line| match line.rsplit_once(',') {
            Some((inputs, y)) if y.parse::<f64>().is_ok_and(|y| y > 0.4) => format!("{inputs},a<b>\n"),
            Some((inputs, y)) if y.parse::<f64>().is_ok() => format!("{inputs},b\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    place.put("c.csv", classes);
    place.ok("fit c.csv --net fc-relu-2 --kernel ntk --report classes.html");
    for (name, parts) in [
        (
            "numbers.html",
            ["<h2>Residuals", "Which inputs matter", "Along the most important", "<h3>Lambda", "Metrics on the inputs"],
        ),
        ("classes.html", ["<h2>Confusion", "Which inputs matter", "<h2>Calibration", "<h3>Lambda", "a&lt;b&gt;"]),
    ] {
        let page = String::from_utf8(place.read(name)).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
        for part in parts {
            assert!(page.contains(part), "{name}: {part}");
        }
        // One file: nothing is fetched, and no number went wrong.
        for bad in ["http", "src=", "<link", "<script", "NaN", "inf,", "a<b>"] {
            assert!(!page.contains(bad), "{name}: {bad}");
        }
        for tag in ["svg", "table", "div", "tr", "td"] {
            let count = |text: &str| page.matches(text).count();
            let open = count(&format!("<{tag} ")) + count(&format!("<{tag}>"));
            assert_eq!(open, count(&format!("</{tag}>")), "{name}: {tag}");
        }
    }
}
