use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::Namespace;

/// The server pods of a service, watched: each change that the API server tells of is seen, however short it lasts.
pub struct Pods {
    kubectl: Child,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    began: Instant,
    servers: usize,
    /// uid of each pod, and whether its server can be relied on.
    now: BTreeMap<String, (String, bool)>,
    /// Whether all of them were ready at one moment: from then on it counts who is away.
    whole: bool,
    most_away: usize,
    /// What changed, for people.
    story: Vec<String>,
}

impl Pods {
    /// Watches them. Who is away is counted from the moment at which all are ready.
    ///
    /// # Panics
    /// Where kubectl cannot be run.
    pub fn watch(namespace: &Namespace<'_>, service: &str, servers: usize) -> Self {
        let label = format!("numaflow.numaproj.io/isbsvc-name={service}");
        let mut kubectl = namespace
            .kubectl_command(&["get", "pods", "--watch", "--output-watch-events", "-o", "json", "-l", &label])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("kubectl: {error}"));
        let seen = Seen { began: Instant::now(), servers, now: BTreeMap::new(), whole: false, most_away: 0, story: Vec::new() };
        let seen = Arc::new(Mutex::new(seen));
        if let Some(output) = kubectl.stdout.take() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let events = serde_json::Deserializer::from_reader(std::io::BufReader::new(output)).into_iter::<Value>();
                for event in events.map_while(Result::ok) {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).take(&event);
                }
            });
        }
        Self { kubectl, seen }
    }

    /// uid of each pod that can be relied on: ready, and not being stopped.
    pub fn ready(&self) -> BTreeMap<String, String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.now.iter().filter(|(_, (_, ready))| *ready).map(|(name, (uid, _))| (name.clone(), uid.clone())).collect()
    }

    /// The most pods that were away at one moment, and the story of it.
    ///
    /// # Panics
    /// Where the watch ended before this: then it did not see everything.
    #[track_caller]
    pub fn most_away(&mut self) -> (usize, String) {
        let ended = self.kubectl.try_wait().unwrap_or_else(|error| panic!("kubectl: {error}"));
        assert!(ended.is_none(), "the watch of the pods ended: {ended:?}");
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(seen.whole, "the pods were never all ready: {:?}", seen.story);
        (seen.most_away, seen.story.join("\n"))
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

impl Seen {
    fn take(&mut self, event: &Value) {
        let (pod, text) = (&event["object"], |value: &Value| value.as_str().unwrap_or_default().to_owned());
        let (name, uid) = (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]));
        let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ready = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let ready = ready && pod["metadata"]["deletionTimestamp"].is_null() && event["type"] != "DELETED";
        let before = if event["type"] == "DELETED" {
            // The one of the same name that came after it may be there already.
            if self.now.get(&name).is_some_and(|(other, _)| *other != uid) {
                return;
            }
            self.now.remove(&name)
        } else {
            self.now.insert(name.clone(), (uid, ready))
        };
        let away = self.servers.saturating_sub(self.now.values().filter(|(_, ready)| *ready).count());
        self.whole |= away == 0;
        if self.whole {
            self.most_away = self.most_away.max(away);
        }
        if before.is_none_or(|(_, before)| before != ready) {
            let at = self.began.elapsed().as_secs_f64();
            self.story.push(format!("{at:.1} s: {name} {}; {away} away", if ready { "ready" } else { "not ready" }));
        }
    }
}
