use super::*;
use crate::testing::{FakeHost, id, uid, world};

const LONG: Duration = Duration::from_secs(3600);

fn resources(validity: Duration) -> (Arc<FakeHost>, Resources) {
    let host = FakeHost::new(world());
    (Arc::clone(&host), Resources::new(host, validity))
}

fn by_id(level: Level, name: &str) -> Named<'static> {
    Named::Orthanc(level, id(name).into())
}

fn labels(resources: &Resources, name: &str) -> Vec<String> {
    resources.study(&id(name)).unwrap().labels.iter().cloned().collect()
}

fn studies(found: &[Located]) -> BTreeSet<String> {
    found.iter().map(|located| located.study.id.to_string()).collect()
}

#[test]
fn a_resource_is_found_with_everything_above_it() {
    let (_, resources) = resources(LONG);
    let [instance] = &resources.locate(&by_id(Level::Instance, "a1x1")).unwrap()[..] else { panic!("one") };
    assert_eq!((&*instance.study.id, &*instance.study.uid), (&*id("a1"), &*uid("a1")));
    assert_eq!(instance.series.as_ref().map(|series| (&*series.id, &*series.uid)), Some((&*id("a1x"), &*uid("a1x"))));
    assert_eq!(instance.instance.as_ref().map(|one| (&*one.id, &*one.uid)), Some((&*id("a1x1"), &*uid("a1x1"))));
    let [series] = &resources.locate(&by_id(Level::Series, "a1x")).unwrap()[..] else { panic!("one") };
    assert_eq!((&*series.study.id, series.instance.is_none()), (&*id("a1"), true));
}

#[test]
fn a_level_is_not_taken_for_another() {
    let (_, resources) = resources(LONG);
    let names = [(Level::Patient, "pa"), (Level::Study, "a1"), (Level::Series, "a1x"), (Level::Instance, "a1x1")];
    for (level, name) in names {
        for asked in Level::ALL {
            // Twice: the second time whatever was cached must not help.
            for _ in 0..2 {
                let found = resources.locate(&by_id(asked, name));
                assert_eq!(found.is_ok(), asked == level, "{name} as {asked:?}: {found:?}");
                let by_uid = resources.locate(&Named::Uid(asked, uid(name).into()));
                assert_eq!(by_uid.is_ok(), asked == level, "the UID of {name} as {asked:?}: {by_uid:?}");
            }
        }
        assert!(resources.locate(&Named::OrthancOfAnyLevel(id(name).into())).is_ok());
    }
    assert_eq!(resources.locate(&Named::OrthancOfAnyLevel(id("none").into())), Err(ResourceError::Unknown));
    assert_eq!(resources.locate(&Named::Malformed), Err(ResourceError::Unknown));
}

#[test]
fn a_patient_is_all_its_studies() {
    let (host, resources) = resources(LONG);
    let found = resources.locate(&by_id(Level::Patient, "pc")).unwrap();
    assert_eq!(studies(&found), BTreeSet::from([id("c1"), id("c2")]));
    // One that comes later is there at once, whatever is cached.
    host.studies.lock().push(crate::testing::study("pc", "c3", &["int"]));
    assert_eq!(resources.locate(&by_id(Level::Patient, "pc")).unwrap().len(), 3);
}

#[test]
fn a_uid_stands_for_every_resource_that_carries_it() {
    let (_, resources) = resources(LONG);
    for (level, name) in [(Level::Study, "f1"), (Level::Series, "f1x"), (Level::Instance, "f1x1")] {
        let found = resources.locate(&Named::Uid(level, uid(name).into())).unwrap();
        assert_eq!(studies(&found), BTreeSet::from([id("f1"), id("g1")]), "{name}");
    }
}

#[test]
fn a_deleted_study_is_gone_as_soon_as_it_is_said() {
    let (host, resources) = resources(LONG);
    for named in [by_id(Level::Study, "a1"), by_id(Level::Instance, "a1x1"), Named::Uid(Level::Study, uid("a1").into())]
    {
        assert!(resources.locate(&named).is_ok());
    }
    host.studies.lock().retain(|study| study.name != "a1");
    resources.labels_changed();
    for named in [by_id(Level::Study, "a1"), by_id(Level::Instance, "a1x1"), Named::Uid(Level::Study, uid("a1").into())]
    {
        assert_eq!(resources.locate(&named), Err(ResourceError::Unknown), "{named:?}");
    }
}

#[test]
fn labels_are_asked_for_once_until_they_change() {
    let (host, resources) = resources(LONG);
    let call = format!("GET /studies/{}", id("a1"));
    for _ in 0..3 {
        assert_eq!(labels(&resources, "a1"), ["ext"]);
    }
    assert_eq!(host.count(&call), 1);
    host.set_labels("a1", &["int"]);
    resources.labels_changed();
    assert_eq!(labels(&resources, "a1"), ["int"]);
    assert_eq!(host.count(&call), 2);
}

#[test]
fn without_validity_labels_are_asked_for_each_time() {
    let (host, resources) = resources(Duration::ZERO);
    assert_eq!(labels(&resources, "a1"), ["ext"]);
    host.set_labels("a1", &["int"]);
    assert_eq!(labels(&resources, "a1"), ["int"]);
    assert_eq!(resources.locate(&Named::Uid(Level::Study, uid("e1").into())).unwrap().len(), 1);
    assert_eq!(resources.locate(&Named::Uid(Level::Study, uid("e1").into())).unwrap().len(), 1);
    assert_eq!(host.count("POST /tools/lookup"), 2);
}

#[test]
fn cached_labels_expire() {
    let validity = Duration::from_millis(20);
    let (host, resources) = resources(validity);
    assert_eq!(labels(&resources, "a1"), ["ext"]);
    // As another server of the same database would: nobody tells us.
    host.set_labels("a1", &["int"]);
    let deadline = clock::monotonic() + Duration::from_secs(20);
    while labels(&resources, "a1") != ["int"] {
        assert!(clock::monotonic() < deadline, "the old labels stay");
        std::thread::yield_now();
    }
}

#[test]
fn a_change_during_a_question_does_not_leave_the_old_answer_behind() {
    let (host, resources) = resources(LONG);
    let resources = Arc::new(resources);
    let (their_host, theirs) = (Arc::clone(&host), Arc::clone(&resources));
    *host.meanwhile.lock() = Some(Box::new(move || {
        their_host.set_labels("a1", &["int"]);
        theirs.labels_changed();
    }));
    // The answer was made before the change, and may be given to this request; to no later one.
    assert_eq!(labels(&resources, "a1"), ["ext"]);
    assert_eq!(labels(&resources, "a1"), ["int"]);
    // The same for which resources carry a UID.
    let (their_host, theirs) = (Arc::clone(&host), Arc::clone(&resources));
    *host.meanwhile.lock() = Some(Box::new(move || {
        let mut twin = crate::testing::study("pz", "z1", &["int"]);
        twin.twin = "h1".to_owned();
        their_host.studies.lock().push(twin);
        theirs.labels_changed();
    }));
    assert_eq!(resources.with_uid(Level::Study, &uid("h1")).unwrap().len(), 1);
    assert_eq!(resources.with_uid(Level::Study, &uid("h1")).unwrap().len(), 2);
}

#[test]
fn a_failing_server_is_an_error_and_is_not_remembered() {
    let (host, resources) = resources(LONG);
    for code in [1, 11, 45] {
        *host.failure.lock() = Some(HostError(code));
        for named in [
            by_id(Level::Study, "a1"),
            by_id(Level::Patient, "pa"),
            Named::Uid(Level::Study, uid("a1").into()),
            Named::OrthancOfAnyLevel(id("a1").into()),
        ] {
            assert!(matches!(resources.locate(&named), Err(ResourceError::Host(_))), "{code} {named:?}");
        }
    }
    *host.failure.lock() = None;
    assert!(resources.locate(&by_id(Level::Study, "a1")).is_ok());
    // A UID that nothing carries is asked for again: what brings it may come any time.
    assert_eq!(resources.with_uid(Level::Study, "9.9").unwrap().len(), 0);
    assert_eq!(resources.with_uid(Level::Study, "9.9").unwrap().len(), 0);
    assert_eq!(host.calls.lock().iter().filter(|(_, body)| body == "9.9").count(), 2);
}

/// Answers with the same bytes whatever is asked.
struct Odd(&'static [u8]);

impl Host for Odd {
    fn calls_us(&self, _: &str) -> bool {
        true
    }
    fn property(&self, _: i32) -> Result<String, HostError> {
        Ok(String::new())
    }
    fn keep_property(&self, _: i32, _: &str) -> Result<(), HostError> {
        Err(HostError::PLUGIN)
    }
    fn version(&self) -> crate::host::HostVersion {
        crate::host::HostVersion::new(1, 12, 7)
    }
    fn get(&self, _: &str) -> Result<Vec<u8>, HostError> {
        Ok(self.0.to_vec())
    }
    fn post(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, HostError> {
        Ok(self.0.to_vec())
    }
    fn put(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, HostError> {
        Ok(self.0.to_vec())
    }
    fn delete(&self, _: &str) -> Result<(), HostError> {
        Ok(())
    }
    fn call(
        &self,
        _: crate::host::Method,
        _: &str,
        _: &[(&str, &str)],
        _: &[u8],
    ) -> Result<crate::host::CoreAnswer, HostError> {
        Err(HostError::PLUGIN)
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_an_error() {
    let texts: [&[u8]; 9] = [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{\"ID\": 1}",
        b"\xff\xfe",
        // Another resource than the one that was asked for.
        b"{\"ID\": \"x\", \"ParentPatient\": \"p\", \"ParentStudy\": \"x\", \"ParentSeries\": \"x\", \"Labels\": [\"ext\"], \"Studies\": [\"x\"], \"MainDicomTags\": {}}",
        b"[{\"Type\": \"Study\"}]",
        b"[{\"ID\": 4, \"Type\": \"Study\"}]",
    ];
    for text in texts {
        let resources = Resources::new(Arc::new(Odd(text)), LONG);
        for level in Level::ALL {
            let found = resources.locate(&by_id(level, "a1"));
            assert!(found.is_err(), "{level:?} {}: {found:?}", String::from_utf8_lossy(text));
            let found = resources.locate(&Named::Uid(level, "1.2".into()));
            assert!(found.is_err(), "{level:?} {}: {found:?}", String::from_utf8_lossy(text));
        }
    }
    // Labels that are no texts are not left out: one of them might be the label that counts.
    let text: &'static str =
        format!("{{\"ID\": \"{0}\", \"ParentPatient\": \"p\", \"Labels\": [\"ext\", 5]}}", id("a1")).leak();
    assert!(Resources::new(Arc::new(Odd(text.as_bytes())), LONG).study(&id("a1")).is_err());
}
