use std::time::Duration;

#[cfg(feature = "controller")]
use crate::observe::hidden::Hindrance;
use crate::observe::in_words;
use crate::plan::{ChildKind, Failure};

/// What kind of failure it was; the word for metrics and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// The object is no longer as it was seen: look again.
    Conflict,
    /// We may not.
    Forbidden,
    /// The API server, or an admission webhook, does not take the object.
    Refused,
    /// The API server has too much to do.
    Overloaded,
    /// No answer in time.
    Timeout,
    /// The API server cannot be reached, or its answer cannot be read.
    Unreachable,
    /// Drawing or issuing what a Secret needs failed.
    Material,
    /// The name is taken by an object of somebody else.
    Foreign,
    /// The Lease has run out: another one may write by now.
    Lapsed,
}

impl Category {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Material => "material",
            Self::Foreign => "foreign",
            Self::Lapsed => "lapsed",
        }
    }
}

/// A write that failed. Nothing after it was attempted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{attempted}: {why}")]
pub struct ApplyError {
    /// What was attempted on which object, such as `apply StatefulSet pl/isbsvc-default-js`.
    pub attempted: String,
    /// What kind of failure it was.
    pub category: Category,
    /// Why it failed.
    pub why: String,
    /// Kind of the object, where it was one of the service's.
    pub kind: Option<ChildKind>,
    /// Whether it was only looked for.
    pub unseen: bool,
}

impl ApplyError {
    /// The word for metrics and events.
    pub fn category(&self) -> &'static str {
        self.category.as_str()
    }

    /// What the status calls it.
    pub fn failure(&self) -> Failure {
        match self.kind {
            Some(ChildKind::StatefulSet) if self.unseen => Failure::StatefulSetUnseen,
            Some(ChildKind::Secret) => Failure::Secrets,
            Some(ChildKind::ConfigMap) => Failure::ConfigMap,
            Some(ChildKind::Service) => Failure::Service,
            _ => Failure::StatefulSet,
        }
    }

    /// Whether the service only has to be looked at again: somebody was faster, or may be by now.
    pub fn is_conflict(&self) -> bool {
        matches!(self.category, Category::Conflict | Category::Lapsed)
    }

    /// No answer in time.
    pub(super) fn timeout(attempted: String, limit: Duration) -> Self {
        Self {
            attempted,
            category: Category::Timeout,
            why: format!("no answer of the API server within {} s", limit.as_secs()),
            kind: None,
            unseen: false,
        }
    }

    /// A failure of the client. `secret` keeps the API server's words back, which may repeat the object.
    pub(crate) fn kube(attempted: String, error: &kube::Error, secret: bool) -> Self {
        let category = category(error);
        let why = match error {
            kube::Error::Api(status) if secret && !matches!(category, Category::Conflict | Category::Forbidden) => {
                format!("the API server answered {} {}", status.code, status.reason)
            }
            other => in_words(other),
        };
        Self { attempted, category, why, kind: None, unseen: false }
    }

    /// Something stands in the way of an object of the service.
    #[cfg(feature = "controller")]
    pub(crate) fn hindered(hindrance: Hindrance, namespace: &str) -> Self {
        match hindrance {
            Hindrance::Foreign { kind, name, why } => Self {
                attempted: format!("make {} {namespace}/{name}", kind.kind()),
                category: Category::Foreign,
                why,
                kind: Some(kind),
                unseen: false,
            },
            Hindrance::Unseen { kind, name, error } => {
                let attempted = format!("look for {} {namespace}/{name}", kind.kind());
                let failed = match error {
                    Some(error) => Self::kube(attempted, &error, kind == ChildKind::Secret),
                    None => Self::timeout(attempted, crate::limits::API_REQUEST),
                };
                Self { kind: Some(kind), unseen: true, ..failed }
            }
        }
    }
}

/// The category of a failure of the client.
pub(super) fn category(error: &kube::Error) -> Category {
    match error {
        kube::Error::Api(status) => match status.code {
            409 => Category::Conflict,
            401 | 403 => Category::Forbidden,
            429 | 503 => Category::Overloaded,
            408 | 504 => Category::Timeout,
            400..500 => Category::Refused,
            _ => Category::Unreachable,
        },
        _ => Category::Unreachable,
    }
}
