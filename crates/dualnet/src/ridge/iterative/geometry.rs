//! The tiles of an upper triangle: their side, the bands of tile rows they are kept in, and the groups of bands that one task sums.
//!
//! All of it follows from the number of samples and the kernel's own tile, never from the number of threads.

use std::ops::Range;

/// Least side of a tile.
const SIDE: usize = 256;
/// Every side is a multiple of this: no register is loaded in part.
const LANES: usize = 16;
/// Bands that a matrix is cut into, at least, where it has so many tiles.
const BANDS: usize = 64;
/// Tile rows of a band, at most: what they need of vectors stays in the second-level cache.
const HEIGHT: usize = 8;
/// Groups of bands. More would occupy more threads, and each costs a vector block of partial sums.
pub(super) const GROUPS: usize = 16;

/// The least side that the kernel's tiles of `side` fill without gaps.
pub(super) fn tile_side(side: usize) -> usize {
    let side = side.max(1);
    let step = side / gcd(side, LANES) * LANES;
    step * SIDE.div_ceil(step)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Tiles on and above the diagonal of an n x n matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Triangle {
    /// Rows of the matrix.
    pub(super) n: usize,
    /// Rows and columns of a tile.
    pub(super) edge: usize,
    /// Tiles along a side of the matrix.
    pub(super) tiles: usize,
    /// Tile rows of a band.
    height: usize,
    /// Bands of each group.
    pub(super) groups: Vec<Vec<usize>>,
}

impl Triangle {
    /// For `n` samples of a kernel with tiles of `kernel_side`.
    pub(super) fn new(n: usize, kernel_side: usize) -> Self {
        let edge = tile_side(kernel_side);
        let tiles = n.div_ceil(edge);
        let height = (tiles / BANDS).clamp(1, HEIGHT);
        let mut triangle = Self { n, edge, tiles, height, groups: Vec::new() };
        let bands = triangle.bands();
        let mut groups = vec![(0, Vec::new()); GROUPS.min(bands)];
        // Bands come with falling areas: each goes to the group that has least.
        for band in 0..bands {
            if let Some(least) = groups.iter_mut().min_by_key(|(area, _)| *area) {
                least.0 += triangle.len(band);
                least.1.push(band);
            }
        }
        triangle.groups = groups.into_iter().map(|(_, bands)| bands).collect();
        triangle
    }

    /// Number of bands.
    pub(super) fn bands(&self) -> usize {
        self.tiles.div_ceil(self.height)
    }

    /// Tile rows of a band.
    pub(super) fn rows(&self, band: usize) -> Range<usize> {
        band * self.height..self.tiles.min((band + 1) * self.height)
    }

    /// Number of tiles in a band.
    pub(super) fn len(&self, band: usize) -> usize {
        self.rows(band).map(|i| self.tiles - i).sum()
    }

    /// The tiles of a band, (row, column), in the order they are kept and read: column by column.
    pub(super) fn order(&self, band: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let rows = self.rows(band);
        (rows.start..self.tiles).flat_map(move |j| (rows.start..rows.end.min(j + 1)).map(move |i| (i, j)))
    }

    /// Entries of a tile.
    pub(super) fn area(&self) -> usize {
        self.edge * self.edge
    }

    /// Number of all tiles.
    pub(super) fn total(&self) -> usize {
        self.tiles * (self.tiles + 1) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_of_the_triangle_is_in_one_band_of_one_group() {
        for n in [1, 255, 256, 257, 5_000, 60_000] {
            let triangle = Triangle::new(n, 128);
            let mut seen = std::collections::HashSet::new();
            for band in triangle.groups.iter().flatten() {
                let order: Vec<_> = triangle.order(*band).collect();
                assert_eq!(order.len(), triangle.len(*band));
                assert!(order.into_iter().all(|tile| tile.0 <= tile.1 && seen.insert(tile)));
            }
            assert_eq!(seen.len(), triangle.total(), "{n}");
        }
    }

    #[test]
    fn groups_have_like_shares() {
        let triangle = Triangle::new(60_000, 128);
        let area = |group: &Vec<usize>| group.iter().map(|b| triangle.len(*b)).sum::<usize>();
        let areas: Vec<usize> = triangle.groups.iter().map(area).collect();
        let mean = triangle.total() as f64 / GROUPS as f64;
        assert!(areas.iter().all(|a| (*a as f64 - mean).abs() < 0.05 * mean), "{areas:?}");
    }

    #[test]
    fn sides_suit_the_kernel_and_the_registers() {
        assert_eq!([1, 8, 10, 100, 128, 300].map(tile_side), [256, 256, 320, 400, 256, 1200]);
    }
}
