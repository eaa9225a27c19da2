//! What the tests share: fixtures, and the objects that stand for a service.

// The whole package is test code: a fixture that does not fit is a failed test.
#![allow(clippy::panic)]

#[cfg(feature = "cluster")]
pub mod cluster;
pub mod corpus;
pub mod fixtures;
pub mod numaflow;
pub mod redis_nodes;
pub mod refused;
pub mod simulator;
