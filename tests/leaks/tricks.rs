//! What can be done to a request so that the guard and the server might read it differently. It must not know what is
//! asked for.
use crate::routes::Target;
use testbed::Request;

/// A request as it goes over the wire, without credentials.
#[derive(Clone, Debug)]
pub struct Wire {
    pub request: Request,
    /// The body is sent in chunks, without a length.
    pub chunked: bool,
}

impl Wire {
    /// The bytes, in which nothing was made well.
    pub fn bytes(&self, signed: &Request, host: &str) -> Vec<u8> {
        let mut request = signed.clone();
        if let Some(path) = request.path.strip_prefix(HOST) {
            request.path = format!("http://{host}{path}");
        }
        if !self.chunked {
            return request.to_bytes(host);
        }
        let body = request.body.take().unwrap_or_default();
        // Without a body to be measured, and so that no length is added.
        let method = std::mem::replace(&mut request.method, "X".to_owned());
        let request = request.header("Transfer-Encoding", "chunked");
        let mut bytes = format!("{method}{}", &String::from_utf8(request.to_bytes(host)).unwrap()[1..]).into_bytes();
        for chunk in body.chunks(7.max(body.len() / 3)) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }
}

/// Stands for scheme and host of the server, which closes the connection when it is asked for another.
const HOST: &str = "http://{host}";

type Trick = (&'static str, fn(Request, &Target, &Target) -> Option<Wire>);

/// All of them; `None` where one makes no sense. The arguments are the request, what it is at, and an own study.
pub const TRICKS: &[Trick] = &[
    ("plain", |request, _, _| wire(request)),
    // Another method than the one that the guard sees.
    ("_method=DELETE", |request, _, _| argument(request, "_method=DELETE")),
    ("_method=PUT", |request, _, _| argument(request, "_method=PUT")),
    ("_method=POST", |request, _, _| argument(request, "_method=POST")),
    ("_method=GET", |request, _, _| argument(request, "_method=GET")),
    ("X-HTTP-Method-Override: DELETE", |request, _, _| header(request, "X-HTTP-Method-Override", "DELETE")),
    ("X-HTTP-Method-Override: GET", |request, _, _| header(request, "X-HTTP-Method-Override", "GET")),
    ("X-HTTP-Method-Override: PUT", |request, _, _| header(request, "X-HTTP-Method-Override", "PUT")),
    // Another path than the one that the guard sees.
    ("a slash at the end", |request, _, _| path(request, |path| format!("{path}/"))),
    ("slashes at the end", |request, _, _| path(request, |path| format!("{path}///"))),
    ("double slashes", |request, _, _| path(request, |path| path.replace('/', "//"))),
    ("a path of an own study, and up", |request, _, own| {
        path(request, |path| format!("/studies/{}/%2e%2e/%2e%2e{path}", own.study))
    }),
    ("an unchecked folder, and up", |request, _, _| path(request, |path| format!("/ui/app/../..{path}"))),
    ("an unchecked folder, and up, encoded", |request, _, _| {
        path(request, |path| format!("/stone-webviewer/%2e%2e{path}"))
    }),
    ("an unchecked folder, and up, encoded twice", |request, _, _| {
        path(request, |path| format!("/stone-webviewer/%252e%252e{path}"))
    }),
    ("up with a backslash", |request, _, _| path(request, |path| format!("/stone-webviewer/..\\{}", &path[1..]))),
    ("a dot between", |request, _, _| path(request, |path| path.replacen('/', "/./", 2))),
    ("an encoded letter", |request, _, _| {
        path(request, |path| match path.char_indices().nth(1) {
            Some((at, letter)) => format!("/%{:02x}{}", letter as u32, &path[at + letter.len_utf8()..]),
            None => path.to_owned(),
        })
    }),
    ("an encoded slash", |request, _, _| path(request, |path| format!("/{}", path[1..].replacen('/', "%2f", 1)))),
    ("the first letter in upper case", |request, _, _| {
        path(request, |path| {
            path.get(..2).map(|start| format!("{}{}", start.to_uppercase(), &path[2..])).unwrap_or_default()
        })
    }),
    ("a NUL and more", |request, _, own| path(request, |path| format!("{path}%00/{}", own.study))),
    ("a NUL before the end", |request, _, own| path(request, |path| format!("/studies/{}%00{path}", own.study))),
    ("parameters of a segment", |request, _, own| path(request, |path| format!("{path};id={}", own.study))),
    ("a question mark, encoded", |request, _, _| path(request, |path| format!("{path}%3fexpand"))),
    ("the whole URL", |mut request, _, _| {
        request.path = format!("{HOST}{}", request.path);
        wire(request)
    }),
    // Other headers.
    ("XML", |request, _, _| header(request, "Accept", "application/xml")),
    ("a multipart answer", |request, _, _| {
        header(request, "Accept", "multipart/related; type=\"application/dicom\"; transfer-syntax=*")
    }),
    ("an octet stream", |request, _, _| header(request, "Accept", "multipart/related; type=application/octet-stream")),
    ("a page", |request, _, _| {
        header(request, "Sec-Fetch-Mode", "navigate").and_then(|wire| header(wire.request, "Accept", "text/html"))
    }),
    ("a range", |request, _, _| header(request, "Range", "bytes=0-200")),
    ("from the server itself", |request, _, _| {
        header(request, "X-Forwarded-For", "127.0.0.1").and_then(|wire| header(wire.request, "X-Real-IP", "127.0.0.1"))
    }),
    ("another path in a header", |request, _, own| {
        header(request, "X-Original-URL", &format!("/studies/{}", own.study))
    }),
    ("a forged credential beside", |request, _, _| {
        header(request, "Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.")
    }),
    ("a depth", |request, _, _| header(request, "Depth", "1")),
    // Another body than the one that the guard reads.
    ("in chunks", |request, _, _| request.body.is_some().then_some(Wire { request, chunked: true })),
    ("in gzip", |mut request, _, _| {
        let body = gzip(request.body.as_ref()?);
        request.body = Some(body);
        header(request, "Content-Encoding", "gzip")
    }),
    ("as a form", |mut request, _, _| {
        let head = b"--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"x\"\r\n\r\n".as_slice();
        request.body = Some([head, &request.body.take()?, b"\r\n--b--\r\n"].concat());
        header(request, "Content-Type", "multipart/form-data; boundary=b")
    }),
    ("over a megabyte", |mut request, _, _| {
        let body = request.body.as_mut().filter(|body| body.starts_with(b"{") || body.starts_with(b"["))?;
        let blanks = vec![b' '; 1 << 20];
        body.splice(1..1, blanks);
        wire(request)
    }),
    ("a member before, again", |request, _, own| {
        members(request, |inner| format!(r#""Resources":["{0}"],"Parent":"{0}","Level":"Study",{inner}"#, own.study))
    }),
    ("a member after, again", |request, _, own| {
        members(request, |inner| format!(r#"{inner},"Resources":["{0}"],"Parent":"{0}","Level":"Study""#, own.study))
    }),
    ("another level", |request, _, _| members(request, |inner| format!(r#"{inner},"Level":"Instance""#))),
    ("a comment", |request, at, _| {
        members(request, |inner| format!("/* */ {inner} // \"Resources\": [\"{}\"]\n", at.study))
    }),
    ("an escaped member", |request, _, _| members(request, |inner| inner.replace("Resources", "\\u0052esources"))),
    ("a comma at the end", |request, _, _| members(request, |inner| format!("{inner},"))),
    ("no UTF-8", |mut request, _, _| {
        request.body.as_mut().filter(|body| !body.is_empty())?.splice(1..1, [0x20, 0xff, 0xfe]);
        wire(request)
    }),
    ("a byte order mark", |mut request, _, _| {
        request.body.as_mut()?.splice(0..0, [0xef, 0xbb, 0xbf]);
        wire(request)
    }),
    ("no UTF-8 in an argument", |request, _, _| argument(request, "x=%ff%fe")),
    ("a NUL in an argument", |request, _, own| argument(request, &format!("resources={}%00", own.study))),
    ("again with an own one", |request, _, own| {
        argument(
            request,
            &format!("resources={0}&StudyInstanceUID={1}&objectUID={2}", own.study, own.study_uid, own.instance_uid),
        )
    }),
];

fn wire(request: Request) -> Option<Wire> {
    Some(Wire { request, chunked: false })
}

fn argument(mut request: Request, argument: &str) -> Option<Wire> {
    request.path.push(if request.path.contains('?') { '&' } else { '?' });
    request.path.push_str(argument);
    wire(request)
}

fn header(request: Request, name: &str, value: &str) -> Option<Wire> {
    wire(request.header(name, value))
}

fn path(mut request: Request, change: impl FnOnce(&str) -> String) -> Option<Wire> {
    let (path, arguments) = match request.path.split_once('?') {
        Some((path, arguments)) => (path.to_owned(), format!("?{arguments}")),
        None => (request.path.clone(), String::new()),
    };
    request.path = format!("{}{arguments}", change(&path));
    wire(request)
}

/// Changes the text between the outer braces of a JSON object.
fn members(mut request: Request, change: impl FnOnce(&str) -> String) -> Option<Wire> {
    let text = String::from_utf8(request.body.clone()?).ok()?;
    let inner = text.strip_prefix('{')?.strip_suffix('}').filter(|inner| !inner.is_empty())?;
    request.body = Some(format!("{{{}}}", change(inner)).into_bytes());
    wire(request)
}

/// A gzip file (RFC 1952).
fn gzip(content: &[u8]) -> Vec<u8> {
    let crc = !content.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend_from_slice(&miniz_oxide::deflate::compress_to_vec(content, 6));
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
    out
}
