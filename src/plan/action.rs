use serde_json::Value;

/// Kinds of objects that are made for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    /// `v1` Secret.
    Secret,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `v1` Service.
    Service,
    /// `apps/v1` `StatefulSet`.
    StatefulSet,
    /// `policy/v1` `PodDisruptionBudget`.
    PodDisruptionBudget,
    /// `v1` `PersistentVolumeClaim`.
    PersistentVolumeClaim,
}

impl ChildKind {
    /// `apiVersion` of the kind.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::StatefulSet => "apps/v1",
            Self::PodDisruptionBudget => "policy/v1",
            Self::Secret | Self::ConfigMap | Self::Service | Self::PersistentVolumeClaim => "v1",
        }
    }

    /// `kind`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::StatefulSet => "StatefulSet",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
        }
    }

    /// Name of the resource in URLs and RBAC.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
            Self::Service => "services",
            Self::StatefulSet => "statefulsets",
            Self::PodDisruptionBudget => "poddisruptionbudgets",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
        }
    }
}

/// What must hold at the server when a write arrives; where it does not, the write fails with a conflict and the service is looked at anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The object that was seen, and no other of the same name.
    pub uid: Option<String>,
    /// The version that was seen.
    pub resource_version: Option<String>,
}

/// One write. Everything is decided already.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make an object that must not exist yet (POST); one that exists is a conflict. Secrets are made so, so that no key is ever overwritten.
    Create {
        /// What it is.
        kind: ChildKind,
        /// Its name.
        name: String,
        /// The whole object.
        object: Value,
    },
    /// Server-side apply with force by [`crate::api::names::CHILDREN_MANAGER`].
    Apply {
        /// What it is.
        kind: ChildKind,
        /// Its name.
        name: String,
        /// Every field that we own.
        object: Value,
        /// What was seen; empty where the object is not there yet.
        precondition: Precondition,
        /// What differs, as JSON pointers, for people.
        changed: Vec<String>,
    },
    /// JSON patch of single places, for what server-side apply cannot say: keys beside those that are there, lists that somebody else added to.
    Patch {
        /// What it is.
        kind: ChildKind,
        /// Its name.
        name: String,
        /// Places, in order.
        places: Vec<Place>,
        /// What was seen; the resourceVersion always, so that nothing that came in between is overwritten.
        precondition: Precondition,
    },
    /// Delete an object, background propagation.
    Delete {
        /// What it is.
        kind: ChildKind,
        /// Its name.
        name: String,
        /// What was seen.
        precondition: Precondition,
    },
    /// JSON patch on the service's finalizers, with the resourceVersion that was seen.
    SetFinalizers {
        /// The whole list as it should be.
        finalizers: Vec<String>,
        /// What was seen.
        precondition: Precondition,
    },
    /// Server-side apply of the status by [`crate::api::names::STATUS_MANAGER`], with force.
    ApplyStatus {
        /// The whole status.
        status: Value,
    },
}

impl Action {
    /// Kind of the object, where it is one that was made for the service.
    pub fn child(&self) -> Option<ChildKind> {
        match self {
            Self::Create { kind, .. } | Self::Apply { kind, .. } | Self::Patch { kind, .. } | Self::Delete { kind, .. } => Some(*kind),
            Self::SetFinalizers { .. } | Self::ApplyStatus { .. } => None,
        }
    }
}

/// One place of a JSON patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// JSON pointer; its parent exists.
    pub pointer: String,
    /// What should stand there; `None` takes the place away.
    pub value: Option<Value>,
}

/// Level of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// All went well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Something to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Level.
    pub type_: EventType,
    /// One word in `CamelCase`, at most 128 characters.
    pub reason: &'static str,
    /// At most 1 kB; cut by whoever publishes it.
    pub note: String,
}
