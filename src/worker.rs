//! A thread of ours, which does not outlive its owner: it is told to end and waited for when its owner stops it or is
//! dropped, so also when a start fails half-way. Knows nothing of its work.
#![forbid(unsafe_code)]

use std::thread::JoinHandle;

use parking_lot::Mutex;

/// The thread.
pub struct Worker {
    /// Has the thread end soon. May be called again when it has ended.
    tell: Box<dyn Fn() + Send + Sync>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts a thread. After `tell`, `body` returns soon.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        name: &str,
        body: impl FnOnce() + Send + 'static,
        tell: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
        Ok(Self::of(thread, tell))
    }

    /// A thread that was started by its owner, who saw it begin well. As [`Self::start`] otherwise.
    #[must_use]
    pub fn of(thread: JoinHandle<()>, tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), thread: Mutex::new(Some(thread)) }
    }

    /// Tells the thread to end, and waits until it has; a second time does nothing more.
    pub fn stop(&self) {
        (self.tell)();
        // Held while it is waited for: whoever else stops it waits as well.
        let mut thread = self.thread.lock();
        let Some(thread) = thread.take() else { return };
        let name = thread.thread().name().unwrap_or_default().to_owned();
        if thread.join().is_err() {
            log::error!("the thread {name} had failed");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_thread_ends_with_its_owner() {
        let (tell, told) = channel::<()>();
        let tell = Mutex::new(Some(tell));
        let mark = Arc::new(());
        let held = Arc::clone(&mark);
        let body = move || {
            let _held = held;
            assert!(told.recv().is_err(), "nothing is ever sent");
        };
        let worker = Worker::start("worker-test", body, move || drop(tell.lock().take())).unwrap();
        assert_eq!(Arc::strong_count(&mark), 2);
        worker.stop();
        assert_eq!(Arc::strong_count(&mark), 1, "it was waited for");
        drop(worker);
    }

    #[test]
    fn a_thread_that_failed_is_stopped_all_the_same() {
        drop(Worker::start("worker-test", || panic!("expected in this test"), || ()).unwrap());
    }
}
