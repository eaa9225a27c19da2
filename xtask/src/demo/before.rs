//! What was in a cluster before the demo, and what undoes the demo and nothing else.
//!
//! The demo marks what it made with an annotation of its own: labels and names tell only what a thing is, not who put it there.

use anyhow::{Result, bail};

use super::{PLACE, Typed};
use crate::install::{CONTROLLER, DEFINITION, Kubectl, NAMESPACE};

/// The annotation on what the demo made.
const MARK: &str = "isbsvc-demo";

/// Marks an object as made by the demo. A crash before it leaves a thing that is taken for somebody else's, and stays.
pub fn mark(kubectl: &Kubectl, typed: &Typed<'_>, object: &[&str]) -> Result<()> {
    let mark = format!("{MARK}=made");
    let arguments = [&["annotate"], object, &[&mark]].concat();
    typed.show(&format!("kubectl {}", arguments.join(" ")));
    kubectl.run(&arguments)
}

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It is not there, so the demo will make it.
    Nobody,
    /// An earlier demo made it.
    Demo,
    /// Somebody else's, or others have come to use it.
    Others,
}

impl Owner {
    fn of(kubectl: &Kubectl, object: &[&str]) -> Result<Self> {
        let shown = format!("jsonpath={{.metadata.name}}={{.metadata.annotations.{MARK}}}");
        Ok(Self::told(&kubectl.output(&[&["get", "--ignore-not-found", "-o", &shown], object].concat())?))
    }

    // `name=mark`, or nothing.
    fn told(shown: &str) -> Self {
        match shown.trim().split_once('=') {
            None => Self::Nobody,
            Some((_, "made")) => Self::Demo,
            Some(_) => Self::Others,
        }
    }

    fn unless(self, used_by_others: bool) -> Self {
        if self == Self::Demo && used_by_others { Self::Others } else { self }
    }

    /// Whether there is anything yet.
    pub fn is_there(self) -> bool {
        self != Self::Nobody
    }
}

/// Whose the things are that the demo shares with others.
pub struct Before {
    /// The namespace of controller and webhook, which is Numaflow's as well.
    pub namespace: Owner,
    /// The definition of `InterStepBufferService`.
    pub definition: Owner,
}

impl Before {
    /// Looks, and refuses where the demo would work on what is somebody else's.
    pub fn of(kubectl: &Kubectl) -> Result<Self> {
        let theirs = ["get", "deployments", "-A", "--field-selector", "metadata.name=numaflow-controller", "-o"];
        let numaflow = kubectl.output(&[&theirs[..], &["jsonpath={.items[*].metadata.namespace}"]].concat())?;
        let numaflow = numaflow.trim();
        // API servers before 1.30 do not know the kind.
        let handed_over = kubectl.output(&["get", "validatingadmissionpolicybinding", "isbsvc-handover"]).is_ok();
        // Two controllers that write the same objects are no demo.
        if !numaflow.is_empty() && !handed_over {
            bail!(
                "Numaflow's own controller runs here (deployment/numaflow-controller in {numaflow}) and would write the same services; use another cluster, or keep it off them first (manifests/handover)"
            );
        }
        if Owner::of(kubectl, &["-n", NAMESPACE, CONTROLLER])? == Owner::Others {
            bail!(
                "isbsvc is installed here already ({CONTROLLER} in {NAMESPACE}), and the demo would replace it; `kubectl isbsvc create` makes a service with it, or use another cluster"
            );
        }
        if Owner::of(kubectl, &["namespace", PLACE])? == Owner::Others {
            bail!("the namespace {PLACE} is there and was not made by the demo; take it away, or use another cluster");
        }
        let mut before = Self { namespace: Owner::of(kubectl, &["namespace", NAMESPACE])?, definition: Owner::of(kubectl, &[DEFINITION])? };
        if before.namespace == Owner::Demo {
            let not_ours = ["get", "deployments,statefulsets,daemonsets", "-n", NAMESPACE, "-l", "app.kubernetes.io/part-of!=isbsvc"];
            let others = kubectl.output(&[&not_ours[..], &["-o", "name"]].concat())?;
            before.namespace = before.namespace.unless(!numaflow.is_empty() || !others.trim().is_empty());
        }
        if before.definition == Owner::Demo {
            let place = format!("metadata.namespace!={PLACE}");
            let kind = "interstepbufferservices.numaflow.numaproj.io";
            let others = kubectl.output(&["get", kind, "-A", "-o", "name", "--field-selector", &place])?;
            before.definition = before.definition.unless(!numaflow.is_empty() || !others.trim().is_empty());
        }
        Ok(before)
    }

    /// The commands that undo the demo. Services go while our controller runs, which frees them; the webhook's configurations go after it, because it keeps
    /// them, and before the webhook, because without it they refuse every change.
    pub fn undo(&self) -> Vec<String> {
        let mut lines = vec![
            format!("kubectl delete namespace {PLACE}"),
            format!("kubectl delete {CONTROLLER} -n {NAMESPACE}"),
            "kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration isbsvc-webhook".to_owned(),
            "kubectl delete --ignore-not-found -k manifests".to_owned(),
        ];
        lines.push(if self.namespace == Owner::Others {
            format!("kubectl delete secret/isbsvc-webhook-tls lease/isbsvc-controller-lock -n {NAMESPACE}")
        } else {
            format!("kubectl delete namespace {NAMESPACE}   # the demo made it; leave it where others have moved in since")
        });
        lines.push(if self.definition == Owner::Others {
            "# the definition of InterStepBufferService is not the demo's alone, and stays; apply Numaflow's own to have that one again"
                .to_owned()
        } else {
            "kubectl delete -k manifests/crd   # takes every buffer service of the cluster with it".to_owned()
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_carries_the_demos_own_mark_is_the_demos() {
        assert_eq!(Owner::told(""), Owner::Nobody);
        assert_eq!(Owner::told("numaflow-system=made\n"), Owner::Demo);
        assert_eq!(Owner::told("numaflow-system="), Owner::Others);
        assert_eq!(Owner::Demo.unless(true), Owner::Others);
        assert_eq!((Owner::Demo.unless(false), Owner::Nobody.unless(true)), (Owner::Demo, Owner::Nobody));
    }

    #[test]
    fn what_was_there_before_or_serves_others_is_not_deleted() {
        for namespace in [Owner::Nobody, Owner::Demo, Owner::Others] {
            for definition in [Owner::Nobody, Owner::Demo, Owner::Others] {
                let undo = Before { namespace, definition }.undo().join("\n");
                let (takes_namespace, takes_definition) = (namespace != Owner::Others, definition != Owner::Others);
                assert_eq!(undo.contains(&format!("delete namespace {NAMESPACE}")), takes_namespace, "{undo}");
                assert_eq!(undo.contains("delete -k manifests/crd"), takes_definition, "{undo}");
            }
        }
    }
}
