//! What links bring in, before a small server in memory that makes Orthanc's identifiers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::identifiers::Identifiers;
use super::*;
use crate::config::AnonymousProfile;
use crate::host::{CoreAnswer, HostError, HostVersion, Method};
use crate::identity::IdentityKind;
use crate::policy::decision::{LinkScope, LinkUploads, LinkedResource, UploadTarget};
use crate::policy::rights::{Labels, Rights};
use crate::resource::Level;
use crate::store::{ShareRecord, SqliteStore, Uploaded};
use crate::testing::NOW;

/// An image: patient, study, series and instance, SOP class and modality, size.
#[derive(Clone, Debug)]
struct Image {
    names: [&'static str; 4],
    class: &'static str,
    modality: &'static str,
    size: u64,
}

const SR: (&str, &str) = ("1.2.840.10008.5.1.4.1.1.88.33", "SR");
const CT: (&str, &str) = ("1.2.840.10008.5.1.4.1.1.2", "CT");

fn image(names: [&'static str; 4], (class, modality): (&'static str, &'static str)) -> Image {
    Image { names, class, modality, size: 10 }
}

/// Of the patient `p`.
fn ct(study: &'static str, series: &'static str, instance: &'static str) -> Image {
    image(["p", study, series, instance], CT)
}

/// What the server hands over, without the file.
fn received(size: u64, tags: &dyn Fn() -> Result<String, HostError>) -> ReceivedInstance<'_> {
    ReceivedInstance { origin: Origin::Other, remote_aet: "", size, file: &[], tags }
}

impl Image {
    fn tags(&self) -> String {
        let [patient, study, series, instance] = self.names;
        json!({"PatientID": patient, "StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": instance,
            "SOPClassUID": self.class, "Modality": self.modality})
        .to_string()
    }

    fn identifiers(&self) -> Identifiers {
        let text = self.tags();
        let tags = || Ok(text.clone());
        Identifiers::read(&received(self.size, &tags)).unwrap()
    }
}

#[derive(Default)]
struct Server {
    images: Mutex<Vec<Image>>,
    labels: Mutex<Vec<(String, String)>>,
    fails: AtomicBool,
}

impl Server {
    fn answer(&self, uri: &str, body: &[u8]) -> Option<Value> {
        let images = self.images.lock();
        let known: Vec<(Identifiers, &Image)> = images.iter().map(|image| (image.identifiers(), image)).collect();
        let parts: Vec<&str> = uri.trim_start_matches('/').split('/').collect();
        match parts[..] {
            ["tools", "lookup"] => {
                let uid = std::str::from_utf8(body).unwrap();
                let mut hits = BTreeSet::new();
                for (ids, _) in &known {
                    for (level, own, id) in [
                        ("Study", &ids.study_uid, &ids.study),
                        ("Series", &ids.series_uid, &ids.series),
                        ("Instance", &ids.instance_uid, &ids.instance),
                    ] {
                        if own == uid {
                            hits.insert((level, id.clone()));
                        }
                    }
                }
                Some(hits.into_iter().map(|(level, id)| json!({"Type": level, "ID": id})).collect())
            }
            ["studies", id] => {
                let (ids, _) = known.iter().find(|(ids, _)| ids.study == id)?;
                let labels = self.labels.lock();
                let labels: BTreeSet<&str> =
                    labels.iter().filter(|(study, _)| study == id).map(|(_, label)| label.as_str()).collect();
                let tags = json!({"StudyInstanceUID": ids.study_uid});
                Some(json!({"ID": id, "ParentPatient": "", "MainDicomTags": tags, "Labels": labels}))
            }
            ["series", id] => {
                let (ids, image) = known.iter().find(|(ids, _)| ids.series == id)?;
                Some(json!({"ID": id, "Instances": [ids.instance], "MainDicomTags": {"Modality": image.modality}}))
            }
            ["instances", id, "metadata?expand"] => {
                let (_, image) = known.iter().find(|(ids, _)| ids.instance == id)?;
                Some(json!({"SopClassUid": image.class}))
            }
            ["instances", id, "study"] => {
                let (ids, _) = known.iter().find(|(ids, _)| ids.instance == id)?;
                Some(json!({"ID": ids.study}))
            }
            _ => None,
        }
    }

    fn reply(&self, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(HostError::PLUGIN);
        }
        self.answer(uri, body).map(|value| value.to_string().into_bytes()).ok_or(HostError::UNKNOWN_RESOURCE)
    }
}

impl Host for Server {
    fn calls_us(&self, _: &str) -> bool {
        true
    }
    fn property(&self, _: i32) -> Result<String, HostError> {
        Ok(String::new())
    }
    fn keep_property(&self, _: i32, _: &str) -> Result<(), HostError> {
        Err(HostError::PLUGIN)
    }
    fn version(&self) -> HostVersion {
        HostVersion::new(1, 13, 0)
    }
    fn get(&self, uri: &str) -> Result<Vec<u8>, HostError> {
        self.reply(uri, b"")
    }
    fn post(&self, uri: &str, body: &[u8]) -> Result<Vec<u8>, HostError> {
        self.reply(uri, body)
    }
    fn put(&self, uri: &str, _body: &[u8]) -> Result<Vec<u8>, HostError> {
        let mut parts = uri.trim_start_matches('/').split('/');
        let (Some("studies"), Some(study), Some("labels"), Some(label)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HostError::UNKNOWN_RESOURCE);
        };
        self.labels.lock().push((study.to_owned(), label.to_owned()));
        Ok(Vec::new())
    }
    fn delete(&self, _uri: &str) -> Result<(), HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }
    fn call(&self, _: Method, _: &str, _: &[(&str, &str)], _: &[u8]) -> Result<CoreAnswer, HostError> {
        Err(HostError::UNKNOWN_RESOURCE)
    }
}

/// A server with its state.
struct Site {
    server: Arc<Server>,
    resources: Resources,
    store: Arc<SqliteStore>,
    uploads: Uploads,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self::with(false)
    }

    fn with(overwrites: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&folder.path().join("state.db")).unwrap());
        for id in ["one", "two"] {
            store.insert_share(&record(id)).unwrap();
        }
        let server = Arc::new(Server::default());
        let host = Arc::clone(&server) as Arc<dyn Host>;
        let resources = Resources::new(Arc::clone(&host), Duration::from_secs(3600));
        let uploads = Uploads::new(host, Arc::clone(&store) as Arc<dyn Store>, Vec::new(), overwrites).unwrap();
        Self { server, resources, store, uploads, _folder: folder }
    }

    fn has(&self, image: &Image, labels: &[&str]) {
        let study = image.identifiers().study;
        self.server.images.lock().push(image.clone());
        self.server.labels.lock().extend(labels.iter().map(|label| (study.clone(), (*label).to_owned())));
    }

    fn look(&self, who: &[Arc<Identity>], image: &Image) -> Verdict {
        let text = image.tags();
        let tags = || Ok(text.clone());
        self.uploads.look(&self.resources, &received(image.size, &tags), who, NOW)
    }

    /// As the server does it: looked at, filtered, stored. Both looks must agree.
    fn upload_at(&self, who: &[Arc<Identity>], image: &Image, now: UnixTime) -> bool {
        let text = image.tags();
        let tags = || Ok(text.clone());
        let instance = received(image.size, &tags);
        let looked = self.uploads.look(&self.resources, &instance, who, now);
        let verdict = self.uploads.receive(&self.resources, &instance, Some(who), now);
        assert_eq!(looked, verdict, "{image:?}");
        if verdict != Verdict::Taken {
            return false;
        }
        let id = image.identifiers().instance;
        let is_here = self.server.images.lock().iter().any(|known| known.identifiers().instance == id);
        if !is_here {
            self.server.images.lock().push(image.clone());
        }
        self.uploads.stored(&self.resources, &instance, &id, Some(who), now);
        true
    }

    fn upload(&self, who: &[Arc<Identity>], image: &Image) -> bool {
        self.upload_at(who, image, NOW)
    }

    fn labels(&self, image: &Image) -> Vec<String> {
        let study = image.identifiers().study;
        let labels = self.server.labels.lock();
        let labels: BTreeSet<String> =
            labels.iter().filter(|(id, _)| *id == study).map(|(_, label)| label.clone()).collect();
        labels.into_iter().collect()
    }

    fn used(&self, link: &str) -> (u64, u64) {
        let Uploaded { instances, bytes } = self.store.uploaded(link).unwrap();
        (instances, bytes)
    }
}

fn record(id: &str) -> ShareRecord {
    ShareRecord { id: id.to_owned(), kind: "inbox-link".to_owned(), ..crate::store::tests::link(id) }
}

fn link(id: &str, uploads: LinkUploads, resources: Vec<LinkedResource>) -> Vec<Arc<Identity>> {
    let mut identity = Identity::anonymous(&AnonymousProfile::default());
    identity.kind = IdentityKind::Link;
    identity.id = Some(id.to_owned());
    // Whoever made it: not whom uploads count for.
    identity.person = Some(Person::local("anna"));
    let maker = Some(Rights::new(["upload", "share"], Labels::from_names(["ext"])));
    let uploads = Some(uploads);
    identity.link = Some(LinkScope { resources, maker, maker_needs: &["share"], download: true, uploads });
    vec![Arc::new(identity)]
}

fn limited_inbox(id: &str, most_instances: Option<u64>, most_bytes: Option<u64>) -> Vec<Arc<Identity>> {
    let into = UploadTarget::New(vec!["inbox".to_owned(), "new".to_owned()]);
    link(id, LinkUploads { into, most_instances, most_bytes }, Vec::new())
}

fn inbox(id: &str) -> Vec<Arc<Identity>> {
    limited_inbox(id, None, None)
}

/// To the study `1.1` of the patient `p`.
fn annotating(id: &str) -> Vec<Arc<Identity>> {
    let study = ct("1.1", "1.1.1", "1.1.1.1").identifiers().study;
    let resource = LinkedResource { level: Level::Study, orthanc_id: Some(study), dicom_uid: Some("1.1".to_owned()) };
    link(id, LinkUploads { into: UploadTarget::Annotated, most_instances: None, most_bytes: None }, vec![resource])
}

fn user(labels: &[&str]) -> Vec<Arc<Identity>> {
    let mut identity = Identity::anonymous(&AnonymousProfile::default());
    identity.kind = IdentityKind::Local;
    identity.person = Some(Person::local("anna"));
    identity.rights = Rights::new(["upload"], Labels::from_names(labels.iter().copied()));
    vec![Arc::new(identity)]
}

#[test]
fn what_comes_by_an_inbox_link_is_labelled_and_closed_to_all_others() {
    let site = Site::new();
    let first = ct("1.5", "1.5.1", "1.5.1.1");
    assert!(site.upload(&inbox("one"), &first));
    assert_eq!(site.labels(&first), ["inbox", "new"]);
    assert!(site.upload(&inbox("one"), &ct("1.5", "1.5.1", "1.5.1.2")));
    assert!(site.upload(&inbox("one"), &ct("1.5", "1.5.2", "1.5.2.1")));
    assert!(!site.upload(&inbox("two"), &ct("1.5", "1.5.1", "1.5.1.3")));
    // Its maker neither, without the label.
    assert!(!site.upload(&user(&["ext"]), &ct("1.5", "1.5.1", "1.5.1.3")));
    assert!(site.upload(&user(&["inbox"]), &ct("1.5", "1.5.1", "1.5.1.3")));
    assert_eq!((site.used("one"), site.used("two")), ((3, 30), (0, 0)));
}

#[test]
fn an_inbox_link_enters_nothing_that_is_here() {
    let site = Site::new();
    for labels in [&["ext"][..], &["inbox"], &["inbox", "new"], &[]] {
        let here = ct("1.5", "1.5.1", "1.5.1.1");
        site.has(&here, labels);
        for new in [
            // The same instance, another one, another series, the study's UID under another PatientID.
            here.clone(),
            ct("1.5", "1.5.1", "1.5.1.2"),
            ct("1.5", "1.5.2", "1.5.2.1"),
            image(["q", "1.5", "1.5.3", "1.5.3.1"], CT),
            // The UIDs of a series or an instance in another study.
            ct("1.6", "1.5.1", "1.6.1.1"),
            ct("1.6", "1.6.1", "1.5.1.1"),
        ] {
            assert!(!site.upload(&inbox("one"), &new), "{labels:?} {new:?}");
        }
        site.server.images.lock().clear();
        site.server.labels.lock().clear();
    }
    assert_eq!(site.used("one"), (0, 0));
}

#[test]
fn a_label_or_a_day_closes_what_an_inbox_link_brought() {
    let site = Site::new();
    let first = ct("1.5", "1.5.1", "1.5.1.1");
    assert!(site.upload(&inbox("one"), &first));
    assert!(site.upload_at(&inbox("one"), &ct("1.5", "1.5.1", "1.5.1.2"), NOW.plus(86_399)));
    assert!(!site.upload_at(&inbox("one"), &ct("1.5", "1.5.1", "1.5.1.3"), NOW.plus(86_400)));
    site.server.labels.lock().push((first.identifiers().study, "seen".to_owned()));
    assert!(!site.upload(&inbox("one"), &ct("1.5", "1.5.1", "1.5.1.3")));
}

#[test]
fn two_patients_of_one_uid_do_not_come_in_whatever_the_order() {
    let site = Site::new();
    let (one, other) = (ct("1.5", "1.5.1", "1.5.1.1"), image(["q", "1.5", "1.5.2", "1.5.2.1"], CT));
    assert!(site.upload(&inbox("one"), &one));
    assert!(!site.upload(&inbox("one"), &other));
    // Both before either is stored.
    let site = Site::new();
    let receive = |image: &Image| {
        let text = image.tags();
        let tags = || Ok(text.clone());
        site.uploads.receive(&site.resources, &received(1, &tags), Some(&inbox("one")), NOW)
    };
    assert_eq!(receive(&one), Verdict::Taken);
    assert_eq!(receive(&other), Verdict::Failed);
    assert_eq!(receive(&ct("1.5", "1.5.1", "1.5.1.2")), Verdict::Taken);
}

#[test]
fn what_an_inbox_link_brought_is_not_what_came_in_its_place() {
    let site = Site::new();
    assert!(site.upload(&inbox("one"), &ct("1.5", "1.5.1", "1.5.1.1")));
    // Another server deleted it, and somebody else sent one with its UID, of another patient.
    site.server.images.lock().clear();
    site.has(&image(["q", "1.5", "1.5.2", "1.5.2.1"], CT), &[]);
    assert!(!site.upload(&inbox("one"), &image(["q", "1.5", "1.5.2", "1.5.2.2"], CT)));
    assert!(!site.upload(&inbox("one"), &ct("1.5", "1.5.1", "1.5.1.2")));
}

#[test]
fn limits_are_reached_exactly_and_refusals_change_nothing() {
    let site = Site::new();
    let sized = |instance: &'static str, size: u64| Image { size, ..ct("1.5", "1.5.1", instance) };
    let who = || limited_inbox("one", Some(3), Some(100));
    assert!(!site.upload(&who(), &sized("1", 101)));
    assert_eq!(site.used("one"), (0, 0));
    // What was refused has claimed nothing either.
    assert!(site.upload(&inbox("two"), &Image { size: 1, ..ct("1.6", "1.6.1", "1.6.1.1") }));
    assert!(site.upload(&who(), &sized("1", 60)));
    assert!(!site.upload(&who(), &sized("2", 41)));
    assert_eq!(site.used("one"), (1, 60));
    assert!(site.upload(&who(), &sized("2", 40)));
    assert_eq!(site.used("one"), (2, 100));
    assert!(!site.upload(&who(), &sized("3", 1)));
    assert!(site.upload(&who(), &sized("3", 0)));
    assert!(!site.upload(&who(), &sized("4", 0)), "three instances are enough");
    // Sent again, they are here already and cost nothing.
    assert!(site.upload(&who(), &sized("1", 60)));
    assert_eq!(site.used("one"), (3, 100));
}

#[test]
fn of_many_who_come_at_once_as_many_get_in_as_may() {
    let site = Site::new();
    let who = limited_inbox("one", Some(5), None);
    let taken: usize = std::thread::scope(|scope| {
        let upload = |thread: usize| {
            let (site, who) = (&site, &who);
            move || {
                let upload = |at: usize| {
                    let uid: &'static str = format!("1.5.1.{thread}.{at}").leak();
                    let text = ct("1.5", "1.5.1", uid).tags();
                    let tags = || Ok(text.clone());
                    site.uploads.receive(&site.resources, &received(1, &tags), Some(who), NOW) == Verdict::Taken
                };
                (0..4).filter(|at| upload(*at)).count()
            }
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(upload(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((taken, site.used("one")), (5, (5, 5)));
}

#[test]
fn a_link_that_was_taken_back_or_has_ended_meanwhile_brings_nothing_more() {
    let site = Site::new();
    let who = inbox("one");
    assert!(site.upload(&who, &ct("1.5", "1.5.1", "1.5.1.1")));
    site.store.revoke_share("one", None, NOW).unwrap();
    let text = ct("1.5", "1.5.1", "1.5.1.2").tags();
    let tags = || Ok(text.clone());
    // The request was let through before.
    assert_eq!(site.uploads.receive(&site.resources, &received(1, &tags), Some(&who), NOW), Verdict::Failed);
    let mut ends = Arc::try_unwrap(inbox("two").remove(0)).unwrap();
    ends.expires_at = Some(NOW.plus(10));
    let ends = vec![Arc::new(ends)];
    assert!(site.upload_at(&ends, &ct("1.7", "1.7.1", "1.7.1.1"), NOW.plus(9)));
    assert!(!site.upload_at(&ends, &ct("1.7", "1.7.1", "1.7.1.2"), NOW.plus(10)));
    assert_eq!((site.used("one"), site.used("two")), ((1, 10), (1, 10)));
}

#[test]
fn nothing_is_replaced_by_a_link() {
    let site = Site::with(true);
    let first = ct("1.5", "1.5.1", "1.5.1.1");
    assert!(site.upload(&inbox("one"), &first));
    assert!(!site.upload(&inbox("one"), &first));
    site.has(&ct("1.1", "1.1.1", "1.1.1.1"), &["ext"]);
    let report = image(["p", "1.1", "1.1.2", "1.1.2.1"], SR);
    assert!(site.upload(&annotating("two"), &report));
    assert!(!site.upload(&annotating("two"), &report));
}

#[test]
fn annotations_enter_the_links_study_and_no_other() {
    let site = Site::new();
    let report = |names| image(names, SR);
    assert!(!site.upload(&annotating("one"), &report(["p", "1.1", "1.1.2", "1.1.2.1"])), "it is not here yet");
    site.has(&ct("1.1", "1.1.1", "1.1.1.1"), &["ext"]);
    site.has(&ct("1.2", "1.2.1", "1.2.1.1"), &["ext"]);
    site.has(&image(["p", "1.1", "1.1.7", "1.1.7.1"], ("1.2.840.10008.5.1.4.1.1.88.67", "SR")), &["ext"]);
    for (image, expected) in [
        // Not beside a dose report, which has their modality.
        (report(["p", "1.1", "1.1.7", "1.1.7.2"]), false),
        (report(["p", "1.1", "1.1.2", "1.1.2.1"]), true),
        (report(["p", "1.1", "1.1.2", "1.1.2.2"]), true),
        // Not beside the images, nor under their UIDs; nor images beside reports.
        (report(["p", "1.1", "1.1.1", "1.1.1.2"]), false),
        (report(["p", "1.1", "1.1.3", "1.1.1.1"]), false),
        (ct("1.1", "1.1.2", "1.1.2.3"), false),
        (ct("1.1", "1.1.4", "1.1.4.1"), false),
        // Another study, a new one, and the same UID under another PatientID.
        (report(["p", "1.2", "1.2.2", "1.2.2.1"]), false),
        (report(["p", "1.3", "1.3.1", "1.3.1.1"]), false),
        (report(["q", "1.1", "1.1.5", "1.1.5.1"]), false),
        // The UIDs of another study's series and instance.
        (report(["p", "1.1", "1.2.1", "1.1.6.1"]), false),
        (report(["p", "1.1", "1.1.6", "1.2.1.1"]), false),
    ] {
        assert_eq!(site.upload(&annotating("one"), &image), expected, "{image:?}");
    }
    assert_eq!(site.used("one"), (2, 20));
    // Its maker does not see the study any more.
    site.server.labels.lock().clear();
    assert!(!site.upload(&annotating("one"), &report(["p", "1.1", "1.1.2", "1.1.2.3"])));
}

#[test]
fn a_link_beside_a_user_gives_what_each_gives() {
    let site = Site::new();
    site.has(&ct("1.5", "1.5.1", "1.5.1.1"), &["int"]);
    let both = [user(&["ext"]), inbox("one")].concat();
    assert!(site.upload(&both, &ct("1.6", "1.6.1", "1.6.1.1")));
    assert_eq!(site.used("one"), (0, 0), "it was the user's");
    assert!(site.upload(&inbox("one"), &ct("1.7", "1.7.1", "1.7.1.1")));
    assert!(site.upload(&both, &ct("1.7", "1.7.1", "1.7.1.2")), "the link's own study");
    assert_eq!(site.used("one"), (2, 20));
    // To a user it is the status of the instance that says it.
    let foreign = ct("1.5", "1.5.1", "1.5.1.2");
    assert_eq!(site.look(&both, &foreign), Verdict::Dropped);
    assert_eq!(site.look(&inbox("one"), &foreign), Verdict::Failed);
}

/// Newer servers say that they have an instance before they ask whether it may be stored.
#[test]
fn whether_an_instance_is_here_is_not_told() {
    let site = Site::new();
    let here = ct("1.5", "1.5.1", "1.5.1.1");
    site.has(&here, &["int"]);
    for who in [user(&["ext"]), inbox("one"), annotating("one")] {
        let other = ct("1.5", "1.5.1", "1.5.1.2");
        assert_ne!(site.look(&who, &here), Verdict::Taken);
        assert_eq!(site.look(&who, &here), site.look(&who, &other));
    }
    assert_eq!(site.look(&user(&["int"]), &here), Verdict::Taken);
    assert!(Uploads::must_look(Some(&user(&["ext"]))) && Uploads::must_look(Some(&inbox("one"))));
    assert!(!Uploads::must_look(Some(&user(&["*"]))) && !Uploads::must_look(None));
}

#[test]
fn what_cannot_be_found_out_is_refused() {
    let site = Site::new();
    site.server.fails.store(true, Ordering::SeqCst);
    assert!(!site.upload(&inbox("one"), &ct("1.5", "1.5.1", "1.5.1.1")));
    assert!(!site.upload(&annotating("one"), &image(["p", "1.1", "1.1.2", "1.1.2.1"], SR)));
}
