//! Real use, on a real cluster, through the built binaries: `kubectl apply` -> webhook -> controller -> NATS -> `kubectl isbsvc status`.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

#[path = "cluster/adoption.rs"]
mod adoption;
#[path = "cluster/bad_input.rs"]
mod bad_input;
#[path = "cluster/controllers.rs"]
mod controllers;
#[path = "cluster/corpus.rs"]
mod corpus;
#[path = "cluster/deleted.rs"]
mod deleted;
#[path = "cluster/drift.rs"]
mod drift;
#[path = "cluster/edges.rs"]
mod edges;
#[path = "cluster/guard.rs"]
mod guard;
#[path = "cluster/handover.rs"]
mod handover;
#[path = "cluster/in_use.rs"]
mod in_use;
#[path = "cluster/messages.rs"]
mod messages;
#[path = "cluster/modes.rs"]
mod modes;
#[path = "cluster/numaflow.rs"]
mod numaflow;
#[path = "cluster/one_by_one.rs"]
mod one_by_one;
#[path = "cluster/override.rs"]
mod overriding;
#[path = "cluster/pipelines.rs"]
mod pipelines;
#[path = "cluster/policy.rs"]
mod policy;
#[path = "cluster/redis_external.rs"]
mod redis_external;
#[path = "cluster/refused.rs"]
mod refused;
#[path = "cluster/rules.rs"]
mod rules;
#[path = "cluster/sample.rs"]
mod sample;
#[path = "cluster/secured.rs"]
mod secured;
#[path = "cluster/versions.rs"]
mod versions;
#[path = "cluster/webhook.rs"]
mod webhook;
