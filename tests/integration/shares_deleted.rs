//! Share links to what was deleted while nobody told, and is stored again.
use crate::site::{Image, Plan, Site, Who};
use orthanc_gatehouse::request::{Origin, ReceivedInstance};
use orthanc_gatehouse::uploads::resources_of;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::dicom::Instance;
use testbed::{Orthanc, Request, Version};

const STONE: &str = "stone-viewer-publication";

/// A link of the doctor's to one resource: its token, and the code of its short form.
fn link(site: &Site, level: &str, id: &str) -> (Who, String) {
    let body = json!({"Resources": [{"OrthancId": id, "Level": level}]});
    let answer = site.put(&Who::user("doctor"), &format!("/auth/tokens/{STONE}"), &body).expect_status(200).unwrap();
    let made = answer.json().unwrap();
    let code = made["ShortUrl"].as_str().unwrap().rsplit('/').next().unwrap();
    (Who::token(made["Token"].as_str().unwrap()), code.to_owned())
}

/// All that the doctor has shared, newest first: what of it is said to be deleted.
fn deleted(site: &Site) -> Vec<Value> {
    let answer = site.get(&Who::user("doctor"), "/auth/shares").expect_status(200).unwrap();
    answer.json().unwrap().as_array().unwrap().iter().map(|share| share["Deleted"].clone()).collect()
}

fn opens(site: &Site, who: &Who, image: &Image) -> u16 {
    site.get(who, &image.fill("/instances/{instance}/file")).status
}

fn send(site: &Site, instance: &Instance) {
    let answer = site.send(&site.admin(), Request::post("/instances", instance.to_bytes()));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_link_stays_closed_when_its_study_was_deleted_while_nobody_watched() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Plan::new(version).folder(folder.path()).start();
        let instance = Instance::named("one", "study", "series", "image");
        let kept = site.upload(&Instance::named("kept", "study", "series", "image"), &[]);
        let study = site.upload(&instance, &[]);
        let (token, code) = link(&site, "study", &study.ids.study);
        let (series, _) = link(&site, "series", &study.ids.series);
        let (other, _) = link(&site, "study", &kept.ids.study);
        for who in [&token, &series] {
            assert_eq!(opens(&site, who, &study), 200, "{version:?}");
        }
        let page = format!("/auth/links/{code}");
        assert!(site.get(&Who::nobody(), &page).header("location").is_some(), "{version:?}");

        site.server.stop().unwrap();
        let mut bare = Orthanc::builder(version).folder(&site.folder).start().unwrap();
        assert_eq!(bare.client().delete(&study.fill("/studies/{study}")).unwrap().status, 200, "{version:?}");
        bare.stop().unwrap();
        site.start_again();
        // What would open the link, and cannot end it, is not taken.
        let held = Connection::open(site.folder.join("index/authorization.db")).unwrap();
        held.execute_batch("BEGIN IMMEDIATE").unwrap();
        let refused = site.send(&site.admin(), Request::post("/instances", instance.to_bytes()));
        assert_eq!(refused.status, 500, "{version:?}: {}", refused.text());
        assert_eq!(opens(&site, &Who::user("doctor"), &study), 404, "{version:?}");
        held.execute_batch("COMMIT").unwrap();
        send(&site, &instance);
        // One more of what was there all the time.
        send(&site, &Instance::named("kept", "study", "series", "second image"));
        assert_eq!(opens(&site, &Who::user("doctor"), &study), 200, "{version:?}: it is there again");
        for who in [&token, &series] {
            assert_eq!(opens(&site, who, &study), 403, "{version:?}");
        }
        let page = site.get(&Who::nobody(), &page);
        assert!(page.header("location").is_none() && page.header("set-cookie").is_none(), "{version:?}");
        assert_eq!(opens(&site, &other, &kept), 200, "{version:?}: nothing of it was deleted");
        assert_eq!(deleted(&site), [json!([]), json!([study.ids.series]), json!([study.ids.study])], "{version:?}");
        let (anew, _) = link(&site, "study", &study.ids.study);
        send(&site, &Instance::named("one", "study", "series", "second image"));
        assert_eq!(opens(&site, &anew, &study), 200, "{version:?}: what is shared now");
    }
}

#[test]
fn a_link_stays_closed_when_its_study_was_deleted_and_stored_again_while_nobody_watched() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Plan::new(version).server(&json!({"OverwriteInstances": true})).folder(folder.path()).start();
        let [again, kept, overwritten] = ["again", "kept", "overwritten"].map(|name| {
            let instance = Instance::named(name, "study", "series", "image");
            (site.upload(&instance, &[]), instance)
        });
        let (token, code) = link(&site, "study", &again.0.ids.study);
        let (series, _) = link(&site, "series", &again.0.ids.series);
        let (of_the_kept, _) = link(&site, "study", &kept.0.ids.study);
        let (of_the_overwritten, _) = link(&site, "study", &overwritten.0.ids.study);
        // While it is watched, that is no deletion.
        send(&site, &overwritten.1);

        site.server.stop().unwrap();
        let mut bare = Orthanc::builder(version).folder(&site.folder).start().unwrap();
        let store = |instance: &Instance| {
            let answer = bare.client().send(Request::post("/instances", instance.to_bytes())).unwrap();
            assert_eq!(answer.status, 200, "{version:?}: {}", answer.text());
        };
        assert_eq!(bare.client().delete(&again.0.fill("/studies/{study}")).unwrap().status, 200, "{version:?}");
        store(&again.1);
        store(&Instance::named("kept", "study", "second series", "second image"));
        bare.stop().unwrap();

        site.start_again();
        assert_eq!(opens(&site, &Who::user("doctor"), &again.0), 200, "{version:?}: it is there again");
        for who in [&token, &series] {
            assert_eq!(opens(&site, who, &again.0), 403, "{version:?}");
        }
        let page = site.get(&Who::nobody(), &format!("/auth/links/{code}"));
        assert!(page.header("location").is_none() && page.header("set-cookie").is_none(), "{version:?}");
        for (link, of) in [(&of_the_kept, &kept.0), (&of_the_overwritten, &overwritten.0)] {
            assert_eq!(opens(&site, link, of), 200, "{version:?}: nobody deleted it");
        }
        let expected = [json!([]), json!([]), json!([again.0.ids.series]), json!([again.0.ids.study])];
        assert_eq!(deleted(&site), expected, "{version:?}");

        // And what is shared now is what is there now.
        let (anew, _) = link(&site, "study", &again.0.ids.study);
        site.restart();
        assert_eq!(opens(&site, &anew, &again.0), 200, "{version:?}");
        assert_eq!(opens(&site, &token, &again.0), 403, "{version:?}");
    }
}

#[test]
fn a_link_stays_closed_when_its_study_was_deleted_and_stored_again_beside_another_state() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let with = |state: &str| {
            let state = json!({"Storage": {"SQLite": folder.path().join(state)}});
            Plan::new(version).section(state).folder(folder.path())
        };
        let mut site = with("mounted.db").start();
        let [again, kept] = ["again", "kept"].map(|name| {
            let instance = Instance::named(name, "study", "series", "image");
            (site.upload(&instance, &[]), instance)
        });
        let [(of_what_was_deleted, _), (of_the_kept, _)] =
            [&again, &kept].map(|(study, _)| link(&site, "study", &study.ids.study));
        site.server.stop().unwrap();

        // What a forgotten volume leaves: nobody there knows of links.
        let mut other = with("forgotten.db").start();
        assert_eq!(opens(&other, &of_what_was_deleted, &again.0), 403, "{version:?}");
        assert_eq!(other.delete(&other.admin(), &again.0.fill("/studies/{study}")).status, 200, "{version:?}");
        send(&other, &again.1);
        link(&other, "study", &kept.0.ids.study);
        other.server.stop().unwrap();

        site.start_again();
        assert_eq!(opens(&site, &Who::user("doctor"), &again.0), 200, "{version:?}: it is there again");
        assert_eq!(opens(&site, &of_what_was_deleted, &again.0), 403, "{version:?}");
        assert_eq!(opens(&site, &of_the_kept, &kept.0), 200, "{version:?}: nobody deleted it");
        assert_eq!(deleted(&site), [json!([]), json!([again.0.ids.study])], "{version:?}");
    }
}

/// Whoever hears of what is deleted forgets who created it: while somebody else holds the state, the server tells of nothing
/// more, so that the same is there again before it tells.
#[test]
fn a_link_stays_closed_when_a_script_deletes_its_study_and_stores_it_again() {
    for version in Version::tested() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("gatehouse.db");
        let instance = Instance::named("one", "study", "series", "image");
        let script = "function OnStoredInstance(instance, tags, metadata, origin)\n\
                          if tags['PatientID'] == 'again' then\n\
                              local file = RestApiGet('/instances/{instance}/file', true)\n\
                              RestApiDelete('/studies/{study}', true)\n\
                              repeat\n\
                                  RestApiPost('/instances', file, true)\n\
                              until RestApiGet('/studies/{study}', true)\n\
                              print('it is stored again')\n\
                          end\n\
                      end";
        let file = folder.path().join("again.lua");
        std::fs::write(&file, Image::of(&instance).fill(script)).unwrap();
        let database = json!({"Storage": {"SQLite": state}});
        let site = Plan::new(version).section(database).server(&json!({"LuaScripts": [file]})).start();
        // Somebody limited, so that who created it is kept.
        let sent = site.send(&Who::user("external"), Request::post("/instances", instance.to_bytes()));
        assert_eq!(sent.status, 200, "{version:?}: {}", sent.text());
        let study = Image::of(&instance);
        let (token, code) = link(&site, "study", &study.ids.study);
        assert_eq!(opens(&site, &token, &study), 200, "{version:?}");
        let held = Connection::open(&state).unwrap();
        held.execute_batch("BEGIN IMMEDIATE").unwrap();
        send(&site, &Instance::named("again", "study", "series", "image"));
        // It may have to wait for the state too, and not for very long.
        let _stored = site.server.wait_for_log("it is stored again", Duration::from_secs(1));
        held.execute_batch("COMMIT").unwrap();
        site.server.wait_for_log("it is stored again", Duration::from_secs(20)).unwrap();
        assert_eq!(opens(&site, &Who::user("doctor"), &study), 200, "{version:?}: it is there again");
        assert_eq!(opens(&site, &token, &study), 403, "{version:?}");
        let page = site.get(&Who::nobody(), &format!("/auth/links/{code}"));
        assert!(page.header("location").is_none() && page.header("set-cookie").is_none(), "{version:?}");
        assert_eq!(deleted(&site), [json!([study.ids.study])], "{version:?}");
    }
}

/// Two servers with images of their own, one state: what comes to one of them for the first time was not deleted there.
#[test]
fn a_link_outlives_that_its_study_comes_to_another_server() {
    for version in Version::tested() {
        let state = tempfile::tempdir().unwrap();
        let database = json!({"Storage": {"SQLite": state.path().join("gatehouse.db")}});
        let [one, other] = [(), ()].map(|()| Plan::new(version).section(database.clone()).start());
        let instance = Instance::named("shared", "study", "series", "image");
        let study = one.upload(&instance, &[]);
        let (token, _) = link(&one, "study", &study.ids.study);
        // So that the other's index has a name too.
        let own = other.upload(&Instance::named("own", "study", "series", "image"), &[]);
        let (own_link, _) = link(&other, "study", &own.ids.study);
        send(&other, &instance);
        send(&one, &Instance::named("own", "study", "series", "image"));
        for site in [&one, &other] {
            assert_eq!(opens(site, &token, &study), 200, "{version:?}");
            assert_eq!(opens(site, &own_link, &own), 200, "{version:?}");
            assert_eq!(deleted(site), [json!([]), json!([])], "{version:?}");
        }
    }
}

/// Each of its images is stored in the place of itself, which deletes it and stores it again.
#[test]
fn a_link_outlives_that_its_study_is_modified_in_place() {
    for version in Version::tested() {
        let site = Plan::new(version).server(&json!({"OverwriteInstances": true})).start();
        let study = site.upload(&Instance::named("one", "study", "series", "image"), &[]);
        let links = [("study", &study.ids.study), ("series", &study.ids.series), ("instance", &study.ids.instance)]
            .map(|(level, id)| link(&site, level, id).0);
        let body = json!({"Replace": {"StudyDescription": "corrected"}, "Force": true, "KeepSource": true, "Synchronous": true,
            "Keep": ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]});
        let answer = site.post(&site.admin(), &study.fill("/studies/{study}/modify"), &body);
        assert_eq!(answer.status, 200, "{version:?}: {}", answer.text());
        let described = site.get(&Who::user("doctor"), &study.fill("/studies/{study}")).json().unwrap();
        assert_eq!(described["MainDicomTags"]["StudyDescription"], "corrected", "{version:?}");
        // A change that comes after those.
        let last = site.upload(&Instance::named("two", "study", "series", "image"), &[]);
        link(&site, "study", &last.ids.study);
        assert_eq!(site.delete(&site.admin(), &last.fill("/studies/{study}")).status, 200, "{version:?}");
        let told = || (deleted(&site)[0] == json!([last.ids.study])).then_some(());
        assert!(wait_until(Duration::from_secs(20), told).is_some(), "{version:?}");
        for link in &links {
            assert_eq!(opens(&site, link, &study), 200, "{version:?}");
        }
    }
}

/// What is read of a file's head is what the server makes of it: of all real files that the server takes.
#[test]
fn identifiers_at_the_head_of_real_files_are_those_of_the_server() {
    let files = std::fs::read_dir(testbed::setup::ensure_images().unwrap()).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    for version in Version::tested() {
        let server = Orthanc::builder(version).start().unwrap();
        let (mut taken, mut read) = (0, 0);
        for path in &files {
            let bytes = std::fs::read(path).unwrap();
            let answer = server.client().send(Request::post("/instances", bytes.clone())).unwrap();
            let Ok(stored) = answer.json().map(|stored| stored.to_owned()) else { continue };
            if answer.status != 200 || !stored["ID"].is_string() {
                continue;
            }
            taken += 1;
            // Whatever the head does not say would be asked of the server.
            let tags = || Err(orthanc_gatehouse::host::HostError::PLUGIN);
            let received = ReceivedInstance {
                origin: Origin::Other,
                remote_aet: "",
                size: u64::try_from(bytes.len()).unwrap(),
                file: &bytes,
                tags: &tags,
            };
            let Some(resources) = resources_of(&received) else { continue };
            read += 1;
            let named = resources.each_ref().map(|(_, id)| id.as_str());
            let expected = ["ParentStudy", "ParentSeries", "ID"].map(|member| stored[member].as_str().unwrap());
            assert_eq!(named, expected, "{version:?}: {}", path.display());
        }
        println!("{version:?}: of {} files {taken} are taken, and {read} read by their heads", files.len());
        assert!(read > 30 && read * 2 > taken, "{version:?}: {read} of {taken}");
    }
}
