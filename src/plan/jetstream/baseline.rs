use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Images, Subject, carry::carried, digest, server_config::server_config, stateful_set, twice};
use crate::controller_config::NatsSize;

/// What runs, as it was last carried out, kept beside the accepted spec: the parts whose change restarts servers or pipelines. Only a change of the
/// user's moves them; neither an upgrade of ours nor what somebody else wrote otherwise does. The configuration and `streamConfig` follow the defaults of
/// the controller configuration as well, as far as no server restarts and no message gets smaller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::plan) struct Baseline {
    /// Pod template.
    pub template: Value,
    /// Volume claim templates, which cannot change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<Value>,
    /// Configuration of the servers.
    pub config: Text,
    /// `status.config.jetstream.streamConfig`.
    pub stream_config: Text,
}

/// A text in use, and the digest of the one that we would have written in its place. As long as we would write the same, the text stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::plan) struct Text {
    text: String,
    made: String,
}

impl Text {
    /// A text of somebody else's, in use where we would write `ours`.
    pub fn found(text: String, ours: &str) -> Self {
        Self { text, made: digest(ours) }
    }

    fn own(text: String) -> Self {
        Self { made: digest(&text), text }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Baseline {
    /// Largest message that the servers take; `None` where their configuration does not say so as we write it.
    pub fn max_payload(&self) -> Option<NatsSize> {
        max_payload(&self.config.text)
    }
}

/// What stands in a configuration of the servers before the size of the largest message.
const MAX_PAYLOAD: &str = "max_payload:";

fn max_payload(text: &str) -> Option<NatsSize> {
    NatsSize::configured(text, MAX_PAYLOAD.trim_end_matches(':'))
}

/// Settings that a server reads only when it starts, and refuses a whole reload for where they changed (nats-server 2.12.7, server/reload.go).
const ONLY_AT_START: [&str; 6] = ["port:", "http:", "store_dir:", "max_memory_store:", "max_file_store:", "lame_duck_duration:"];

/// What ran until now.
#[derive(Clone, Copy)]
pub(in crate::plan) struct Ran<'a> {
    /// The subject by the spec that was accepted last.
    pub was: Subject<'a>,
    /// What ran by it.
    pub baseline: &'a Baseline,
    /// The images in it; none where it has no container that we know.
    pub images: Option<&'a Images>,
}

/// What should run now; `old` is none for a service that is new. Without a `stream_config` that could be made, the one in use stays.
pub(in crate::plan) fn next(subject: Subject<'_>, images: &Images, stream_config: Option<String>, old: Option<Ran<'_>>) -> Baseline {
    let template = stateful_set::template(subject, images);
    let volume_claim_templates = stateful_set::volume_claim_templates(subject);
    let config = server_config(subject);
    let Some(Ran { was, baseline: base, images: ran }) = old else {
        let stream_config = Text::own(stream_config.unwrap_or_default());
        return Baseline { template, volume_claim_templates, config: Text::own(config), stream_config };
    };
    let before = stateful_set::template(was, ran.unwrap_or(images));
    Baseline {
        template: next_template(&base.template, &before, &template),
        volume_claim_templates: base.volume_claim_templates.clone(),
        config: if base.config.made == digest(&config) {
            base.config.clone()
        } else {
            Text::found(keep_settings(&config, &base.config.text), &config)
        },
        stream_config: match stream_config {
            Some(text) if base.stream_config.made != digest(&text) => Text::own(text),
            _ => base.stream_config.clone(),
        },
    }
}

/// The template with what the change from `before` to `after` touches; and where that rolls the pods anyway, with what harms nobody.
fn next_template(base: &Value, before: &Value, after: &Value) -> Value {
    if before == after {
        return base.clone();
    }
    let (base, pair) = twice::once(base);
    let mut next = carried(&base, before, after);
    if pair {
        twice::replace_pair(&mut next);
    }
    for field in ["terminationGracePeriodSeconds", "enableServiceLinks"] {
        next["spec"][field] = after["spec"][field].clone();
    }
    let main = after["spec"]["containers"].as_array().into_iter().flatten().find(|container| container["name"] == "main");
    let containers = next["spec"]["containers"].as_array_mut().into_iter().flatten();
    if let (Some(ours), Some(theirs)) = (main, containers.into_iter().find(|container| container["name"] == "main")) {
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            theirs[probe] = ours[probe].clone();
        }
    }
    next
}

/// The new text with the lines of the old one that a running server would refuse to change, and never with a smaller `max_payload`: larger messages
/// that are stored could no longer be delivered. A user's change that would make it smaller is refused, so that such a one comes from the controller
/// configuration.
fn keep_settings(new: &str, old: &str) -> String {
    let shrinks = matches!((max_payload(old), max_payload(new)), (Some(was), Some(wanted)) if wanted.bytes < was.bytes);
    let keys = ONLY_AT_START.into_iter().chain(shrinks.then_some(MAX_PAYLOAD));
    let starts = |line: &str, key: &str| line.trim_start().starts_with(key);
    // `port:` stands in the cluster block once more; the first one of each key is meant, as in the text that we write.
    let mut kept: Vec<(&str, &str)> = keys.filter_map(|key| Some((key, old.lines().find(|line| starts(line, key))?))).collect();
    let mut lines = Vec::new();
    for line in new.lines() {
        match kept.iter().position(|(key, _)| starts(line, key)) {
            Some(index) => lines.push(kept.remove(index).1),
            None => lines.push(line),
        }
    }
    let mut text = lines.join("\n");
    if new.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_server_reads_only_at_its_start_stays() {
        let old = "port: 4222\nmax_payload: 1\njetstream {\n  max_file_store: 1TB\n}\ncluster {\n  port: 6222\n}\n";
        let new = "port: 4222\nmax_payload: 2\njetstream {\n  max_file_store: 10\n}\ncluster {\n  port: 6222\n  routes: [a]\n}\n";
        assert_eq!(
            keep_settings(new, old),
            "port: 4222\nmax_payload: 2\njetstream {\n  max_file_store: 1TB\n}\ncluster {\n  port: 6222\n  routes: [a]\n}\n"
        );
    }

    #[test]
    fn messages_never_get_smaller() {
        for (old, new, kept) in [("8MB", "1048576", "8MB"), ("1MB", "1048576", "1048576"), ("1k", "1kb", "1kb"), ("lots", "1", "1")] {
            let text = |size: &str| format!("port: 4222\nmax_payload: {size}\n");
            assert_eq!(keep_settings(&text(new), &text(old)), text(kept), "{old} to {new}");
        }
    }

    #[test]
    fn a_change_brings_what_harms_nobody_and_no_other_user() {
        let base = json!({ "spec": { "securityContext": {}, "terminationGracePeriodSeconds": 120, "containers": [{ "name": "main", "image": "a", "livenessProbe": 1 }] } });
        let before = json!({ "spec": { "securityContext": { "runAsUser": 65532 }, "terminationGracePeriodSeconds": 150, "enableServiceLinks": false, "containers": [{ "name": "main", "image": "a", "livenessProbe": 2 }] } });
        assert_eq!(next_template(&base, &before, &before), base, "without a change nothing moves");
        let mut after = before.clone();
        after["spec"]["containers"][0]["image"] = json!("b");
        let next = next_template(&base, &before, &after);
        assert_eq!(next["spec"]["securityContext"], json!({}), "files of another user may become unreadable");
        assert_eq!(next["spec"]["terminationGracePeriodSeconds"], json!(150));
        assert_eq!(next["spec"]["enableServiceLinks"], json!(false));
        assert_eq!(next["spec"]["containers"][0]["image"], json!("b"));
        assert_eq!(next["spec"]["containers"][0]["livenessProbe"], json!(2));
    }
}
