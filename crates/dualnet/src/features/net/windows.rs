//! Which positions a window meets.

use super::spread::Windows;
use crate::net::{Padding, Pooling, behind, in_front};

/// Windows along one axis of n positions, each of which meets one at least.
fn axis(n: usize, size: usize, step: usize, padding: Padding) -> Vec<Vec<Option<usize>>> {
    let count = behind(n, size, step, padding);
    let low = in_front(n, size, step, count, padding);
    let meets = |shifted: usize| match padding {
        Padding::Circular => Some((shifted + low.div_ceil(n) * n - low) % n),
        Padding::Same | Padding::Valid => shifted.checked_sub(low).filter(|at| *at < n),
    };
    (0..count).map(|o| (0..size).map(|d| meets(o * step + d)).collect()).collect()
}

/// Positions in a row: two axes at most, row by row.
pub(super) fn positions(grid: &[usize]) -> usize {
    grid.iter().product()
}

/// The grid behind windows of `size` and `step` on `grid`, and the windows.
pub(super) fn windows(grid: &[usize], size: &[usize], step: &[usize], padding: Padding) -> (Vec<usize>, Windows) {
    let axes: Vec<_> = (0..grid.len()).map(|i| axis(grid[i], size[i], step[i], padding)).collect();
    let behind = axes.iter().map(Vec::len).collect();
    let mut windows: Windows = vec![vec![Some(0)]];
    for (axis, n) in axes.iter().zip(grid) {
        let product = |outer: &Vec<Option<usize>>, inner: &Vec<Option<usize>>| {
            outer.iter().flat_map(|o| inner.iter().map(move |i| Some((*o)? * n + (*i)?))).collect::<Vec<_>>()
        };
        windows = windows
            .iter()
            .flat_map(|outer| axis.iter().map(|inner| product(outer, inner)).collect::<Vec<_>>())
            .collect();
    }
    (behind, windows)
}

/// For each position, where it goes and with which weight.
pub(super) fn pooled(
    windows: &Windows,
    from: usize,
    pooling: Pooling,
    normalize_edges: bool,
) -> Vec<Vec<(usize, f64)>> {
    let mut goes = vec![Vec::new(); from];
    for (to, window) in windows.iter().enumerate() {
        let inside = window.iter().flatten().count();
        let weight = match pooling {
            Pooling::Sum => 1.0,
            Pooling::Average => 1.0 / if normalize_edges { inside.max(1) } else { window.len() } as f64,
        };
        for &at in window.iter().flatten() {
            goes[at].push((to, weight));
        }
    }
    goes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_even_size_reach_behind() {
        let (behind, windows) = windows(&[3], &[2], &[1], Padding::Same);
        assert_eq!(behind, [3]);
        assert_eq!(windows, [vec![Some(0), Some(1)], vec![Some(1), Some(2)], vec![Some(2), None]]);
    }

    #[test]
    fn two_axes_go_row_by_row() {
        let (behind, found) = windows(&[2, 3], &[1, 3], &[1, 2], Padding::Circular);
        assert_eq!(behind, [2, 2]);
        assert_eq!(found[2], [Some(5), Some(3), Some(4)]);
        let goes = pooled(&found, 6, Pooling::Average, false);
        assert_eq!(goes[3].iter().map(|(to, _)| *to).collect::<Vec<_>>(), [2, 3]);
        assert!((goes[3][0].1 - 1.0 / 3.0).abs() < 1e-15);
    }
}
