//! Law one-verdict: controller and plugin say the same of the same thing, by the same names. The webhook's part is in `webhook/tests/one_verdict.rs`.

// A test that cannot go on fails, and says where.
#![allow(clippy::panic, clippy::unwrap_used)]

use isbsvc::api::names;
use isbsvc::health;
use isbsvc::observed::Fact;
use isbsvc_tests::refused;
use isbsvc_tests::simulator::{Simulator, server};
use kubectl_isbsvc::commands::render::desired;
use kubectl_isbsvc::inspect;
use kubectl_isbsvc::model::status::ServiceStatus;
use serde_json::Value;

fn running(spec: &Value) -> Simulator {
    let mut simulator = Simulator::new(spec);
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    simulator
}

#[test]
fn law_one_verdict_on_a_new_service() {
    for (spec, rule) in refused::new_services() {
        let mut simulator = Simulator::new(&spec);
        let controller = simulator.settle().status.unwrap().message.unwrap();
        let words = controller.strip_prefix("InvalidSpec: ").unwrap();
        assert!(words.ends_with(&format!("({rule})")), "{words}");
        let plugin = desired(&simulator.service(), &simulator.config).err().unwrap().message;
        assert_eq!(plugin, format!("refused: {words}"));
    }
}

/// The plugin shows the controller's words, and that the change is not carried out.
#[test]
fn law_one_verdict_on_a_change() {
    for (pointer, value, rule) in refused::changes() {
        let mut simulator = running(&refused::before());
        simulator.edit_spec(pointer, value);
        let controller = simulator.settle().status.unwrap().message.unwrap();
        assert!(controller.starts_with("Refused: ") && controller.ends_with(&format!("({rule})")), "{controller}");
        let shown = shown(&simulator);
        assert_eq!(shown.summary.message.as_ref(), Some(&controller));
        assert_eq!(shown.verdict.reasons[0].id, health::reasons::NOT_CARRIED_OUT.id);
    }
}

fn shown(simulator: &Simulator) -> ServiceStatus {
    let (service, observed) = (simulator.service(), simulator.observed());
    let verdict = inspect::judge(&service, &observed, simulator.now);
    ServiceStatus::new(&service, &observed, &verdict, &Fact::Known(Vec::new()), simulator.now)
}

type Harm = (&'static str, fn(&mut Simulator));

/// What is seen in the servers is in the controller's words and, by its name, in what the plugin shows.
#[test]
fn law_one_verdict_on_what_runs() {
    let harms: [Harm; 4] = [
        ("ServerSilent", |simulator| {
            simulator.servers.insert(names::pod("default", 1), Fact::Unknown("pod isbsvc-default-js-1: no answer".to_owned()));
        }),
        ("NoServerAnswers", |simulator| {
            for fact in simulator.servers.values_mut() {
                *fact = Fact::Unknown("no answer".to_owned());
            }
        }),
        ("NoMetaLeader", |simulator| {
            for ordinal in 0..3 {
                let name = names::pod("default", ordinal);
                simulator.servers.insert(name.clone(), Fact::Known(server(&name, 3, None)));
            }
        }),
        ("QuorumLost", |simulator| simulator.pods.retain(|name, _| name.ends_with("-0"))),
    ];
    for (id, harm) in harms {
        let mut simulator = running(&refused::before());
        assert_eq!(shown(&simulator).verdict.reasons, [], "well before");
        harm(&mut simulator);
        let status = simulator.settle().status.unwrap();
        let shown = shown(&simulator);
        let reason = shown.verdict.reasons.iter().find(|reason| reason.id == id);
        let reason = reason.unwrap_or_else(|| panic!("{id}: {:?}", shown.verdict.reasons));
        assert!(status.message.as_ref().unwrap().contains(&reason.message), "{id}: {status:?}");
        // Once healthy, only the lost quorum turns the condition.
        assert_eq!(status.is_healthy(), id != "QuorumLost", "{id}");
    }
}
