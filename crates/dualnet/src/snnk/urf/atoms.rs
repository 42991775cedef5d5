//! Frequencies with their weights, and the constants of each column that follow from them.

use super::map::Form;
use super::split::Estimator;
use crate::kernel::Float;

/// Registers hold a divisor of this many numbers: constants are padded to a multiple.
const PAD: usize = 16;

/// The estimate is the mean over j of weight_j e^(i t_j b) Lam(i rho_j x) Lam(eta_j w).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Atoms {
    /// Angular frequencies 2 pi xi.
    pub t: Vec<f64>,
    /// tau / q, real and imaginary part.
    pub weight: Vec<(f64, f64)>,
}

/// Constants of each column, padded with zeros.
#[derive(Clone, Debug)]
pub(super) struct Columns<T> {
    /// sqrt(1-4A) rho: from g.x to the angle of Phi.
    pub turn: Vec<T>,
    /// rho^2 / 2: from |x|^2 to the exponent of Phi.
    pub growth: Vec<T>,
    /// A |g|^2 + d/4 ln(1-4A) - ln(m)/2: exponent common to Phi and Psi.
    pub level: Vec<T>,
    /// e^level.
    pub size: Vec<T>,
    /// sqrt(1-4A) eta: from g.w to the exponent of Psi.
    pub reach: Vec<T>,
    /// eta^2 / 2: from |w|^2 to minus the exponent of Psi.
    pub decay: Vec<T>,
    /// t: from b to the angle of Psi.
    pub frequency: Vec<T>,
    /// Real part of the weight.
    pub re: Vec<T>,
    /// Imaginary part of the weight.
    pub im: Vec<T>,
    /// What becomes of the exponent of Phi.
    pub form: Form,
}

impl<T: Float> Columns<T> {
    /// `squares` holds |g_j|^2, or nothing where A = 0.
    pub fn new(atoms: &Atoms, squares: &[f64], inputs: usize, estimator: Estimator, form: Form) -> Self {
        let m = atoms.t.len();
        let a = estimator.damping;
        let spread = (1.0 - 4.0 * a).sqrt();
        let common = 0.5 * inputs as f64 * spread.ln() - 0.5 * (m as f64).ln();
        let level = |j: usize| common + a * squares.get(j).copied().unwrap_or(0.0);
        let factors = |j: usize| estimator.split.factors(atoms.t[j]);
        let column = |f: &dyn Fn(usize) -> f64| {
            let mut out: Vec<T> = (0..m).map(|j| T::from_f64(f(j))).collect();
            out.resize(m.next_multiple_of(PAD), T::default());
            out
        };
        Self {
            turn: column(&|j| spread * factors(j).0),
            growth: column(&|j| 0.5 * factors(j).0.powi(2)),
            level: column(&level),
            size: column(&|j| level(j).exp()),
            reach: column(&|j| spread * factors(j).1),
            decay: column(&|j| 0.5 * factors(j).1.powi(2)),
            frequency: column(&|j| atoms.t[j]),
            re: column(&|j| atoms.weight[j].0),
            im: column(&|j| atoms.weight[j].1),
            form,
        }
    }

    /// Are all of them numbers?
    pub fn are_finite(&self) -> bool {
        let all = [&self.turn, &self.growth, &self.level, &self.size, &self.reach, &self.decay];
        let rest = [&self.frequency, &self.re, &self.im];
        all.iter().chain(&rest).all(|column| column.iter().all(|x| x.is_finite()))
    }
}
