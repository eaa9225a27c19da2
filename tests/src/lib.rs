//! What the tests share: fixtures, and the objects that stand for a service.

pub mod fixtures;
pub mod simulator;
