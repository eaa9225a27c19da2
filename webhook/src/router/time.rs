use std::time::Duration;

use isbsvc::limits;

/// Time for a request: what the caller says in `?timeout=10s` (whole seconds, `kubernetes/apiserver` dispatcher), less a margin in which the answer
/// travels.
pub(super) fn allowed(query: Option<&str>, otherwise: Duration) -> Duration {
    let named = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("timeout=")).and_then(parse);
    let time = named.unwrap_or(otherwise).min(limits::REVIEW_TIME_MOST);
    // Of a very short time at least half is for work.
    time.saturating_sub(limits::REVIEW_MARGIN.min(time / 2))
}

fn parse(text: &str) -> Option<Duration> {
    if let Some(number) = text.strip_suffix("ms") {
        return Some(Duration::from_millis(number.parse().ok()?));
    }
    Some(Duration::from_secs(text.strip_suffix('s')?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_time_less_a_margin() {
        let time = |query| allowed(query, Duration::from_secs(10)).as_millis();
        assert_eq!(time(Some("timeout=5s")), 4500);
        assert_eq!(time(Some("a=b&timeout=1s")), 500);
        assert_eq!(time(Some("timeout=300ms")), 150);
        assert_eq!(time(Some("timeout=9999s")), 29_500);
        for unreadable in [None, Some(""), Some("timeout="), Some("timeout=5"), Some("timeout=-5s"), Some("timeout=99999999999999999999s")]
        {
            assert_eq!(time(unreadable), 9500, "{unreadable:?}");
        }
    }
}
