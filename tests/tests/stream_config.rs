//! `streamConfig` byte for byte as Numaflow's controller writes it: each byte restarts every vertex of every pipeline.

use isbsvc::controller_config::{ControllerConfig, stream_config};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    source: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    own: String,
    replicas: i32,
    text: String,
}

/// Texts that Numaflow's controller takes and that we refuse, with the key that we name.
const REFUSED: &[(&str, &str)] = &[
    // A null takes a property away, so that its default would depend on what reads it.
    ("a value that is null", "stream.maxMsgs"),
    // A whole number is written as one; what YAML 1.1 and 1.2 read differently (017 is 15 or 17) nobody should depend on.
    ("a quoted number", "stream.maxMsgs"),
    ("a whole number with a fraction of zero", "stream.maxMsgs"),
    ("a number with an exponent", "stream.maxMsgs"),
    ("leading zeros", "stream.maxMsgs"),
];

#[test]
fn every_text_is_numaflows_to_the_byte() {
    let golden: Golden = serde_json::from_str(include_str!("../fixtures/stream_config.json")).expect("the fixture");
    assert!(golden.cases.len() >= 40 && golden.source.contains("viper"));
    let defaults = ControllerConfig::built_in().jetstream.buffer_config;
    let mut wrong = Vec::new();
    for case in &golden.cases {
        let own = Some(case.own.as_str()).filter(|own| !own.is_empty());
        let refused = REFUSED.iter().find(|(name, _)| *name == case.name);
        match (stream_config(&defaults, own, case.replicas), refused) {
            (Ok(text), None) if text == case.text => {}
            (Err(error), Some((_, key))) if error.key == *key => {}
            (result, _) => wrong.push(format!("{}: {result:?}\nNumaflow: {:?}", case.name, case.text)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
