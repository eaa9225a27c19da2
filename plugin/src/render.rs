//! Models as text, JSON and YAML. Nothing here decides anything; text from the cluster is cleaned here.

pub mod cells;
pub mod description;
pub mod difference;
pub mod list;
pub mod status;
pub mod table;
pub mod text_lines;
pub mod versions;

use serde::Serialize;

use crate::exit::Failure;
use crate::terminal::clean_lines;

/// A model as JSON, with a line end.
pub fn json(model: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(model).map_err(|error| Failure::no_answer(format!("cannot write JSON: {error}")))?;
    Ok(clean_lines(&text) + "\n")
}

/// A model as YAML, with a line end.
pub fn yaml(model: &impl Serialize) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(model).map_err(|error| Failure::no_answer(format!("cannot write YAML: {error}")))?;
    let text = clean_lines(&text);
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

/// Several objects as YAML documents.
pub fn yaml_documents(objects: &[serde_json::Value]) -> Result<String, Failure> {
    let documents: Result<Vec<_>, _> = objects.iter().map(yaml).collect();
    Ok(documents?.join("---\n"))
}
