//! Breaking the glass: a change that is refused by rules that its maker overrides is accepted where the API server says that he or she may.

use isbsvc::api::InterStepBufferService;
use isbsvc::api::names;
use isbsvc::rules::overrides::{self, Override, VERB};
use isbsvc::rules::{Finding, Level, denials};

use super::Question;
use super::answer::{Answer, Refusal};
use super::review::Asker;

/// Name under which what is wrong with the two annotations is told.
const OVERRIDE: &str = "override";

/// Whether somebody may override a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    Granted,
    /// No.
    Refused,
    /// There was no answer, which is no permission; why.
    Unknown(String),
}

impl Permission {
    /// Without a way to the API server.
    pub fn not_asked() -> Self {
        Self::Unknown("the webhook runs without --cluster".to_owned())
    }
}

/// Who would override a rule, and of what.
#[derive(Clone, Debug)]
pub struct Access {
    /// Who asks.
    pub asker: Asker,
    /// Namespace of the service.
    pub namespace: String,
    /// Name of the service.
    pub name: String,
}

/// A change with what the rules say of it, and what its annotations say.
pub(super) struct Judged {
    pub new: InterStepBufferService,
    pub old: Option<InterStepBufferService>,
    pub findings: Vec<Finding>,
    /// Whether there is an object before, readable or not.
    pub is_update: bool,
    /// The record of accepted overrides, before and after.
    pub was: Option<String>,
    pub record: Option<String>,
    /// The generation that the controller has carried out.
    pub observed_generation: i64,
}

impl Judged {
    /// What its maker names that the refusals ask for, if that is all of them, and its record. What is refused for another reason as well needs no question.
    pub(super) fn overridden(&self) -> Option<(Vec<Override>, String)> {
        let old = self.old.as_ref()?;
        // A name that cannot be read overrides nothing, also beside others that can.
        let asked = overrides::asked_for(&self.findings, &overrides::named(&self.new).unwrap_or_default());
        let covered = |finding: &Finding| asked.iter().any(|one| one.covers(finding));
        let all = !asked.is_empty() && denials(&self.findings).all(covered);
        all.then(|| {
            let record = overrides::record(&asked, old, self.observed_generation);
            (asked, record)
        })
    }

    /// Whether the object holds what this record says; an admission policy of ours may have written it in another order.
    fn is_recorded(&self, record: &str) -> bool {
        let (Some(old), Some(own)) = (&self.old, &self.record) else { return false };
        overrides::says_the_same(own, record, old, self.observed_generation)
    }

    /// Notes what is wrong with the annotations: what nobody can read, and a record that is not ours. One that is taken away overrides nothing any more.
    pub(super) fn check_annotations(&mut self) {
        let named = |service: &InterStepBufferService| service.metadata.annotations.as_ref()?.get(names::OVERRIDE_ANNOTATION).cloned();
        if let Err(error) = overrides::named(&self.new) {
            let touched = self.old.as_ref().is_none_or(|old| named(old) != named(&self.new));
            if touched || denials(&self.findings).next().is_some() {
                let error = error.to_string();
                let (field, message) = error.split_once(": ").unwrap_or(("metadata.annotations", &error));
                self.findings.push(finding(Level::Warn, field, message));
            }
        }
        // A new object has another uid than any record, so that a copy may be made with what it holds.
        let changed = self.is_update && self.record.is_some() && self.record != self.was;
        if changed && !self.overridden().is_some_and(|(_, record)| self.is_recorded(&record)) {
            let field = format!("metadata.annotations[{}]", names::OVERRIDDEN_ANNOTATION);
            let message =
                "only the webhook writes it, when it accepts an override of this change; take the annotation out, or leave it as it is";
            self.findings.push(finding(Level::Deny, &field, message));
        }
    }
}

fn finding(level: Level, field: &str, message: &str) -> Finding {
    Finding { rule: OVERRIDE, level, field: field.to_owned(), message: message.to_owned(), target: None }
}

/// A decision that waits for the API server's word on who asks.
#[derive(Debug)]
pub struct Pending {
    question: Question,
    access: Access,
    accepted: Vec<Override>,
    record: String,
    /// Whether the object holds the record.
    recorded: bool,
    findings: Vec<Finding>,
    name: String,
    /// The answer but for the override.
    otherwise: Answer,
}

impl Pending {
    /// These overrides of a change wait, and with them the answer but for them.
    pub(super) fn new(
        question: Question,
        judged: Judged,
        (accepted, record): (Vec<Override>, String),
        access: Access,
        otherwise: Answer,
    ) -> Self {
        let recorded = judged.is_recorded(&record);
        let name = judged.new.name().to_owned();
        Self { question, access, accepted, record, recorded, findings: judged.findings, name, otherwise }
    }

    /// What is to be asked.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The answer. Without permission nothing is recorded, and nothing is lifted.
    pub fn answer(self, permission: &Permission) -> Answer {
        match self.question {
            Question::Mutate if *permission == Permission::Granted && !self.recorded => self.otherwise.with(&pointer(), &self.record),
            Question::Mutate => self.otherwise,
            Question::Validate => self.validated(permission),
        }
    }

    fn validated(self, permission: &Permission) -> Answer {
        let all = self.accepted.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let why = match permission {
            Permission::Granted if self.recorded => {
                let lifted = |finding: &Finding| self.accepted.iter().any(|one| one.covers(finding));
                let rest: Vec<_> = self.findings.into_iter().filter(|finding| !lifted(finding)).collect();
                return Answer::judged(&self.name, &rest, Refusal::Invalid).overridden(&all);
            }
            Permission::Granted => "the webhook's own mutating step did not record it; apply the change again".to_owned(),
            Permission::Refused => {
                let Access { namespace, name, .. } = &self.access;
                let (group, plural) = (names::GROUP, names::PLURAL);
                format!(
                    "you need the verb {VERB} on {plural}.{group} {name} in the namespace {namespace}, as the ClusterRole isbsvc-override has it"
                )
            }
            Permission::Unknown(why) => format!("whether you may do so could not be found out: {why}"),
        };
        let refusal = if *permission == Permission::Refused { Refusal::Forbidden } else { Refusal::Invalid };
        let mut findings = self.findings;
        // Before the reasons, which may be long and then are cut at their end.
        for finding in findings.iter_mut().filter(|finding| finding.level == Level::Deny) {
            finding.message = format!("{all} is not overridden: {why}; {}", finding.message);
        }
        Answer::judged(&self.name, &findings, refusal)
    }
}

/// Where the record stands. The annotations are there, because the one that names the override is.
fn pointer() -> String {
    format!("/metadata/annotations/{}", names::OVERRIDDEN_ANNOTATION.replace('~', "~0").replace('/', "~1"))
}
