//! Which processor runs what: the servers share the second, and the load has the first. Left to itself, the scheduler
//! puts one server beside the load and the other on top of it, and that is measured then.
use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processors that were ours at the start.
pub(super) struct Processors {
    ours: CpuSet,
    load: CpuSet,
    servers: CpuSet,
}

impl Processors {
    /// `None`, and a word about it, where there is only one.
    pub(super) fn find() -> Result<Option<Self>> {
        let ours = sched_getaffinity(None).context("which processors are ours?")?;
        let mut numbers = (0..CpuSet::MAX_CPU).filter(|number| ours.is_set(*number));
        let (Some(first), Some(second)) = (numbers.next(), numbers.next()) else {
            eprintln!("bench: one processor only: load and servers are in each other's way");
            return Ok(None);
        };
        let only = |number| {
            let mut set = CpuSet::new();
            set.set(number);
            set
        };
        Ok(Some(Self { ours, load: only(first), servers: only(second) }))
    }

    /// From now on this thread, and what it starts, is where servers run.
    pub(super) fn start_servers(&self) -> Result<()> {
        Self::bind(&self.servers)
    }

    /// From now on this thread, and what it starts, is load.
    pub(super) fn start_load(&self) -> Result<()> {
        Self::bind(&self.load)
    }

    /// As at the start.
    pub(super) fn free(&self) -> Result<()> {
        Self::bind(&self.ours)
    }

    fn bind(set: &CpuSet) -> Result<()> {
        sched_setaffinity(None, set).context("cannot choose a processor")
    }
}
