//! Fully bundled networks: an input tower without learned parameters and one matrix on top, solved in closed form.
//!
//! Layer l of the tower is `Phi_l(z) = phi(G z / s + b) / sqrt(m)`: what is left of a layer of an SNNK once its parameters have
//! collapsed, with those of all following layers, into the matrix on top. Directions G are random; see [`Directions`].

use crate::activation::Activation;
use crate::error::{Error, Result};
use crate::net::activation_named;
use serde::{Deserialize, Serialize};

/// Most layers of a tower, and most features of a layer.
const MOST_LAYERS: usize = 16;
const MOST_FEATURES: usize = 1 << 20;

/// Where the directions of a tower come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directions {
    /// Differences of two training rows drawn at random, each scaled so that its projection varies by 1 over the rows: more
    /// directions where the data vary more. On 60,000 MNIST images 2,048 of them err in 2.8 % of the test images, 2,048 Gaussian
    /// ones in 4.0 %; where columns hardly depend on each other, orthogonal ones are better.
    #[default]
    Pairs,
    /// Independent standard normals: the mean over draws is the NNGP kernel of the net.
    Gaussian,
    /// Orthogonal within blocks: the same mean, less variance.
    Orthogonal,
    /// Products of signs and Hadamard matrices: about the same variance, and cheap where there are many columns.
    Structured,
}

impl Directions {
    /// All of them.
    pub const ALL: [Directions; 4] =
        [Directions::Pairs, Directions::Gaussian, Directions::Orthogonal, Directions::Structured];

    /// `pairs`, `gaussian`, `orthogonal` or `structured`.
    pub fn name(self) -> &'static str {
        match self {
            Directions::Pairs => "pairs",
            Directions::Gaussian => "gaussian",
            Directions::Orthogonal => "orthogonal",
            Directions::Structured => "structured",
        }
    }
}

/// The description `bundled:ACTIVATION-DEPTH-M`: a tower of DEPTH layers of M features.
///
/// ```
/// use dualnet::snnk::BundledNet;
/// let net = BundledNet::parse("bundled:relu-1-4096")?;
/// assert_eq!((net.depth, net.features), (1, 4096));
/// assert_eq!(net.to_string(), "bundled:relu-1-4096");
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BundledNet {
    /// phi, with its default parameters.
    pub activation: Activation,
    /// Number of layers, 1 to 16.
    pub depth: usize,
    /// Features of each layer, 1 to 2^20.
    pub features: usize,
}

impl BundledNet {
    /// Whether `text` means to be one.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with("bundled:")
    }

    /// Reads `bundled:ACTIVATION-DEPTH-M`.
    ///
    /// # Errors
    /// Another form; an activation that is unknown, needs parameters or has no function behind it; numbers out of range.
    pub fn parse(text: &str) -> Result<Self> {
        let at = format!("net {text:?}");
        let refuse = |problem: String, hint: &str| Error::Net { at: at.clone(), problem, hint: hint.into() };
        let hint = "write bundled:ACTIVATION-DEPTH-M, for example bundled:relu-1-4096";
        let parts = text.strip_prefix("bundled:").and_then(|rest| rest.rsplit_once('-'));
        let parts = parts.and_then(|(rest, m)| rest.rsplit_once('-').map(|(name, depth)| (name, depth, m)));
        let Some((name, depth, m)) = parts else {
            return Err(refuse("not the description of a bundled net".into(), hint));
        };
        let number = |what: &str, text: &str, most: usize| match text.parse::<usize>() {
            Ok(n) if (1..=most).contains(&n) => Ok(n),
            _ => Err(refuse(format!("{text:?} is not a {what} from 1 to {most}"), hint)),
        };
        let (depth, features) = (number("depth", depth, MOST_LAYERS)?, number("number of features", m, MOST_FEATURES)?);
        let activation = activation_named(&at, name)?;
        if activation.phi(0.0).is_none() {
            let problem = format!("{name} names a kernel that no function stands behind");
            return Err(refuse(problem, "take another activation, such as relu"));
        }
        Ok(Self { activation, depth, features })
    }

    /// Numbers in the tower and the matrix on top, for `inputs` columns and `outputs` outputs: (drawn, solved for).
    ///
    /// ```
    /// use dualnet::snnk::BundledNet;
    /// let net = BundledNet::parse("bundled:cos-2-100")?;
    /// assert_eq!(net.parameters(8, 3), (8 * 100 + 100 * 100 + 2 * 100, 3 * 101));
    /// # Ok::<(), dualnet::Error>(())
    /// ```
    pub fn parameters(&self, inputs: usize, outputs: usize) -> (u64, u64) {
        let (d, m, k) = (inputs as u64, self.features as u64, outputs as u64);
        let below = (self.depth as u64).saturating_sub(1);
        (d * m + below * m * m + self.depth as u64 * m, k * (m + 1))
    }

    /// Operations of one row through tower and matrix, for dense directions.
    pub fn flops(&self, inputs: usize, outputs: usize) -> u64 {
        let (drawn, solved) = self.parameters(inputs, outputs);
        2 * (drawn + solved)
    }
}

impl std::fmt::Display for BundledNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bundled:{}-{}-{}", self.activation.name(), self.depth, self.features)
    }
}

impl TryFrom<String> for BundledNet {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<BundledNet> for String {
    fn from(net: BundledNet) -> String {
        net.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_read_or_refused() -> Result<()> {
        for name in ["relu", "gelu_tanh", "cos", "tanh"] {
            let text = format!("bundled:{name}-3-17");
            let net = BundledNet::parse(&text)?;
            assert_eq!((net.to_string(), net.depth, net.features), (text, 3, 17));
        }
        let bad = [
            ("bundled:relu", "not the description"),
            ("bundled:relu-1", "not the description"),
            ("bundled:relu-0-5", "depth from 1"),
            ("bundled:relu-1-0", "features from 1"),
            ("bundled:relu-1-9999999", "features from 1"),
            ("bundled:rleu-1-5", "relu"),
            ("bundled:exp_normalized-1-5", "no function"),
            ("bundled:abrelu-1-5", "needs the key"),
        ];
        for (text, word) in bad {
            let message = BundledNet::parse(text).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(message.contains(word), "{text}: {message}");
        }
        Ok(())
    }
}
