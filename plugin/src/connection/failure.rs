//! What went wrong with a request, in one line: what, where, what to do.

use isbsvc::api::names;

use crate::exit::Failure;
use crate::terminal::clean;

/// What was asked of the API server, for the words of an error.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// As in RBAC: `get`, `list`, `create`, `patch`.
    pub verb: &'static str,
    /// Resource with its group, as kubectl takes it: `statefulsets.apps`.
    pub resource: &'a str,
    /// `None` for all namespaces, and for what has none.
    pub namespace: Option<&'a str>,
    /// Name of the object, where it is about one.
    pub name: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// About `InterStepBufferService` objects.
    pub fn service(verb: &'static str, namespace: Option<&'a str>, name: Option<&'a str>) -> Self {
        Self { verb, resource: "interstepbufferservices.numaflow.numaproj.io", namespace, name }
    }

    fn place(&self) -> String {
        match self.namespace {
            Some(namespace) => format!("in namespace {namespace:?}"),
            None => "in all namespaces".to_owned(),
        }
    }

    fn object(&self) -> String {
        match self.name {
            Some(name) => format!("{} {name:?}", self.resource),
            None => self.resource.to_owned(),
        }
    }

    /// The one line for an error, with the exit code that belongs to it.
    pub fn failure(&self, error: &kube::Error, server: &str) -> Failure {
        let kube::Error::Api(status) = error else { return transport(error, server) };
        let message = clean(&status.message);
        let message = message.trim_end_matches('.');
        Failure::no_answer(match status.code {
            // A webhook chooses its own code; what it says comes first.
            _ if message.contains("denied the request") => format!("refused: {message}"),
            401 => format!(
                "the API server at {server} does not accept who you are (Unauthorized); log in again, or choose --context, --user or --token"
            ),
            403 if is_about_rbac(message) => format!(
                "permission missing: you may not {} {} {}; ask for a role that allows it (kubectl auth can-i {} {}{})",
                self.verb,
                self.resource,
                self.place(),
                self.verb,
                self.resource,
                self.namespace.map_or_else(|| " -A".to_owned(), |namespace| format!(" -n {namespace}")),
            ),
            404 if status.details.as_ref().is_some_and(|details| details.kind == "namespaces") => {
                format!("there is no namespace {0:?}; create it first: kubectl create namespace {0}", self.namespace.unwrap_or_default())
            }
            404 if self.resource.ends_with(names::GROUP) && !object_is_absent(error) => missing_type(self.resource),
            404 => format!("{} is not there, {}", self.object(), self.place()),
            409 if status.reason == "AlreadyExists" => format!("{} exists already, {}", self.object(), self.place()),
            409 => format!("{} was changed by somebody else at the same time; run the command again", self.object()),
            429 | 503 | 504 => format!("the API server at {server} cannot answer now ({message}); try again in a moment"),
            _ => format!("the API server refuses to {} {}: {message}", self.verb, self.object()),
        })
    }
}

/// The line for a cluster that does not know our resource.
pub fn missing_type(resource: &str) -> String {
    format!(
        "this cluster does not know {resource}; install the CRD (kubectl apply --server-side -k manifests/crd), or Numaflow, which brings it"
    )
}

fn is_about_rbac(message: &str) -> bool {
    message.contains("cannot ") || message.is_empty()
}

/// Whether the answer is that one object is not there, and not that its type is unknown.
pub(super) fn object_is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404 && status.reason == "NotFound" && status.details.as_ref().is_some_and(|details| !details.name.is_empty()))
}

/// The client could not be made.
pub(super) fn client(error: &kube::Error, server: &str) -> Failure {
    transport(error, server)
}

fn transport(error: &kube::Error, server: &str) -> Failure {
    let cause = clean(&innermost(error));
    Failure::no_answer(match error {
        kube::Error::Auth(_) => format!("cannot log in to {server}: {cause}; check the user of the kubeconfig"),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            format!("{server} answered something else than a Kubernetes API server would ({cause}); check --context and --server")
        }
        kube::Error::InferKubeconfig(_) | kube::Error::RustlsTls(_) => format!("the kubeconfig cannot be used: {cause}"),
        _ if cause.contains("UnknownIssuer") || cause.contains("certificate") => {
            format!(
                "the certificate of {server} is not trusted ({cause}); name its authority with --certificate-authority, or its name with --tls-server-name"
            )
        }
        _ => format!("cannot reach the API server at {server}: {cause}; check that it runs, and --context, --server and the network"),
    })
}

/// The last cause of a chain: the outer ones repeat it.
fn innermost(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn line(asked: &Asked<'_>, status: serde_json::Value) -> String {
        let status: Status = serde_json::from_value(status).unwrap();
        asked.failure(&kube::Error::Api(status.boxed()), "https://k:6443").message
    }

    #[test]
    fn every_refusal_is_one_line_that_says_what_to_do() {
        let get = Asked::service("get", Some("work"), Some("default"));
        let create = Asked::service("create", Some("work"), Some("default"));
        let lines = [
            line(&get, json!({ "code": 401, "reason": "Unauthorized", "message": "Unauthorized" })),
            line(
                &get,
                json!({ "code": 403, "reason": "Forbidden", "message": "interstepbufferservices... is forbidden: User \"x\" cannot get resource" }),
            ),
            line(&get, json!({ "code": 404, "message": "404 page not found\n" })),
            line(&get, json!({ "code": 404, "reason": "NotFound", "message": "x", "details": { "name": "default" } })),
            line(&create, json!({ "code": 409, "reason": "AlreadyExists", "message": "x already exists" })),
            line(
                &create,
                json!({ "code": 400, "message": "admission webhook \"v.example\" denied the request: spec.jetstream.version: is required (version-required)" }),
            ),
            line(
                &create,
                json!({ "code": 422, "reason": "Invalid", "message": "InterStepBufferService \"x\" is invalid: spec: Invalid value: \"o\u{1b}[31m\"" }),
            ),
            line(&create, json!({ "code": 503, "message": "apiserver is shutting down" })),
            line(
                &Asked { verb: "list", resource: "statefulsets.apps", namespace: None, name: None },
                json!({ "code": 403, "message": "" }),
            ),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }
}
