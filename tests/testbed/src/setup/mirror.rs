//! Finds the Debian mirror that this machine already uses, in apt's own sources. Knows apt's two formats, and nothing
//! of what is fetched.
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// One place that apt fetches from.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    uri: String,
    suite: String,
}

/// The URI of the main archive: the one that offers this machine's own release, else any that ends in `/debian`.
pub(super) fn find() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = release.lines().find_map(|l| l.strip_prefix("VERSION_CODENAME=")).unwrap_or_default();
    let mut sources = Vec::new();
    for file in source_files() {
        let text = fs::read_to_string(&file).unwrap_or_default();
        match file.extension().is_some_and(|e| e == "sources") {
            true => sources.extend(parse_deb822(&text)),
            false => sources.extend(parse_lines(&text)),
        }
    }
    let uri = choose(&sources, codename.trim_matches('"')).context(
        "apt's sources name no Debian archive (looked into /etc/apt/sources.list and /etc/apt/sources.list.d); \
         Orthanc is extracted from Debian's packages",
    )?;
    Ok(resolve_list(&uri))
}

fn source_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let entries = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().filter_map(Result::ok);
    let mut more: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    more.retain(|path| path.extension().is_some_and(|e| e == "list" || e == "sources"));
    more.sort();
    files.extend(more);
    files
}

fn choose(sources: &[Source], codename: &str) -> Option<String> {
    let own = sources.iter().find(|s| !codename.is_empty() && s.suite == codename && is_debian(&s.uri));
    let any = || sources.iter().find(|s| is_debian(&s.uri));
    own.or_else(any).map(|source| source.uri.trim_end_matches('/').to_owned())
}

/// Debian's main archive ends in `/debian` wherever it is mirrored; its security archive does not.
fn is_debian(uri: &str) -> bool {
    uri.trim_end_matches('/').ends_with("/debian") || uri.starts_with("mirror+file:")
}

/// `deb [options] URI suite components…`
fn parse_lines(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("deb ") else { continue };
        let rest = match rest.trim_start().strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, after)| after),
            None => rest,
        };
        let mut words = rest.split_whitespace();
        if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
            sources.push(Source { uri: uri.to_owned(), suite: suite.to_owned() });
        }
    }
    sources
}

/// Paragraphs of `Key: values`, continued on lines that begin with a blank; `#` lines are comments.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
    for paragraph in lines.split(|line| line.trim().is_empty()) {
        let field = |name: &str| -> Vec<String> {
            let mut values = Vec::new();
            let mut inside = false;
            for line in paragraph {
                if !line.starts_with([' ', '\t']) {
                    let (key, value) = line.split_once(':').unwrap_or((line, ""));
                    inside = key.trim().eq_ignore_ascii_case(name);
                    if inside {
                        values.extend(value.split_whitespace().map(str::to_owned));
                    }
                } else if inside {
                    values.extend(line.split_whitespace().map(str::to_owned));
                }
            }
            values
        };
        let enabled = field("Enabled").first().is_none_or(|v| !v.eq_ignore_ascii_case("no"));
        if !enabled || !field("Types").iter().any(|t| t == "deb") {
            continue;
        }
        for uri in field("URIs") {
            sources.extend(field("Suites").into_iter().map(|suite| Source { uri: uri.clone(), suite }));
        }
    }
    sources
}

/// Cloud images name a file that lists mirrors: its first line counts.
fn resolve_list(uri: &str) -> String {
    let Some(file) = uri.strip_prefix("mirror+file:") else { return uri.to_owned() };
    let path = format!("/{}", file.trim_start_matches('/'));
    let text = fs::read_to_string(Path::new(&path)).unwrap_or_default();
    let first = text.lines().filter_map(|l| l.split_whitespace().next()).find(|word| word.starts_with("http"));
    first.unwrap_or(uri).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_name_the_main_archive() {
        let deb822 = "Types: deb\n# a comment\nURIs: http://a.example/debian/\nSuites: bookworm bookworm-updates\n\n\
                      Types: deb\nURIs: http://a.example/debian-security\nSuites: bookworm-security\n";
        let sources = parse_deb822(deb822);
        assert_eq!(sources.len(), 3);
        assert_eq!(choose(&sources, "bookworm").as_deref(), Some("http://a.example/debian"));

        let lines = "# deb http://old.example/debian bookworm main\n\
                     deb https://other.example/tool stable main\n\
                     deb [arch=amd64 signed-by=/k.gpg] https://b.example/debian bookworm main contrib\n";
        assert_eq!(choose(&parse_lines(lines), "bookworm").as_deref(), Some("https://b.example/debian"));
    }

    #[test]
    fn disabled_sources_and_foreign_archives_are_passed_over() {
        let text = "Enabled: no\nTypes: deb\nURIs: http://a.example/debian\nSuites: bookworm\n\n\
                    Types: deb\nURIs:\n http://b.example/debian\nSuites: testing\n";
        assert_eq!(choose(&parse_deb822(text), "bookworm").as_deref(), Some("http://b.example/debian"));
        assert_eq!(choose(&parse_lines("deb https://x.example/node nodistro main"), "bookworm"), None);
    }
}
