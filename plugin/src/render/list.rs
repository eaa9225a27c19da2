//! Services as a table.

use super::cells::{self, UNKNOWN};
use super::table::{Table, Text};
use crate::model::list::{ServiceList, ServiceRow};

/// How the table is drawn.
#[derive(Clone, Copy, Debug)]
// Each is a question of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct Shape {
    /// Further columns.
    pub wide: bool,
    /// A column for the namespace.
    pub namespaces: bool,
    /// A line of headings.
    pub headings: bool,
    /// Colours.
    pub colours: bool,
}

/// The services as a table.
pub fn table(list: &ServiceList, shape: Shape) -> String {
    let mut headings = Vec::new();
    if shape.namespaces {
        headings.push("NAMESPACE");
    }
    headings.extend(["NAME", "TYPE", "VERSION", "READY", "HEALTH", "PIPELINES"]);
    if shape.wide {
        headings.extend(["PHASE", "TLS", "ENCRYPTED", "VOLUME", "INSTANCE"]);
    }
    headings.push("AGE");
    if shape.wide {
        headings.push("MESSAGE");
    }
    let mut table = Table::new(&headings, shape.headings, shape.colours);
    for row in &list.items {
        table.row(cells(row, list.observed_at, shape));
    }
    table.text()
}

fn cells(row: &ServiceRow, now: jiff::Timestamp, shape: Shape) -> Vec<Text> {
    let or_none = |text: &Option<String>| Text::from(text.clone().unwrap_or_default());
    let mut cells = Vec::new();
    if shape.namespaces {
        cells.push(Text::from(&row.namespace));
    }
    let ready = row.ready.map_or_else(|| UNKNOWN.to_owned(), |ready| format!("{ready}/{}", row.servers));
    cells.extend([
        Text::from(&row.name),
        Text::from(&row.type_),
        or_none(&row.version),
        ready.into(),
        Text::shaded(cells::level(row.health), cells::shade(row.health)),
        cells::count(row.pipelines).into(),
    ]);
    if shape.wide {
        cells.extend([
            or_none(&row.phase),
            cells::yes(row.tls).into(),
            cells::yes(row.encryption).into(),
            or_none(&row.volume),
            or_none(&row.instance),
        ]);
    }
    cells.push(cells::age(row.created_at, now).into());
    if shape.wide {
        cells.push(or_none(&row.message));
    }
    cells
}
