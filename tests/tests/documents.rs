//! What the documents say of tests: every one that they name is there.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use std::path::Path;

#[test]
fn every_test_that_a_document_names_exists() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    for document in ["docs/defects.md", "docs/manual-coverage.md"] {
        let text = read(document);
        let spans = text.split('`').skip(1).step_by(2);
        let named: Vec<_> = spans.filter_map(|span| span.split_once(".rs: ")).collect();
        assert!(named.len() > 20, "{document} names tests as `file.rs: name`");
        for (file, name) in named {
            let at_home = format!("tests/tests/{file}.rs");
            let path = if root.join(&at_home).exists() { at_home } else { format!("{file}.rs") };
            let source = read(&path);
            let (before, _) = source.split_once(&format!("fn {name}(")).unwrap_or_else(|| panic!("{document}: {path} has no {name}"));
            assert!(before.trim_end().ends_with(']') || before.trim_end().ends_with("async"), "{document}: {path}: {name} is no test");
        }
    }
}

/// Each number of a defect has one row, and each row of the manual a test.
#[test]
fn no_row_is_missing_or_empty() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text = std::fs::read_to_string(root.join("docs/defects.md")).unwrap_or_else(|error| panic!("{error}"));
    let rows = |text: &str| text.lines().filter(|line| line.starts_with("| ")).map(str::to_owned).collect::<Vec<_>>();
    let numbers: Vec<u32> = rows(&text).iter().filter_map(|row| row.split('|').nth(1)?.trim().parse().ok()).collect();
    assert_eq!(numbers, (1..=37).collect::<Vec<_>>());
    assert!(text.contains("38 to 45"));
    let text = std::fs::read_to_string(root.join("docs/manual-coverage.md")).unwrap_or_else(|error| panic!("{error}"));
    for row in rows(&text).iter().skip(1) {
        assert!(row.contains(".rs: "), "{row}");
    }
}
