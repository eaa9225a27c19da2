//! What the documents say of tests: every one that they name is there.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use isbsvc::rules::Policy;
use serde_json::{Value, json};

#[test]
fn every_test_that_a_document_names_exists() {
    for document in ["docs/defects.md", "docs/manual-coverage.md"] {
        let text = read(document);
        let spans = text.split('`').skip(1).step_by(2);
        let named: Vec<_> = spans.filter_map(|span| span.split_once(".rs: ")).collect();
        assert!(named.len() > 20, "{document} names tests as `file.rs: name`");
        for (file, name) in named {
            let at_home = format!("tests/tests/{file}.rs");
            let path = if root().join(&at_home).exists() { at_home } else { format!("{file}.rs") };
            let source = read(&path);
            let (before, _) = source.split_once(&format!("fn {name}(")).unwrap_or_else(|| panic!("{document}: {path} has no {name}"));
            assert!(before.trim_end().ends_with(']') || before.trim_end().ends_with("async"), "{document}: {path}: {name} is no test");
        }
    }
}

/// Each number of a defect has one row, and each row of the manual a test.
#[test]
fn no_row_is_missing_or_empty() {
    let text = read("docs/defects.md");
    let numbers: Vec<u32> = rows(&text).iter().filter_map(|row| row[0].parse().ok()).collect();
    assert_eq!(numbers, (1..=37).collect::<Vec<_>>());
    assert!(text.contains("38 to 44") && text.contains("\n45, "));
    for row in rows(&read("docs/manual-coverage.md")).iter().filter(|row| row[0] != "the manual says") {
        assert!(row[1].contains(".rs: "), "{row:?}");
    }
}

/// A defect that can be seen on a service as it stands has a test of its own name; one that shows only while something changes has some test.
#[test]
fn every_defect_has_a_test() {
    for row in rows(&read("docs/defects.md")) {
        let Ok(number) = row[0].parse::<u32>() else { continue };
        let [_, _, kind, _, shown] = row.as_slice() else { panic!("{row:?} has five cells") };
        assert!(kind.contains("state") || kind == "change", "{number}: {kind}");
        assert!(shown.contains(".rs: "), "{number}: {shown}");
        if kind.contains("state") {
            assert!(shown.contains(&format!(": defect_{number:02}_")), "{number} is a state, and no test of its name is listed: {shown}");
        }
    }
}

/// The sample, and what the document shows, are policies that the webhook takes, where it looks for them.
#[test]
fn every_policy_that_is_shown_can_be_used() {
    let document = read("docs/policy.md");
    let shown = document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown: Vec<_> =
        shown.filter(|text| text.contains("kind: ConfigMap")).map(str::to_owned).chain([read("manifests/samples/policy.yaml")]).collect();
    assert!(shown.len() > 1);
    for text in shown {
        let map: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!((&map["kind"], &map["metadata"]["name"]), (&json!("ConfigMap"), &json!(Policy::CONFIG_MAP)));
        assert_eq!(map["metadata"]["namespace"], "numaflow-system");
        let policy = Policy::parse(map["data"][Policy::KEY].as_str().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(policy.selects_namespaces());
    }
}

/// Whatever the table of the laws names is there: files, and tests wherever they stand. `law_one_verdict_*` means all of that beginning.
#[test]
fn every_test_that_a_law_names_exists() {
    let mut tests = String::new();
    for folder in ["src", "tests/tests", "plugin/tests", "webhook/tests"] {
        sources(&root().join(folder), &mut tests);
    }
    let text = read("docs/architecture.md");
    let (_, laws) = text.split_once("## The twelve laws").unwrap_or_else(|| panic!("no laws"));
    let laws: Vec<_> = rows(laws).into_iter().skip(1).collect();
    assert_eq!(laws.len(), 12);
    for row in laws {
        let (mut files, mut named) = (0, 0);
        for span in row[2].split('`').skip(1).step_by(2).filter(|span| !span.contains(' ')) {
            if is_source(Path::new(span)) || span.ends_with('/') {
                assert!(["", "src/"].iter().any(|folder| root().join(format!("{folder}{span}")).exists()), "{}: {span}", row[0]);
                files += 1;
            } else {
                let name = span.strip_suffix('*').map_or_else(|| format!("{span}("), str::to_owned);
                let found = ["]\nfn ", "]\nasync fn ", "]\n    fn ", "]\n    async fn "]
                    .iter()
                    .any(|start| tests.contains(&format!("{start}{name}")));
                assert!(found, "{}: there is no test {span}", row[0]);
                named += 1;
            }
        }
        assert!(files + named > 0, "{}: names no test", row[0]);
    }
}

/// Whoever runs no webhook reads there what is not asked.
#[test]
fn the_page_of_the_policy_names_each_rule_that_no_admission_policy_asks() {
    use isbsvc::rules::cel::{Place, rows as places};
    let text = read("docs/policy.md");
    let (_, section) = text.split_once("### What the policies cannot ask").unwrap_or_else(|| panic!("no such section"));
    let named: BTreeSet<_> =
        rows(section).iter().flat_map(|row| row[0].split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect();
    let nowhere = places().filter(|(_, place)| matches!(place, Place::Nowhere(_))).map(|(rule, _)| rule.name.to_owned());
    assert_eq!(named, nowhere.collect());
    for (rule, place) in places() {
        if matches!(place, Place::Policy { without: Some(_), .. }) || rule.overridable && !matches!(place, Place::Nowhere(_)) {
            assert!(text.contains(&format!("`{}`", rule.name)), "{}", rule.name);
        }
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// The text of every source in a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap_or_else(|error| panic!("{error}")).path();
        if path.is_dir() {
            sources(&path, into);
        } else if is_source(&path) {
            into.push_str(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }
}

/// Rows of the tables of a document, each as its cells; the lines below the heads are none.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| line.starts_with("| "));
    lines.map(|line| line.trim().trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}
