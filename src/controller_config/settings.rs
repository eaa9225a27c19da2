use std::collections::BTreeMap;

use serde_json::Value;

use super::{NatsSize, ValueError};

/// The NATS settings of a service. Each text is safe to write into a configuration: it was read as a size, so it holds no quote, brace or newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Largest message, bytes.
    pub max_payload: NatsSize,
    /// Memory store, bytes; -1 for NATS's own choice of 75 % of memory.
    pub max_memory_store: NatsSize,
    /// File store, bytes; -1 for NATS's own choice of 75 % of the free disk.
    pub max_file_store: NatsSize,
    /// Whether the user named `max_file_store`.
    pub own_max_file_store: bool,
}

const KEYS: [&str; 3] = ["max_payload", "max_memory_store", "max_file_store"];

impl Settings {
    /// Merges a service's own text over that of the controller configuration; a key that is given alone keeps all others.
    pub fn merged(defaults: &str, own: Option<&str>) -> Result<Self, ValueError> {
        let mut merged = parse(defaults)?;
        let own = own.map(parse).transpose()?.unwrap_or_default();
        let own_max_file_store = own.contains_key("max_file_store");
        merged.extend(own);
        let mut take = |key: &str, fallback: &str| {
            merged
                .remove(key)
                .or_else(|| NatsSize::parse(fallback))
                .ok_or_else(|| ValueError { key: key.to_owned(), message: "is missing".to_owned() })
        };
        Ok(Self {
            max_payload: take("max_payload", "1048576")?,
            max_memory_store: take("max_memory_store", "-1")?,
            max_file_store: take("max_file_store", "1TB")?,
            own_max_file_store,
        })
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, NatsSize>, ValueError> {
    let all = |message: String| ValueError { key: "settings".to_owned(), message };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(BTreeMap::new());
    }
    let map: BTreeMap<String, Value> = serde_saphyr::from_str(text).map_err(|error| {
        all(format!("is not YAML of the form \"key: value\": {}", error.to_string().lines().next().unwrap_or_default()))
    })?;
    let mut sizes = BTreeMap::new();
    for (key, value) in map {
        // The reference reads keys without regard to case.
        let key = key.to_ascii_lowercase();
        if !KEYS.contains(&key.as_str()) {
            return Err(ValueError { key, message: format!("is not supported; remove it (supported: {})", KEYS.join(", ")) });
        }
        let text = match &value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let size = NatsSize::parse(&text).ok_or_else(|| ValueError {
            key: key.clone(),
            message: format!("{text:?} is not a size; write bytes, or a number with K, M, G or T, such as 20G"),
        })?;
        let lowest = if key == "max_payload" { 1 } else { -1 };
        if size.bytes < lowest {
            return Err(ValueError { key, message: format!("{} is below {lowest}", size.text) });
        }
        if key == "max_payload" && size.bytes > 64 << 20 {
            return Err(ValueError { key, message: format!("{} is above 64 MB, the most that NATS takes", size.text) });
        }
        sizes.insert(key, size);
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = "max_payload: 1048576\nmax_memory_store: -1\nmax_file_store: 1TB\n";

    #[test]
    fn one_value_given_alone_keeps_all_others() {
        let settings = Settings::merged(DEFAULTS, Some("max_file_store: 20G\n")).expect("valid");
        assert_eq!(settings.max_payload.text, "1048576");
        assert_eq!(settings.max_file_store.text, "20G");
        assert!(settings.own_max_file_store);
    }

    #[test]
    fn nothing_can_be_injected() {
        for bad in [
            "max_payload: \"1}\\nauthorization {\"",
            "max_payload: [1]",
            "max_file_store: '1 include x'",
            "include: ./x",
            "max_payload: 0",
            "max_payload: 65MB",
        ] {
            assert!(Settings::merged(DEFAULTS, Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_comment_alone_is_no_setting() {
        assert!(Settings::merged(DEFAULTS, Some("# nothing\n")).is_ok());
    }
}
