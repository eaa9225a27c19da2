//! Single values as people read them.

use isbsvc::health::Level;

use crate::terminal::Shade;

/// What is not known.
pub const UNKNOWN: &str = "<unknown>";
/// What is not there.
pub const NONE: &str = "<none>";

/// An age as kubectl writes it: two units below ten of the larger one, one above.
pub fn age(since: Option<jiff::Timestamp>, now: jiff::Timestamp) -> String {
    let Some(since) = since else { return UNKNOWN.to_owned() };
    let seconds = now.as_second().saturating_sub(since.as_second());
    if seconds < 0 {
        return "0s".to_owned();
    }
    let (minute, hour, day, year) = (60, 3600, 86_400, 365 * 86_400);
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
    };
    match seconds {
        s if s < 2 * minute => format!("{s}s"),
        s if s < 10 * minute => two(s / minute, "m", s % minute, "s"),
        s if s < 3 * hour => format!("{}m", s / minute),
        s if s < 8 * hour => two(s / hour, "h", s % hour / minute, "m"),
        s if s < 2 * day => format!("{}h", s / hour),
        s if s < 8 * day => two(s / day, "d", s % day / hour, "h"),
        s if s < 2 * year => format!("{}d", s / day),
        s if s < 8 * year => two(s / year, "y", s % year / day, "d"),
        s => format!("{}y", s / year),
    }
}

/// Bytes with a binary unit, three digits at most before it.
pub fn bytes(bytes: u64) -> String {
    let mut unit = "";
    // Beyond 2^53 a digit may be lost, which nobody sees in three.
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    for larger in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit.is_empty() || value >= 9.95 || (value - value.round()).abs() < 0.05 {
        format!("{value:.0}{unit}")
    } else {
        format!("{value:.1}{unit}")
    }
}

/// A store: in use, of how much.
pub fn disk(disk: crate::model::Disk) -> String {
    match u64::try_from(disk.max) {
        Ok(max) if max > 0 => format!("{}/{}", bytes(disk.used), bytes(max)),
        _ => bytes(disk.used),
    }
}

/// A count that may not be known.
pub fn count(count: Option<impl ToString>) -> String {
    count.map_or_else(|| UNKNOWN.to_owned(), |count| count.to_string())
}

/// A count with its word: `1 stream`, `2 streams`.
pub fn plural(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// A short time, from nanoseconds.
pub fn short_time(nanoseconds: u64) -> String {
    match nanoseconds / 1_000_000 {
        milliseconds @ 0..1000 => format!("{milliseconds} ms"),
        milliseconds => format!("{} s", milliseconds / 1000),
    }
}

/// Yes or no.
pub fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// The word for a level.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Healthy => "Healthy",
        Level::Warning => "Warning",
        Level::Critical => "Critical",
        Level::Unknown => "Unknown",
    }
}

/// The colour of a level.
pub fn shade(level: Level) -> Shade {
    match level {
        Level::Healthy => Shade::Green,
        Level::Warning | Level::Unknown => Shade::Yellow,
        Level::Critical => Shade::Red,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_kubectl_does() {
        let now = jiff::Timestamp::from_second(2_000_000_000).unwrap();
        let ago = |seconds: i64| age(Some(jiff::Timestamp::from_second(2_000_000_000 - seconds).unwrap()), now);
        let ages =
            [0, 119, 120, 150, 599, 600, 10_799, 10_800, 27_000, 28_800, 172_799, 172_800, 180_000, 691_200, 40_000_000, 70_000_000, -5]
                .map(ago);
        assert_eq!(ages.join(" "), "0s 119s 2m 2m30s 9m59s 10m 179m 3h 7h30m 8h 47h 2d 2d2h 8d 462d 2y80d 0s");
        assert_eq!(age(None, now), UNKNOWN);
    }

    #[test]
    fn bytes_are_short() {
        assert_eq!([0, 512, 1024, 1536, 1_048_575, 20 << 30, 1 << 40, u64::MAX].map(bytes).join(" "), "0 512 1Ki 1.5Ki 1Mi 20Gi 1Ti 16Ei");
    }
}
