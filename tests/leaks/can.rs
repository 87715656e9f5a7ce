//! The other side: what those from whom something is kept can do, so that closing everything does not pass.
use crate::canary::Kind;
use crate::identities::Identity;
use crate::images::set;
use crate::routes::Target;
use crate::world::World;
use testbed::Request;

/// A request with an own study in it, and who is answered 200 with one of its canaries, by the first letters of their
/// names: `E` the user with every permission, `V` the viewer, `P` the publication link, `I` the instant link, `S` the
/// link to a series, `N` the link to an instance, `K` the API key, `O` an opened short link that was made without
/// download, `A` the annotating link, `L` a viewer of another origin that was launched from `O`. The instant link comes
/// as an argument, which plugins are shown for GET only. `{…}` is filled in as in [`Target`].
const CAN: &str = r#"
EVPI..KOAL GET /patients/{patient}
EVPISNKOAL GET /studies/{study}
EVPISNKOAL GET /studies/{study}/series?expand
EVPISNKOAL GET /studies/{study}/instances?expand
EVPI..K.A. GET /studies/{study}/archive
EVPI..KOAL GET /studies/{study}/instances-tags
EVPI..KOAL GET /studies/{study}/metadata?expand
EVPI..KOAL GET /studies/{study}/attachments/1024/data
EVPISNKOAL GET /series/{series}
EVPIS.K.A. GET /series/{series}/archive
EVPISNKOAL GET /instances/{instance}/study
EVPISNKOAL GET /instances/{instance}/tags
EVPISNKOAL GET /instances/{instance}/file
EVPISNKOAL GET /instances/{instance}/content/PatientName
EVPIS.KOAL GET /dicom-web/studies/{study-uid}/series/{series-uid}/metadata
EVPISNKOAL GET /dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}
EVPISNKOAL GET /dicom-web/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/frames/1
EVPISNKOAL GET /dicom-web/studies/{study-uid}/series?includefield=all
EVPISNKOAL GET /dicom-web/studies/{study-uid}/series/{series-uid}/instances?includefield=all
EVPISNKOAL GET /dicom-web/studies?StudyInstanceUID={study-uid}
EVPISNKOAL GET /wado?requestType=WADO&objectUID={instance-uid}&contentType=application/dicom
E.....K... GET /tools/create-archive?resources={study},{series}
EVP.SNKOAL POST /tools/find {"Level":"Study","Query":{},"Expand":true}
EVP.SNKOAL POST /tools/find {"Level":"Series","Query":{},"Expand":true}
EV....K... POST /tools/bulk-content {"Resources":["{study}","{instance}"]}
E.....K... POST /modalities/remote/store {"Resources":["{study}"],"Synchronous":true}
"#;

/// Fails with everything that somebody cannot do.
pub fn can(world: &World, identities: &[Identity], own: &Target) {
    let letters = "EVPISNKOAL";
    let mut failures = Vec::new();
    for line in CAN.lines().filter(|line| !line.is_empty()) {
        let mut words = line.splitn(4, ' ');
        let (who, method, path) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let (path, body) = (fill(path, own), words.next().map(|body| fill(body, own)));
        for (letter, identity) in letters.chars().zip(identities) {
            if !who.contains(letter) {
                continue;
            }
            let mut request = Request::new(method, &path);
            request.body = body.clone().map(String::into_bytes);
            let answer = world.site.send(&identity.who, request);
            let found = world.canaries.find(&answer.body);
            let is_own = found.iter().any(|(_, canary)| canary.set == set::OWN);
            let is_content = path.contains("/store") || path.contains("attachments") || !found.is_empty();
            if answer.status != 200 || !is_own && !path.contains("/store") || !is_content {
                failures.push(format!(
                    "{}: {method} {path}: {} {}",
                    identity.name,
                    answer.status,
                    answer.text().chars().take(200).collect::<String>()
                ));
            }
            // No more than that: the verdict's own business, looked at here as it is at hand.
            let foreign = found.iter().find(|(_, canary)| canary.kind == Kind::Content && !identity.sees(canary.set));
            failures.extend(
                foreign.map(|(_, canary)| format!("{}: {method} {path} tells {}", identity.name, canary.place)),
            );
        }
    }
    world.clear_remote();
    assert!(failures.is_empty(), "what should be possible is not:\n{}", failures.join("\n"));
}

fn fill(text: &str, own: &Target) -> String {
    [
        ("{patient}", &own.patient),
        ("{study}", &own.study),
        ("{series}", &own.series),
        ("{instance}", &own.instance),
        ("{study-uid}", &own.study_uid),
        ("{series-uid}", &own.series_uid),
        ("{instance-uid}", &own.instance_uid),
    ]
    .iter()
    .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}
