use super::*;
use crate::rules::version::{VERSION_FLOATING, VERSION_KNOWN};

fn labels(text: &str) -> BTreeMap<String, String> {
    text.split(',').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn level(policy: &str, rule: &str, namespace: Option<&str>) -> Option<Level> {
    let policy = Policy::parse(policy).expect(policy);
    policy.levels(namespace.map(labels).as_ref()).of(find(rule).expect(rule))
}

#[test]
fn a_warning_can_be_raised_or_put_off() {
    let level = |word: &str| level(&format!("rules:\n  version-floating: {word}\n"), "version-floating", Some(""));
    assert_eq!(level("enforce"), Some(Level::Deny));
    assert_eq!(level("warn"), Some(Level::Warn));
    assert_eq!(level("audit"), Some(Level::Audit));
    assert_eq!(level("off"), None);
    assert_eq!(Policy::default().levels(None).of(&VERSION_KNOWN), Some(Level::Deny));
    assert_eq!(Policy::default().levels(None).of(&VERSION_FLOATING), Some(Level::Warn));
}

#[test]
fn what_cannot_be_used_is_one_line_with_its_place() {
    for (text, words) in [
        ("rules:\n  encryption-toggle: off\n", "rules.encryption-toggle: it guards data"),
        ("rules:\n  in-use: warn\n", "rules.in-use: it guards data"),
        ("rules:\n  no-such: warn\n", "rules.no-such: there is no such rule"),
        ("rule: 1\n", "rule"),
        ("profile: live\n", "live"),
        ("namespaces: [{ selector: {}, rules: { version-known: audit } }]\n", "namespaces[0].rules.version-known: it guards data"),
        ("namespaces: [{ profile: production }]\n", "selector"),
        ("namespaces: [{ selector: { matchLabel: { a: b } } }]\n", "matchLabel"),
        (
            "namespaces: [{ selector: { matchExpressions: [{ key: a, operator: Is, values: [b] }] } }]\n",
            "namespaces[0].selector.matchExpressions[0].operator: give one of",
        ),
        ("namespaces: [{ selector: , profile: production }]\n", "line 1"),
        ("namespaces: [{ selector: { matchLabels: } }]\n", "line 1"),
        ("namespaces: [{ selector: { matchLabels: { 'a b': c } } }]\n", "namespaces[0].selector.matchLabels.a b: a b is no key"),
        ("namespaces: [{ selector: { matchLabels: { a: 'b c' } } }]\n", "b c is no value"),
        ("namespaces: [{ selector: { matchLabels: { example.com/: c } } }]\n", "example.com/ is no key"),
        ("namespaces: [{ selector: { matchLabels: { /a: c } } }]\n", "/a is no key"),
        ("namespaces: [{ selector: { matchLabels: { example..com/a: c } } }]\n", "example..com/a is no key"),
        ("namespaces: [{ selector: { matchLabels: { Example.com/a: c } } }]\n", "Example.com/a is no key"),
        ("namespaces: [{ selector: { matchLabels: { exam_ple.com/a: c } } }]\n", "exam_ple.com/a is no key"),
        ("namespaces: [{ selector: { matchLabels: { -example.com/a: c } } }]\n", "-example.com/a is no key"),
        ("namespaces: [{ selector: { matchExpressions: [{ key: a, operator: In, values: [] }] } }]\n", "In needs values"),
        ("namespaces: [{ selector: { matchExpressions: [{ key: a, operator: Exists, values: [b] }] } }]\n", "Exists takes no values"),
        ("rules: { \"no\\nrule\": warn }\n", "rules.no\\nrule: there is no such rule"),
        ("rules:\n  no-spread: warn\n  no-spread: off\n", "line 3 column 3: duplicate mapping key: no-spread"),
        ("profile: production\n---\nprofile: development\n", "line 3 column 1: multiple YAML documents"),
        ("rules:\n  no-spread: strict\n", "line 2 column 14: unknown variant `strict`, expected one of off"),
        ("rules: [", "line 1"),
    ] {
        let error = Policy::parse(text).expect_err(text).to_string();
        assert!(error.contains(words) && !error.contains('\n') && !error.is_empty(), "{error}");
    }
    let many = format!("namespaces: [{}]", "{ selector: {} },".repeat(limits::POLICY_NAMESPACES + 1));
    assert!(Policy::parse(&many).unwrap_err().to_string().starts_with("namespaces: more than"));
    for empty in ["", "\n", "# nothing\n", "{}", "---\n", "rules:\n  # no-spread: warn\n", "profile:\nrules:\nnamespaces:\n"] {
        assert_eq!(Policy::parse(empty).expect(empty), Policy::default());
    }
}

#[test]
fn a_label_is_as_long_as_kubernetes_lets_it_be() {
    // 253 letters: four labels of a domain, with their dots.
    let prefix = |last: usize| format!("{0}.{0}.{0}.{1}", "a".repeat(63), "a".repeat(last));
    for (key, value, taken) in [
        (format!("{}/a", prefix(61)), String::new(), true),
        (format!("{}/a", prefix(62)), String::new(), false),
        ("a".repeat(63), "a".repeat(63), true),
        ("a".repeat(64), String::new(), false),
        ("a".to_owned(), "a".repeat(64), false),
        ("a-1.example.com/A_b.c".to_owned(), "A_b.c".to_owned(), true),
    ] {
        let policy = Policy::parse(&format!("namespaces: [{{ selector: {{ matchLabels: {{ {key}: {value:?} }} }} }}]\n"));
        assert_eq!(policy.is_ok(), taken, "{key}: {value}");
        assert!(!taken || policy.is_ok_and(|policy| policy.selects_namespaces()), "{key}: {value}");
    }
    assert!(!Policy::parse("profile: production").unwrap().selects_namespaces());
}

/// Whatever a policy that nobody can read says, no rule is milder while another one stands in.
#[test]
fn what_stands_in_for_a_policy_that_cannot_be_used_is_as_strict_as_any() {
    let policy = Policy::strictest("line 1");
    assert_eq!(policy.stands_in(), Some("line 1"));
    for rule in ALL {
        for labels in [None, Some(labels("stage=test"))] {
            assert_eq!(policy.levels(labels.as_ref()).of(rule), Some(Level::Deny), "{}", rule.name);
        }
    }
    assert_eq!(Policy::parse("profile: production").unwrap().stands_in(), None);
}

/// As `sha256sum` has it, so that a person can compare.
#[test]
fn a_fingerprint_is_the_begin_of_the_digest() {
    assert_eq!(Policy::fingerprint(""), 0xe3b0_c442);
    assert_ne!(Policy::fingerprint("profile: production\n"), Policy::fingerprint("profile: development\n"));
}

#[test]
fn a_profile_sets_good_practice_and_a_rule_by_name_wins_over_it() {
    const TEXT: &str = "profile: production\nrules:\n  replicas-even: warn\n";
    assert_eq!(level(TEXT, "no-persistence", Some("")), Some(Level::Deny));
    assert_eq!(level(TEXT, "replicas-even", Some("")), Some(Level::Warn));
    assert_eq!(level(TEXT, "tls-clients", Some("")), Some(Level::Warn), "no matter of profiles");
    assert_eq!(level("profile: development\n", "no-persistence", Some("")), Some(Level::Audit));
    for name in PRACTICE {
        let rule = find(name).expect(name);
        assert!(rule.level < Level::Deny && Profile::Production.levels().of(rule) == Some(Level::Deny), "{name}");
    }
}

#[test]
fn the_strictest_section_that_matches_holds_instead_of_what_is_said_for_everywhere() {
    const TEXT: &str = "
rules: { version-floating: enforce }
namespaces:
  - selector: { matchLabels: { stage: test } }
    rules: { version-floating: off, replicas-even: audit }
  - selector: { matchExpressions: [{ key: team, operator: In, values: [a, b] }] }
    rules: { version-floating: warn, replicas-even: enforce }
";
    for (namespace, floating, even) in [
        ("", Some(Level::Deny), Some(Level::Warn)),
        ("stage=test", None, Some(Level::Audit)),
        ("team=b", Some(Level::Warn), Some(Level::Deny)),
        ("stage=test,team=a", Some(Level::Warn), Some(Level::Deny)),
        ("stage=test,team=c", None, Some(Level::Audit)),
    ] {
        assert_eq!(level(TEXT, "version-floating", Some(namespace)), floating, "{namespace}");
        assert_eq!(level(TEXT, "replicas-even", Some(namespace)), even, "{namespace}");
    }
}

#[test]
fn of_a_namespace_whose_labels_are_not_known_the_strictest_of_all_holds() {
    const MILD: &str = "namespaces:\n  - selector: { matchLabels: { a: b } }\n    rules: { version-floating: off }\n";
    const TEXT: &str = "namespaces:\n  - selector: { matchLabels: { a: b } }\n    rules: { version-floating: off }\n  - selector: { matchLabels: { c: d } }\n    profile: production\n";
    assert_eq!(level(TEXT, "no-persistence", None), Some(Level::Deny));
    assert_eq!(level(TEXT, "version-floating", None), Some(Level::Deny));
    assert_eq!(level(MILD, "version-floating", None), Some(Level::Warn), "it may be another namespace, where the rule has its own level");
}
