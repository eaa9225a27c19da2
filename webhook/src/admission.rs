//! `AdmissionReview` in, decision out: no network, no clock, no state.

mod answer;
mod mutate;
mod review;
mod text;
mod validate;

use isbsvc::controller_config::ControllerConfig;
use isbsvc::rules::Policy;

pub use answer::{Answer, Status};
pub use review::{Malformed, Operation, Request};

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

/// Answers one request. Whatever has a uid gets an answer that the API server can show to a person.
pub fn answer(question: Question, request: Request, measure: &Measure) -> Answer {
    if let Some(refusal) = review::not_ours(&request) {
        return refusal;
    }
    // Nothing of ours is lost by deleting here (the finalizer looks after that), the status has its own writers, and an object that is being deleted
    // must be able to lose its finalizers; a change of its spec is judged all the same.
    if matches!(request.operation(), Operation::Delete | Operation::Connect) || request.is_subresource() || request.is_being_deleted() {
        return Answer::allow();
    }
    match question {
        Question::Mutate => mutate::answer(&request),
        Question::Validate => validate::answer(request, measure),
    }
}

#[cfg(test)]
mod tests;
