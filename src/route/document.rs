//! The table as a page for readers. Knows the table and nothing else.

use std::fmt::Write as _;

use super::{Handling, ROUTES, Route};

const HEAD: &str = "\
# Every route that the plugin knows

Made from `src/route/table/`; do not edit (`UPDATE_DOCS=1 cargo test --lib route` writes it anew).

\"Limited\" is somebody who does not hold all labels, or the holder of a share link. A route that is not in this list is
refused to them, whatever permissions they hold. `{patient}`, `{study}`, `{series}` and `{instance}` are Orthanc
identifiers, `{image}` a word with that of an instance inside, `{…-uid}` DICOM UIDs, `{job}` and `{query}` jobs and queries; `{dicom-web}`, `{wado}` and `{ui}` stand for the configured roots.

| a limited user gets | |
|---|---|
| open | what anybody with the permission gets: no patient data |
| named | the answer as it is, when every resource that the path names is allowed |
| filtered | as above, without the labels and siblings that they may not know |
| parts | as above; the holder of a link to a series or an instance in it gets what the link opens |
| search | the answer that a server with only the allowed studies would give |
| identifiers | the answer, when every resource in the argument is allowed, and one is there |
| by UID | the answer, when everything that the arguments name is allowed, and `objectUID` is there |
| label | when the study is allowed, and the label is their own |
| upload | nothing back but the answer; each instance must go into an allowed study, a new one, or one that they made today |
| body | the answer, when every resource that the path and the body name is allowed |
| own job, own query | the answer, when the job or query is their own |
| own | what the plugin's own handler decides |
| refused | nothing |
";

/// The table as a page of Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut owners: Vec<&str> = Vec::new();
    for route in ROUTES {
        if !owners.contains(&route.owner) {
            owners.push(route.owner);
        }
    }
    for owner in owners {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {owner}\n\n| methods | path | limited | note |\n|---|---|---|---|\n");
        for route in ROUTES.iter().filter(|route| route.owner == owner) {
            let _ = writeln!(page, "{}", line(route));
        }
    }
    page
}

fn line(route: &Route) -> String {
    let methods: Vec<&str> = route.methods.iter().map(|method| method.as_str()).collect();
    format!("| {} | `{}` | {} | {} |", methods.join(" "), route.path, word(route.limited), route.note)
}

fn word(handling: Handling) -> String {
    match handling {
        Handling::Open => "open".to_owned(),
        Handling::Named => "named".to_owned(),
        Handling::Parts => "parts".to_owned(),
        Handling::Filtered => "filtered".to_owned(),
        Handling::Search => "search".to_owned(),
        Handling::Identifiers(argument) => format!("identifiers in `{argument}`"),
        Handling::WadoUri => "by UID".to_owned(),
        Handling::Label => "label".to_owned(),
        Handling::Upload(_) => "upload".to_owned(),
        Handling::Body => "body".to_owned(),
        Handling::Job => "own job".to_owned(),
        Handling::Query => "own query".to_owned(),
        Handling::Own => "own".to_owned(),
        Handling::Refused | Handling::Unknown => "refused".to_owned(),
    }
}
