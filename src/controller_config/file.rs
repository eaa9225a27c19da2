use serde::Deserialize;

use super::version;

/// The built-in default: the reference's settings, buffer properties and version list (numaflow 63ba4e8c,
/// `config/base/controller-manager/numaflow-controller-config.yaml`).
const BUILT_IN: &str = include_str!("built_in.yaml");

/// The controller configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", super::tame(.0))]
pub struct ConfigError(String);

/// The controller configuration, every missing section filled from the built-in default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerConfig {
    /// Name of the controller instance; empty for the one without a name.
    pub instance: String,
    /// Defaults of `JetStream` services.
    pub jetstream: JetStreamDefaults,
    /// Defaults of Redis services.
    pub redis: RedisDefaults,
}

/// Defaults of `JetStream` services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStreamDefaults {
    /// NATS settings as YAML text.
    pub settings: String,
    /// Properties of streams, consumers and buckets as YAML text.
    pub buffer_config: String,
    /// Versions that may be asked for.
    pub versions: Vec<JetStreamVersion>,
}

/// One `JetStream` version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JetStreamVersion {
    /// What users write.
    pub version: String,
    /// Image of the NATS server.
    pub nats_image: String,
    /// Image of the Prometheus exporter; empty leaves the container out.
    pub metrics_exporter_image: String,
    /// Image of the configuration reloader; empty leaves the container out.
    pub config_reloader_image: String,
    /// Path of the server in its image.
    pub start_command: String,
}

impl JetStreamVersion {
    /// The NATS release that runs: from the version, or from the image's tag where the version is a word such as `latest`.
    pub fn release(&self) -> Option<(u32, u32, u32)> {
        version::parse(&self.version).or_else(|| version::parse(version::image_tag(&self.nats_image)?))
    }
}

/// Defaults of Redis services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisDefaults {
    /// Configuration texts.
    pub settings: crate::api::RedisSettings,
    /// Versions that may be asked for.
    pub versions: Vec<RedisVersion>,
}

/// One Redis version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisVersion {
    /// What users write.
    pub version: String,
    /// Image of Redis.
    pub redis_image: String,
    /// Image of the Sentinel.
    pub sentinel_image: String,
    /// Image of the Prometheus exporter; empty leaves the container out.
    pub redis_exporter_image: String,
    /// Image of the init container.
    pub init_container_image: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    instance: Option<String>,
    isbsvc: Option<Section>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Section {
    jetstream: Option<JetStreamSection>,
    redis: Option<RedisDefaults>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JetStreamSection {
    settings: Option<String>,
    buffer_config: Option<String>,
    versions: Option<Vec<JetStreamVersion>>,
}

impl ControllerConfig {
    /// The configuration that holds where there is no `ConfigMap`.
    pub fn built_in() -> Self {
        // The text is part of the program, and a test reads it.
        Self::from_text(BUILT_IN, None).unwrap_or_else(|_| Self {
            instance: String::new(),
            jetstream: JetStreamDefaults::default(),
            redis: RedisDefaults::default(),
        })
    }

    /// Reads `controller-config.yaml`; a section that is not there comes from [`Self::built_in`]. Fields that we do not know are left to those who do.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::from_text(text, Some(Self::built_in()))
    }

    fn from_text(text: &str, fallback: Option<Self>) -> Result<Self, ConfigError> {
        let file: File = if text.trim().is_empty() {
            File::default()
        } else {
            serde_saphyr::from_str(text).map_err(|error| ConfigError(one_line(&error.to_string())))?
        };
        let section = file.isbsvc.unwrap_or_default();
        let jetstream = section.jetstream.unwrap_or_default();
        let (base, base_redis) = fallback.map(|base| (base.jetstream, base.redis)).unwrap_or_default();
        let config = Self {
            instance: file.instance.unwrap_or_default(),
            jetstream: JetStreamDefaults {
                settings: jetstream.settings.unwrap_or(base.settings),
                buffer_config: jetstream.buffer_config.unwrap_or(base.buffer_config),
                versions: jetstream.versions.unwrap_or(base.versions),
            },
            redis: section.redis.unwrap_or(base_redis),
        };
        config.validated()
    }

    fn validated(self) -> Result<Self, ConfigError> {
        let mut seen = std::collections::BTreeSet::new();
        for (index, entry) in self.jetstream.versions.iter().enumerate() {
            let at = format!("isbsvc.jetstream.versions[{index}]");
            for (field, value) in [("version", &entry.version), ("natsImage", &entry.nats_image), ("startCommand", &entry.start_command)] {
                if value.trim().is_empty() {
                    return Err(ConfigError(format!("{at}.{field} is empty; name it, or take the entry out")));
                }
            }
            if !seen.insert(entry.version.as_str()) {
                return Err(ConfigError(format!("{at}.version {} is listed twice; keep one", entry.version)));
            }
        }
        super::Settings::merged(&self.jetstream.settings, None)
            .map_err(|error| ConfigError(format!("isbsvc.jetstream.settings: {error}")))?;
        super::stream_config(&self.jetstream.buffer_config, None, crate::api::DEFAULT_REPLICAS)
            .map_err(|error| ConfigError(format!("isbsvc.jetstream.bufferConfig: {error}")))?;
        Ok(self)
    }

    /// The entry of a `JetStream` version, where it is listed.
    pub fn jetstream_version(&self, version: &str) -> Option<&JetStreamVersion> {
        self.jetstream.versions.iter().find(|entry| entry.version == version)
    }
}

/// An error of the YAML reader without its picture of the source, which would not fit one line.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_configuration_is_the_references() {
        let config = ControllerConfig::from_text(BUILT_IN, None).expect("part of the program");
        assert_eq!(config, ControllerConfig::built_in());
        assert_eq!(config.jetstream.versions.len(), 15);
        let latest = config.jetstream_version("latest").expect("listed");
        assert_eq!(latest.nats_image, "nats:2.12.7");
        assert_eq!(latest.release(), Some((2, 12, 7)));
    }

    #[test]
    fn a_missing_section_comes_from_the_built_in_configuration() {
        let config =
            ControllerConfig::parse("instance: blue\nisbsvc:\n  jetstream:\n    settings: |\n      max_payload: 2097152\n").expect("valid");
        assert_eq!(config.instance, "blue");
        assert_eq!(config.jetstream.versions, ControllerConfig::built_in().jetstream.versions);
        assert!(config.jetstream.settings.contains("2097152"));
    }

    #[test]
    fn a_bad_configuration_is_one_line() {
        for (text, part) in [
            ("isbsvc: [", ""),
            ("isbsvc:\n  jetstream:\n    versions:\n    - version: 2.12.7\n", "natsImage"),
            ("isbsvc:\n  jetstream:\n    settings: |\n      store_dir: /tmp\n", "store_dir"),
        ] {
            let error = ControllerConfig::parse(text).expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
    }
}
