use isbsvc::api::decode;
use isbsvc::rules::{self, Finding, Level};

use super::answer::{Answer, Refusal};
use super::review::Request;
use super::validate::levels;
use super::{Measure, Nearby};

/// Asks the rules about a deletion. Whatever cannot be found out allows it, with a word: the finalizer guards the service all the same.
pub(super) fn answer(request: Request, measure: &Measure, nearby: &dyn Nearby) -> Answer {
    let levels = levels(&request.namespace, measure, nearby);
    let Some(old) = request.old_object else { return unchecked("", "the request does not hold it") };
    // It goes already; nobody is told a second time.
    if old.pointer("/metadata/deletionTimestamp").is_some_and(|stamp| !stamp.is_null()) {
        return Answer::allow();
    }
    let service = match decode(&old) {
        Ok(service) => service,
        Err(error) => return unchecked(&request.name, &format!("its {} cannot be read", error.field)),
    };
    let surroundings = nearby.surroundings(&request.namespace, service.name());
    let findings = rules::check(rules::Request::delete(&service, &surroundings), &measure.config, &levels);
    Answer::judged(service.name(), &findings, Refusal::Conflict)
}

fn unchecked(name: &str, why: &str) -> Answer {
    let message = format!("whether Pipelines use it was not checked: {why}");
    let finding = Finding { rule: "in-use", level: Level::Warn, field: "metadata.name".to_owned(), message, target: None };
    Answer::judged(name, &[finding], Refusal::Conflict)
}
