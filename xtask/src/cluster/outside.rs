//! Outside commands: run one, and when it fails, say what it said.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A command from its words.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end and gives its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let out = command.output().with_context(|| format!("cannot run `{shown}`"))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        let said = if said.trim().is_empty() { String::from_utf8_lossy(&out.stdout) } else { said };
        bail!("`{shown}` failed ({}): {}", out.status, last_lines(&said, 5));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs a command to its end for its effect.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    output(&mut command(program, arguments)).map(drop)
}

/// Runs a command that reads `input`.
pub fn feed(command: &mut Command, input: &str) -> Result<()> {
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{shown}`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let out = child.wait_with_output()?;
    if !out.status.success() {
        bail!("`{shown}` failed ({}): {}", out.status, last_lines(&String::from_utf8_lossy(&out.stderr), 5));
    }
    Ok(())
}

/// The last `count` lines that are neither blank nor a warning (containerd's `ctr` begins with some, whatever it is asked).
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty() && !line.contains("level=warning")).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = run("sh", &["-c", "echo one >&2; echo two >&2; exit 3"]).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("one\ntwo"), "{error}");
    }

    #[test]
    fn last_lines_drops_blank_ones() {
        assert_eq!(last_lines("a\n\nb\nc\n \n", 2), "b\nc");
    }
}
