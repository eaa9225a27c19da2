//! isbsvc-webhook.
fn main() {}
