//! What somebody wrote, in HTML, as HTML that can do no harm: read, and written again from an allow-list. And as plain
//! text, and with all addresses that it would lead somebody to.
//!
//! The editor of Orthanc Explorer 2 sends HTML, with a patient's name pasted into it unescaped. What comes out here is
//! whatever it was meant to be: paragraphs, lists, emphasis, links; never a script, a form, a picture or a style.

/// Longer contents are refused, in bytes.
pub const LONGEST: usize = 128 * 1024;

/// Elements deeper than this are left out.
const DEEPEST: usize = 64;

/// Elements that are kept, without their attributes.
const KEPT: [&str; 35] = [
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "dd",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "u",
    "ul",
];
/// Those that have no end.
const EMPTY: [&str; 2] = ["br", "hr"];
/// Those that begin a line of plain text.
const LINES: [&str; 18] = [
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "p",
    "pre",
    "table",
    "tr",
];
/// Those that are parted by a blank.
const CELLS: [&str; 2] = ["td", "th"];
/// Those that hold parts of a table only: anything else in them, a browser moves to before the table.
const ROWS: [&str; 3] = ["table", "tbody", "tr"];
/// Those that go with all that is in them.
const DROPPED: [&str; 14] = [
    "iframe", "math", "noembed", "noframes", "noscript", "object", "script", "select", "style", "svg", "template",
    "textarea", "title", "xmp",
];

/// What somebody wrote, made harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clean {
    /// As HTML.
    pub html: String,
    /// As plain text.
    pub text: String,
    /// Where its links lead to, as written but for entities: whether they may is for the caller.
    pub links: Vec<String>,
}

/// Reads HTML of any quality.
#[must_use]
pub fn clean(source: &str) -> Clean {
    let mut writer = Writer::default();
    let mut rest = source;
    while let Some(at) = rest.find('<') {
        let (text, markup) = rest.split_at(at);
        writer.text(text);
        rest = match read_markup(markup) {
            Markup::Text(after) => {
                writer.text("<");
                after
            }
            Markup::Nothing(after) => after,
            Markup::Open { name, href, after } => {
                if DROPPED.contains(&name.as_str()) {
                    after_end_of(&name, after)
                } else {
                    writer.open(&name, href);
                    after
                }
            }
            Markup::Close { name, after } => {
                writer.close(&name);
                after
            }
        };
    }
    writer.text(rest);
    writer.finish()
}

impl Clean {
    /// All addresses in what is read, both as plain text and as HTML by somebody who passes over all elements. An
    /// address that is parted in one of them may be whole in the other.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let mut text = String::with_capacity(self.html.len());
        // What was written here has no '<' or '>' but those of its elements.
        for (at, part) in self.html.split('<').enumerate() {
            let part = if at == 0 { part } else { part.split_once('>').map_or("", |(_, after)| after) };
            text.push_str(part);
        }
        let mut addresses = addresses_in(&self.text);
        addresses.extend(addresses_in(&decoded(&text)));
        addresses
    }
}

/// The addresses in a plain text that mail programs make links of by themselves: with a scheme, or from `www.` on.
#[must_use]
pub fn addresses_in(text: &str) -> Vec<String> {
    let is_end = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '(' | ')' | '[' | ']');
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let words = visible.split(is_end);
    let found = words.filter_map(|word| {
        let lower = word.to_ascii_lowercase();
        let at = lower.find("://").map(|at| {
            let scheme = lower.get(..at).unwrap_or_default().bytes().rev();
            at - scheme.take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count()
        });
        let from = at.into_iter().chain(lower.find("www.")).min()?;
        let address = word.get(from..)?.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '}']);
        Some(address.to_owned())
    });
    found.collect()
}

/// What nobody sees, and some programs leave out: Unicode's property Default_Ignorable_Code_Point.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// A text for HTML, within an element or an attribute.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' | '\t' => html.push(c),
            // As in the plain text, so that nothing is parted there alone.
            c if c.is_control() => html.push(' '),
            c => html.push(c),
        }
    }
    html
}

enum Markup<'a> {
    /// A `<` that begins nothing.
    Text(&'a str),
    /// A comment, a declaration, or the rest of a text that ends within a tag.
    Nothing(&'a str),
    Open {
        name: String,
        href: Option<String>,
        after: &'a str,
    },
    Close {
        name: String,
        after: &'a str,
    },
}

/// Reads what begins with `<`.
fn read_markup(markup: &str) -> Markup<'_> {
    let inside = markup.get(1..).unwrap_or_default();
    if let Some(comment) = inside.strip_prefix("!--") {
        return Markup::Nothing(comment.split_once("-->").map_or("", |(_, after)| after));
    }
    if inside.starts_with(['!', '?']) {
        return Markup::Nothing(inside.split_once('>').map_or("", |(_, after)| after));
    }
    let (closes, tag) = match inside.strip_prefix('/') {
        Some(tag) => (true, tag),
        None => (false, inside),
    };
    if !tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Markup::Text(inside);
    }
    let end = tag.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).unwrap_or(tag.len());
    let (name, attributes) = tag.split_at(end);
    let name = name.to_ascii_lowercase();
    let Some((href, after)) = read_attributes(attributes) else { return Markup::Nothing("") };
    if closes { Markup::Close { name, after } } else { Markup::Open { name, href, after } }
}

/// The first `href` of a tag, and what comes after the tag; `None`: it does not end.
fn read_attributes(mut rest: &str) -> Option<(Option<String>, &str)> {
    let mut href = None;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return Some((href, after));
        }
        // A name may begin with anything, even with '='.
        let first = rest.chars().next()?.len_utf8();
        let end = rest.get(first..)?.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '='));
        let (name, after) = rest.split_at(end.map_or(rest.len(), |end| end + first));
        rest = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
            let quoted = ['"', '\''].into_iter().find_map(|quote| Some((quote, after.strip_prefix(quote)?)));
            (value, rest) = match quoted {
                Some((quote, after)) => after.split_once(quote)?,
                None => {
                    let end = after.find(|c: char| c.is_ascii_whitespace() || c == '>')?;
                    after.split_at(end)
                }
            };
        }
        if href.is_none() && name.eq_ignore_ascii_case("href") {
            href = Some(decoded(value).trim().to_owned());
        }
    }
}

/// What comes after the end of an element whose content is no HTML.
fn after_end_of<'a>(name: &str, mut rest: &'a str) -> &'a str {
    while let Some(at) = rest.find("</") {
        rest = rest.get(at + 2..).unwrap_or_default();
        if rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return rest.split_once('>').map_or("", |(_, after)| after);
        }
    }
    ""
}

/// A text with its character references read (HTML, 13.5: those that editors write).
fn decoded(source: &str) -> String {
    const LONGEST_NAME: usize = 8;
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('&') {
        let (before, reference) = rest.split_at(at);
        text.push_str(before);
        let inside = reference.get(1..).unwrap_or_default();
        let end = inside.char_indices().take(LONGEST_NAME + 1).find(|(_, c)| *c == ';').map(|(at, _)| at);
        let read = end.and_then(|end| Some((character(inside.get(..end)?)?, inside.get(end + 1..)?)));
        match read {
            Some((c, after)) => {
                text.push(c);
                rest = after;
            }
            None => {
                text.push('&');
                rest = inside;
            }
        }
    }
    text.push_str(rest);
    text
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => return None,
    })
}

#[derive(Default)]
struct Writer {
    clean: Clean,
    open: Vec<&'static str>,
    /// Where the link that is open leads to, and where its text begins.
    link: Option<(String, usize)>,
    /// Whether the text in the HTML, but for elements, ends with something that is no blank.
    within_word: bool,
}

impl Writer {
    fn text(&mut self, source: &str) {
        let text = decoded(source);
        let is_blank = |c: char| c.is_whitespace() || c.is_control();
        if !text.chars().all(is_blank) {
            self.end_rows();
        }
        if let Some(last) = text.chars().next_back() {
            self.within_word = !is_blank(last);
        }
        self.clean.html.push_str(&escaped(&text));
        for c in text.chars() {
            match (is_blank(c), self.clean.text.ends_with([' ', '\n'])) {
                (true, true) => {}
                (true, false) if self.clean.text.is_empty() => {}
                (true, false) => self.clean.text.push(' '),
                (false, _) => self.clean.text.push(c),
            }
        }
    }

    /// Parts what is before an element, or before its end, from what comes after; in the HTML too, for whoever passes
    /// over the element, as parsers do with some in some places.
    fn part(&mut self, name: &str) {
        let (is_line, is_cell) = (LINES.contains(&name), CELLS.contains(&name));
        if !is_line && !is_cell {
            return;
        }
        if self.within_word {
            self.clean.html.push(if is_line { '\n' } else { ' ' });
            self.within_word = false;
        }
        let text = &mut self.clean.text;
        // A paragraph right after the dash of its item is on the same line.
        let is_begun = text.ends_with("\n- ") || text == "- ";
        if text.is_empty() || is_begun {
            return;
        }
        if is_line {
            text.truncate(text.trim_end_matches(' ').len());
            if name == "br" || !text.ends_with('\n') {
                text.push('\n');
            }
        } else if !text.ends_with([' ', '\n']) {
            text.push(' ');
        }
    }

    /// Ends the table that something else than a part of it is in, between its cells.
    fn end_rows(&mut self) {
        while let Some(last) = self.open.last().copied().filter(|last| ROWS.contains(last)) {
            self.close(last);
        }
    }

    /// Whether an element may be where it is. Parts of tables in other places are left out.
    fn fits(&mut self, name: &str) -> bool {
        let parent = self.open.last().copied();
        match name {
            "tbody" => parent == Some("table"),
            "tr" => matches!(parent, Some("table" | "tbody")),
            "td" | "th" => parent == Some("tr"),
            _ => {
                self.end_rows();
                true
            }
        }
    }

    fn open(&mut self, name: &str, href: Option<String>) {
        self.part(name);
        let Some(name) = KEPT.iter().find(|kept| **kept == name).copied() else { return };
        if !self.fits(name) {
            return;
        }
        if EMPTY.contains(&name) {
            self.clean.html.push_str(&format!("<{name}>"));
            return;
        }
        if self.open.len() >= DEEPEST {
            return;
        }
        if name == "li" {
            self.clean.text.push_str("- ");
        }
        if name == "a" {
            // Links do not nest.
            self.close("a");
            let Some(href) = href.filter(|href| !href.is_empty()) else { return };
            self.clean.html.push_str(&format!("<a href=\"{}\">", escaped(&href)));
            self.link = Some((href.clone(), self.clean.text.len()));
            self.clean.links.push(href);
        } else {
            self.clean.html.push_str(&format!("<{name}>"));
        }
        self.open.push(name);
    }

    fn close(&mut self, name: &str) {
        let Some(at) = self.open.iter().rposition(|open| *open == name) else { return };
        for name in self.open.split_off(at).into_iter().rev() {
            if name == "a" {
                self.end_link();
            }
            self.part(name);
            self.clean.html.push_str(&format!("</{name}>"));
        }
    }

    /// In plain text the address follows, unless it is the text.
    fn end_link(&mut self) {
        if let Some((href, from)) = self.link.take()
            && self.clean.text.get(from..).is_none_or(|text| text.trim() != href)
        {
            self.clean.text.push_str(&format!(" <{href}>"));
        }
    }

    fn finish(mut self) -> Clean {
        if let Some(first) = self.open.first().copied() {
            let depth = self.open.len();
            for _ in 0..depth {
                self.close(first);
            }
        }
        let end = self.clean.text.trim_end().len();
        self.clean.text.truncate(end);
        self.clean
    }
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
