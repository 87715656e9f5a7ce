//! The running plugin: what it does in each of the server's callbacks, and the order in which it stops.
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::sync::Arc;
use std::thread::JoinHandle;

use ipnet::IpNet;
use parking_lot::Mutex;

use crate::api::Api;
use crate::callbacks::{Callbacks, Entrance, Verdict};
use crate::client_address;
use crate::clock;
use crate::gate::{self, Gate, Permit};
use crate::host::Host;
use crate::identity::IdentityList;
use crate::identity::deleted::Deletions;
use crate::index::Index;
use crate::login::Login;
use crate::nesting;
use crate::overrides::{self, Results};
use crate::panics;
use crate::policy::decision::Refusal;
use crate::request::{Change, ReceivedInstance, Reply, Request, RestRequest};
use crate::route::UnknownRoutes;
use crate::slot::{self, Staleness};
use crate::unseen::Unseen;
use crate::uploads::{self, Uploads};
use crate::worker::Worker;

use super::{looking_back, read_ahead};

/// The running plugin.
pub(crate) struct Plugin {
    pub(super) host: Arc<dyn Host>,
    pub(super) gate: Arc<Gate>,
    pub(super) api: Api,
    pub(super) login: Option<Arc<Login>>,
    pub(super) uploads: Uploads,
    pub(super) deletions: Option<Arc<Deletions>>,
    pub(super) unseen: Arc<Unseen>,
    pub(super) index: Arc<Index>,
    pub(super) results: Results,
    pub(super) dicom_port: Option<u16>,
    pub(super) staleness: Staleness,
    pub(super) unknown_routes: UnknownRoutes,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) telling: Mutex<Option<JoinHandle<()>>>,
    pub(super) reading_ahead: Mutex<Option<Worker>>,
    pub(super) looking_back: Mutex<Option<Worker>>,
}

impl Plugin {
    /// The identities that are granted the upload that this thread serves; `None`: it serves none.
    fn uploaders(&self) -> Option<IdentityList> {
        slot::decide_again(&self.gate.identities, |request, at| {
            let outcome = self.gate.decide(request, at);
            if outcome.granted.is_empty() {
                log::info!("no more, now that the body is here: {}", gate::describe_refusal(request, &outcome));
            }
            outcome
        });
        slot::granted()
    }

    /// Ends our own threads that call the server.
    fn end_callers(&self) {
        if let Some(worker) = self.looking_back.lock().take() {
            worker.stop();
        }
        if let Some(telling) = self.telling.lock().take() {
            // It caught its panics.
            let _ended = telling.join();
        }
    }

    /// Whether an instance may be stored without opening a link again that was made for what was here before.
    fn opens_no_link_again(&self, instance: &ReceivedInstance<'_>) -> bool {
        let Some(deletions) = &self.deletions else { return true };
        // Without a name no link is known to be of this index: no tags are read, nor the state.
        let index = match self.index.try_name() {
            Ok(Some(index)) => index,
            Ok(None) => return true,
            Err(error) => {
                log::error!(
                    "refused an instance: whether links would open it again cannot be read from the index: {error}"
                );
                return false;
            }
        };
        let Some(resources) = uploads::resources_of(instance) else { return true };
        let ids = resources.each_ref().map(|(_, id)| id.as_str());
        let is_gone = |id: &str| {
            let level = resources.iter().find(|(_, own)| own == id).map(|(level, _)| *level);
            level.is_some_and(|level| self.gate.resources.is_gone(level, id))
        };
        deletions.arrives(&index, &ids, is_gone).is_ok()
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Plugin {
    /// The gate as it was composed.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// The index that it runs on.
    #[cfg(test)]
    pub(crate) fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index)
    }

    /// As when the server has started.
    pub(crate) fn look_back(&self) -> Result<bool, crate::unseen::Fault> {
        self.unseen.look(|| true)
    }
}

impl Callbacks for Plugin {
    fn before_filter(&self) {
        slot::clear();
    }

    fn authenticates(&self) -> bool {
        self.login.is_some()
    }

    fn authenticate(&self, request: &Request<'_>) -> Entrance {
        let Some(login) = &self.login else { return Entrance::Open };
        login.entrance(&self.gate, request, clock::now())
    }

    fn filter(&self, request: &Request<'_>) -> Option<Permit> {
        // First thing, so that no panic and no refusal leaves the request with the slot of the one before.
        slot::clear();
        let by_proxy = client_address::by_proxy(request, &self.trusted_proxies);
        let forwarded = client_address::forwarded(request, &self.trusted_proxies)
            .map(|client| Request { remote: client, ..request.clone() });
        let request = forwarded.as_ref().unwrap_or(request);
        let mut outcome = self.gate.decide(request, clock::now());
        let permit = outcome.take_permit();
        if permit.is_none() && log::log_enabled!(log::Level::Info) {
            log::info!("{}", gate::describe_refusal(request, &outcome));
        }
        if outcome.refusal == Some(Refusal::UnknownRoute)
            && let Some(sentence) = self.unknown_routes.first_time(request.method.as_str(), request.path)
        {
            log::warn!("{sentence}");
        }
        slot::write(request, by_proxy, outcome, self.staleness, &self.gate.places);
        permit
    }

    fn rest(&self, call: &RestRequest<'_>) -> Reply {
        if call.request.path.starts_with("/auth/") {
            self.api.handle(call, clock::now())
        } else {
            let context = overrides::Context {
                host: self.host.as_ref(),
                gate: &self.gate,
                results: &self.results,
                deletions: self.deletions.as_deref(),
                dicom_port: self.dicom_port,
            };
            overrides::handle(&context, call, clock::now())
        }
    }

    fn must_look(&self) -> bool {
        #[cfg(feature = "fault-injection")]
        if crate::unguarded::is_unguarded(crate::host::Method::Post, "/instances") {
            return false;
        }
        Uploads::must_look(self.uploaders().as_deref())
    }

    fn look(&self, instance: &ReceivedInstance<'_>) -> Verdict {
        let granted = self.uploaders().unwrap_or_default();
        // First of all: to read its tags would end the server.
        if nesting::is_too_much(instance.file) {
            log::info!(
                "refused an instance of {}: its sequences are too deep or too long, or it is not read for sure",
                crate::identity::in_the_log(&granted)
            );
            return Verdict::Failed;
        }
        self.uploads.look(&self.gate.resources, instance, &granted, clock::now())
    }

    fn receive(&self, instance: &ReceivedInstance<'_>) -> Verdict {
        #[cfg(feature = "fault-injection")]
        if crate::unguarded::is_unguarded(crate::host::Method::Post, "/instances") {
            return Verdict::Taken;
        }
        // The server makes the text of the tags anew each time.
        let text = OnceCell::new();
        let tags = || text.get_or_init(|| (instance.tags)()).clone();
        let instance = &ReceivedInstance { tags: &tags, ..*instance };
        if !self.opens_no_link_again(instance) {
            return Verdict::Failed;
        }
        self.uploads.receive(&self.gate.resources, instance, self.uploaders().as_deref(), clock::now())
    }

    fn stored(&self, instance: &ReceivedInstance<'_>, id: &str) {
        self.uploads.stored(&self.gate.resources, instance, id, slot::granted().as_deref(), clock::now());
    }

    fn change(&self, change: Change) {
        match change {
            Change::Deleted(id) => {
                self.gate.resources.labels_changed();
                self.uploads.deleted(&id);
                if let Some(deletions) = &self.deletions {
                    deletions.deleted(&id, || self.gate.resources.is_there(&id));
                }
            }
            Change::JobEnded(job) => {
                if self.results.finish(self.host.as_ref(), &job) {
                    self.gate.resources.labels_changed();
                }
            }
            Change::Started => {
                self.uploads.started(&self.gate.resources);
                match looking_back::start(Arc::clone(&self.unseen)) {
                    Ok(worker) => *self.looking_back.lock() = Some(worker),
                    Err(error) => log::error!("links open nothing: a thread cannot be started: {error}"),
                }
                match read_ahead::start(&self.gate) {
                    Ok(worker) => *self.reading_ahead.lock() = Some(worker),
                    // The first use of a link takes longer.
                    Err(error) => log::warn!("a thread cannot be started: {error}"),
                }
                // Not on the server's own thread, which listens to nobody before this returns.
                let gate = Arc::clone(&self.gate);
                let tell = move || {
                    let _told = panics::supervised("which routes reach this plugin", || gate.standing.tell());
                };
                match std::thread::Builder::new().name("gatehouse-stand".to_owned()).spawn(tell) {
                    Ok(thread) => *self.telling.lock() = Some(thread),
                    // Whoever needs to know finds it out.
                    Err(error) => log::warn!("a thread cannot be started: {error}"),
                }
            }
            Change::Stopped => {
                // The server waits for none of its callers: after this, none of ours calls it.
                self.end_callers();
                // What still comes in, until the server has stopped, is looked at when it starts again.
                if let Err(error) = self.unseen.keep() {
                    log::warn!("it cannot be kept how far Orthanc's changes were watched: {error}");
                }
            }
            Change::Other => {
                if let Some(deletions) = &self.deletions {
                    deletions.again();
                }
            }
        }
    }

    fn stop(&self) {
        // Of a server that never said that it stops.
        self.end_callers();
        if let Some(worker) = self.reading_ahead.lock().take() {
            worker.stop();
        }
        if let Some(mail) = &self.api.mail {
            mail.stop();
        }
        if let Some(meddream) = &self.api.meddream {
            meddream.stop();
        }
        self.gate.identities.verifiers().stop();
    }
}
