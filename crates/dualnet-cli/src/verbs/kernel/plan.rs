//! What a kernel will take: memory by its peak, time from pairs that were measured.

use crate::error::Result;
use crate::expected::{Expected, PROGRAM};
use crate::output;
use dualnet::Resources;
use dualnet::gram::{Job, Plan};
use serde_json::{Value, json};

/// Where the matrices are while they are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In memory.
    Memory,
    /// In a job's folder.
    Folder,
}

/// Bytes of everything, at its largest.
#[derive(Clone, Copy)]
pub struct Bytes {
    /// The parts that the library knows.
    pub plan: Plan,
    /// Samples as they were read, and in the precision of the computation.
    pub read: [u64; 2],
    /// The index of the tiles of a job.
    index: u64,
    /// Rows of the matrices at the time they are written to the file.
    band: u64,
    kept: Kept,
}

impl Bytes {
    /// Of a job.
    pub fn new(job: &Job, plan: Plan, read: [u64; 2], kept: Kept, limit: Option<u64>) -> Self {
        let index = if kept == Kept::Folder { 8 * job.grid.tiles() } else { 0 };
        let mut bytes = Self { plan, read, index, band: 0, kept };
        if kept == Kept::Folder {
            bytes.band = bytes.band_blocks(job, limit) as u64 * bytes.block(job);
        }
        bytes
    }

    /// The rows of one matrix that a row of tiles has.
    fn block(&self, job: &Job) -> u64 {
        let rows = job.grid.rows().max(1) as u64;
        let row = self.plan.matrices / job.get.matrices() as u64 / rows;
        row * job.grid.side().min(job.grid.rows()) as u64
    }

    /// Row blocks that are assembled at a time: many read fewer tiles twice, and should be few beside the rest.
    pub fn band_blocks(&self, job: &Job, limit: Option<u64>) -> usize {
        const ENOUGH: u64 = 64 << 20;
        let free = limit.map_or(ENOUGH, |limit| limit.saturating_sub(self.index + self.plan.samples) / 2).min(ENOUGH);
        let blocks = free / self.block(job).max(1);
        (blocks as usize).clamp(1, job.grid.blocks().0.max(1))
    }

    /// The samples at their largest: as they are read, or while they are prepared.
    fn samples(&self) -> u64 {
        let [raw, converted] = self.read;
        (raw + converted).max(converted + self.plan.samples)
    }

    /// At the peak, beside the program itself: samples being read or prepared, pairs being computed, the file being written.
    pub fn peak(&self) -> u64 {
        let matrices = if self.kept == Kept::Memory { self.plan.matrices } else { 0 };
        // What samples took, an allocator may keep for more of their kind: it counts while the file is written too.
        let computing = self.plan.samples + (self.plan.workspaces + matrices).max(self.band);
        self.index + self.samples().max(computing)
    }

    /// Refuses what does not fit.
    pub fn check(&self, job: &Job, resources: &Resources) -> Result<()> {
        let (n, m) = (job.grid.rows(), job.grid.columns());
        let (what, hint) = match self.kept {
            Kept::Memory => (
                format!("a kernel matrix of {n} x {m}, with samples and workspaces,"),
                "raise --memory, take f32, fewer rows, or only one of nngp and ntk; with --job the matrix stays on disk",
            ),
            Kept::Folder => (
                format!("the job of a kernel matrix of {n} x {m}"),
                "raise --memory, or take fewer --threads, f32 or fewer rows",
            ),
        };
        Ok(resources.reserve(&what, self.peak(), hint)?)
    }

    /// For the report.
    pub fn json(&self) -> Value {
        json!({
            "matrices": self.plan.matrices, "samples": self.samples(), "workspaces": self.plan.workspaces,
            "index": self.index, "band": self.band, "program": PROGRAM, "peak": PROGRAM + self.peak(),
        })
    }
}

/// What a plan says to people: sizes, memory, time.
pub fn sentence(size: &str, bytes: &Bytes, expected: &Expected) -> String {
    let place = if bytes.kept == Kept::Folder { "on disk" } else { "in memory" };
    format!("{size}: matrices {} {place}; {expected}", output::bytes(bytes.plan.matrices))
}
