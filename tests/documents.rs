//! The Markdown pages: every relative link leads to a file and a heading that are there, and `docs/security.md` names
//! tests that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_relative_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    collect(root, &mut pages);
    let mut links = 0;
    let mut broken = Vec::new();
    for page in &pages {
        let text = prose(&fs::read_to_string(page).unwrap());
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            links += 1;
            if let Err(why) = follow(page, target) {
                broken.push(format!("{}: {target}: {why}", page.strip_prefix(root).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(pages.len() >= 9 && links >= 20, "{} pages, {links} links: are they read at all?", pages.len());
}

#[test]
fn a_broken_link_is_noticed() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = prose("a [b](docs/nowhere.md), [c](README.md#no-such-heading) and [d](README.md)\n    [e](code.md)\n");
    let outcomes: Vec<bool> = targets(&text).map(|target| follow(&readme, target).is_ok()).collect();
    assert_eq!(outcomes, [false, false, true]);
}

/// Each row of the table names files, and tests that are in one of them.
#[test]
fn the_tests_that_the_security_page_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let (_, rest) = page.split_once("<!-- tests -->").unwrap();
    let (table, _) = rest.split_once("<!-- end of tests -->").unwrap();
    let mut tests = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let (_, held_by) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        let (files, names): (Vec<&str>, Vec<&str>) =
            held_by.split('`').skip(1).step_by(2).partition(|n| n.contains('/'));
        assert!(!files.is_empty() && !names.is_empty(), "{row}");
        let text: String = files.iter().map(|file| fs::read_to_string(root.join(file)).expect(file)).collect();
        for name in names {
            assert!(text.contains(&format!("fn {name}(")), "{name} is not in {files:?}");
            tests += 1;
        }
    }
    assert!(tests >= 20, "{tests}");
}

/// All pages that are ours.
fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            collect(&path, pages);
        } else if name.ends_with(".md") {
            pages.push(path);
        }
    }
}

/// A page without its code: blocks between fences, indented blocks, and code in a line.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut result = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            result.extend(line.split('`').step_by(2));
            result.push('\n');
        }
    }
    result
}

fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

fn follow(page: &Path, target: &str) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let file = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    if !file.exists() {
        return Err("no such file".to_owned());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    if anchors(&text).contains(anchor) { Ok(()) } else { Err("no such heading".to_owned()) }
}

/// As web sites make them of headings: lower case, blanks to hyphens, without punctuation.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let headings = text.lines().filter(move |line| {
        fenced ^= line.starts_with("```");
        !fenced && line.starts_with('#')
    });
    let slug = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}
