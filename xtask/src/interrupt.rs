//! Ctrl-C and SIGTERM: what was started is stopped and removed before we end.
use anyhow::{Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Notices the signals from when it is made.
pub(crate) struct Interrupt {
    seen: Arc<AtomicBool>,
}

impl Interrupt {
    /// From here on the signals no longer end the process by themselves.
    pub(crate) fn watch() -> Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&seen))?;
        }
        Ok(Self { seen })
    }

    /// An error once a signal came: to be asked between steps.
    pub(crate) fn check(&self) -> Result<()> {
        if self.seen.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Blocks until a signal comes, or came before.
    pub(crate) fn wait(&self) {
        while !self.seen.load(Ordering::Relaxed) {
            testbed::clock::pause(Duration::from_millis(50));
        }
    }
}
