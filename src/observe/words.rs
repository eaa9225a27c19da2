/// An error of the Kubernetes client in one line, each cause said once (kube's own text repeats what its sources say).
pub fn in_words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) if !status.reason.is_empty() => status.reason.clone(),
        kube::Error::Api(status) => format!("the API server answered {}", status.code),
        // The body may hold a secret and is never repeated.
        kube::Error::SerdeError(error) => {
            format!("the API server's answer could not be read: {:?} at column {}", error.classify(), error.column())
        }
        other => innermost(other),
    }
}

/// The first cause: what went wrong at the bottom, such as "Connection refused (os error 111)".
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    format!("API server not reached: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_api_server_is_said_in_its_own_words() {
        let status = |message: &str, reason: &str| kube::Error::Api(kube::core::Status::failure(message, reason).with_code(403).boxed());
        assert_eq!(in_words(&status("pods is forbidden", "Forbidden")), "pods is forbidden");
        assert_eq!(in_words(&status("", "Forbidden")), "Forbidden");
        assert_eq!(in_words(&status("", "")), "the API server answered 403");
    }

    #[test]
    fn a_body_that_cannot_be_read_is_not_repeated() {
        let error = serde_json::from_str::<u32>("\"hunter2\"").unwrap_err();
        let words = in_words(&kube::Error::SerdeError(error));
        assert!(!words.contains("hunter2"), "{words}");
    }
}
