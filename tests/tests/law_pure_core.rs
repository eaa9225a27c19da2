//! Law pure-core, by the sources: the rooms that are marked pure ask no clock, no chance, no environment, no file and no cluster. That they depend on no
//! runtime and no client is asked by `cargo xtask test`, step "law pure-core".

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use std::path::{Path, PathBuf};

/// The rooms that `docs/architecture.md` marks pure.
const ROOMS: &[&str] = &["api", "controller_config", "defaults", "rules", "observed", "health", "plan", "limits"];

/// What reaches out of a pure room, as it stands in a source.
const BANNED: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "env::var",
    "File::open",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "OffsetDateTime::now_utc",
    "rand::",
    "getrandom",
    "tokio",
    "kube::client",
    "Client",
    "Api",
    "reqwest",
    "hyper",
];

/// What a source reaches out with, by line; comments and tests may name what they like.
fn reaches_out(source: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let mut lines = source.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            // A module of tests ends where a brace stands in its column; one in a file of its own ends at once.
            let indent = line.len() - line.trim_start().len();
            let opens = lines.next().is_some_and(|(_, line)| line.trim_end().ends_with('{'));
            if opens {
                lines
                    .by_ref()
                    .find(|(_, line)| line.starts_with('}') && indent == 0 || line.len() > indent && line[indent..].starts_with('}'));
            }
            continue;
        }
        let code = line.split("//").next().unwrap_or_default();
        found.extend(BANNED.iter().filter(|word| holds(code, word)).map(|word| (number + 1, *word)));
    }
    found
}

/// Whether a word stands in a line of code, and not as a part of a longer one.
fn holds(code: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        let after = code[at + word.len()..].chars().next();
        !part(code[..at].chars().next_back()) && (word.ends_with(':') || !part(after))
    })
}

/// Every source of a room, without files of tests.
fn sources(path: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{error}")).path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

#[test]
fn law_pure_core_no_pure_room_reaches_out() {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../src"));
    for room in ROOMS {
        let mut files = vec![source.join(format!("{room}.rs"))];
        sources(&source.join(room), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert_eq!(reaches_out(&text), [], "{}", file.display());
        }
    }
}

/// The rooms are those of the document, and no other.
#[test]
fn the_rooms_are_those_that_the_document_marks() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/architecture.md")).unwrap_or_else(|error| panic!("{error}"));
    let pure = text.lines().filter(|line| line.starts_with("| `src/") && line.trim_end().ends_with("| pure |"));
    let rooms: Vec<_> = pure.map(|line| line["| `src/".len()..].split(['/', '.']).next().unwrap_or_default()).collect();
    assert_eq!(rooms, ROOMS);
}

#[test]
fn what_reaches_out_is_found() {
    for planted in [
        "use std::env;",
        "let text = std::fs::read_to_string(path);",
        "    let now = jiff::Timestamp::now();",
        "use std::time::{Duration, Instant};",
        "let began = std::time::SystemTime::now();",
        "let one: u8 = rand::random();",
        "tokio::spawn(work);",
        "use kube::{Client, ResourceExt as _};",
    ] {
        assert!(!reaches_out(&format!("//! A room.\n\nfn work() {{\n{planted}\n}}\n")).is_empty(), "{planted}");
        assert_eq!(reaches_out(&format!("#[cfg(test)]\nmod tests {{\n    {planted}\n}}\n")), [], "tests may: {planted}");
        let after = format!("#[cfg(test)]\nmod tests {{\n    fn one() {{}}\n}}\n{planted}\n");
        assert!(!reaches_out(&after).is_empty(), "and what follows a module of tests may not: {planted}");
        assert!(!reaches_out(&format!("#[cfg(test)]\nmod tests;\n{planted}\n")).is_empty(), "{planted}");
    }
    for innocent in ["use std::time::Duration;", "// tokio is none of ours", "fn operand(instants: u8) {}", "let brand = strand::of();"] {
        assert_eq!(reaches_out(innocent), [], "{innocent}");
    }
}
