use isbsvc::api::DEFAULT_REPLICAS;
use isbsvc::controller_config::{stream_config, stream_config_conflict};
use serde_json::Value;

use crate::{BUILT_IN, is_one_line};

/// The buffer properties of a service: what is taken makes a text of known keys and plain values, which says of itself what it says.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let defaults = &BUILT_IN.jetstream.buffer_config;
    if let Some(conflict) = stream_config_conflict(defaults, text, DEFAULT_REPLICAS) {
        assert!(is_one_line(&conflict.to_string()), "{conflict:?}");
    }
    for servers in [1, DEFAULT_REPLICAS] {
        let merged = match stream_config(defaults, Some(text), servers) {
            Ok(merged) => merged,
            Err(error) => {
                assert!(is_one_line(&error.to_string()), "{error:?}");
                continue;
            }
        };
        for line in merged.lines() {
            let (key, value) = line.split_once(':').expect("a key");
            let (name, value) = (key.strip_prefix("  ").unwrap_or(key), value.strip_prefix(' ').unwrap_or(value));
            assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()), "{line:?}");
            assert!(value.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '+', '.', '\u{b5}', '\u{3bc}'].contains(&c)), "{line:?}");
        }
        let read: Value = serde_saphyr::from_str(&merged).expect("YAML");
        assert!(read.as_object().is_some_and(|sections| sections.values().all(Value::is_object)), "{merged}");
        // Law same-bytes: what was written is read as the same, and written as the same again.
        assert_eq!(stream_config(defaults, Some(&merged), servers).as_ref(), Ok(&merged));
    }
}
