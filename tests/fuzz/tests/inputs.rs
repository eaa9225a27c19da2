//! The committed inputs, without the engine: examples to begin with, and every input that once showed a fault.

use std::fs;
use std::path::{Path, PathBuf};

use isbsvc::rules::{ALL, Example};
use isbsvc_fuzz::TARGETS;
use serde_json::{Value, json};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn every_committed_input_holds() {
    for target in TARGETS {
        let mut tried = 0;
        for file in fs::read_dir(folder(target.name)).expect(target.name) {
            let path = file.expect(target.name).path();
            println!("{}", path.display());
            (target.check)(&fs::read(&path).expect("a file"));
            tried += 1;
        }
        assert!(tried >= 5, "{} has {tried} inputs", target.name);
    }
}

fn review(operation: &str, old: Option<&Value>, new: Option<&Value>) -> String {
    let request = json!({
        "uid": "u", "operation": operation, "object": new, "oldObject": old, "name": "default", "namespace": "ns",
        "resource": { "group": "numaflow.numaproj.io", "version": "v1alpha1", "resource": "interstepbufferservices" },
    });
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request }).to_string()
}

fn write(target: &str, name: &str, text: &str) {
    fs::create_dir_all(folder(target)).expect(target);
    fs::write(folder(target).join(name), text).expect(name);
}

#[test]
#[ignore = "writes the rules' examples into corpus/; run it where a rule got another one"]
fn write_the_examples_of_the_rules() {
    for rule in ALL {
        for (number, example) in rule.examples.iter().enumerate() {
            let name = format!("{}-{number}", rule.name);
            let (old, new) = (example.old_object().expect(&name), example.new_object().expect(&name));
            let operation = match (&old, &new) {
                (None, _) => "CREATE",
                (_, None) => "DELETE",
                _ => "UPDATE",
            };
            write("admission", &name, &review(operation, old.as_ref(), new.as_ref()));
            write_texts(&name, example);
        }
    }
    let objects: Vec<Value> = serde_saphyr::from_multiple(isbsvc_tests::fixtures::OBSERVED_DEFAULT).expect("the fixture");
    let service = objects.into_iter().find(|object| object["kind"] == "InterStepBufferService").expect("a service");
    write("admission", "observed", &review("UPDATE", Some(&service), Some(&service)));
}

/// The texts that an example embeds.
fn write_texts(name: &str, example: &Example) {
    let object = example.new_object().expect(name).unwrap_or_default();
    for (field, target) in [("settings", "settings"), ("bufferConfig", "buffer_config")] {
        if let Some(text) = object.pointer(&format!("/spec/jetstream/{field}")).and_then(Value::as_str) {
            write(target, name, text);
        }
    }
}
