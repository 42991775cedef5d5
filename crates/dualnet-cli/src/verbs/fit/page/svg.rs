//! Small pictures as SVG, in the colours of the page.

use crate::output::number;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;

/// Colours of lines that share a picture.
const SERIES: usize = 6;

/// Text as it may stand in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// How an axis counts.
#[derive(Clone, Copy, PartialEq)]
pub enum Scale {
    Linear,
    Logarithmic,
}

/// An axis with its range.
pub struct Axis<'a> {
    pub name: &'a str,
    pub scale: Scale,
    pub from: f64,
    pub to: f64,
}

impl<'a> Axis<'a> {
    /// Around all of the values.
    pub fn around(name: &'a str, scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let usable = values.filter(|v| v.is_finite() && (scale == Scale::Linear || *v > 0.0));
        let (from, to) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let (from, to) = if from <= to { (from, to) } else { (0.0, 1.0) };
        match scale {
            Scale::Logarithmic => Self { name, scale, from, to: if to > from { to } else { 10.0 * from.max(1e-300) } },
            Scale::Linear => {
                let pad = if to > from { 0.04 * (to - from) } else { from.abs().max(1.0) };
                Self { name, scale, from: from - pad, to: to + pad }
            }
        }
    }

    fn share(&self, v: f64) -> f64 {
        match self.scale {
            Scale::Linear => (v - self.from) / (self.to - self.from),
            Scale::Logarithmic => (v / self.from).ln() / (self.to / self.from).ln(),
        }
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let rough = (self.to - self.from) / 4.0;
                let power = 10f64.powf(rough.log10().floor());
                let steps = [1.0, 2.0, 5.0, 10.0];
                let step = steps.iter().map(|s| s * power).find(|s| *s >= rough).unwrap_or(rough);
                let first = (self.from / step).ceil() as i64;
                (0..8).map(|i| (first + i) as f64 * step).take_while(|t| *t <= self.to).collect()
            }
            Scale::Logarithmic => {
                let (low, high) = (self.from.log10().ceil() as i32, self.to.log10().floor() as i32);
                if high <= low {
                    return vec![self.from, self.to];
                }
                (low..=high).step_by(((high - low) / 5 + 1) as usize).map(|e| 10f64.powi(e)).collect()
            }
        }
    }
}

fn tick_text(v: f64) -> String {
    let text = number(v);
    if text.contains('e') {
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        return if digits == "1" { format!("1e{power}") } else { format!("{digits}e{power}") };
    }
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// A picture with two axes, drawn into piece by piece.
pub struct Plot<'a> {
    x: Axis<'a>,
    y: Axis<'a>,
    body: String,
}

impl<'a> Plot<'a> {
    /// With both axes.
    pub fn new(x: Axis<'a>, y: Axis<'a>) -> Self {
        Self { x, y, body: String::new() }
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let (right, down) = (self.x.share(x), 1.0 - self.y.share(y));
        (LEFT + right * (WIDTH - LEFT - RIGHT), TOP + down * (HEIGHT - TOP - BOTTOM))
    }

    /// A line through points.
    pub fn line(&mut self, points: impl Iterator<Item = (f64, f64)>, series: usize) {
        let text: Vec<String> = points.map(|(x, y)| self.place(x, y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.body += &format!("<polyline class=\"line s{}\" points=\"{}\"/>\n", series % SERIES, text.join(" "));
    }

    /// Dots, with what is told of each where the mouse rests.
    pub fn dots(&mut self, points: impl Iterator<Item = (f64, f64, String)>, radius: f64) {
        for (x, y, title) in points {
            let (x, y) = self.place(x, y);
            let title = if title.is_empty() { title } else { format!("<title>{}</title>", escape(&title)) };
            self.body +=
                &format!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\">{title}</circle>\n");
        }
    }

    /// A dashed line between two points.
    pub fn guide(&mut self, from: (f64, f64), to: (f64, f64)) {
        let ((a, b), (c, d)) = (self.place(from.0, from.1), self.place(to.0, to.1));
        self.body += &format!("<line class=\"guide\" x1=\"{a:.1}\" y1=\"{b:.1}\" x2=\"{c:.1}\" y2=\"{d:.1}\"/>\n");
    }

    /// Bars from the foot of the picture, each from one x to another.
    pub fn bars(&mut self, bars: impl Iterator<Item = (f64, f64, f64)>) {
        for (from, to, height) in bars {
            let ((a, top), (b, foot)) = (self.place(from, height), self.place(to, self.y.from));
            let (w, h) = ((b - a - 1.0).max(0.5), (foot - top).max(0.0));
            self.body +=
                &format!("<rect class=\"bar\" x=\"{a:.1}\" y=\"{top:.1}\" width=\"{w:.1}\" height=\"{h:.1}\"/>\n");
        }
    }

    /// The picture.
    pub fn finish(self, title: &str) -> String {
        let mut text = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><title>{0}</title>\n",
            escape(title)
        );
        let (foot, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for t in self.x.ticks() {
            let (x, _) = self.place(t, self.y.from);
            text += &format!("<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{foot}\"/>");
            text += &format!(
                "<text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                foot + 14.0,
                tick_text(t)
            );
        }
        for t in self.y.ticks() {
            let (_, y) = self.place(self.x.from, t);
            text += &format!("<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>");
            text += &format!(
                "<text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 5.0,
                y + 3.5,
                tick_text(t)
            );
        }
        text += &self.body;
        let middle = LEFT + (right - LEFT) / 2.0;
        text += &format!(
            "<text class=\"axis\" x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            HEIGHT - 5.0,
            escape(self.x.name)
        );
        let up = TOP + (foot - TOP) / 2.0;
        text += &format!(
            "<text class=\"axis\" x=\"11\" y=\"{up:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 11 {up:.1})\">{}</text>\n</svg>\n",
            escape(self.y.name)
        );
        text
    }
}
