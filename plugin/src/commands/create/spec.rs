use std::path::PathBuf;

use clap::{Args, ValueEnum};
use isbsvc::api::names;
use serde_json::{Map, Value, json};

use super::external::External;
use crate::args::pair;
use crate::exit::Failure;
use crate::services;

/// What a new service shall be.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "The service")]
pub struct Spec {
    /// What it runs on
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    pub type_: Option<Type>,
    /// Version, one of the controller configuration; the newest fixed one where it is left out
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Servers: 1, or an odd number from 3 [default: 3]
    #[arg(long, value_name = "NUMBER", value_parser = number, allow_negative_numbers = true)]
    pub replicas: Option<i32>,
    /// Give each server a volume, with the defaults of the flags below
    #[arg(long)]
    pub persistence: bool,
    /// Size of each volume; asks for volumes [default: 20Gi]
    #[arg(long, value_name = "QUANTITY", allow_hyphen_values = true)]
    pub volume_size: Option<String>,
    /// Storage class of the volumes; asks for volumes [default: that of the cluster]
    #[arg(long, value_name = "NAME")]
    pub storage_class: Option<String>,
    /// Access mode of the volumes; asks for volumes [default: `ReadWriteOnce`]
    #[arg(long, value_name = "MODE")]
    pub access_mode: Option<String>,
    /// Encrypt messages at rest; cannot be changed later
    #[arg(long)]
    pub encryption: bool,
    /// TLS between servers and to clients; cannot be changed later
    #[arg(long)]
    pub tls: bool,
    /// A NATS setting (`max_payload`, `max_memory_store`, `max_file_store`); may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub settings: Vec<(String, String)>,
    /// A file with the properties of streams, consumers and buckets (YAML)
    #[arg(long, value_name = "FILE")]
    pub buffer_config: Option<PathBuf>,
    /// CPU that each server requests
    #[arg(long, value_name = "QUANTITY", allow_hyphen_values = true)]
    pub cpu_request: Option<String>,
    /// CPU that each server may use
    #[arg(long, value_name = "QUANTITY", allow_hyphen_values = true)]
    pub cpu_limit: Option<String>,
    /// Memory that each server requests
    #[arg(long, value_name = "QUANTITY", allow_hyphen_values = true)]
    pub memory_request: Option<String>,
    /// Memory that each server may use
    #[arg(long, value_name = "QUANTITY", allow_hyphen_values = true)]
    pub memory_limit: Option<String>,
    /// A label of the service; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub label: Vec<(String, String)>,
    /// An annotation of the service; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub annotation: Vec<(String, String)>,
    /// Where an external Redis is.
    #[command(flatten)]
    pub external: External,
}

/// What a service can run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Type {
    /// NATS `JetStream`.
    #[default]
    Jetstream,
    /// A Redis that exists already.
    RedisExternal,
}

fn number(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| "write a whole number".to_owned())
}

impl Spec {
    /// Whether it is of a type that has a version.
    pub fn has_version(&self) -> bool {
        self.type_ != Some(Type::RedisExternal)
    }

    /// The object, with nothing in it that was not asked for.
    pub fn object(&self, name: &str, version: &str) -> Result<Value, Failure> {
        let spec = if self.type_ == Some(Type::RedisExternal) {
            json!({ "redis": { "external": self.alone()?.external.object() } })
        } else if self.external == External::default() {
            json!({ "jetstream": self.jetstream(version)? })
        } else {
            return Err(Failure::no_answer(
                "--url, --sentinel-url, --master-name, --redis-user and the flags of passwords are of --type redis-external",
            ));
        };
        let mut metadata = json!({ "name": name });
        for (field, pairs) in [("labels", &self.label), ("annotations", &self.annotation)] {
            if !pairs.is_empty() {
                metadata[field] = pairs.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect::<Map<_, _>>().into();
            }
        }
        Ok(json!({ "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": metadata, "spec": spec }))
    }

    /// The same, where no flag says something that an external Redis does not have.
    fn alone(&self) -> Result<&Self, Failure> {
        let Self { type_, label, annotation, external, .. } = self.clone();
        if *self == (Self { type_, label, annotation, external, ..Self::default() }) {
            return Ok(self);
        }
        Err(Failure::no_answer(
            "an external Redis runs as it is: of the flags that describe the service, only --label, --annotation and those of an external Redis go with \
             --type redis-external",
        ))
    }

    fn jetstream(&self, version: &str) -> Result<Value, Failure> {
        let mut jetstream = json!({ "version": version });
        if let Some(replicas) = self.replicas {
            jetstream["replicas"] = replicas.into();
        }
        if let Some(persistence) = self.volumes()? {
            jetstream["persistence"] = persistence;
        }
        for (field, wanted) in [("encryption", self.encryption), ("tls", self.tls)] {
            if wanted {
                jetstream[field] = true.into();
            }
        }
        if !self.settings.is_empty() {
            let lines: Vec<_> = self.settings.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
            jetstream["settings"] = lines.concat().into();
        }
        if let Some(file) = &self.buffer_config {
            let text = services::read_text(file, "--buffer-config ", isbsvc::limits::EMBEDDED_TEXT as u64)?;
            jetstream["bufferConfig"] = text.into();
        }
        if let Some(resources) = self.resources()? {
            jetstream["containerTemplate"] = json!({ "resources": resources });
        }
        Ok(jetstream)
    }

    fn volumes(&self) -> Result<Option<Value>, Failure> {
        let wanted = [("volumeSize", &self.volume_size), ("storageClassName", &self.storage_class), ("accessMode", &self.access_mode)];
        if !self.persistence && wanted.iter().all(|(_, value)| value.is_none()) {
            return Ok(None);
        }
        if let Some(size) = &self.volume_size {
            quantity("--volume-size", size)?;
        }
        let fields = wanted.into_iter().filter_map(|(field, value)| Some((field.to_owned(), Value::from(value.clone()?))));
        Ok(Some(Value::Object(fields.collect())))
    }

    fn resources(&self) -> Result<Option<Value>, Failure> {
        let mut resources = Map::new();
        for (flag, part, resource, value) in [
            ("--cpu-request", "requests", "cpu", &self.cpu_request),
            ("--memory-request", "requests", "memory", &self.memory_request),
            ("--cpu-limit", "limits", "cpu", &self.cpu_limit),
            ("--memory-limit", "limits", "memory", &self.memory_limit),
        ] {
            let Some(value) = value else { continue };
            quantity(flag, value)?;
            let fields = resources.entry(part).or_insert_with(|| json!({}));
            fields[resource] = value.clone().into();
        }
        Ok((!resources.is_empty()).then_some(Value::Object(resources)))
    }
}

fn quantity(flag: &str, text: &str) -> Result<(), Failure> {
    match isbsvc::controller_config::quantity_bytes(text) {
        Some(value) if value > 0 => Ok(()),
        _ => Err(Failure::no_answer(format!("{flag} {text:?} is not a quantity; write a number with a unit, such as 20Gi, 512Mi or 500m"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, NAME, parse};

    fn object(flags: &[&str]) -> Result<Value, Failure> {
        let words = ["x", "create"].into_iter().chain(flags.iter().copied()).map(Into::into);
        let Command::Create(create) = parse(words, NAME).unwrap().command else { panic!("not create") };
        create.spec.object(create.name.as_deref().unwrap_or("default"), create.spec.version.as_deref().unwrap_or("2.12.7"))
    }

    #[test]
    fn nothing_is_written_that_was_not_asked_for() {
        let minimal = json!({
            "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService",
            "metadata": { "name": "default" }, "spec": { "jetstream": { "version": "2.12.7" } },
        });
        assert_eq!(object(&[]).unwrap(), minimal);
        assert_eq!(object(&["--persistence"]).unwrap()["spec"]["jetstream"]["persistence"], json!({}));
    }

    #[test]
    fn every_flag_lands_in_its_field() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("buffer.yaml");
        std::fs::write(&file, "stream:\n  maxMsgs: 5\n").unwrap();
        let file = file.to_string_lossy();
        let object = object(&[
            "prod",
            "--type",
            "jetstream",
            "--version",
            "2.10.29",
            "--replicas",
            "5",
            "--volume-size",
            "10Gi",
            "--storage-class",
            "fast",
            "--access-mode",
            "ReadWriteOncePod",
            "--encryption",
            "--tls",
            "--settings",
            "max_payload=2MB",
            "--settings",
            "max_file_store=8Gi",
            "--buffer-config",
            &file,
            "--cpu-request",
            "500m",
            "--cpu-limit",
            "2",
            "--memory-request",
            "1Gi",
            "--memory-limit",
            "2Gi",
            "--label",
            "team=a",
            "--annotation",
            "note=b=c",
        ]);
        insta::assert_json_snapshot!(object.unwrap());
    }

    #[test]
    fn an_external_redis_is_what_its_flags_say_and_takes_no_others() {
        let redis = |flags: &[&str]| object(&[&["--type", "redis-external"], flags].concat());
        assert_eq!(redis(&["--url", "redis:6379"]).unwrap()["spec"], json!({ "redis": { "external": { "url": "redis:6379" } } }));
        let flags = [
            "--sentinel-url=s:26379",
            "--master-name=m",
            "--redis-user=u",
            "--password-secret=redis/password",
            "--sentinel-password-secret=redis/sentinel",
            "--label=team=a",
        ];
        let made = redis(&flags).unwrap();
        let external = json!({
            "sentinelUrl": "s:26379", "masterName": "m", "user": "u", "password": { "name": "redis", "key": "password" },
            "sentinelPassword": { "name": "redis", "key": "sentinel" },
        });
        assert_eq!((&made["spec"]["redis"]["external"], &made["metadata"]["labels"]["team"]), (&external, &json!("a")));
        assert!(redis(&["--url=a:1", "--replicas=3"]).unwrap_err().message.contains("--type redis-external"));
        assert!(object(&["--url=a:1"]).unwrap_err().message.contains("are of --type redis-external"));
    }

    #[test]
    fn a_quantity_that_is_none_is_named_with_its_flag() {
        for (flag, value) in [("--volume-size", "lots"), ("--volume-size", "0"), ("--cpu-request", "1 core"), ("--memory-limit", "-1Gi")] {
            let failure = object(&[&format!("{flag}={value}")]).unwrap_err();
            assert!(failure.message.starts_with(flag), "{}", failure.message);
        }
    }
}
