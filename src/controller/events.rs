use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event as Published, EventType as PublishedType, Recorder, Reporter};
use tokio::time::timeout;

use super::metrics::Metrics;
use crate::api::names;
use crate::limits;
use crate::observe::in_words;
use crate::plan::{Event, EventType};

/// Tells people what happened, on the service itself. An event that is lost is counted and changes nothing else.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    metrics: Arc<Metrics>,
}

impl Events {
    /// Publishes as this instance of the controller.
    pub fn new(client: Client, instance: String, metrics: Arc<Metrics>) -> Self {
        let reporter = Reporter { controller: names::CHILDREN_MANAGER.to_owned(), instance: Some(instance) };
        Self { recorder: Recorder::new(client, reporter), metrics }
    }

    /// Publishes one.
    pub async fn publish(&self, about: &ObjectReference, event: &Event) {
        let published = Published {
            type_: match event.type_ {
                EventType::Normal => PublishedType::Normal,
                EventType::Warning => PublishedType::Warning,
            },
            reason: event.reason.to_owned(),
            note: Some(cut(&event.note, limits::EVENT_NOTE).to_owned()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let why = match timeout(limits::API_REQUEST, self.recorder.publish(&published, about)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => in_words(&error),
            Err(_) => "no answer of the API server".to_owned(),
        };
        self.metrics.event_lost();
        tracing::warn!(reason = event.reason, why, "an event could not be published");
    }
}

/// At most so many bytes, and whole characters.
fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_at_a_whole_character() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "abc");
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(cut("ää", 3), "ä");
    }
}
