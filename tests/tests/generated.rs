//! Files that are made from the code. `cargo xtask generate` writes them (it runs this test with `UPDATE_GENERATED=1`); everywhere else they are compared.

use std::path::Path;

fn compare(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder can be made");
        std::fs::write(&file, generated).expect("a file can be written");
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == generated, "{path} is not what the code says; run `cargo xtask generate` and commit the result");
}

#[test]
fn the_definition_of_the_resource() {
    let yaml = serde_saphyr::to_string(&isbsvc::api::crd()).expect("YAML");
    compare(
        "manifests/crd/numaflow.numaproj.io_interstepbufferservices.yaml",
        &format!("# Made from src/api/ by `cargo xtask generate`; do not edit.\n{yaml}"),
    );
}

#[test]
fn the_page_of_the_rules() {
    compare("docs/rules.md", &isbsvc::rules::documentation().expect("every example is a service"));
}

#[test]
fn the_admission_policies() {
    for manifest in isbsvc::rules::cel::manifests() {
        let yaml = serde_saphyr::to_string(&manifest.object).expect("YAML");
        let first = "Made from src/rules/ and src/defaults.rs by `cargo xtask generate`; do not edit.";
        compare(&format!("manifests/policy/{}", manifest.path), &format!("# {} {first}\n{yaml}", manifest.says));
    }
}
