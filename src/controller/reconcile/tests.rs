use super::*;

#[test]
fn failures_wait_longer_each_time_up_to_a_limit() {
    assert_eq!([1, 2, 3].map(backoff), [500, 1000, 2000].map(Duration::from_millis));
    assert_eq!([8, 20, 33, 1000].map(backoff), [limits::RETRY_MOST; 4]);
}
