//! kubectl-isbsvc.
fn main() {}
