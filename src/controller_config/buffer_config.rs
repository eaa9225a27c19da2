use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::ValueError;

#[derive(Clone, Copy)]
enum Form {
    Integer { min: i64, max: i64 },
    Duration,
}

/// Keys that the data plane reads (numaflow `pkg/isbsvc/jetstream_service.go`), in lower case as it writes them, with what they may be.
const KEYS: &[(&str, &[(&str, Form)])] = &[
    ("consumer", &[("ackwait", Form::Duration), ("maxackpending", Form::Integer { min: -1, max: i64::MAX })]),
    ("otbucket", BUCKET),
    ("procbucket", BUCKET),
    (
        "stream",
        &[
            ("duplicates", Form::Duration),
            ("maxage", Form::Duration),
            ("maxbytes", Form::Integer { min: -1, max: i64::MAX }),
            ("maxmsgs", Form::Integer { min: -1, max: i64::MAX }),
            ("replicas", Form::Integer { min: 1, max: 5 }),
            ("retention", Form::Integer { min: 0, max: 2 }),
            ("storage", Form::Integer { min: 0, max: 1 }),
        ],
    ),
];

const BUCKET: &[(&str, Form)] = &[
    ("history", Form::Integer { min: 0, max: 64 }),
    ("maxbytes", Form::Integer { min: -1, max: i64::MAX }),
    ("maxvaluesize", Form::Integer { min: -1, max: i32::MAX as i64 }),
    ("replicas", Form::Integer { min: 1, max: 5 }),
    ("storage", Form::Integer { min: 0, max: 1 }),
    ("ttl", Form::Duration),
];

type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// The text of `status.config.jetstream.streamConfig`: a service's own properties merged over those of the controller configuration, with keys in
/// lower case and sorted, as Numaflow writes it; with fewer than three servers, streams and offset buckets get one replica. Law *same-bytes*: each byte
/// counts.
pub fn stream_config(defaults: &str, own: Option<&str>, servers: i32) -> Result<String, ValueError> {
    let mut merged = parse(defaults)?;
    if let Some(own) = own {
        for (section, values) in parse(own)? {
            merged.entry(section).or_default().extend(values);
        }
    }
    if servers < 3 {
        for section in ["otbucket", "stream"] {
            merged.entry(section.to_owned()).or_default().insert("replicas".to_owned(), "1".to_owned());
        }
    }
    let mut text = String::new();
    for (section, values) in &merged {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{section}:");
        for (key, value) in values {
            let _ = writeln!(text, "  {key}: {value}");
        }
    }
    Ok(text)
}

/// One property of the merged text, such as `maxmsgs` of `stream`. `None` where there is none, or a text cannot be read.
pub fn stream_property(defaults: &str, own: &str, section: &str, key: &str) -> Option<String> {
    [own, defaults].into_iter().find_map(|text| parse(text).ok()?.remove(section)?.remove(key))
}

/// What NATS would refuse of a service's own properties although each is right by itself. `None` where all can be created.
pub fn stream_config_conflict(defaults: &str, own: &str, servers: i32) -> Option<ValueError> {
    let (mut merged, own) = (parse(defaults).ok()?, parse(own).ok()?);
    for (section, name) in [("stream", "stream"), ("otbucket", "otBucket"), ("procbucket", "procBucket")] {
        let replicas: Option<i32> = own.get(section).and_then(|values| values.get("replicas")?.parse().ok());
        // With fewer than three servers there is one replica, whatever was asked for.
        if let Some(replicas) = replicas.filter(|replicas| servers >= 3 && *replicas > servers) {
            return Some(ValueError {
                key: format!("{name}.replicas"),
                message: format!(
                    "{replicas} needs as many servers, and the service has {servers}, so that nothing could be created; use 3"
                ),
            });
        }
    }
    let stream = own.get("stream")?;
    if !(stream.contains_key("duplicates") || stream.contains_key("maxage")) {
        return None;
    }
    merged.entry("stream".to_owned()).or_default().extend(stream.clone());
    let values = merged.get("stream")?;
    let (duplicates, age) = (values.get("duplicates")?, values.get("maxage")?);
    let (window, most) = (nanoseconds(duplicates)?, nanoseconds(age)?);
    // An age of 0 is none.
    (most > 0 && window > most).then(|| ValueError {
        key: "stream.duplicates".to_owned(),
        message: format!("{duplicates} is longer than stream.maxAge {age}, and NATS creates no such stream; use at most {age}"),
    })
}

fn parse(text: &str) -> Result<Sections, ValueError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Sections::new());
    }
    let file: BTreeMap<String, Value> = super::yaml::read(text).map_err(|error| ValueError {
        key: "bufferConfig".to_owned(),
        message: format!("is not YAML: {}", error.to_string().lines().next().unwrap_or_default()),
    })?;
    let mut sections = Sections::new();
    for (name, values) in file {
        let section = name.to_ascii_lowercase();
        let Some((_, keys)) = KEYS.iter().find(|(known, _)| *known == section) else {
            return Err(ValueError { key: name, message: "is not known; it is one of stream, consumer, otBucket, procBucket".to_owned() });
        };
        let values = match values {
            Value::Object(values) => values,
            Value::Null => continue,
            _ => return Err(ValueError { key: name, message: "must be a map of properties".to_owned() }),
        };
        for (key, value) in values {
            let at = format!("{name}.{key}");
            let key = key.to_ascii_lowercase();
            let Some((_, form)) = keys.iter().find(|(known, _)| *known == key) else {
                let known: Vec<_> = keys.iter().map(|(known, _)| *known).collect();
                return Err(ValueError { key: at, message: format!("is not known; remove it (known: {})", known.join(", ")) });
            };
            let value = scalar(&value, *form).map_err(|message| ValueError { key: at, message })?;
            sections.entry(section.clone()).or_default().insert(key, value);
        }
    }
    Ok(sections)
}

fn scalar(value: &Value, form: Form) -> Result<String, String> {
    match (form, value) {
        (Form::Integer { min, max }, Value::Number(number)) => match number.as_i64() {
            Some(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ if max == i64::MAX => Err(format!("{number} must be a whole number from {min}")),
            _ => Err(format!("{number} must be a whole number from {min} to {max}")),
        },
        (Form::Duration, Value::String(text)) if is_go_duration(text) => Ok(text.clone()),
        // A duration without a unit is nanoseconds to the data plane; only 0 is meant so.
        (Form::Duration, Value::Number(number)) if number.as_i64() == Some(0) => Ok("0".to_owned()),
        (Form::Integer { .. }, other) => Err(format!("{other} must be a whole number, without quotes")),
        (Form::Duration, other) => Err(format!("{other} must be a duration with a unit, such as 60s or 72h")),
    }
}

fn is_go_duration(text: &str) -> bool {
    // YAML reads these two as numbers, and writes them in quotes.
    !["0", "+0"].contains(&text) && nanoseconds(text).is_some()
}

/// Go's `time.ParseDuration` (go1.26 `src/time/format.go`), positive values only: one or more decimal numbers, each with a unit; `None` where Go would
/// refuse it, and so above the 292 years that its nanoseconds reach to.
fn nanoseconds(text: &str) -> Option<i64> {
    // Both letters that mean "micro": the sign of its own (U+00B5) and the Greek one (U+03BC).
    const UNITS: [(&str, u64); 8] = [
        ("ns", 1),
        ("us", 1000),
        ("\u{b5}s", 1000),
        ("\u{3bc}s", 1000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut sum: u64 = 0;
    let mut parts = 0;
    while !rest.is_empty() {
        let whole = digits(&mut rest);
        let fraction = rest.strip_prefix('.').map(|after| {
            rest = after;
            digits(&mut rest)
        });
        if whole.is_empty() && fraction.is_none_or(str::is_empty) {
            return None;
        }
        let unit = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, factor) = UNITS.iter().find(|(unit_name, _)| *unit_name == &rest[..unit])?;
        rest = &rest[unit..];
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(*factor)?)?.checked_add(part_of(fraction.unwrap_or_default(), *factor))?;
        parts += 1;
    }
    i64::try_from(sum).ok().filter(|_| parts > 0)
}

/// Takes the digits from the start of a text.
fn digits<'a>(text: &mut &'a str) -> &'a str {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    *text = rest;
    digits
}

/// The whole nanoseconds of a decimal fraction of a unit. Go counts the digits that 63 bits hold, and so do we.
fn part_of(fraction: &str, unit: u64) -> u64 {
    let counted = &fraction[..fraction.len().min(18)];
    // At most 18 digits and the length of an hour: exact in 128 bits, and less than the unit.
    let scale = 10_u128.pow(u32::try_from(counted.len()).unwrap_or(0));
    u64::try_from(counted.parse::<u128>().unwrap_or(0) * u128::from(unit) / scale).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller_config::ControllerConfig;

    fn merged(own: Option<&str>, servers: i32) -> Result<String, ValueError> {
        stream_config(&ControllerConfig::built_in().jetstream.buffer_config, own, servers)
    }

    #[test]
    fn the_default_is_the_text_that_was_observed() {
        let observed = "consumer:\n  ackwait: 60s\n  maxackpending: 25000\notbucket:\n  history: 1\n  maxbytes: 0\n  maxvaluesize: 0\n  replicas: 3\n  storage: 0\n  ttl: 3h\nprocbucket:\n  history: 1\n  maxbytes: 0\n  maxvaluesize: 0\n  replicas: 3\n  storage: 0\n  ttl: 72h\nstream:\n  duplicates: 60s\n  maxage: 72h\n  maxbytes: -1\n  maxmsgs: 100000\n  replicas: 3\n  retention: 0\n  storage: 0\n";
        assert_eq!(merged(None, 3).expect("valid"), observed);
    }

    #[test]
    fn one_value_given_alone_keeps_all_others() {
        let text = merged(Some("stream:\n  maxMsgs: 30000\n"), 3).expect("valid");
        assert!(text.contains("maxmsgs: 30000") && text.contains("maxage: 72h") && text.contains("ackwait: 60s"));
    }

    #[test]
    fn a_single_server_gets_single_replicas() {
        let text = merged(None, 1).expect("valid");
        assert_eq!(text.matches("replicas: 1").count(), 2);
        assert!(
            text.contains("procbucket:\n  history: 1\n  maxbytes: 0\n  maxvaluesize: 0\n  replicas: 3"),
            "the reference leaves procbucket alone"
        );
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (bad, name) in [
            ("streams:\n  maxMsgs: 1\n", "streams"),
            ("stream:\n  maxMessages: 1\n", "stream.maxMessages"),
            ("stream:\n  maxAge: 72\n", "stream.maxAge"),
            ("stream:\n  retention: 3\n", "stream.retention"),
            ("stream:\n  maxAge: \"1h\\nx: y\"\n", "stream.maxAge"),
            ("stream: 3\n", "stream"),
            ("stream: [", "bufferConfig"),
        ] {
            assert_eq!(merged(Some(bad), 3).expect_err(bad).key, name);
        }
    }

    #[test]
    fn durations_are_read_as_go_does() {
        for (text, read) in [
            ("0", Some(0)),
            ("+0", Some(0)),
            ("60s", Some(60_000_000_000)),
            ("+60s", Some(60_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("10us", Some(10_000)),
            ("10\u{b5}s", Some(10_000)),
            ("10\u{3bc}s", Some(10_000)),
            ("1ms1ns", Some(1_000_001)),
            ("0.9ns", Some(0)),
            ("2562047h47m16.854775807s", Some(i64::MAX)),
            ("2562047h47m16.854775808s", None),
            ("2562048h", None),
            ("9223372036854775807ns", Some(i64::MAX)),
            ("9223372036854775808ns", None),
            ("18446744073709551616ns", None),
            ("99999999999999999999h", None),
            ("2562047h2562047h", None),
            ("", None),
            ("+", None),
            ("++1s", None),
            ("-1s", None),
            ("1", None),
            (".s", None),
            ("1..5s", None),
            ("1 s", None),
            ("1d", None),
            ("1mh", None),
            ("1hs", None),
            ("1e3s", None),
        ] {
            assert_eq!(nanoseconds(text), read, "{text}");
        }
        assert!(merged(Some("stream:\n  maxAge: 2562048h\n"), 3).is_err());
        assert!(merged(Some("stream:\n  maxAge: '+0'\n"), 3).is_err());
        assert!(merged(Some("stream:\n  duplicates: +30s\n  maxAge: 90000000\u{b5}s\n"), 3).expect("valid").contains("duplicates: +30s\n"));
    }

    #[test]
    fn what_nats_would_refuse_is_named() {
        let conflict = |own: &str, servers| {
            stream_config_conflict(&ControllerConfig::built_in().jetstream.buffer_config, own, servers).map(|error| error.key)
        };
        for (own, servers, key) in [
            ("stream:\n  replicas: 5\n", 3, Some("stream.replicas")),
            ("stream:\n  replicas: 5\n", 4, Some("stream.replicas")),
            ("stream:\n  replicas: 5\n", 5, None),
            ("stream:\n  replicas: 5\n", 1, None),
            ("otBucket:\n  replicas: 4\n", 3, Some("otBucket.replicas")),
            ("procBucket:\n  replicas: 4\n", 3, Some("procBucket.replicas")),
            ("stream:\n  duplicates: 73h\n", 3, Some("stream.duplicates")),
            ("stream:\n  duplicates: 72h\n", 3, None),
            ("stream:\n  duplicates: 1h30m\n  maxAge: 90m\n", 3, None),
            ("stream:\n  maxAge: 59s\n", 3, Some("stream.duplicates")),
            ("stream:\n  maxAge: 0\n  duplicates: 100h\n", 3, None),
        ] {
            assert_eq!(conflict(own, servers).as_deref(), key, "{own} {servers}");
        }
    }
}
