//! What would be written, as text.

use std::fmt::Write as _;

use serde_json::Value;

use super::text_lines;
use crate::model::difference::{Change, Difference, Field};
use crate::terminal::{Shade, clean, clean_lines, paint};

/// Characters of one value that are shown; the JSON holds them all.
const VALUE: usize = 200;

/// Every write with what it changes.
pub fn text(difference: &Difference, colours: bool) -> String {
    let mut text = String::new();
    for change in &difference.changes {
        heading(&mut text, change, colours);
        for field in &change.fields {
            show(&mut text, field, colours);
        }
    }
    if let Some(why) = &difference.held {
        let _ = writeln!(text, "held back: {}", clean(why));
    }
    text
}

/// Every write in a line.
pub fn outline(difference: &Difference, colours: bool) -> String {
    let mut text = String::new();
    for change in &difference.changes {
        heading(&mut text, change, colours);
    }
    text
}

fn heading(text: &mut String, change: &Change, colours: bool) {
    let shade = match change.verb {
        "create" => Shade::Green,
        "delete" => Shade::Red,
        _ => Shade::Yellow,
    };
    let fields = match change.fields.len() {
        0 => String::new(),
        1 => " (1 field)".to_owned(),
        count => format!(" ({count} fields)"),
    };
    let _ = writeln!(text, "{} {}/{}{fields}", paint(change.verb, shade, colours), change.kind, clean(&change.name));
}

fn show(text: &mut String, field: &Field, colours: bool) {
    let _ = writeln!(text, "  {}", clean(&field.pointer));
    let lines = match (&field.live, &field.wanted) {
        (Value::String(live), Value::String(wanted)) if live.contains('\n') || wanted.contains('\n') => text_lines::changed(live, wanted),
        (live, wanted) => {
            let signed = |sign: char, value: &Value| (!value.is_null()).then(|| format!("{sign}{}", short(value)));
            [signed('-', live), signed('+', wanted)].into_iter().flatten().collect()
        }
    };
    for line in lines {
        let line = clean_lines(&line);
        let line = match line.chars().next() {
            Some('-') => paint(&line, Shade::Red, colours),
            Some('+') => paint(&line, Shade::Green, colours),
            _ => line,
        };
        let _ = writeln!(text, "    {line}");
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE) {
        None => text,
        Some((at, _)) => format!("{}... ({} characters)", &text[..at], text.chars().count()),
    }
}
