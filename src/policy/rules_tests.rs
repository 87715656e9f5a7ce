use super::*;

fn rule(method: Method, pattern: &str, permissions: &[&str]) -> Rule {
    Rule {
        path: pattern.into(),
        method,
        pattern: pattern.to_owned(),
        permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        touches: None,
    }
}

#[test]
fn the_first_match_counts_even_when_a_later_one_is_longer() {
    let rules = Rules::new(vec![
        rule(Method::Get, "^/a$", &["one"]),
        rule(Method::Get, "^/a(.*)$", &["two"]),
        rule(Method::Get, "^/a/b$", &["three"]),
        rule(Method::Post, "^/a/b$", &["four"]),
    ])
    .unwrap();
    let first = |method, path| rules.first_match(method, path).map(|rule| rule.permissions[0].clone());
    assert_eq!(first(Method::Get, "/a").as_deref(), Some("one"));
    assert_eq!(first(Method::Get, "/a/b").as_deref(), Some("two"));
    assert_eq!(first(Method::Post, "/a/b").as_deref(), Some("four"));
    assert_eq!(first(Method::Put, "/a/b"), None);
    assert_eq!(first(Method::Get, "/"), None);
}

#[test]
fn the_whole_path_must_match_also_without_anchors() {
    let rules = Rules::new(vec![rule(Method::Get, "/studies(|/)", &["view"])]).unwrap();
    assert!(rules.first_match(Method::Get, "/studies").is_some());
    assert!(rules.first_match(Method::Get, "/studies/").is_some());
    assert!(rules.first_match(Method::Get, "/studies/1").is_none());
    assert!(rules.first_match(Method::Get, "/x/studies").is_none());
    assert!(rules.first_match(Method::Get, "/studies\n").is_none());
}

#[test]
fn an_alternative_at_the_top_is_anchored_whole() {
    let rules = Rules::new(vec![rule(Method::Get, "/a|/b", &["view"])]).unwrap();
    assert!(rules.first_match(Method::Get, "/a").is_some());
    assert!(rules.first_match(Method::Get, "/b").is_some());
    assert!(rules.first_match(Method::Get, "/a/c").is_none());
    assert!(rules.first_match(Method::Get, "/c/b").is_none());
}

#[test]
fn look_around_and_broken_patterns_are_refused_by_place() {
    for pattern in ["^/a)|(?:/b", "^/(?!secret)", "^/(", "^/a\\1$", "a{100000}{100000}"] {
        let error = Rules::new(vec![rule(Method::Get, pattern, &[])]).unwrap_err();
        assert!(error.to_string().starts_with(pattern), "{error}");
    }
}

#[test]
fn a_group_is_read_from_the_rule_that_matched() {
    let mut site = rule(Method::Get, "^/my-plugin/([^/]+)/view$", &["view"]);
    site.touches = Some(RuleTouches::Resource { level: crate::resource::Level::Study, group: 1 });
    let rules = Rules::new(vec![rule(Method::Get, "^/other$", &[]), site.clone()]).unwrap();
    let path = "/my-plugin/abc/view";
    let found = rules.first_match(Method::Get, path).unwrap();
    assert_eq!(rules.group(found, path, 1), Some("abc"));
    assert_eq!(rules.group(found, path, 2), None);
    assert_eq!(rules.group(found, "/my-plugin/abc", 1), None);
    assert_eq!(rules.group(&site, path, 1), None, "a rule of another table");
    let other = rules.first_match(Method::Get, "/other").unwrap();
    assert_eq!(rules.group(other, "/other", 0), None, "a rule that names no resource");
}
