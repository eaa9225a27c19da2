//! The program itself, as a process: standard output, standard error and exit code, without a cluster.

// A test that cannot go on fails, and says where.
#![allow(clippy::assigning_clones, clippy::panic, clippy::unwrap_used)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-isbsvc"));
    command.env_clear().env("HOME", "/nowhere");
    command
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Output and error, with the path of this machine taken out, and what the controller notes of an object for itself: the object once more, in one line.
fn told(output: &Output) -> String {
    let folder = format!("{}/", sample("").display()).replace("//", "/");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let noted = |line: &str| match line.split_once("/baseline: ") {
        Some((before, _)) => format!("{before}/baseline: <the object>\n"),
        None => format!("{line}\n"),
    };
    let stdout: String = stdout.lines().map(noted).collect();
    format!("{stdout}-- stderr, exit {}\n{stderr}", output.status.code().unwrap_or(-1)).replace(&folder, "")
}

#[test]
fn the_manuals_samples_are_rendered_without_a_cluster() {
    for name in ["minimal", "persistence", "anti-affinity", "buffer-config", "external-redis"] {
        let output = run(&["render", "-n", "work", "-f", &sample(&format!("{name}.yaml")).to_string_lossy()]);
        insta::assert_snapshot!(format!("render_{name}"), told(&output));
    }
}

#[test]
fn rendering_reads_standard_input_and_a_configuration_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let version = "    versions:\n    - {version: 9.9.9, natsImage: 'example/nats:9.9.9', metricsExporterImage: '', configReloaderImage: '', startCommand: /nats}\n";
    std::fs::write(&config, format!("isbsvc:\n  jetstream:\n{version}")).unwrap();
    let mut child = program()
        .args(["render", "-o", "json", "-f", "-", "--controller-config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let service = "apiVersion: numaflow.numaproj.io/v1alpha1\nkind: InterStepBufferService\nmetadata: {name: a}\nspec: {jetstream: {version: 9.9.9, replicas: 1}}\n";
    child.stdin.take().unwrap().write_all(service.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(list["items"].as_array().unwrap().len() >= 5);
    let rendered = text(&output.stdout);
    assert!(rendered.contains("example/nats:9.9.9") && rendered.contains("<generated>"));
    assert!(!rendered.contains("nats-server-config-reloader"), "an empty image leaves the container out");
}

#[test]
fn a_new_service_is_shown_without_a_cluster() {
    let output = run(&["create", "--dry-run=client", "-o", "yaml", "--volume-size", "10Gi"]);
    insta::assert_snapshot!("create_dry_run", told(&output));
    let output = run(&["create", "prod", "--dry-run=client", "--tls"]);
    insta::assert_snapshot!("create_dry_run_line", told(&output));
}

#[test]
fn bad_input_is_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    };
    let object = |spec: &str| {
        format!(
            "apiVersion: numaflow.numaproj.io/v1alpha1\nkind: InterStepBufferService\nmetadata: {{name: a, namespace: work}}\nspec: {spec}\n"
        )
    };
    let broken = file("broken.yaml", "spec:\n  jetstream: {version: [\n");
    let unknown_version = file("version.yaml", &object("{jetstream: {version: 1.0.0}}"));
    let other_namespace = file("namespace.yaml", &object("{jetstream: {version: 2.12.7}}"));
    let config = file("config.yaml", "isbsvc: {jetstream: {versions: [{version: x}]}}");
    let lines: Vec<String> = [
        vec!["list"],
        vec!["list", "--kubeconfig", "/nowhere/config"],
        vec!["status", "-n", "Not_One", "-s", "https://127.0.0.1:1"],
        vec!["list", "-s", "https://127.0.0.1:1"],
        vec!["list", "--as-group", "x", "-s", "https://127.0.0.1:1"],
        vec!["render", "-f", "/nowhere/service.yaml"],
        vec!["render", "-f", &broken],
        vec!["render", "-f", &unknown_version],
        vec!["render", "-f", &other_namespace, "-n", "play"],
        vec!["render", "-f", &other_namespace, "--controller-config", &config],
        vec!["create", "--dry-run=client", "--replicas", "2"],
        vec!["create", "--dry-run=client", "--version", "1.0.0"],
        vec!["create", "--dry-run=client", "--settings", "store_dir=/x"],
        vec!["create", "--dry-run=client", "--volume-size", "lots"],
        vec!["create", "--dry-run=client", "--buffer-config", "/nowhere"],
        vec!["create", "Not_A_Name", "--dry-run=client"],
    ]
    .iter()
    .map(|arguments| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?} half made: {}", text(&output.stdout));
        let told = text(&output.stderr);
        assert_eq!(told.lines().filter(|line| !line.starts_with("note: ") && !line.starts_with("warning: ")).count(), 1, "{told}");
        told.replace(&format!("{}/", folder.path().display()), "")
    })
    .collect();
    insta::assert_snapshot!("bad_input", lines.concat());
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let mut child = program().args(["completion", "bash"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn completion_says_nothing_but_candidates() {
    let output = run(&["__complete", "status", "-o", ""]);
    assert_eq!(told(&output), "table\nwide\njson\nyaml\n:4\n-- stderr, exit 0\n");
    let without_cluster = run(&["__complete", "status", ""]);
    assert_eq!(told(&without_cluster), ":4\n-- stderr, exit 0\n");
}

#[test]
fn help_is_an_answer_and_every_command_has_it() {
    for command in ["create", "list", "status", "describe", "render", "diff", "reconcile", "version", "completion"] {
        let output = run(&[command, "--help"]);
        let help = text(&output.stdout);
        assert!(output.status.success() && help.contains("Examples:") && help.contains("Exit codes:"), "{command}: {help}");
        assert!(help.contains(&format!("Usage: kubectl isbsvc {command}")), "{help}");
    }
    assert_eq!(run(&[]).status.code(), Some(1));
}
