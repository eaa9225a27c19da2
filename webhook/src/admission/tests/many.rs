//! Answers about many findings: some are told, and how many there are.

use super::*;

/// A service with so many variables that are named twice, and so many arguments that are refused.
fn faulty(variables: usize, arguments: usize) -> Value {
    let mut object = service("jetstream: { version: 2.12.7 }");
    let twice = (0..variables).flat_map(|number| [number, number]);
    let env: Vec<_> = twice.map(|number| json!({ "name": format!("A{number}"), "value": "x" })).collect();
    object["spec"]["jetstream"]["containerTemplate"] = json!({ "env": env });
    object["spec"]["jetstream"]["startArgs"] = (0..arguments).map(|number| json!(format!("--a{number}"))).collect();
    object
}

#[test]
fn of_many_refusals_some_are_told_and_the_rest_are_counted() {
    for (variables, arguments, more) in [(20, 10, None), (20, 11, Some("and 1 more")), (30, 30, Some("and 30 more"))] {
        let status = create(Question::Validate, &faulty(variables, arguments))["status"].clone();
        let lines: Vec<_> = status["message"].as_str().unwrap().lines().collect();
        assert_eq!(lines[0], format!("{} things are wrong:", variables + arguments));
        assert_eq!(lines.len(), 1 + limits::FINDINGS + usize::from(more.is_some()), "{status}");
        assert!(more.is_none_or(|more| lines.last() == Some(&more)), "{status}");
        assert_eq!(status["details"]["causes"].as_array().unwrap().len(), limits::FINDINGS);
    }
}

#[test]
fn of_many_warnings_some_are_told() {
    let old = faulty(30, 30);
    let response = ask(Question::Validate, &request("UPDATE", &old, &old));
    assert_eq!(response["allowed"], true, "all of it was there before: {response}");
    assert_eq!(response["warnings"].as_array().unwrap().len(), limits::WARNINGS);
}
