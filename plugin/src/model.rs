//! What is shown, as data. JSON and YAML are these values; text is drawn from them; so they cannot disagree.

pub mod description;
pub mod difference;
pub mod list;
pub mod status;
mod status_parts;
mod streams;
pub mod versions;

use serde::Serialize;

pub use status_parts::{Condition, Disk, EventCounts, EventLine, Gap, Meta, MetaPeer, Pipeline, ServerRow, Storage, Summary, Volume};
pub use streams::Streams;

/// `apiVersion` of everything that the plugin prints as data.
pub const API_VERSION: &str = "cli.isbsvc.numaproj.io/v1alpha1";

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Name of the service.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// When it was looked at; ages in the text count to here.
    pub observed_at: jiff::Timestamp,
}
