//! Templates: files `name.html` in one folder, as the old service had them. A content template is handed to whoever
//! writes a mail, with its placeholders; a layout is what a written mail is put into.
//!
//! Read each time: an edit counts at once. Knows nothing of what is written into them.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::html;

/// Larger files are none, in bytes.
const LARGEST: u64 = 256 * 1024;
/// What every template's file ends with.
pub const ENDING: &str = ".html";
/// Where a layout wants what was written.
const CONTENT: &str = "{email-content}";
/// Where it wants the subject.
const TITLE: &str = "{email-title}";

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The name cannot be one.
    #[error("the name of a template has letters, digits, '.', '_' and '-' only")]
    Name,
    /// There is none of that name.
    #[error("there is no such template")]
    Unknown,
    /// Its text cannot be used.
    #[error("the template {name:?} {fault}")]
    Text {
        /// Which one.
        name: String,
        /// What is wrong, as in "the template … is empty".
        fault: &'static str,
    },
    /// It cannot be read.
    #[error("the template {name:?} cannot be read")]
    Unreadable {
        /// Which one.
        name: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// The folder of templates.
#[derive(Clone, Debug)]
pub struct Templates {
    folder: Option<PathBuf>,
}

impl Templates {
    /// Those in this folder; none without one.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// Their names, sorted.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let Some(folder) = &self.folder else { return BTreeSet::new() };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| name_of(entry.file_name().to_str()?).map(str::to_owned));
        names.collect()
    }

    /// The text of one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn read(&self, name: &str) -> Result<String, TemplateError> {
        use std::io::Read as _;

        if !is_name(name) {
            return Err(TemplateError::Name);
        }
        let folder = self.folder.as_ref().ok_or(TemplateError::Unknown)?;
        let unreadable = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => TemplateError::Unknown,
            io::ErrorKind::InvalidData => TemplateError::Text { name: name.to_owned(), fault: "is no UTF-8" },
            _ => TemplateError::Unreadable { name: name.to_owned(), cause },
        };
        let file = std::fs::File::open(folder.join(format!("{name}{ENDING}"))).map_err(unreadable)?;
        let mut text = String::new();
        file.take(LARGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
        match check(&text) {
            None => Ok(text),
            Some(fault) => Err(TemplateError::Text { name: name.to_owned(), fault }),
        }
    }

    /// The first template that cannot be used.
    #[must_use]
    pub fn fault(&self) -> Option<TemplateError> {
        self.names().iter().find_map(|name| self.read(name).err())
    }

    /// Where the templates themselves lead to: the site's own pages, which a mail may name.
    #[must_use]
    pub fn links(&self) -> BTreeSet<String> {
        let texts = self.names().into_iter().filter_map(|name| self.read(&name).ok());
        let links = texts.flat_map(|text| {
            let clean = html::clean(&text);
            let plain = html::addresses_in(&clean.text);
            clean.links.into_iter().chain(plain)
        });
        // A placeholder is no address: it would let through what somebody else wrote like it.
        links.filter(|link| !link.contains(['{', '}'])).collect()
    }
}

/// The name of a template by its file's, when it is one.
fn name_of(file: &str) -> Option<&str> {
    file.strip_suffix(ENDING).filter(|name| is_name(name))
}

/// Letters, digits, `.`, `_`, `-`, and a letter or digit first: no other folder and no hidden file.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(plain)
}

/// What is wrong with the text of a template.
#[must_use]
pub fn check(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let places = text.matches(CONTENT).count();
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST {
        Some("is larger than 256 KiB")
    } else if text.trim().is_empty() {
        Some("is empty")
    } else if places > 1 {
        Some("has {email-content} more than once")
    } else if places == 0 && lower.contains("<body") {
        Some("is a whole page, and has no {email-content} where what is written would go")
    } else if has_open_placeholder(&lower) {
        Some("has a placeholder that does not end: a '{' without its '}'")
    } else {
        None
    }
}

/// A `{` and a name without `}` after it; but for styles, which are full of them.
fn has_open_placeholder(lower: &str) -> bool {
    let mut rest = lower;
    while let Some(at) = rest.find(['{', '<']) {
        let found = rest.get(at..).unwrap_or_default();
        if let Some(style) = found.strip_prefix("<style") {
            rest = style.split_once("</style").map_or("", |(_, after)| after);
            continue;
        }
        rest = found.get(1..).unwrap_or_default();
        if found.starts_with('{') && rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '/' | '.'));
            if !rest.get(end.unwrap_or(rest.len())..).is_some_and(|after| after.starts_with('}')) {
                return true;
            }
        }
    }
    false
}

/// A layout around what was written, which is harmless HTML already; `None`: it has no place for it.
#[must_use]
pub fn fill(layout: &str, title: &str, content: &str) -> Option<String> {
    let (before, after) = layout.split_once(CONTENT)?;
    let title = html::escaped(title);
    // What was written is not searched for placeholders.
    Some(format!("{}{content}{}", before.replace(TITLE, &title), after.replace(TITLE, &title)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Templates) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let templates = Templates::new(Some(folder.path().to_owned()));
        (folder, templates)
    }

    #[test]
    fn templates_are_listed_and_read() {
        let (_folder, templates) = folder(&[
            ("b.html", "<p>{ShareUrl}</p>"),
            ("a-1.html", "a"),
            ("c.txt", "c"),
            (".html", "d"),
            ("e f.html", "e"),
        ]);
        assert_eq!(templates.names().into_iter().collect::<Vec<_>>(), ["a-1", "b"]);
        assert_eq!(templates.read("b").unwrap(), "<p>{ShareUrl}</p>");
        assert!(templates.fault().is_none());
        assert!(Templates::new(None).names().is_empty());
        assert!(matches!(Templates::new(None).read("b"), Err(TemplateError::Unknown)));
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let (inner, _) = folder(&[("secret.html", "secret")]);
        let (outer, templates) = folder(&[("a.html", "a")]);
        let beside = inner.path().join("secret");
        for name in [
            "../a",
            "..",
            ".",
            "",
            "/a",
            "a/../a",
            "a\0",
            "sub/a",
            "..%2fa",
            ".a",
            "a b",
            beside.to_str().unwrap(),
            &"a".repeat(65),
        ] {
            assert!(matches!(templates.read(name), Err(TemplateError::Name)), "{name:?}");
        }
        std::fs::create_dir(outer.path().join("folder.html")).unwrap();
        assert!(matches!(templates.read("folder"), Err(TemplateError::Unreadable { .. })));
        assert!(matches!(templates.read("b"), Err(TemplateError::Unknown)));
    }

    #[test]
    fn templates_that_cannot_be_used_are_told() {
        for (text, expected) in [
            ("  \n", Some("is empty")),
            ("{email-content}{email-content}", Some("has {email-content} more than once")),
            (
                "<html><body>a</body></html>",
                Some("is a whole page, and has no {email-content} where what is written would go"),
            ),
            ("<p>{PatientName</p>", Some("has a placeholder that does not end: a '{' without its '}'")),
            ("<p>{Patient Name}</p>", Some("has a placeholder that does not end: a '{' without its '}'")),
            ("<style>p { color: red }\nh1{margin:0}</style><body>{email-content}", None),
            ("<p>{PatientName} {study-resource-token/viewer-instant-link} { }</p>", None),
        ] {
            assert_eq!(check(text), expected, "{text}");
        }
        assert_eq!(check(&"a".repeat(300_000)), Some("is larger than 256 KiB"));
        let (folder, templates) = folder(&[("good.html", "a")]);
        std::fs::write(folder.path().join("latin.html"), b"\xe4").unwrap();
        assert_eq!(templates.fault().unwrap().to_string(), "the template \"latin\" is no UTF-8");
    }

    #[test]
    fn a_layout_takes_what_was_written_and_escapes_the_title() {
        let layout = "<title>{email-title}</title>{email-content}<p>{email-title}</p>";
        assert_eq!(
            fill(layout, "a<b>", "<p>{email-title}{email-content}</p>").unwrap(),
            "<title>a&lt;b&gt;</title><p>{email-title}{email-content}</p><p>a&lt;b&gt;</p>"
        );
        assert_eq!(fill("nothing", "", ""), None);
    }

    #[test]
    fn what_templates_lead_to_is_known_but_for_placeholders() {
        let (_folder, templates) = folder(&[
            ("a.html", "<a href=\"{ShareUrl}\">x</a><a href=\"https://h.example/privacy\">p</a> https://h.example/x."),
            ("b.html", "<a href=\"mailto:a@h.example\">a</a><a href='https://h/{PatientID}'>y</a>"),
        ]);
        let links: Vec<String> = templates.links().into_iter().collect();
        assert_eq!(links, ["https://h.example/privacy", "https://h.example/x", "mailto:a@h.example"]);
    }
}
