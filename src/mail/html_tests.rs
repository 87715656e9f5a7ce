use super::*;

fn html(source: &str) -> String {
    clean(source).html
}

#[test]
fn what_an_editor_writes_stays_as_it_is() {
    for source in [
        "<p>Hello,</p><p>a study of <strong>Doe^Jane</strong>.</p>",
        "<p>one<br>two</p><ul><li><p>a</p></li><li><p>b</p></li></ul><h2>x</h2><blockquote>y</blockquote><hr>",
        "<table><tbody><tr><th>a</th><td>b</td></tr></tbody></table><p>c</p>",
        "a &amp; b &lt; c &quot;d&quot;",
    ] {
        // But for blanks where lines and cells end.
        let parted = html(source);
        assert_eq!(parted.replace("\n<", "<").replace(" </t", "</t"), source);
    }
    assert_eq!(
        html(
            r#"<P style="text-align: left"><A target="_blank" rel="noopener" HREF='https://h/?a=1&amp;b=2' class=x>link</A></P>"#
        ),
        "<p><a href=\"https://h/?a=1&amp;b=2\">link</a>\n</p>"
    );
}

#[test]
fn what_could_do_harm_is_left_out() {
    for (source, expected) in [
        ("<script>alert(1)</script>a", "a"),
        ("<SCRIPT src=x>alert('</p>')</script >a", "a"),
        ("<style>p { }</style>a<!-- <b> -->b<!DOCTYPE html>c<?xml?>d", "abcd"),
        ("<img src=x onerror=alert(1)>a<input><form action=x>b</form>", "ab"),
        ("<p onclick=\"x\" style='y'>a</p>", "<p>a\n</p>"),
        ("<svg><a href=\"https://evil/\">x</a></svg>a", "a"),
        ("<iframe src=x></iframe><object data=x>y</object>a", "a"),
        ("<scr<script>ipt>a", "ipt&gt;a"),
        ("<b", ""),
        ("<b x=\"", ""),
        ("<script>never ends", ""),
        ("a < b <3 </ c", "a &lt; b &lt;3 &lt;/ c"),
        ("&lt;script&gt;&#60;b&#x3e;", "&lt;script&gt;&lt;b&gt;"),
        ("&bogus; &#xd800; &#; &", "&amp;bogus; &amp;#xd800; &amp;#; &amp;"),
        ("a\u{0}\u{7}b", "a  b"),
        ("<p>\u{e4}\u{1f600}</p>", "<p>\u{e4}\u{1f600}\n</p>"),
        ("<p \u{e4}=1 \u{1f600} =2>a</p>b", "<p>a\n</p>b"),
        ("<p/onclick=x>a", "<p>a\n</p>"),
    ] {
        assert_eq!(html(source), expected, "{source:?}");
    }
}

#[test]
fn what_is_open_is_closed_and_nothing_else() {
    assert_eq!(html("<p><b>a"), "<p><b>a</b>\n</p>");
    assert_eq!(html("</td></table>a</p></div>"), "a");
    assert_eq!(html("<b><i>a</b>b</i>"), "<b><i>a</i></b>b");
    assert_eq!(html("<a href=x>a<a href=y>b</a>"), "<a href=\"x\">a</a><a href=\"y\">b</a>");
    assert_eq!(html("<a>no address</a>"), "no address");
    let deep = html(&"<div>".repeat(10_000));
    assert_eq!(deep, format!("{}{}", "<div>".repeat(64), "</div>".repeat(64)));
}

#[test]
fn every_address_is_told() {
    let clean = clean("<a href=' java&#115;cript:x '>a</a><p><a href=\"https://one/\">b</a> http://two/x.</p>");
    assert_eq!(clean.links, ["javascript:x", "https://one/"]);
    assert_eq!(addresses_in(&clean.text), ["https://one/", "http://two/x"]);
    for (text, expected) in [
        ("see (HTTPS://a.example/b?c=d), www.b.example!", vec!["HTTPS://a.example/b?c=d", "www.b.example"]),
        ("xhttp://a", vec!["xhttp://a"]),
        ("\u{201e}ftp://a\u{201c}", vec!["ftp://a\u{201c}"]),
        ("no address: a.example, 1:2, //x", vec![]),
    ] {
        assert_eq!(addresses_in(text), expected, "{text}");
    }
    for invisible in ['\u{ad}', '\u{34f}', '\u{61c}', '\u{200b}', '\u{2066}', '\u{2069}', '\u{fe0f}', '\u{e0020}'] {
        assert_eq!(
            addresses_in(&format!("https:{invisible}//evil/ w{invisible}ww.evil")),
            ["https://evil/", "www.evil"]
        );
    }
    // Parted by elements, it is one in the plain text.
    assert_eq!(addresses_in(&super::clean("ht<b>tp:</b>//evil/<i>x</i>").text), ["http://evil/x"]);
}

/// An address that is parted in what is checked alone would lead anywhere.
#[test]
fn no_address_hides_behind_what_only_one_reader_sees() {
    let deep = "<b>".repeat(DEEPEST);
    for source in [
        "https:&#1;//evil/".to_owned(),
        "https:\u{85}//evil/".to_owned(),
        format!("{deep}https:<p>//evil/"),
        "https:<tr>//evil/".to_owned(),
        "https:<td>//evil/".to_owned(),
        "https:</p>//evil/".to_owned(),
        "https:<caption>//evil/".to_owned(),
        "https:<!-- x -->//evil/".to_owned(),
        "<table>https:<tr><td>x</td>//evil/</table>".to_owned(),
        "<table>https:<td>x</td>//evil/</table>".to_owned(),
        "<table><tr>https:<b></b><td>x</td><b>//evil/</b></tr></table>".to_owned(),
        "<a href=\"own\">https:</a>//evil/".to_owned(),
        "https:&#x200b;//evil/".to_owned(),
        "https:<pre>\n//evil/".to_owned(),
    ] {
        let clean = clean(&source);
        let told = clean.addresses().iter().any(|address| address == "https://evil/");
        // As somebody sees it who passes over all elements, or leaves controls out.
        let mut seen = String::new();
        for part in clean.html.split('<') {
            seen.push_str(part.split_once('>').map_or(part, |(_, after)| after));
        }
        let seen: String = seen.chars().filter(|c| !c.is_control() || *c == '\n').collect();
        assert!(told || !seen.contains("https://"), "{source:?}: {:?}", clean.html);
    }
    // Nor does one that leads somewhere by another one in it.
    assert_eq!(addresses_in("www.evil.example/https://own/x"), ["www.evil.example/https://own/x"]);
    assert_eq!(addresses_in("https://own/www.x"), ["https://own/www.x"]);
    // What is parted by lines or cells is not put together.
    let honest = clean("<p>https://own/a</p><p>Bye</p><table><tr><td>https://own/b</td><td>x</td></tr></table>");
    let addresses: std::collections::BTreeSet<String> = honest.addresses().into_iter().collect();
    assert_eq!(addresses.into_iter().collect::<Vec<_>>(), ["https://own/a", "https://own/b"]);
}

/// Browsers put what is between the cells of a table before it: nothing is.
#[test]
fn a_table_has_rows_only() {
    for (source, expected) in [
        ("<table><tr><td>a</td></tr></table>", "<table><tr><td>a </td></tr></table>"),
        ("<table>a<tr><td>b</td></tr></table>c", "<table></table>a\nbc"),
        ("<table><tr><td>a</td>b<td>c</td></tr></table>", "<table><tr><td>a </td></tr></table>b c"),
        ("<table><tr><br><td>a", "<table><tr></tr></table><br>a"),
        ("<table><tr><td><table>a</table>b</td></tr></table>", "<table><tr><td><table></table>a </td></tr></table>b"),
        ("<tr><td>a", "a"),
    ] {
        let clean = html(source);
        assert_eq!(clean, expected, "{source:?}");
    }
}

#[test]
fn plain_text_reads_like_the_html() {
    let source = "<p>Hello,</p>\n <p>open\n <a href=\"https://h/x\">this link</a> or <a href=\"https://h/y\">https://h/y</a>.</p>\
                  <ul><li><p>one</p></li><li>two<br>three</li></ul><p></p><p>Bye</p>";
    assert_eq!(clean(source).text, "Hello,\nopen this link <https://h/x> or https://h/y.\n- one\n- two\nthree\nBye");
}

#[test]
fn whatever_is_cleaned_stays_as_it_is() {
    let mut seed: u64 = 7;
    let parts = [
        "<", ">", "/", "a", "script", "href", "=", "\"", "'", " ", "&", ";", "#x3c", "p", "!--", "-->", "lt", "\n", "ä",
    ];
    for _ in 0..20_000 {
        let mut source = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            source.push_str(parts[usize::try_from(seed >> 33).unwrap() % parts.len()]);
        }
        let once = clean(&source);
        assert_eq!(clean(&once.html).html, once.html, "{source:?}");
        assert!(!once.html.to_ascii_lowercase().contains("<script"), "{source:?}");
    }
}

#[test]
fn whatever_elements_are_cleaned_stay_as_they_are() {
    let mut seed: u64 = 11;
    let parts = [
        "<table>",
        "<tbody>",
        "<tr>",
        "<td>",
        "<p>",
        "<b>",
        "<br>",
        "<li>",
        "</table>",
        "</tr>",
        "</td>",
        "</p>",
        "</b>",
        "<a href=x>",
        "</a>",
        "a",
        " ",
        "&#1;",
        "<pre>",
    ];
    for _ in 0..20_000 {
        let mut source = String::new();
        for _ in 0..14 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            source.push_str(parts[usize::try_from(seed >> 33).unwrap() % parts.len()]);
        }
        let once = clean(&source);
        assert_eq!(clean(&once.html).html, once.html, "{source:?}");
    }
}
