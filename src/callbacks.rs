//! What the server's callbacks lead to, as safe Rust: the seam between `orthanc`, which translates, and `plugin`, which
//! composes.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::gate::Permit;
pub use crate::login::Entrance;
use crate::request::{Change, ReceivedInstance, Reply, Request, RestRequest};
pub use crate::uploads::Verdict;

/// The callbacks of the running plugin. Called from many threads at once; none may block on anything but a bounded
/// call to the server.
pub trait Callbacks: Send + Sync {
    /// Before the filter of every request, also of those that skip the filter (Orthanc 1.12.9 and later): forgets whose
    /// request this thread served last.
    fn before_filter(&self);
    /// Whether [`Callbacks::authenticate`] has anything to say.
    fn authenticates(&self) -> bool;
    /// The authentication callback (Orthanc 1.12.9 and later). The server does not say the method there: it is GET in
    /// this request, whatever it is.
    fn authenticate(&self, request: &Request<'_>) -> Entrance;
    /// The incoming-request filter. Nothing but a permit lets the request pass.
    fn filter(&self, request: &Request<'_>) -> Option<Permit>;
    /// A REST callback, for every path that matches [`Started::rest_pattern`].
    fn rest(&self, request: &RestRequest<'_>) -> Reply;
    /// Whether [`Callbacks::look`] has anything to say of what the request that this thread serves brings in.
    fn must_look(&self) -> bool;
    /// An instance has been received, and nothing was done with it yet: whether it may be compared with what the server
    /// has. Called on the same thread as [`Callbacks::receive`], before it, if at all. Must change nothing.
    fn look(&self, instance: &ReceivedInstance<'_>) -> Verdict;
    /// An instance is about to be stored, by whatever way in: whether it may. Called on the thread of the HTTP request
    /// that uploads it, or on one of the server's own.
    fn receive(&self, instance: &ReceivedInstance<'_>) -> Verdict;
    /// An instance was stored, under this Orthanc identifier; the answer to its sender has to wait for this. Called on
    /// the same thread.
    fn stored(&self, instance: &ReceivedInstance<'_>, id: &str);
    /// A change in the server.
    fn change(&self, change: Change);
    /// The server is going down: end all threads, flush the state. Called once, last.
    fn stop(&self);
}

/// A plugin that has started.
pub struct Started {
    /// Its callbacks.
    pub callbacks: Arc<dyn Callbacks>,
    /// The regular expression (Orthanc's: Boost's, anchored by the server) of the paths that it answers itself.
    pub rest_pattern: String,
}
