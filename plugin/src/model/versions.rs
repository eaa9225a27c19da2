//! Versions: the model behind `version`.

use serde::Serialize;

use super::API_VERSION;

/// What runs, in which version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// Version of this form.
    pub api_version: &'static str,
    /// `Versions`.
    pub kind: &'static str,
    /// One a row.
    pub components: Vec<Component>,
}

/// Something with a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Component {
    /// What it is.
    pub component: String,
    /// Its version; `None` where it is not installed or cannot be read.
    pub version: Option<String>,
    /// Where the version was read.
    pub source: String,
}

impl Versions {
    /// A list that starts with this program.
    pub fn of_client() -> Self {
        let client = Component {
            component: "plugin".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            source: "this program".to_owned(),
        };
        Self { api_version: API_VERSION, kind: "Versions", components: vec![client] }
    }
}
