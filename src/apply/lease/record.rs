//! The record of a Lease in an API server of a test, which compares resourceVersions.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Lease;
use crate::observe::scripted::{Asked, api_server, failure};

/// The record; none at first.
#[derive(Clone, Default)]
pub(crate) struct Record(pub Arc<Mutex<Option<Value>>>);

impl Record {
    /// What the API server says to a request.
    pub fn answer(&self, asked: &Asked) -> (u16, Value) {
        let mut stored = self.0.lock().unwrap();
        let version = |value: &Value| value["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        if asked.method == "GET" {
            return stored.clone().map_or_else(|| failure(404, "NotFound", "not found"), |value| (200, value));
        }
        let current = stored.as_ref().map_or(0, version);
        if version(&asked.body) != current {
            return failure(409, "Conflict", "the object has been modified");
        }
        let mut new = asked.body.clone();
        new["metadata"]["resourceVersion"] = json!((current + 1).to_string());
        *stored = Some(new.clone());
        (200, new)
    }

    /// The Lease of one who reaches the API server.
    pub fn lease(&self, identity: &str) -> Lease {
        let record = self.clone();
        Lease::new(api_server(move |asked| record.answer(asked)).0, "numaflow-system", "", identity)
    }

    /// Who holds it.
    pub fn holder(&self) -> String {
        self.0.lock().unwrap().as_ref().unwrap()["spec"]["holderIdentity"].as_str().unwrap().to_owned()
    }
}
