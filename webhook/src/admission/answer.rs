use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use isbsvc::api::names::{GROUP, KIND as OBJECT_KIND};
use isbsvc::limits;
use isbsvc::rules::{self, Finding, Level};
use serde::Serialize;
use serde_json::{Value, json};

use super::review::{API_VERSION, KIND};
use super::text;

/// What the webhook answers. There is no way to make one that allows by default.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    allowed: bool,
    status: Option<Box<Status>>,
    patch: Vec<Value>,
    warnings: Vec<String>,
    annotations: BTreeMap<&'static str, String>,
}

/// Why not, in the API's own form (`metav1.Status`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    kind: &'static str,
    api_version: &'static str,
    #[serde(rename = "status")]
    outcome: &'static str,
    /// For a person.
    pub message: String,
    reason: &'static str,
    /// HTTP code.
    pub code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Details {
    name: String,
    group: &'static str,
    kind: &'static str,
    causes: Vec<Cause>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Cause {
    reason: &'static str,
    message: String,
    field: String,
}

impl Status {
    /// A failure with its HTTP code and the API's word for it.
    pub fn failure(code: u16, reason: &'static str, message: String) -> Self {
        Self { kind: "Status", api_version: "v1", outcome: "Failure", message, reason, code, details: None }
    }
}

/// How a refusal is called in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The object says what must not be. Also where a change of instance is refused: 403 Forbidden would send people to look for a missing permission.
    Invalid,
    /// Something else is in the way, and may go.
    Conflict,
    /// Whoever asks lacks the permission to override the rule.
    Forbidden,
}

impl Refusal {
    fn code(self) -> (u16, &'static str) {
        match self {
            Self::Invalid => (422, "Invalid"),
            Self::Conflict => (409, "Conflict"),
            Self::Forbidden => (403, "Forbidden"),
        }
    }
}

impl Answer {
    /// Allows, and changes nothing.
    pub fn allow() -> Self {
        Self { allowed: true, status: None, patch: Vec::new(), warnings: Vec::new(), annotations: BTreeMap::new() }
    }

    /// Refuses by what denies, and tells the rest, each at its level.
    pub(super) fn judged(name: &str, findings: &[Finding], refusal: Refusal) -> Self {
        let of = |level: Level| findings.iter().filter(|finding| finding.level == level).cloned().collect::<Vec<_>>();
        let denials = of(Level::Deny);
        let answer = if denials.is_empty() { Self::allow() } else { Self::refused(name, &denials, refusal) };
        answer.warned(&of(Level::Warn)).noted("audited-by", &of(Level::Audit))
    }

    /// Refuses a question that should never have been asked.
    pub(super) fn bad_request(message: String) -> Self {
        Self { allowed: false, status: Some(Box::new(Status::failure(400, "BadRequest", message))), ..Self::allow() }
    }

    /// Refuses an object for what it says, or where it is.
    pub(super) fn refused(name: &str, findings: &[Finding], refusal: Refusal) -> Self {
        let told = &findings[..findings.len().min(limits::FINDINGS)];
        let mut lines: Vec<_> = told.iter().map(|finding| text::with_rule(&said(finding), finding.rule, limits::FINDING)).collect();
        if findings.len() > told.len() {
            lines.push(format!("and {} more", findings.len() - told.len()));
        }
        let message = match lines.as_slice() {
            [line] => line.clone(),
            lines => format!("{} things are wrong:\n{}", findings.len(), lines.join("\n")),
        };
        let causes = told
            .iter()
            .map(|finding| Cause {
                reason: "FieldValueInvalid",
                message: text::with_rule(&finding.message, finding.rule, limits::FINDING),
                field: text::one_line(&finding.field, limits::FINDING),
            })
            .collect();
        let (code, reason) = refusal.code();
        let details = Details { name: text::one_line(name, limits::FINDING), group: GROUP, kind: OBJECT_KIND, causes };
        let status = Status { details: Some(details), ..Status::failure(code, reason, message) };
        Self { allowed: false, status: Some(Box::new(status)), ..Self::allow() }.noted("denied-by", findings)
    }

    /// Adds what is told and not refused.
    fn warned(mut self, findings: &[Finding]) -> Self {
        for finding in findings {
            let warning = text::with_rule(&said(finding), finding.rule, limits::WARNING);
            if self.warnings.len() < limits::WARNINGS && !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        self.noted("warned-by", findings)
    }

    /// Says so where a rule refuses only because the policy cannot be used as it is written: nobody else could tell what to do about it.
    pub(super) fn explained(mut self, strictest: Option<&str>) -> Self {
        let raised = |name: &str| rules::find(name).is_some_and(|rule| rule.level < Level::Deny);
        let concerned = self.denied_by().split(',').any(raised);
        if let (Some(message), Some(status), true) = (strictest, &mut self.status, concerned) {
            let _ = write!(status.message, "\npolicy: {message}");
            // Where there are causes, kubectl shows them and no message.
            if let Some(details) = &mut status.details {
                details.causes.push(Cause { reason: "FieldValueInvalid", message: message.to_owned(), field: "policy".to_owned() });
            }
        }
        self
    }

    /// Names the rules for the audit log. A key holds no slash: the API server puts the webhook's name before it.
    fn noted(mut self, key: &'static str, findings: &[Finding]) -> Self {
        let mut rules: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
        rules.dedup();
        if !rules.is_empty() {
            self.annotations.insert(key, rules.join(","));
        }
        self
    }

    /// Allows, and adds what is missing: (JSON pointer, value).
    pub(super) fn fill(missing: Vec<(String, Value)>) -> Self {
        let mut answer = Self::allow();
        if !missing.is_empty() {
            let pointers: Vec<_> = missing.iter().map(|(pointer, _)| pointer.as_str()).collect();
            answer.annotations.insert("defaulted", pointers.join(","));
        }
        answer.patch = missing.into_iter().map(|(path, value)| json!({ "op": "add", "path": path, "value": value })).collect();
        answer
    }

    /// Adds a value beside what is filled in.
    pub(super) fn with(mut self, path: &str, value: &str) -> Self {
        self.patch.push(json!({ "op": "add", "path": path, "value": value }));
        self
    }

    /// Notes which overrides were accepted, and tells whoever made the change.
    pub(super) fn overridden(mut self, overrides: &str) -> Self {
        self.warnings.push(text::one_line(&format!("overridden, and carried out whatever it costs: {overrides}"), limits::WARNING));
        self.annotations.insert("overridden", overrides.to_owned());
        self
    }

    /// Whether the request goes on.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Whether the object is changed on the way.
    pub fn is_patch(&self) -> bool {
        !self.patch.is_empty()
    }

    /// Names of the rules that refuse, for the log; empty where none does.
    pub fn denied_by(&self) -> &str {
        self.annotations.get("denied-by").map_or("", String::as_str)
    }

    /// The review that is sent back.
    pub fn into_review(self, uid: &str) -> Value {
        let mut response = json!({ "uid": uid, "allowed": self.allowed });
        if let Some(status) = self.status {
            response["status"] = json!(status);
        }
        // Both or neither: the API server takes one alone for an error.
        if !self.patch.is_empty() {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(BASE64_STANDARD.encode(Value::Array(self.patch).to_string()));
        }
        if !self.warnings.is_empty() {
            response["warnings"] = json!(self.warnings);
        }
        if !self.annotations.is_empty() {
            response["auditAnnotations"] = json!(self.annotations);
        }
        json!({ "apiVersion": API_VERSION, "kind": KIND, "response": response })
    }
}

fn said(finding: &Finding) -> String {
    format!("{}: {}", finding.field, finding.message)
}
