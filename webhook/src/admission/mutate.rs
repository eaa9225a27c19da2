use isbsvc::defaults;

use super::answer::Answer;
use super::review::Request;

/// Adds what was left out, by the pointer and nothing more: fields that we do not know stay as they are.
pub(super) fn answer(request: &Request) -> Answer {
    request.object.as_ref().map_or_else(Answer::allow, |object| Answer::fill(defaults::missing(object)))
}
