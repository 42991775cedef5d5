//! What layers do along one axis of positions, to pairs (i, i') of positions of two images.
//!
//! Pairs lie in planes of equal circular offset (i' - i) mod n. A convolution stays in its plane ([`Taps`]); whatever changes the
//! number of positions moves entries between planes ([`Blend`]).

use crate::net::{Padding, in_front};

/// What a neighbour outside of the image counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Nothing.
    Zero,
    /// What lies at the other end.
    Wrap,
}

/// Neighbours at distances -low ..= high along an axis of n positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// Positions.
    pub n: usize,
    /// Neighbours before.
    pub low: usize,
    /// Neighbours behind.
    pub high: usize,
    /// Outside.
    pub edge: Edge,
}

/// Entries `shift` away count where `mask` says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// Distance in entries.
    pub by: isize,
    /// For each position.
    pub mask: Vec<bool>,
}

impl Taps {
    /// Those of a convolution. With a stride or without padding its results are needed at some positions only, which a [`Blend`] picks.
    pub fn new(n: usize, size: usize, step: usize, behind: usize, padding: Padding) -> Self {
        let low = in_front(n, size, step, behind, padding);
        let edge = if padding == Padding::Circular { Edge::Wrap } else { Edge::Zero };
        Self { n, low, high: size - 1 - low, edge }
    }

    /// Whether there are no neighbours.
    pub fn is_alone(&self) -> bool {
        self.low + self.high == 0
    }

    /// The neighbours in the plane of `offset`, for an axis that runs along the entries; and how often a position counts itself.
    ///
    /// Outside means outside of either image: in a plane, on the other side of the cut between positions n - offset - 1 and n - offset,
    /// the partner has left its image.
    pub fn shifts(&self, offset: usize) -> (usize, Vec<Shift>) {
        let (n, mut own, mut shifts) = (self.n as isize, 0, Vec::new());
        for d in -(self.low as isize)..=self.high as isize {
            match self.edge {
                Edge::Zero if d == 0 => own += 1,
                Edge::Zero if d.abs() >= n => {}
                Edge::Zero => {
                    let inside = |i: isize| (0..n).contains(&(i + d));
                    let mask = (0..n).map(|i| inside(i) && inside((i + offset as isize) % n)).collect();
                    shifts.push(Shift { by: d, mask });
                }
                Edge::Wrap => match d.rem_euclid(n) {
                    0 => own += 1,
                    by => {
                        shifts.push(Shift { by, mask: (0..n).map(|i| i + by < n).collect() });
                        shifts.push(Shift { by: by - n, mask: (0..n).map(|i| i + by >= n).collect() });
                    }
                },
            }
        }
        (own, shifts)
    }
}

/// New positions as weighted sums of old ones, the same for both images.
#[derive(Clone, Debug, PartialEq)]
pub struct Blend {
    /// Old positions.
    pub n: usize,
    /// Of each new position: old ones with their weights.
    pub sources: Vec<Vec<(usize, f64)>>,
}

/// Where an entry of a plane goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Old position of the first image.
    pub from: usize,
    /// Number of the new offset among those needed.
    pub plane: usize,
    /// New position of the first image.
    pub to: usize,
    /// Factor.
    pub weight: f64,
}

impl Blend {
    /// Every `step`-th position, `behind` in all: what is left of a convolution.
    pub fn pick(n: usize, step: usize, behind: usize) -> Self {
        Self { n, sources: (0..behind).map(|q| vec![(q * step, 1.0)]).collect() }
    }

    /// Sums over windows, each position with the weight that `weight` gives for the number of positions inside the image.
    pub fn windows(
        n: usize,
        (size, step): (usize, usize),
        behind: usize,
        padding: Padding,
        weight: impl Fn(usize) -> f64,
    ) -> Self {
        let low = in_front(n, size, step, behind, padding);
        let window = |q: usize| {
            let inside: Vec<usize> = (q * step..q * step + size)
                .filter_map(|i| match padding {
                    Padding::Circular => Some((i + n * size - low) % n),
                    _ => i.checked_sub(low).filter(|i| *i < n),
                })
                .collect();
            inside.iter().map(|i| (*i, weight(inside.len()))).collect()
        };
        Self { n, sources: (0..behind).map(window).collect() }
    }

    /// Whether nothing changes.
    pub fn is_identity(&self) -> bool {
        self.n == self.sources.len() && self.sources.iter().enumerate().all(|(q, s)| s[..] == [(q, 1.0)])
    }

    /// Whether new position q is the sum of 2q and 2q + 1, all with one weight. The last of an odd number of positions may be left out.
    pub fn halves(&self) -> bool {
        let uniform = self.uniform_weight().is_some();
        let pair = |(q, s): (usize, &Vec<(usize, f64)>)| s.len() == 2 && s[0].0 == 2 * q && s[1].0 == 2 * q + 1;
        uniform && self.n / 2 == self.sources.len() && self.sources.iter().enumerate().all(pair)
    }

    /// The weight that all positions share, if they do.
    pub fn uniform_weight(&self) -> Option<f64> {
        let mut weights = self.sources.iter().flatten().map(|(_, w)| *w);
        let first = weights.next()?;
        weights.all(|w| w == first).then_some(first)
    }

    /// The old offsets, ascending, that the new ones in `wanted` are made of.
    pub fn needed(&self, wanted: &[usize]) -> Vec<usize> {
        let mut needed = vec![false; self.n];
        for (_, sources, others) in self.pairs(wanted) {
            for (i, _) in sources {
                for (other, _) in others {
                    needed[(other + self.n - i) % self.n] = true;
                }
            }
        }
        (0..self.n).filter(|u| needed[*u]).collect()
    }

    /// For each old offset of `from`: where its entries go, of the new offsets in `wanted`. Weights are left out (1) where they are uniform.
    pub fn entries(&self, from: &[usize], wanted: &[usize]) -> Vec<Vec<Entry>> {
        let mut entries = vec![Vec::new(); from.len()];
        let uniform = self.uniform_weight().is_some();
        for ((plane, to), sources, others) in self.pairs(wanted) {
            for (i, w) in sources {
                for (other, v) in others {
                    let offset = (other + self.n - i) % self.n;
                    if let Ok(at) = from.binary_search(&offset) {
                        let weight = if uniform { 1.0 } else { w * v };
                        entries[at].push(Entry { from: *i, plane, to, weight });
                    }
                }
            }
        }
        entries
    }

    /// ((number of the offset, first new position), its sources, the sources of its partner).
    #[allow(clippy::type_complexity)]
    fn pairs<'a>(
        &'a self,
        wanted: &'a [usize],
    ) -> impl Iterator<Item = ((usize, usize), &'a [(usize, f64)], &'a [(usize, f64)])> {
        let m = self.sources.len();
        wanted.iter().enumerate().flat_map(move |(plane, offset)| {
            (0..m).map(move |q| ((plane, q), &self.sources[q][..], &self.sources[(q + offset) % m][..]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_cuts_at_the_border_and_where_the_partner_leaves() {
        let taps = Taps::new(4, 3, 1, 4, Padding::Same);
        let (own, shifts) = taps.shifts(1);
        assert_eq!((own, taps.low, taps.high), (1, 1, 1));
        // Partners of 0, 1, 2, 3 are 1, 2, 3, 0.
        assert_eq!(shifts[0], Shift { by: -1, mask: vec![false, true, true, false] });
        assert_eq!(shifts[1], Shift { by: 1, mask: vec![true, true, false, false] });
    }

    #[test]
    fn circles_wrap_as_often_as_needed() {
        let (own, shifts) = Taps::new(2, 5, 1, 2, Padding::Circular).shifts(0);
        // Distances -2, 0, 2 are the position itself, -1 and 1 the other one.
        assert_eq!((own, shifts.len()), (3, 4));
    }

    #[test]
    fn pooling_by_two_sends_odd_offsets_to_two() {
        let blend = Blend::windows(4, (2, 2), 2, Padding::Valid, |n| 1.0 / n as f64);
        assert!(blend.halves());
        assert_eq!(blend.needed(&[0]), [0, 1, 3]);
        let entries = blend.entries(&[0, 1, 2, 3], &[0, 1]);
        assert!(entries[0].iter().all(|e| e.plane == 0) && entries[2].iter().all(|e| e.plane == 1));
        assert_eq!(entries[1].iter().filter(|e| e.plane == 0).count(), 2);
        assert_eq!(entries.iter().map(Vec::len).sum::<usize>(), 16);
    }

    #[test]
    fn strides_read_multiples() {
        assert_eq!(Blend::pick(8, 2, 4).needed(&[0, 1]), [0, 2]);
        // Offsets are circular: offset 1 of 3 positions is also -2.
        assert_eq!(Blend::pick(5, 2, 3).needed(&[1]), [1, 2]);
        assert!(Blend::pick(5, 1, 5).is_identity());
    }
}
