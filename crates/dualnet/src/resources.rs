//! What a computation may use: threads, memory, randomness, and whom it tells how far it is. Arguments, never globals.

use crate::error::{Error, Result};
use crate::simd::Isa;
use std::sync::Arc;

/// Receives progress of long work and may end it.
pub trait Progress: Send + Sync {
    /// `done` of `total` units of `what` are finished. Called from any thread, at most a few thousand times a run.
    fn update(&self, what: &str, done: u64, total: u64);
    /// True when the work should stop with [`Error::Interrupted`].
    fn interrupted(&self) -> bool {
        false
    }
}

/// Says nothing and never interrupts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn update(&self, _: &str, _: u64, _: u64) {}
}

/// Threads, memory limit, seed, instruction set and progress of a computation.
///
/// Results do not depend on the number of threads, bit for bit.
///
/// ```
/// use dualnet::Resources;
/// let two = Resources::new(2)?.with_memory(8 << 30).with_seed(1);
/// assert_eq!(two.threads(), 2);
/// # Ok::<(), dualnet::Error>(())
/// ```
#[derive(Clone)]
pub struct Resources {
    pool: Arc<rayon::ThreadPool>,
    /// Bytes that may be allocated; `None`: no limit.
    pub memory: Option<u64>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Instruction set of vector code.
    pub isa: Isa,
    /// Whom to tell.
    pub progress: Arc<dyn Progress>,
}

impl std::fmt::Debug for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resources")
            .field("threads", &self.threads())
            .field("memory", &self.memory)
            .field("seed", &self.seed)
            .field("isa", &self.isa)
            .finish()
    }
}

impl Resources {
    /// `threads` threads (0: one for each core), no memory limit, seed 0, the best instruction set, silence.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| Error::Invalid {
            what: "threads".into(),
            expected: "a number of threads this machine can start".into(),
            found: format!("{threads} ({e})"),
            hint: "ask for fewer".into(),
        })?;
        Ok(Self { pool: Arc::new(pool), memory: None, seed: 0, isa: Isa::best(), progress: Arc::new(Silent) })
    }

    /// With at most `bytes` of memory.
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// With another seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// With another instruction set.
    pub fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// With somebody to tell.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `work` where rayon's parallel iterators use these threads.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Refuses `what` if it needs more than the limit; `hint` names the option that helps.
    pub fn reserve(&self, what: &str, needed: u64, hint: &str) -> Result<()> {
        match self.memory {
            Some(limit) if needed > limit => Err(Error::Memory { what: what.into(), needed, limit, hint: hint.into() }),
            _ => Ok(()),
        }
    }

    /// An error if somebody asked to stop.
    pub fn check(&self, what: &str) -> Result<()> {
        if self.progress.interrupted() { Err(Error::Interrupted { what: what.into() }) } else { Ok(()) }
    }
}
