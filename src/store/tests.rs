//! What every implementation of [`Store`] must do. `store_suite!` makes a test of each function below; an
//! implementation calls it with a function that gives a fresh, empty state and something that keeps it alive.

use std::collections::BTreeSet;

use super::{
    ApiKeyRecord, CreatedStudy, LaunchRecord, PersonRecord, SessionRecord, SessionRenewal, ShareFilter, ShareRecord,
    Store, StoreError, UploadLimits, Uploaded, UseKind, UseRecord, WhichSessions,
};
use crate::clock::UnixTime;
use crate::person::Person;

macro_rules! store_suite {
    ($fresh:expr) => {
        $crate::store::tests::store_suite! { $fresh;
            a_key_comes_back_as_it_was_stored
            absent_lists_and_empty_lists_differ
            a_key_is_found_by_its_whole_hash_only
            id_and_hash_of_a_key_are_unique
            keys_are_listed_by_owner
            only_the_owner_deletes_a_key
            a_deleted_key_may_be_made_again
            a_share_comes_back_as_it_was_stored
            a_share_id_is_unique_and_a_refused_one_leaves_nothing
            shares_are_listed_newest_first_by_page
            shares_are_found_by_resource_and_owner
            shares_are_listed_that_are_not_over
            instant_links_are_forgotten_some_time_after_their_end
            only_the_owner_revokes_a_share
            the_first_date_of_revocation_stays
            links_keep_what_of_them_was_deleted
            links_of_one_index_are_told_from_those_of_another
            links_that_were_made_before_are_told_from_those_made_later
            how_far_an_index_was_watched_is_kept_where_a_link_was_made_on_it
            a_session_comes_back_as_it_was_stored_and_renewed
            sessions_are_ended_alone_by_person_and_by_the_providers_session
            sessions_that_are_over_are_forgotten
            people_are_found_by_name_and_by_subject
            a_link_is_found_by_its_code_and_opened_so_often_and_no_more
            a_launch_gives_its_code_and_each_refresh_token_once
            launches_that_are_over_are_forgotten
            launches_of_one_link_do_not_fill_the_disk
            uses_add_up_and_the_newest_counts
            uses_of_what_is_gone_are_ignored
            an_older_token_never_overwrites_a_person
            of_two_words_of_one_second_what_both_say_is_kept
            roles_from_a_clock_that_was_ahead_give_way
            other_roles_of_somebody_known_are_a_change
            people_of_two_issuers_are_two
            not_before_never_moves_back
            what_somebody_has_was_made_before_its_end_whatever_the_clock
            a_secret_is_generated_once
            what_is_no_secret_is_neither_kept_nor_used
            threads_that_race_for_a_secret_agree
            what_comes_by_a_link_is_counted_up_to_its_limits
            created_studies_are_kept_replaced_and_forgotten
            concurrent_writers_lose_nothing
            odd_texts_survive
            a_fresh_state_raises_no_alarm
        }
    };
    ($fresh:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let (_keep, store) = $fresh();
                $crate::store::tests::$name(&store);
            }
        )*
    };
}
pub(crate) use store_suite;

pub(crate) fn key(number: u8) -> ApiKeyRecord {
    ApiKeyRecord {
        id: format!("key-{number}"),
        hash: [number; 32],
        name: format!("workstation {number}"),
        owner: anna(),
        owner_name: "Anna".to_owned(),
        granted_by_admin: false,
        roles: None,
        permissions: None,
        authorized_labels: None,
        created_at: UnixTime(1000 + i64::from(number)),
        expires_at: None,
        last_use: None,
    }
}

pub(crate) fn link(id: &str) -> ShareRecord {
    ShareRecord {
        id: id.to_owned(),
        kind: "ohif-viewer-publication".to_owned(),
        resources_json: "[]".to_owned(),
        resource_ids: Vec::new(),
        deleted: Vec::new(),
        index: None,
        index_change: 0,
        token_hash: None,
        owner: anna(),
        owner_name: "Anna".to_owned(),
        created_at: UnixTime(2000),
        not_before: None,
        expires_at: None,
        options_json: "{}".to_owned(),
        code_hash: None,
        openings: 0,
        revoked_at: None,
        uses: 0,
        last_use: None,
    }
}

pub(crate) fn anna() -> Person {
    Person { issuer: "https://idp.example/realms/a".to_owned(), subject: "anna".to_owned() }
}

fn bert() -> Person {
    Person::local("bert")
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn ids(shares: &[ShareRecord]) -> Vec<&str> {
    shares.iter().map(|share| share.id.as_str()).collect()
}

pub(crate) fn a_key_comes_back_as_it_was_stored(store: &dyn Store) {
    let full = ApiKeyRecord {
        granted_by_admin: true,
        roles: Some(texts(&["doctor", "admin"])),
        permissions: Some(texts(&["view"])),
        authorized_labels: Some(texts(&["a", "b"])),
        expires_at: Some(UnixTime(i64::MAX)),
        last_use: Some(UnixTime(-1)),
        ..key(1)
    };
    store.insert_api_key(&full).unwrap();
    assert_eq!(store.api_key_by_hash(&full.hash).unwrap(), Some(full.clone()));
    assert_eq!(store.api_keys(None).unwrap(), [full]);
}

pub(crate) fn absent_lists_and_empty_lists_differ(store: &dyn Store) {
    let closed = ApiKeyRecord { roles: Some(vec![]), permissions: None, authorized_labels: Some(vec![]), ..key(1) };
    store.insert_api_key(&closed).unwrap();
    assert_eq!(store.api_key_by_hash(&[1; 32]).unwrap(), Some(closed));
}

pub(crate) fn a_key_is_found_by_its_whole_hash_only(store: &dyn Store) {
    store.insert_api_key(&key(1)).unwrap();
    let mut other = [1; 32];
    other[31] = 0;
    assert_eq!(store.api_key_by_hash(&other).unwrap(), None);
    assert_eq!(store.api_key_by_hash(&[0; 32]).unwrap(), None);
}

pub(crate) fn id_and_hash_of_a_key_are_unique(store: &dyn Store) {
    store.insert_api_key(&key(1)).unwrap();
    let same_id = ApiKeyRecord { id: key(1).id, ..key(2) };
    let same_hash = ApiKeyRecord { hash: key(1).hash, ..key(3) };
    assert!(matches!(store.insert_api_key(&same_id), Err(StoreError::Exists { .. })));
    assert!(matches!(store.insert_api_key(&same_hash), Err(StoreError::Exists { .. })));
    assert_eq!(store.api_keys(None).unwrap(), [key(1)]);
}

pub(crate) fn keys_are_listed_by_owner(store: &dyn Store) {
    let of_bert = ApiKeyRecord { owner: bert(), ..key(2) };
    // The same subject at another issuer is somebody else.
    let stranger = ApiKeyRecord { owner: Person::local("anna"), ..key(3) };
    for key in [&key(4), &stranger, &of_bert, &key(1)] {
        store.insert_api_key(key).unwrap();
    }
    assert_eq!(store.api_keys(Some(&anna())).unwrap(), [key(1), key(4)]);
    assert_eq!(store.api_keys(Some(&bert())).unwrap(), std::slice::from_ref(&of_bert));
    assert_eq!(store.api_keys(None).unwrap(), [key(1), of_bert, stranger, key(4)]);
    assert_eq!(store.api_keys(Some(&Person::local("nobody"))).unwrap(), []);
}

pub(crate) fn only_the_owner_deletes_a_key(store: &dyn Store) {
    store.insert_api_key(&key(1)).unwrap();
    store.insert_api_key(&key(2)).unwrap();
    assert!(!store.delete_api_key("key-1", Some(&bert())).unwrap());
    assert!(!store.delete_api_key("key-1", Some(&Person::local("anna"))).unwrap());
    assert!(store.api_key_by_hash(&[1; 32]).unwrap().is_some());
    assert!(store.delete_api_key("key-1", Some(&anna())).unwrap());
    assert_eq!(store.api_key_by_hash(&[1; 32]).unwrap(), None);
    assert!(!store.delete_api_key("key-1", Some(&anna())).unwrap(), "it was gone already");
    assert!(store.delete_api_key("key-2", None).unwrap(), "an administrator deletes anybody's");
    assert!(!store.delete_api_key("no such key", None).unwrap());
}

pub(crate) fn a_deleted_key_may_be_made_again(store: &dyn Store) {
    store.insert_api_key(&key(1)).unwrap();
    store.delete_api_key("key-1", None).unwrap();
    store.insert_api_key(&key(1)).unwrap();
    assert_eq!(store.api_key_by_hash(&[1; 32]).unwrap(), Some(key(1)));
}

pub(crate) fn a_share_comes_back_as_it_was_stored(store: &dyn Store) {
    let full = ShareRecord {
        resources_json: r#"[ {"DicomUid": "1.2.3"} ]"#.to_owned(),
        resource_ids: texts(&["z", "1.2.3", "z"]),
        index: Some("an index".to_owned()),
        not_before: Some(UnixTime(5)),
        expires_at: Some(UnixTime(6)),
        options_json: r#"{"Download":false}"#.to_owned(),
        code_hash: None,
        openings: 0,
        revoked_at: Some(UnixTime(7)),
        uses: 8,
        last_use: Some(UnixTime(9)),
        token_hash: Some([7; 32]),
        ..link("full")
    };
    store.insert_share(&full).unwrap();
    store.insert_share(&link("bare")).unwrap();
    // Its identifiers come back in lists.
    assert_eq!(store.share("full").unwrap(), Some(ShareRecord { resource_ids: Vec::new(), ..full.clone() }));
    let expected = ShareRecord { resource_ids: texts(&["1.2.3", "z"]), ..full };
    assert_eq!(store.share("bare").unwrap(), Some(link("bare")));
    assert_eq!(store.share("none").unwrap(), None);
    assert_eq!(store.shares(&ShareFilter::default()).unwrap(), [link("bare"), expected]);
}

pub(crate) fn a_share_id_is_unique_and_a_refused_one_leaves_nothing(store: &dyn Store) {
    store.insert_share(&link("one")).unwrap();
    let second = ShareRecord { resource_ids: texts(&["1.2.3"]), ..link("one") };
    assert!(matches!(store.insert_share(&second), Err(StoreError::Exists { .. })));
    let by_resource = ShareFilter { resource: Some("1.2.3".to_owned()), ..ShareFilter::default() };
    assert_eq!(store.shares(&by_resource).unwrap(), []);
    assert_eq!(store.share("one").unwrap(), Some(link("one")));
}

pub(crate) fn shares_are_listed_newest_first_by_page(store: &dyn Store) {
    for id in ["a", "e", "c", "b", "d"] {
        // All of one second: the order is that of creation, not of the clock or the id.
        store.insert_share(&link(id)).unwrap();
    }
    let mut filter = ShareFilter { limit: Some(2), ..ShareFilter::default() };
    let mut pages = Vec::new();
    loop {
        let page = store.shares(&filter).unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(last.id.clone());
        pages.push(ids(&page).join(""));
    }
    assert_eq!(pages, ["db", "ce", "a"]);
    assert_eq!(ids(&store.shares(&ShareFilter::default()).unwrap()).join(""), "dbcea");
    filter = ShareFilter { after: Some("unknown".to_owned()), ..ShareFilter::default() };
    assert_eq!(store.shares(&filter).unwrap(), []);
    filter = ShareFilter { limit: Some(0), ..ShareFilter::default() };
    assert_eq!(store.shares(&filter).unwrap(), []);
}

pub(crate) fn shares_are_found_by_resource_and_owner(store: &dyn Store) {
    for (id, owner, resources) in [
        ("a", anna(), vec!["1.2.3", "x"]),
        ("b", bert(), vec!["1.2.3"]),
        ("c", anna(), vec!["1.2.34"]),
        ("d", anna(), vec!["1.2.3"]),
    ] {
        store.insert_share(&ShareRecord { owner, resource_ids: texts(&resources), ..link(id) }).unwrap();
    }
    let found = |owner: Option<Person>, resource: Option<&str>, after: Option<&str>| {
        let (resource, after) = (resource.map(str::to_owned), after.map(str::to_owned));
        ids(&store.shares(&ShareFilter { owner, resource, after, ..ShareFilter::default() }).unwrap()).join("")
    };
    assert_eq!(found(None, Some("1.2.3"), None), "dba");
    assert_eq!(found(None, Some("x"), None), "a");
    assert_eq!(found(Some(anna()), Some("1.2.3"), None), "da");
    assert_eq!(found(Some(anna()), None, None), "dca");
    assert_eq!(found(Some(anna()), None, Some("d")), "ca");
    assert_eq!(found(None, Some("1.2.3"), Some("d")), "ba");
    assert_eq!(found(Some(bert()), Some("1.2.34"), None), "");
    assert_eq!(found(None, Some("1.2"), None), "", "a prefix is not the identifier");
    assert_eq!(found(Some(Person::local("anna")), None, None), "");
}

pub(crate) fn shares_are_listed_that_are_not_over(store: &dyn Store) {
    for (id, end) in [("a", None), ("b", Some(10)), ("c", Some(11)), ("d", None)] {
        store.insert_share(&ShareRecord { expires_at: end.map(UnixTime), owner: anna(), ..link(id) }).unwrap();
    }
    assert!(store.revoke_share("d", None, UnixTime(5)).unwrap());
    let filter = ShareFilter { not_over_at: Some(UnixTime(10)), ..ShareFilter::default() };
    assert_eq!(ids(&store.shares(&filter).unwrap()).join(""), "ca");
    let by_user = ShareFilter { user: Some(anna().subject), ..filter };
    assert_eq!(ids(&store.shares(&by_user).unwrap()).join(""), "ca");
    let first = ShareFilter { limit: Some(1), ..by_user };
    assert_eq!(ids(&store.shares(&first).unwrap()).join(""), "c", "what is over takes nobody's place");
}

pub(crate) fn instant_links_are_forgotten_some_time_after_their_end(store: &dyn Store) {
    use crate::share::kind::LinkType;
    let (instant, others): (Vec<LinkType>, Vec<LinkType>) =
        LinkType::ALL.into_iter().partition(|kind| kind.as_str().ends_with("-instant-link"));
    assert_eq!(instant.len(), 3);
    let insert = |id: &str, kind: &LinkType, end: Option<i64>| {
        let (kind, expires_at) = (kind.as_str().to_owned(), end.map(UnixTime));
        store.insert_share(&ShareRecord { kind, expires_at, resource_ids: texts(&[id]), ..link(id) }).unwrap();
    };
    for (at, kind) in instant.iter().enumerate() {
        insert(&format!("over {at}"), kind, Some(9));
        insert(&format!("late {at}"), kind, Some(10));
        insert(&format!("endless {at}"), kind, None);
    }
    for (at, kind) in others.iter().enumerate() {
        insert(&format!("kept {at}"), kind, Some(9));
    }
    let changes = store.changes().unwrap();
    assert!(!store.forget_instant_links(UnixTime(10)).unwrap());
    let left = store.shares(&ShareFilter::default()).unwrap();
    let left = ids(&left);
    assert_eq!(left.len(), others.len() + 6);
    assert!(!left.iter().any(|id| id.starts_with("over")));
    let filter = ShareFilter { resource: Some("over 0".to_owned()), ..ShareFilter::default() };
    assert!(store.shares(&filter).unwrap().is_empty());
    assert_eq!(store.changes().unwrap(), changes, "nothing was taken from anybody");
}

pub(crate) fn only_the_owner_revokes_a_share(store: &dyn Store) {
    store.insert_share(&link("a")).unwrap();
    store.insert_share(&link("b")).unwrap();
    let at = UnixTime(3000);
    assert!(!store.revoke_share("a", Some(&bert()), at).unwrap());
    assert_eq!(store.share("a").unwrap(), Some(link("a")));
    assert!(store.revoke_share("a", Some(&anna()), at).unwrap());
    assert_eq!(store.share("a").unwrap(), Some(ShareRecord { revoked_at: Some(at), ..link("a") }));
    assert_eq!(store.share("b").unwrap(), Some(link("b")), "the other one is as it was");
    assert!(store.revoke_share("b", None, at).unwrap());
    assert!(!store.revoke_share("none", None, at).unwrap());
}

pub(crate) fn the_first_date_of_revocation_stays(store: &dyn Store) {
    store.insert_share(&link("a")).unwrap();
    assert!(store.revoke_share("a", None, UnixTime(3000)).unwrap());
    assert!(store.revoke_share("a", None, UnixTime(4000)).unwrap(), "again is no failure");
    assert_eq!(store.share("a").unwrap().unwrap().revoked_at, Some(UnixTime(3000)));
}

pub(crate) fn links_keep_what_of_them_was_deleted(store: &dyn Store) {
    store.insert_share(&ShareRecord { resource_ids: texts(&["x", "1.2", "y"]), ..link("both") }).unwrap();
    store.insert_share(&ShareRecord { resource_ids: texts(&["y"]), ..link("one") }).unwrap();
    let deleted = |id: &str| store.share(id).unwrap().unwrap().deleted;
    let is_linked = |id: &str| store.linked(&[id], None).unwrap() == [id];
    assert!(is_linked("x") && is_linked("y"));
    assert!(!is_linked("z") && !store.resource_deleted("z", None, None).unwrap());
    let before = store.changes().unwrap();
    assert!(store.resource_deleted("y", None, None).unwrap());
    assert_ne!(store.changes().unwrap(), before, "others have to notice");
    assert_eq!((deleted("both"), deleted("one")), (texts(&["y"]), texts(&["y"])));
    assert!(!is_linked("y") && !store.resource_deleted("y", None, None).unwrap(), "that is known");
    // Made after that: of what was stored again.
    store.insert_share(&ShareRecord { resource_ids: texts(&["y"]), ..link("later") }).unwrap();
    assert!(deleted("later").is_empty() && is_linked("y"));
    assert!(store.resource_deleted("y", None, None).unwrap() && store.resource_deleted("x", None, None).unwrap());
    assert_eq!((deleted("both"), deleted("one"), deleted("later")), (texts(&["y", "x"]), texts(&["y"]), texts(&["y"])));
    let all = store.shares(&ShareFilter { resource: Some("y".to_owned()), ..ShareFilter::default() }).unwrap();
    assert_eq!(all.iter().map(|share| share.deleted.len()).collect::<Vec<_>>(), [1, 1, 2], "they are listed as before");
}

pub(crate) fn links_of_one_index_are_told_from_those_of_another(store: &dyn Store) {
    let made_on = |id: &str, index: Option<&str>| {
        let index = index.map(str::to_owned);
        store.insert_share(&ShareRecord { resource_ids: texts(&["x", "y"]), index, ..link(id) }).unwrap();
    };
    made_on("a", Some("index a"));
    made_on("b", Some("index b"));
    made_on("before", None);
    assert_eq!(store.share("a").unwrap().unwrap().index.as_deref(), Some("index a"));
    let deleted = || ["a", "b", "before"].map(|id| store.share(id).unwrap().unwrap().deleted);
    assert_eq!(store.linked(&["z", "y", "x"], Some("index a")).unwrap(), ["y", "x"]);
    assert_eq!(store.linked(&["x"], Some("index c")).unwrap(), texts(&[]));
    assert!(!store.resource_deleted("x", Some("index c"), None).unwrap());
    assert!(store.resource_deleted("x", Some("index a"), None).unwrap());
    assert_eq!(deleted(), [texts(&["x"]), texts(&[]), texts(&[])]);
    assert_eq!(store.linked(&["x", "y"], Some("index a")).unwrap(), ["y"], "that is known");
    assert_eq!(store.linked(&["x", "y"], Some("index b")).unwrap(), ["x", "y"]);
    assert!(store.resource_deleted("x", None, None).unwrap(), "of all the others");
    assert_eq!(deleted(), ["x"; 3].map(|id| texts(&[id])));
    assert!(store.linked(&["x"], None).unwrap().is_empty() && !store.resource_deleted("x", None, None).unwrap());
}

pub(crate) fn links_that_were_made_before_are_told_from_those_made_later(store: &dyn Store) {
    for index_change in [9, 10, 11] {
        let id = index_change.to_string();
        store.insert_share(&ShareRecord { resource_ids: texts(&["x"]), index_change, ..link(&id) }).unwrap();
    }
    assert_eq!(store.share("10").unwrap().unwrap().index_change, 10);
    let deleted = || ["9", "10", "11"].map(|id| store.share(id).unwrap().unwrap().deleted.len());
    assert!(!store.resource_deleted("x", None, Some(9)).unwrap());
    assert!(store.resource_deleted("x", None, Some(10)).unwrap());
    assert_eq!(deleted(), [1, 0, 0]);
    assert!(!store.resource_deleted("x", None, Some(10)).unwrap(), "that is known");
    assert!(store.resource_deleted("x", None, None).unwrap());
    assert_eq!(deleted(), [1, 1, 1]);
}

pub(crate) fn how_far_an_index_was_watched_is_kept_where_a_link_was_made_on_it(store: &dyn Store) {
    let watched = |index: &str| store.watched(index).unwrap();
    store.keep_watched("index a", 5).unwrap();
    assert_eq!(watched("index a"), None, "there is no link");
    store.insert_share(&ShareRecord { index_change: 3, ..link("of no index") }).unwrap();
    for (id, index, index_change) in [("first", "index a", 7), ("second", "index a", 9), ("other", "index b", 1)] {
        store.insert_share(&ShareRecord { index: Some(index.to_owned()), index_change, ..link(id) }).unwrap();
    }
    assert_eq!(["index a", "index b", "index c"].map(watched), [Some(7), Some(1), None]);
    let before = store.changes().unwrap();
    for change in [8, 8, 12, 2] {
        store.keep_watched("index a", change).unwrap();
        assert_eq!(["index a", "index b"].map(watched), [Some(change), Some(1)]);
    }
    assert_eq!(store.changes().unwrap(), before, "nobody has to be verified again");
}

pub(crate) fn uses_add_up_and_the_newest_counts(store: &dyn Store) {
    store.insert_share(&link("a")).unwrap();
    store.insert_share(&link("b")).unwrap();
    store.insert_api_key(&key(1)).unwrap();
    let used = |kind, id: &str, count, at| UseRecord { kind, id: id.to_owned(), count, at: UnixTime(at) };
    store
        .record_uses(&[
            used(UseKind::Share, "a", 3, 50),
            used(UseKind::ApiKey, "key-1", 9, 60),
            used(UseKind::Share, "a", 1, 40),
        ])
        .unwrap();
    store.record_uses(&[used(UseKind::Share, "a", 2, 45), used(UseKind::ApiKey, "key-1", 1, 55)]).unwrap();
    store.record_uses(&[]).unwrap();
    let share = store.share("a").unwrap().unwrap();
    assert_eq!((share.uses, share.last_use), (6, Some(UnixTime(50))));
    assert_eq!(store.api_key_by_hash(&[1; 32]).unwrap().unwrap().last_use, Some(UnixTime(60)));
    assert_eq!(store.share("b").unwrap(), Some(link("b")));
}

pub(crate) fn uses_of_what_is_gone_are_ignored(store: &dyn Store) {
    store.insert_share(&link("a")).unwrap();
    let used = |kind, id: &str| UseRecord { kind, id: id.to_owned(), count: u64::MAX, at: UnixTime(1) };
    store.record_uses(&[used(UseKind::ApiKey, "a"), used(UseKind::Share, "gone"), used(UseKind::Share, "a")]).unwrap();
    store.record_uses(&[used(UseKind::Share, "a")]).unwrap();
    let most = u64::try_from(i64::MAX).unwrap();
    assert_eq!(store.share("a").unwrap().unwrap().uses, most, "a counter that is full stays so");
}

fn seen(at: i64, role: &str) -> PersonRecord {
    PersonRecord {
        person: anna(),
        name: format!("Anna, {role}"),
        groups: texts(&["/radiology"]),
        roles: texts(&[role]),
        seen_at: UnixTime(at),
    }
}

pub(crate) fn an_older_token_never_overwrites_a_person(store: &dyn Store) {
    assert_eq!(store.person(&anna()).unwrap(), None);
    store.remember_person(&seen(20, "doctor")).unwrap();
    store.remember_person(&seen(10, "admin")).unwrap();
    assert_eq!(store.person(&anna()).unwrap(), Some(seen(20, "doctor")));
    store.remember_person(&seen(30, "nurse")).unwrap();
    assert_eq!(store.person(&anna()).unwrap(), Some(seen(30, "nurse")));
}

pub(crate) fn of_two_words_of_one_second_what_both_say_is_kept(store: &dyn Store) {
    let now = crate::clock::now().0;
    // Also when the clock was ahead.
    for at in [now, now + 86_400] {
        let said = |roles: &[&str]| PersonRecord { roles: texts(roles), ..seen(at, "doctor") };
        let (one, two) = (said(&["doctor", "admin", "nurse"]), said(&["nurse", "doctor", "guest"]));
        let two = PersonRecord { name: "Anna B.".to_owned(), ..two };
        store.remember_person(&one).unwrap();
        assert!(store.remember_person(&two).unwrap(), "keys lose at once what one does not say");
        let kept = said(&["doctor", "nurse"]);
        assert_eq!(store.person(&anna()).unwrap().as_ref(), Some(&kept));
        // Both come again and again, and nothing changes any more.
        let changes = store.changes().unwrap();
        for word in [&one, &two, &one, &kept, &two] {
            assert!(!store.remember_person(word).unwrap());
        }
        assert_eq!((store.person(&anna()).unwrap(), store.changes().unwrap()), (Some(kept), changes));
        store.remember_person(&said(&[])).unwrap();
        assert_eq!(store.person(&anna()).unwrap().unwrap().roles, texts(&[]));
    }
    // The next word counts as it is.
    assert!(store.remember_person(&seen(now + 1, "admin")).unwrap());
    assert_eq!(store.person(&anna()).unwrap(), Some(seen(now + 1, "admin")));
}

pub(crate) fn roles_from_a_clock_that_was_ahead_give_way(store: &dyn Store) {
    let now = crate::clock::now().0;
    store.remember_person(&seen(now + 86_400, "admin")).unwrap();
    assert!(store.remember_person(&seen(now, "nurse")).unwrap(), "keys lose at once what was taken away since");
    assert_eq!(store.person(&anna()).unwrap(), Some(seen(now, "nurse")));
    // A provider's clock may be ahead a little.
    store.remember_person(&seen(now + 60, "doctor")).unwrap();
    store.remember_person(&seen(now, "nurse")).unwrap();
    assert_eq!(store.person(&anna()).unwrap(), Some(seen(now + 60, "doctor")));
}

pub(crate) fn other_roles_of_somebody_known_are_a_change(store: &dyn Store) {
    let changes = store.changes().unwrap();
    assert!(!store.remember_person(&seen(20, "doctor")).unwrap(), "nothing was measured by them so far");
    let named = PersonRecord { name: "Anna".to_owned(), ..seen(21, "doctor") };
    assert!(!store.remember_person(&named).unwrap());
    assert!(!store.remember_person(&seen(10, "admin")).unwrap(), "an older token changes nothing");
    assert_eq!(store.changes().unwrap(), changes);
    assert!(store.remember_person(&seen(30, "nurse")).unwrap());
    assert_eq!(store.changes().unwrap(), changes + 1);
}

pub(crate) fn people_of_two_issuers_are_two(store: &dyn Store) {
    store.remember_person(&seen(20, "doctor")).unwrap();
    let local = PersonRecord { person: Person::local("anna"), ..seen(30, "admin") };
    store.remember_person(&local).unwrap();
    assert_eq!(store.person(&anna()).unwrap(), Some(seen(20, "doctor")));
    assert_eq!(store.person(&local.person).unwrap(), Some(local));
}

pub(crate) fn not_before_never_moves_back(store: &dyn Store) {
    assert_eq!(store.not_before(&anna()).unwrap(), None);
    for at in [50, 40, 60] {
        store.set_not_before(&anna(), UnixTime(at)).unwrap();
        assert_eq!(store.not_before(&anna()).unwrap(), Some(UnixTime(at.max(50))));
    }
    store.set_not_before(&bert(), UnixTime(7)).unwrap();
    assert_eq!(store.not_before(&Person::local("anna")).unwrap(), None);
    assert_eq!(store.not_before(&anna()).unwrap(), Some(UnixTime(60)));
    assert_eq!(store.not_before(&bert()).unwrap(), Some(UnixTime(7)));
}

pub(crate) fn what_somebody_has_was_made_before_its_end_whatever_the_clock(store: &dyn Store) {
    let of_bert = ApiKeyRecord { owner: bert(), ..key(3) };
    let old = ApiKeyRecord { created_at: UnixTime(400), ..key(2) };
    for key in [&key(1), &old, &of_bert] {
        store.insert_api_key(key).unwrap();
    }
    let made = ShareRecord { created_at: UnixTime(1000), ..link("made") };
    store.insert_share(&made).unwrap();
    // The clock was ahead when they were made, and was set back.
    store.set_not_before(&anna(), UnixTime(500)).unwrap();
    let times: Vec<UnixTime> = store.api_keys(None).unwrap().iter().map(|key| key.created_at).collect();
    assert_eq!(times, [UnixTime(400), UnixTime(500), of_bert.created_at]);
    assert_eq!(store.share("made").unwrap().unwrap().created_at, UnixTime(500));
}

pub(crate) fn a_secret_is_generated_once(store: &dyn Store) {
    let secret = |name: &str, byte: u8| store.secret(name, &|| Ok(vec![byte; 32])).unwrap();
    assert_eq!(secret("pepper", 255), [255; 32]);
    assert_eq!(store.secret("pepper", &|| panic!("there is one already")).unwrap(), [255; 32]);
    assert_eq!(secret("other", 2), [2; 32]);
}

pub(crate) fn what_is_no_secret_is_neither_kept_nor_used(store: &dyn Store) {
    for made in [Ok(Vec::new()), Ok(vec![7; 31]), Err("no random numbers")] {
        let answer = store.secret("pepper", &|| Ok(made.clone()?));
        assert!(matches!(answer, Err(StoreError::Secret { .. })), "{made:?}: {answer:?}");
    }
    assert_eq!(store.secret("pepper", &|| Ok(vec![8; 32])).unwrap(), [8; 32], "nothing was kept");
}

pub(crate) fn threads_that_race_for_a_secret_agree(store: &dyn Store) {
    let together = std::sync::Barrier::new(8);
    let race = |number: u8| {
        // All wait inside the generator, so that all have seen that there is none.
        store.secret("raced", &|| {
            together.wait();
            Ok(vec![number; 32])
        })
    };
    let got: BTreeSet<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || race(number).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!(got.first(), Some(&store.secret("raced", &|| Ok(vec![99; 32])).unwrap()));
}

pub(crate) fn created_studies_are_kept_replaced_and_forgotten(store: &dyn Store) {
    let study = |uid: &str, at| CreatedStudy {
        uid: uid.to_owned(),
        creator: anna(),
        created_at: UnixTime(at),
        study: None,
        labels: texts(&["external", "inbox"]),
    };
    assert_eq!(store.created_studies().unwrap(), []);
    store.keep_created_study(&study("1.1", 100)).unwrap();
    store.keep_created_study(&study("1.2", 200)).unwrap();
    let stored = CreatedStudy { study: Some("id".to_owned()), creator: bert(), ..study("1.1", 150) };
    store.keep_created_study(&stored).unwrap();
    assert_eq!(store.created_studies().unwrap(), [stored.clone(), study("1.2", 200)]);
    store.forget_created_studies(UnixTime(150), UnixTime(200)).unwrap();
    assert_eq!(store.created_studies().unwrap(), [stored, study("1.2", 200)]);
    store.forget_created_studies(UnixTime(151), UnixTime(200)).unwrap();
    assert_eq!(store.created_studies().unwrap(), [study("1.2", 200)]);
    store.keep_created_study(&study("1.4", 300)).unwrap();
    store.forget_created_studies(UnixTime(0), UnixTime(299)).unwrap();
    assert_eq!(store.created_studies().unwrap(), [study("1.2", 200)]);
    store.forget_created_study("1.3").unwrap();
    store.forget_created_study("1.2").unwrap();
    assert_eq!(store.created_studies().unwrap(), []);

    let berts = CreatedStudy { creator: bert(), ..study("1.5", 101) };
    assert_eq!(store.claim_created_study(&study("1.5", 100), None).unwrap(), None);
    assert_eq!(store.claim_created_study(&berts, None).unwrap(), Some(study("1.5", 100)), "whoever is first");
    assert_eq!(store.claim_created_study(&berts, Some(&study("1.5", 99))).unwrap(), Some(study("1.5", 100)));
    assert_eq!(store.created_study("1.5").unwrap(), Some(study("1.5", 100)));
    assert_eq!(store.claim_created_study(&berts, Some(&study("1.5", 100))).unwrap(), None);
    let stored = CreatedStudy { study: Some("id".to_owned()), ..berts };
    assert_eq!(store.claim_created_study(&stored, None).unwrap(), None, "one's own");
    store.forget_created_study_of("another").unwrap();
    assert_eq!(store.created_study("1.5").unwrap(), Some(stored));
    store.forget_created_study_of("id").unwrap();
    assert_eq!(store.created_study("1.5").unwrap(), None);
}

pub(crate) fn concurrent_writers_lose_nothing(store: &dyn Store) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in 0..10 {
                    let id = format!("{thread}-{number}");
                    store.insert_share(&ShareRecord { resource_ids: texts(&["1.2"]), ..link(&id) }).unwrap();
                    store.record_uses(&[UseRecord { kind: UseKind::Share, id, count: 1, at: UnixTime(1) }]).unwrap();
                    assert!(store.share(&format!("{thread}-{number}")).unwrap().is_some(), "one's own write is seen");
                }
            });
        }
    });
    let all = store.shares(&ShareFilter::default()).unwrap();
    assert_eq!(ids(&all).into_iter().collect::<BTreeSet<_>>().len(), 40);
    assert!(all.iter().all(|share| share.uses == 1 && share.resource_ids == ["1.2"]));
}

pub(crate) fn odd_texts_survive(store: &dyn Store) {
    let odd = "'; DROP TABLE api_keys; -- \" \\ \u{1F480} \r\n ?1 :id %";
    let record = ApiKeyRecord {
        id: odd.to_owned(),
        name: odd.to_owned(),
        owner: Person { issuer: odd.to_owned(), subject: String::new() },
        owner_name: String::new(),
        roles: Some(texts(&[odd, "", "a,b", "[\"x\"]"])),
        ..key(1)
    };
    store.insert_api_key(&record).unwrap();
    assert_eq!(store.api_keys(Some(&record.owner)).unwrap(), std::slice::from_ref(&record));
    let share = ShareRecord { id: odd.to_owned(), resource_ids: texts(&[odd]), ..link("") };
    store.insert_share(&share).unwrap();
    let filter = ShareFilter { resource: Some(odd.to_owned()), ..ShareFilter::default() };
    assert_eq!(store.shares(&filter).unwrap(), [share]);
    assert!(store.delete_api_key(odd, Some(&record.owner)).unwrap());
}

pub(crate) fn a_fresh_state_raises_no_alarm(store: &dyn Store) {
    assert_eq!(store.rolled_back(), None);
    assert_eq!(store.warnings(), Vec::<String>::new());
}

fn session(number: u8, person: Person) -> SessionRecord {
    SessionRecord {
        id: format!("session-{number}"),
        hash: [number; 32],
        person,
        name: "Anna".to_owned(),
        roles: vec!["doctor-role".to_owned()],
        groups: vec!["radiology".to_owned()],
        provider_session: Some(format!("sid-{number}")),
        created_at: UnixTime(100),
        expires_at: UnixTime(1_000 + i64::from(number)),
        valid_until: UnixTime(200),
        sealed: vec![1, 2, 3],
        last_use: None,
    }
}

pub(crate) fn a_session_comes_back_as_it_was_stored_and_renewed(store: &dyn Store) {
    let first = session(1, anna());
    store.insert_session(&first).unwrap();
    assert_eq!(store.session_by_hash(&[1; 32]).unwrap(), Some(first.clone()));
    assert_eq!(store.session_by_hash(&[2; 32]).unwrap(), None);
    let renewal = SessionRenewal {
        name: "Anna B.".to_owned(),
        roles: Vec::new(),
        groups: vec!["surgery".to_owned()],
        valid_until: UnixTime(300),
        sealed: vec![4],
    };
    assert!(store.renew_session("session-1", &renewal).unwrap());
    assert!(!store.renew_session("session-2", &renewal).unwrap());
    let used = UseRecord { kind: UseKind::Session, id: "session-1".to_owned(), count: 3, at: UnixTime(250) };
    store.record_uses(&[used]).unwrap();
    let renewed = SessionRecord {
        name: renewal.name,
        roles: renewal.roles,
        groups: renewal.groups,
        valid_until: renewal.valid_until,
        sealed: renewal.sealed,
        last_use: Some(UnixTime(250)),
        ..first
    };
    assert_eq!(store.session_by_hash(&[1; 32]).unwrap(), Some(renewed));
}

pub(crate) fn sessions_are_ended_alone_by_person_and_by_the_providers_session(store: &dyn Store) {
    let other = Person { subject: "someone-else".to_owned(), ..anna() };
    for number in 1..=4 {
        store.insert_session(&session(number, if number == 4 { other.clone() } else { anna() })).unwrap();
    }
    let left = || -> Vec<String> { store.sessions(None).unwrap().into_iter().map(|session| session.id).collect() };
    let changes = store.changes().unwrap();
    assert!(store.end_sessions(&WhichSessions::One("session-2")).unwrap());
    assert!(!store.end_sessions(&WhichSessions::One("session-2")).unwrap());
    assert_eq!(left(), ["session-1", "session-3", "session-4"]);
    let issuer = anna().issuer;
    let at_provider = |issuer: &str, session: &str, subject: Option<&str>| {
        store.end_sessions(&WhichSessions::AtProvider { issuer, session, subject }).unwrap()
    };
    assert!(at_provider(&issuer, "sid-3", Some(&anna().subject)));
    assert!(!at_provider("another", "sid-1", Some(&anna().subject)));
    assert_eq!(left(), ["session-1", "session-4"]);
    // One of which the provider never said its own name may be the one that it means.
    let nameless = |number, person| SessionRecord { provider_session: None, ..session(number, person) };
    store.insert_session(&nameless(5, anna())).unwrap();
    store.insert_session(&nameless(6, other.clone())).unwrap();
    assert!(!at_provider(&issuer, "sid-9", None));
    assert!(!at_provider("another", "sid-9", Some(&anna().subject)));
    assert!(at_provider(&issuer, "sid-9", Some(&anna().subject)));
    assert_eq!(left(), ["session-1", "session-4", "session-6"]);
    assert!(store.end_sessions(&WhichSessions::One("session-6")).unwrap());
    assert_eq!(store.sessions(Some(&other)).unwrap().len(), 1);
    assert!(store.end_sessions(&WhichSessions::Of(&anna())).unwrap());
    assert_eq!(left(), ["session-4"]);
    assert_eq!(store.changes().unwrap(), changes + 5);
}

pub(crate) fn sessions_that_are_over_are_forgotten(store: &dyn Store) {
    for number in 1..=3 {
        store.insert_session(&session(number, anna())).unwrap();
    }
    store.forget_sessions_over(UnixTime(1_002)).unwrap();
    let left: Vec<String> = store.sessions(None).unwrap().into_iter().map(|session| session.id).collect();
    assert_eq!(left, ["session-3"]);
}

pub(crate) fn people_are_found_by_name_and_by_subject(store: &dyn Store) {
    let record = |issuer: &str, subject: &str, name: &str| PersonRecord {
        person: Person { issuer: issuer.to_owned(), subject: subject.to_owned() },
        name: name.to_owned(),
        groups: Vec::new(),
        roles: Vec::new(),
        seen_at: UnixTime(1),
    };
    store.remember_person(&record("one", "u-1", "Anna")).unwrap();
    store.remember_person(&record("two", "Anna", "Someone")).unwrap();
    store.remember_person(&record("two", "u-3", "anna")).unwrap();
    let called = |name: &str| -> Vec<String> {
        store.people_called(name).unwrap().into_iter().map(|found| found.person.subject).collect()
    };
    assert_eq!(called("Anna"), ["u-1", "Anna"]);
    assert_eq!(called("u-3"), ["u-3"]);
    assert!(called("nobody").is_empty());
}

pub(crate) fn a_link_is_found_by_its_code_and_opened_so_often_and_no_more(store: &dyn Store) {
    store.insert_share(&ShareRecord { code_hash: Some([7; 32]), ..link("one") }).unwrap();
    store.insert_share(&link("two")).unwrap();
    store.insert_share(&link("three")).unwrap();
    assert_eq!(store.share_by_code(&[7; 32]).unwrap().unwrap().id, "one");
    assert_eq!(store.share_by_code(&[8; 32]).unwrap(), None);
    assert!(store.insert_share(&ShareRecord { code_hash: Some([7; 32]), ..link("four") }).is_err());
    let opened: Vec<bool> = std::thread::scope(|scope| {
        let open = || store.open_share("one", Some(3)).unwrap();
        let all: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(opened.iter().filter(|opened| **opened).count(), 3);
    assert_eq!(store.share("one").unwrap().unwrap().openings, 3);
    assert!(store.open_share("two", None).unwrap());
    store.revoke_share("two", None, UnixTime(1)).unwrap();
    assert!(!store.open_share("two", None).unwrap());
    assert!(!store.open_share("nothing", None).unwrap());
}

pub(crate) fn what_comes_by_a_link_is_counted_up_to_its_limits(store: &dyn Store) {
    let now = UnixTime(3000);
    store.insert_share(&link("one")).unwrap();
    let limits = UploadLimits { instances: Some(5), bytes: Some(100) };
    assert_eq!(store.uploaded("one").unwrap(), Uploaded::default());
    assert!(!store.take_upload("one", 101, limits, now).unwrap());
    assert!(!store.take_upload("one", 1, UploadLimits { instances: Some(0), bytes: None }, now).unwrap());
    assert_eq!(store.uploaded("one").unwrap(), Uploaded::default());
    let taken: Vec<bool> = std::thread::scope(|scope| {
        let take = || store.take_upload("one", 20, limits, now).unwrap();
        let all: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 5);
    assert_eq!(store.uploaded("one").unwrap(), Uploaded { instances: 5, bytes: 100 });
    // More room than there was, and none for more bytes.
    let limits = UploadLimits { instances: Some(10), bytes: Some(100) };
    assert!(!store.take_upload("one", 1, limits, now).unwrap());
    assert!(store.take_upload("one", 0, limits, now).unwrap());
    assert!(!store.take_upload("one", u64::MAX, UploadLimits::default(), now).unwrap());
    assert!(store.take_upload("one", 1 << 40, UploadLimits::default(), now).unwrap());

    // Only while the link is in force.
    let any = UploadLimits::default();
    store.insert_share(&ShareRecord { expires_at: Some(UnixTime(3001)), ..link("ends") }).unwrap();
    assert!(store.take_upload("ends", 1, any, now).unwrap());
    assert!(!store.take_upload("ends", 1, any, UnixTime(3001)).unwrap());
    store.insert_share(&ShareRecord { not_before: Some(UnixTime(3001)), ..link("begins") }).unwrap();
    assert!(!store.take_upload("begins", 1, any, now).unwrap());
    assert!(store.take_upload("begins", 1, any, UnixTime(3001)).unwrap());
    store.revoke_share("one", None, now).unwrap();
    assert!(!store.take_upload("one", 1, any, now).unwrap());
    assert!(!store.take_upload("nothing", 1, any, now).unwrap());
}

fn launch(number: u8) -> LaunchRecord {
    LaunchRecord {
        id: format!("launch-{number}"),
        link: "link".to_owned(),
        client: "https://viewer.example".to_owned(),
        redirect_uri: "https://viewer.example/callback".to_owned(),
        challenge: "challenge".to_owned(),
        nonce: Some("nonce".to_owned()),
        opened_at: UnixTime(90),
        session: Some("session".to_owned()),
        until: UnixTime(1000),
        code_hash: [number; 32],
        code_until: UnixTime(160),
        refresh_hash: None,
        revoked_at: None,
    }
}

pub(crate) fn a_launch_gives_its_code_and_each_refresh_token_once(store: &dyn Store) {
    let new = launch(1);
    store.insert_launch(&new, UnixTime(100)).unwrap();
    assert!(matches!(store.insert_launch(&new, UnixTime(100)), Err(StoreError::Exists { .. })));
    assert!(!store.start_launch("launch-1", &[7; 32]).unwrap(), "nobody came with the code");
    assert_eq!(store.take_launch_code(&[9; 32]).unwrap(), None);
    assert_eq!(store.take_launch_code(&[1; 32]).unwrap(), Some((new.clone(), true)));
    assert_eq!(store.take_launch_code(&[1; 32]).unwrap(), Some((new.clone(), false)));
    assert!(store.start_launch("launch-1", &[7; 32]).unwrap());
    assert!(!store.start_launch("launch-1", &[8; 32]).unwrap(), "it has begun");
    assert_eq!(store.launch("launch-1").unwrap(), Some(LaunchRecord { refresh_hash: Some([7; 32]), ..new.clone() }));
    assert!(store.rotate_launch("launch-1", &[7; 32], &[8; 32]).unwrap());
    assert!(!store.rotate_launch("launch-1", &[7; 32], &[6; 32]).unwrap(), "an old one");
    let changes = store.changes().unwrap();
    assert!(store.revoke_launch("launch-1", UnixTime(200)).unwrap());
    assert_eq!(store.changes().unwrap(), changes + 1);
    assert!(!store.revoke_launch("launch-1", UnixTime(201)).unwrap());
    assert!(!store.rotate_launch("launch-1", &[8; 32], &[9; 32]).unwrap(), "it was ended");
    // Ended between the code and its first token.
    store.insert_launch(&launch(2), UnixTime(100)).unwrap();
    assert!(store.take_launch_code(&[2; 32]).unwrap().unwrap().1);
    store.revoke_launch("launch-2", UnixTime(101)).unwrap();
    assert!(!store.start_launch("launch-2", &[7; 32]).unwrap());
}

pub(crate) fn launches_that_are_over_are_forgotten(store: &dyn Store) {
    for number in [1, 2] {
        store.insert_launch(&launch(number), UnixTime(100)).unwrap();
    }
    store.take_launch_code(&[1; 32]).unwrap();
    assert!(store.start_launch("launch-1", &[7; 32]).unwrap());
    let known = |id: &str| store.launch(id).unwrap().is_some();
    // A code that nobody came for goes with its time, what has begun at its end.
    store.insert_launch(&launch(3), UnixTime(160)).unwrap();
    assert_eq!((known("launch-1"), known("launch-2"), known("launch-3")), (true, false, true));
    store.insert_launch(&launch(4), UnixTime(1000)).unwrap();
    assert_eq!((known("launch-1"), known("launch-3"), known("launch-4")), (false, false, true));
}

pub(crate) fn launches_of_one_link_do_not_fill_the_disk(store: &dyn Store) {
    let numbered = |number: u16| {
        let mut code_hash = [0; 32];
        code_hash[..2].copy_from_slice(&number.to_be_bytes());
        let at = 100 + i64::from(number / 10);
        LaunchRecord {
            id: format!("launch-{number}"),
            session: None,
            until: UnixTime(30_000),
            code_hash,
            code_until: UnixTime(at + 60),
            ..launch(1)
        }
    };
    let start = |launch: &LaunchRecord| {
        store.insert_launch(launch, UnixTime(launch.code_until.0 - 60)).unwrap();
        assert!(store.take_launch_code(&launch.code_hash).unwrap().unwrap().1);
        assert!(store.start_launch(&launch.id, &[7; 32]).unwrap());
    };
    let others = [
        LaunchRecord { link: "another".to_owned(), ..numbered(1_001) },
        LaunchRecord { client: "https://another.example".to_owned(), ..numbered(1_002) },
        LaunchRecord { session: Some("session".to_owned()), ..numbered(1_003) },
    ];
    for other in &others {
        start(&LaunchRecord { code_until: UnixTime(160), ..other.clone() });
    }
    for number in 0..520 {
        start(&numbered(number));
    }
    let goes_on = |id: &str| store.launch(id).unwrap().is_some();
    let left: Vec<u16> = (0..520).filter(|number| goes_on(&format!("launch-{number}"))).collect();
    assert_eq!(left, (20..520).collect::<Vec<_>>(), "the newest");
    // That one had to make room is said.
    let made_room = |launch: LaunchRecord| store.insert_launch(&launch, UnixTime(100)).unwrap();
    assert!(made_room(numbered(600)) && !goes_on("launch-20") && goes_on("launch-600"));
    assert!(!made_room(LaunchRecord { link: "another".to_owned(), ..numbered(601) }));
    assert!(others.iter().all(|other| goes_on(&other.id)), "others have no part in it");
}
