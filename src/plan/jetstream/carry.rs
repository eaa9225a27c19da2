use serde_json::{Map, Value};

/// What a change from `old` to `new` makes of `base`: only what the change itself touches, so that everything else of `base` stays to the byte.
///
/// Lists whose items have names (`name`, or `mountPath` of volume mounts) are carried item by item; any other list as a whole.
pub(super) fn carried(base: &Value, old: &Value, new: &Value) -> Value {
    if old == new {
        return base.clone();
    }
    if base == old {
        return new.clone();
    }
    match (base, old, new) {
        (Value::Object(base), Value::Object(old), Value::Object(new)) => Value::Object(maps(base, old, new)),
        (Value::Array(base), Value::Array(old), Value::Array(new)) => match key(base, old, new) {
            Some(key) => Value::Array(lists(key, base, old, new)),
            None => Value::Array(new.clone()),
        },
        _ => new.clone(),
    }
}

fn maps(base: &Map<String, Value>, old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut result = base.clone();
    for field in old.keys().filter(|field| !new.contains_key(*field)) {
        result.remove(field);
    }
    for (field, value) in new {
        match (base.get(field), old.get(field)) {
            (_, Some(before)) if before == value => {}
            (Some(base), Some(before)) => drop(result.insert(field.clone(), carried(base, before, value))),
            _ => drop(result.insert(field.clone(), value.clone())),
        }
    }
    result
}

fn lists(key: &str, base: &[Value], old: &[Value], new: &[Value]) -> Vec<Value> {
    let find = |items: &[Value], name: &Value| items.iter().find(|item| item[key] == *name).cloned();
    let mut result: Vec<Value> = base
        .iter()
        .filter_map(|item| match (find(old, &item[key]), find(new, &item[key])) {
            (Some(_), None) => None,
            (Some(old), Some(new)) => Some(carried(item, &old, &new)),
            (None, Some(new)) => Some(new),
            (None, None) => Some(item.clone()),
        })
        .collect();
    let added = new.iter().filter(|item| find(base, &item[key]).is_none() && find(old, &item[key]).as_ref() != Some(item));
    result.extend(added.cloned());
    result
}

/// The field by which the items of these lists are known: every item has it, and no two of a list share it.
fn key(base: &[Value], old: &[Value], new: &[Value]) -> Option<&'static str> {
    let known_by = |items: &[Value], key: &str| {
        let mut names: Vec<_> = items.iter().map(|item| item[key].as_str()).collect();
        names.sort_unstable();
        names.iter().all(Option::is_some) && names.windows(2).all(|pair| pair[0] != pair[1])
    };
    // Both a port and a mount have a name; two mounts of one volume do not differ by it.
    ["mountPath", "name"].into_iter().find(|key| [base, old, new].iter().all(|items| known_by(items, key)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_change_touches_is_carried() {
        let base = json!({ "containers": [
            { "name": "main", "env": [{ "name": "A", "value": "theirs" }], "probe": { "path": "/", "period": 10 } },
            { "name": "sidecar", "image": "x" },
        ], "grace": 120 });
        let old = json!({ "containers": [{ "name": "main", "env": [{ "name": "A", "value": "ours" }], "probe": { "path": "/healthz", "period": 5 } }], "grace": 150 });
        let mut new = old.clone();
        new["containers"][0]["resources"] = json!({ "limits": { "memory": "1Gi" } });
        new["containers"][0]["env"] = json!([{ "name": "A", "value": "ours" }, { "name": "B", "value": "2" }]);
        new["containers"][0]["probe"]["period"] = json!(7);
        assert_eq!(
            carried(&base, &old, &new),
            json!({ "containers": [
                {
                    "name": "main",
                    "env": [{ "name": "A", "value": "theirs" }, { "name": "B", "value": "2" }],
                    "probe": { "path": "/", "period": 7 },
                    "resources": { "limits": { "memory": "1Gi" } },
                },
                { "name": "sidecar", "image": "x" },
            ], "grace": 120 })
        );
        // And back again: what was added goes, and nothing else.
        assert_eq!(carried(&carried(&base, &old, &new), &new, &old)["containers"][0]["env"], base["containers"][0]["env"]);
    }

    #[test]
    fn what_the_change_takes_away_goes() {
        let base = json!({ "selector": { "disk": "ssd", "theirs": "1" }, "tolerations": [{ "key": "a" }] });
        let old = json!({ "selector": { "disk": "ssd" }, "tolerations": [{ "key": "a" }] });
        assert_eq!(carried(&base, &old, &json!({ "selector": {} })), json!({ "selector": { "theirs": "1" } }));
    }

    #[test]
    fn mounts_are_known_by_where_they_are_mounted() {
        let mount = |path: &str, name: &str| json!({ "mountPath": path, "name": name });
        let base = json!([mount("/data", "vol"), mount("/extra", "vol")]);
        let old = json!([mount("/data", "vol")]);
        let new = json!([mount("/data", "other")]);
        assert_eq!(carried(&base, &old, &new), json!([mount("/data", "other"), mount("/extra", "vol")]));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3u8).prop_map(Value::from),
            "[a-c]".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d]|name", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_change_changes_nothing(base in any_json(), same in any_json()) {
            prop_assert_eq!(carried(&base, &same, &same), base);
        }

        #[test]
        fn what_is_as_we_made_it_becomes_what_we_would_make(old in any_json(), new in any_json()) {
            prop_assert_eq!(carried(&old, &old, &new), new);
        }
    }
}
