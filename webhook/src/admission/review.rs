use std::collections::BTreeMap;

use isbsvc::api::names::{GROUP, PLURAL};
use isbsvc::limits;
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;

/// The only version of `AdmissionReview` that is spoken.
pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const KIND: &str = "AdmissionReview";

/// The text is no review, so there is no uid to answer to.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or JSON of another shape. The text of the error names lines and types and quotes no value of the object.
    #[error("the body is no {KIND}: {0}")]
    Shape(String),
    /// JSON that takes more memory than any real object.
    #[error("the body has more than {} values; no object that the API server stores has", limits::REVIEW_VALUES)]
    TooManyValues,
    /// Another kind or version.
    #[error("the body is {kind} of {api_version}; {KIND} of {API_VERSION} is spoken here")]
    Version {
        /// As it stands in the body.
        api_version: String,
        /// As it stands in the body.
        kind: String,
    },
    /// A review without a question.
    #[error("the review holds no request with a uid")]
    NoRequest,
}

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// Something connects to it.
    Connect,
    /// Something that we do not know.
    Other,
}

/// Who asks. It goes into the question whether somebody may override a rule, and nowhere else: not into a log, a message or a metric.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Asker {
    /// Name of the user.
    pub username: String,
    /// The user by an identity that is never used again.
    pub uid: String,
    /// Groups of the user.
    pub groups: Option<Vec<String>>,
    /// What else the authenticator says.
    pub extra: Option<BTreeMap<String, Option<Vec<String>>>>,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asker(..)")
    }
}

/// The fields of an admission request that a decision needs.
///
/// These are our own types because those of kube insist on metadata of a certain shape, and write a patch as an array of numbers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Returned with the answer.
    pub uid: String,
    #[serde(default)]
    resource: Resource,
    sub_resource: Option<String>,
    /// Name of the object; empty where the API server will make one.
    #[serde(default)]
    pub name: String,
    /// Namespace of the object.
    #[serde(default)]
    pub namespace: String,
    #[serde(default)]
    operation: String,
    pub(super) object: Option<Value>,
    pub(super) old_object: Option<Value>,
    #[serde(default)]
    pub(super) user_info: Asker,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    group: String,
    version: String,
    #[serde(rename = "resource")]
    plural: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

impl Operation {
    /// One word, for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Connect => "connect",
            Self::Other => "other",
        }
    }
}

impl Request {
    /// Reads a review.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        // Counted before it is read: the values are what takes the memory.
        if body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() > limits::REVIEW_VALUES {
            return Err(Malformed::TooManyValues);
        }
        // Of the bytes, serde_json does not look at what it passes over.
        let text = std::str::from_utf8(body).map_err(|_| Malformed::Shape("not valid JSON (nor UTF-8)".to_owned()))?;
        let review: Review = serde_json::from_str(text).map_err(|error| Malformed::Shape(describe(&error)))?;
        if review.api_version != API_VERSION || review.kind != KIND {
            let short = |text: &str| super::text::one_line(text, limits::WARNING);
            return Err(Malformed::Version { api_version: short(&review.api_version), kind: short(&review.kind) });
        }
        review.request.filter(|request| !request.uid.is_empty()).ok_or(Malformed::NoRequest)
    }

    /// What is done to the object.
    pub fn operation(&self) -> Operation {
        match self.operation.as_str() {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            "CONNECT" => Operation::Connect,
            _ => Operation::Other,
        }
    }

    pub(super) fn is_subresource(&self) -> bool {
        self.sub_resource.as_ref().is_some_and(|name| !name.is_empty())
    }

    /// Whether the object goes, and its spec stays: it must be able to lose its finalizers. Another spec is judged as ever, since the servers run until the
    /// last of them.
    pub(super) fn is_being_deleted(&self) -> bool {
        let (Operation::Update, Some(new), Some(old)) = (self.operation(), &self.object, &self.old_object) else { return false };
        let goes = |object: &Value| object.pointer("/metadata/deletionTimestamp").is_some_and(|stamp| !stamp.is_null());
        goes(old) && goes(new) && old.get("spec") == new.get("spec")
    }
}

/// Refuses what this webhook was never meant to be asked, and says which line of the configuration to mend.
pub(super) fn not_ours(request: &Request) -> Option<Answer> {
    let Resource { group, version, plural } = &request.resource;
    if group != GROUP || plural != PLURAL || version != "v1alpha1" {
        let asked = super::text::one_line(&format!("{plural}.{group}/{version}"), limits::WARNING);
        return Some(Answer::bad_request(format!(
            "asked about {asked}, but this webhook looks after {PLURAL}.{GROUP}/v1alpha1 only; narrow the rules of its configuration"
        )));
    }
    let has_object = request.object.is_some();
    match request.operation() {
        Operation::Other => Some(Answer::bad_request("the operation is none of CREATE, UPDATE, DELETE, CONNECT".to_owned())),
        Operation::Create | Operation::Update if !has_object => Some(Answer::bad_request("the request holds no object".to_owned())),
        Operation::Update if request.old_object.is_none() && !request.is_subresource() => {
            // Without it, a change could not be told from a creation, and every rule about changes would be passed over.
            Some(Answer::bad_request("the request holds no old object".to_owned()))
        }
        _ => None,
    }
}

/// What is wrong with the JSON, without quoting from it.
fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Syntax => "not valid JSON",
        serde_json::error::Category::Eof => "the JSON ends in the middle",
        serde_json::error::Category::Data => "a field has the wrong type, or is missing",
        serde_json::error::Category::Io => "it could not be read",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}
