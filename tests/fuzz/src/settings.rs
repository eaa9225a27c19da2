use isbsvc::controller_config::{NatsSize, Settings};

use crate::{BUILT_IN, is_one_line};

/// The settings of a service: what is taken is a size as it was written, so that nothing else gets into the servers' configuration.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let defaults = &BUILT_IN.jetstream.settings;
    let (merged, faults) = (Settings::merged(defaults, Some(text)), Settings::faults(text));
    if let Err(error) = &merged {
        assert!(!faults.is_empty(), "what cannot be used and is no fault: {error:?}");
        assert!(is_one_line(&error.to_string()), "{error:?}");
    }
    let usable = Settings::merged_where_usable(defaults, Some(text)).expect("the built-in settings can be used");
    for settings in merged.iter().chain([&usable]) {
        for size in [&settings.max_payload, &settings.max_memory_store, &settings.max_file_store] {
            assert!(size.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{size:?}");
            assert!(size.text.len() <= 32, "{size:?}");
            assert_eq!(NatsSize::parse(&size.text).as_ref(), Ok(size));
        }
        assert!((1..=64 << 20).contains(&settings.max_payload.bytes));
        assert!(settings.max_memory_store.bytes >= -1 && settings.max_file_store.bytes >= -1);
    }
    if let Ok(merged) = merged {
        assert_eq!(merged, usable, "where all can be used");
    }
}
