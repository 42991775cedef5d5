//! The tiles of a matrix: which there are, in which order, and which part of a divided job has which.

use crate::error::{Error, Result};
use crate::kernel::Region;
use std::fmt;
use std::str::FromStr;

/// Whether both sides of a matrix are the same samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// K(x, x): tiles on and above the diagonal are computed, the others are their mirror images.
    Symmetric,
    /// K(x, y): all tiles are computed.
    Rectangular,
}

/// The tiles of a matrix, numbered row by row. It depends on sizes alone, never on threads, so that no bit of a result does.
///
/// ```
/// use dualnet::gram::{Grid, Kind};
/// let grid = Grid::symmetric(20, 8);
/// assert_eq!((grid.tiles(), grid.pairs(), grid.kind()), (6, 210, Kind::Symmetric));
/// let last = grid.tile(5);
/// assert_eq!((last.i, last.j, last.height, last.width), (2, 2, 4, 4));
/// assert_eq!(grid.find(1, 2), Some(4));
/// assert_eq!(grid.find(2, 1), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    rows: usize,
    columns: usize,
    side: usize,
    kind: Kind,
}

/// One tile of a [`Grid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Number in the grid.
    pub index: u64,
    /// Block of rows: samples `i * side` and the following.
    pub i: usize,
    /// Block of columns.
    pub j: usize,
    /// Rows: `side`, fewer at the lower edge.
    pub height: usize,
    /// Columns: `side`, fewer at the right edge.
    pub width: usize,
    /// Which entries are computed.
    pub region: Region,
}

impl Tile {
    /// Entries of one matrix in this tile.
    pub fn area(&self) -> usize {
        self.height * self.width
    }
    /// Pairs of samples that are computed for it.
    pub fn pairs(&self) -> u64 {
        match self.region {
            Region::All => self.area() as u64,
            Region::Upper => (self.height as u64 * (self.height as u64 + 1)) / 2,
        }
    }
}

impl Grid {
    /// Of K(x, x) for `n` samples, tiles having `side` samples along each side.
    pub fn symmetric(n: usize, side: usize) -> Self {
        Self { rows: n, columns: n, side: side.max(1), kind: Kind::Symmetric }
    }
    /// Of K(x, y) for `n` and `m` samples.
    pub fn rectangular(n: usize, m: usize, side: usize) -> Self {
        Self { rows: n, columns: m, side: side.max(1), kind: Kind::Rectangular }
    }
    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// Samples along each side of a tile.
    pub fn side(&self) -> usize {
        self.side
    }
    /// Whether both sides are the same samples.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// Blocks of rows and blocks of columns.
    pub fn blocks(&self) -> (usize, usize) {
        (self.rows.div_ceil(self.side), self.columns.div_ceil(self.side))
    }

    /// Tiles that are computed.
    pub fn tiles(&self) -> u64 {
        self.first(self.blocks().0)
    }

    /// Pairs of samples that are computed: n(n+1)/2 or n m.
    pub fn pairs(&self) -> u64 {
        let (n, m) = (self.rows as u64, self.columns as u64);
        match self.kind {
            Kind::Symmetric => n * (n + 1) / 2,
            Kind::Rectangular => n * m,
        }
    }

    /// Number of the first tile of block row `i`: all tiles above it.
    fn first(&self, i: usize) -> u64 {
        let (i, width) = (i as u64, self.blocks().1 as u64);
        match self.kind {
            Kind::Symmetric => i * width - i * i.saturating_sub(1) / 2,
            Kind::Rectangular => i * width,
        }
    }

    /// Tile number `index`; beyond the last one, the tile has no entries. Cost: a binary search over block rows.
    pub fn tile(&self, index: u64) -> Tile {
        let (mut low, mut high) = (0, self.blocks().0);
        // The last block row that begins at or before `index`.
        while high > low + 1 {
            let middle = low.midpoint(high);
            if self.first(middle) <= index { low = middle } else { high = middle }
        }
        let shift = if self.kind == Kind::Symmetric { low } else { 0 };
        let (i, j) = (low, shift + (index - self.first(low)) as usize);
        let length = |n: usize, block: usize| n.saturating_sub(block.saturating_mul(self.side)).min(self.side);
        let region = if self.kind == Kind::Symmetric && i == j { Region::Upper } else { Region::All };
        Tile { index, i, j, height: length(self.rows, i), width: length(self.columns, j), region }
    }

    /// The number of the tile in block row `i` and block column `j`; `None` where it is a mirror image or outside.
    pub fn find(&self, i: usize, j: usize) -> Option<u64> {
        let (height, width) = self.blocks();
        let first = if self.kind == Kind::Symmetric { i } else { 0 };
        (i < height && (first..width).contains(&j)).then(|| self.first(i) + (j - first) as u64)
    }
}

/// Part k of N of a job: the tiles whose number leaves k - 1 when divided by N. Parts have equally many tiles, give or take one, and their
/// costs are alike.
///
/// ```
/// use dualnet::gram::Part;
/// let part: Part = "2/3".parse()?;
/// assert_eq!((0..7).filter(|tile| part.has(*tile)).collect::<Vec<_>>(), [1, 4]);
/// assert_eq!((part.count(7), part.to_string()), (2, "2/3".into()));
/// assert!("4/3".parse::<Part>().is_err());
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    number: u64,
    of: u64,
}

impl Part {
    /// All tiles.
    pub const WHOLE: Part = Part { number: 1, of: 1 };

    /// Part `number` (from 1) of `of`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless 1 <= number <= of.
    pub fn new(number: u64, of: u64) -> Result<Self> {
        if (1..=of).contains(&number) { Ok(Self { number, of }) } else { Err(not_a_part(&format!("{number}/{of}"))) }
    }
    /// Whether a tile belongs to it.
    pub fn has(&self, tile: u64) -> bool {
        tile % self.of == self.number - 1
    }
    /// How many of the first `tiles` tiles belong to it.
    pub fn count(&self, tiles: u64) -> u64 {
        tiles.saturating_sub(self.number - 1).div_ceil(self.of)
    }
    /// Its `n`-th tile, counted from 0.
    pub(super) fn nth(&self, n: u64) -> u64 {
        self.number - 1 + n * self.of
    }
}

fn not_a_part(found: &str) -> Error {
    Error::Invalid {
        what: "part of a job".into(),
        expected: "k/N with 1 <= k <= N".into(),
        found: found.into(),
        hint: "1/2 and 2/2 are the halves of a job".into(),
    }
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, of) = text.split_once('/').ok_or_else(|| not_a_part(text))?;
        match (number.trim().parse(), of.trim().parse()) {
            (Ok(number), Ok(of)) => Self::new(number, of),
            _ => Err(not_a_part(text)),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}
