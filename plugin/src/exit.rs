//! Exit codes, and the one line that a failed command ends with.

use std::process::ExitCode;

/// How a command ends. The same numbers hold for every command (`docs/commands.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It was done; what was asked about is fine.
    Fine = 0,
    /// It could not be answered: a wrong flag, no permission, no network, no such object, a refused change.
    NoAnswer = 1,
    /// It was answered, and the answer is not good: an unhealthy service, differences.
    NotAsItShould = 2,
    /// The time given by `--timeout` passed. The number is that of `timeout(1)`.
    TimedOut = 124,
    /// Ctrl-C or a termination. The number is that of a shell: 128 + SIGINT.
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command failed: one line that says what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the process ends with.
    pub code: Code,
    /// Said on stderr; empty where nothing needs to be said.
    pub message: String,
}

impl Failure {
    /// It could not be answered.
    pub fn no_answer(message: impl Into<String>) -> Self {
        Self { code: Code::NoAnswer, message: message.into() }
    }

    /// The time passed.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self { code: Code::TimedOut, message: message.into() }
    }

    /// Ctrl-C or a termination.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { code: Code::Interrupted, message: message.into() }
    }

    /// Nobody reads our output any more, which is no fault: `kubectl isbsvc list | head -1`.
    pub fn broken_pipe() -> Self {
        Self { code: Code::Fine, message: String::new() }
    }
}

/// What a command comes to.
pub type Outcome = Result<Code, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_manual() {
        let numbers = [Code::Fine, Code::NoAnswer, Code::NotAsItShould, Code::TimedOut, Code::Interrupted].map(|code| code as u8);
        assert_eq!(numbers, [0, 1, 2, 124, 130]);
        let manual = include_str!("../../docs/commands.md");
        for number in numbers {
            assert!(manual.contains(&format!("| {number} |")), "docs/commands.md explains exit code {number}");
        }
    }
}
