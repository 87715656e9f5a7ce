//! The show: a table of who tries what and what must come of it, printed as commands to paste, then performed.
use super::site::Users;
use super::{Images, link_to};
use crate::interrupt::Interrupt;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use testbed::http::basic_value;
use testbed::{Answer, Orthanc, Request};

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Stranger,
    WrongPassword,
    Admin,
    Doctor,
    External,
    Key,
    Link,
}

use Who::{Admin, Doctor, External, Key, Link, Stranger, WrongPassword};

impl Who {
    const ALL: [Self; 7] = [Stranger, WrongPassword, Admin, Doctor, External, Key, Link];

    fn description(self) -> &'static str {
        match self {
            Stranger => "a stranger",
            WrongPassword => "somebody who guesses the admin's password",
            Admin => "admin: everything",
            Doctor => "doctor: sees, downloads and shares all studies",
            External => "external: sees, downloads and shares the studies labelled \"external\"",
            Key => "an API key, made by admin: sees the studies labelled \"external\"",
            Link => "a share link, made by doctor: reads one study",
        }
    }

    /// What curl needs, with the shell variables that are printed first.
    fn curl(self) -> &'static str {
        match self {
            Stranger => "",
            WrongPassword => " -u admin:guess",
            Admin => " -u \"$ADMIN\"",
            Doctor => " -u \"$DOCTOR\"",
            External => " -u \"$EXTERNAL\"",
            Key => " -H \"api-key: $KEY\"",
            Link => " -H \"token: $LINK\"",
        }
    }
}

/// What must come back.
#[derive(Clone, Copy)]
enum Expected {
    /// This status.
    Status(u16),
    /// 200 and an array of so many: `All` studies, or those that are `Labelled`.
    All,
    Labelled,
    /// 200 and this member of the answer.
    Member(&'static str, &'static str),
}

use Expected::{All, Labelled, Member, Status};

/// A request. In path and body, `{shared}` and `{private}` stand for Orthanc ids, `{shared-uid}` and `{private-uid}`
/// for DICOM UIDs, `{link}` for the link's token.
struct Act {
    who: Who,
    method: &'static str,
    path: &'static str,
    body: &'static str,
    expected: Expected,
    why: &'static str,
}

const fn act(who: Who, method: &'static str, path: &'static str, expected: Expected, why: &'static str) -> Act {
    Act { who, method, path, body: "", expected, why }
}

const fn post(
    who: Who,
    (method, path): (&'static str, &'static str),
    body: &'static str,
    expected: Expected,
    why: &'static str,
) -> Act {
    Act { who, method, path, body, expected, why }
}

const FIND: &str = r#"{"Level":"Study","Query":{}}"#;
const DECODE: &str = r#"{"TokenKey":"token","TokenValue":"{link}"}"#;
const LINK_SHARED: &str = r#"{"ID":"mine","Type":"stone-viewer-publication","ValidityDuration":3600,"Resources":[{"OrthancId":"{shared}","DicomUid":"{shared-uid}","Level":"study"}]}"#;
const LINK_PRIVATE: &str = r#"{"ID":"not mine","Type":"stone-viewer-publication","ValidityDuration":3600,"Resources":[{"OrthancId":"{private}","DicomUid":"{private-uid}","Level":"study"}]}"#;
const NEW_KEY: &str = r#"{"Name":"another"}"#;
const NEW_LINK: (&str, &str) = ("PUT", "/auth/tokens/stone-viewer-publication");

/// What stands for something in path and body, and the shell variable that has it.
const HOLES: [(&str, &str); 5] = [
    ("{shared}", "SHARED"),
    ("{private}", "PRIVATE"),
    ("{shared-uid}", "SHARED_UID"),
    ("{private-uid}", "PRIVATE_UID"),
    ("{link}", "LINK"),
];

/// In order, within each person.
const ACTS: &[Act] = &[
    act(Stranger, "GET", "/studies", Status(403), "nobody knows this one"),
    act(Stranger, "GET", "/studies/{shared}", Status(403), "a label alone opens nothing"),
    act(Stranger, "GET", "/auth/user/profile", Member("name", "Anonymous"), "anyone may ask who they are"),
    act(WrongPassword, "GET", "/studies", Status(403), "a guess is no password"),
    act(Admin, "GET", "/auth/user/profile", Member("name", "admin"), "the password was right"),
    act(Admin, "GET", "/studies", All, "all labels"),
    act(Admin, "PUT", "/studies/{private}/labels/seen", Status(200), "edit-labels"),
    act(Admin, "DELETE", "/studies/{private}/labels/seen", Status(200), "edit-labels"),
    act(Admin, "GET", "/auth/settings/roles", Status(200), "admin-permissions"),
    act(Admin, "GET", "/auth/api-keys", Status(200), "admin-permissions"),
    act(Doctor, "GET", "/studies/{private}", Status(200), "all labels"),
    act(Doctor, "GET", "/tools/create-archive?resources={private},{shared}", Status(200), "download"),
    post(Doctor, ("POST", "/tools/find"), FIND, All, "all labels"),
    act(Doctor, "DELETE", "/studies/{private}", Status(403), "lacks delete"),
    act(Doctor, "PUT", "/studies/{private}/labels/external", Status(403), "lacks edit-labels"),
    act(Doctor, "GET", "/auth/settings/roles", Status(403), "lacks admin-permissions"),
    act(External, "GET", "/studies/{shared}", Status(200), "labelled external"),
    act(External, "GET", "/studies/{shared}/archive", Status(200), "labelled external"),
    act(External, "GET", "/studies/{private}", Status(403), "not labelled"),
    act(External, "GET", "/studies/{private}/archive", Status(403), "not labelled"),
    act(
        External,
        "GET",
        "/tools/create-archive?resources={shared},{private}",
        Status(403),
        "all of them must be allowed",
    ),
    act(External, "GET", "/studies/{private}/", Status(403), "a slash more is no way in"),
    act(External, "GET", "/dicom-web/studies/{private-uid}/metadata", Status(403), "nor is DICOMweb"),
    post(External, ("POST", "/tools/find"), FIND, Labelled, "finds the labelled ones only"),
    act(External, "GET", "/dicom-web/studies", Labelled, "in DICOMweb too"),
    act(External, "DELETE", "/studies/{shared}", Status(403), "lacks delete"),
    post(External, NEW_LINK, LINK_SHARED, Status(200), "may share what is theirs"),
    post(External, NEW_LINK, LINK_PRIVATE, Status(403), "nobody gives away what they do not have"),
    act(Key, "GET", "/studies/{shared}", Status(200), "labelled external"),
    act(Key, "GET", "/studies/{private}", Status(403), "not labelled"),
    act(Key, "GET", "/tools/create-archive?resources={shared}", Status(403), "the key has view, not download"),
    post(Key, ("POST", "/tools/find"), FIND, Labelled, "finds the labelled ones only"),
    post(Key, ("POST", "/auth/api-keys"), NEW_KEY, Status(403), "a key makes no keys"),
    act(Link, "GET", "/studies/{shared}", Status(200), "the study of the link"),
    act(Link, "GET", "/dicom-web/studies/{shared-uid}/metadata", Status(200), "as a viewer asks"),
    act(Link, "GET", "/studies/{shared}/archive", Status(200), "a link may download"),
    act(Link, "GET", "/studies/{private}", Status(403), "another study"),
    act(Link, "DELETE", "/studies/{shared}", Status(403), "a link reads, and nothing else"),
    act(Link, "PUT", "/studies/{shared}/labels/mine", Status(403), "a link reads, and nothing else"),
    post(
        Stranger,
        ("POST", "/auth/tokens/decode"),
        DECODE,
        Member("TokenType", "stone-viewer-publication"),
        "the landing page asks",
    ),
];

/// Everybody with their credentials.
pub(super) struct Cast<'a> {
    users: &'a Users,
    images: &'a Images,
    key: String,
    link: String,
}

impl<'a> Cast<'a> {
    /// Lets admin make an API key and doctor a share link.
    pub(super) fn assemble(server: &Orthanc, users: &'a Users, images: &'a Images) -> Result<Self> {
        let client = server.client();
        let admin = client.with_basic("admin", users.password("admin"));
        let wanted = json!({"Name": "demonstration", "Permissions": ["view"], "AuthorizedLabels": ["external"],
            "ValidityDuration": 3600});
        let answer = admin.post_json("/auth/api-keys", &wanted)?.expect_status(200).context("making an API key")?;
        let key = text_member(&answer.json()?, "Key")?;
        let doctor = client.with_basic("doctor", users.password("doctor"));
        let wanted = link_to(&images.shared.study, &images.shared_uid);
        let answer = doctor.put_json("/auth/tokens/stone-viewer-publication", &wanted)?;
        let answer = answer.expect_status(200).context("making a share link")?.json()?;
        Ok(Self { users, images, key, link: text_member(&answer, "Token")? })
    }

    /// Prints the commands, then does it all; the number of answers that were not as expected.
    pub(super) fn perform(&self, server: &Orthanc, interrupt: &Interrupt) -> Result<usize> {
        self.print_commands(server);
        println!("\n# The same, done now\n");
        let mut surprises = 0;
        for who in Who::ALL {
            println!("{}", who.description());
            for act in ACTS.iter().filter(|act| act.who == who) {
                interrupt.check()?;
                let answer = server.client().send(self.request(act))?;
                let fault = self.judge(act, &answer).err();
                let mark = if fault.is_some() { "WRONG" } else { "ok" };
                let (path, expected) = (shorten(act.path), self.expected(act));
                println!("  {mark:<5} {:<6} {path:<48} {expected}: {}", act.method, act.why);
                if let Some(fault) = fault {
                    surprises += 1;
                    println!("        ^ {fault:#}");
                }
            }
        }
        if surprises == 0 {
            println!("\nAll {} answers are as they should be.", ACTS.len());
        } else {
            println!("\n# The server's last words\n");
            let log = server.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("{}", lines.iter().rev().take(60).rev().copied().collect::<Vec<_>>().join("\n"));
        }
        Ok(surprises)
    }

    fn print_commands(&self, server: &Orthanc) {
        println!("\n# To try it yourself, paste this into bash, then any line below\n");
        println!("URL={}", server.url());
        for user in ["admin", "doctor", "external"] {
            println!("{}={user}:{}", user.to_uppercase(), self.users.password(user));
        }
        println!("KEY={}\nLINK={}", self.key, self.link);
        println!("SHARED={} SHARED_UID={}    # labelled external", self.images.shared.study, self.images.shared_uid);
        println!("PRIVATE={} PRIVATE_UID={}   # without a label", self.images.private.study, self.images.private_uid);
        for who in Who::ALL {
            println!("\n# {}", who.description());
            for act in ACTS.iter().filter(|act| act.who == who) {
                println!("{}  # {}: {}", self.command(act), self.expected(act), act.why);
            }
        }
    }

    fn command(&self, act: &Act) -> String {
        // Within the single quotes of a body, a variable stands between two quoted parts.
        let variables = |text: &str, left: &str, right: &str| {
            HOLES
                .iter()
                .fold(text.to_owned(), |text, (hole, name)| text.replace(hole, &format!("{left}${name}{right}")))
        };
        let path = variables(act.path, "", "");
        let method = if act.method == "GET" { String::new() } else { format!(" -X {}", act.method) };
        let output = if act.path.contains("archive") { " -o study.zip -w '%{http_code}\\n'" } else { " -i" };
        let body =
            if act.body.is_empty() { String::new() } else { format!(" -d '{}'", variables(act.body, "'\"", "\"'")) };
        format!("curl -s{output}{}{method}{body} \"$URL{path}\"", act.who.curl())
    }

    fn request(&self, act: &Act) -> Request {
        let mut request = Request::new(act.method, &self.fill(act.path));
        if !act.body.is_empty() {
            request = request.body(self.fill(act.body));
        }
        let basic = |user: &str| ("Authorization", basic_value(user, self.users.password(user)));
        let (name, value) = match act.who {
            Stranger => return request,
            WrongPassword => ("Authorization", basic_value("admin", "guess")),
            Admin => basic("admin"),
            Doctor => basic("doctor"),
            External => basic("external"),
            Key => ("api-key", self.key.clone()),
            Link => ("token", self.link.clone()),
        };
        request.header(name, &value)
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{shared}", &self.images.shared.study)
            .replace("{private}", &self.images.private.study)
            .replace("{shared-uid}", &self.images.shared_uid)
            .replace("{private-uid}", &self.images.private_uid)
            .replace("{link}", &self.link)
    }

    fn expected(&self, act: &Act) -> String {
        match act.expected {
            Status(status) => status.to_string(),
            All => format!("200, {} studies", self.images.total),
            Labelled => format!("200, {} studies", self.images.labelled),
            Member(name, value) => format!("200, {name} {value:?}"),
        }
    }

    fn judge(&self, act: &Act, answer: &Answer) -> Result<()> {
        let status = if let Status(status) = act.expected { status } else { 200 };
        // Without the body, which may be an archive.
        anyhow::ensure!(answer.status == status, "{} came back instead of {status}", answer.status);
        let count = match act.expected {
            Status(_) => return Ok(()),
            Member(name, value) => {
                let got = text_member(&answer.json()?, name)?;
                anyhow::ensure!(got == value, "{name} is {got:?} instead of {value:?}");
                return Ok(());
            }
            All => self.images.total,
            Labelled => self.images.labelled,
        };
        let got = answer.json()?.as_array().context("no array")?.len();
        anyhow::ensure!(got == count, "{got} studies instead of {count}");
        Ok(())
    }
}

fn text_member(answer: &Value, name: &str) -> Result<String> {
    Ok(answer[name].as_str().with_context(|| format!("no {name} in {answer}"))?.to_owned())
}

fn shorten(path: &str) -> &str {
    path.get(..48).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::site;
    use super::*;
    use testbed::Version;

    /// Runs the show where nothing is protected: it must notice, and its commands must be complete.
    #[test]
    fn a_server_without_a_gate_is_full_of_surprises() {
        let server = Orthanc::builder(Version::Trixie).dicomweb().unwrap().start().unwrap();
        let images = site::fill(&server).unwrap();
        let users = Users::new().unwrap();
        let cast = Cast { users: &users, images: &images, key: "k".into(), link: "l".into() };
        for act in ACTS {
            let request = cast.request(act);
            let body = String::from_utf8(request.body.unwrap_or_default()).unwrap();
            for text in [&request.path, &body, &cast.command(act)] {
                assert!(!["{shared", "{private", "{link"].iter().any(|hole| text.contains(hole)), "{text}");
            }
            assert!(act.body.is_empty() || serde_json::from_str::<Value>(&body).is_ok(), "{body}");
        }
        let refusals = ACTS.iter().filter(|act| matches!(act.expected, Status(403))).count();
        let surprises = cast.perform(&server, &Interrupt::watch().unwrap()).unwrap();
        assert!(surprises >= refusals, "{surprises} surprises, at least the {refusals} refusals that did not come");
    }
}
