use super::*;
use crate::resource::Resources;
use crate::testing::{FakeHost, id, world};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

fn labels(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn ids(listing: &Listing) -> BTreeSet<String> {
    listing.studies.iter().map(|listed| listed.study.id.to_string()).collect()
}

fn named(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| id(name)).collect()
}

#[test]
fn a_list_has_the_studies_with_one_of_the_labels() {
    let resources = Resources::new(FakeHost::new(world()), LONG);
    for (asked, expected) in [
        (&["int"][..], &["b1", "c2", "d1", "g1"][..]),
        (&["ext", "int"], &["a1", "b1", "c1", "c2", "d1", "f1", "g1", "h1", "h2"]),
        (&["nobody"], &[]),
    ] {
        for is_kept in [false, true, true] {
            let listing = resources.labelled(&labels(asked), false).unwrap();
            assert_eq!((ids(&listing), listing.is_kept), (named(expected), is_kept), "{asked:?}");
        }
    }
    let listing = resources.labelled(&labels(&["int"]), false).unwrap();
    let study = |name: &str| listing.studies.iter().find(|listed| *listed.study.id == *id(name)).unwrap();
    assert_eq!((&*study("d1").study.labels, &*study("d1").patient), (&labels(&["ext", "int"]), &*id("pd")));
    // Equal label sets are there once.
    assert!(Arc::ptr_eq(&study("b1").study.labels, &study("c2").study.labels));
}

#[test]
fn a_server_that_finds_all_is_asked_once() {
    for (finds_all, times) in [(true, 1), (false, 2)] {
        let host = FakeHost::new(world());
        let resources = Resources::new(Arc::clone(&host) as Arc<dyn crate::host::Host>, LONG);
        let resources = resources.of_a_server_that_finds_all(finds_all);
        let listing = resources.labelled(&labels(&["int"]), false).unwrap();
        assert_eq!((ids(&listing), host.calls.lock().len()), (named(&["b1", "c2", "d1", "g1"]), times));
    }
}

#[test]
fn a_list_ends_with_a_change_and_not_without_validity() {
    let host = FakeHost::new(world());
    let resources = Resources::new(Arc::clone(&host) as Arc<dyn crate::host::Host>, LONG);
    let asked = labels(&["ext"]);
    assert!(resources.labelled(&asked, false).unwrap().studies.len() > 1);
    host.set_labels("a1", &[]);
    // Nobody told us.
    assert!(ids(&resources.labelled(&asked, false).unwrap()).contains(&id("a1")));
    // From the server if it has to be, and that is kept then.
    let listing = resources.labelled(&asked, true).unwrap();
    assert!(!listing.is_kept && !ids(&listing).contains(&id("a1")));
    let listing = resources.labelled(&asked, false).unwrap();
    assert!(listing.is_kept && !ids(&listing).contains(&id("a1")));
    host.set_labels("a1", &["ext"]);
    resources.labels_changed();
    assert!(ids(&resources.labelled(&asked, false).unwrap()).contains(&id("a1")));

    let resources = Resources::new(host, Duration::ZERO);
    for _ in 0..2 {
        assert!(!resources.labelled(&asked, false).unwrap().is_kept);
    }
}

#[test]
fn a_change_while_studies_are_listed_does_not_leave_the_old_list_behind() {
    let host = FakeHost::new(world());
    let resources = Arc::new(Resources::new(Arc::clone(&host) as Arc<dyn crate::host::Host>, LONG));
    let (their_host, theirs) = (Arc::clone(&host), Arc::clone(&resources));
    *host.meanwhile.lock() = Some(Box::new(move || {
        their_host.set_labels("a1", &[]);
        theirs.labels_changed();
    }));
    let asked = labels(&["ext"]);
    assert!(ids(&resources.labelled(&asked, false).unwrap()).contains(&id("a1")));
    assert!(!ids(&resources.labelled(&asked, false).unwrap()).contains(&id("a1")));
}

#[test]
fn lists_end_with_time() {
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(3_600));
    for (age, validity, expected) in [
        (Duration::ZERO, short, Trust::Whole),
        (short, short, Trust::IfAsMany),
        (LONGEST - short, short, Trust::IfAsMany),
        (LONGEST, short, Trust::None),
        (LONGEST, long, Trust::Whole),
        (long, long, Trust::None),
        (Duration::ZERO, Duration::ZERO, Trust::None),
    ] {
        assert_eq!(trust(age, validity), expected, "{age:?} of {validity:?}");
    }
}

#[test]
fn a_list_older_than_labels_may_be_is_used_while_there_are_as_many_studies() {
    let host = FakeHost::new(world());
    let resources = Resources::new(Arc::clone(&host) as Arc<dyn crate::host::Host>, Duration::from_nanos(1));
    let asked = labels(&["ext"]);
    let first = resources.labelled(&asked, false).unwrap();
    assert!(!first.is_kept && resources.labelled(&asked, false).unwrap().is_kept);
    // Another server labels one more, and then takes it back and another one too.
    for (change, count) in [(&["ext"][..], first.studies.len() + 1), (&[], first.studies.len())] {
        host.set_labels("e1", change);
        let listing = resources.labelled(&asked, false).unwrap();
        assert_eq!((listing.is_kept, listing.studies.len()), (false, count));
        assert!(resources.labelled(&asked, false).unwrap().is_kept);
    }
    // Whoever cannot count does not guess.
    *host.failure.lock() = Some(HostError(1));
    assert!(resources.labelled(&asked, false).is_err());
}

#[test]
fn no_more_is_kept_than_there_is_room_for() {
    let resources = Resources::new(FakeHost::new(world()), LONG);
    let listed = resources.labelled(&labels(&["ext"]), true).unwrap().studies[0].clone();
    let list = |count: usize| Aged { value: vec![listed.clone(); count].into(), read_at: clock::monotonic(), epoch: 0 };
    let mut lists = Lists::of_at_most(10);
    let held = |lists: &Lists| -> Vec<String> {
        lists.by_labels.iter().flat_map(|(labels, _)| labels.iter().cloned()).collect()
    };
    lists.keep(&labels(&["a"]), list(4));
    lists.keep(&labels(&["b"]), list(4));
    assert_eq!((held(&lists), lists.studies), (vec!["a".to_owned(), "b".to_owned()], 8));
    // Used just now, so that the other one goes.
    assert!(lists.by_labels.get(&labels(&["a"])).is_some());
    lists.keep(&labels(&["c"]), list(1));
    assert_eq!((held(&lists), lists.studies), (vec!["a".to_owned(), "c".to_owned()], 5));
    // In its own place.
    lists.keep(&labels(&["a"]), list(2));
    assert_eq!((held(&lists), lists.studies), (vec!["c".to_owned(), "a".to_owned()], 3));
    // What is too long leaves the others, and nothing old of its own.
    lists.keep(&labels(&["a"]), list(11));
    assert_eq!((held(&lists), lists.studies), (vec!["c".to_owned()], 1));
    for number in 0..100 {
        lists.keep(&labels(&[&number.to_string()]), list(0));
        assert!(lists.studies + lists.by_labels.len() <= 10);
    }
    assert_eq!(lists.by_labels.len(), 10);
}
