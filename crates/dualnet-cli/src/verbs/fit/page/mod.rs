//! `fit --report`: one page that stands by itself, with what was fitted and chosen, how good it is, and what it makes of its inputs.

mod judged;
mod parts;
mod svg;

use crate::error::Result;
use dualnet::model::{Explanation, Metrics, Model, Target};
use std::io::Write;
use std::path::Path;

use super::report::Tested;

/// All that the page tells of.
pub(super) struct Page<'a> {
    /// File or folder of the training data.
    pub data: &'a Path,
    pub model: &'a Model,
    /// Targets of the training rows.
    pub target: &'a Target,
    pub explanation: Option<&'a Explanation>,
    /// Name, rows and metrics of what the fit was judged by.
    pub own: Option<(&'a str, usize, &'a Metrics)>,
    pub tested: Option<&'a Tested>,
    pub seconds: f64,
}

impl Page<'_> {
    /// Writes the page.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.text()?;
        Ok(dualnet_io::atomic::write(path, |file| file.write_all(text.as_bytes()))?)
    }

    fn text(&self) -> Result<String> {
        let name =
            self.data.file_name().map_or_else(|| self.data.display().to_string(), |n| n.to_string_lossy().into());
        let name = svg::escape(&name);
        let mut body = format!("<h1>Fit to {name}</h1>\n");
        body += &parts::facts(self);
        body += &parts::metrics(self);
        if let Some(prediction) = self.model.left_out()? {
            body += &judged::left_out(&prediction, self.target);
        }
        body += &parts::explanation(self);
        body += &parts::chosen(self);
        let style = include_str!("style.css");
        Ok(format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Fit to {name}</title>\n\
             <style>\n{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
        ))
    }
}
