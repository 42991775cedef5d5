//! Which of the two kernels of a net.

use super::{Get, Grams};
use crate::error::{Error, Result};
use crate::linalg::Mat;
use serde::{Deserialize, Serialize};

/// Which of the two kernels of a net.
///
/// ```
/// use dualnet::kernel::{Get, KernelKind};
/// assert_eq!((KernelKind::Ntk.get(), KernelKind::Nngp.name()), (Get::Ntk, "nngp"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelKind {
    /// Prior covariance.
    Nngp,
    /// Tangent kernel.
    Ntk,
}

impl KernelKind {
    /// What to ask a kernel for.
    pub fn get(self) -> Get {
        match self {
            KernelKind::Nngp => Get::Nngp,
            KernelKind::Ntk => Get::Ntk,
        }
    }
    /// That one of a pair (NNGP, NTK).
    pub fn of<V>(self, (nngp, ntk): (V, V)) -> V {
        match self {
            KernelKind::Nngp => nngp,
            KernelKind::Ntk => ntk,
        }
    }
    /// That matrix of those computed.
    pub(crate) fn matrix<T>(self, grams: Grams<T>) -> Result<Mat<T>> {
        self.of((grams.nngp, grams.ntk)).ok_or_else(|| Error::Invalid {
            what: "the kernel".into(),
            expected: "the matrix asked for".into(),
            found: "none".into(),
            hint: "report this as a defect".into(),
        })
    }
    /// `nngp` or `ntk`.
    pub fn name(self) -> &'static str {
        match self {
            KernelKind::Nngp => "nngp",
            KernelKind::Ntk => "ntk",
        }
    }
}
