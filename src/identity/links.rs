//! Links to identities: by a token, or by what a browser was given that opened one. What a link gives today is what its
//! record says, bounded by the rights of whoever made it.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::known_links::{CACHE_SIZE, KnownLink};
use super::link_fault::LinkFault;
use super::local::pin::Pins;
use super::verify::{Rejection, Verifiers};
use super::{Identity, IdentityKind};
use crate::clock::UnixTime;
use crate::person::Person;
use crate::policy::decision::{LinkScope, LinkUploads, LinkedResource, UploadTarget};
use crate::policy::rights::{Labels, Rights};
use crate::seal::SealKey;
use crate::secret::Secret;
use crate::share::ShareResource;
use crate::share::code::Codes;
use crate::share::kind::LinkType;
use crate::share::limits::LinkOptions;
use crate::share::token::{self as share_token, Registered, ShareClaims};
use crate::store::{ApiKeyRecord, ShareFilter, ShareRecord, Store, StoreError, UseKind};

/// How share tokens are accepted.
pub struct LinkPolicy {
    /// The signing key, and then those that were used before.
    pub keys: Vec<Secret>,
    /// What these are told by, in the same order.
    pub key_ids: Vec<String>,
    /// Whether what a link reads is bounded by what its maker may today.
    pub end_with_maker: bool,
    /// Whether links without a record are accepted.
    pub accept_unrecorded: bool,
    /// Until when.
    pub accept_unrecorded_until: Option<UnixTime>,
    /// Makes the short forms of links.
    pub codes: Codes,
    /// Seals what browsers get that opened one.
    pub grants: SealKey,
    /// Seals the access tokens of viewers on other origins.
    pub viewer_tokens: SealKey,
    /// Where viewers may be.
    pub viewer_origins: Vec<String>,
    /// Checks the PINs of links.
    pub pins: Pins,
    /// What holds for all inbox links today.
    pub inbox: InboxPolicy,
}

impl LinkPolicy {
    /// What the key is told by that new links are signed with.
    #[must_use]
    pub fn signs_with(&self) -> Option<&String> {
        self.key_ids.first()
    }
}

/// What holds for all links that bring something in, beside what each was made with.
#[derive(Clone, Debug, Default)]
pub struct InboxPolicy {
    /// Labels of what comes in by inbox links.
    pub labels: Vec<String>,
    /// So many instances at most, by inbox links.
    pub most_instances: Option<u64>,
    /// So many bytes at most, by links that annotate too.
    pub most_bytes: Option<u64>,
}

/// What a browser holds that has opened a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedLink {
    /// The link.
    pub link: String,
    /// When it was opened.
    pub at: UnixTime,
    /// It counts until then at most.
    pub until: UnixTime,
    /// The session of whoever the link is for, if there was one.
    pub session: Option<String>,
}

/// How a browser came to a link.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// When.
    pub at: UnixTime,
    /// What it was given counts until then at most.
    pub until: UnixTime,
    /// The session of whoever the link is for, if there was one.
    pub session: Option<&'a str>,
}

/// What links hold by themselves, whoever made them; the memory of it is shared.
static READS: LazyLock<Rights> = LazyLock::new(|| Rights::new(["view", "download"], Labels::none()));
static ANNOTATES: LazyLock<Rights> = LazyLock::new(|| Rights::new(["view", "download", "upload"], Labels::none()));
static BRINGS_IN: LazyLock<Rights> = LazyLock::new(|| Rights::new(["upload"], Labels::none()));

/// So many links are read ahead at once: others read lists by the same connection.
pub(super) const PAGE: usize = 256;

/// The place that grants are sealed for.
const GRANT: &str = "opened link";

impl Verifiers {
    /// A share token's claims, when its signature holds. Whether it is still in force is not asked.
    pub fn link_claims(&self, text: &str) -> Result<ShareClaims, Rejection> {
        Ok(share_token::verify(text, &self.links.keys).map_err(LinkFault::from)?)
    }

    /// A link's record, by its identifier, once it says what was deleted of it.
    pub fn share(&self, id: &str) -> Result<Option<ShareRecord>, Rejection> {
        self.once_looked(|store| store.share(id))
    }

    /// The same by the hash of its code.
    pub fn share_by_code(&self, hash: &[u8; 32]) -> Result<Option<ShareRecord>, Rejection> {
        self.once_looked(|store| store.share_by_code(hash))
    }

    fn once_looked(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<Option<ShareRecord>, StoreError>,
    ) -> Result<Option<ShareRecord>, Rejection> {
        // First, or what is read would say nothing of what is found out meanwhile.
        let has_looked = self.looked.wait();
        let record = read(self.store.as_ref())?;
        // Of which index a link is that does not say so, nobody can look.
        if !has_looked && record.as_ref().is_some_and(|record| record.index.is_some()) {
            return Err(LinkFault::NotLookedYet.into());
        }
        Ok(record)
    }

    /// What a link with a record gives today, by its identifier, if what it was made with is what `may` wants.
    fn known_link(
        &self,
        id: &str,
        unknown: LinkFault,
        may: impl FnOnce(&LinkOptions) -> Result<(), LinkFault>,
        now: UnixTime,
    ) -> Result<Arc<KnownLink>, Rejection> {
        let epoch = self.known_links.epoch();
        if let Some(known) = self.known_links.get(id, now) {
            may(&known.options)?;
            return Ok(known);
        }
        let record = self.share(id)?.ok_or(unknown)?;
        let options = LinkOptions::read(&record.options_json);
        may(&options)?;
        self.keep_known(record, options, epoch, now)
    }

    fn keep_known(
        &self,
        record: ShareRecord,
        options: LinkOptions,
        epoch: u64,
        now: UnixTime,
    ) -> Result<Arc<KnownLink>, Rejection> {
        let (id, token_hash) = (record.id.clone(), record.token_hash);
        let identity = Arc::new(self.recorded_link(record, &options, now)?);
        let known = Arc::new(KnownLink { identity, options });
        self.known_links.insert(id, token_hash, epoch, &known);
        Ok(known)
    }

    /// Finds out what the newest links give, before anybody uses them, a page of them after the other for as long as
    /// `goes_on` and nothing was taken from anybody. Of those whose makers Keycloak is asked about, nothing: it would be
    /// asked for links that nobody uses.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn read_links_ahead(&self, now: UnixTime, goes_on: impl Fn() -> bool) -> Result<(), StoreError> {
        let epoch = self.known_links.epoch();
        let mut after = None;
        for _ in 0..CACHE_SIZE.div_ceil(PAGE) {
            let limit = u32::try_from(PAGE).ok();
            let filter = ShareFilter { not_over_at: Some(now), limit, after, ..ShareFilter::default() };
            let page = self.store.shares(&filter)?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|record| record.id.clone());
            for record in page.into_iter().filter(|record| !self.directories.knows(&record.owner)) {
                let options = LinkOptions::read(&record.options_json);
                // One that gives nothing is found out about when it is used.
                drop(self.keep_known(record, options, epoch, now));
            }
            if is_last || !goes_on() || epoch != self.known_links.epoch() {
                break;
            }
        }
        Ok(())
    }

    /// Whether a link with a record may be used now.
    pub fn in_force(&self, record: &ShareRecord, now: UnixTime) -> Result<(), Rejection> {
        if record.revoked_at.is_some() {
            return Err(LinkFault::Revoked.into());
        }
        if let Some(begins) = record.not_before.filter(|begins| now < *begins) {
            return Err(LinkFault::NotYet { begins }.into());
        }
        if record.expires_at.is_some_and(|end| end <= now) {
            return Err(Rejection::Expired);
        }
        Ok(())
    }

    /// What a browser is given that has opened a link: good for this link alone, until then at most.
    ///
    /// # Errors
    /// No random numbers.
    pub fn grant(&self, link: &str, opened: &Opened<'_>) -> Result<String, crate::seal::Unsealable> {
        let Opened { at, until, session } = opened;
        let text = format!("{} {link} {} {}", until.0, at.0, session.unwrap_or_default());
        Ok(URL_SAFE_NO_PAD.encode(self.links.grants.seal(GRANT, text.as_bytes())?))
    }

    /// Whether the one whom a link is for may still use what they opened: not after everything of theirs was ended, and
    /// not longer than the session that they opened it with. Says until when.
    fn recipient_may(&self, recipient: &Person, opened: &Opened<'_>, now: UnixTime) -> Result<UnixTime, Rejection> {
        if self.store.not_before(recipient)?.is_some_and(|ended| opened.at <= ended) {
            return Err(Rejection::Ended);
        }
        if !self.is_vouched_for(recipient) {
            return Err(Rejection::Ended);
        }
        let Some(session) = opened.session else { return Ok(opened.until) };
        let sessions = self.sessions.as_ref().ok_or(Rejection::UnknownSession)?;
        let known =
            sessions.of(recipient, session)?.filter(|known| known.expires_at > now && self.has_its_account(known));
        known.map(|known| known.expires_at.min(opened.until)).ok_or(Rejection::UnknownSession)
    }

    /// The identity of a browser that has opened a link.
    pub(super) fn opened_link(&self, text: &str, now: UnixTime) -> Result<Identity, Rejection> {
        let opened = self.read_opened(text)?;
        let known = self.known_link(&opened.link, LinkFault::NotOpenedHere, |_| Ok(()), now)?;
        self.opened_as(&opened, Identity::clone(&known.identity), &known.options, now)
    }

    /// What a browser was given that has opened a link. Whether it still counts is not asked.
    pub fn read_opened(&self, text: &str) -> Result<OpenedLink, Rejection> {
        let unknown = || Rejection::from(LinkFault::NotOpenedHere);
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| unknown())?;
        let opened = self.links.grants.open(GRANT, &sealed).map_err(|_| unknown())?;
        let opened = std::str::from_utf8(&opened).map_err(|_| unknown())?;
        let mut parts = opened.split(' ');
        let (Some(until), Some(id), Some(at), Some(session), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unknown());
        };
        let moment = |text: &str| text.parse().map(UnixTime).map_err(|_| unknown());
        let session = Some(session).filter(|session| !session.is_empty()).map(str::to_owned);
        Ok(OpenedLink { link: id.to_owned(), at: moment(at)?, until: moment(until)?, session })
    }

    /// The identity of whoever has opened a link, with what the link gives at this moment.
    pub fn opened_identity(&self, opened: &OpenedLink, now: UnixTime) -> Result<Identity, Rejection> {
        let record = self.share(&opened.link)?.ok_or(LinkFault::NotOpenedHere)?;
        let options = LinkOptions::read(&record.options_json);
        self.opened_as(opened, self.recorded_link(record, &options, now)?, &options, now)
    }

    fn opened_as(
        &self,
        opened: &OpenedLink,
        identity: Identity,
        options: &LinkOptions,
        now: UnixTime,
    ) -> Result<Identity, Rejection> {
        let OpenedLink { at, mut until, .. } = *opened;
        if until <= now {
            return Err(Rejection::Expired);
        }
        if let Some(recipient) = &options.recipient {
            let session = opened.session.as_deref();
            until = self.recipient_may(&recipient.person(), &Opened { at, until, session }, now)?;
        }
        let end = identity.expires_at.map_or(until, |end| end.min(until));
        Ok(Identity { expires_at: Some(end), ..identity })
    }

    /// The identity of whoever may use a link with a record, however they came to it.
    pub fn link_of_record(&self, record: ShareRecord, now: UnixTime) -> Result<Identity, Rejection> {
        let options = LinkOptions::read(&record.options_json);
        self.recorded_link(record, &options, now)
    }

    fn recorded_link(&self, record: ShareRecord, options: &LinkOptions, now: UnixTime) -> Result<Identity, Rejection> {
        self.in_force(&record, now)?;
        let kind = LinkType::parse(&record.kind).ok_or(LinkFault::UnreadableRecord)?;
        let resources = ShareResource::read_all(&record.resources_json).ok_or(LinkFault::UnreadableRecord)?;
        self.link_identity(kind, &resources, Some(record), options, now)
    }

    /// What a link gives, of one that is not valid yet, when it begins: for whoever hands it on.
    pub fn link_once_it_begins(&self, record: ShareRecord, now: UnixTime) -> Result<Identity, Rejection> {
        let begins = record.not_before.map_or(now, |start| start.max(now));
        self.link_of_record(record, begins)
    }

    /// The identity of a link's holder, from claims whose signature holds. What it opens is what its record says.
    pub fn link(&self, claims: &ShareClaims, now: UnixTime) -> Result<Arc<Identity>, Rejection> {
        if claims.is_expired(now) {
            return Err(Rejection::Expired);
        }
        let end = claims.expires_at();
        let Some(Registered { jti, .. }) = &claims.registered else {
            let too_late = self.links.accept_unrecorded_until.is_some_and(|until| until <= now);
            if !self.links.accept_unrecorded || too_late {
                return Err(LinkFault::UnrecordedRefused.into());
            }
            let options = LinkOptions::default();
            let identity = self.link_identity(claims.link_type, &claims.resources, None, &options, now)?;
            let end = end.into_iter().chain(identity.expires_at).min();
            return Ok(Arc::new(Identity { expires_at: end, ..identity }));
        };
        let opens = |options: &LinkOptions| if options.asks() { Err(LinkFault::ByCodeOnly) } else { Ok(()) };
        let identity = Arc::clone(&self.known_link(jti, LinkFault::NoRecord, opens, now)?.identity);
        if end.is_some_and(|end| identity.expires_at.is_none_or(|known| end < known)) {
            return Ok(Arc::new(Identity { expires_at: end, ..Identity::clone(&identity) }));
        }
        Ok(identity)
    }

    fn link_identity(
        &self,
        kind: LinkType,
        resources: &[ShareResource],
        record: Option<ShareRecord>,
        options: &LinkOptions,
        now: UnixTime,
    ) -> Result<Identity, Rejection> {
        if options.unreadable {
            return Err(LinkFault::UnreadableConditions.into());
        }
        if options.signed_by.as_ref().is_some_and(|id| !self.links.key_ids.contains(id)) {
            return Err(LinkFault::KeyNotUsed.into());
        }
        // A record that was read by another way than [`Self::share`], as those of a list are.
        if record.as_ref().is_some_and(|record| record.index.is_some()) && !self.looked.is_known() {
            return Err(LinkFault::NotLookedYet.into());
        }
        let is_deleted = |resource: &&ShareResource| {
            let (Some(id), Some(record)) = (&resource.orthanc_id, &record) else { return false };
            record.deleted.contains(id) || self.unwritten.closes(id, record.index.as_deref())
        };
        if !resources.is_empty() && resources.iter().all(|resource| is_deleted(&resource)) {
            return Err(LinkFault::Deleted.into());
        }
        let maker = record.as_ref().map(|record| self.link_maker_rights(kind, record, options, now)).transpose()?;
        let (maker, makers_end) = maker.unwrap_or_default();
        let rights = match (kind, options.annotate) {
            (LinkType::Inbox, _) => &BRINGS_IN,
            (_, true) => &ANNOTATES,
            (_, false) => &READS,
        };
        let uploads = self.link_uploads(kind, options, maker.as_ref())?;
        let recheck_at =
            record.as_ref().filter(|_| maker.is_some()).and_then(|record| self.recheck_at(&record.owner, now));
        let unrecorded_end = if record.is_none() { self.links.accept_unrecorded_until } else { None };
        let expires_at = [record.as_ref().and_then(|record| record.expires_at), makers_end, unrecorded_end];
        let opened = resources.iter().filter(|resource| !is_deleted(resource)).map(LinkedResource::from).collect();
        Ok(Identity {
            uses: record.as_ref().map(|record| self.recorder.counter(UseKind::Share, &record.id)),
            id: record.as_ref().map(|record| record.id.clone()),
            made_by: record.as_ref().map(|record| record.owner_name.clone()),
            person: record.map(|record| record.owner),
            link: Some(LinkScope {
                resources: opened,
                maker,
                maker_needs: kind.permissions(),
                download: !options.no_download,
                uploads,
            }),
            expires_at: expires_at.into_iter().flatten().min(),
            recheck_at,
            ..Identity::new(IdentityKind::Link, format!("{} link", kind.as_str()), Rights::clone(rights))
        })
    }

    /// What may come in by a link: today, as its maker may give it.
    fn link_uploads(
        &self,
        kind: LinkType,
        options: &LinkOptions,
        maker: Option<&Rights>,
    ) -> Result<Option<LinkUploads>, Rejection> {
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        let inbox = &self.links.inbox;
        // Whatever comes in by a link could fill the disk.
        let most_bytes = least(inbox.most_bytes, options.max_bytes);
        if kind != LinkType::Inbox {
            let into = UploadTarget::Annotated;
            let most_instances = options.max_instances;
            return Ok(options.annotate.then_some(LinkUploads { into, most_instances, most_bytes }));
        }
        // What comes in is counted in its record.
        let maker = maker.ok_or(LinkFault::InboxWithoutRecord)?;
        if let Some(label) = options.labels.iter().find(|label| !self.may_label(maker, label)) {
            return Err(LinkFault::LabelLost(label.clone()).into());
        }
        let labels: BTreeSet<String> = inbox.labels.iter().chain(&options.labels).cloned().collect();
        Ok(Some(LinkUploads {
            into: UploadTarget::New(labels.into_iter().collect()),
            most_instances: least(inbox.most_instances, options.max_instances),
            most_bytes,
        }))
    }

    /// Whether somebody with these rights may give a label to a study (decision 17).
    #[must_use]
    pub fn may_label(&self, rights: &Rights, label: &str) -> bool {
        rights.labels.show(label) && self.roles.current().label_is_available(label)
    }

    /// The rights of a link's maker today; when it was made with an API key, of that key today, and when that key ends.
    /// No rights where the site lets links be read that their makers could not make today: those of a person who was
    /// ended, or of a key that is gone, open nothing all the same.
    fn link_maker_rights(
        &self,
        kind: LinkType,
        record: &ShareRecord,
        options: &LinkOptions,
        now: UnixTime,
    ) -> Result<(Option<Rights>, Option<UnixTime>), Rejection> {
        let key = options.api_key.as_ref().map(|id| self.link_maker_key(record, id, now)).transpose()?;
        let key_ends = key.as_ref().and_then(|key| key.expires_at);
        let brings_in = kind == LinkType::Inbox || options.annotate;
        // What somebody who is logged in opens in a viewer elsewhere is not given to anybody: it is they who read.
        let is_their_own = options.recipient.as_ref().is_some_and(|recipient| recipient.is(&record.owner));
        if !self.links.end_with_maker && !brings_in && !is_their_own {
            self.not_ended(&record.owner, record.created_at)?;
            return Ok((None, key_ends));
        }
        let rights = match key {
            Some(key) => self.key_today(&key, now)?.0,
            None => self.maker_rights(&record.owner, record.created_at, IdentityKind::Link, now)?,
        };
        Ok((Some(rights), key_ends))
    }

    /// The API key that a link was made with.
    fn link_maker_key(&self, record: &ShareRecord, id: &str, now: UnixTime) -> Result<ApiKeyRecord, Rejection> {
        let keys = self.store.api_keys(Some(&record.owner))?;
        let key = keys.into_iter().find(|candidate| candidate.id == id);
        let lasts = |key: &ApiKeyRecord| key.expires_at.is_none_or(|end| end > now);
        key.filter(lasts).ok_or(Rejection::MakerUnknown(IdentityKind::Link))
    }
}
