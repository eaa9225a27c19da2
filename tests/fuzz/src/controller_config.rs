use isbsvc::api::DEFAULT_REPLICAS;
use isbsvc::controller_config::{ControllerConfig, Settings, stream_config};

use crate::is_one_line;

/// The controller configuration: what is taken can be used for a service that says nothing of its own.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let config = match ControllerConfig::parse(text) {
        Ok(config) => config,
        Err(error) => return assert!(is_one_line(&error.to_string()), "{error:?}"),
    };
    assert!(Settings::merged(&config.jetstream.settings, None).is_ok(), "{config:?}");
    assert!(stream_config(&config.jetstream.buffer_config, None, DEFAULT_REPLICAS).is_ok(), "{config:?}");
    for entry in &config.jetstream.versions {
        let found = config.jetstream_version(&entry.version);
        assert_eq!(found, Some(entry), "a version is listed once");
        for needed in [&entry.version, &entry.nats_image, &entry.start_command] {
            assert!(!needed.trim().is_empty(), "{entry:?}");
        }
    }
}
