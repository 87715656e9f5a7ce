use std::ffi::CString;

use super::*;

/// Texts in memory as the server hands them over.
struct Texts {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Texts {
    fn new(texts: &[&[u8]]) -> Self {
        let owned: Vec<_> = texts.iter().map(|text| CString::new(*text).unwrap()).collect();
        let pointers = owned.iter().map(|text| text.as_ptr()).collect();
        Self { _owned: owned, pointers }
    }
}

fn pairs(names: &Texts, values: &Texts) -> Pairs {
    Pairs {
        count: u32::try_from(names.pointers.len()).unwrap(),
        names: names.pointers.as_ptr(),
        values: values.pointers.as_ptr(),
    }
}

const NONE: Pairs = Pairs { count: 0, names: std::ptr::null(), values: std::ptr::null() };

/// The request as the filter would see it; what it borrows is leaked, which a test may.
fn filtered(method: u32, uri: &[u8], headers: Pairs, arguments: Pairs) -> Option<Request<'static>> {
    let uri = CString::new(uri).unwrap().into_raw();
    // SAFETY: all texts outlive the test.
    unsafe { filter_request(method, uri, c"127.0.0.1".as_ptr(), headers, arguments) }
}

#[test]
fn a_request_is_read_as_it_is() {
    let names = Texts::new(&[b"authorization", b"token"]);
    let values = Texts::new(&[b"Bearer x", "é".as_bytes()]);
    let argument_names = Texts::new(&[b"a", b"a", b""]);
    let argument_values = Texts::new(&[b"1", b"", b"3"]);
    let request = filtered(1, b"/studies/", pairs(&names, &values), pairs(&argument_names, &argument_values)).unwrap();
    assert_eq!(request.method, Method::Get);
    assert_eq!(request.path, "/studies/");
    assert_eq!(request.remote, "127.0.0.1");
    assert_eq!(request.headers, [("authorization", "Bearer x"), ("token", "é")]);
    assert_eq!(request.arguments, [("a", "1"), ("a", ""), ("", "3")]);
}

#[test]
fn all_methods_are_known_and_no_others() {
    let read = |method| filtered(method, b"/", NONE, NONE).map(|request| request.method);
    assert_eq!(read(1), Some(Method::Get));
    assert_eq!(read(2), Some(Method::Post));
    assert_eq!(read(3), Some(Method::Put));
    assert_eq!(read(4), Some(Method::Delete));
    for unknown in [0, 5, u32::MAX] {
        assert_eq!(read(unknown), None);
    }
}

#[test]
fn a_path_or_argument_that_is_no_utf8_is_refused() {
    assert!(filtered(1, b"/studies/\xff", NONE, NONE).is_none());
    let good = Texts::new(&[b"a"]);
    let bad = Texts::new(&[b"\xc3("]);
    assert!(filtered(1, b"/", NONE, pairs(&good, &bad)).is_none());
    assert!(filtered(1, b"/", NONE, pairs(&bad, &good)).is_none());
    assert!(filtered(1, b"/", NONE, pairs(&good, &good)).is_some());
}

#[test]
fn a_header_that_is_no_utf8_is_left_out() {
    let names = Texts::new(&[b"token", b"x-other"]);
    let values = Texts::new(&[b"\xff", b"y"]);
    let request = filtered(1, b"/", pairs(&names, &values), NONE).unwrap();
    assert_eq!(request.headers, [("x-other", "y")]);
}

#[test]
fn what_says_how_the_body_is_read_is_not_left_out() {
    for name in
        ["content-type", "Content-Type", "content-encoding", "content-length", "transfer-encoding", "x-file-size"]
    {
        let names = Texts::new(&[b"token", name.as_bytes()]);
        let values = Texts::new(&[b"x", b"multipart/form-data; boundary=x; \xe9"]);
        assert!(filtered(2, b"/", pairs(&names, &values), NONE).is_none(), "{name}");
    }
}

#[test]
fn a_condition_that_cannot_be_read_is_not_left_out() {
    for name in ["if-match", "If-Match"] {
        let names = Texts::new(&[b"token", name.as_bytes()]);
        let values = Texts::new(&[b"x", b"\"\xe9\""]);
        assert!(filtered(3, b"/", pairs(&names, &values), NONE).is_none(), "{name}");
    }
}

#[test]
fn null_pointers_are_refused() {
    let broken = Pairs { count: 1, ..NONE };
    assert!(filtered(1, b"/", broken, NONE).is_none());
    assert!(filtered(1, b"/", NONE, broken).is_none());
    let null = [std::ptr::null()];
    let names = Texts::new(&[b"a"]);
    let hole = Pairs { count: 1, names: names.pointers.as_ptr(), values: null.as_ptr() };
    assert!(filtered(1, b"/", NONE, hole).is_none());
    // SAFETY: null is allowed.
    let without_path = unsafe { filter_request(1, std::ptr::null(), c"".as_ptr(), NONE, NONE) };
    assert!(without_path.is_none());
    // SAFETY: null is allowed.
    let without_request = unsafe { rest_request(c"/".as_ptr(), std::ptr::null()) };
    assert!(without_request.is_none());
}

#[test]
fn a_rest_request_has_its_body() {
    let body = b"{\0}";
    let mut raw = sdk::gh_http_request {
        method: 2,
        groups_count: 0,
        groups: std::ptr::null(),
        get_count: 0,
        get_keys: std::ptr::null(),
        get_values: std::ptr::null(),
        body: body.as_ptr().cast(),
        body_size: 3,
        headers_count: 0,
        headers_keys: std::ptr::null(),
        headers_values: std::ptr::null(),
    };
    // SAFETY: all texts and the body outlive the test.
    let request = unsafe { rest_request(c"/tools/find".as_ptr(), &raw const raw) }.unwrap();
    assert_eq!((request.request.path, request.request.method), ("/tools/find", Method::Post));
    assert_eq!(request.body, body);

    raw.body = std::ptr::null();
    // SAFETY: as above.
    assert!(unsafe { rest_request(c"/".as_ptr(), &raw const raw) }.is_none());
    raw.body_size = 0;
    // SAFETY: as above.
    assert_eq!(unsafe { rest_request(c"/".as_ptr(), &raw const raw) }.unwrap().body, b"");
}

#[test]
fn changes_that_matter_are_told_apart() {
    // SAFETY: null and literal texts are allowed.
    let read = |number, resource: *const c_char| unsafe { change(number, resource) };
    assert_eq!(read(10, std::ptr::null()), Change::Started);
    assert_eq!(read(11, std::ptr::null()), Change::Stopped);
    assert_eq!(read(12, std::ptr::null()), Change::Other);
    assert_eq!(read(1, c"0a-1b".as_ptr()), Change::Deleted("0a-1b".to_owned()));
    assert_eq!(read(1, std::ptr::null()), Change::Other);
    assert_eq!(read(17, c"0a-1b".as_ptr()), Change::JobEnded("0a-1b".to_owned()));
    assert_eq!(read(18, c"0a-1b".as_ptr()), Change::JobEnded("0a-1b".to_owned()));
    assert_eq!(read(17, std::ptr::null()), Change::Other);
    assert_eq!(read(4, c"0a-1b".as_ptr()), Change::Other);
}
