//! The objects of a `JetStream` service.

mod baseline;
mod budget;
mod carry;
mod config_map;
mod images;
mod metadata;
mod secrets;
mod server_config;
mod service;
mod stateful_set;
mod twice;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(super) use baseline::{Baseline, Ran, Text, next as baseline};
pub(super) use budget::budget;
pub(super) use config_map::config_map;
pub(super) use images::Images;
pub(super) use secrets::{CLUSTER_PAIR, SERVER_PAIR, key_is_no_text, needs, present, secrets, unreadable_users};
pub(super) use server_config::{CLIENT_FILES, server_config};
pub(super) use service::service;
pub(super) use stateful_set::{pod_labels, stateful_set};
pub(super) use twice::{MEMORY_LIMIT, applicable, may_stand_twice};

use crate::api::{InterStepBufferService, JetStreamBufferService};
use crate::controller_config::{Settings, quantity_bytes};

/// One service with everything that its objects are made from.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// Whose objects they are.
    pub service: &'a InterStepBufferService,
    /// The spec that is carried out: the accepted one, where a newer one is refused.
    pub spec: &'a JetStreamBufferService,
    /// Settings, merged.
    pub settings: &'a Settings,
}

impl Subject<'_> {
    fn name(&self) -> &str {
        self.service.name()
    }

    fn namespace(&self) -> &str {
        self.service.namespace_or_empty()
    }

    /// File store, as NATS reads it: no more than the volume holds unless the user says otherwise, because a full disk turns `JetStream` off until a
    /// restart.
    fn max_file_store(&self) -> String {
        let volume = self.spec.persistence.as_ref().and_then(|persistence| quantity_bytes(&persistence.volume_size()));
        match self.settings.file_store_bytes(volume) {
            bytes if bytes == self.settings.max_file_store.bytes => self.settings.max_file_store.text.clone(),
            bytes => bytes.to_string(),
        }
    }
}

/// Hex SHA-256 of a value's JSON, whose keys are sorted.
pub(super) fn hash(value: &Value) -> String {
    digest(&value.to_string())
}

/// Hex SHA-256 of a text.
fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(text);
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
