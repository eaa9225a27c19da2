//! `AdmissionReview` in, decision out: no network, no clock, no state.

mod answer;
mod delete;
mod mutate;
mod nearby;
mod overriding;
mod review;
mod text;
mod validate;

use isbsvc::controller_config::ControllerConfig;
use isbsvc::limits;
use isbsvc::rules::Policy;

pub use answer::{Answer, Status};
pub use nearby::{Nearby, Nothing};
pub use overriding::{Access, Pending, Permission};
pub use review::{Asker, Malformed, Operation, Request};

/// What the rules are asked with. Replaced as a whole when a file changes.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Versions and defaults.
    pub config: ControllerConfig,
    /// Levels of the rules.
    pub policy: Policy,
}

/// Which of the two questions is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// `POST /mutate`: which defaults are missing?
    Mutate,
    /// `POST /validate`: may this be?
    Validate,
}

impl Question {
    /// One word, for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// What a look at a request gave.
#[derive(Debug)]
pub enum Decision {
    /// The answer.
    Made(Answer),
    /// The answer depends on whether somebody may override a rule.
    Asks(Box<Pending>),
}

/// Decides about one request. Whatever has a uid gets an answer that the API server can show to a person.
pub fn decide(question: Question, request: Request, measure: &Measure, nearby: &dyn Nearby) -> Decision {
    if let Some(refusal) = review::not_ours(&request) {
        return Decision::Made(refusal);
    }
    // The status has its own writers, and an object that is being deleted must be able to lose its finalizers; a change of its spec is judged all the
    // same.
    if request.operation() == Operation::Connect || request.is_subresource() || request.is_being_deleted() {
        return Decision::Made(Answer::allow());
    }
    match (question, request.operation()) {
        // A patch of what goes would be an error.
        (Question::Mutate, Operation::Delete) => Decision::Made(Answer::allow()),
        (Question::Mutate, _) => mutate::decide(request, measure, nearby),
        (Question::Validate, Operation::Delete) => Decision::Made(delete::answer(request, measure, nearby)),
        (Question::Validate, _) => {
            let strictest = why_strictest(&request.namespace, measure, nearby);
            match validate::decide(request, measure, nearby) {
                // What may be overridden refuses at any level, so only here can a policy that cannot be used be the reason.
                Decision::Made(answer) => Decision::Made(answer.explained(strictest.as_deref())),
                asks @ Decision::Asks(_) => asks,
            }
        }
    }
}

/// Why rules are enforced that the policy might not enforce here, and what to do; nothing where it holds as it is written.
fn why_strictest(namespace: &str, measure: &Measure, nearby: &dyn Nearby) -> Option<String> {
    if let Some(because) = measure.policy.stands_in() {
        let because = text::one_line(because, limits::FINDING);
        return Some(format!(
            "it cannot be used, so every rule is enforced: {because}; ask whoever looks after the ConfigMap isbsvc-policy to mend it"
        ));
    }
    let unknown = measure.policy.selects_namespaces() && nearby.labels(namespace).is_none();
    unknown.then(|| "the labels of the namespace are not known, so the strictest of its sections holds; try again in a moment, or ask whoever runs the webhook".to_owned())
}

/// The same where nothing is known but the request, so that nobody may override a rule.
pub fn answer(question: Question, request: Request, measure: &Measure) -> Answer {
    match decide(question, request, measure, &Nothing) {
        Decision::Made(answer) => answer,
        Decision::Asks(pending) => pending.answer(&Permission::not_asked()),
    }
}

#[cfg(test)]
mod tests;
