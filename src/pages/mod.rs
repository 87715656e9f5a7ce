//! The few pages that people see of this plugin: one template, without scripts, for a phone as for a workstation.
//!
//! Knows nothing of logins and links: it is told what to show. The server marks every answer but 200 as plain text, so
//! a page is always 200, also one that says no.
#![forbid(unsafe_code)]

mod language;
mod texts;

use std::sync::LazyLock;

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use language::Language;
pub use texts::Text;

use crate::request::Reply;

/// What the pages look like.
const STYLE: &str = include_str!("../../templates/page.css");

/// The one style that the pages may have, as a source of the Content Security Policy.
static STYLE_SOURCE: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, STYLE.as_bytes()))));

/// Whose server it is, as the pages show it.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// How it is called.
    pub name: String,
    /// Its picture, as a `data:` URL.
    pub logo: Option<String>,
}

impl From<String> for Site {
    fn from(name: String) -> Self {
        Self { name, logo: None }
    }
}

/// A page.
#[derive(Debug, Template)]
#[template(path = "page.html")]
pub struct Page<'a> {
    /// BCP 47.
    pub language: &'static str,
    /// Whose server this is.
    pub site: &'a Site,
    /// The heading.
    pub title: &'a str,
    /// What went wrong.
    pub problem: Option<&'a str>,
    /// Paragraphs.
    pub texts: Vec<&'a str>,
    /// What is asked for.
    pub form: Option<Form<'a>>,
    /// Where to go from here.
    pub links: Vec<Link<'a>>,
    /// What it looks like.
    pub style: &'static str,
}

/// A form, sent by POST.
#[derive(Debug)]
pub struct Form<'a> {
    /// Where to, relative to the page.
    pub action: &'a str,
    /// Its fields.
    pub fields: Vec<Field<'a>>,
    /// What the button says.
    pub submit: &'a str,
}

/// A field of a form.
#[derive(Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'static str,
    /// What stands over it; a field without label is hidden.
    pub label: &'a str,
    /// The `type` of HTML.
    pub kind: &'static str,
    /// The `autocomplete` of HTML.
    pub autocomplete: &'static str,
    /// What it holds at first.
    pub value: &'a str,
    /// Whether it is to be filled in first.
    pub focus: bool,
}

impl<'a> Field<'a> {
    /// A field that nobody sees.
    #[must_use]
    pub const fn hidden(name: &'static str, value: &'a str) -> Self {
        Self { name, label: "", kind: "hidden", autocomplete: "off", value, focus: false }
    }
}

/// A link.
#[derive(Debug)]
pub struct Link<'a> {
    /// Where to.
    pub href: &'a str,
    /// What it says.
    pub text: &'a str,
}

impl<'a> Page<'a> {
    /// A page with a heading and nothing else yet.
    #[must_use]
    pub const fn new(language: Language, site: &'a Site, title: &'a str) -> Self {
        Self {
            language: language.tag(),
            site,
            title,
            problem: None,
            texts: Vec::new(),
            form: None,
            links: Vec::new(),
            style: STYLE,
        }
    }

    /// The answer with this page. `form_origins` are further origins that a sent form may be redirected to.
    #[must_use]
    pub fn reply(&self, form_origins: &[String]) -> Reply {
        // Writing to a string does not fail.
        let body = self.render().unwrap_or_default();
        let mut targets = String::from("'self'");
        for origin in form_origins {
            targets.push(' ');
            targets.push_str(origin);
        }
        // A picture can do nothing: it is shown as an image only, and brings nothing from elsewhere.
        let images = if self.site.logo.is_some() { " img-src data:;" } else { "" };
        let policy = format!(
            "default-src 'none'; style-src {};{images} form-action {targets}; frame-ancestors 'none'; base-uri 'none'",
            *STYLE_SOURCE
        );
        // A form sent from a page without any referrer has the origin `null`, which could be anybody's.
        let mut headers = private_headers();
        headers.retain(|(name, _)| *name != "Referrer-Policy");
        headers.push(("Referrer-Policy", "same-origin".to_owned()));
        headers.push(("Content-Security-Policy", policy));
        Reply::Answer { status: 200, content_type: "text/html; charset=utf-8", headers, body: body.into_bytes() }
    }
}

/// Headers of every answer of the login and of links: nothing of it is kept or handed on.
#[must_use]
pub fn private_headers() -> Vec<(&'static str, String)> {
    vec![
        ("Cache-Control", "no-store".to_owned()),
        ("Referrer-Policy", "no-referrer".to_owned()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("X-Frame-Options", "DENY".to_owned()),
    ]
}

/// A redirect that is always followed by GET.
#[must_use]
pub fn redirect(to: String, cookies: Vec<String>) -> Reply {
    let mut headers = private_headers();
    headers.push(("Location", to));
    headers.extend(cookies.into_iter().map(|cookie| ("Set-Cookie", cookie)));
    Reply::Answer { status: 303, content_type: "text/plain", headers, body: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_escaped() {
        let hostile = "<script>alert(1)</script>\"'";
        let site = Site { name: hostile.to_owned(), logo: Some(hostile.to_owned()) };
        let mut page = Page::new(Language::English, &site, hostile);
        page.problem = Some(hostile);
        page.texts.push(hostile);
        page.links.push(Link { href: hostile, text: hostile });
        let field =
            Field { name: "user", label: hostile, kind: "text", autocomplete: "off", value: hostile, focus: true };
        page.form = Some(Form { action: hostile, fields: vec![field, Field::hidden("x", hostile)], submit: hostile });
        let html = page.render().unwrap();
        assert!(!html.contains("<script"), "{html}");
        assert!(!html.contains("\"'"), "{html}");
        assert_eq!(html.matches("&#60;script&#62;").count(), 13, "{html}");
    }

    #[test]
    fn the_policy_names_the_style_as_it_stands_on_the_page() {
        let mut site = Site::from("PACS".to_owned());
        let page = Page::new(Language::English, &site, "Title");
        let html = page.render().unwrap();
        let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let source = STANDARD.encode(digest(&SHA256, style.as_bytes()));
        let Reply::Answer { headers, .. } = page.reply(&["https://idp".to_owned()]) else { panic!() };
        let policy = &headers.iter().find(|(name, _)| *name == "Content-Security-Policy").unwrap().1;
        assert!(policy.contains(&source), "{policy}");
        assert!(policy.contains("form-action 'self' https://idp;") && !policy.contains("img-src"), "{policy}");

        site.logo = Some("data:image/png;base64,AAAA".to_owned());
        let page = Page::new(Language::English, &site, "Title");
        assert!(page.render().unwrap().contains(r#"<img src="data:image/png;base64,AAAA" alt="">"#));
        let Reply::Answer { headers, .. } = page.reply(&[]) else { panic!() };
        let policy = &headers.iter().find(|(name, _)| *name == "Content-Security-Policy").unwrap().1;
        assert!(policy.contains(" img-src data:; "), "{policy}");
    }
}
