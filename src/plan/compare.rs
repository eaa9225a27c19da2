use serde_json::Value;

use crate::controller_config::quantity_thousandths;

/// Where a live object lacks what is desired, as JSON pointers; empty when it holds it all.
///
/// The live object may hold more in its maps: what the API server fills in, and what others own. Lists are compared whole, item by item, and so are
/// selectors, where one key more selects nothing any longer.
/// Quantities compare by value.
pub fn differences(desired: &Value, live: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(desired, live, "", &mut found);
    found
}

/// A key as one part of a JSON pointer (RFC 6901 section 3).
pub(super) fn segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn compare(desired: &Value, live: &Value, at: &str, found: &mut Vec<String>) {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            for (key, value) in desired {
                let at = format!("{at}/{}", segment(key));
                match live.get(key) {
                    Some(live) => compare(value, live, &at, found),
                    // The API server drops what is empty.
                    None if is_empty(value) => {}
                    // Of numbers, it drops this 0; elsewhere a 0 is kept, and one that is missing is a difference (a budget's `maxUnavailable`).
                    None if key == "initialDelaySeconds" && *value == 0 => {}
                    None => found.push(at),
                }
            }
            if is_selector(at) && live.keys().any(|key| !desired.contains_key(key)) {
                found.push(at.to_owned());
            }
        }
        (Value::Array(desired), Value::Array(live)) if desired.len() == live.len() => {
            for (index, (desired, live)) in desired.iter().zip(live).enumerate() {
                compare(desired, live, &format!("{at}/{index}"), found);
            }
        }
        _ if desired == live || (is_empty(desired) && is_empty(live)) || (holds_quantity(at) && same_quantity(desired, live)) => {}
        _ => found.push(at.to_owned()),
    }
}

/// Whether a map selects by labels; the API calls such a map atomic.
fn is_selector(at: &str) -> bool {
    matches!(at.rsplit('/').next(), Some("selector" | "matchLabels" | "nodeSelector"))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
    }
}

/// Whether a quantity stands there: resources, sizes of volumes, divisors.
fn holds_quantity(at: &str) -> bool {
    let mut words = at.rsplit('/');
    let last = words.next().unwrap_or_default();
    matches!(last, "divisor" | "sizeLimit") || words.next().is_some_and(|parent| matches!(parent, "limits" | "requests"))
}

/// The API server writes quantities its own way (`0.5` as `500m`).
fn same_quantity(desired: &Value, live: &Value) -> bool {
    let thousandths = |value: &Value| match value {
        Value::String(text) => quantity_thousandths(text),
        Value::Number(number) => number.as_u64()?.checked_mul(1000),
        _ => None,
    };
    matches!((thousandths(desired), thousandths(live)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_fills_in_is_no_difference() {
        let desired = json!({ "spec": { "containers": [{ "name": "main", "resources": {} }], "selector": { "a": "b" } } });
        let live = json!({ "spec": { "containers": [{ "name": "main", "terminationMessagePath": "/dev/termination-log" }], "selector": { "a": "b" }, "x": 1 } });
        assert_eq!(differences(&desired, &live), Vec::<String>::new());
    }

    #[test]
    fn law_quiet_when_done_a_delay_of_0_is_no_delay_and_other_zeros_count() {
        assert_eq!(differences(&json!({ "probe": { "initialDelaySeconds": 0 } }), &json!({ "probe": {} })), Vec::<String>::new());
        assert_eq!(differences(&json!({ "maxUnavailable": 0 }), &json!({})), ["/maxUnavailable"]);
    }

    #[test]
    fn one_more_label_of_a_selector_is_a_difference() {
        for pointer in ["selector", "matchLabels", "nodeSelector"] {
            let (desired, live) = (json!({ pointer: { "a": "b" } }), json!({ pointer: { "a": "b", "c": "d" } }));
            assert_eq!(differences(&desired, &live), [format!("/{pointer}")]);
        }
        assert_eq!(differences(&json!({ "labels": { "a": "b" } }), &json!({ "labels": { "a": "b", "c": "d" } })), Vec::<String>::new());
    }

    #[test]
    fn each_changed_or_missing_field_is_named() {
        let desired = json!({ "a": { "b/c": 1 }, "d": [1, 2], "e": "x" });
        let live = json!({ "a": {}, "d": [1, 2, 3], "e": "y" });
        assert_eq!(differences(&desired, &live), ["/a/b~1c", "/d", "/e"]);
    }

    #[test]
    fn quantities_compare_by_value() {
        for (a, b) in
            [(json!("0.5"), json!("500m")), (json!("20Gi"), json!("20480Mi")), (json!(1), json!("1")), (json!("1.5Gi"), json!("1536Mi"))]
        {
            assert_eq!(differences(&json!({ "limits": { "v": a } }), &json!({ "limits": { "v": b } })), Vec::<String>::new(), "{a} {b}");
            assert_eq!(differences(&json!({ "env": { "v": a } }), &json!({ "env": { "v": b } })), ["/env/v"], "elsewhere words are words");
        }
        assert_eq!(differences(&json!({ "limits": { "v": "500m" } }), &json!({ "limits": { "v": "600m" } })), ["/limits/v"]);
    }
}
