//! Examples of what a rule takes and what it does not.

use serde_json::{Value, json};

use super::Surroundings;
use crate::api::names;
use crate::observed::{Fact, PipelineUse};

/// What one rule is shown by. The texts are YAML of a service without `apiVersion` and `kind`; where they give no name, it is called `default`.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The service as it is; `None` where it is being created.
    pub old: Option<&'static str>,
    /// The service as it would be; `None` where it is being deleted.
    pub new: Option<&'static str>,
    /// Names of the Pipelines that use it.
    pub pipelines: &'static [&'static str],
    /// Whether the rule finds fault with it.
    pub faulty: bool,
}

impl Example {
    const fn of(new: &'static str, faulty: bool) -> Self {
        Self { old: None, new: Some(new), pipelines: &[], faulty }
    }

    /// A service that the rule finds fault with.
    pub(super) const fn bad(new: &'static str) -> Self {
        Self::of(new, true)
    }

    /// A service that the rule takes.
    pub(super) const fn good(new: &'static str) -> Self {
        Self::of(new, false)
    }

    /// A change that the rule finds fault with.
    pub(super) const fn bad_change(old: &'static str, new: &'static str) -> Self {
        Self { old: Some(old), ..Self::of(new, true) }
    }

    /// A change that the rule takes.
    pub(super) const fn good_change(old: &'static str, new: &'static str) -> Self {
        Self { old: Some(old), ..Self::of(new, false) }
    }

    /// A deletion, while these Pipelines use the service; the rule finds fault with it where there are any.
    pub(super) const fn deletion(old: &'static str, pipelines: &'static [&'static str]) -> Self {
        Self { old: Some(old), new: None, pipelines, faulty: !pipelines.is_empty() }
    }

    /// The service as it is, as an object.
    ///
    /// # Errors
    /// Where the text is no YAML.
    pub fn old_object(&self) -> Result<Option<Value>, String> {
        self.old.map(object).transpose()
    }

    /// The service as it would be, as an object.
    ///
    /// # Errors
    /// Where the text is no YAML.
    pub fn new_object(&self) -> Result<Option<Value>, String> {
        self.new.map(object).transpose()
    }

    /// What a deletion is made from.
    pub fn surroundings(&self) -> Surroundings {
        let pipelines = self.pipelines.iter().map(|name| PipelineUse { name: (*name).to_owned(), deleting: false }).collect();
        Surroundings { pipelines: Fact::Known(pipelines), namespace_ends: false }
    }
}

fn object(text: &str) -> Result<Value, String> {
    let mut object: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    object["apiVersion"] = json!(names::API_VERSION);
    object["kind"] = json!(names::KIND);
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = json!("default");
    }
    Ok(object)
}
