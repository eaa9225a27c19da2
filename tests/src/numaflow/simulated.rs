use base64::Engine as _;
use isbsvc::api::names;
use isbsvc::plan::ChildKind;
use serde_json::{Value, json};

use super::{Material, Service};
use crate::simulator::{Simulator, managed};

/// A service that Numaflow's controller made by this spec and that is healthy, as our controller finds it.
pub fn simulated(spec: &Value) -> Simulator {
    let mut simulator = Simulator::new(spec);
    let jetstream = &spec["jetstream"];
    let made = Service {
        namespace: "simulated".to_owned(),
        uid: "uid-1".to_owned(),
        replicas: jetstream["replicas"].as_i64().and_then(|count| i32::try_from(count).ok()).unwrap_or(3),
        tls: jetstream["tls"] == true,
        encryption: jetstream["encryption"] == true,
        volume: jetstream["persistence"]["volumeSize"].as_str().map(str::to_owned),
        images: None,
    };
    let mut stateful_set = made.stateful_set();
    let main = &mut stateful_set["spec"]["template"]["spec"]["containers"][0];
    if jetstream["startArgs"].is_array() {
        main["args"] = jetstream["startArgs"].clone();
    }
    if let (Some(env), Some(own)) = (main["env"].as_array_mut(), jetstream["containerTemplate"]["env"].as_array()) {
        // Whatever their names are.
        env.extend(own.iter().cloned());
    }
    let word = |word: &str| word.to_owned();
    let pair = |whose: &str| [format!("{whose}-cert"), format!("{whose}-key"), format!("{whose}-ca")];
    let material = Material {
        client: (word("usrusrus"), word("passwordpassword")),
        system: word("systemsystemsystemsystem"),
        encryption: word("abcdefghijkl"),
        server: pair("server"),
        cluster: pair("cluster"),
    };
    simulator.object["metadata"]["finalizers"] = json!([names::FINALIZER]);
    simulator.object["status"] = made.status();
    simulator.object["status"].as_object_mut().map(|status| status.remove("message"));
    let mut objects =
        vec![(ChildKind::StatefulSet, stateful_set), (ChildKind::Service, made.service()), (ChildKind::ConfigMap, made.config_map())];
    for mut secret in made.secrets(&material) {
        let encoded = |text: &Value| json!(base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default()));
        let text = secret["stringData"].take();
        secret["data"] = text.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), encoded(value))).collect();
        objects.push((ChildKind::Secret, secret));
    }
    for (kind, mut object) in objects {
        managed(&mut object, names::NUMAFLOW_MANAGER, "Update", simulator.now);
        simulator.put(kind, object);
    }
    simulator.start_pods();
    simulator
}
