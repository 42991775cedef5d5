//! Neural networks in their dual form.
//!
//! A network of infinite width is a kernel: NNGP (its prior) and NTK (its training). A network is described once, as a
//! [`net::Net`]; everything else interprets that description or consumes what an interpreter gives.
//!
//! ```text
//! data -> net -> exact kernel -> ridge in the dual -> model -> prediction
//! ```
//!
//! # Example
//!
//! A ReLU network learns the sign of x y from the four corners of a square, without a step of training:
//!
//! ```
//! use dualnet::kernel::{DenseKernel, Get};
//! use dualnet::predict::{DiagonalReg, Kernels, ntk_gp};
//! use dualnet::{Mat, Resources, net::Net};
//!
//! let net = Net::parse("fc-relu-2")?; // two hidden layers; or the text of a net file
//! let corners = Mat::from_vec(4, 2, vec![1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0])?;
//! let signs = Mat::from_vec(4, 1, vec![1.0, -1.0, -1.0, 1.0])?;
//! let new = Mat::from_vec(2, 2, vec![0.5, 0.5, -0.5, 0.5])?;
//!
//! let (kernel, resources) = (DenseKernel::new(&net, 2)?, Resources::new(1)?);
//! let train = kernel.gram(corners.as_ref(), Get::Ntk, &resources)?.ntk.unwrap();
//! let test = kernel.cross(new.as_ref(), corners.as_ref(), Get::Ntk, &resources)?.ntk.unwrap();
//! let own = kernel.gram(new.as_ref(), Get::Ntk, &resources)?.ntk.unwrap();
//! // K(x, x) of an NTK: one |x|^2 w_std^2 / d for each of the three dense layers.
//! assert!(f64::abs(train[(0, 0)] - 6.0) < 1e-14);
//!
//! let kernels = Kernels { train: train.as_ref(), test: test.as_ref(), own: own.as_ref() };
//! let f = ntk_gp(kernels, signs.as_ref(), DiagonalReg::Absolute(0.0), &resources)?;
//! // Without biases the network is homogeneous: half the input gives half the output.
//! assert!((f.mean[(0, 0)] - 0.5).abs() < 1e-12 && (f.mean[(1, 0)] + 0.5).abs() < 1e-12);
//! # Ok::<(), dualnet::Error>(())
//! ```
//!
//! For tables, with encoding, choice of net and lambda, and an honest estimate of the error, start at [`model`].
//!
//! # Modules
//!
//! | | |
//! |---|---|
//! | [`model`] | tables: [`model::fit()`] tries networks and keeps the best; predictions, intervals, probabilities |
//! | [`net`] | the description of a network: net files and presets |
//! | [`kernel`] | exact kernels of a net; [`gram`] runs them over all pairs |
//! | [`ridge`] | ridge regression in the dual: all lambdas with exact leave-one-out |
//! | [`predict`] | posteriors and training by gradient flow, from kernels |
//! | [`activation`], [`dual`] | activation functions, and what they do to covariances |
//! | [`conformance`] | checks that a dual of your own has to pass |
//! | [`linalg`], [`simd`] | matrices and vector functions |
//! | [`resources`], [`error`] | threads, memory, seed, progress; what can go wrong |
//!
//! # What holds everywhere
//!
//! Nothing panics on any input; a value that is not finite is refused or an [`Error`]. Threads, memory limit and seed are
//! arguments ([`Resources`]). The same version, instruction set and seed give the same bits for any number of threads.

pub mod activation;
pub mod conformance;
pub mod dual;
pub mod error;
pub mod features;
pub mod gram;
pub mod kernel;
pub mod linalg;
pub mod model;
pub mod net;
pub mod oracle;
pub mod predict;
pub mod random;
pub mod resources;
pub mod ridge;
pub mod simd;
pub mod snnk;
pub mod transform;

pub use error::{Error, Result};
pub use linalg::{Mat, MatRef};
pub use resources::Resources;
