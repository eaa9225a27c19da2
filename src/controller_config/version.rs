use super::{ControllerConfig, JetStreamVersion};

/// Major, minor and patch of `2.12.7`, `v2.12.7` or `2.8.1-alpine`; `None` for a word.
pub fn parse(text: &str) -> Option<(u32, u32, u32)> {
    let core = text.strip_prefix('v').unwrap_or(text).split(['-', '+']).next()?;
    let mut parts = core.split('.').map(str::parse);
    let parsed = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    parts.next().is_none().then_some(parsed)
}

/// The tag of an image, also of one that is pinned to a digest.
pub fn image_tag(image: &str) -> Option<&str> {
    image.split('@').next()?.rsplit_once(':').map(|(_, tag)| tag)
}

/// The newest version with a number of its own, which is what a new service should ask for; one without a suffix wins over one with.
pub fn newest_fixed(config: &ControllerConfig) -> Option<&JetStreamVersion> {
    config
        .jetstream
        .versions
        .iter()
        .filter_map(|entry| Some((parse(&entry.version)?, !entry.version.contains('-'), entry)))
        .max_by_key(|(release, plain, _)| (*release, *plain))
        .map(|(_, _, entry)| entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse("2.8.1-alpine"), Some((2, 8, 1)));
        assert!(parse("2.10.29") > parse("2.9.15"));
        assert_eq!(parse("latest"), None);
        assert_eq!(parse("2.12"), None);
    }

    #[test]
    fn the_newest_is_never_a_floating_one() {
        let config = ControllerConfig::built_in();
        assert_eq!(newest_fixed(&config).map(|entry| entry.version.as_str()), Some("2.12.7"));
    }
}
