//! The models that `auto` chooses among.
//!
//! Eight were enough on 57 tables: two encodings and four nets, from a smooth shallow prior to a deep tangent kernel. Two hundred and
//! forty were no better. All have biases; none is worst of all without.

use super::preprocess::Encoding;
use crate::error::Result;
use crate::net::Net;

pub use crate::kernel::KernelKind;

/// Which nets to try.
#[derive(Clone, Debug, PartialEq)]
pub enum NetChoice {
    /// The four of `auto`.
    Auto,
    /// This one.
    Net(Net),
}

/// Which kernels to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelChoice {
    /// That which suits the net, or both of a given net.
    Auto,
    /// This one.
    Kind(KernelKind),
}

/// One model to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// A short name of the net.
    pub name: String,
    /// The net.
    pub net: Net,
    /// Which of its kernels.
    pub kernel: KernelKind,
    /// How numbers are shown to it.
    pub encoding: Encoding,
}

/// The nets of `auto` with the kernel that suits each: (name, net file, kernel).
const AUTO: [(&str, &str, KernelKind); 4] = [
    ("fc-relu-1", r#"{"b_std":1,"layers":["dense","relu","dense"]}"#, KernelKind::Nngp),
    ("fc-relu-2", r#"{"b_std":1,"layers":["dense","relu","dense","relu","dense"]}"#, KernelKind::Ntk),
    (
        "fc-relu-4",
        r#"{"b_std":1,"layers":["dense","relu","dense","relu","dense","relu","dense","relu","dense"]}"#,
        KernelKind::Ntk,
    ),
    (
        "fc-gelu-3",
        r#"{"b_std":0.31622776601683794,"layers":["dense","gelu","dense","gelu","dense","gelu","dense"]}"#,
        KernelKind::Nngp,
    ),
];

/// All models to try: nets and kernels as asked for, each with every encoding.
pub fn candidates(net: &NetChoice, kernel: KernelChoice, encodings: &[Encoding]) -> Result<Vec<Candidate>> {
    let mut nets = Vec::new();
    match net {
        NetChoice::Auto => {
            for (name, text, suited) in AUTO {
                let kind = match kernel {
                    KernelChoice::Auto => suited,
                    KernelChoice::Kind(kind) => kind,
                };
                nets.push((format!("{name} with biases"), Net::from_json(text)?, kind));
            }
        }
        NetChoice::Net(net) => {
            let kinds = match kernel {
                KernelChoice::Auto => vec![KernelKind::Nngp, KernelKind::Ntk],
                KernelChoice::Kind(kind) => vec![kind],
            };
            nets.extend(kinds.into_iter().map(|kind| (net.to_string(), net.clone(), kind)));
        }
    }
    Ok(encodings
        .iter()
        .flat_map(|&encoding| {
            nets.iter().map(move |(name, net, kernel)| Candidate {
                name: name.clone(),
                net: net.clone(),
                kernel: *kernel,
                encoding,
            })
        })
        .collect())
}
