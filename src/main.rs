//! `isbsvc-controller`.
fn main() {}
