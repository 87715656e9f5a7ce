//! The patterns of permission rules: aliases replaced, anchored, compiled. Knows nothing of permissions.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::checked::RuleConfig;

/// The whole pattern that stands for all patterns of single resources.
pub(super) const SINGLE_RESOURCE_PATTERNS: &str = "SINGLE_RESOURCE_PATTERNS";

/// What the C++ authorization plugin 0.11.4 knows as single resources of Orthanc and of the older viewers.
const SINGLE_RESOURCES: [&str; 6] = [
    "^/(patients|studies|series|instances)/([a-f0-9-]+)(|/.*)$",
    "^/(web-viewer/series|web-viewer/is-stable-series|wsi/pyramids|wsi/tiles)/([a-f0-9-]+)(|/.*)$",
    "^/web-viewer/instances/[a-z0-9]+-([a-f0-9-]+)_[0-9]+$",
    "^/osimis-viewer/series/([a-f0-9-]+)(|/.*)$",
    "^/osimis-viewer/(images|custom-command)/([a-f0-9-]+)(|/.*)$",
    "^/osimis-viewer/studies/([a-f0-9-]+)(|/.*)$",
];

/// Its single resources of DICOMweb.
const SINGLE_DICOM_WEB_RESOURCES: [&str; 3] = [
    "^/DICOM_WEB_ROOT/studies/([.0-9]+)(|/series|/metadata|/instances|/rendered|/thumbnail)(|/)$",
    "^/DICOM_WEB_ROOT/studies/([.0-9]+)/series/([.0-9]+)(|/instances|/rendered|/thumbnail|/metadata)(|/)$",
    "^/DICOM_WEB_ROOT/studies/([.0-9]+)/series/([.0-9]+)/instances/([.0-9]+)(|/|/frames/.*|/rendered|/thumbnail|/metadata|/bulk/.*)(|/)$",
];

/// The roots that patterns may name by an alias, with or without slashes around them.
#[derive(Clone, Copy, Debug)]
pub struct Roots<'a> {
    /// `DICOM_WEB_ROOT`
    pub dicom_web: &'a str,
    /// `WADO_ROOT`
    pub wado: &'a str,
    /// `OE2_ROOT`
    pub oe2: &'a str,
}

/// The patterns that a rule stands for, aliases replaced, in their order: several for `SINGLE_RESOURCE_PATTERNS`, else
/// one. They take the rule's place in the table, and are not yet anchored.
#[must_use]
pub fn expand(rule: &RuleConfig, roots: &Roots<'_>) -> Vec<String> {
    let replaced = |pattern: &&str| replace_roots(pattern, roots);
    if rule.pattern == SINGLE_RESOURCE_PATTERNS {
        SINGLE_RESOURCES.iter().chain(&SINGLE_DICOM_WEB_RESOURCES).map(replaced).collect()
    } else {
        vec![replace_roots(&rule.pattern, roots)]
    }
}

/// A pattern that must match the whole path, whatever it says itself.
fn anchored(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

/// How patterns are read: bytes, as the C++ plugin's library reads them; `\d` and `(?i)` mean ASCII.
#[must_use]
pub fn syntax() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

/// Compiles a pattern, aliases already replaced, for whole paths.
///
/// # Errors
/// Why it is no regular expression, in a line.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    // Alone first: `)(` would be a fine pattern once it is wrapped.
    Regex::builder().syntax(syntax()).build(pattern).map_err(|error| one_line(&error))?;
    let config = Regex::config().utf8_empty(false);
    Regex::builder().syntax(syntax()).configure(config).build(&anchored(pattern)).map_err(|error| one_line(&error))
}

fn replace_roots(pattern: &str, roots: &Roots<'_>) -> String {
    [("DICOM_WEB_ROOT", roots.dicom_web), ("WADO_ROOT", roots.wado), ("OE2_ROOT", roots.oe2)]
        .iter()
        .fold(pattern.to_owned(), |text, (alias, root)| text.replace(alias, &escape(root.trim_matches('/'))))
}

/// A root is a path, not a pattern.
fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for character in path.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The parser draws the pattern with a caret below; the reason is in the last line.
fn one_line(error: &regex_automata::meta::BuildError) -> String {
    let text = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Method;

    const ROOTS: Roots<'_> = Roots { dicom_web: "/orthanc/dicom.web/", wado: "/wado", oe2: "/ui/" };

    fn expanded(pattern: &str) -> Vec<String> {
        let rule = RuleConfig {
            path: String::new(),
            method: Method::Get,
            pattern: pattern.to_owned(),
            permissions: Vec::new(),
            touches: None,
        };
        expand(&rule, &ROOTS)
    }

    #[test]
    fn aliases_follow_the_roots() {
        assert_eq!(expanded("^/DICOM_WEB_ROOT/x|/WADO_ROOT|/OE2_ROOT/$"), [r"^/orthanc/dicom\.web/x|/wado|/ui/$"]);
    }

    #[test]
    fn single_resources_are_several_patterns_that_compile() {
        let patterns = expanded(SINGLE_RESOURCE_PATTERNS);
        assert_eq!(patterns.len(), 9);
        let matches = |path: &str| patterns.iter().any(|pattern| compile(pattern).unwrap().is_match(path));
        for path in ["/studies/0195f13e-a", "/series/a/archive", "/orthanc/dicom.web/studies/1.2/series/3/metadata"] {
            assert!(matches(path), "{path}");
        }
        for path in ["/studies", "/orthanc/dicom-web/studies/1.2", "/dicom-web/studies/1.2", "/tools/find"] {
            assert!(!matches(path), "{path}");
        }
    }

    #[test]
    fn a_pattern_matches_whole_paths_only() {
        let regex = compile("/a|/b").unwrap();
        assert!(regex.is_match("/a") && regex.is_match("/b"));
        assert!(!regex.is_match("/ab") && !regex.is_match("/b/c") && !regex.is_match("x/b"));
    }

    #[test]
    fn what_cannot_be_compiled_says_why() {
        assert_eq!(
            compile("^/studies/(?!a)").unwrap_err(),
            "look-around, including look-ahead and look-behind, is not supported"
        );
        assert_eq!(compile(r"(a)\1").unwrap_err(), "backreferences are not supported");
        for pattern in ["(", ")(", "[a", "a{2,1}", "*"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn case_can_be_ignored() {
        assert!(compile("(?i)^/Studies/\\d$").unwrap().is_match("/sTUDIES/1"));
    }
}
