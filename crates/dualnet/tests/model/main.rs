//! Models as a whole: preprocessing, the choice, the solution, what is predicted and what is saved.
#![allow(clippy::unwrap_used)]

mod bundled;
mod data;
mod fit;
mod hostile;
mod image_features;
mod images;
mod methods;
mod metric;
mod oracle;
mod predict;
mod preprocess;
mod saved;
