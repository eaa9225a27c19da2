use isbsvc::api::names;
use isbsvc::defaults;

use super::answer::Answer;
use super::overriding::Pending;
use super::review::Request;
use super::validate::{self, annotation};
use super::{Decision, Measure, Nearby, Question};

/// Adds what was left out, by the pointer and nothing more: fields that we do not know stay as they are. Where the change overrides a rule, that is
/// recorded if whoever makes it may do so.
pub(super) fn decide(request: Request, measure: &Measure, nearby: &dyn Nearby) -> Decision {
    let Some(object) = &request.object else { return Decision::Made(Answer::allow()) };
    let filled = Answer::fill(defaults::missing(object));
    // Most changes name no override, and are judged once, by the other question.
    if annotation(object, names::OVERRIDE_ANNOTATION).is_none() {
        return Decision::Made(filled);
    }
    let Ok((judged, access)) = validate::judge(request, measure, nearby) else { return Decision::Made(filled) };
    match judged.overridden() {
        Some(accepted) => Decision::Asks(Box::new(Pending::new(Question::Mutate, judged, accepted, access, filled))),
        None => Decision::Made(filled),
    }
}
