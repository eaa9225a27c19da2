//! The corpus on a real API server: what our definition says of each case by itself, and what the policies of `manifests/policy` say beside it and beside a
//! definition that keeps unknown fields, as Numaflow's does. Library and webhook are compared in `webhook/tests/corpus.rs`.
//!
//! It all happens with a resource of another group, of which neither controller nor webhook of this cluster know: the same definition and the same policies
//! under other names, bound to three namespaces.

#[path = "../corpus/differences.rs"]
mod differences;
#[path = "../corpus/site.rs"]
mod site;

use std::collections::BTreeSet;

use isbsvc::api::names;
use isbsvc::rules::{self, cel::Place};
use isbsvc_tests::cluster::{Cluster, MINUTE, eventually};
use isbsvc_tests::corpus::{Case, READABLE, Verdict, cases, unreadable_before};
use serde_json::{Value, json};

use self::differences::{DEFINITION, POLICIES, expected_of};
use self::site::{Answer, Definition, Site};

/// What the API server can ask by itself.
fn asked(rule: &str) -> bool {
    rule == READABLE || rules::cel::rows().any(|(one, place)| one.name == rule && !matches!(place, Place::Nowhere(_)))
}

fn in_definition(rule: &str) -> bool {
    rules::cel::rows().any(|(one, place)| one.name == rule && matches!(place, Place::Definition { .. }))
}

/// What is to be said by policies: all that the library finds, but for what it says of things that were wrong before, and for rules that no policy asks. Of
/// what the library cannot read at all, policies can say more than that.
fn by_policies(case: &Case, definition: Definition) -> BTreeSet<&'static str> {
    expected_of(POLICIES, &case.name, definition)
        .unwrap_or_else(|| case.library().broken().into_iter().filter(|rule| asked(rule)).collect())
}

#[test]
fn the_corpus_meets_definition_and_policies_as_it_meets_the_library() {
    let cluster = Cluster::from_environment();
    let site = Site::new(&cluster);
    let cases = cases();
    let mut wrong = Vec::new();

    site.define(Definition::Minimal);
    let unreadable = unreadable_before();
    let (unreadable_cases, refused): (Vec<_>, Vec<_>) = unreadable.into_iter().unzip();
    site.store(&cases);
    site.store(&unreadable_cases);
    site.guard();
    for ((case, [.., denied]), refused) in unreadable_cases.iter().zip(site.ask(&unreadable_cases, &["denied"])).zip(refused) {
        let named = !refused || denied.named.contains(READABLE);
        note(&mut wrong, denied.allowed != refused && named, case, "unreadable before", &denied, &refused);
    }
    for (case, [_, told, denied]) in cases.iter().zip(site.ask(&cases, &["told", "denied"])) {
        compare_policies(case, Definition::Minimal, &told, &denied, &mut wrong);
    }

    site.define(Definition::Ours);
    eventually("the definition is ours", MINUTE, || {
        let said = site.create("alone", &site.object(&json!({ "metadata": { "name": "canary" }, "spec": {} })));
        if said.named.contains("one-type") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    for (case, [alone, told, denied]) in cases.iter().zip(site.ask(&cases, &["alone", "told", "denied"])) {
        compare_definition(case, &alone, &mut wrong);
        if alone.allowed {
            compare_policies(case, Definition::Ours, &told, &denied, &mut wrong);
        } else {
            // What the definition refuses reaches no policy.
            note(&mut wrong, !told.allowed && !denied.allowed, case, "with policies", &(&told, &denied), &"refused by the definition");
        }
    }
    defaults(&site, &mut wrong);
    overrides(&site, &mut wrong);
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn note(wrong: &mut Vec<String>, right: bool, case: &Case, who: &str, said: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug) {
    if !right {
        wrong.push(format!("{} ({who}): {said:?}, expected {expected:?}; of {:?} to {}", case.name, case.old, case.new));
    }
}

/// The definition alone: never stricter than the library, and each of its three rules as the library asks it.
fn compare_definition(case: &Case, alone: &Answer, wrong: &mut Vec<String>) {
    let library = case.library();
    let expected = expected_of(DEFINITION, &case.name, Definition::Ours)
        .unwrap_or_else(|| library.denied().into_iter().filter(|rule| in_definition(rule)).collect());
    // Lengths, ranges and types are of the schema, which names no rule; the library refuses all of it as well.
    let schema = !library.denied().is_empty() || library == Verdict::Unreadable;
    let right = alone.named == expected && (alone.allowed || schema || !expected.is_empty());
    note(wrong, right, case, "definition alone", alone, &expected);
}

/// Where all findings are told as warnings, they are the library's; where those that deny do, they refuse, and the message ends with a rule.
fn compare_policies(case: &Case, definition: Definition, told: &Answer, denied: &Answer, wrong: &mut Vec<String>) {
    let expected = by_policies(case, definition);
    let beside_readable = expected == BTreeSet::from([READABLE]) && told.named.contains(READABLE);
    note(wrong, told.allowed && (told.named == expected || beside_readable), case, &format!("{definition:?}, told"), told, &expected);
    let refusals: BTreeSet<_> = expected.iter().copied().filter(|rule| refuses(rule)).collect();
    let last = denied.said.lines().last().unwrap_or_default().trim_end();
    let right =
        denied.allowed == refusals.is_empty() && (denied.allowed || refusals.iter().any(|rule| last.ends_with(&format!(" ({rule})"))));
    note(wrong, right, case, &format!("{definition:?}, denied"), denied, &refusals);
}

fn refuses(rule: &str) -> bool {
    rule == READABLE || rules::find(rule).is_some_and(|rule| rule.level == rules::Level::Deny)
}

/// What the mutating policy fills in is what the webhook does, and the second time nothing is left to fill in.
fn defaults(site: &Site<'_>, wrong: &mut Vec<String>) {
    for spec in [
        json!({ "jetstream": { "version": "2.12.7" } }),
        json!({ "jetstream": { "version": "2.12.7", "replicas": null, "persistence": {} } }),
        json!({ "jetstream": { "version": "2.12.7", "persistence": { "volumeSize": "10Gi" } } }),
        json!({ "redis": { "native": { "version": "7.0.15", "persistence": { "accessMode": null } } } }),
        json!({ "redis": { "external": { "url": "redis:6379" } } }),
    ] {
        let mut object = site.object(&json!({ "metadata": { "name": "defaults" }, "spec": spec }));
        for _ in 0..2 {
            let got = site.filled(&object).unwrap_or_else(|error| panic!("{error}"));
            isbsvc::defaults::fill(&mut object);
            let mut expected = object["spec"].clone();
            without_nulls(&mut expected);
            if got["spec"] != expected {
                wrong.push(format!("defaults of {spec}: {}, expected {expected}", got["spec"]));
            }
        }
    }
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}

/// An override counts for the rule and the target that it names, and for whoever may override.
fn overrides(site: &Site<'_>, wrong: &mut Vec<String>) {
    let object = |servers: i32, annotation: &str| {
        let spec = json!({ "jetstream": { "version": "2.12.7", "replicas": servers } });
        let annotations = json!({ "numaflow.numaproj.io/override": annotation });
        site.object(&json!({ "metadata": { "name": "override", "annotations": annotations }, "spec": spec }))
    };
    let stored = site.keep("denied", &object(5, ""));
    let generation = stored["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
    let record = json!([{ "rule": "replicas-shrink", "target": "3", "generation": generation, "uid": stored["metadata"]["uid"] }]);
    for (annotation, account, allowed) in [
        ("", "may", false),
        ("replicas-shrink=3", "may", true),
        ("version-downgrade=2.10.29, replicas-shrink=3", "may", true),
        ("replicas-shrink=4", "may", false),
        ("replicas-shrink", "may", false),
        ("replicas-cluster-switch=3", "may", false),
        ("replicas-shrink=3", "may-not", false),
    ] {
        let (said, object) = site.replace_as("denied", account, &object(3, annotation));
        // What is accepted is recorded as the webhook records it.
        let written = object["metadata"]["annotations"][names::OVERRIDDEN_ANNOTATION].as_str();
        let recorded = written.map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")));
        if recorded != if allowed { record.clone() } else { Value::Null } {
            wrong.push(format!("override {annotation:?} by {account}: recorded {recorded}"));
        }
        if said.allowed != allowed || (!allowed && !said.named.contains("replicas-shrink")) {
            wrong.push(format!("override {annotation:?} by {account}: {said:?}, expected {allowed}"));
        }
    }
}
