use serde_json::Value;

use crate::controller_config::{JetStreamDefaults, JetStreamVersion, image_tag, parse_version};

/// What the containers run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Images {
    pub(super) server: String,
    pub(super) reloader: String,
    pub(super) exporter: String,
    pub(super) command: String,
    release: Option<(u32, u32, u32)>,
}

impl Images {
    /// From the controller configuration.
    pub(in crate::plan) fn listed(entry: &JetStreamVersion) -> Self {
        Self {
            server: entry.nats_image.clone(),
            reloader: entry.config_reloader_image.clone(),
            exporter: entry.metrics_exporter_image.clone(),
            command: entry.start_command.clone(),
            release: entry.release(),
        }
    }

    /// From a pod template, so that a floating version, one that is no longer listed, or one whose image was listed otherwise restarts nothing.
    /// `version` is that of the spec by which the template came to be.
    pub(in crate::plan) fn of(template: &Value, version: Option<&str>, config: &JetStreamDefaults) -> Option<Self> {
        let containers = template["spec"]["containers"].as_array()?;
        let container = |name: &str| containers.iter().find(|container| container["name"] == name);
        let image = |name: &str| container(name).and_then(|container| container["image"].as_str()).unwrap_or_default().to_owned();
        let main = container("main")?;
        let server = main["image"].as_str()?.to_owned();
        let release = release(&server, version, config);
        let command = main["command"][0].as_str()?.to_owned();
        Some(Self { reloader: image("reloader"), exporter: image("metrics"), command, server, release })
    }

    pub(super) fn at_least(&self, release: (u32, u32, u32)) -> bool {
        // An image whose release we cannot read is one of somebody's own making, and those are recent.
        self.release.is_none_or(|own| own >= release)
    }
}

/// The NATS release of an image that runs. The version that the user named says it best: an image may be a digest, or somebody's copy with a tag of its
/// own. A word such as `latest` says nothing of an image that was taken when the word meant another one, so its tag goes before today's list.
fn release(image: &str, version: Option<&str>, config: &JetStreamDefaults) -> Option<(u32, u32, u32)> {
    let listed = || config.versions.iter().find(|entry| Some(entry.version.as_str()) == version);
    let tag = || image_tag(image).and_then(parse_version);
    version.and_then(parse_version).or_else(tag).or_else(|| listed()?.release())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_the_versions_then_the_tags_then_that_of_the_list() {
        let listed = |image: &str| JetStreamDefaults {
            versions: vec![JetStreamVersion { version: "latest".to_owned(), nats_image: image.to_owned(), ..JetStreamVersion::default() }],
            ..JetStreamDefaults::default()
        };
        for (image, version, list, expected) in [
            ("nats:2.12.7", Some("2.12.7"), "", Some((2, 12, 7))),
            ("mirror.example:5000/nats:blue", Some("2.8.3-alpine"), "", Some((2, 8, 3))),
            ("nats@sha256:0123", Some("2.8.3"), "", Some((2, 8, 3))),
            ("nats:2.10.29", Some("latest"), "nats:2.12.7", Some((2, 10, 29))),
            ("nats:2.10.29@sha256:0123", Some("latest"), "nats:2.12.7", Some((2, 10, 29))),
            ("nats@sha256:0123", Some("latest"), "nats:2.12.7", Some((2, 12, 7))),
            ("nats@sha256:0123", Some("latest"), "nats@sha256:0123", None),
            ("mirror.example:5000/nats", None, "nats:2.12.7", None),
        ] {
            assert_eq!(release(image, version, &listed(list)), expected, "{image} {version:?} {list}");
        }
    }
}
