//! The parts of the page that tell of the model, its choice and its inputs.

use super::Page;
use super::svg::{Axis, Plot, Scale, escape};
use crate::output::{count, duration, number};
use crate::verbs::fit::report::{metric_names, metric_row, metric_words, words_of};
use dualnet::model::{Curve, CurveAt, Explanation, Report, Task};

/// Inputs and candidates shown.
const MOST: usize = 20;
/// Classes drawn in a curve.
const MOST_CLASSES: usize = 6;

/// A table with a head.
pub(super) fn table(class: &str, rows: &[Vec<String>]) -> String {
    let cells = |row: &[String], tag: &str| -> String {
        row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
    };
    let mut text = format!("<div class=\"scroll\"><table class=\"{class}\">\n");
    for (i, row) in rows.iter().enumerate() {
        let (open, tag, close) = if i == 0 { ("<thead>", "th", "</thead>") } else { ("", "td", "") };
        text += &format!("{open}<tr>{}</tr>{close}\n", cells(row, tag));
    }
    text + "</table></div>\n"
}

/// What was fitted.
pub(super) fn facts(page: &Page<'_>) -> String {
    let report = page.model.report();
    let what = match report.task {
        Task::Classification => format!("{} ({} classes)", page.model.targets().join(", "), page.model.classes().len()),
        Task::Regression => page.model.targets().join(", "),
    };
    let inputs = format!("{}, {} after encoding", count(report.n_features, "column"), report.n_encoded);
    let model = format!("{}, {} kernel, {} encoding", report.net, report.kernel.name(), words_of(&report.encoding));
    let mut rows = vec![
        ("Predicts", what),
        ("Training rows", count(report.n_train, "row")),
        ("Inputs", inputs),
        ("Model", model),
        ("Method", report.method.clone()),
        ("Lambda", format!("{}, in units of the mean diagonal of the kernel", number(report.lambda))),
    ];
    if let Some(freedom) = report.degrees_of_freedom {
        rows.push(("Degrees of freedom", number(freedom)));
    }
    rows.push(("Metric on the inputs", metric_words(report)));
    if !report.dropped.is_empty() {
        let all: Vec<String> = report.dropped.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        rows.push(("Left out", all.join(", ")));
    }
    rows.push(("Time", duration(page.seconds)));
    let line = |(name, value): &(&str, String)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(value));
    format!("<table class=\"facts\">\n{}</table>\n", rows.iter().map(line).collect::<String>())
}

/// How good it is.
pub(super) fn metrics(page: &Page<'_>) -> String {
    let task = page.model.report().task;
    let first = page.own.map(|(.., m)| m).or(page.tested.map(|(_, (m, _))| m));
    let Some(first) = first else { return String::new() };
    let mut rows = vec![metric_names(task, first)];
    rows.extend(page.own.map(|(name, n, metrics)| metric_row(name, n, metrics)));
    rows.extend(page.tested.map(|(n, (metrics, _))| metric_row("test", *n, metrics)));
    let mut text = format!("<h2>How good it is</h2>\n{}", table("", &rows));
    let report = page.model.report();
    if let Some(metric) = report.metric.as_ref().filter(|m| m.kind.is_some() && report.method == "exact") {
        text += &format!(
            "<p class=\"soft\">The metric has seen the targets of all training rows. Cross-validation says that this flatters leave-one-out: its \
             squared errors were multiplied by {}, here and below.</p>\n",
            number(metric.optimism)
        );
    }
    if let Some((_, (_, Some(coverage)))) = page.tested {
        text += &format!("<p>90 % intervals held {:.1} % of the test values.</p>\n", 100.0 * coverage);
    }
    text
}

/// What the model makes of its inputs.
pub(super) fn explanation(page: &Page<'_>) -> String {
    let Some(found) = page.explanation else { return String::new() };
    let mut text = format!(
        "<h2>Which inputs matter</h2>\n<p class=\"soft\">Shares in the mean squared gradient of the prediction, over {}; inputs in \
         units of their standard deviation, words level by level.</p>\n<div class=\"share\">\n",
        count(found.rows, "row")
    );
    let most = found.importances.first().map_or(1.0, |one| one.share.max(1e-300));
    for one in found.importances.iter().take(MOST) {
        let (name, share) = (escape(&one.input), 100.0 * one.share);
        let bar = format!("<i style=\"width:{:.2}%\"></i>", 100.0 * one.share / most);
        text += &format!("<span>{name}</span><span>{bar}</span><span>{share:.1} %</span>\n");
    }
    text += "</div>\n";
    if found.importances.len() > MOST {
        let rest: f64 = found.importances.iter().skip(MOST).map(|one| one.share).sum();
        let more = count(found.importances.len() - MOST, "further input");
        text += &format!("<p class=\"soft\">{more} together: {:.1} %.</p>\n", 100.0 * rest);
    }
    text += &directions(found);
    text + &curves(page, found)
}

fn directions(found: &Explanation) -> String {
    if found.directions.is_empty() {
        return String::new();
    }
    let mut rows = vec![vec!["Share".into(), "Largest entries of the direction".into()]];
    for direction in &found.directions {
        let parts: Vec<String> = direction.weights.iter().map(|w| format!("{:+.2} {}", w.weight, w.column)).collect();
        rows.push(vec![format!("{:.1} %", 100.0 * direction.share), parts.join("  ")]);
    }
    let note =
        "Eigenvectors of the average gradient outer product: the combinations of inputs that the prediction follows.";
    format!("<h3>Directions</h3>\n<p class=\"soft\">{note}</p>\n{}", table("facts", &rows))
}

fn curves(page: &Page<'_>, found: &Explanation) -> String {
    let names = match page.model.task() {
        Task::Classification => page.model.classes().to_vec(),
        Task::Regression => page.model.targets(),
    };
    let mut text = String::from(
        "<h2>Along the most important inputs</h2>\n<p class=\"soft\">Mean prediction of some training rows with the input set to \
         each value, all else as it is.</p>\n",
    );
    if names.len() > 1 {
        let key = |(k, name): (usize, &String)| format!("<b class=\"k{k}\">{}</b>", escape(name));
        text +=
            &format!("<p class=\"key\">{}", names.iter().take(MOST_CLASSES).enumerate().map(key).collect::<String>());
        let more = names.len().saturating_sub(MOST_CLASSES);
        text += &if more > 0 {
            format!("<span class=\"soft\">{more} more not drawn</span></p>\n")
        } else {
            "</p>\n".into()
        };
    }
    let label = match (page.model.task(), names.as_slice()) {
        (Task::Classification, _) => "probability".to_string(),
        (Task::Regression, [one]) => one.clone(),
        (Task::Regression, _) => "prediction".to_string(),
    };
    text += "<div class=\"pictures\">\n";
    for curve in &found.curves {
        text += &format!("<div><h3>{}</h3>\n{}</div>\n", escape(&curve.input), one_curve(curve, &label));
    }
    text + "</div>\n"
}

fn one_curve(curve: &Curve, label: &str) -> String {
    let numbers: Option<Vec<f64>> =
        curve.points.iter().map(|p| if let CurveAt::Number(x) = p.at { Some(x) } else { None }).collect();
    let outputs = curve.points.first().map_or(0, |p| p.outputs.len().min(MOST_CLASSES));
    let Some(numbers) = numbers else {
        let mut rows = vec![vec!["Level".into()]];
        rows[0]
            .extend((0..outputs).map(|k| if outputs == 1 { label.to_string() } else { format!("{label} {}", k + 1) }));
        for point in &curve.points {
            let CurveAt::Word(word) = &point.at else { continue };
            let mut row = vec![word.clone()];
            row.extend(point.outputs.iter().take(outputs).map(|v| number(*v)));
            rows.push(row);
        }
        return table("", &rows);
    };
    let all = curve.points.iter().flat_map(|p| p.outputs.iter().take(outputs).copied());
    let x = Axis::around(&curve.input, Scale::Linear, numbers.iter().copied());
    let mut plot = Plot::new(x, Axis::around(label, Scale::Linear, all));
    for k in 0..outputs {
        plot.line(numbers.iter().zip(&curve.points).map(|(x, p)| (*x, p.outputs[k])), k);
    }
    plot.finish(&format!("{label} along {}", curve.input))
}

/// What was chosen, and among what.
pub(super) fn chosen(page: &Page<'_>) -> String {
    let report = page.model.report();
    let mut text = String::from("<h2>What was chosen</h2>\n");
    text += &lambda_path(report);
    if report.candidates.len() > 1 {
        text += &format!("<h3>Candidates, by leave-one-out on {}</h3>\n", count(report.compared_rows, "row"));
        let mut rows: Vec<Vec<String>> =
            vec![["Net", "Kernel", "Encoding", "Lambda", "Squared error"].map(String::from).to_vec()];
        rows.extend(report.candidates.iter().take(MOST).map(|c| {
            let encoding = words_of(&c.encoding);
            vec![c.net.clone(), c.kernel.name().into(), encoding, number(c.lambda), number(c.loo_mse)]
        }));
        text += &table("", &rows);
    }
    if let Some(metric) = &report.metric {
        text += &format!(
            "<h3>Metrics on the inputs, by 3-fold cross-validation on {}</h3>\n",
            count(metric.gate_rows, "row")
        );
        let mut rows: Vec<Vec<String>> =
            vec![["Net", "Encoding", "Metric", "Steps", "Squared error"].map(String::from).to_vec()];
        rows.extend(report.candidates.first().map(|c| {
            let words = [c.net.clone(), words_of(&c.encoding), "none".into(), "0".into(), number(metric.mse_without)];
            words.to_vec()
        }));
        rows.extend(metric.tried.iter().map(|t| {
            let kind = if t.pruned { format!("{}, inputs left out", t.kind.name()) } else { t.kind.name().into() };
            vec![t.net.clone(), words_of(&t.encoding), kind, t.steps.to_string(), number(t.mse)]
        }));
        text += &table("", &rows);
    }
    text
}

fn lambda_path(report: &Report) -> String {
    if report.path.len() < 2 {
        return String::new();
    }
    let path = &report.path;
    let x = Axis::around("lambda", Scale::Logarithmic, path.iter().map(|p| p.lambda));
    let y = Axis::around("leave-one-out squared error", Scale::Logarithmic, path.iter().map(|p| p.loo_mse));
    let (low, high) = (y.from, y.to);
    let mut plot = Plot::new(x, y);
    plot.guide((report.lambda, low), (report.lambda, high));
    plot.line(path.iter().map(|p| (p.lambda, p.loo_mse)), 0);
    let title = |lambda: f64, mse: f64| format!("lambda {}: {}", number(lambda), number(mse));
    plot.dots(path.iter().map(|p| (p.lambda, p.loo_mse, title(p.lambda, p.loo_mse))), 3.0);
    format!("<div class=\"pictures\"><div><h3>Lambda</h3>\n{}</div></div>\n", plot.finish("Error by lambda"))
}
