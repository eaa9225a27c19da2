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

/// What is wrong with a service's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsFault {
    /// The text as a whole cannot be read.
    Text(String),
    /// A key that a service may not set.
    Key(ValueError),
    /// A value that is no size, or one that NATS does not take.
    Value(ValueError),
}

const KEYS: [&str; 3] = ["max_payload", "max_memory_store", "max_file_store"];

impl Settings {
    /// Merges a service's own text over that of the controller configuration; a key that is given alone keeps all others.
    pub fn merged(defaults: &str, own: Option<&str>) -> Result<Self, ValueError> {
        Self::of(parse(defaults)?, own.map(parse).transpose()?.unwrap_or_default())
    }

    /// What a service runs with whose text was taken before these rules were asked: as [`Self::merged`], but what cannot be used is left out, as the
    /// reference does. `None` where the controller configuration itself cannot be used.
    pub fn merged_where_usable(defaults: &str, own: Option<&str>) -> Option<Self> {
        let own = own.and_then(|text| read(text).ok()).unwrap_or_default();
        let usable = own.iter().filter_map(|(key, value)| size(key, value).ok()).collect();
        Self::of(parse(defaults).ok()?, usable).ok()
    }

    /// Everything that is wrong with a service's own text.
    pub fn faults(own: &str) -> Vec<SettingsFault> {
        let values = match read(own) {
            Ok(values) => values,
            Err(error) => return vec![SettingsFault::Text(error.message)],
        };
        let fault = |(key, value): (&String, &Value)| {
            let error = size(key, value).err()?;
            Some(if is_known(key) { SettingsFault::Value(error) } else { SettingsFault::Key(error) })
        };
        let twice = values.keys().filter(|key| values.keys().any(|other| other < *key && other.eq_ignore_ascii_case(key)));
        let twice =
            twice.map(|key| SettingsFault::Key(ValueError { key: key.clone(), message: "is given twice; keep one line".to_owned() }));
        values.iter().filter_map(fault).chain(twice).collect()
    }

    /// The file store in bytes where the servers have a volume of so many: what the user set, otherwise no more than nineteen twentieths of the volume.
    /// -1 means that NATS chooses.
    pub fn file_store_bytes(&self, volume: Option<u64>) -> i64 {
        let asked = self.max_file_store.bytes;
        // A twentieth stays free for the file system's own needs and for the raft logs, which NATS does not count.
        let most = volume.and_then(|volume| i64::try_from(volume - volume / 20).ok());
        match most.filter(|_| !self.own_max_file_store) {
            Some(most) if asked < 0 || asked > most => most,
            _ => asked,
        }
    }

    fn of(mut merged: BTreeMap<String, NatsSize>, own: BTreeMap<String, NatsSize>) -> Result<Self, ValueError> {
        let own_max_file_store = own.contains_key("max_file_store");
        merged.extend(own);
        let mut take = |key: &str, fallback: &str| {
            merged
                .remove(key)
                .or_else(|| NatsSize::parse(fallback).ok())
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
    read(text)?.iter().map(|(key, value)| size(key, value)).collect()
}

fn read(text: &str) -> Result<BTreeMap<String, Value>, ValueError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(BTreeMap::new());
    }
    super::yaml::read(text).map_err(|error| ValueError {
        key: "settings".to_owned(),
        message: format!("is not YAML of the form \"key: value\": {}", error.to_string().lines().next().unwrap_or_default()),
    })
}

/// The reference reads keys without regard to case.
fn is_known(key: &str) -> bool {
    KEYS.iter().any(|known| known.eq_ignore_ascii_case(key))
}

fn size(key: &str, value: &Value) -> Result<(String, NatsSize), ValueError> {
    let known = is_known(key);
    let key = key.to_ascii_lowercase();
    if !known {
        return Err(ValueError { key, message: format!("is not supported; remove it (supported: {})", KEYS.join(", ")) });
    }
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let size = NatsSize::parse(&text).map_err(|why| ValueError { key: key.clone(), message: format!("{text:?} {why}") })?;
    let lowest = if key == "max_payload" { 1 } else { -1 };
    if size.bytes < lowest {
        return Err(ValueError { key, message: format!("{} is below {lowest}", size.text) });
    }
    if key == "max_payload" && size.bytes > 64 << 20 {
        return Err(ValueError { key, message: format!("{} is above 64 MB, the most that NATS takes", size.text) });
    }
    Ok((key, size))
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
    fn what_is_no_size_is_one_line_that_says_what_to_write() {
        for (text, words) in [
            ("max_file_store: lots", "max_file_store: \"lots\" is not a size; write bytes, or a number with K, M, G or T, such as 20G"),
            ("max_file_store: 8EiB", "max_file_store: \"8EiB\" is more than NATS can count; write at most 9223372036854775807 bytes"),
        ] {
            assert_eq!(Settings::merged(DEFAULTS, Some(text)).expect_err(text).to_string(), words);
        }
        assert_eq!(Settings::merged(DEFAULTS, Some("max_file_store: 2PB")).expect("valid").max_file_store.bytes, 2 << 50);
    }

    #[test]
    fn of_what_was_taken_before_the_usable_part_counts() {
        let usable = |own| Settings::merged_where_usable(DEFAULTS, Some(own)).expect("the defaults can be used");
        assert_eq!(usable("store_dir: /tmp\nmax_payload: 4MB\nmax_file_store: lots\n").max_payload.bytes, 4 << 20);
        assert_eq!(usable("max_payload: [").max_payload.bytes, 1 << 20);
        assert_eq!(Settings::merged_where_usable("x: 1", None), None);
    }

    #[test]
    fn a_file_store_fits_the_volume_unless_the_user_says_otherwise() {
        let bytes = |own, volume| Settings::merged(DEFAULTS, own).expect("valid").file_store_bytes(volume);
        assert_eq!(bytes(None, Some(1000)), 950);
        assert_eq!(bytes(None, Some(2 << 40)), 1 << 40);
        assert_eq!(bytes(None, None), 1 << 40);
        assert_eq!(bytes(Some("max_file_store: 2000\n"), Some(1000)), 2000);
        assert_eq!(bytes(Some("max_payload: 2000\n"), Some(1000)), 950);
        // The controller configuration's own number may be that of the volume, or leave it less than the twentieth.
        for (default, limit) in [(-1, 950), (0, 0), (949, 949), (950, 950), (951, 950), (1000, 950), (1001, 950)] {
            let settings = Settings::merged(&format!("max_file_store: {default}\n"), None).expect("valid");
            assert_eq!(settings.file_store_bytes(Some(1000)), limit, "{default}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let faults = |text| Settings::faults(text).iter().map(|fault| format!("{fault:?}")).collect::<Vec<_>>();
        assert_eq!(faults("max_payload: 1MB\n"), Vec::<String>::new());
        for (text, kinds) in [
            ("store_dir: /tmp\nmax_file_store: lots\nport: 1\n", vec!["Value", "Key", "Key"]),
            ("max_payload: 1MB\nMAX_PAYLOAD: 2MB\n", vec!["Key"]),
            ("[", vec!["Text"]),
            ("- a\n", vec!["Text"]),
        ] {
            let faults = faults(text);
            assert_eq!(faults.len(), kinds.len(), "{faults:?}");
            assert!(faults.iter().zip(&kinds).all(|(fault, kind)| fault.starts_with(kind)), "{faults:?}");
        }
    }

    #[test]
    fn a_comment_alone_is_no_setting() {
        assert!(Settings::merged(DEFAULTS, Some("# nothing\n")).is_ok());
    }
}
