//! The program itself, as a process: standard output, standard error and exit code, without a cluster.

// A test that cannot go on fails, and says where.
#![allow(clippy::assigning_clones, clippy::panic, clippy::unwrap_used)]

#[path = "program/api_server.rs"]
mod api_server;
#[path = "program/flags.rs"]
mod flags;
#[path = "program/reconcile.rs"]
mod reconcile;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use api_server::{Answer, ApiServer, Asked, cluster, failure};
use serde_json::json;

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
    let kubeconfig = |current: &str, cluster: &str| {
        format!(
            "apiVersion: v1\nkind: Config\n{current}clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'{cluster}}}}}]\nusers: [{{name: u, user: {{token: geheim}}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n"
        )
    };
    let no_context = file("no-context.yaml", &kubeconfig("", ""));
    let no_authority = file("no-authority.yaml", &kubeconfig("current-context: x\n", ", certificate-authority: /nowhere/ca.pem"));
    let endless = "/dev/zero".to_owned();
    let binary = folder.path().join("binary.yaml").to_string_lossy().into_owned();
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
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
        // What is wrong with names, flags and files is told before a cluster is asked.
        vec!["create", "Not_A_Name", "-s", "https://127.0.0.1:1"],
        vec!["create", "--dry-run=client", "--replicas", "-1"],
        vec!["create", "--dry-run=client", "--volume-size", "-1Gi"],
        vec!["create", "--wait", "--timeout", "-3s"],
        vec!["create", "--dry-run=client", "--buffer-config", &endless],
        vec!["create", "--dry-run=client", "-f", &binary],
        vec!["reconcile", "", "-s", "https://127.0.0.1:1"],
        vec!["reconcile", "--controller-config", "/nowhere", "-s", "https://127.0.0.1:1"],
        vec!["render", "--controller-config", &binary, "-s", "https://127.0.0.1:1"],
        vec!["diff", "--controller-config", &endless, "-s", "https://127.0.0.1:1"],
        vec!["diff", "--kubeconfig", &no_authority],
        vec!["diff", "--kubeconfig", &no_context],
        vec!["diff", "--kubeconfig", &no_context, "--context", "nope"],
        vec!["diff", "--kubeconfig", &broken],
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

/// The verbs that ask a cluster, and whether each of them changes something. Law no-surprise: a new verb has to be put here.
const VERBS: [(&str, bool); 8] = [
    ("create", true),
    ("list", false),
    ("status", false),
    ("describe", false),
    ("render", false),
    ("diff", false),
    ("reconcile", true),
    ("version", false),
];
/// Verbs that ask no cluster.
const AT_HOME: [&str; 1] = ["completion"];

fn ask(server: &ApiServer, arguments: &[&str]) -> Output {
    program().args(arguments).args(["-n", "work", "-s", &server.address]).stdin(Stdio::null()).output().unwrap()
}

/// Standard error without what was noted on the way.
fn complaint(output: &Output) -> String {
    text(&output.stderr).lines().filter(|line| !line.starts_with("note: ") && !line.starts_with("warning: ")).collect::<Vec<_>>().join("\n")
}

type Failing = (&'static str, fn(&Asked) -> Answer);

/// Whatever the API server answers: one line that says what to do, exit code 1, nothing on standard output, and nothing written.
#[test]
fn every_failure_of_the_api_server_is_one_line() {
    let failures: [Failing; 5] = [
        ("the type is not installed", |asked| {
            let ours = asked.path.contains("/numaflow.numaproj.io/");
            if ours { Answer::Text(404, "404 page not found\n") } else { cluster(asked) }
        }),
        ("no permission", |asked| {
            let words = format!("User \"ann\" cannot {} resource at the cluster scope", asked.method.to_lowercase());
            failure(403, "Forbidden", &words, &json!({}))
        }),
        ("nobody is logged in", |_| failure(401, "Unauthorized", "Unauthorized", &json!({}))),
        ("no API server", |_| Answer::Text(200, "<html>welcome to the router</html>")),
        ("it goes down", |_| failure(503, "ServiceUnavailable", "apiserver is shutting down", &json!({}))),
    ];
    let mut told = Vec::new();
    for (what, answer) in failures {
        let server = ApiServer::start(answer);
        for verb in ["create", "status", "render", "diff", "reconcile"] {
            let output = ask(&server, &[verb]);
            assert_eq!(output.status.code(), Some(1), "{what}, {verb}: {}", text(&output.stderr));
            assert!(output.stdout.is_empty(), "{what}, {verb}: {}", text(&output.stdout));
            let line = complaint(&output);
            assert_eq!(line.lines().count(), 1, "{what}, {verb}: {line}");
            told.push(format!("{what}, {verb}: {}", line.replace(&server.address, "http://SERVER")));
        }
        let writes = server.writes();
        // `create` may send the service: its permission is the API server's to judge.
        assert!(writes.iter().all(|asked| asked.path.contains("/interstepbufferservices") && asked.method == "POST"), "{what}: {writes:?}");
    }
    insta::assert_snapshot!("api_server_fails", told.join("\n"));
}

#[test]
fn a_silent_api_server_is_given_up() {
    let server = ApiServer::start(|_| Answer::Silence);
    for verb in ["create", "reconcile", "diff"] {
        let output = ask(&server, &[verb, "--request-timeout", "300ms"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(complaint(&output).contains("did not answer within 0.3s; check the network, or give it longer with --request-timeout"));
    }
}

#[test]
fn what_the_cluster_refuses_is_told_in_its_words() {
    let refused = ApiServer::start(|asked| match asked.method.as_str() {
        "POST" => failure(
            400,
            "BadRequest",
            "admission webhook \"validate.isbsvc\" denied the request: spec.jetstream.version: too old (policy)",
            &json!({}),
        ),
        _ => cluster(asked),
    });
    let output = ask(&refused, &["create", "--wait"]);
    assert_eq!((output.status.code(), complaint(&output).lines().count()), (Some(1), 1));
    assert!(complaint(&output).contains("refused: ") && complaint(&output).contains("too old (policy)"), "{}", complaint(&output));
    let exists = ApiServer::start(|asked| {
        if asked.method == "POST" { failure(409, "AlreadyExists", "exists", &json!({ "name": "default" })) } else { cluster(asked) }
    });
    let output = ask(&exists, &["create"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("exists already") && complaint(&output).contains("kubectl isbsvc describe default -n work"));
}

#[test]
fn a_wait_that_is_too_short_says_what_stands() {
    let server = ApiServer::start(cluster);
    let output = ask(&server, &["create", "--wait", "--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "interstepbufferservice.numaflow.numaproj.io/default created\n");
    let last = text(&output.stderr).lines().last().unwrap_or_default().to_owned();
    assert!(last.contains("the service was created and stands, see: kubectl isbsvc status default -n work"), "{last}");
}

#[test]
#[cfg(unix)]
fn an_interrupted_wait_says_what_stands() {
    for signal in ["-INT", "-TERM"] {
        let server = ApiServer::start(cluster);
        let child = program()
            .args(["create", "--wait", "-n", "work", "-s", &server.address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        // It waits once it looks at pods.
        while !server.log().iter().any(|asked| asked.path.contains("/pods")) {
            assert!(std::time::Instant::now() < deadline, "it never waited: {:?}", server.log());
            std::thread::yield_now();
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
        let last = text(&output.stderr).lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("interrupted: the service was created and stands; go on waiting with: "), "{last}");
    }
}

#[test]
fn law_no_surprise_every_verb_is_known_to_change_something_or_not_to() {
    let help = text(&run(&["--help"]).stdout);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let listed: Vec<_> = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next()).collect();
    let mut known: Vec<_> = VERBS.iter().map(|(verb, _)| *verb).chain(AT_HOME).collect();
    known.sort_by_key(|verb| listed.iter().position(|listed| listed == verb));
    assert_eq!(listed, known);
    let server = ApiServer::start(cluster);
    for (verb, _) in VERBS.iter().filter(|(_, changes)| !changes) {
        ask(&server, &[verb]);
    }
    assert!(server.log().len() > 20, "{:?}", server.log());
    assert_eq!(server.writes(), [], "what only looks asks by GET");
    for (verb, changes) in VERBS {
        let help = text(&run(&[verb, "--help"]).stdout);
        assert_eq!(help.contains("--dry-run"), changes, "{verb}");
    }
}

#[test]
fn law_no_surprise_a_dry_run_writes_nothing() {
    let server = ApiServer::start(cluster);
    let output = ask(&server, &["create", "--dry-run=client"]);
    assert_eq!(text(&output.stdout), "interstepbufferservice.numaflow.numaproj.io/default created (dry run)\n");
    assert_eq!(server.log(), [], "no cluster is asked");
    let output = ask(&server, &["create", "--dry-run=server"]);
    assert_eq!(text(&output.stdout), "interstepbufferservice.numaflow.numaproj.io/default created (server dry run)\n");
    let output = ask(&server, &["reconcile", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("StatefulSet/isbsvc-default-js"), "{}", text(&output.stdout));
    assert_eq!(server.writes(), []);
}

#[test]
fn law_no_surprise_reconcile_shows_its_plan_and_asks() {
    let server = ApiServer::start(cluster);
    let output = ask(&server, &["reconcile"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("StatefulSet/isbsvc-default-js"), "the plan: {said}");
    assert!(said.ends_with("look at the plan above and run it again with --yes\n"), "{said}");
    assert_eq!(server.writes(), [], "not even the Lease");
}

#[test]
fn law_no_surprise_what_was_done_is_said() {
    let server = ApiServer::start(cluster);
    let output = ask(&server, &["create"]);
    assert_eq!(text(&output.stdout), "interstepbufferservice.numaflow.numaproj.io/default created\n");
    let server = ApiServer::start(cluster);
    let output = ask(&server, &["reconcile", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let written = server.writes().iter().filter(|asked| !asked.path.contains("/leases")).count();
    assert!(written > 5 && lines.lines().count() == written, "a line for each of {written} writes:\n{lines}");
    assert!(
        lines.lines().all(|line| line.split_once('/').is_some_and(|(_, rest)| rest.split(' ').count() == 2)),
        "type/name verbed:\n{lines}"
    );
    insta::assert_snapshot!("reconcile_says", lines);
    // Law secret-silence: what was drawn is said nowhere.
    let drawn: Vec<_> = server
        .writes()
        .iter()
        .filter(|asked| asked.path.contains("/secrets"))
        .flat_map(|asked| asked.body["data"].as_object().cloned().unwrap_or_default())
        .filter_map(|(_, value)| value.as_str().map(str::to_owned))
        .collect();
    let said = lines + &text(&output.stderr);
    assert!(drawn.len() > 5 && drawn.iter().all(|value| !said.contains(value.as_str())));
}
