//! Constant weights of columns: what a dense layer does to features.

use crate::net::Tangent;

/// Columns Phi with weights u and v, columns Psi with weights w: the NNGP's features are u Phi, the NTK's (v Phi, w Psi).
///
/// Most columns serve both kernels, and an activation multiplies all of them by one number of each row, so a column is kept once
/// however many layers' terms of the tangent kernel it is part of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Weights {
    pub u: Vec<f64>,
    pub v: Vec<f64>,
    pub w: Vec<f64>,
    /// What the columns of Phi are.
    pub origins: Vec<Origin>,
}

/// What a column of Phi is. Few means carry much of a kernel, many others little each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The mean of an activation, or a bias.
    Mean,
    /// A value of the input.
    Input,
    /// A random feature.
    Rest,
}

impl Weights {
    /// Those of the input: c = x . x' / d, t = 0.
    pub(super) fn input(columns: usize, channels: usize) -> Self {
        Self {
            u: vec![1.0 / (channels as f64).sqrt(); columns],
            v: vec![0.0; columns],
            w: Vec::new(),
            origins: vec![Origin::Input; columns],
        }
    }

    /// c' = w2 c + b2 and t' = carry t + from_input c + from_output c' + constant (kernels.md, section 5). True where a column of ones was
    /// appended.
    pub(super) fn affine(&mut self, w2: f64, b2: f64, tangent: &Tangent) -> bool {
        for (u, v) in self.u.iter_mut().zip(&mut self.v) {
            let c = *u * *u;
            *v = (tangent.carry * *v * *v + (tangent.from_input + tangent.from_output * w2) * c).sqrt();
            *u *= w2.sqrt();
        }
        self.w.iter_mut().for_each(|w| *w *= tangent.carry.sqrt());
        let (own, constant) = (b2.sqrt(), (tangent.from_output * b2 + tangent.constant).sqrt());
        let appended = own > 0.0 || constant > 0.0;
        if appended {
            self.push(1, own, constant, Origin::Mean);
        }
        appended
    }

    /// Appends columns of Phi.
    pub(super) fn push(&mut self, count: usize, u: f64, v: f64, origin: Origin) {
        self.u.resize(self.u.len() + count, u);
        self.v.resize(self.v.len() + count, v);
        self.origins.resize(self.origins.len() + count, origin);
    }

    /// Appends columns of Psi.
    pub(super) fn push_tangent(&mut self, count: usize, w: f64) {
        self.w.resize(self.w.len() + count, w);
    }

    /// All columns.
    pub(super) fn columns(&self) -> usize {
        self.u.len() + self.w.len()
    }

    /// Those of the columns of `other` besides.
    pub(super) fn append(&mut self, other: &Weights) {
        self.u.extend(&other.u);
        self.v.extend(&other.v);
        self.w.extend(&other.w);
        self.origins.extend(&other.origins);
    }

    /// Those of `count` neighbours, one beside the other.
    pub(super) fn repeat(&mut self, count: usize) {
        for weights in [&mut self.u, &mut self.v, &mut self.w] {
            *weights = weights.repeat(count);
        }
        self.origins = self.origins.repeat(count);
    }

    /// Columns of Phi of the first origins in their order, as many whole kinds as `most` has room for.
    pub(super) fn first(&self, most: usize) -> Vec<usize> {
        let up_to = |last: Origin| (0..self.u.len()).filter(|&i| self.origins[i] <= last).collect::<Vec<_>>();
        [Origin::Input, Origin::Mean].map(up_to).into_iter().find(|columns| columns.len() <= most).unwrap_or_default()
    }

    /// Both kernels times `factor`.
    pub(super) fn scale(&mut self, factor: f64) {
        for weight in self.u.iter_mut().chain(&mut self.v).chain(&mut self.w) {
            *weight *= factor.sqrt();
        }
    }

    /// The least v / u of the columns with u > 0 but those `kept`, and for every column of Phi the weight that is missing of v when each has
    /// that share: v^2 = share^2 u^2 + rest^2.
    pub(super) fn share(&self, kept: &[usize]) -> (f64, Vec<f64>) {
        let others = self.u.iter().zip(&self.v).enumerate().filter(|(i, _)| !kept.contains(i)).map(|(_, pair)| pair);
        let ratios = others.filter(|(u, _)| **u > 0.0).map(|(u, v)| v / u);
        let share = ratios.fold(f64::INFINITY, f64::min);
        let share = if share.is_finite() { share } else { 0.0 };
        let rest = |(u, v): (&f64, &f64)| (v * v - share * share * u * u).max(0.0).sqrt();
        (share, self.u.iter().zip(&self.v).map(rest).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two dense layers in the NTK parameterization: t = 2 c, then carried and added to.
    #[test]
    fn layers_add_to_the_tangent_kernel() {
        let tangent = |w2| Tangent { from_output: 1.0, from_input: 0.0, carry: w2, constant: 0.0 };
        let mut weights = Weights::input(3, 3);
        assert!(!weights.affine(2.0, 0.0, &tangent(2.0)));
        assert!(weights.affine(3.0, 0.25, &tangent(3.0)));
        // c: 1/3, 2/3, 2; t: 0, 2/3, 2 + 2.
        assert!((weights.u[0].powi(2) - 2.0).abs() < 1e-15 && (weights.v[0].powi(2) - 4.0).abs() < 1e-15);
        assert_eq!((weights.u[3], weights.v[3]), (0.5, 0.5));
        let (share, rest) = weights.share(&[]);
        assert_eq!(share, 1.0);
        assert!((rest[0].powi(2) - 2.0).abs() < 1e-14 && rest[3] == 0.0);
    }
}
