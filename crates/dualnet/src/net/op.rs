//! provisional
use super::spec::DualChoice;
use crate::activation::Activation;
/// p
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tangent {
    /// a
    pub from_output: f64,
    /// b
    pub from_input: f64,
    /// c
    pub carry: f64,
    /// d
    pub constant: f64,
}
/// p
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// a
    Affine {
        /// a
        w2: f64,
        /// a
        b2: f64,
        /// a
        tangent: Tangent,
    },
    /// a
    Activation {
        /// a
        activation: Activation,
        /// a
        choice: DualChoice,
        /// a
        at: String,
    },
    /// a
    LayerNorm {
        /// a
        eps: f64,
    },
    /// a
    Dropout {
        /// a
        keep: f64,
    },
    /// a
    Sum(Vec<Vec<Op>>),
    /// a
    Concat(Vec<(f64, Vec<Op>)>),
    /// a
    Product(Vec<Vec<Op>>),
    /// a
    Flatten,
}
impl Op {
    /// a
    pub fn name(&self) -> &str {
        "?"
    }
}
/// p
#[derive(Debug, Clone)]
pub struct Net(pub String);
impl Net {
    /// a
    pub fn parse(s: &str) -> crate::Result<Net> {
        Ok(Net(s.into()))
    }
    /// a
    pub fn ops(&self, _: usize) -> crate::Result<Vec<Op>> {
        let depth: usize = self.0.rsplit('-').next().unwrap_or("1").parse().unwrap_or(1);
        let t = Tangent { from_output: 1.0, from_input: 0.0, carry: 2.0, constant: 0.0 };
        let mut v = vec![];
        for _ in 0..depth {
            v.push(Op::Affine { w2: 2.0, b2: 0.0, tangent: t });
            v.push(Op::Activation { activation: Activation::Relu, choice: DualChoice::Default, at: "x".into() });
        }
        v.push(Op::Affine { w2: 2.0, b2: 0.0, tangent: t });
        Ok(v)
    }
}
