//! Random numbers, and the comparison of a mean over networks with a limit.

/// Standard normal numbers.
pub struct Normal(u64);

impl Normal {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E3779B97F4A7C15) | 1)
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub fn draw(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    pub fn many(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.draw()).collect()
    }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The means of (NNGP, NTK) over independent networks are the limits, up to four standard errors and a bias of finite width, given in
/// units of `scale`, the largest values there are. What moves the NNGP of a network moves its NTK along, so that the share of the NTK
/// which the NNGP tells is taken out: its mean is known, and the rest varies far less.
pub fn consistent(what: &str, found: &[(f64, f64)], limit: (f64, f64), scale: (f64, f64), bias: f64) {
    let nngp: Vec<f64> = found.iter().map(|f| f.0).collect();
    let rest: Vec<f64> = found.iter().map(|f| f.1 - limit.1 / limit.0 * (f.0 - limit.0)).collect();
    for (name, values, limit, scale) in [("NNGP", nngp, limit.0, scale.0), ("NTK", rest, limit.1, scale.1)] {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let error = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n * (n - 1.0))).sqrt();
        // Else the comparison would mean little.
        assert!(error < 0.05 * scale, "{name} {what}: standard error {error} of {limit}");
        let allowed = 4.0 * error + bias * scale;
        assert!((mean - limit).abs() <= allowed, "{name} {what}: mean {mean} +- {error}, limit {limit}");
    }
}
