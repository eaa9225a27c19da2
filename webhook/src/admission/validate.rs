use isbsvc::api::{DecodeError, InterStepBufferService, decode, names};
use isbsvc::defaults;
use isbsvc::rules::{self, Finding, Level, Levels};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::overriding::{Access, Judged, Pending};
use super::review::Request;
use super::{Decision, Measure, Nearby, Question};

/// Name under which an object that cannot be read is refused.
const READABLE: &str = "readable";
/// What is said of a field that cannot be read and says what it said.
const AS_BEFORE: &str = "it cannot be read, as before, so that it was not checked: ";
/// Most fields of an old object that are left aside because they cannot be read: more than a service has.
const LEFT_ASIDE: usize = 32;
/// What a rule about a change compares. Where the old value cannot be read, only the text can say whether it changed.
const GUARDED: [&str; 9] = [
    "/spec/jetstream/encryption",
    "/spec/jetstream/tls",
    "/spec/jetstream/persistence",
    "/spec/jetstream/replicas",
    "/spec/jetstream/version",
    "/spec/jetstream/settings",
    "/spec/redis/external/url",
    "/spec/redis/external/sentinelUrl",
    "/spec/redis/external/masterName",
];
/// The types of a service, of which one is there and stays.
const TYPES: [&str; 4] = ["/spec/jetstream", "/spec/redis", "/spec/redis/native", "/spec/redis/external"];

/// Asks the rules about the object as it would be, whether or not the defaults were filled in before.
pub(super) fn decide(request: Request, measure: &Measure, nearby: &dyn Nearby) -> Decision {
    let (mut judged, access) = match judge(request, measure, nearby) {
        Ok(judged) => judged,
        Err(refusal) => return Decision::Made(refusal),
    };
    judged.check_annotations();
    match judged.overridden() {
        Some(accepted) => Decision::Asks(Box::new(Pending::new(Question::Validate, judged, accepted, access, Answer::allow()))),
        None => Decision::Made(Answer::judged(judged.new.name(), &judged.findings, Refusal::Invalid)),
    }
}

/// What the rules say of a request, and who asks; an answer where there is nothing more to ask.
pub(super) fn judge(request: Request, measure: &Measure, nearby: &dyn Nearby) -> Result<(Judged, Access), Answer> {
    let levels = levels(&request.namespace, measure, nearby);
    let Some(object) = request.object else { return Err(Answer::bad_request("the request holds no object".to_owned())) };
    let observed = request.old_object.as_ref().and_then(|old| old.pointer("/status/observedGeneration")).and_then(Value::as_i64);
    let mut object = prepared(object);
    let mut old = request.old_object.map(prepared);
    let as_before = old.as_mut().map(|old| leave_aside(old, &mut object)).unwrap_or_default();
    let new = match decode(&object) {
        Ok(new) => new,
        // Nothing of its spec is new, not even what cannot be left aside.
        Err(error) if old.as_ref().is_some_and(|old| old.get("spec") == object.get("spec")) => {
            let mut findings = vec![unreadable(&error, Level::Warn, AS_BEFORE)];
            findings.extend(old.iter().flat_map(|old| changed_beside(old, &object)));
            return Err(Answer::judged(&request.name, &findings, Refusal::Invalid));
        }
        Err(error) => return Err(Answer::refused(&request.name, &[unreadable(&error, Level::Deny, "")], Refusal::Invalid)),
    };
    let record = annotation(&object, names::OVERRIDDEN_ANNOTATION);
    let is_update = old.is_some();
    let was = old.as_ref().and_then(|old| annotation(old, names::OVERRIDDEN_ANNOTATION));
    let (old, mut findings) = old.map_or_else(|| (None, Vec::new()), |old| read_old(old, &object));
    findings.extend(as_before);
    findings.extend(rules::check(rules::Request::update(old.as_ref(), &new), &measure.config, &levels));
    let access = Access { asker: request.user_info, namespace: request.namespace, name: request.name };
    let judged = Judged { new, old, findings, is_update, was, record, observed_generation: observed.unwrap_or_default() };
    Ok((judged, access))
}

/// The levels that hold in a namespace.
pub(super) fn levels(namespace: &str, measure: &Measure, nearby: &dyn Nearby) -> Levels {
    let labels = measure.policy.selects_namespaces().then(|| nearby.labels(namespace)).flatten();
    measure.policy.levels(labels.as_ref())
}

/// An annotation of an object that may not be readable as a whole.
pub(super) fn annotation(object: &Value, name: &str) -> Option<String> {
    object.get("metadata")?.get("annotations")?.get(name)?.as_str().map(str::to_owned)
}

/// The object with its defaults, and without what no rule asks for.
fn prepared(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        // Of the status, whether the service has run counts, and nothing in it that could keep the object from being read.
        let has_run = fields.remove("status").is_some_and(|status| status.get("config").is_some_and(Value::is_object));
        if has_run {
            fields.insert("status".to_owned(), json!({ "config": {} }));
        }
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.remove("managedFields");
        }
    }
    defaults::fill(&mut object);
    object
}

/// Takes what cannot be read and says what it said out of both objects, and says so (ratcheting): what a service held before this webhook looked must not
/// keep anybody from mending another field, nor a controller from writing its metadata.
fn leave_aside(old: &mut Value, new: &mut Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for _ in 0..LEFT_ASIDE {
        let Err(error) = decode(new) else { break };
        let Some(pointer) = pointer(new, &error.field).filter(|pointer| old.pointer(pointer) == new.pointer(pointer)) else { break };
        findings.push(unreadable(&error, Level::Warn, AS_BEFORE));
        replace(old, &pointer, None);
        replace(new, &pointer, None);
    }
    findings
}

/// Reads the object as it is. One that was stored before this webhook looked may hold fields that cannot be read. Those that no rule compares are left
/// aside, and said, so that the object can be mended and all its other fields still are compared. A guarded one may only go on saying what it said:
/// nobody knows what else its change would do to the service that runs.
fn read_old(mut old: Value, new: &Value) -> (Option<InterStepBufferService>, Vec<Finding>) {
    let mut findings = Vec::new();
    for _ in 0..LEFT_ASIDE {
        let error = match decode(&old) {
            Ok(old) => return (Some(old), findings),
            Err(error) => error,
        };
        let Some(pointer) = pointer(&old, &error.field) else { break };
        if is_guarded(&pointer) {
            findings.extend(changed_below(&pointer, &old, new));
            // Taken as it will be, it is no change to the rules, which then say nothing of what was just said.
            replace(&mut old, &pointer, new.pointer(&pointer));
        } else {
            findings.push(unreadable(&error, Level::Warn, "the old value cannot be read, so that its change was not checked: "));
            replace(&mut old, &pointer, None);
        }
    }
    findings.extend(changed_below("", &old, new));
    (None, findings)
}

/// Whether a rule compares what the pointer leads to, or something in it.
fn is_guarded(pointer: &str) -> bool {
    GUARDED.iter().chain(&TYPES).any(|guarded| is_below(guarded, pointer))
}

fn is_below(one: &str, other: &str) -> bool {
    one.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A refusal for each guarded field at or below the pointer that does not say what it said.
fn changed_below(pointer: &str, old: &Value, new: &Value) -> Vec<Finding> {
    let differs = |guarded: &&&str| {
        let (was, wanted) = (given(old.pointer(guarded)), given(new.pointer(guarded)));
        if TYPES.contains(*guarded) { was.is_some() != wanted.is_some() } else { !says_the_same(was, wanted) }
    };
    let changed = GUARDED.iter().chain(&TYPES).filter(|guarded| is_below(guarded, pointer)).filter(differs);
    let finding = |guarded: &&str| {
        Finding {
        rule: READABLE,
        level: Level::Deny,
        field: guarded.trim_start_matches('/').replace('/', "."),
        message: "the old value cannot be read, so that nobody can tell what its change does to the live service; write what it says in its right form, or \
                  delete the Pipelines that use the service, then the service, and create them anew"
            .to_owned(),
        target: None,
    }
    };
    changed.map(finding).collect()
}

/// A refusal for each annotation that rules are about and that changes beside a spec that nobody can read. A record of overrides may be taken away.
fn changed_beside(old: &Value, new: &Value) -> Vec<Finding> {
    let changed = |name: &&str| {
        let wanted = annotation(new, name);
        wanted != annotation(old, name) && (*name != names::OVERRIDDEN_ANNOTATION || wanted.is_some())
    };
    let annotations = [names::INSTANCE_ANNOTATION, names::OVERRIDDEN_ANNOTATION].into_iter().filter(changed);
    let finding = |name| Finding {
        rule: READABLE,
        level: Level::Deny,
        field: format!("metadata.annotations[{name}]"),
        message: "the spec cannot be read, so that nobody can tell what this change does to the live service; mend the spec first"
            .to_owned(),
        target: None,
    };
    annotations.map(finding).collect()
}

fn given(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

/// Whether two values are the same but for their form: `"3"` and `3`, and what is null and what is absent.
fn says_the_same(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (given(one), given(other)) {
        (None, None) => true,
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            one.keys().chain(other.keys()).all(|key| says_the_same(one.get(key), other.get(key)))
        }
        (Some(one), Some(other)) => {
            one.as_str().map_or_else(|| one.to_string(), str::to_owned) == other.as_str().map_or_else(|| other.to_string(), str::to_owned)
        }
        _ => false,
    }
}

fn unreadable(error: &DecodeError, level: Level, before: &str) -> Finding {
    // Of what is missing at the top, the path is only a dot.
    let missing = error.message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = missing.filter(|_| error.field == ".").unwrap_or(&error.field).to_owned();
    Finding { rule: READABLE, level, field, message: format!("{before}{}", error.message), target: None }
}

/// The field of a service that a path such as `spec.jetstream.affinity.podAffinity` leads into: `/spec/jetstream/affinity`. As much of it as there is.
fn pointer(object: &Value, path: &str) -> Option<String> {
    let mut names = path.split('.').map(|name| name.split('[').next().unwrap_or_default());
    if names.next() != Some("spec") {
        return None;
    }
    let mut pointer = "/spec".to_owned();
    let mut deepest = 2;
    for name in names {
        let next = format!("{pointer}/{name}");
        if deepest == 0 || object.pointer(&next).is_none() {
            break;
        }
        // Redis has its types one level below.
        deepest = if next == "/spec/redis" { 2 } else { deepest - 1 };
        pointer = next;
    }
    (pointer != "/spec").then_some(pointer)
}

fn replace(object: &mut Value, pointer: &str, with: Option<&Value>) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
        match with {
            Some(value) => fields.insert(name.to_owned(), value.clone()),
            None => fields.remove(name),
        };
    }
}
