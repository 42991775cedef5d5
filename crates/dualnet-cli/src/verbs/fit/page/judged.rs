//! How the model without a row predicts that row: confusion, residuals, calibration.

use super::parts::table;
use super::svg::{Axis, Plot, Scale, escape};
use crate::output::number;
use dualnet::Mat;
use dualnet::model::{Prediction, Target};
use dualnet::ridge::argmax;

/// Classes of which a confusion matrix is shown whole.
const MOST_CLASSES: usize = 20;
/// Rows drawn as dots.
const MOST_DOTS: usize = 1500;
const BINS: usize = 10;

/// Of predictions for the training rows, each by the model without it.
pub(super) fn left_out(prediction: &Prediction, target: &Target) -> String {
    match (prediction, target) {
        (Prediction::Classes { probabilities, .. }, Target::Classes { labels, codes, .. }) => {
            confusion(probabilities, labels, codes) + &reliability(probabilities, codes)
        }
        (Prediction::Numbers { values, .. }, Target::Numbers { names, values: truth }) => {
            let one = |j: usize| residuals(&names[j], &column(values, j), &column(truth, j));
            let note = "Each row predicted by the model without it.";
            let all: String = (0..names.len().min(4)).map(one).collect();
            format!("<h2>Residuals</h2>\n<p class=\"soft\">{note}</p>\n{all}")
        }
        _ => String::new(),
    }
}

fn column(values: &Mat<f64>, j: usize) -> Vec<f64> {
    (0..values.rows()).map(|i| values[(i, j)]).collect()
}

fn confusion(probabilities: &Mat<f64>, labels: &[String], codes: &[usize]) -> String {
    let k = labels.len();
    let mut counts = vec![vec![0usize; k]; k];
    codes.iter().enumerate().for_each(|(i, &code)| counts[code][argmax(probabilities.row(i))] += 1);
    let mut text =
        String::from("<h2>Confusion</h2>\n<p class=\"soft\">Each row predicted by the model without it.</p>\n");
    if k > MOST_CLASSES {
        let mut wrong: Vec<(usize, usize, usize)> = (0..k)
            .flat_map(|a| (0..k).map(move |b| (a, b)))
            .filter(|(a, b)| a != b && counts[*a][*b] > 0)
            .map(|(a, b)| (counts[a][b], a, b))
            .collect();
        wrong.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut rows: Vec<Vec<String>> = vec![["Class", "Taken for", "Rows"].map(String::from).to_vec()];
        let line = |&(n, a, b): &(usize, usize, usize)| vec![labels[a].clone(), labels[b].clone(), n.to_string()];
        rows.extend(wrong.iter().take(MOST_CLASSES).map(line));
        return text + &format!("<p>The most frequent of {} kinds of mistake:</p>\n", wrong.len()) + &table("", &rows);
    }
    text += "<div class=\"scroll\"><table class=\"confusion\">\n<tr><th class=\"soft\">class \\ predicted</th>";
    text += &labels.iter().map(|l| format!("<th>{}</th>", escape(l))).collect::<String>();
    text += "</tr>\n";
    for (label, row) in labels.iter().zip(&counts) {
        let total = row.iter().sum::<usize>().max(1);
        text += &format!("<tr><th>{}</th>", escape(label));
        for &n in row {
            let share = 70.0 * n as f64 / total as f64;
            text +=
                &format!("<td style=\"background:color-mix(in srgb, var(--c0) {share:.0}%, transparent)\">{n}</td>");
        }
        text += "</tr>\n";
    }
    text + "</table></div>\n"
}

/// In groups by the probability of the class predicted: how often it was right.
fn reliability(probabilities: &Mat<f64>, codes: &[usize]) -> String {
    let mut bins = [(0usize, 0.0, 0usize); BINS];
    for (i, &code) in codes.iter().enumerate() {
        let row = probabilities.row(i);
        let best = argmax(row);
        let (n, sum, right) = &mut bins[((row[best] * BINS as f64) as usize).min(BINS - 1)];
        *n += 1;
        *sum += row[best];
        *right += usize::from(best == code);
    }
    let unit = |name| Axis { name, scale: Scale::Linear, from: 0.0, to: 1.0 };
    let mut plot = Plot::new(unit("probability of the class predicted"), unit("share that is right"));
    plot.guide((0.0, 0.0), (1.0, 1.0));
    let used: Vec<(f64, f64, usize)> = bins
        .iter()
        .filter(|(n, ..)| *n > 0)
        .map(|&(n, sum, right)| (sum / n as f64, right as f64 / n as f64, n))
        .collect();
    plot.line(used.iter().map(|&(x, y, _)| (x, y)), 0);
    plot.dots(used.iter().map(|&(x, y, n)| (x, y, format!("{n} rows"))), 4.0);
    let picture = plot.finish("Calibration of probabilities");
    format!("<h2>Calibration</h2>\n<div class=\"pictures\"><div>\n{picture}</div></div>\n")
}

fn residuals(name: &str, predicted: &[f64], truth: &[f64]) -> String {
    let n = truth.len();
    let step = n.div_ceil(MOST_DOTS).max(1);
    let x = Axis::around("predicted", Scale::Linear, predicted.iter().copied());
    let mut plot = Plot::new(x, Axis::around(name, Scale::Linear, truth.iter().copied()));
    let ((a, b), (c, d)) = (range(predicted), range(truth));
    let (low, high) = (a.max(c), b.min(d));
    plot.dots((0..n).step_by(step).map(|i| (predicted[i], truth[i], String::new())), 2.0);
    plot.guide((low, low), (high, high));
    let cloud = plot.finish(&format!("{name} against its prediction"));

    let errors: Vec<f64> = predicted.iter().zip(truth).map(|(p, t)| t - p).collect();
    let histogram = histogram(&errors);
    let calibration = calibration(name, predicted, truth);
    format!(
        "<h3>{}</h3>\n<div class=\"pictures\"><div>\n{cloud}</div><div>\n{histogram}</div><div>\n{calibration}</div></div>\n",
        escape(name)
    )
}

/// The least and the largest.
fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)))
}

fn histogram(errors: &[f64]) -> String {
    const BARS: usize = 30;
    let (low, high) = range(errors);
    let width = ((high - low) / BARS as f64).max(f64::MIN_POSITIVE);
    let mut counts = [0usize; BARS];
    errors.iter().for_each(|e| counts[(((e - low) / width) as usize).min(BARS - 1)] += 1);
    let most = counts.iter().copied().max().unwrap_or(1) as f64;
    let x = Axis::around("residual", Scale::Linear, [low, high].into_iter());
    let mut plot = Plot::new(x, Axis { name: "rows", scale: Scale::Linear, from: 0.0, to: 1.05 * most });
    plot.bars(
        counts.iter().enumerate().map(|(i, &c)| (low + i as f64 * width, low + (i + 1) as f64 * width, c as f64)),
    );
    plot.finish(&format!("Residuals, from {} to {}", number(low), number(high)))
}

/// In tenths by the prediction: mean of the values against mean of the predictions.
fn calibration(name: &str, predicted: &[f64], truth: &[f64]) -> String {
    let mut order: Vec<usize> = (0..truth.len()).collect();
    order.sort_by(|&a, &b| predicted[a].total_cmp(&predicted[b]));
    let size = truth.len().div_ceil(BINS).max(1);
    let mean = |rows: &[usize], v: &[f64]| rows.iter().map(|&i| v[i]).sum::<f64>() / rows.len() as f64;
    let bins: Vec<(f64, f64)> = order.chunks(size).map(|rows| (mean(rows, predicted), mean(rows, truth))).collect();
    let both = || bins.iter().flat_map(|(a, b)| [*a, *b]);
    let axis = |name| Axis::around(name, Scale::Linear, both());
    let label = format!("mean {name}");
    let mut plot = Plot::new(axis("mean prediction of a tenth of the rows"), axis(&label));
    let (low, high) = both().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    plot.guide((low, low), (high, high));
    plot.line(bins.iter().copied(), 0);
    plot.dots(bins.iter().map(|&(x, y)| (x, y, String::new())), 4.0);
    plot.finish("Calibration of predictions")
}
