//! Fills [`crate::observed`] for one service: by direct reads ([`read`]: the plugin, one-shot reconciliation) or from watch stores
//! (`Stores`: the controller), and from the servers ([`crate::servers`]).

mod direct;
#[cfg(feature = "controller")]
pub(crate) mod hidden;
mod pipelines;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(feature = "controller")]
mod stores;
mod words;

pub use direct::{Options, read, service};
#[cfg(feature = "controller")]
pub use pipelines::Thin;
pub use pipelines::resource as pipeline_resource;
#[cfg(feature = "controller")]
pub use stores::{Stores, thin, thin_child};
pub use words::in_words;

use crate::api::names;

/// Label selector of everything that is made for any service.
pub fn component_selector() -> String {
    format!("{}={}", names::COMPONENT_LABEL, names::COMPONENT)
}

/// Label selector of everything that is made for this service.
pub fn service_selector(service: &str) -> String {
    format!("{},{}={service}", component_selector(), names::NAME_LABEL)
}
