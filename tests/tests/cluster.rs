//! Real use, on a real cluster, through the built binaries: `kubectl apply` -> webhook -> controller -> NATS -> `kubectl isbsvc status`.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

#[path = "cluster/bad_input.rs"]
mod bad_input;
#[path = "cluster/drift.rs"]
mod drift;
#[path = "cluster/messages.rs"]
mod messages;
#[path = "cluster/sample.rs"]
mod sample;
