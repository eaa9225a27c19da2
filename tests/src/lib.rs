//! What the tests share: fixtures, and the objects that stand for a service.

#[cfg(feature = "cluster")]
pub mod cluster;
pub mod fixtures;
pub mod simulator;
