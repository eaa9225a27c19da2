use isbsvc::api::{DecodeError, InterStepBufferService, decode};
use isbsvc::defaults;
use isbsvc::rules::{self, Finding, Level};
use serde_json::Value;

use super::Measure;
use super::answer::Answer;
use super::review::Request;

/// Name under which an object that cannot be read is refused.
const READABLE: &str = "readable";
/// Most fields of an old object that are left aside because they cannot be read.
const LEFT_ASIDE: usize = 8;

/// Asks the rules about the object as it would be, whether or not the defaults were filled in before.
pub(super) fn answer(request: Request, measure: &Measure) -> Answer {
    let Some(object) = request.object else { return Answer::bad_request("the request holds no object".to_owned()) };
    let new = match decode(&prepared(object)) {
        Ok(new) => new,
        Err(error) => return Answer::invalid(&request.name, &[unreadable(&error, Level::Deny, "")]),
    };
    let (old, mut findings) = request.old_object.map_or_else(|| (None, Vec::new()), |old| read_old(prepared(old)));
    findings.extend(rules::check(rules::Request { new: &new, old: old.as_ref() }, &measure.config, &measure.policy));

    let (denials, warnings): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| finding.level == Level::Deny);
    let answer = if denials.is_empty() { Answer::allow() } else { Answer::invalid(new.name(), &denials) };
    answer.warned(&warnings)
}

/// The object with its defaults, and without what no rule asks for.
fn prepared(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.remove("managedFields");
        }
    }
    defaults::fill(&mut object);
    object
}

/// Reads the object as it is. One that was stored before this webhook looked may hold fields that cannot be read; those are left aside, and said, so
/// that it can be mended and all its other fields still are compared.
fn read_old(mut object: Value) -> (Option<InterStepBufferService>, Vec<Finding>) {
    let mut findings = Vec::new();
    for _ in 0..LEFT_ASIDE {
        match decode(&object) {
            Ok(old) => return (Some(old), findings),
            Err(error) => {
                findings.push(unreadable(&error, Level::Warn, "the old value cannot be read, so that its change was not checked: "));
                if !remove(&mut object, &error.field) {
                    break;
                }
            }
        }
    }
    (None, findings)
}

fn unreadable(error: &DecodeError, level: Level, before: &str) -> Finding {
    // Of what is missing at the top, the path is only a dot.
    let missing = error.message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = missing.filter(|_| error.field == ".").unwrap_or(&error.field).to_owned();
    Finding { rule: READABLE, level, field, message: format!("{before}{}", error.message) }
}

/// Takes out the field of the spec that a path such as `spec.jetstream.affinity.podAffinity` leads into: `/spec/jetstream/affinity`.
fn remove(object: &mut Value, path: &str) -> bool {
    let mut names = path.split('.').map(|name| name.split('[').next().unwrap_or_default());
    let (Some("spec"), Some(service)) = (names.next(), names.next()) else { return false };
    let Some(Value::Object(spec)) = object.get_mut("spec") else { return false };
    match (names.next(), spec.get_mut(service)) {
        (Some(field), Some(Value::Object(fields))) => fields.remove(field).is_some(),
        _ => spec.remove(service).is_some(),
    }
}
