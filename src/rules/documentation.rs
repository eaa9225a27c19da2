//! The page of the rules, `docs/rules.md`.

use std::fmt::Write as _;

use super::{ALL, About, Example, Level, Levels, Profile, Request, Rule, cel, check};
use crate::api::decode;
use crate::controller_config::ControllerConfig;
use crate::defaults;

/// The page as Markdown: a table of all rules, and a section for each with its advice and its examples, and what the rule says of them.
///
/// # Errors
/// Where an example is no service.
pub fn documentation() -> Result<String, String> {
    let mut page = String::from(INTRODUCTION);
    for rule in ALL {
        let _ = writeln!(page, "| [`{0}`](#{0}) | {1} | {2} | {3} |", rule.name, about(rule), word(Some(rule.level)), rule.summary);
    }
    page.push_str("\n## Profiles\n\nWhat a profile sets; all other rules keep their own level.\n\n| rule | own level |");
    for (_, name) in Profile::ALL {
        let _ = write!(page, " `{name}` |");
    }
    page.push_str("\n|---|---|---|---|\n");
    let differs = |rule: &&&Rule| Profile::ALL.iter().any(|(profile, _)| profile.levels().of(rule) != Some(rule.level));
    for rule in ALL.iter().filter(differs) {
        let _ = write!(page, "| `{}` | {} |", rule.name, word(Some(rule.level)));
        for (profile, _) in Profile::ALL {
            let _ = write!(page, " {} |", word(profile.levels().of(rule)));
        }
        page.push('\n');
    }
    for rule in ALL {
        let _ = write!(page, "\n## {}\n\n{}\n\n{}\n\n{}\n", rule.name, rule.summary, rule.advice, cel::shown(rule));
        if rule.overridable {
            page.push_str("\nWho holds the permission may [override](policy.md#breaking-the-glass) it.\n");
        }
        for example in rule.examples {
            page.push_str(&shown(rule, example)?);
        }
    }
    Ok(page)
}

const INTRODUCTION: &str = "# Rules

<!-- Made from src/rules/ by `cargo xtask generate`; do not edit. -->

What the webhook, the controller and the plugin ask of every inter-step buffer service. Each rule has a name, which stands at the end of each message.

- **deny** refuses the request: the change would lose data, or could not run. No policy lowers it.
- **warn** tells the person who applies it, and admits it.
- **audit** only writes it to the API server's audit log.

A policy can raise warn and audit, or lower them ([policy.md](policy.md)). What was wrong before and is not touched now counts one level less: it never refuses
an update.

| rule | about | level | what it asks |
|---|---|---|---|
";

fn about(rule: &Rule) -> &'static str {
    match rule.about {
        About::Object => "the service",
        About::Change => "a change",
        About::Deletion => "a deletion",
    }
}

fn word(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Deny) => "deny",
        Some(Level::Warn) => "warn",
        Some(Level::Audit) => "audit",
        None => "off",
    }
}

fn shown(rule: &Rule, example: &Example) -> Result<String, String> {
    let verdict = match (example.faulty, rule.level) {
        (false, _) => "Taken",
        (true, Level::Deny) => "Refused",
        (true, Level::Warn) => "Warned of",
        (true, Level::Audit) => "Noted in the audit log",
    };
    let mut text = format!("\n{verdict}:\n");
    match (example.old, example.new) {
        (Some(old), Some(new)) => {
            let _ = write!(text, "\n```yaml\n# before\n{old}# after\n{new}```\n");
        }
        (None, Some(new)) => {
            let _ = write!(text, "\n```yaml\n{new}```\n");
        }
        (_, None) if example.pipelines.is_empty() => text.push_str("\na deletion while no Pipeline uses the service\n"),
        (_, None) => {
            let _ = write!(text, "\na deletion while the Pipelines {} use the service\n", example.pipelines.join(" and "));
        }
    }
    for finding in found(example)?.iter().filter(|finding| finding.rule == rule.name) {
        let _ = write!(text, "\n> {finding}\n");
    }
    Ok(text)
}

/// What the rules say of an example, each at its own level.
fn found(example: &Example) -> Result<Vec<super::Finding>, String> {
    let read = |object: Option<serde_json::Value>| {
        object
            .map(|mut object| {
                defaults::fill(&mut object);
                decode(&object).map_err(|error| error.to_string())
            })
            .transpose()
    };
    let (old, new) = (read(example.old_object()?)?, read(example.new_object()?)?);
    let surroundings = example.surroundings();
    let request = match (&old, &new) {
        (old, Some(new)) => Request::update(old.as_ref(), new),
        (Some(old), None) => Request::delete(old, &surroundings),
        (None, None) => return Err("an example without a service".to_owned()),
    };
    Ok(check(request, &ControllerConfig::built_in(), &Levels::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An example shows its own rule and no other refusal, so that nobody copies one mistake to avoid another.
    #[test]
    fn every_rule_is_shown_by_examples_that_are_true() {
        for rule in ALL {
            assert!(
                rule.examples.iter().any(|example| example.faulty) && rule.examples.iter().any(|example| !example.faulty),
                "{}",
                rule.name
            );
            for example in rule.examples {
                let findings = found(example).unwrap_or_else(|error| panic!("{}: {error}", rule.name));
                let own: Vec<_> = findings.iter().filter(|finding| finding.rule == rule.name).collect();
                assert_eq!(!own.is_empty(), example.faulty, "{}: {example:?} {findings:?}", rule.name);
                assert!(own.iter().all(|finding| finding.level == rule.level), "{own:?}");
                let others = findings.iter().filter(|finding| finding.rule != rule.name && finding.level == Level::Deny);
                assert_eq!(others.collect::<Vec<_>>(), Vec::<&super::super::Finding>::new(), "{}", rule.name);
                assert!(own.iter().all(|finding| finding.target.is_some() == rule.overridable), "{own:?}");
                let shown = own.iter().filter(|finding| finding.level == Level::Warn);
                assert!(shown.map(ToString::to_string).all(|text| text.chars().count() <= crate::limits::WARNING), "{own:?}");
            }
        }
    }

    #[test]
    fn a_message_says_what_to_do() {
        for rule in ALL {
            assert!(rule.summary.ends_with('.') && rule.advice.ends_with('.') && rule.advice.len() > 60, "{}", rule.name);
            assert!(rule.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", rule.name);
        }
    }
}
