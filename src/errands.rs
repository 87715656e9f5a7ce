//! Calls of this server to others on behalf of a request: mails, MedDream's tokens. They run on a thread of their own,
//! a few at a time and each for a bounded time; whoever asked waits there, on a thread of the server with little stack.
//!
//! Knows nothing of what is called.
#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::seats::Seats;
use crate::worker::Worker;

/// How long the start may take: making the tool reads certificates, nothing else.
const START: Duration = Duration::from_secs(20);
/// How long the end waits for a name lookup, the one thing that cannot be dropped.
const END: Duration = Duration::from_millis(500);
/// How much longer than its errand somebody waits: the thread may be busy for a moment.
const GRACE: Duration = Duration::from_secs(1);

/// Why an errand came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Too many are under way already.
    #[error("too many are waiting for the same server already")]
    Busy,
    /// It took too long, and was dropped.
    #[error("no answer within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// This server is going down, or the errand failed badly.
    #[error("given up")]
    Dropped,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Makes its future on the thread, where there is stack enough.
type Errand<T> = Box<dyn FnOnce(Arc<T>) -> Running + Send>;

/// The thread, and the tool that it works with: a client, a transport.
pub struct Errands<T> {
    /// Comes before the worker: that it is dropped tells the thread to end.
    inbox: Mutex<Option<UnboundedSender<Errand<T>>>>,
    worker: Worker,
    /// For those that are under way.
    seats: Arc<Seats>,
}

impl<T: Send + Sync + 'static> Errands<T> {
    /// Starts the thread. At most `most` errands are under way at once. `tool` is made, used and dropped there.
    ///
    /// # Errors
    /// Why there is no thread, or no tool.
    pub fn start(
        name: &str,
        most: usize,
        tool: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<Self, String> {
        let (inbox, errands) = unbounded_channel();
        let (ready, started) = sync_channel(1);
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .enable_time()
                // Name lookups block; they run on threads that end soon after.
                .max_blocking_threads(2)
                .thread_keep_alive(Duration::from_secs(1))
                .build();
            let made = runtime.map_err(|error| error.to_string()).and_then(|runtime| Ok((runtime, Arc::new(tool()?))));
            match made {
                Ok((runtime, tool)) => {
                    let _ = ready.send(Ok(()));
                    runtime.block_on(serve(tool, errands));
                    runtime.shutdown_timeout(END);
                }
                Err(fault) => {
                    let _ = ready.send(Err(fault));
                }
            }
        };
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|error| error.to_string())?;
        match started.recv_timeout(START) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                // It has nothing left to do and ends by itself.
                let _ = thread.join();
                return Err(fault);
            }
            Err(error) => return Err(error.to_string()),
        }
        let worker = Worker::of(thread, || ());
        Ok(Self { inbox: Mutex::new(Some(inbox)), worker, seats: Arc::new(Seats::new(most)) })
    }

    /// Runs an errand, and waits for what becomes of it: not longer than `limit` and a second.
    ///
    /// # Errors
    /// Why nothing did.
    pub fn run<R, F>(&self, limit: Duration, errand: impl FnOnce(Arc<T>) -> F + Send + 'static) -> Result<R, Fault>
    where
        R: Send + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        let seat = Seats::take(Arc::clone(&self.seats)).ok_or(Fault::Busy)?;
        let (answer, result) = sync_channel(1);
        let errand: Errand<T> = Box::new(move |tool| {
            let work = errand(tool);
            Box::pin(async move {
                let done = tokio::time::timeout(limit, work).await;
                // Before the answer, or whoever asks again at once finds it taken.
                drop(seat);
                let _ = answer.send(done);
            })
        });
        self.inbox.lock().as_ref().ok_or(Fault::Dropped)?.send(errand).map_err(|_| Fault::Dropped)?;
        match result.recv_timeout(limit.saturating_add(GRACE)) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) | Err(RecvTimeoutError::Timeout) => Err(Fault::TooSlow(limit)),
            Err(RecvTimeoutError::Disconnected) => Err(Fault::Dropped),
        }
    }

    /// Drops what is under way, and ends the thread.
    pub fn stop(&self) {
        drop(self.inbox.lock().take());
        self.worker.stop();
    }
}

async fn serve<T: Send + Sync + 'static>(tool: Arc<T>, mut errands: UnboundedReceiver<Errand<T>>) {
    while let Some(errand) = errands.recv().await {
        let tool = Arc::clone(&tool);
        // A task of its own from the start: a panic in one errand is none of the others'.
        tokio::spawn(async move { errand(tool).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn errands(most: usize) -> Errands<u32> {
        Errands::start("errands-test", most, || Ok(20)).unwrap()
    }

    #[test]
    fn what_an_errand_brings_is_handed_on() {
        let errands = errands(1);
        // One place is enough for one after the other.
        for more in [1, 2, 3] {
            assert_eq!(errands.run(LONG, move |tool| async move { *tool + more }), Ok(20 + more));
        }
    }

    #[test]
    fn nobody_waits_longer_than_the_limit() {
        let limit = Duration::from_millis(20);
        let errands = errands(1);
        let forever = |_| std::future::pending::<u32>();
        assert_eq!(errands.run(limit, forever), Err(Fault::TooSlow(limit)));
        // What was dropped has given its place back.
        assert_eq!(errands.run(LONG, |tool| async move { *tool }), Ok(20));
    }

    #[test]
    fn more_than_may_be_under_way_are_sent_away_at_once() {
        let errands = Arc::new(errands(1));
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let (begun, has_begun) = sync_channel(1);
        let first = {
            let errands = Arc::clone(&errands);
            std::thread::spawn(move || {
                errands.run(LONG, move |tool| async move {
                    begun.send(()).unwrap();
                    wait.await.unwrap();
                    *tool
                })
            })
        };
        has_begun.recv().unwrap();
        assert_eq!(errands.run(LONG, |tool| async move { *tool }), Err(Fault::Busy));
        go.send(()).unwrap();
        assert_eq!(first.join().unwrap(), Ok(20));
    }

    #[test]
    fn a_panic_in_one_is_none_of_the_others() {
        let errands = errands(1);
        let broken = |tool: Arc<u32>| async move {
            assert!(*tool == 0, "on purpose");
            1
        };
        assert_eq!(errands.run(LONG, broken), Err(Fault::Dropped));
        assert_eq!(errands.run(LONG, |tool| async move { *tool }), Ok(20));
    }

    #[test]
    fn the_end_drops_what_is_under_way() {
        let errands = Arc::new(errands(2));
        let (begun, has_begun) = sync_channel(1);
        let waiting = {
            let errands = Arc::clone(&errands);
            std::thread::spawn(move || {
                errands.run(LONG, move |_| async move {
                    begun.send(()).unwrap();
                    std::future::pending::<()>().await;
                })
            })
        };
        has_begun.recv().unwrap();
        errands.stop();
        assert_eq!(waiting.join().unwrap(), Err(Fault::Dropped));
        assert_eq!(errands.run(LONG, |tool| async move { *tool }), Err(Fault::Dropped));
    }

    #[test]
    fn a_tool_that_cannot_be_made_is_said() {
        let fault = Errands::<u32>::start("errands-test", 1, || Err("no certificates".to_owned())).err();
        assert_eq!(fault.as_deref(), Some("no certificates"));
    }
}
