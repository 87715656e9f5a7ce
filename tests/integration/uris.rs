//! URIs in odd spellings, made at random from a seed: what reaches a study on a bare server must be refused to somebody
//! who may not see it here, whatever the server makes of the spelling before it hands it to the plugin.
//!
//! Three servers of one version: bare, protected, and bare with only the allowed studies. A request of somebody limited
//! is refused here, or answered as the third would answer it. `GATEHOUSE_URIS` is how many requests are made,
//! `GATEHOUSE_SEED` where the series begins; a failure names both.
use crate::site::{Image, Plan, Site, Who};
use orthanc_gatehouse::host::Method;
use orthanc_gatehouse::policy::rights::KNOWN_PERMISSIONS;
use orthanc_gatehouse::route::ROUTES;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testbed::dicom::Instance;
use testbed::http::Connection;
use testbed::random::{Random, number};
use testbed::{Orthanc, Request, Version};

/// Stands in tags and labels of what is foreign.
const FOREIGN: &str = "FOREIGNCANARY";
/// Stands in tags and the label of what is allowed.
const ALLOWED: &str = "ALLOWEDCANARY";

/// One request, byte for byte.
#[derive(Clone)]
struct Try {
    method: &'static str,
    target: Vec<u8>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Try {
    fn shown(&self) -> String {
        let mut target = self.target.escape_ascii().to_string();
        if target.len() > 400 {
            target = format!("{}… ({} bytes)", &target[..400], self.target.len());
        }
        format!("{} {target} {:?}", self.method, self.headers)
    }

    /// Whether it may change something, on a server that lets it.
    fn may_write(&self) -> bool {
        let target = self.target.to_ascii_lowercase();
        self.method != "GET"
            || !self.headers.is_empty()
            || target.windows(7).any(|window| window == b"_method" || window == b"%5fmeth")
    }

    fn bytes(&self, credentials: Option<&str>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.target.len() + 2048);
        bytes.extend_from_slice(self.method.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(b" HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n");
        for (name, value) in self.headers.iter().copied().chain(credentials.map(|token| ("token", token))) {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if matches!(self.method, "PUT" | "POST") {
            bytes.extend_from_slice(b"Content-Length: 0\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// What came back; status 0 when the server closed the connection without a word, as it may for what is no HTTP.
struct Seen {
    status: u16,
    kind: String,
    body: Vec<u8>,
}

fn send(server: &Orthanc, attempt: &Try, credentials: Option<&str>) -> Seen {
    let mut connection = Connection::open(server.address()).unwrap();
    match connection.send_bytes(&attempt.bytes(credentials), attempt.method == "HEAD") {
        Ok(answer) => Seen {
            status: answer.status,
            kind: answer.header("content-type").unwrap_or_default().to_owned(),
            body: answer.body,
        },
        Err(_) => Seen { status: 0, kind: String::new(), body: Vec::new() },
    }
}

impl Seen {
    fn shows(&self, text: &str) -> bool {
        // Of a text that is no UTF-8 the parts that are stay as they are.
        String::from_utf8_lossy(&self.body).contains(text)
    }

    /// Names and checksums of the files in a ZIP archive, from its directory at the end; `DICOMDIR` holds times.
    fn files(&self) -> BTreeSet<(String, u32)> {
        let field = |at: usize, size: usize| {
            let bytes = self.body.get(at..at + size).unwrap_or_default();
            bytes.iter().rev().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte))
        };
        let entries = (0..self.body.len()).filter(|at| self.body[*at..].starts_with(b"PK\x01\x02"));
        let files = entries.map(|at| {
            let length = usize::try_from(field(at + 28, 2)).unwrap();
            let name = self.body.get(at + 46..at + 46 + length).unwrap_or_default();
            (String::from_utf8_lossy(name).into_owned(), field(at + 16, 4))
        });
        files.filter(|(name, _)| name != "DICOMDIR").collect()
    }

    /// What is neither text nor shows texts that were put into it.
    fn is_opaque(&self) -> bool {
        let readable = ["json", "xml", "text/", "application/dicom", "multipart/"];
        !self.body.is_empty() && !readable.iter().any(|readable| self.kind.contains(readable))
    }
}

/// The images of all servers.
struct Images {
    /// Of the only study of a patient, allowed and foreign.
    allowed: Instance,
    foreign: Instance,
    /// Of two studies of one patient, one allowed.
    mixed_allowed: Instance,
    mixed_foreign: Instance,
}

fn image(patient: &str, study: &str, canary: &str, shade: u8) -> Instance {
    let mut image = Instance::named(patient, study, "series", "instance");
    for (tag, vr) in [
        ((0x0008, 0x1030), "LO"),
        ((0x0008, 0x103e), "LO"),
        ((0x0008, 0x0050), "SH"),
        ((0x0008, 0x0080), "LO"),
        ((0x0008, 0x0090), "PN"),
    ] {
        image = image.text(tag, vr, canary);
    }
    image.raw((0x7fe0, 0x0010), "OW", (0..64).map(|pixel: u8| pixel.wrapping_mul(shade)).collect())
}

impl Images {
    fn new() -> Self {
        Self {
            allowed: image("Allowed", "study", ALLOWED, 3),
            foreign: image("Foreign", "study", FOREIGN, 5),
            mixed_allowed: image("Mixed", "shared", ALLOWED, 7),
            mixed_foreign: image("Mixed", "private", FOREIGN, 11),
        }
    }

    fn all(&self) -> [(&Instance, &'static str); 4] {
        [
            (&self.allowed, ALLOWED),
            (&self.foreign, FOREIGN),
            (&self.mixed_allowed, ALLOWED),
            (&self.mixed_foreign, FOREIGN),
        ]
    }

    /// Everything by which something foreign can be named.
    fn foreign_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for image in [&self.foreign, &self.mixed_foreign].map(Image::of) {
            names.extend([image.ids.study, image.ids.series, image.ids.instance]);
            names.extend([image.study_uid, image.series_uid, image.instance_uid]);
        }
        names.push(self.foreign.ids().patient);
        names
    }
}

/// How requests are sent for the tests' own purposes.
type Sender<'a> = dyn Fn(Request) -> testbed::Answer + 'a;

/// Puts the images there, whatever was there of them, with their labels.
fn fill(send: &Sender<'_>, images: &[(&Instance, &str)]) {
    for (image, _) in images {
        send(Request::delete(&format!("/patients/{}", image.ids().patient)));
    }
    for (image, label) in images {
        assert_eq!(send(Request::post("/instances", image.to_bytes())).status, 200);
        assert_eq!(send(Request::put(&format!("/studies/{}/labels/{label}", image.ids().study), "")).status, 200);
    }
}

/// All that can be changed of anything.
fn state(send: &Sender<'_>) -> Vec<Value> {
    let mut found = Vec::new();
    for level in ["Patient", "Study", "Series", "Instance"] {
        let body = json!({"Level": level, "Query": {},
            "ResponseContent": ["Attachments", "Children", "Labels", "MainDicomTags", "Metadata", "Parent"]});
        let answer = send(Request::post("/tools/find", body.to_string())).json().unwrap();
        found.extend(answer.as_array().unwrap().iter().cloned());
    }
    found.sort_by_key(|one| one["ID"].to_string());
    found
}

// ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// Placeholders for whatever stands in arguments, besides those of the route table.
const ARGUMENTS: [&str; 34] = [
    "resources={study}",
    "resources={series},{study}",
    "Resources={instance}",
    "resource%73={study}",
    "resources={patient}",
    "resources%3d{study}",
    "StudyInstanceUID={study-uid}",
    "StudyInstanceUID={study-uid},{study-uid}",
    "0020000D={study-uid}",
    "SeriesInstanceUID={series-uid}",
    "studyUID={study-uid}",
    "seriesUID={series-uid}",
    "objectUID={instance-uid}",
    "ObjectUID={instance-uid}",
    "objectUID=%32{instance-uid}",
    "requestType=WADO",
    "contentType=application/dicom",
    "contentType=application%2fdicom",
    "requestedTags=PatientName;StudyDescription",
    "requestedTags=NumberOfPatientRelatedStudies",
    "requested%54ags=0020,1200",
    "includefield=all",
    "includefield=0020120%30",
    "expand",
    "expand=true",
    "full",
    "short",
    "since=0&limit=100",
    "limit=100",
    "transcode=1.2.840.10008.1.2",
    "filename=a/../b",
    "token=x",
    "_method=GET",
    "\\=/",
];

const AT_A_SLASH: [&str; 24] = [
    "/",
    "//",
    "/./",
    "/x/../",
    "/%2e/",
    "/x/%2e%2e/",
    "/x/..%2f",
    "/x/.%2e/",
    "%2f",
    "%2F",
    "%252f",
    "\\",
    "%5c",
    "/;/",
    "/;x=1/",
    "/%20/",
    "/%00/",
    "/x/..\\",
    "/..;/",
    "/%c0%af/",
    "/%ef%bc%8f/",
    "/%09/",
    "/\t/",
    "/?/",
];

const AT_THE_END: [&str; 36] = [
    "/",
    "//",
    "/.",
    "/./",
    "/..",
    "/x/..",
    "/%2e",
    "/%2e%2e",
    ".",
    "..",
    "?",
    "??",
    "#",
    "#/system",
    "%23",
    "%23/system",
    ";",
    ";x",
    ";jsessionid=1",
    "%3b",
    "%00",
    "%00.json",
    "%00/../../system",
    "%20",
    "+",
    "%09",
    "%0a",
    "%0d%0a",
    "%3f",
    "%3fexpand",
    "%26",
    "%ff",
    "%c0%ae",
    ".json",
    "*",
    " ",
];

const AT_THE_START: [&str; 17] = [
    "http://site.test",
    "http://other.test:1",
    "https://site.test",
    "HTTP://site.test",
    "//site.test",
    "/.",
    "/..",
    "/%2e%2e",
    "/x/..",
    "/x/../..",
    "\\",
    "/\\",
    "%2f",
    "/%2f",
    "*",
    "site.test:80",
    "/http://site.test",
];

/// A request as a client would make it, for something that is there.
fn sound(chance: &mut Random, images: &[Image]) -> Try {
    let fill = |template: &str, chance: &mut Random| {
        let image = chance.pick(images);
        if chance.one_in(8) {
            // Parts of several studies in one path.
            let mut text = template.to_owned();
            for name in
                ["{patient}", "{study}", "{series}", "{instance}", "{study-uid}", "{series-uid}", "{instance-uid}"]
            {
                text = text.replace(name, &chance.pick(images).fill(name));
            }
            return text;
        }
        image.fill(template)
    };
    let method = match chance.below(20) {
        0 => "DELETE",
        1 => "PUT",
        _ => "GET",
    };
    let wanted = Method::parse(method).unwrap();
    let rows: Vec<&str> = ROUTES
        .iter()
        .filter(|route| matches!(route.owner, "orthanc" | "dicom-web") && route.methods.contains(&wanted))
        .map(|route| route.path)
        // No setting of the server is changed, and no row says nothing about a resource but these.
        .filter(|path| {
            path.contains("-uid}")
                || ["{patient}", "{study}", "{series}", "{instance}"].iter().any(|name| path.contains(name))
                || (method == "GET"
                    && [
                        "{wado}",
                        "{dicom-web}/studies",
                        "{dicom-web}/series",
                        "{dicom-web}/instances",
                        "/tools/create-archive",
                        "/tools/create-media",
                        "/studies",
                        "/patients",
                        "/changes",
                        "/statistics",
                        "/tools/labels",
                    ]
                    .contains(path))
        })
        // Half of the table are attachments, which few resources have.
        .filter(|path| !path.contains("/attachments/") || chance.one_in(8))
        .collect();
    let row = *chance.pick(&rows);
    let any = *chance.pick(&["0", "1", "dicom", "LastUpdate", "ReceptionDate", "IndexInSeries", "1024", "0008-1030"]);
    let mut target = row
        .replace("{dicom-web}", "/dicom-web")
        .replace("{wado}", "/wado")
        .replace("{label}", chance.pick::<&str>(&["tried", "second", "external"]))
        .replace("{any}", any)
        .replace("{*rest}", chance.pick::<&str>(&["0008-1030", "00081030", "7fe0-0010/0"]));
    let mut arguments: Vec<&str> = Vec::new();
    if row == "{wado}" {
        arguments.extend([
            "requestType=WADO",
            "objectUID={instance-uid}",
            "studyUID={study-uid}",
            "contentType=application/dicom",
        ]);
    }
    if row.starts_with("/tools/create-") {
        arguments.push(*chance.pick(&["resources={study}", "resources={study},{series}", "resources={patient}"]));
    }
    if chance.one_in(3) {
        arguments.extend((0..1 + chance.below(3)).map(|_| *chance.pick(&ARGUMENTS)));
    }
    for (at, argument) in arguments.into_iter().enumerate() {
        target.push(if at == 0 { '?' } else { '&' });
        target.push_str(argument);
    }
    Try { method, target: fill(&target, chance).into_bytes(), headers: Vec::new() }
}

fn percent(byte: u8, chance: &mut Random) -> Vec<u8> {
    if chance.one_in(2) { format!("%{byte:02x}") } else { format!("%{byte:02X}") }.into_bytes()
}

/// Writes it in another way, which the server may or may not take for the same.
fn mutate(attempt: &mut Try, chance: &mut Random, images: &[Image]) {
    let target = &mut attempt.target;
    if target.is_empty() {
        return;
    }
    let end_of_path = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let at = chance.below(target.len());
    let slashes: Vec<usize> = (0..target.len()).filter(|at| target[*at] == b'/').collect();
    match chance.below(22) {
        0..=2 => {
            let coded = percent(target[at], chance);
            target.splice(at..=at, coded);
        }
        3 => {
            let one_in = 1 + chance.below(6);
            let coded = target[1..].iter().flat_map(|byte| {
                let keep = matches!(byte, b'?' | b'&' | b'=' | b'/') || !chance.one_in(one_in);
                if keep { vec![*byte] } else { percent(*byte, chance) }
            });
            *target = [vec![target[0]], coded.collect()].concat();
        }
        4 => {
            let twice = format!("%25{:02x}", target[at]);
            target.splice(at..=at, twice.into_bytes());
        }
        5..=8 if !slashes.is_empty() => {
            let at = *chance.pick(&slashes);
            target.splice(at..=at, chance.pick(&AT_A_SLASH).bytes());
        }
        9..=11 => {
            target.splice(end_of_path..end_of_path, chance.pick(&AT_THE_END).bytes());
        }
        12 => {
            target.splice(0..0, chance.pick(&AT_THE_START).bytes());
        }
        13 => {
            let to = if chance.one_in(3) { target.len() } else { at + 1 };
            let other = |byte: &u8| {
                if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
            };
            let changed: Vec<u8> = target[at..to].iter().map(other).collect();
            target.splice(at..to, changed);
        }
        14 | 15 => {
            let separator = *chance.pick(if target.contains(&b'?') {
                &["&", "&", ";", "?", "&&"]
            } else {
                &["?", "?", "%3f", "??", "&"]
            });
            let argument = chance.pick(images).fill(chance.pick::<&str>(&ARGUMENTS));
            target.extend(separator.bytes().chain(argument.bytes()));
        }
        16 => {
            let separator = if target.contains(&b'?') { '&' } else { '?' };
            let name = *chance.pick(&["_method", "_method", "_METHOD", "%5fmethod"]);
            let method = *chance.pick(&["DELETE", "DELETE", "delete", "PUT", "GET", "HEAD"]);
            target.extend(format!("{separator}{name}={method}").bytes());
        }
        17 => {
            // A way through something allowed to something else, and back.
            let way = chance.pick(images).fill(chance.pick::<&str>(&[
                "/studies/{study}/..",
                "/{study}/..",
                "/studies/{study}/%2e%2e",
                "/{series}\\..",
            ]));
            let at = slashes.get(chance.below(slashes.len().max(1))).copied().unwrap_or(0);
            target.splice(at..at, way.bytes());
        }
        18 => {
            target.remove(at);
        }
        19 => {
            let long =
                if chance.one_in(2) { "/.".repeat(1 + chance.below(3000)) } else { "a".repeat(1 + chance.below(9000)) };
            let at = if chance.one_in(2) { end_of_path } else { target.len() };
            target.splice(at..at, long.bytes());
        }
        20 => {
            let odd =
                *chance.pick(&[0xff, 0xc0, 0x80, b'%', b'+', b'{', b'|', b'"', b'<', 0x7f, 0x01, b'~', b'\'', b'^']);
            target.insert(at, odd);
        }
        _ => {
            let methods: [&'static str; 4] = ["HEAD", "PROPFIND", "get", "DELETE"];
            if chance.one_in(2) {
                attempt.method = *chance.pick(&methods);
            } else {
                let value = *chance.pick(&["DELETE", "delete", "PUT", "GET"]);
                attempt.headers.push(("X-HTTP-Method-Override", value));
            }
        }
    }
}

// ── The servers ────────────────────────────────────────────────────────────────────────────────────────────────────

struct Servers {
    site: Site,
    bare: Orthanc,
    reference: Orthanc,
    images: Images,
    /// Tokens: every permission and all labels, the label of the allowed, a label that nothing has.
    admin: String,
    limited: String,
    nobody: String,
    /// What was last known to be on the protected and on the bare server.
    here: Vec<Value>,
    there: Vec<Value>,
}

/// How many attempts did what: so that a test of nothing is seen.
#[derive(Debug, Default)]
struct Counts {
    reach_foreign: usize,
    change_foreign: usize,
    reach_allowed: usize,
    granted: usize,
    refused: usize,
    changed_allowed: usize,
}

impl Servers {
    fn start(version: Version) -> Self {
        let role = |label: &str| json!({"permissions": KNOWN_PERMISSIONS, "authorized-labels": [label]});
        let roles = json!({
            "roles": {"admin-role": role("*"), "limited-role": role(ALLOWED), "nobody-role": role("nobody")},
            "available-labels": [],
        });
        // The first gate is open, so that nothing but the second holds.
        let open: Vec<Value> =
            ["GET", "POST", "PUT", "DELETE"].iter().map(|method| json!([method, "^.*$", ""])).collect();
        let section = json!({"ExtraPermissions": open, "LabelsValidity": 60, "Users": {}});
        let site = Plan::new(version).roles(roles).section(section).start();
        let start = || Orthanc::builder(version).dicomweb().unwrap().start().unwrap();
        let mut servers = Self {
            admin: site.token("admin", &["admin-role"]),
            limited: site.token("limited", &["limited-role"]),
            nobody: site.token("nobody", &["nobody-role"]),
            bare: start(),
            reference: start(),
            images: Images::new(),
            site,
            here: Vec::new(),
            there: Vec::new(),
        };
        fill(&|request| servers.protected(request), &servers.images.all());
        fill(&|request| servers.bare(request), &servers.images.all());
        let allowed = [(&servers.images.allowed, ALLOWED), (&servers.images.mixed_allowed, ALLOWED)];
        fill(&|request| servers.reference.client().send(request).unwrap(), &allowed);
        (servers.here, servers.there) = (servers.state_here(), servers.state_there());
        servers
    }

    fn bare(&self, request: Request) -> testbed::Answer {
        self.bare.client().send(request).unwrap()
    }

    fn protected(&self, request: Request) -> testbed::Answer {
        self.site.send(&Who::token(&self.admin), request)
    }

    /// What is wrong with how an attempt is answered.
    fn judge(&mut self, attempt: &Try, counts: &mut Counts) -> Vec<String> {
        let mut wrong = Vec::new();
        let bare = send(&self.bare, attempt, None);
        let names = self.images.foreign_names();
        let names_foreign = names.iter().any(|name| String::from_utf8_lossy(&attempt.target).contains(name));
        let shows_foreign = bare.shows(FOREIGN) || (names_foreign && bare.is_opaque());
        counts.reach_foreign += usize::from(bare.status == 200 && shows_foreign);
        counts.reach_allowed += usize::from(bare.status == 200 && bare.shows(ALLOWED));
        let nobody = send(&self.site.server, attempt, Some(&self.nobody));
        if nobody.shows(FOREIGN) || nobody.shows(ALLOWED) {
            wrong.push(format!("shows a study to somebody who may see none: {}", nobody.status));
        }
        if nobody.status == 200 && nobody.is_opaque() {
            wrong.push(format!("{} to somebody who may see nothing", nobody.kind));
        }
        let limited = send(&self.site.server, attempt, Some(&self.limited));
        if limited.shows(FOREIGN) {
            wrong.push(format!("shows something foreign: {}", limited.status));
        }
        let writes = attempt.may_write();
        if limited.status == 200 {
            counts.granted += 1;
            wrong.extend(names.iter().filter(|name| limited.shows(name)).map(|name| format!("shows {name}")));
            if !writes {
                wrong.extend(compare(&limited, &send(&self.reference, attempt, None)));
            }
        } else {
            counts.refused += 1;
        }
        if writes {
            wrong.extend(self.judge_changes(counts));
        } else if is_plain(&attempt.target) {
            // Those who may do everything notice nothing.
            let admin = send(&self.site.server, attempt, Some(&self.admin));
            let found = |seen: &Seen| (seen.status == 200, seen.shows(FOREIGN), seen.shows(ALLOWED));
            if found(&admin) != found(&bare) {
                wrong.push(format!("{} for somebody with all labels, {} on a bare server", admin.status, bare.status));
            }
        }
        wrong
    }

    /// What an attempt has changed that it must not; puts everything back.
    fn judge_changes(&mut self, counts: &mut Counts) -> Option<String> {
        let foreign = self.images.foreign_names();
        let of_foreign = |state: &[Value]| -> Vec<Value> {
            state.iter().filter(|one| foreign.iter().any(|id| one["ID"] == id.as_str())).cloned().collect()
        };
        let (here, there) = (self.state_here(), self.state_there());
        let changed = of_foreign(&here) != of_foreign(&self.here);
        if here != self.here {
            counts.changed_allowed += usize::from(!changed);
            fill(&|request| self.protected(request), &self.images.all());
            self.here = self.state_here();
        }
        if there != self.there {
            counts.change_foreign += usize::from(of_foreign(&there) != of_foreign(&self.there));
            fill(&|request| self.bare(request), &self.images.all());
            self.there = self.state_there();
        }
        changed.then(|| "changes something foreign".to_owned())
    }

    fn state_here(&self) -> Vec<Value> {
        state(&|request| self.protected(request))
    }

    fn state_there(&self) -> Vec<Value> {
        state(&|request| self.bare(request))
    }
}

/// Whether it is UTF-8 without line breaks when it is decoded. What is none is refused to everybody, and a dot in the
/// pattern of a permission rule stands for no line break.
fn is_plain(target: &[u8]) -> bool {
    let mut decoded = Vec::new();
    let mut rest = target;
    while let [byte, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(coded) => {
                decoded.push(coded);
                rest = &after[2..];
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).is_ok_and(|text| !text.contains('\n'))
}

/// What somebody limited was answered, and what a server answers that has nothing else.
fn compare(limited: &Seen, reference: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    if reference.status != 200 {
        wrong.push(format!("200, {} where only the allowed studies are", reference.status));
    }
    if limited.kind.contains("zip") && limited.files() != reference.files() {
        wrong.push(format!("an archive of {:?} instead of {:?}", limited.files(), reference.files()));
    }
    if limited.kind.starts_with("image/") && limited.body != reference.body {
        wrong.push("another image".to_owned());
    }
    wrong
}

fn odd_uris_reach_nothing_foreign(version: Version) {
    let mut servers = Servers::start(version);
    let images = servers.images.all().map(|(image, _)| Image::of(image));
    let (tries, seed) = (number("GATEHOUSE_URIS", 3_000), number("GATEHOUSE_SEED", 20_261_121));
    let mut chance = Random::new(seed);
    let (mut counts, mut wrong) = (Counts::default(), Vec::new());
    for _ in 0..tries {
        let mut attempt = sound(&mut chance, &images);
        for _ in 0..*chance.pick(&[0, 1, 1, 2, 2, 3]) {
            mutate(&mut attempt, &mut chance, &images);
        }
        let faults = servers.judge(&attempt, &mut counts);
        if !faults.is_empty() {
            wrong.push(format!("{}\n    {}", attempt.shown(), faults.join("\n    ")));
        }
    }
    println!("{tries} requests from seed {seed} on {version:?}: {counts:?}");
    assert!(wrong.is_empty(), "of {tries} requests from seed {seed} {}:\n{}", wrong.len(), wrong.join("\n"));
    // It must be possible to fail, and not everything may be refused.
    let share = usize::try_from(tries).unwrap() / 100;
    assert!(counts.reach_foreign > 5 * share && counts.reach_allowed > 5 * share, "{counts:?}");
    assert!(counts.granted > 5 * share && counts.refused > 5 * share, "{counts:?}");
    assert!(counts.change_foreign > share / 4 && counts.changed_allowed > share / 20, "{counts:?}");
    assert_eq!(servers.protected(Request::get("/system")).status, 200);
}

#[test]
fn odd_uris_reach_nothing_foreign_1_12_7() {
    odd_uris_reach_nothing_foreign(Version::Trixie);
}

#[test]
fn odd_uris_reach_nothing_foreign_1_13_0() {
    odd_uris_reach_nothing_foreign(Version::Sid);
}
