//! The controller configuration (`ConfigMap` `numaflow-controller-config`, key `controller-config.yaml`): which versions exist, and the settings
//! and buffer properties that hold where a service names none.

mod buffer_config;
mod file;
mod quantity;
mod settings;
mod version;

pub use buffer_config::{stream_config, stream_config_conflict, stream_property};
pub use file::{ConfigError, ControllerConfig, JetStreamDefaults, JetStreamVersion, RedisDefaults, RedisVersion};
pub use quantity::{NatsSize, NoSize, quantity_bytes, quantity_thousandths};
pub use settings::{Settings, SettingsFault};
pub use version::{newest_fixed, parse as parse_version};

/// Where a value that is embedded as text cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct ValueError {
    /// The key in the text, such as `max_payload` or `stream.replicas`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}
