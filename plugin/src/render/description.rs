//! A service in sections.

use std::fmt::Write as _;

use serde_json::Value;

use super::cells;
use super::status::{conditions_table, indent, summary_lines};
use super::table::Table;
use crate::exit::Failure;
use crate::model::description::Description;
use crate::terminal::{Shade, clean, paint};

/// The service in sections.
pub fn sections(description: &Description, colours: bool) -> Result<String, Failure> {
    let now = description.metadata.observed_at;
    let mut text = String::new();
    let heading = |text: &mut String, title: &str| {
        let _ = writeln!(text, "\n{}", paint(title, Shade::Bold, colours));
    };
    let _ = writeln!(text, "{:<15}{}", "Name:", clean(&description.metadata.name));
    let _ = writeln!(text, "{:<15}{}", "Namespace:", clean(&description.metadata.namespace));
    pairs(&mut text, "Labels:", &description.labels);
    pairs(&mut text, "Annotations:", &description.annotations);
    if !description.finalizers.is_empty() {
        let _ = writeln!(text, "{:<15}{}", "Finalizers:", clean(&description.finalizers.join(", ")));
    }
    heading(&mut text, "Summary");
    text.push_str(&summary_lines(&description.summary, now));
    heading(&mut text, "Spec");
    text.push_str(&indent(&super::yaml(&description.spec)?));
    if !description.client_config.is_null() {
        heading(&mut text, "How clients connect");
        text.push_str(&indent(&super::yaml(&description.client_config)?));
    }
    heading(&mut text, "Conditions");
    text.push_str(&conditions_table(&description.conditions, now, colours));
    heading(&mut text, "Objects");
    if description.objects.is_empty() {
        text.push_str("  none\n");
    } else {
        let mut table = Table::new(&["KIND", "NAME", "INFO", "AGE"], true, colours);
        for object in &description.objects {
            table.row(vec![(&object.kind).into(), (&object.name).into(), (&object.info).into(), cells::age(object.created_at, now).into()]);
        }
        text.push_str(&indent(&table.text()));
    }
    if let Some(pipelines) = &description.pipelines {
        heading(&mut text, "Pipelines");
        for pipeline in pipelines {
            let deleting = if pipeline.deleting { " (being deleted)" } else { "" };
            let _ = writeln!(text, "  {}{deleting}", clean(&pipeline.name));
        }
        if pipelines.is_empty() {
            text.push_str("  none use it\n");
        }
    }
    if let Some(events) = &description.events {
        heading(&mut text, "Events");
        if events.is_empty() {
            text.push_str("  none\n");
        } else {
            let mut table = Table::new(&["LAST", "COUNT", "TYPE", "REASON", "OBJECT", "MESSAGE"], true, colours);
            for event in events {
                table.row(vec![
                    cells::age(event.last, now).into(),
                    event.count.to_string().into(),
                    (&event.type_).into(),
                    (&event.reason).into(),
                    (&event.object).into(),
                    (&event.message).into(),
                ]);
            }
            text.push_str(&indent(&table.text()));
        }
    }
    if !description.errors.is_empty() {
        heading(&mut text, "Not looked at");
        for gap in &description.errors {
            let _ = writeln!(text, "  {}: {}", clean(&gap.source), clean(&gap.message));
        }
    }
    Ok(text)
}

fn pairs(text: &mut String, title: &str, map: &Value) {
    let mut title = title;
    let empty = map.as_object().is_none_or(serde_json::Map::is_empty);
    if empty {
        let _ = writeln!(text, "{title:<15}{}", cells::NONE);
    }
    for (key, value) in map.as_object().into_iter().flatten() {
        let _ = writeln!(text, "{title:<15}{}={}", clean(key), clean(value.as_str().unwrap_or_default()));
        title = "";
    }
}
