//! Uploads before a server in memory: what is let in, what is labelled, and for how long.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::AnonymousProfile;
use crate::host::HostError;
use crate::identity::IdentityKind;
use crate::policy::rights::{Labels, Rights};
use crate::store::SqliteStore;
use crate::store::faulty::{Fault, FaultyStore};
use crate::testing::{FakeHost, FakeStudy, NOW, id, study, uid, world};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// A server, and the state that outlives it.
struct Site {
    host: Arc<FakeHost>,
    resources: Resources,
    uploads: Uploads,
    folder: tempfile::TempDir,
    labels: Vec<(Uploader, Vec<String>)>,
}

impl Site {
    fn new(labels: &[(Uploader, &[&str])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let labels: Vec<_> = labels.iter().map(|(uploader, labels)| (uploader.clone(), owned(labels))).collect();
        let host = FakeHost::new(world());
        // Long, so that a cached answer would show.
        let resources = Resources::new(Arc::clone(&host) as Arc<dyn Host>, Duration::from_secs(3600));
        let uploads = Self::uploads(&host, &folder, &labels);
        Self { host, resources, uploads, folder, labels }
    }

    fn uploads(host: &Arc<FakeHost>, folder: &tempfile::TempDir, labels: &[(Uploader, Vec<String>)]) -> Uploads {
        let store = Arc::new(SqliteStore::open(&folder.path().join("state.db")).unwrap());
        Uploads::new(Arc::clone(host) as Arc<dyn Host>, store, labels.to_vec(), false).unwrap()
    }

    /// A new process on the same state.
    fn restart(&mut self) {
        self.uploads = Self::uploads(&self.host, &self.folder, &self.labels);
    }

    fn receive_tags(&self, who: &From<'_>, tags: Result<&str, HostError>, now: UnixTime) -> bool {
        let tags = || tags.map(str::to_owned);
        self.uploads.receive(&self.resources, &who.instance(&tags), who.granted.as_deref(), now) == Verdict::Taken
    }

    fn receive(&self, who: &From<'_>, uid: &str, now: UnixTime) -> bool {
        self.receive_tags(who, Ok(&json!({"StudyInstanceUID": uid}).to_string()), now)
    }

    /// The server stores what was let in, and says so.
    fn store(&self, who: &From<'_>, name: &str, now: UnixTime) {
        let is_new = !self.host.studies.lock().iter().any(|study| study.name == name);
        if is_new {
            self.host.studies.lock().push(study(&format!("p-{name}"), name, &[]));
        }
        let json = json!({"StudyInstanceUID": uid(name)}).to_string();
        let tags = || Ok(json.clone());
        let instance = who.instance(&tags);
        self.uploads.stored(&self.resources, &instance, &id(&format!("{name}x1")), who.granted.as_deref(), now);
    }

    fn upload(&self, who: &From<'_>, name: &str, now: UnixTime) -> bool {
        let taken = self.receive(who, &uid(name), now);
        if taken {
            self.store(who, name, now);
        }
        taken
    }

    fn labels(&self, name: &str) -> Vec<String> {
        let studies = self.host.studies.lock();
        let study: &FakeStudy = studies.iter().find(|study| study.name == name).unwrap();
        study.labels.iter().cloned().collect()
    }
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

/// Where an instance comes from.
struct From<'a> {
    origin: Origin,
    aet: &'a str,
    granted: Option<Vec<Arc<Identity>>>,
}

impl From<'_> {
    fn instance<'b>(&'b self, tags: &'b dyn Fn() -> Result<String, HostError>) -> ReceivedInstance<'b> {
        ReceivedInstance { origin: self.origin, remote_aet: self.aet, size: 1, file: &[], tags }
    }
}

fn http(granted: Vec<Identity>) -> From<'static> {
    From { origin: Origin::Other, aet: "", granted: Some(granted.into_iter().map(Arc::new).collect()) }
}

fn c_store(aet: &str) -> From<'_> {
    From { origin: Origin::Dicom, aet, granted: None }
}

/// A job, or another plugin.
fn nobody() -> From<'static> {
    From { origin: Origin::Other, aet: "", granted: None }
}

fn identity(name: &str, labels: &[&str]) -> Identity {
    let mut identity = Identity::anonymous(&AnonymousProfile::default());
    identity.kind = IdentityKind::Local;
    identity.name = name.to_owned();
    identity.person = Some(Person::local(name));
    identity.rights = Rights::new(["upload"], Labels::from_names(labels.iter().copied()));
    identity
}

fn anna() -> From<'static> {
    http(vec![identity("anna", &["ext"])])
}

fn bert() -> From<'static> {
    http(vec![identity("bert", &["ext"])])
}

fn admin() -> From<'static> {
    http(vec![identity("admin", &["*"])])
}

#[test]
fn an_instance_enters_allowed_studies_only() {
    let site = Site::new(&[]);
    for (study, expected) in [
        ("a1", true),
        ("b1", false),
        // Another study of the same patient is foreign: that does not matter.
        ("c1", true),
        ("c2", false),
        ("d1", true),
        ("e1", false),
        // Two studies carry this UID, and one of them is foreign.
        ("f1", false),
    ] {
        assert_eq!(site.receive(&anna(), &uid(study), NOW), expected, "{study}");
        for trusted in [admin(), c_store("MODALITY"), nobody()] {
            assert!(site.receive(&trusted, &uid(study), NOW), "{study}");
        }
    }
    assert!(!site.receive(&http(vec![]), &uid("a1"), NOW), "a request that was refused brings nothing");
}

#[test]
fn one_identity_has_to_be_allowed_for_all() {
    let site = Site::new(&[]);
    let both = || http(vec![identity("anna", &["ext"]), identity("carl", &["int"])]);
    assert!(site.receive(&both(), &uid("b1"), NOW) && site.receive(&both(), &uid("a1"), NOW));
    assert!(!site.receive(&both(), &uid("f1"), NOW), "each of them may see one of the two");
    assert!(site.receive(&http(vec![identity("anna", &["ext"]), identity("admin", &["*"])]), &uid("e1"), NOW));
}

#[test]
fn labels_count_as_they_are_now_whatever_is_cached() {
    let site = Site::new(&[]);
    assert_eq!(site.resources.study(&id("a1")).unwrap().labels.len(), 1);
    assert!(site.receive(&anna(), &uid("a1"), NOW));
    site.host.set_labels("a1", &["int"]);
    assert!(!site.receive(&anna(), &uid("a1"), NOW));
    assert!(site.resources.study(&id("a1")).unwrap().labels.contains("ext"), "the cache would have said yes");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let site = Site::new(&[]);
    for tags in ["", "[]", "{}", r#"{"StudyInstanceUID": ""}"#, r#"{"StudyInstanceUID": "1.2\\1.3"}"#]
        .into_iter()
        .chain([r#"{"StudyInstanceUID": "*"}"#, r#"{"StudyInstanceUID": "1.2", "StudyInstanceUID": "1.3"}"#])
        .chain([r#"{"StudyInstanceUID": null}"#, r#"{"StudyInstanceUID": "1.2 .3"}"#])
    {
        assert!(!site.receive_tags(&anna(), Ok(tags), NOW), "{tags}");
        assert!(site.receive_tags(&admin(), Ok(tags), NOW), "{tags}: not looked at");
    }
    assert!(!site.receive_tags(&anna(), Err(HostError::PLUGIN), NOW));
    *site.host.failure.lock() = Some(HostError::PLUGIN);
    assert!(!site.receive(&anna(), &uid("a1"), NOW));
    assert!(site.receive(&admin(), &uid("a1"), NOW));
}

/// The patient `P|S` would have the Orthanc identifier of the study `S` of the patient `P`.
#[test]
fn a_patient_whose_identifier_may_be_that_of_a_study_is_refused() {
    let site = Site::new(&[]);
    for (patient, expected) in
        [("P", true), ("CLINIC|123", true), ("P|1.2.3", false), ("P|1.2|1.3", false), ("|1.2", false)]
    {
        let tags = json!({"PatientID": patient, "StudyInstanceUID": uid("new")}).to_string();
        assert_eq!(site.receive_tags(&anna(), Ok(&tags), NOW), expected, "{patient}");
        assert!(site.receive_tags(&admin(), Ok(&tags), NOW), "{patient}: not looked at");
    }
}

#[test]
fn padding_does_not_make_another_uid() {
    let site = Site::new(&[]);
    for padded in [format!("{} ", uid("b1")), format!("{}\0", uid("b1")), format!(" {}", uid("b1"))] {
        assert!(!site.receive(&anna(), &padded, NOW), "{padded:?}");
        assert!(site.receive(&anna(), &padded.replace(&uid("b1"), &uid("a1")), NOW));
    }
}

#[test]
fn a_new_study_is_open_to_its_creator_for_a_day() {
    let site = Site::new(&[]);
    assert!(site.upload(&anna(), "new", NOW));
    for (later, expected) in [(0, true), (MINUTE, true), (DAY - 1, true), (DAY, false), (DAY + 1, false)] {
        assert_eq!(site.receive(&anna(), &uid("new"), NOW.plus(later)), expected, "{later}");
        assert!(!site.receive(&bert(), &uid("new"), NOW.plus(later)), "{later}");
    }
    assert_eq!(site.labels("new"), Vec::<String>::new());
}

#[test]
fn a_key_uploads_for_its_maker_and_all_strangers_are_one() {
    let site = Site::new(&[]);
    assert!(site.upload(&anna(), "new", NOW));
    let mut key = identity("anna", &["ext"]);
    (key.kind, key.name) = (IdentityKind::ApiKey, "workstation".to_owned());
    assert!(site.upload(&http(vec![key]), "new", NOW));
    let stranger = || http(vec![Identity::anonymous(&AnonymousProfile::default())]);
    assert!(!site.upload(&stranger(), "new", NOW));
    assert!(site.upload(&stranger(), "strange", NOW) && site.upload(&stranger(), "strange", NOW));
    // A link's maker uploads nothing through the link.
    let mut link = identity("anna", &["ext"]);
    link.link = Some(decision::LinkScope {
        resources: Vec::new(),
        maker: None,
        maker_needs: &[],
        download: true,
        uploads: None,
    });
    assert!(!site.upload(&http(vec![link]), "new", NOW));
}

#[test]
fn a_label_closes_a_created_study_and_an_own_one_opens_it() {
    let site = Site::new(&[]);
    assert!(site.upload(&anna(), "new", NOW));
    site.host.set_labels("new", &["int"]);
    assert!(!site.receive(&anna(), &uid("new"), NOW));
    site.host.set_labels("new", &["int", "ext"]);
    assert!(site.receive(&anna(), &uid("new"), NOW.plus(2 * DAY)));
    assert!(site.receive(&bert(), &uid("new"), NOW));
}

#[test]
fn of_two_creators_the_first_gets_the_study() {
    let site = Site::new(&[]);
    assert!(site.receive(&anna(), &uid("new"), NOW));
    assert!(!site.receive(&bert(), &uid("new"), NOW), "claimed, though not stored yet");
    assert!(site.receive(&anna(), &uid("new"), NOW), "a second connection of the same person");
    // Stored by the server, while another instance is on its way: the callback has not come yet.
    site.host.studies.lock().push(study("p-new", "new", &[]));
    assert!(site.receive(&anna(), &uid("new"), NOW));
    assert!(!site.receive(&bert(), &uid("new"), NOW));
    site.store(&anna(), "new", NOW);
    assert!(!site.receive(&bert(), &uid("new"), NOW));
}

#[test]
fn a_claim_whose_instance_never_came_ends_soon() {
    let site = Site::new(&[]);
    assert!(site.receive(&anna(), &uid("new"), NOW));
    assert!(!site.receive(&bert(), &uid("new"), NOW.plus(9 * MINUTE)));
    assert!(site.receive(&bert(), &uid("new"), NOW.plus(10 * MINUTE)));
    assert!(!site.receive(&anna(), &uid("new"), NOW.plus(10 * MINUTE)));
}

#[test]
fn a_study_that_somebody_else_stored_first_is_not_the_claimants() {
    for other in [admin(), c_store("MODALITY"), nobody()] {
        let site = Site::new(&[]);
        assert!(site.receive(&anna(), &uid("new"), NOW));
        assert!(site.upload(&other, "new", NOW));
        assert!(!site.receive(&anna(), &uid("new"), NOW));
    }
}

#[test]
fn an_instance_that_was_let_in_and_not_stored_takes_no_labels_from_who_stores_first() {
    let labels: [(Uploader, &[&str]); 3] = [
        (Uploader::User("anna".to_owned()), &["ext"]),
        (Uploader::User("admin".to_owned()), &["checked"]),
        (Uploader::Aet("CT".to_owned()), &["dicom"]),
    ];
    // The disk was full then.
    for before in [anna(), bert(), c_store("OTHER"), c_store("CT"), admin()] {
        for (other, expected) in
            [(c_store("CT"), &["dicom"][..]), (admin(), &["checked"]), (c_store("OTHER"), &[]), (nobody(), &[])]
        {
            let site = Site::new(&labels);
            assert!(site.receive(&before, &uid("new"), NOW));
            assert!(site.upload(&other, "new", NOW.plus(MINUTE)));
            assert_eq!(site.labels("new"), expected);
            assert!(!site.receive(&bert(), &uid("new"), NOW.plus(MINUTE)), "it is not who came before who created it");
            // Once: what is done to its labels later stays.
            site.host.set_labels("new", &["later"]);
            assert!(site.upload(&other, "new", NOW.plus(MINUTE)));
            assert_eq!(site.labels("new"), ["later"]);
        }
    }
}

#[test]
fn what_comes_from_a_modality_is_labelled_also_when_the_state_cannot_be_written() {
    let mut site = Site::new(&[]);
    let store = Arc::new(FaultyStore::new());
    let start = |host: &Arc<FakeHost>| {
        let labels = vec![(Uploader::Aet("CT".to_owned()), owned(&["dicom"]))];
        Uploads::new(Arc::clone(host) as Arc<dyn Host>, Arc::clone(&store) as Arc<dyn Store>, labels, false).unwrap()
    };
    site.uploads = start(&site.host);
    // Anna's study is gone, which nobody was told, and comes again while the disk is full.
    assert!(site.upload(&anna(), "new", NOW));
    site.host.studies.lock().retain(|study| study.name != "new");
    store.fail("claim_created_study", Fault::Error);
    assert!(site.receive(&c_store("CT"), &uid("new"), NOW));
    assert!(!store.will_fail());
    store.fail("keep_created_study", Fault::Error);
    site.store(&c_store("CT"), "new", NOW);
    assert!(!store.will_fail());
    assert_eq!(site.labels("new"), ["dicom"]);
    assert!(!site.receive(&anna(), &uid("new"), NOW));
    // Nor after a restart, when something could be written again.
    site.host.set_labels("new", &[]);
    assert!(site.upload(&bert(), "newer", NOW));
    site.uploads = start(&site.host);
    assert!(!site.receive(&anna(), &uid("new"), NOW));
    // Somebody limited is refused then.
    store.fail("claim_created_study", Fault::Error);
    assert!(!site.receive(&anna(), &uid("newest"), NOW));
}

#[test]
fn labels_are_given_once_also_when_the_state_cannot_be_written() {
    let mut site = Site::new(&[]);
    let store = Arc::new(FaultyStore::new());
    let labels = vec![(Uploader::Aet("CT".to_owned()), owned(&["dicom"]))];
    let host = Arc::clone(&site.host) as Arc<dyn Host>;
    site.uploads = Uploads::new(host, Arc::clone(&store) as Arc<dyn Store>, labels, false).unwrap();
    assert!(site.receive(&c_store("CT"), &uid("new"), NOW));
    store.fail("keep_created_study", Fault::Error);
    site.store(&c_store("CT"), "new", NOW);
    assert!(!store.will_fail());
    assert_eq!(site.labels("new"), ["dicom"]);
    // Somebody takes it away, and the modality sends on.
    site.host.set_labels("new", &[]);
    assert!(site.upload(&c_store("CT"), "new", NOW.plus(1)));
    assert_eq!(site.labels("new"), Vec::<String>::new());
}

#[test]
fn a_claim_from_a_clock_that_was_ahead_lasts_no_longer() {
    let ahead = |duration: i64| NOW.plus(duration);
    // The clock was put right, by a little: nothing changes.
    let mut site = Site::new(&[]);
    assert!(site.upload(&anna(), "new", ahead(MINUTE)));
    assert!(site.receive(&anna(), &uid("new"), NOW));
    // By years.
    let site_of_years = Site::new(&[]);
    assert!(site_of_years.upload(&anna(), "new", ahead(400 * DAY)));
    assert!(site_of_years.receive(&anna(), &uid("waits"), ahead(400 * DAY)));
    assert!(!site_of_years.receive(&anna(), &uid("new"), NOW), "open to its creator for more than a day");
    assert!(site_of_years.receive(&bert(), &uid("waits"), NOW), "kept from all others for more than minutes");
    // It is cleared away, too.
    assert!(site.upload(&anna(), "far", ahead(400 * DAY)));
    assert!(site.upload(&anna(), "newer", ahead(2 * MINUTE)));
    let kept = |site: &Site| -> Vec<String> {
        let connection = rusqlite::Connection::open(site.folder.path().join("state.db")).unwrap();
        let mut statement = connection.prepare("SELECT uid FROM created_studies").unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert!(!kept(&site).contains(&uid("far")));
    assert!(kept(&site).contains(&uid("newer")));
    // Nor does it come back when the clock goes on.
    site.restart();
    assert!(!site.receive(&anna(), &uid("far"), ahead(400 * DAY + MINUTE)));
}

#[test]
fn a_study_that_went_while_nobody_was_told_is_not_its_creators_when_it_comes_again() {
    let mut site = Site::new(&[]);
    assert!(site.upload(&anna(), "gone", NOW) && site.upload(&anna(), "here", NOW));
    // Deleted by a server that runs without the plugin, or in the moment in which it was killed.
    site.host.studies.lock().retain(|study| study.name != "gone");
    site.restart();
    site.uploads.started(&site.resources);
    assert!(site.upload(&c_store("MODALITY"), "gone", NOW.plus(MINUTE)));
    assert!(!site.receive(&anna(), &uid("gone"), NOW.plus(MINUTE)));
    assert!(site.receive(&anna(), &uid("here"), NOW.plus(MINUTE)));
    site.restart();
    assert!(!site.receive(&anna(), &uid("gone"), NOW.plus(MINUTE)), "for good");
    // What cannot be looked up just now is still hers when it can be.
    *site.host.failure.lock() = Some(HostError::PLUGIN);
    site.uploads.started(&site.resources);
    *site.host.failure.lock() = None;
    assert!(site.receive(&anna(), &uid("here"), NOW.plus(MINUTE)));
}

#[test]
fn a_study_that_came_while_it_was_looked_for_is_not_claimed() {
    let site = Site::new(&[]);
    let host = Arc::clone(&site.host);
    *site.host.meanwhile.lock() = Some(Box::new(move || host.studies.lock().push(study("p-new", "new", &[]))));
    assert!(!site.receive(&anna(), &uid("new"), NOW));
    assert!(!site.receive(&anna(), &uid("new"), NOW));
}

#[test]
fn others_may_add_to_a_created_study_without_closing_it() {
    let site = Site::new(&[]);
    assert!(site.upload(&anna(), "new", NOW));
    assert!(site.upload(&c_store("MODALITY"), "new", NOW) && site.upload(&admin(), "new", NOW));
    assert!(site.receive(&anna(), &uid("new"), NOW));
}

#[test]
fn claims_outlive_a_restart_when_they_are_confirmed() {
    let mut site = Site::new(&[]);
    assert!(site.upload(&anna(), "new", NOW));
    assert!(site.receive(&anna(), &uid("lost"), NOW));
    site.restart();
    assert!(!site.receive(&bert(), &uid("new"), NOW.plus(MINUTE)));
    assert!(site.receive(&anna(), &uid("new"), NOW.plus(MINUTE)));
    assert!(!site.receive(&anna(), &uid("new"), NOW.plus(DAY)));
    // What was not stored then is free; if it was, nobody knows by whom.
    site.host.studies.lock().push(study("p-lost", "lost", &[]));
    assert!(!site.receive(&anna(), &uid("lost"), NOW.plus(MINUTE)));
}

#[test]
fn a_deleted_study_takes_its_claim_along() {
    let mut site = Site::new(&[]);
    for told in [true, false] {
        assert!(site.upload(&anna(), "new", NOW));
        site.host.studies.lock().retain(|study| study.name != "new");
        if told {
            site.uploads.deleted(&id("new"));
            site.restart();
            // Now from a modality: it is not anna's any more.
            assert!(site.upload(&c_store("MODALITY"), "new", NOW));
            assert!(!site.receive(&anna(), &uid("new"), NOW));
            site.host.studies.lock().retain(|study| study.name != "new");
        }
    }
    // Not told yet, but it is plain that the claim stands for nothing.
    assert!(site.upload(&bert(), "new", NOW));
    assert!(!site.receive(&anna(), &uid("new"), NOW));
}

#[test]
fn a_claim_that_could_not_be_forgotten_does_not_come_back() {
    let mut site = Site::new(&[]);
    let store = Arc::new(FaultyStore::new());
    let on_store = |host: &Arc<FakeHost>| {
        Uploads::new(Arc::clone(host) as Arc<dyn Host>, Arc::clone(&store) as Arc<dyn Store>, Vec::new(), false)
    };
    site.uploads = on_store(&site.host).unwrap();
    assert!(site.upload(&anna(), "new", NOW));
    site.host.studies.lock().retain(|study| study.name != "new");
    store.fail("forget_created_study", Fault::Error);
    site.uploads.deleted(&id("new"));
    assert!(!store.will_fail());
    // Whatever is written next.
    assert!(site.upload(&bert(), "newer", NOW));
    site.uploads = on_store(&site.host).unwrap();
    assert!(site.upload(&c_store("MODALITY"), "new", NOW));
    assert!(!site.receive(&anna(), &uid("new"), NOW));
    assert!(site.receive(&bert(), &uid("newer"), NOW), "what was kept is there");
}

#[test]
fn a_claim_opens_the_study_that_was_created_and_no_other_of_its_uid() {
    let twin = || FakeStudy { twin: "new".to_owned(), ..study("p-other", "other", &[]) };
    // Of another patient, from a modality: beside the claimed one, and in its place, which another server deleted.
    for is_gone in [false, true] {
        let site = Site::new(&[]);
        assert!(site.upload(&anna(), "new", NOW));
        site.host.studies.lock().push(twin());
        site.host.studies.lock().retain(|study| !is_gone || study.name != "new");
        assert!(!site.receive(&anna(), &uid("new"), NOW.plus(MINUTE)), "{is_gone}");
        site.host.studies.lock().retain(|study| study.name != "other");
        assert!(site.receive(&anna(), &uid("new"), NOW.plus(MINUTE)), "{is_gone}");
    }
}

#[test]
fn many_instances_of_a_study_cost_two_writes() {
    let site = Site::new(&[]);
    let version = || {
        let connection = rusqlite::Connection::open(site.folder.path().join("state.db")).unwrap();
        connection.query_row("SELECT count(*), max(created_at) FROM created_studies", (), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
        })
    };
    for second in 0..50 {
        assert!(site.upload(&anna(), "new", NOW.plus(second)));
    }
    assert_eq!(version().unwrap(), (1, Some(NOW.0)), "the first instance counts");
    // Claims that have ended are cleared away with a later one.
    assert!(site.upload(&anna(), "newer", NOW.plus(2 * DAY)));
    assert_eq!(version().unwrap(), (1, Some(NOW.0 + 2 * DAY)));
}

#[test]
fn labels_are_set_on_what_an_upload_creates_and_on_nothing_else() {
    let site = Site::new(&[
        (Uploader::Role("external-role".to_owned()), &["ext", "inbox"]),
        (Uploader::Group("ward".to_owned()), &["ward"]),
        (Uploader::User("anna".to_owned()), &["from-anna"]),
        (Uploader::Aet("MODALITY".to_owned()), &["dicom"]),
    ]);
    assert!(site.upload(&anna(), "one", NOW));
    assert_eq!(site.labels("one"), ["from-anna"]);
    let rich = || {
        let mut identity = identity("anna", &["ext"]);
        identity.roles = vec!["external-role".to_owned()];
        identity.groups = vec!["ward".to_owned()];
        http(vec![identity])
    };
    assert!(site.upload(&rich(), "two", NOW));
    assert_eq!(site.labels("two"), ["ext", "from-anna", "inbox", "ward"], "the union of all that match");
    assert!(site.upload(&c_store(" MODALITY "), "three", NOW));
    assert_eq!(site.labels("three"), ["dicom"]);
    let unlimited = || {
        let mut identity = identity("chief", &["*"]);
        identity.roles = vec!["external-role".to_owned()];
        http(vec![identity])
    };
    assert!(site.upload(&unlimited(), "four", NOW));
    assert_eq!(site.labels("four"), ["ext", "inbox"]);

    // None of these creates anything, or none of these is named.
    for (who, name) in [(rich(), "a1"), (c_store("MODALITY"), "e1"), (unlimited(), "e1"), (rich(), "three")] {
        let before = site.labels(name);
        site.upload(&who, name, NOW);
        assert_eq!(site.labels(name), before, "{name}");
    }
    for (who, name) in [(bert(), "five"), (c_store("OTHER"), "six"), (nobody(), "seven"), (c_store("anna"), "eight")] {
        assert!(site.upload(&who, name, NOW));
        assert_eq!(site.labels(name), Vec::<String>::new(), "{name}");
    }
    // An AET that is written in an HTTP request's instance says nothing.
    let disguised = From { aet: "MODALITY", ..bert() };
    assert!(site.upload(&disguised, "nine", NOW));
    assert_eq!(site.labels("nine"), Vec::<String>::new());
}

#[test]
fn labels_of_the_upload_leave_the_study_open_to_its_creator_and_show_at_once() {
    let site =
        Site::new(&[(Uploader::User("anna".to_owned()), &["inbox"]), (Uploader::User("bert".to_owned()), &["ext"])]);
    assert!(site.upload(&anna(), "new", NOW));
    assert_eq!(site.labels("new"), ["inbox"]);
    assert!(site.upload(&anna(), "new", NOW), "inbox is not hers, but was given by her upload");
    assert!(!site.receive(&bert(), &uid("new"), NOW));
    site.host.set_labels("new", &["inbox", "int"]);
    assert!(!site.receive(&anna(), &uid("new"), NOW));
    // The study is in the cache without its labels, from between storing and labelling.
    assert!(site.receive(&bert(), &uid("next"), NOW));
    site.host.studies.lock().push(study("p-next", "next", &[]));
    assert!(site.resources.study(&id("next")).unwrap().labels.is_empty());
    site.store(&bert(), "next", NOW);
    assert!(site.resources.study(&id("next")).unwrap().labels.contains("ext"));
}

#[test]
fn a_label_that_fails_is_tried_again_with_the_next_instance() {
    let site = Site::new(&[(Uploader::User("anna".to_owned()), &["ext"])]);
    assert!(site.receive(&anna(), &uid("new"), NOW));
    *site.host.failure.lock() = Some(HostError::PLUGIN);
    site.store(&anna(), "new", NOW);
    *site.host.failure.lock() = None;
    assert_eq!(site.labels("new"), Vec::<String>::new());
    assert!(site.upload(&anna(), "new", NOW.plus(1)));
    assert_eq!(site.labels("new"), ["ext"]);
}

#[test]
fn whoever_needs_no_label_costs_nothing() {
    let site = Site::new(&[(Uploader::Aet("OTHER".to_owned()), &["x"])]);
    for who in [admin(), c_store("MODALITY"), nobody()] {
        let unread = || -> Result<String, HostError> { panic!("the tags are read") };
        let instance = who.instance(&unread);
        let verdict = site.uploads.receive(&site.resources, &instance, who.granted.as_deref(), NOW);
        assert_eq!(verdict, Verdict::Taken);
        site.uploads.stored(&site.resources, &instance, &id("a1x1"), who.granted.as_deref(), NOW);
    }
    assert!(site.host.calls.lock().is_empty());
}

/// Two servers on one index and one state: what one of them does, the other is told of by the state alone.
#[test]
fn a_claim_ends_when_another_server_deletes_the_study() {
    let site = Site::new(&[]);
    let other = Site::uploads(&site.host, &site.folder, &[]);
    assert!(site.upload(&anna(), "new", NOW) && site.receive(&anna(), &uid("new"), NOW));
    site.host.studies.lock().retain(|study| study.name != "new");
    other.deleted(&id("new"));
    site.host.studies.lock().push(study("p-new", "new", &[]));
    assert!(!site.receive(&anna(), &uid("new"), NOW), "it is not what she created");
    // Nor does she keep others from creating it.
    site.host.studies.lock().retain(|study| study.name != "new");
    assert!(site.upload(&bert(), "new", NOW) && site.receive(&bert(), &uid("new"), NOW));
}

#[test]
fn of_two_who_create_a_study_at_two_servers_the_first_gets_it() {
    let mut site = Site::new(&[]);
    let other = Site::uploads(&site.host, &site.folder, &[]);
    assert!(site.receive(&anna(), &uid("new"), NOW));
    let one = std::mem::replace(&mut site.uploads, other);
    assert!(!site.receive(&bert(), &uid("new"), NOW), "anna's first instance is on its way");
    site.uploads = one;
    site.store(&anna(), "new", NOW);
    assert!(site.receive(&anna(), &uid("new"), NOW));
    // Where each has images of its own, another server's study keeps nobody from theirs.
    site.uploads = Site::uploads(&site.host, &site.folder, &[]);
    site.host.studies.lock().retain(|study| study.name != "new");
    assert!(site.upload(&bert(), "new", NOW) && site.receive(&bert(), &uid("new"), NOW));
}
