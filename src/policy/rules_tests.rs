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
fn a_slash_at_the_end_leads_past_no_rule() {
    let rules = Rules::new(vec![
        rule(Method::Get, "^/studies/[^/]+/archive$", &["download"]),
        rule(Method::Get, "^/studies/(.*)$", &["view"]),
        rule(Method::Get, "^/ui/$", &["page"]),
        rule(Method::Get, "^/about$", &["about"]),
        rule(Method::Get, "^/$", &["root"]),
    ])
    .unwrap();
    let first = |path| rules.first_match(Method::Get, path).map(|rule| rule.permissions[0].as_str());
    for (path, expected) in [
        ("/studies/1/archive", Some("download")),
        ("/studies/1/archive/", Some("download")),
        ("/studies/1/archive//", Some("download")),
        ("/studies/1/", Some("view")),
        ("/studies/", Some("view")),
        ("/studies", None),
        // One that is written without it matches no slash by itself.
        ("/about/", None),
        ("/ui/", Some("page")),
        ("/ui", None),
        ("/", Some("root")),
        ("", None),
    ] {
        assert_eq!(first(path), expected, "{path}");
    }
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

/// A pattern from a small grammar, and now and then one that people write.
fn any_pattern(random: &mut crate::testing::Random, depth: usize) -> String {
    if depth == 0 || random.chance(30) {
        return (random.pick(&["/a", "/b", "/c", "a", "(.*)", "[ab]", "/", "[^/]+", "\\.", "b?", ".", ""])).to_owned();
    }
    let (one, two) = (any_pattern(random, depth - 1), any_pattern(random, depth - 1));
    match random.below(6) {
        0 => format!("({one}|{two})"),
        1 => format!("(?:{one})*"),
        2 => format!("{one}|{two}"),
        3 => format!("^{one}{two}$"),
        _ => format!("{one}{two}"),
    }
}

#[test]
fn the_first_of_many_is_the_first_in_a_loop_over_each() {
    let mut random = crate::testing::Random(5);
    let mut matched = 0_u64;
    // Compiling is slow: many paths for each table.
    for _ in 0..crate::testing::worlds(200_000) / 1_000 {
        let table: Vec<(Method, String)> = (0..1 + random.below(12))
            .map(|_| (random.pick(&[Method::Get, Method::Post]), any_pattern(&mut random, 3)))
            .collect();
        let singles: Vec<regex_automata::meta::Regex> =
            table.iter().map(|(_, pattern)| crate::config::compile(pattern).unwrap()).collect();
        let rules = Rules::new(
            table
                .iter()
                .enumerate()
                .map(|(at, (method, pattern))| Rule { path: at.to_string().into(), ..rule(*method, pattern, &[]) })
                .collect(),
        )
        .unwrap();
        for _ in 0..100 {
            let path: String =
                (0..random.below(7)).map(|_| random.pick(&["/", "a", "b", "/a", "/c", ".", "\n", "é"])).collect();
            for method in [Method::Get, Method::Post, Method::Put] {
                let first = |path: &str| {
                    table.iter().zip(&singles).position(|((of, _), single)| *of == method && single.is_match(path))
                };
                let folded = path.trim_end_matches('/');
                let earlier = if folded.is_empty() { None } else { first(folded) };
                let expected = first(&path).map(|found| earlier.map_or(found, |earlier| earlier.min(found)));
                let found = rules.first_match(method, &path).map(|rule| rule.path.parse::<usize>().unwrap());
                assert_eq!(found, expected, "{method:?} {path:?} in {table:?}");
                matched += u64::from(found.is_some());
            }
        }
    }
    assert!(matched > 1_000, "{matched}");
}

#[test]
fn patterns_are_read_as_the_configuration_reads_them() {
    let table = [
        rule(Method::Get, "(?i)^/Studies/\\d$", &[]),
        rule(Method::Get, "^/x/\\w+$", &[]),
        rule(Method::Get, "^/y/.*$", &[]),
    ];
    let rules = Rules::new(table.to_vec()).unwrap();
    for path in ["/studies/7", "/STUDIES/7", "/studies/٣", "/x/a_1", "/x/é", "/y/é\u{85}", "/y/\n", "/y/"] {
        let expected = table.iter().find(|rule| crate::config::compile(&rule.pattern).unwrap().is_match(path));
        assert_eq!(rules.first_match(Method::Get, path), expected, "{path:?}");
    }
    assert!(rules.first_match(Method::Get, "/studies/٣").is_none(), "digits are those of ASCII");
}
