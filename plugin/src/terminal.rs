//! Standard output and error: data and words, colours, and text from the cluster that must not steer a terminal.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;

use crate::exit::Failure;

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether standard output gets colours.
    pub fn on(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                !unwanted && !dumb && std::io::stdout().is_terminal()
            }
        }
    }
}

/// Colours of the text output, where they are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shade {
    /// All is well.
    Green,
    /// Should be looked at.
    Yellow,
    /// Does not work.
    Red,
    /// Headings without a verdict.
    Bold,
}

/// Text in a colour, where colours are on.
pub fn paint(text: &str, shade: Shade, colours: bool) -> String {
    if !colours {
        return text.to_owned();
    }
    let code = match shade {
        Shade::Green => "1;32",
        Shade::Yellow => "1;33",
        Shade::Red => "1;31",
        Shade::Bold => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Text from the cluster for one line: without characters that steer a terminal or turn the direction of the text; line ends become spaces.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' | '\r' | '\t' => clean.push(' '),
            steering if steers(steering) => {}
            other => clean.push(other),
        }
    }
    clean
}

/// Text of several lines without characters that steer a terminal.
pub fn clean_lines(text: &str) -> String {
    text.chars().filter(|character| matches!(character, '\n' | '\t') || !steers(*character)).collect()
}

fn steers(character: char) -> bool {
    character.is_control() || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes data to standard output. A reader that went away ends the command as a success.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::broken_pipe()),
        Err(error) => Err(Failure::no_answer(format!("cannot write to standard output: {error}"))),
    }
}

/// Says something to the person on standard error; nobody listening is no fault.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Something to know that changes nothing.
pub fn note(text: &str) {
    say(&format!("note: {}", clean(text)));
}

/// Something to look at.
pub fn warn(text: &str) {
    say(&format!("warning: {}", clean(text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_the_cluster_steers_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\u{9b}c\u{202e}d\ne\n"), "a[31mbcd e");
        assert_eq!(clean_lines("a\x1b]0;x\x07\n\tb\r\n"), "a]0;x\n\tb\n");
    }

    #[test]
    fn colours_are_left_out_on_demand() {
        assert_eq!(paint("x", Shade::Red, false), "x");
        assert_eq!(paint("x", Shade::Red, true), "\x1b[1;31mx\x1b[0m");
        assert!(!Color::Never.on());
        assert!(Color::Always.on());
    }
}
