use serde::de::DeserializeOwned;

use crate::limits;

/// Reads a text that anybody may write into a service: what it can ask for is bounded, however small it is. Errors are in the library's words.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: limits::YAML_VALUES },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: limits::YAML_VALUES },
    };
    serde_saphyr::from_str_with_options(text, options)
}
