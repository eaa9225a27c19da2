//! Breaking the glass: a person who may do so overrides a rule for one target.
//!
//! The user writes an annotation that names rules and targets, such as `replicas-shrink=3`. It does nothing by itself: only where a change is refused by
//! that rule and leads to that target, and whoever makes the change holds the permission, does the webhook accept it and record that on the object. The
//! controller carries out a change that a rule refuses only where it finds that record, made for this object and for a generation that it has not accepted
//! yet; so neither a copied record nor an old one lets anything pass. It is no signature: where the webhook is not asked, whoever may change the service
//! can write one.

use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use super::{Finding, Level, find};
use crate::api::{InterStepBufferService, names};

/// The verb that a person needs on the resource (`kubectl auth can-i override isbsvc`).
pub const VERB: &str = "override";

/// A rule and the target for which it is overridden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Name of the rule.
    pub rule: &'static str,
    /// What the change leads to, such as the number of servers.
    pub target: String,
}

impl Override {
    /// Whether this finding is the one that it overrides.
    pub fn covers(&self, finding: &Finding) -> bool {
        covers(self.rule, &self.target, finding)
    }
}

impl std::fmt::Display for Override {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.rule, self.target)
    }
}

/// The annotation cannot be read; in one line, with what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata.annotations[{annotation}]: {message}", annotation = names::OVERRIDE_ANNOTATION)]
pub struct OverrideError {
    message: String,
}

/// An override that the webhook accepted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    rule: String,
    target: String,
    /// The generation of the object that makes the change.
    generation: i64,
    /// The object, so that a copy of it is another one.
    uid: String,
}

/// What the user's annotation names; nothing where there is none.
///
/// # Errors
/// Where a part is not `rule=target`, or no rule of that name can be overridden.
pub fn named(service: &InterStepBufferService) -> Result<Vec<Override>, OverrideError> {
    let Some(text) = service.annotations().get(names::OVERRIDE_ANNOTATION) else { return Ok(Vec::new()) };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let Some((name, target)) = part.split_once('=').filter(|(_, target)| !target.trim().is_empty()) else {
                return Err(OverrideError { message: format!("{part:?} is not of the form rule=target, such as replicas-shrink=3") });
            };
            match find(name.trim()) {
                None => Err(OverrideError { message: format!("there is no rule {:?}; see docs/rules.md", name.trim()) }),
                Some(rule) if !rule.overridable => Err(OverrideError { message: format!("the rule {} cannot be overridden", rule.name) }),
                Some(rule) => Ok(Override { rule: rule.name, target: target.trim().to_owned() }),
            }
        })
        .collect()
}

/// Those of the named overrides that a refusal asks for. A finding that refuses nothing needs none, so one whose target is reached is inert.
pub fn asked_for(findings: &[Finding], named: &[Override]) -> Vec<Override> {
    let refuses = |one: &&Override| findings.iter().any(|finding| finding.level == Level::Deny && covers(one.rule, &one.target, finding));
    let mut asked: Vec<_> = named.iter().filter(refuses).cloned().collect();
    asked.dedup();
    asked
}

fn covers(rule: &str, target: &str, finding: &Finding) -> bool {
    finding.rule == rule && finding.target.as_deref() == Some(target)
}

/// What the webhook writes into [`names::OVERRIDDEN_ANNOTATION`] when it accepts these overrides of a change of `old`, of which the controller has carried
/// out what `observed_generation` says. What was accepted since then is kept: the controller judges both changes as one.
pub fn record(accepted: &[Override], old: &InterStepBufferService, observed_generation: i64) -> String {
    // The API server counts up by one for each change of the spec, and only such a change is ever refused by these rules.
    let generation = old.metadata.generation.unwrap_or_default() + 1;
    let uid = old.metadata.uid.clone().unwrap_or_default();
    let again = |record: &Record| accepted.iter().any(|one| one.rule == record.rule && one.target == record.target);
    let mut records = written(old);
    records.retain(|record| record.uid == uid && (observed_generation + 1..generation).contains(&record.generation) && !again(record));
    records.extend(accepted.iter().map(|one| Record {
        rule: one.rule.to_owned(),
        target: one.target.clone(),
        generation,
        uid: uid.clone(),
    }));
    // A list of texts and numbers always serialises.
    serde_json::to_string(&records).unwrap_or_default()
}

/// Whether two records of a change of `old` say the same: in any order, and whatever they hold besides that counts for nothing.
pub fn says_the_same(one: &str, other: &str, old: &InterStepBufferService, observed_generation: i64) -> bool {
    let generation = old.metadata.generation.unwrap_or_default() + 1;
    let counting = |text: &str| {
        let mut records: Vec<Record> = serde_json::from_str(text).ok()?;
        records.retain(|record| {
            Some(&record.uid) == old.metadata.uid.as_ref() && (observed_generation + 1..=generation).contains(&record.generation)
        });
        records.sort_unstable();
        Some(records)
    };
    one == other || (counting(one).is_some() && counting(one) == counting(other))
}

/// Splits off the findings whose rule was overridden with this change, for the controller: those that go on refusing, or telling, and those that were
/// lifted.
pub fn lift(findings: Vec<Finding>, service: &InterStepBufferService) -> (Vec<Finding>, Vec<Finding>) {
    let records = records(service);
    findings.into_iter().partition(|finding| {
        let lifted = finding.level == Level::Deny && records.iter().any(|record| covers(&record.rule, &record.target, finding));
        !lifted
    })
}

/// The records that count for the change that is to be judged now.
fn records(service: &InterStepBufferService) -> Vec<Record> {
    let accepted = service.status.as_ref().and_then(|status| status.observed_generation).unwrap_or_default();
    let now = service.metadata.generation.unwrap_or_default();
    let counts = |record: &Record| {
        (accepted + 1..=now).contains(&record.generation) && !record.uid.is_empty() && Some(&record.uid) == service.metadata.uid.as_ref()
    };
    written(service).into_iter().filter(counts).collect()
}

/// The records on the object. What cannot be read counts for nothing.
fn written(service: &InterStepBufferService) -> Vec<Record> {
    let text = service.annotations().get(names::OVERRIDDEN_ANNOTATION);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller_config::ControllerConfig;
    use crate::rules::{Levels, Request, check};

    fn service(replicas: i32, annotations: &Value) -> InterStepBufferService {
        serde_json::from_value(json!({
            "apiVersion": names::API_VERSION, "kind": names::KIND,
            "metadata": { "name": "default", "uid": "u", "generation": 4, "annotations": annotations },
            "spec": { "jetstream": { "version": "2.12.7", "replicas": replicas } },
        }))
        .expect("a service")
    }

    fn shrink(named: &str) -> (InterStepBufferService, InterStepBufferService, Vec<Finding>) {
        let (old, new) = (service(5, &json!({})), service(3, &json!({ names::OVERRIDE_ANNOTATION: named })));
        let findings = check(Request::update(Some(&old), &new), &ControllerConfig::built_in(), &Levels::default());
        (old, new, findings)
    }

    #[test]
    fn only_the_rule_and_the_target_of_the_refusal_count() {
        for (text, asked) in [
            ("replicas-shrink=3", vec!["replicas-shrink=3"]),
            (" replicas-shrink = 3 , version-downgrade=2.10.29,", vec!["replicas-shrink=3"]),
            ("replicas-shrink=3,replicas-shrink=3", vec!["replicas-shrink=3"]),
            ("replicas-shrink=4", vec![]),
            ("version-downgrade=3", vec![]),
            ("", vec![]),
        ] {
            let (_, new, findings) = shrink(text);
            let named = named(&new).expect(text);
            assert_eq!(asked_for(&findings, &named).iter().map(ToString::to_string).collect::<Vec<_>>(), asked, "{text}");
            let covers = named.iter().any(|one| findings.iter().any(|finding| one.covers(finding)));
            assert_eq!(covers, !asked.is_empty(), "{text}");
        }
    }

    #[test]
    fn an_annotation_that_names_no_override_says_what_to_write() {
        for (text, words) in [
            ("replicas-shrink", "rule=target"),
            ("replicas-shrink=", "rule=target"),
            ("no-such=1", "there is no rule \"no-such\""),
            ("encryption-toggle=true", "encryption-toggle cannot be overridden"),
        ] {
            let error = named(&shrink(text).1).expect_err(text).to_string();
            assert!(error.contains(words) && error.contains(names::OVERRIDE_ANNOTATION) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_record_counts_for_its_object_and_for_a_generation_that_was_not_accepted_yet() {
        let (old, mut new, findings) = shrink("replicas-shrink=3");
        let record = record(&asked_for(&findings, &named(&new).expect("named")), &old, 4);
        assert_eq!(record, r#"[{"rule":"replicas-shrink","target":"3","generation":5,"uid":"u"}]"#);
        let refuses = |new: &InterStepBufferService| lift(findings.clone(), new).0.iter().any(|finding| finding.level == Level::Deny);
        assert!(refuses(&new), "the user's own annotation lets nothing pass");
        new.annotations_mut().insert(names::OVERRIDDEN_ANNOTATION.to_owned(), record.clone());
        for (uid, generation, accepted, passes) in [
            ("u", 5, Some(4), true),
            ("u", 5, None, true),
            ("u", 6, Some(4), true),
            ("u", 6, Some(5), false),
            ("u", 4, Some(3), false),
            ("other", 5, Some(4), false),
        ] {
            new.metadata.uid = Some(uid.to_owned());
            new.metadata.generation = Some(generation);
            new.status = Some(crate::api::InterStepBufferServiceStatus { observed_generation: accepted, ..Default::default() });
            assert_eq!(!refuses(&new), passes, "{uid} {generation} {accepted:?}");
        }
        for broken in ["", "{}", "replicas-shrink=3", r#"[{"rule":"replicas-shrink","target":"3"}]"#] {
            new.metadata = service(3, &json!({ names::OVERRIDDEN_ANNOTATION: broken })).metadata;
            new.metadata.generation = Some(5);
            assert!(refuses(&new), "{broken}");
        }
    }
    #[test]
    fn what_was_accepted_and_is_not_carried_out_yet_stays_beside_what_is_accepted_now() {
        let (mut old, new, findings) = shrink("replicas-shrink=3");
        let accepted = asked_for(&findings, &named(&new).expect("named"));
        let entry = |rule: &str, target: &str, generation: i64, uid: &str| json!({ "rule": rule, "target": target, "generation": generation, "uid": uid });
        let before = json!([
            entry("version-downgrade", "2.10.29", 2, "u"),
            entry("version-downgrade", "2.10.30", 4, "u"),
            entry("replicas-shrink", "3", 4, "u"),
            entry("replicas-shrink", "5", 4, "u"),
            entry("version-downgrade", "2.11.0", 4, "of a copy"),
            entry("version-downgrade", "2.11.1", 5, "u"),
        ]);
        old.annotations_mut().insert(names::OVERRIDDEN_ANNOTATION.to_owned(), before.to_string());
        let records = |observed| serde_json::from_str::<Value>(&record(&accepted, &old, observed)).expect("a list");
        let now = entry("replicas-shrink", "3", 5, "u");
        assert_eq!(records(2), json!([entry("version-downgrade", "2.10.30", 4, "u"), entry("replicas-shrink", "5", 4, "u"), now]));
        assert_eq!(records(4), json!([now]), "what is carried out is done with");
        old.annotations_mut().insert(names::OVERRIDDEN_ANNOTATION.to_owned(), "unreadable".to_owned());
        assert_eq!(serde_json::from_str::<Value>(&record(&accepted, &old, 2)).expect("a list"), json!([now]));
    }
    #[test]
    fn records_compare_by_what_counts() {
        let old = service(5, &json!({}));
        let entry = |rule: &str, generation: i64, uid: &str| json!({ "rule": rule, "target": "3", "generation": generation, "uid": uid });
        let text = |entries: &[Value]| json!(entries).to_string();
        // The object is of generation 4, the change of 5; up to 3 is carried out.
        let (one, two) = (entry("a", 5, "u"), entry("b", 4, "u"));
        let written = text(&[one.clone(), two.clone()]);
        for (other, same) in [
            (vec![one.clone(), two.clone()], true),
            (vec![two.clone(), one.clone()], true),
            (vec![one.clone()], false),
            (vec![one.clone(), two.clone(), entry("c", 4, "u")], false),
            (vec![one.clone(), two.clone(), entry("c", 5, "u")], false),
            (vec![one.clone(), two.clone(), entry("c", 3, "u")], true),
            (vec![one.clone(), two.clone(), entry("c", 6, "u")], true),
            (vec![one.clone(), two, entry("c", 5, "of a copy")], true),
            (vec![one, entry("b", 5, "u")], false),
        ] {
            assert_eq!(says_the_same(&written, &text(&other), &old, 3), same, "{other:?}");
        }
        assert!(!says_the_same(&written, "unreadable", &old, 3) && !says_the_same("unreadable", "{}", &old, 3));
        assert!(says_the_same("unreadable", "unreadable", &old, 3), "to the letter");
    }
}
