//! Versions of the plugin and of what runs in the cluster.

use clap::{Args, ValueEnum};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;

use super::CONTROLLER_NAMESPACE;
use crate::connection::{Asked, Connection, Session};
use crate::exit::{Code, Failure, Outcome};
use crate::model::versions::{Component, Versions};
use crate::render;
use crate::terminal::print;

/// Deployments whose image says a version.
const DEPLOYMENTS: [&str; 3] = ["isbsvc-controller", "isbsvc-webhook", "numaflow-controller"];

/// Flags of `version`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  kubectl isbsvc version
  kubectl isbsvc version --client -o json

Exit codes: 0 answered, 1 the cluster could not be asked (the plugin's own version is printed first), 130 interrupted.")]
pub struct Version {
    /// Only the plugin's own version; no cluster is asked
    #[arg(long)]
    pub client: bool,
    /// Namespace of the controller
    #[arg(long, value_name = "NAMESPACE", default_value = CONTROLLER_NAMESPACE, conflicts_with = "client")]
    pub controller_namespace: String,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line a component.
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

impl Version {
    /// Carries it out.
    pub fn run(self, connection: &Connection) -> Outcome {
        let mut versions = Versions::of_client();
        if self.client {
            return self.show(&versions);
        }
        let outcome = connection.run(async |session| {
            versions.components.extend(components(&session, &self.controller_namespace).await?);
            Ok(Code::Fine)
        });
        self.show(&versions)?;
        outcome
    }

    fn show(&self, versions: &Versions) -> Outcome {
        print(&match self.output {
            Format::Table => render::versions::table(versions),
            Format::Json => render::json(versions)?,
            Format::Yaml => render::yaml(versions)?,
        })?;
        Ok(Code::Fine)
    }
}

async fn components(session: &Session, namespace: &str) -> Result<Vec<Component>, Failure> {
    let asked = Asked { verb: "get", resource: "version", namespace: None, name: None };
    let server = session.ask(&asked, session.client.apiserver_version()).await?;
    let mut components =
        vec![Component { component: "kubernetes".to_owned(), version: Some(server.git_version), source: session.server.clone() }];
    let api: Api<Deployment> = Api::namespaced(session.client.clone(), namespace);
    for name in DEPLOYMENTS {
        let asked = Asked { verb: "get", resource: "deployments.apps", namespace: Some(namespace), name: Some(name) };
        let (version, source) = match session.ask_for(&asked, api.get(name)).await {
            Ok(Some(deployment)) => (image_version(&deployment), format!("image of deployment {namespace}/{name}")),
            Ok(None) => (None, format!("no deployment {namespace}/{name}")),
            Err(failure) => (None, failure.message),
        };
        components.push(Component { component: name.to_owned(), version, source });
    }
    Ok(components)
}

/// The tag of the first container's image.
fn image_version(deployment: &Deployment) -> Option<String> {
    let image = deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.as_deref()?;
    let name = image.split('@').next().unwrap_or(image);
    let (_, tag) = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
    Some(tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_tag_and_no_port() {
        let version = |image: &str| {
            let deployment = serde_json::json!({ "spec": { "selector": {}, "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } });
            image_version(&serde_json::from_value(deployment).unwrap())
        };
        assert_eq!(version("host:5000/a/b:v1.2"), Some("v1.2".to_owned()));
        assert_eq!(version("host:5000/a/b"), None);
        assert_eq!(version("a:1@sha256:00"), Some("1".to_owned()));
    }
}
