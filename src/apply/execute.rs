use http::Request;
use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::request::Request as Requests;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::lease::Permit;
use super::{ApplyError, Category};
use crate::api::{InterStepBufferService, names};
use crate::limits;
use crate::plan::{Action, ChildKind, Plan, Precondition};

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It was made.
    Created,
    /// It was written.
    Configured,
    /// It was deleted, or was gone already.
    Deleted,
}

impl Verb {
    /// The word, as kubectl says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Deleted => "deleted",
        }
    }
}

/// One write that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Kind in lower case, such as `statefulset`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// What was done.
    pub verb: Verb,
}

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} {}", self.kind, self.name, self.verb.as_str())
    }
}

/// What was carried out, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Every write.
    pub carried: Vec<Carried>,
}

/// Carries the plan's actions out, one after the other, each within [`limits::API_REQUEST`] and only while the permit holds. Stops at the first that
/// fails; what was done before it stays done, and the next look goes on from there.
pub async fn execute(client: &Client, permit: &Permit, service: &InterStepBufferService, plan: &Plan) -> Result<Outcome, ApplyError> {
    let mut outcome = Outcome::default();
    execute_telling(client, permit, service, plan, |_, carried| outcome.carried.push(carried)).await?;
    Ok(outcome)
}

/// The same; each write is told as soon as it was carried out, also where a later one fails.
pub async fn execute_telling(
    client: &Client,
    permit: &Permit,
    service: &InterStepBufferService,
    plan: &Plan,
    mut tell: impl FnMut(&Action, Carried),
) -> Result<(), ApplyError> {
    for action in &plan.actions {
        if !permit.holds() {
            return Err(ApplyError {
                attempted: format!("write to {} {}/{}", names::KIND, service.namespace_or_empty(), service.name()),
                category: Category::Lapsed,
                why: "the Lease that allows it has run out".to_owned(),
                kind: None,
                unseen: false,
            });
        }
        let carried = carry(client, service, action).await.map_err(|error| ApplyError { kind: action.child(), ..error })?;
        tell(action, carried);
    }
    Ok(())
}

async fn carry(client: &Client, service: &InterStepBufferService, action: &Action) -> Result<Carried, ApplyError> {
    let namespace = service.namespace_or_empty();
    match action {
        Action::Create { kind, name, object } => {
            let body = object.to_string().into_bytes();
            let params = PostParams { field_manager: Some(names::CHILDREN_MANAGER.to_owned()), ..PostParams::default() };
            let target = Target::child(*kind, namespace, name);
            send(client, target.attempt("create"), target.requests().create(&params, body), target.secret).await?;
            Ok(target.carried(Verb::Created))
        }
        Action::Apply { kind, name, object, precondition, changed: _ } => {
            let object = guarded(object, precondition);
            let params = PatchParams::apply(names::CHILDREN_MANAGER).force();
            let target = Target::child(*kind, namespace, name);
            send(client, target.attempt("apply"), target.requests().patch(name, &params, &Patch::Apply(object)), target.secret).await?;
            Ok(target.carried(if precondition.uid.is_some() { Verb::Configured } else { Verb::Created }))
        }
        Action::Patch { kind, name, places, precondition } => {
            let target = Target::child(*kind, namespace, name);
            let operations = places.iter().map(|place| match &place.value {
                Some(value) => json!({ "op": "add", "path": place.pointer, "value": value }),
                None => json!({ "op": "remove", "path": place.pointer }),
            });
            guarded_patch(client, &target, "patch", operations.collect(), precondition, target.secret).await?;
            Ok(target.carried(Verb::Configured))
        }
        Action::Delete { kind, name, precondition } => {
            let preconditions = Preconditions { uid: precondition.uid.clone(), resource_version: precondition.resource_version.clone() };
            let params = DeleteParams::background().preconditions(preconditions);
            let target = Target::child(*kind, namespace, name);
            match send(client, target.attempt("delete"), target.requests().delete(name, &params), target.secret).await {
                Err(Failure { not_found: true, .. }) | Ok(()) => Ok(target.carried(Verb::Deleted)),
                Err(failure) => Err(failure.error),
            }
        }
        Action::SetFinalizers { finalizers, precondition } => {
            let target = Target::service(service);
            // `add` replaces the list where there is one and makes it where there is none.
            let operations = vec![json!({ "op": "add", "path": "/metadata/finalizers", "value": finalizers })];
            guarded_patch(client, &target, "set the finalizers of", operations, precondition, false).await?;
            Ok(target.carried(Verb::Configured))
        }
        Action::ApplyStatus { status } => {
            let target = Target::service(service);
            let mut object = json!({
                "apiVersion": names::API_VERSION,
                "kind": names::KIND,
                "metadata": { "name": target.name, "namespace": namespace },
                "status": status,
            });
            if let Some(uid) = &service.metadata.uid {
                // One that arrives late says nothing of another service of the same name.
                object["metadata"]["uid"] = Value::from(uid.clone());
            }
            let params = PatchParams::apply(names::STATUS_MANAGER).force();
            let request = target.requests().patch_subresource("status", target.name, &params, &Patch::Apply(object));
            match send(client, target.attempt("write the status of"), request, false).await {
                Ok(()) => Ok(target.carried(Verb::Configured)),
                Err(Failure { not_found: true, error }) => Err(ApplyError { category: Category::Conflict, ..error }),
                Err(failure) => Err(failure.error),
            }
        }
    }
}

/// The object with what must hold at the server: an apply with another uid or resourceVersion is a conflict.
fn guarded(object: &Value, precondition: &Precondition) -> Value {
    let mut object = object.clone();
    for (field, value) in [("uid", &precondition.uid), ("resourceVersion", &precondition.resource_version)] {
        if let Some(value) = value {
            object["metadata"][field] = Value::from(value.clone());
        }
    }
    object
}

/// A JSON patch that holds only for the object that was seen. A `test` that fails is answered 422, and an object that is gone 404; both mean: look again.
async fn guarded_patch(
    client: &Client,
    target: &Target<'_>,
    verb: &str,
    operations: Vec<Value>,
    precondition: &Precondition,
    secret: bool,
) -> Result<(), ApplyError> {
    let tests = [("/metadata/uid", &precondition.uid), ("/metadata/resourceVersion", &precondition.resource_version)];
    let tests =
        tests.into_iter().filter_map(|(path, value)| value.as_ref().map(|value| json!({ "op": "test", "path": path, "value": value })));
    let patch = serde_json::from_value(tests.chain(operations).collect()).map(Patch::<()>::Json);
    let patch = patch.map_err(|error| ApplyError {
        attempted: target.attempt(verb),
        category: Category::Refused,
        why: error.to_string(),
        kind: None,
        unseen: false,
    })?;
    let params = PatchParams { field_manager: Some(names::CHILDREN_MANAGER.to_owned()), ..PatchParams::default() };
    match send(client, target.attempt(verb), target.requests().patch(target.name, &params, &patch), secret).await {
        Ok(()) => Ok(()),
        Err(Failure { not_found, error }) if not_found || error.category == Category::Refused => {
            Err(ApplyError { category: Category::Conflict, ..error })
        }
        Err(failure) => Err(failure.error),
    }
}

/// What a request is about.
struct Target<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    path: String,
    /// The API server's words about it may repeat a secret.
    secret: bool,
}

impl<'a> Target<'a> {
    fn child(kind: ChildKind, namespace: &'a str, name: &'a str) -> Self {
        Self {
            kind: kind.kind(),
            namespace,
            name,
            path: path(kind.api_version(), namespace, kind.plural()),
            secret: kind == ChildKind::Secret,
        }
    }

    fn service(service: &'a InterStepBufferService) -> Self {
        let namespace = service.namespace_or_empty();
        Self { kind: names::KIND, namespace, name: service.name(), path: path(names::API_VERSION, namespace, names::PLURAL), secret: false }
    }

    fn requests(&self) -> Requests {
        Requests::new(self.path.clone())
    }

    fn attempt(&self, verb: &str) -> String {
        format!("{verb} {} {}/{}", self.kind, self.namespace, self.name)
    }

    fn carried(&self, verb: Verb) -> Carried {
        Carried { kind: self.kind.to_lowercase(), name: self.name.to_owned(), verb }
    }
}

fn path(api_version: &str, namespace: &str, plural: &str) -> String {
    let root = if api_version.contains('/') { "apis" } else { "api" };
    format!("/{root}/{api_version}/namespaces/{namespace}/{plural}")
}

/// A request that failed, and whether because the object is not there.
struct Failure {
    not_found: bool,
    error: ApplyError,
}

impl From<Failure> for ApplyError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// The answer is the object as it stands now; the watch brings it as well, so it is not read.
async fn send(
    client: &Client,
    attempted: String,
    request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    secret: bool,
) -> Result<(), Failure> {
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            return Err(Failure {
                not_found: false,
                error: ApplyError { attempted, category: Category::Refused, why: error.to_string(), kind: None, unseen: false },
            });
        }
    };
    match timeout(limits::API_REQUEST, client.request_text(request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let not_found = matches!(&error, kube::Error::Api(status) if status.code == 404);
            Err(Failure { not_found, error: ApplyError::kube(attempted, &error, secret) })
        }
        Err(_) => Err(Failure { not_found: false, error: ApplyError::timeout(attempted, limits::API_REQUEST) }),
    }
}

#[cfg(test)]
mod tests;
