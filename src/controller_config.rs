//! The controller configuration (`ConfigMap` `numaflow-controller-config`, key `controller-config.yaml`): which versions exist, and the settings
//! and buffer properties that hold where a service names none.

mod buffer_config;
mod file;
mod quantity;
mod settings;
mod version;
mod yaml;

pub use buffer_config::{stream_config, stream_config_conflict, stream_property};
pub use file::{ConfigError, ControllerConfig, JetStreamDefaults, JetStreamVersion, RedisDefaults, RedisVersion};
pub use quantity::{NatsSize, NoSize, quantity_bytes, quantity_thousandths};
pub use settings::{Settings, SettingsFault};
pub use version::{image_tag, newest_fixed, parse as parse_version};

/// Where a value that is embedded as text cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", tame(&format!("{key}: {message}")))]
pub struct ValueError {
    /// The key in the text, such as `max_payload` or `stream.replicas`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A text without control characters: it may quote a key of somebody's, and a line of log is one line.
pub(crate) fn tame(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_line_break_makes_no_second_line() {
        let errors = [
            Settings::merged("", Some("\"a\\nb\": 1")).expect_err("no such key").to_string(),
            stream_config("", Some("\"a\\u001bb\": 1"), 3).expect_err("no such section").to_string(),
            ControllerConfig::parse("isbsvc: { jetstream: { settings: \"{'a\\nb': 1}\" } }").expect_err("no such key").to_string(),
            crate::rules::Policy::parse("rules: { \"a\\tb\": warn }").expect_err("no such rule").to_string(),
        ];
        for error in errors {
            assert!(error.contains('b') && !error.contains(char::is_control), "{error:?}");
        }
    }
}
