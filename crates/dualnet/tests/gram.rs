//! The grid of tiles, jobs and their assembly, on a small plain kernel and on dense ones.
#![allow(clippy::unwrap_used, clippy::panic)]

use dualnet::gram::{self, Band, Grid, Job, Kind, MemoryStore, Part, Tile, TileStore};
use dualnet::kernel::{DenseKernel, Float, Get, Grams, Kernel, Region, TileOut};
use dualnet::net::Net;
use dualnet::resources::Progress;
use dualnet::{Error, Mat, MatRef, Resources};
use proptest::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SIDE: usize = 4;

/// nngp = x_i y_j (not symmetric in its bits' order of tiles: row first), ntk = its square plus 1; what is not wanted is NaN.
struct Plain;

impl Kernel<f64> for Plain {
    type Samples = Vec<f64>;
    type Workspace = ();
    fn side(&self) -> usize {
        SIDE
    }
    fn prepare(&self, x: MatRef<'_, f64>, _: &str, _: &Resources) -> dualnet::Result<Vec<f64>> {
        Ok((0..x.rows()).map(|i| x.row(i)[0]).collect())
    }
    fn len(&self, samples: &Vec<f64>) -> usize {
        samples.len()
    }
    fn own(&self, x: &Vec<f64>, range: Range<usize>, _: &Resources) -> dualnet::Result<Vec<(f64, f64)>> {
        Ok(x[range].iter().map(|v| (v * v, v.powi(4) + 1.0)).collect())
    }
    fn workspace(&self, _: Get) {}
    fn workspace_bytes(&self, _: Get) -> u64 {
        1000
    }
    fn samples_bytes(&self, n: usize) -> u64 {
        8 * n as u64
    }
    fn tile(
        &self,
        _: &mut (),
        rows: (&Vec<f64>, usize),
        cols: (&Vec<f64>, usize),
        out: TileOut<'_, f64>,
        _: &Resources,
    ) -> dualnet::Result<()> {
        out.nngp.fill(f64::NAN);
        out.ntk.fill(f64::NAN);
        for (i, x) in rows.0.iter().skip(rows.1 * SIDE).take(SIDE).enumerate() {
            for (j, y) in cols.0.iter().skip(cols.1 * SIDE).take(SIDE).enumerate() {
                if out.region == Region::All || i <= j {
                    out.nngp[i * SIDE + j] = x * y;
                    if let Some(t) = out.ntk.get_mut(i * SIDE + j) {
                        *t = x * x * y * y + 1.0;
                    }
                }
            }
        }
        Ok(())
    }
}

fn values(n: usize, seed: u64) -> Vec<f64> {
    (0..n as u64).map(|i| ((i * 37 + seed % 1000) % 101) as f64 - 50.5).collect()
}

fn gets() -> impl Strategy<Value = Get> {
    prop::sample::select(vec![Get::Nngp, Get::Ntk, Get::Both])
}

/// The matrices of a job, by bands of `blocks` row blocks.
fn banded<T: Float>(grid: &Grid, get: Get, store: &impl TileStore<T>, blocks: usize) -> dualnet::Result<Grams<T>> {
    let (mut nngp, mut ntk) = (Vec::new(), Vec::new());
    let last = grid.blocks().0;
    for first in (0..last).step_by(blocks) {
        let end = last.min(first + blocks);
        let len = ((end * grid.side()).min(grid.rows()) - first * grid.side()) * grid.columns();
        for (there, all) in [(get.nngp(), &mut nngp), (get.ntk(), &mut ntk)] {
            all.resize(all.len() + if there { len } else { 0 }, T::default());
        }
        let from = first * grid.side() * grid.columns();
        // One matrix at a time, as files are written.
        let band = Band { nngp: if get.nngp() { &mut nngp[from..] } else { &mut [] }, ntk: &mut [] };
        gram::fill(grid, get, first..end, store, band)?;
        let band = Band { nngp: &mut [], ntk: if get.ntk() { &mut ntk[from..] } else { &mut [] } };
        gram::fill(grid, get, first..end, store, band)?;
    }
    let matrix = |there: bool, v| there.then(|| Mat::from_vec(grid.rows(), grid.columns(), v).unwrap());
    Ok(Grams { nngp: matrix(get.nngp(), nngp), ntk: matrix(get.ntk(), ntk) })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_grid_covers_every_entry_once(n in 0usize..40, m in 0usize..40, side in 1usize..9, symmetric: bool) {
        let grid = if symmetric { Grid::symmetric(n, side) } else { Grid::rectangular(n, m, side) };
        let m = if symmetric { n } else { m };
        let (mut seen, mut pairs) = (vec![0; n * m], 0);
        for index in 0..grid.tiles() {
            let tile = grid.tile(index);
            prop_assert_eq!((tile.index, grid.find(tile.i, tile.j)), (index, Some(index)));
            prop_assert!((1..=side).contains(&tile.height) && (1..=side).contains(&tile.width));
            pairs += tile.pairs();
            for r in 0..tile.height {
                for c in 0..tile.width {
                    let (i, j) = (tile.i * side + r, tile.j * side + c);
                    seen[i * m + j] += 1;
                    if symmetric && tile.i != tile.j {
                        seen[j * m + i] += 1;
                    }
                }
            }
        }
        prop_assert!(seen.iter().all(|times| *times == 1));
        prop_assert_eq!(pairs, grid.pairs());
        let found = (0..grid.blocks().0 + 2).flat_map(|i| (0..grid.blocks().1 + 2).map(move |j| (i, j)));
        prop_assert_eq!(found.filter_map(|(i, j)| grid.find(i, j)).count() as u64, grid.tiles());
    }

    #[test]
    fn parts_share_the_tiles_evenly(of in 1u64..9, tiles in 0u64..60) {
        let parts: Vec<Part> = (1..=of).map(|k| Part::new(k, of).unwrap()).collect();
        for tile in 0..tiles {
            prop_assert_eq!(parts.iter().filter(|p| p.has(tile)).count(), 1);
        }
        for part in &parts {
            prop_assert_eq!(part.count(tiles), (0..tiles).filter(|t| part.has(*t)).count() as u64);
            prop_assert!(part.count(tiles) >= tiles / of && part.count(tiles) <= tiles.div_ceil(of));
            prop_assert_eq!(&part.to_string().parse::<Part>().unwrap(), part);
        }
    }

    #[test]
    fn jobs_give_what_memory_gives(
        n in 0usize..30, m in 0usize..30, symmetric: bool, get in gets(), parts in 1u64..5, threads in 1usize..4,
        lost in prop::collection::vec(0u64..30, 0..5), blocks in 1usize..4, seed: u64,
    ) {
        let resources = Resources::new(threads).unwrap();
        let (x, y) = (values(n, seed), values(m, seed / 3));
        let (samples, grid) = match symmetric {
            true => ((&x, &x), Grid::symmetric(n, SIDE)),
            false => ((&x, &y), Grid::rectangular(n, m, SIDE)),
        };
        let whole = match symmetric {
            true => gram::symmetric_prepared(&Plain, &x, get, &resources).unwrap(),
            false => gram::cross_prepared(&Plain, &x, &y, get, &resources).unwrap(),
        };
        for (i, a) in samples.0.iter().enumerate() {
            for (j, b) in samples.1.iter().enumerate() {
                prop_assert_eq!(whole.nngp.as_ref().map_or(a * b, |k| k[(i, j)]), a * b);
                prop_assert_eq!(whole.ntk.as_ref().map_or(0.0, |k| k[(i, j)] - 1.0 - a * a * b * b), 0.0);
            }
        }
        let store = MemoryStore::new();
        let mut done = gram::Done::default();
        let mut run = |part| {
            let job = Job { grid: grid.clone(), get, part };
            let one = gram::run(&Plain, samples, &job, &store, &resources).unwrap();
            done.tiles += one.tiles;
            done.pairs += one.pairs;
            one
        };
        for k in (1..=parts).rev() {
            prop_assert_eq!(run(Part::new(k, parts).unwrap()).tiles, Part::new(k, parts).unwrap().count(grid.tiles()));
        }
        prop_assert_eq!((done.tiles, done.pairs), (grid.tiles(), grid.pairs()));
        // Tiles that are lost are computed again, and only those.
        let before = store.len();
        lost.iter().for_each(|tile| store.remove(*tile));
        let missing = (before - store.len()) as u64;
        if missing > 0 {
            let error = gram::assemble(&grid, get, &store, &resources).unwrap_err().to_string();
            prop_assert!(error.starts_with("tile ") && error.contains("run the job again"), "{}", error);
        }
        let job = Job { grid: grid.clone(), get, part: Part::WHOLE };
        prop_assert_eq!(gram::run(&Plain, samples, &job, &store, &resources).unwrap().tiles, missing);
        prop_assert_eq!(&gram::assemble(&grid, get, &store, &resources).unwrap(), &whole);
        prop_assert_eq!(&banded(&grid, get, &store, blocks).unwrap(), &whole);
    }
}

#[test]
fn dense_jobs_have_the_bits_of_memory() {
    let kernel = DenseKernel::new(&Net::parse("fc-erf-2").unwrap(), 3).unwrap();
    let draw = |n: usize, seed: usize| Mat::from_fn(n, 3, |i, j| ((i * 31 + j * 17 + seed) % 23) as f32 / 7.0 - 1.5);
    let (x, y) = (draw(300, 1), draw(140, 5));
    let resources = Resources::new(2).unwrap();
    let prepared = |m: &Mat<f32>| kernel.prepare(m.as_ref(), "x", &resources).unwrap();
    let (a, b) = (prepared(&x), prepared(&y));
    let whole = kernel.cross(x.as_ref(), y.as_ref(), Get::Both, &resources).unwrap();
    let job = Job { grid: Grid::rectangular(300, 140, 128), get: Get::Both, part: Part::WHOLE };
    let store = MemoryStore::new();
    assert_eq!(gram::run(&kernel, (&a, &b), &job, &store, &resources).unwrap().tiles, 6);
    assert_eq!(gram::assemble(&job.grid, Get::Both, &store, &resources).unwrap(), whole);
    assert_eq!(job.tile_values(), 2 * 128 * 128);
}

#[test]
fn plans_of_dense_kernels_count_what_is_kept() {
    let text = r#"{"layers": ["dense", "tanh", {"sum": [["dense", "relu", "dense"], ["dense"]]}, "layer_norm", "erf", "dense"]}"#;
    let kernel = DenseKernel::new(&Net::parse(text).unwrap(), 5).unwrap();
    let x = Mat::from_fn(200, 5, |i, j| ((i * 7 + j) % 13) as f64 - 6.2);
    let s = kernel.prepare(x.as_ref(), "x", &Resources::new(1).unwrap()).unwrap();
    let count = s.x.len() + s.columns.len() + s.inverse_norm.len() + s.nngp.len() + s.ntk.len();
    let count = count + s.stages.iter().map(|s| s.p.len() + s.sp.len()).sum::<usize>();
    let count = count + s.tables.iter().map(Vec::len).sum::<usize>();
    assert_eq!(Kernel::<f64>::samples_bytes(&kernel, 200), 8 * count as u64);
    let job = Job { grid: Grid::symmetric(200, 128), get: Get::Both, part: Part::WHOLE };
    let plan = job.plan::<f64, _>(&kernel, 3);
    assert_eq!((plan.matrices, plan.samples), (2 * 200 * 200 * 8, 8 * count as u64));
    // Two tiles of 128 x 128, and strips of 4 rows: 1-|rho|, and c, 1-|rho| and t of each of two branches.
    let strips = 7 * 4 * 128 * 8;
    let constants = plan.workspaces / 3 - (2 * 128 * 128 * 8 + strips);
    assert!(constants > 0 && constants < 4 * 300 * 8, "{constants}");
}

#[test]
fn the_time_of_a_pair_is_measured_on_any_number_of_samples() {
    let resources = Resources::new(2).unwrap();
    for n in [1, 3, 9] {
        let x = Mat::from_vec(n, 1, values(n, 1)).unwrap();
        let seconds = gram::seconds_per_pair(&Plain, x.as_ref(), Get::Both, &resources).unwrap();
        assert!(seconds > 0.0 && seconds < 1e-3, "{seconds}");
    }
}

/// Fails, or keeps tiles until it is full.
struct Full(MemoryStore<f64>, usize);

impl TileStore<f64> for Full {
    fn has(&self, tile: u64) -> bool {
        self.0.has(tile)
    }
    fn put(&self, tile: &Tile, values: &[f64]) -> dualnet::Result<()> {
        if self.0.len() == self.1 {
            let (at, problem, hint) = ("the disk".into(), "full".into(), "free some space".into());
            return Err(Error::Source { at, problem, hint });
        }
        self.0.put(tile, values)
    }
    fn get(&self, tile: &Tile, values: &mut [f64]) -> dualnet::Result<bool> {
        self.0.get(tile, values)
    }
}

struct Stop(AtomicU64);

impl Progress for Stop {
    fn update(&self, _: &str, done: u64, _: u64) {
        self.0.fetch_max(done, Ordering::Relaxed);
    }
    fn interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 5
    }
}

#[test]
fn what_was_done_before_an_error_is_kept() {
    let x = values(20, 1);
    let job = Job { grid: Grid::symmetric(20, SIDE), get: Get::Both, part: Part::WHOLE };
    let run = |store: &Full, resources: &Resources| gram::run(&Plain, (&x, &x), &job, store, resources);
    for threads in 1..4 {
        let resources = Resources::new(threads).unwrap();
        let store = Full(MemoryStore::new(), 6);
        assert_eq!(run(&store, &resources).unwrap_err().to_string(), "the disk: full; free some space");
        assert_eq!(store.0.len(), 6);
        let store = Full(MemoryStore::new(), 100);
        let stop = resources.clone().with_progress(Arc::new(Stop(AtomicU64::new(0))));
        assert!(matches!(run(&store, &stop).unwrap_err(), Error::Interrupted { .. }));
        let kept = store.0.len() as u64;
        assert!((5..5 + threads as u64).contains(&kept), "{kept}");
        assert_eq!(run(&store, &resources).unwrap().tiles, job.grid.tiles() - kept);
    }
}

/// Remembers what it is told.
#[derive(Default)]
struct Told(std::sync::Mutex<Vec<(u64, u64)>>);

impl Progress for Told {
    fn update(&self, _: &str, done: u64, total: u64) {
        self.0.lock().unwrap().push((done, total));
    }
}

#[test]
fn progress_counts_what_is_left_and_not_too_often() {
    let x = values(400, 1);
    let told = Arc::new(Told::default());
    let resources = Resources::new(1).unwrap().with_progress(told.clone());
    let (store, grid) = (MemoryStore::new(), Grid::symmetric(400, SIDE));
    let job = |part| Job { grid: grid.clone(), get: Get::Nngp, part };
    gram::run(&Plain, (&x, &x), &job(Part::new(3, 4).unwrap()), &store, &resources).unwrap();
    let left = grid.tiles() - store.len() as u64;
    told.0.lock().unwrap().clear();
    gram::run(&Plain, (&x, &x), &job(Part::WHOLE), &store, &resources).unwrap();
    let told = told.0.lock().unwrap();
    assert_eq!((left, told.last()), (3788, Some(&(left, left))));
    assert!(told.len() <= 2001 && told.is_sorted() && told.iter().all(|(_, total)| *total == left));
}

#[test]
fn errors_say_where() {
    let resources = Resources::new(1).unwrap();
    let x = values(20, 1);
    let store = MemoryStore::new();
    let run = |x: &Vec<f64>, grid: Grid| {
        gram::run(&Plain, (x, x), &Job { grid, get: Get::Both, part: Part::WHOLE }, &store, &resources)
    };
    let error = run(&x, Grid::symmetric(21, SIDE)).unwrap_err().to_string();
    assert!(error.contains("expected 21 and 21 samples in tiles of 4, found 20 and 20"), "{error}");
    assert!(run(&x, Grid::symmetric(20, 8)).is_err());
    let mut bad = x.clone();
    bad[13] = 1e200;
    let error = run(&bad, Grid::symmetric(20, SIDE)).unwrap_err();
    assert!(matches!(error, Error::Overflow { row: 0, column: 13, .. }), "{error}");

    let small = resources.clone().with_memory(1000);
    let error = gram::assemble(&Grid::symmetric(20, SIDE), Get::Both, &store, &small).unwrap_err().to_string();
    assert!(error.contains("needs 6400 bytes") && error.contains("by bands of rows"), "{error}");
    let mut short = [0.0; 3];
    let band = Band { nngp: &mut short, ntk: &mut [] };
    let error = gram::fill(&Grid::symmetric(20, SIDE), Get::Both, 0..1, &store, band).unwrap_err().to_string();
    assert!(error.contains("slices of 80 values") && error.contains("slices of 3 and 0"), "{error}");
    for text in ["", "1", "0/3", "4/3", "1/0", "-1/2", "a/b", "1/2/3"] {
        let error = text.parse::<Part>().unwrap_err().to_string();
        assert!(error.contains(&format!("found {text}; 1/2 and 2/2")), "{error}");
    }
    let error = Part::new(0, 0).unwrap_err().to_string();
    assert!(error.contains("1 <= k <= N"), "{error}");
    assert_eq!(Grid::symmetric(3, 0).side(), 1);
    assert_eq!(Grid::rectangular(3, 0, 2).tiles(), 0);
    assert_eq!(Grid::symmetric(0, 2).kind(), Kind::Symmetric);
    assert_eq!(Grid::symmetric(0, 2).tile(0).area(), 0);
}
