//! When `reconcile` leaves a service alone.

use serde_json::{Value, json};

use super::api_server::{Answer, ApiServer, cluster, failure, service};
use super::{ask, complaint, text};

#[test]
fn a_controller_that_holds_the_lease_is_left_alone() {
    let server = ApiServer::start(|asked| {
        if !asked.path.contains("/leases/") {
            return cluster(asked);
        }
        let now = jiff::Timestamp::now().to_string();
        let spec = json!({ "holderIdentity": "isbsvc-controller-0", "leaseDurationSeconds": 15, "renewTime": now, "acquireTime": now });
        let lease: Value = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "isbsvc-controller-lock", "resourceVersion": "1" }, "spec": spec });
        Answer::Json(200, lease)
    });
    let output = ask(&server, &["reconcile", "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("is held by \"isbsvc-controller-0\"") && said.contains("--force"), "{said}");
    assert_eq!(server.writes(), []);
}

/// A cluster whose service carries this in its metadata.
fn with(metadata: Value) -> ApiServer {
    ApiServer::start(move |asked| {
        if asked.method != "GET" || !asked.path.ends_with("/interstepbufferservices/default") {
            return cluster(asked);
        }
        let mut service = service();
        for (field, value) in metadata.as_object().unwrap() {
            service["metadata"][field] = value.clone();
        }
        Answer::Json(200, service)
    })
}

#[test]
fn a_service_of_another_instance_is_left_to_its_controller() {
    let server = with(json!({ "annotations": { "numaflow.numaproj.io/instance": "blue" } }));
    for flags in [&["reconcile", "--yes"][..], &["reconcile", "--yes", "--force"], &["reconcile", "--dry-run"]] {
        let output = ask(&server, flags);
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        let line = complaint(&output);
        assert!(line.lines().count() == 1 && line.contains("instance \"blue\"") && line.contains("--controller-namespace"), "{line}");
    }
    assert_eq!(server.writes(), [], "not even the Lease");
    let output = ask(&server, &["diff"]);
    assert_eq!(output.status.code(), Some(2), "looking is free: {}", text(&output.stderr));
    assert!(text(&output.stderr).contains("warning: the service belongs to the controller instance \"blue\""), "{}", text(&output.stderr));
    // With the configuration of its own controller it is reconciled, under the Lease of that instance.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, "instance: blue\n").unwrap();
    let output = ask(&server, &["reconcile", "--yes", "--controller-config", &config.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let leases: Vec<_> = server.writes().into_iter().filter(|asked| asked.path.contains("/leases")).collect();
    assert!(!leases.is_empty() && leases.iter().all(|asked| asked.body["metadata"]["name"] == "isbsvc-controller-lock-blue"), "{leases:?}");
}

#[test]
fn a_paused_service_is_left_alone_until_it_is_deleted() {
    let paused = json!({ "numaflow.numaproj.io/paused": "true" });
    let server = with(json!({ "annotations": paused }));
    for flags in [&["reconcile", "--yes"][..], &["reconcile", "--dry-run"]] {
        let output = ask(&server, flags);
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        let line = complaint(&output);
        assert!(
            line.lines().count() == 1 && line.ends_with("kubectl annotate isbsvc default -n work numaflow.numaproj.io/paused-"),
            "{line}"
        );
    }
    assert_eq!(server.writes(), []);
    let output = ask(&server, &["diff"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("warning: the service is paused"), "{}", text(&output.stderr));
    let deleted = json!({ "annotations": paused, "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["numaflow.numaproj.io/isbsvc-controller"] });
    let server = with(deleted);
    let output = ask(&server, &["reconcile", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(server.writes().iter().any(|asked| !asked.path.contains("/leases")), "its finalizer goes");
}

/// Whoever is asked may take minutes to answer: what holds then counts.
#[test]
fn a_service_that_was_paused_after_the_plan_was_shown_is_left_alone() {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let server = ApiServer::start(move |asked| {
        let Answer::Json(status, mut body) = cluster(asked) else { unreachable!() };
        let about_it = asked.method == "GET" && asked.path.ends_with("/interstepbufferservices/default");
        // Once for the service, once for the plan.
        if about_it && looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 2 {
            body["metadata"]["annotations"] = json!({ "numaflow.numaproj.io/paused": "true" });
        }
        Answer::Json(status, body)
    });
    let output = ask(&server, &["reconcile", "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(complaint(&output).contains("the service is paused"), "{}", complaint(&output));
    let writes = server.writes();
    assert!(!writes.is_empty() && writes.iter().all(|asked| asked.path.contains("/leases")), "the Lease is freed again: {writes:?}");
}

/// What cannot be seen must not be written down as not there: a service whose pods nobody sees would count as unavailable.
#[test]
fn nothing_is_written_where_the_pods_cannot_be_seen() {
    let server = ApiServer::start(|asked| {
        let words = "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" in the namespace \"work\"";
        if asked.path.contains("/pods") { failure(403, "Forbidden", words, &json!({})) } else { cluster(asked) }
    });
    let output = ask(&server, &["reconcile", "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let line = complaint(&output);
    assert!(line.lines().count() == 1 && line.contains("pods"), "{line}");
    assert_eq!(server.writes(), []);
}
