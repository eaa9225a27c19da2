use super::*;

fn pods(pods: &[(&str, &str)]) -> BTreeMap<String, String> {
    pods.iter().map(|(name, uid)| ((*name).to_owned(), (*uid).to_owned())).collect()
}

#[test]
fn servers_that_are_well_are_asked_when_their_time_has_come() {
    let now = Instant::now();
    let one = pods(&[("p-0", "u-1")]);
    let well = Memory { asked: one.clone(), asked_at: Some(now), ask_at: Some(now + Duration::from_secs(30)), ..Memory::default() };
    assert!(!must_ask(&well, &one, now + Duration::from_secs(29)));
    assert!(must_ask(&well, &one, now + Duration::from_secs(30)));
}

#[test]
fn another_pod_of_the_same_name_is_asked_at_once() {
    let now = Instant::now();
    let well =
        Memory { asked: pods(&[("p-0", "u-1")]), asked_at: Some(now), ask_at: Some(now + Duration::from_secs(30)), ..Memory::default() };
    assert!(must_ask(&well, &pods(&[("p-0", "u-2")]), now));
    assert!(must_ask(&well, &pods(&[]), now), "what a pod said that is gone is forgotten");
}

#[test]
fn servers_that_are_not_well_are_asked_at_every_look_but_not_at_each_event() {
    let now = Instant::now();
    let one = pods(&[("p-0", "u-1")]);
    let unwell = Memory { asked: one.clone(), asked_at: Some(now), ..Memory::default() };
    assert!(!must_ask(&unwell, &one, now + Duration::from_millis(10)));
    assert!(must_ask(&unwell, &one, now + limits::LOOK_WHILE_STARTING));
    assert!(must_ask(&Memory::default(), &one, now));
    assert!(!must_ask(&Memory::default(), &pods(&[]), now), "nobody is there");
}

#[test]
fn failures_wait_longer_each_time_up_to_a_limit() {
    assert_eq!([1, 2, 3].map(backoff), [500, 1000, 2000].map(Duration::from_millis));
    assert_eq!([8, 20, 33, 1000].map(backoff), [limits::RETRY_MOST; 4]);
}
