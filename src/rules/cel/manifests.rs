//! The admission policies, as objects: `manifests/policy/`.

use serde_json::{Map, Value, json};

use super::{Place, Question, readable, rows, text, variables};
use crate::api::names::{self, GROUP, PLURAL};
use crate::defaults;
use crate::limits;
use crate::rules::{Level, Rule};

/// A file of `manifests/policy/` that is made from the rules and the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its path below `manifests/policy/`.
    pub path: &'static str,
    /// What its first line says of it.
    pub says: &'static str,
    /// The object.
    pub object: Value,
}

/// Every such file. Bindings, which say where the policies hold, are written by hand.
pub fn manifests() -> Vec<Manifest> {
    let rules = |path, level, name, says| Manifest { path, says, object: validating(name, level) };
    vec![
        rules("deny.yaml", Level::Deny, "isbsvc-deny", "The rules that refuse a request."),
        rules("warn.yaml", Level::Warn, "isbsvc-warn", "The rules that warn."),
        rules("audit.yaml", Level::Audit, "isbsvc-audit", "The rules that are noted in the audit log alone."),
        Manifest { path: "defaults/policy.yaml", says: "Fills in what was left out.", object: mutating() },
        Manifest { path: "override/policy.yaml", says: "Records an override that is accepted.", object: recording() },
    ]
}

/// When a policy is asked, as the webhook is (`manifests/webhook/configurations/validating.yaml` says why).
fn conditions() -> Value {
    let annotation =
        |of: &str| format!("(has({of}.metadata.annotations) && name in {of}.metadata.annotations ? {of}.metadata.annotations[name] : '')");
    let names = [names::INSTANCE_ANNOTATION, names::OVERRIDE_ANNOTATION, names::OVERRIDDEN_ANNOTATION].map(|name| format!("'{name}'"));
    let differs = format!(
        "request.operation == 'CREATE' || has(object.spec) != has(oldObject.spec) || (has(object.spec) && object.spec != oldObject.spec) || \
         (!has(object.metadata.deletionTimestamp) && [{}].exists(name, {} != {}))",
        names.join(", "),
        annotation("object"),
        annotation("oldObject")
    );
    json!([
        { "name": "spec-or-annotations-differ", "expression": differs },
    ])
}

fn constraints() -> Value {
    json!({
        "resourceRules": [{
            "apiGroups": [GROUP],
            "apiVersions": ["v1alpha1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": [PLURAL],
            "scope": "Namespaced",
        }],
    })
}

fn validating(name: &str, level: Level) -> Value {
    let asked: Vec<_> = rows().filter(|(rule, _)| rule.level == level).filter_map(|(rule, place)| Some((rule, question(place)?))).collect();
    let mut own = Vec::new();
    let mut validations = Vec::new();
    let mut overrides = Vec::new();
    for (rule, question) in &asked {
        let found = variable(rule);
        own.push((found.clone(), expression(question)));
        validations.push(validation(rule, question, &found, &mut overrides));
    }
    if level == Level::Deny {
        let (object, change) = ("foundUnreadable", "foundUnreadableBefore");
        own.push((object.to_owned(), expression(&Question::Object { found: readable::unreadable(), unsaid: false })));
        own.push((change.to_owned(), expression(&Question::Change { found: readable::changed(), target: None })));
        let summary = "A field is, or was before it changed, of another type than it has to be";
        validations.insert(0, object_validation(object, readable::NAME, summary, false));
        validations.insert(1, change_validation(change, readable::NAME, summary));
    }
    let mut all = used(&own, &validations);
    all.extend(own.into_iter().map(|(name, expression)| json!({ "name": name, "expression": expression })));
    let mut spec = Map::new();
    // No expression fails by itself; one that costs too much, over thousands of items, does.
    spec.insert("failurePolicy".to_owned(), json!(if level == Level::Deny { "Fail" } else { "Ignore" }));
    spec.insert("matchConstraints".to_owned(), constraints());
    spec.insert("matchConditions".to_owned(), conditions());
    spec.insert("variables".to_owned(), Value::Array(all));
    spec.insert("validations".to_owned(), Value::Array(validations));
    if !overrides.is_empty() {
        // An empty text is no annotation.
        let value = format!("[{}].filter(one, one != '').join(', ')", overrides.join(", "));
        spec.insert("auditAnnotations".to_owned(), json!([{ "key": "override", "valueExpression": value }]));
    }
    json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name }, "spec": spec })
}

fn question(place: Place) -> Option<Question> {
    match place {
        Place::Definition { question, .. } | Place::Policy { question, .. } => Some(question),
        Place::Nowhere(_) => None,
    }
}

/// What a rule found, as a variable's name: `foundVolumeSize`.
fn variable(rule: &Rule) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    format!("found{}", rule.name.split('-').map(capital).collect::<String>())
}

fn expression(question: &Question) -> String {
    match question {
        // Of a new object nothing was there before.
        Question::Object { found, .. } => format!("[0, 1].map(at, at == 1 && oldObject == null ? [] : {found})"),
        Question::Change { found, .. } => format!("oldObject == null ? [] : ({found})"),
    }
}

/// One rule; `overrides` gets CEL for the override that is asked for, or an empty text.
fn validation(rule: &Rule, question: &Question, found: &str, overrides: &mut Vec<String>) -> Value {
    let summary = rule.summary.trim_end_matches('.');
    let target = match question {
        Question::Object { unsaid, .. } => return object_validation(found, rule.name, summary, *unsaid),
        Question::Change { target: None, .. } => return change_validation(found, rule.name, summary),
        Question::Change { target: Some(target), .. } => target,
    };
    let found = format!("variables.{found}");
    let named = format!("{} + {target}", text(&format!("{}=", rule.name)));
    let asked_for = format!("({named}) in variables.overrides");
    // Without the right, because annotations are made where nobody can be asked about rights: the request was refused, or the override was used.
    overrides.push(format!("({found}.size() > 0 && {asked_for} ? {named} : '')"));
    let holds = format!("{found}.size() == 0 || ({asked_for} && variables.mayOverride)");
    asked(&holds, &format!("{found}.join('; ')"), rule.name, summary)
}

fn change_validation(found: &str, name: &str, summary: &str) -> Value {
    asked(&format!("variables.{found}.size() == 0"), &format!("variables.{found}.join('; ')"), name, summary)
}

/// What was wrong before and is not touched now refuses nothing. Of the texts, what stands behind a line break may be left unsaid. Of a list that is too long to be compared item by item, all of it has to be the same.
fn object_validation(found: &str, name: &str, summary: &str, unsaid: bool) -> Value {
    let found = format!("variables.{found}");
    let said = if unsaid { ".map(one, one.split('\\n')[0])" } else { "" };
    let says = format!("{found}[0].filter(one, !(one in {found}[1])){said}.join('; ')");
    let holds = format!("{found}[0].size() > {} ? {found}[0] == {found}[1] : {found}[0].all(one, one in {found}[1])", limits::POLICY_LIST);
    asked(&holds, &says, name, summary)
}

/// The name stands at the end of each message, as it does in the webhook's. The plain message is for a value of the user's that has a line break, which
/// no message may have.
fn asked(holds: &str, says: &str, name: &str, summary: &str) -> Value {
    json!({
        "expression": holds,
        "messageExpression": format!("{says} + {}", text(&format!(" ({name})"))),
        "message": format!("{summary} ({name})"),
        "reason": "Invalid",
    })
}

/// The variables that are used, each after those that it is made of.
fn used(own: &[(String, String)], validations: &[Value]) -> Vec<Value> {
    let mut texts: Vec<String> = own.iter().map(|(_, expression)| expression.clone()).collect();
    texts.extend(validations.iter().map(Value::to_string));
    let mut used = Vec::new();
    for (name, expression) in variables::variables().into_iter().rev() {
        if texts.iter().any(|text| mentions(text, name)) {
            texts.push(expression.clone());
            used.insert(0, json!({ "name": name, "expression": expression }));
        }
    }
    used
}

fn mentions(text: &str, name: &str) -> bool {
    let whole = format!("variables.{name}");
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    text.match_indices(&whole).any(|(at, _)| text.get(at + whole.len()..).is_some_and(ends))
}

/// What may be in a record as a target: no quote, which would end the text in it.
const TARGET: &str = "'^[A-Za-z0-9._+-]{1,64}$'";

/// Writes what the webhook writes ([`crate::rules::overrides::record`]), where it is not there.
fn recording() -> Value {
    let mut own = Vec::new();
    let mut accepted = Vec::new();
    for (rule, question) in rows().filter_map(|(rule, place)| Some((rule, question(place)?))) {
        let Question::Change { target: Some(target), .. } = &question else { continue };
        let found = variable(rule);
        own.push((found.clone(), expression(&question)));
        let named = format!("({} + {target}) in variables.overrides", text(&format!("{}=", rule.name)));
        let entry = format!(
            "{} + {target} + '\",\"generation\":' + string(oldObject.metadata.generation + 1) + ',\"uid\":\"' + oldObject.metadata.uid + '\"}}'",
            text(&format!("{{\"rule\":\"{}\",\"target\":\"", rule.name)),
        );
        accepted.push(format!("(variables.{found}.size() > 0 && {target}.matches({TARGET}) && {named} ? [{entry}] : [])"));
    }
    let name = text(names::OVERRIDDEN_ANNOTATION);
    let before = format!("oldObject.metadata.annotations[{name}]");
    // What is not carried out yet stays beside it.
    let pending = format!(
        "oldObject != null && has(oldObject.metadata.annotations) && {name} in oldObject.metadata.annotations && {before}.startsWith('[{{') && \
         {before}.endsWith('}}]') && !(has(oldObject.status) && has(oldObject.status.observedGeneration) && oldObject.status.observedGeneration == \
         oldObject.metadata.generation) ? {before}.substring(1, {before}.size() - 1) + ',' : ''"
    );
    own.push(("accepted".to_owned(), accepted.join(" + ")));
    own.push(("pending".to_owned(), pending));
    let path = text(&format!("/metadata/annotations/{}", names::OVERRIDDEN_ANNOTATION.replace('/', "~1")));
    let mutation = json!({
        "patchType": "JSONPatch",
        "jsonPatch": { "expression": format!(
            "variables.accepted.size() > 0 && variables.mayOverride ? [JSONPatch{{op: 'add', path: {path}, value: '[' + variables.pending + \
             variables.accepted.join(',') + ']'}}] : []"
        ) },
    });
    let mut conditions = conditions();
    let override_name = text(names::OVERRIDE_ANNOTATION);
    let named = format!("has(object.metadata.annotations) && {override_name} in object.metadata.annotations");
    conditions.as_array_mut().into_iter().for_each(|all| all.push(json!({ "name": "override-named", "expression": named })));
    let mut constraints = constraints();
    constraints["resourceRules"][0]["operations"] = json!(["UPDATE"]);
    let mut all = used(&own, std::slice::from_ref(&mutation));
    all.extend(own.into_iter().map(|(name, expression)| json!({ "name": name, "expression": expression })));
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": "isbsvc-record" },
        "spec": {
            // Without a record the controller holds the change back.
            "failurePolicy": "Ignore",
            // It says the same of the same change, however often it is asked.
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": constraints,
            "matchConditions": conditions,
            "variables": all,
            "mutations": [mutation],
        },
    })
}

fn mutating() -> Value {
    let mutations: Vec<_> = defaults::all()
        .iter()
        .map(|default| {
            let mut at = "object".to_owned();
            let mut there = Vec::new();
            for part in default.parent.split('/').filter(|part| !part.is_empty()) {
                at = format!("{at}.{part}");
                there.push(format!("has({at}) && type({at}) == map"));
            }
            let field = format!("{at}.{}", default.key);
            let value = default.value.as_str().map_or_else(|| default.value.to_string(), text);
            let path = text(&format!("{}/{}", default.parent, default.key));
            let expression = format!(
                "{} && (!has({field}) || {field} == null) ? [JSONPatch{{op: 'add', path: {path}, value: {value}}}] : []",
                there.join(" && ")
            );
            json!({ "patchType": "JSONPatch", "jsonPatch": { "expression": expression } })
        })
        .collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": { "name": "isbsvc-defaults" },
        "spec": {
            // Defaults are also filled in by the planner: nobody is stopped for want of them.
            "failurePolicy": "Ignore",
            // Another policy or webhook may add a part that has defaults of its own.
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": constraints(),
            "matchConditions": conditions(),
            "mutations": mutations,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_that_a_policy_can_ask_stands_in_the_policy_of_its_level() {
        for (level, path) in [(Level::Deny, "deny.yaml"), (Level::Warn, "warn.yaml"), (Level::Audit, "audit.yaml")] {
            let manifest = manifests().into_iter().find(|manifest| manifest.path == path).expect("a file");
            let rules: Vec<_> = rows().filter(|(rule, place)| rule.level == level && question(place.clone()).is_some()).collect();
            let validations = manifest.object["spec"]["validations"].as_array().cloned().unwrap_or_default();
            let before = if level == Level::Deny { 2 } else { 0 };
            assert_eq!(validations.len(), before + rules.len());
            for (validation, (rule, _)) in validations.iter().skip(before).zip(rules) {
                let name = format!(" ({})", rule.name);
                assert!(validation["message"].as_str().is_some_and(|message| message.ends_with(&name)), "{name}");
                assert!(validation["messageExpression"].as_str().is_some_and(|message| message.ends_with(&format!("{name}'"))), "{name}");
            }
        }
    }

    #[test]
    fn a_variable_stands_after_those_that_it_is_made_of() {
        for manifest in manifests() {
            let mut known = Vec::new();
            for variable in manifest.object["spec"]["variables"].as_array().into_iter().flatten() {
                let expression = variable["expression"].as_str().unwrap_or_default();
                for (name, _) in variables::variables() {
                    assert!(!mentions(expression, name) || known.contains(&name.to_owned()), "{}: {name}", manifest.path);
                }
                known.push(variable["name"].as_str().unwrap_or_default().to_owned());
            }
        }
    }

    #[test]
    fn every_default_is_filled_in_by_the_policy() {
        let text = mutating().to_string();
        for default in defaults::all() {
            assert!(text.contains(&format!("'{}/{}'", default.parent, default.key)), "{default:?}");
        }
    }

    #[test]
    fn only_what_refuses_fails_closed() {
        for manifest in manifests() {
            let closed = manifest.object["spec"]["failurePolicy"] == "Fail";
            assert_eq!(closed, manifest.path == "deny.yaml", "{}", manifest.path);
        }
    }
}
