//! Memory that a pair of images needs, known before the start.

use super::image::Image;
use super::planes::State;
use super::program::{Chain, End, Grid, PAD, Program};
use crate::kernel::{Float, Get};

/// Bytes of a workspace in its largest state.
pub fn workspace<T: Float>(program: &Program, get: Get) -> u64 {
    let kernels = 1 + usize::from(get.ntk());
    let rotated = |maps: usize, grid: Grid| maps * ((2 * grid.positions()).next_multiple_of(PAD) + PAD);
    let tables: usize = program.tables.iter().map(|(table, grid)| rotated(table.maps(), *grid)).sum();
    // Two neighbours on a row are the common case.
    let masks = 2 * program.convs * (program.grid.positions() + PAD);
    let plane = program.grid.positions() + 2 * program.margin + PAD;
    let state = peak(&program.pair) + plane + program.sums;
    ((tables + masks + rotated(program.channels, program.grid) + kernels * state) * size_of::<T>()) as u64
}

/// Bytes of `n` images with their tables.
pub fn samples<T: Float>(program: &Program, n: usize) -> u64 {
    Image::<T>::bytes(program).saturating_mul(n as u64)
}

/// Values of the states that are there at the same time, at most, of one of both kernels.
fn peak(chain: &Chain) -> usize {
    let (mut before, mut most) = (0, 0);
    for segment in &chain.segments {
        let (grid, offsets, _) = segment.next();
        let next = State::<f64>::len(grid, &offsets);
        let inside = match &segment.end {
            End::Attention(_) => 6 * grid.positions() * grid.positions(),
            // The ends of all branches wait for the last of them.
            End::Branches { branches, .. } => branches.iter().map(peak).sum(),
            _ => 0,
        };
        most = most.max(before + next + inside);
        before = next;
    }
    most
}
