//! Means that keep their digits far from 0: an origin near the data, and a distance to it.

/// Means of columns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Means {
    origin: Vec<f64>,
    offset: Vec<f64>,
    /// Their sum, rounded.
    value: Vec<f64>,
}

impl Means {
    pub(super) fn new(origin: Vec<f64>, offset: Vec<f64>) -> Self {
        let value = origin.iter().zip(&offset).map(|(c, d)| c + d).collect();
        Self { origin, offset, value }
    }

    pub(super) fn values(&self) -> &[f64] {
        &self.value
    }

    /// `self - other`. Origins are near each other or far from equal: their difference loses nothing that counts.
    pub(super) fn less(&self, other: &Self) -> Vec<f64> {
        let own = self.origin.iter().zip(&self.offset);
        let pairs = own.zip(other.origin.iter().zip(&other.offset));
        pairs.map(|((c, d), (other, e))| (c - other) + (d - e)).collect()
    }

    /// Moves by a share of the way.
    pub(super) fn advance(&mut self, share: f64, way: &[f64]) {
        for (j, way) in way.iter().enumerate() {
            self.offset[j] += share * way;
            self.value[j] = self.origin[j] + self.offset[j];
        }
    }
}
