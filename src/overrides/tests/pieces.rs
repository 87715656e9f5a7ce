//! Searches by links to series, compared with a server that holds only those series.

use super::*;

/// Whoever asks sees these series of studies, and these studies as a whole.
struct Linked {
    asker: Asker,
    series: Vec<&'static str>,
    whole: Vec<&'static str>,
}

impl Linked {
    /// The studies cut down to what may be seen, without labels.
    fn reference(&self, studies: &[FakeStudy]) -> Vec<FakeStudy> {
        let mut all = studies.to_vec();
        for study in &mut all {
            let is_whole = self.whole.contains(&study.name.as_str());
            study.series.retain(|series| is_whole || self.series.contains(&series.as_str()));
            study.labels.retain(|label| self.asker.labels.contains(&label.as_str()));
        }
        all.retain(|study| !study.series.is_empty());
        all
    }
}

fn linked(bed: &Bed) -> Vec<Linked> {
    let link = |of: &[(Level, &str)], by_uid: bool| {
        let resources = of.iter().map(|(level, name)| ShareResource {
            level: *level,
            orthanc_id: (!by_uid).then(|| id(name)),
            dicom_uid: by_uid.then(|| uid(name)),
            url: None,
        });
        ("token", bed.make_link("", None, LinkType::Stone, resources.collect(), |_| ()))
    };
    let asker = |headers, labels| Asker { headers, labels, linked: vec![] };
    let (series, study) = (Level::Series, Level::Study);
    vec![
        Linked { asker: asker(vec![link(&[(series, "a1x")], false)], vec![]), series: vec!["a1x"], whole: vec![] },
        Linked {
            asker: asker(vec![link(&[(series, "b1y"), (study, "c1"), (series, "h2x")], true)], vec![]),
            series: vec!["b1y", "h2x"],
            whole: vec!["c1"],
        },
        // Of `a1` they see all by its label, and of `b1` one series.
        Linked {
            asker: asker(
                vec![("authorization", basic("ext")), link(&[(series, "a1x"), (series, "b1x")], false)],
                vec!["ext"],
            ),
            series: vec!["b1x"],
            whole: vec!["a1", "c1", "d1", "h1", "h2"],
        },
        // Both series of one study, which is not the study.
        Linked {
            asker: asker(vec![link(&[(series, "e1x"), (series, "e1y")], false)], vec![]),
            series: vec!["e1x", "e1y"],
            whole: vec![],
        },
    ]
}

fn ids(answer: &Value) -> Vec<String> {
    let mut ids: Vec<String> =
        answer.as_array().unwrap().iter().map(|one| one.as_str().or(one["ID"].as_str()).unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn a_search_finds_in_a_study_what_the_link_opens_of_it() {
    let studies: Vec<FakeStudy> =
        world().into_iter().filter(|study| study.twin == study.name && study.name != "f1").collect();
    let (bed, _) = bed(studies.clone());
    let linked = linked(&bed);
    let mut random = Random(61);
    let (mut answered, mut refused, mut found) = (0, 0, 0);
    for _ in 0..worlds(500) {
        let who = &linked[random.below(linked.len())];
        let mut query = any_query(&mut random);
        // Of a patient nothing is shown by a piece; pages have a test on real servers.
        for member in ["Labels", "LabelsConstraint", "ParentPatient", "Since", "Limit"] {
            query.remove(member);
        }
        if query["Level"] == "Patient" {
            continue;
        }
        if query["Level"] != "Study" && query["Level"] != "study" && random.chance(30) {
            let series = random.pick(&["a1x", "a1y", "b1x", "b1y", "h2x", "h2y"]);
            query["Query"]["SeriesInstanceUID"] = json!(uid(series));
        }
        let text = Value::Object(query.clone()).to_string();
        let seen = who.reference(&studies);
        let reference = FakeHost::new(seen.clone());
        let reply = who.asker.call(&bed, Method::Post, "/tools/find", text.as_bytes()).unwrap();
        let count = who.asker.call(&bed, Method::Post, "/tools/count-resources", text.as_bytes()).unwrap();
        let names_nothing_seen = {
            let is_seen = |is: &dyn Fn(&FakeStudy) -> bool| seen.iter().any(is);
            let parent = |member: &str| query.get(member).and_then(Value::as_str).map(str::to_owned);
            let tags = query["Query"].as_object().unwrap().iter();
            let uids = tags.filter(|(tag, _)| *tag != "PatientID" && *tag != "SeriesInstanceUID");
            let uids: Vec<&str> = uids.flat_map(|(_, value)| value.as_str().unwrap().split('\\')).collect();
            uids.iter().any(|named| !named.contains(['*', '?']) && !is_seen(&|study| uid(&study.name) == **named))
                || parent("ParentStudy").is_some_and(|named| !is_seen(&|study| id(&study.name) == named))
                || parent("ParentSeries")
                    .is_some_and(|named| !is_seen(&|study| study.series.iter().any(|series| id(series) == named)))
        };
        let context = || format!("{:?} {:?} {text} {reply:?}", who.series, who.whole);
        if names_nothing_seen {
            assert_eq!(reply, Reply::HostError(HostError::FORBIDDEN), "{}", context());
            assert_eq!(count, Reply::HostError(HostError::FORBIDDEN), "{}", context());
            refused += 1;
            continue;
        }
        // At its own level and above, the real server takes a parent as nothing to find below: no viewer asks so.
        let is_study = query["Level"].as_str().is_some_and(|level| level.eq_ignore_ascii_case("study"));
        if is_study && (query.contains_key("ParentStudy") || query.contains_key("ParentSeries"))
            || query["Level"] == "Series" && query.contains_key("ParentSeries")
        {
            continue;
        }
        let expected: Value = serde_json::from_slice(&reference.post("/tools/find", text.as_bytes()).unwrap()).unwrap();
        assert_eq!(ids(&value(&reply)), ids(&expected), "{}", context());
        assert_eq!(value(&count)["Count"], json!(expected.as_array().unwrap().len()), "{}", context());
        answered += 1;
        found += expected.as_array().unwrap().len();
    }
    assert!(answered > 80 && refused > 80 && found > 80, "{answered} {refused} {found}");
}

#[test]
fn what_lies_beside_is_neither_shown_nor_looked_up() {
    let (bed, _) = bed(world());
    let linked = linked(&bed);
    let one = &linked[0].asker;
    for (path, expected) in [
        (format!("/studies/{}", id("a1")), Some(true)),
        (format!("/studies/{}/series", id("a1")), Some(true)),
        (format!("/studies/{}/instances", id("a1")), Some(true)),
        (format!("/series/{}/study", id("a1x")), Some(true)),
        (format!("/series/{}", id("a1y")), None),
        (format!("/series/{}/study", id("a1y")), None),
        (format!("/studies/{}/patient", id("a1")), None),
        (format!("/studies/{}", id("b1")), None),
    ] {
        let reply = one.call(&bed, Method::Get, &path, b"");
        assert_eq!(reply.is_some(), expected.is_some(), "{path}");
        let shown = reply.as_ref().map(|reply| String::from_utf8_lossy(body(reply)).into_owned()).unwrap_or_default();
        assert_eq!(expected.is_some(), shown.contains(&canary("a1")), "{path}: {shown}");
        assert!(!shown.contains(&id("a1y")) && !shown.contains(&uid("a1y")) && !shown.contains(&id("a1y1")), "{path}");
    }
    // A plugin that asks on the request's behalf gets no further.
    let request = one.request(Method::Get, "/dicom-web/studies", &[]);
    assert!(one.filter(&bed, &request));
    for path in
        [format!("/series/{}", id("a1y")), format!("/instances/{}", id("a1y1")), format!("/studies/{}", id("b1"))]
    {
        let request = one.request(Method::Get, &path, &[]);
        let reply = answer_of(&bed, RestRequest { request, body: b"" });
        assert_eq!(reply, Reply::HostError(HostError::FORBIDDEN), "{path}");
    }
}
