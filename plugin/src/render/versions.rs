//! Versions as a table.

use super::table::Table;
use crate::model::versions::Versions;

/// The versions as a table.
pub fn table(versions: &Versions) -> String {
    let mut table = Table::new(&["COMPONENT", "VERSION", "SOURCE"], true, false);
    for row in &versions.components {
        table.row(vec![(&row.component).into(), row.version.clone().unwrap_or_default().into(), (&row.source).into()]);
    }
    table.text()
}
