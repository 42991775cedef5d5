//! Bytes to arrays and back.
//!
//! Readers find the format out from the content, trust no length that a file states, and name file and place in every
//! error. Writers are atomic. Nothing here knows any mathematics.
//!
//! ```
//! use dualnet_io::{Loaded, Options, Values, load};
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("plants.csv");
//! std::fs::write(&path, "height;kind\n1.5;oak\n2;fir\n")?;
//! let Loaded::Table(table) = load(&path, &Options::default())? else { unreachable!() };
//! assert_eq!(table.format, "CSV, separated by semicolons");
//! assert_eq!(table.columns[0].values, Values::Number(vec![1.5, 2.0]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod array;
pub mod atomic;
mod cifar;
mod csv;
pub mod dataset;
mod element;
pub mod error;
pub mod folder;
pub mod idx;
mod image_file;
mod image_folder;
pub mod images;
mod input;
pub mod job_folder;
mod missing;
pub mod model_folder;
pub mod npy;
pub mod npz;
pub mod options;
mod parquet;
mod parquet_walk;
mod sets;
pub mod sparse;
pub mod stream;
pub mod table;
pub mod tensor_file;
pub mod write;

pub use array::{Array, Data, Elements, ElementsMut, FloatKind};
pub use dataset::{Loaded, load};
pub use error::{Error, Result};
pub use missing::MISSING_LEVEL;
pub use options::{Missing, Options};
pub use table::{Column, Table, Values};
