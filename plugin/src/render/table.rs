//! Tables in kubectl's manner: no borders, three spaces between columns, nothing after the last word of a line.

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table as Comfy, presets};

use crate::terminal::{Shade, clean};

/// A table that grows by rows.
pub struct Table {
    inner: Comfy,
    colours: bool,
}

impl Table {
    /// A table with these headings; none with `--no-headers`.
    pub fn new(headings: &[&str], show_headings: bool, colours: bool) -> Self {
        let mut inner = Comfy::new();
        inner.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if colours {
            inner.enforce_styling();
        } else {
            inner.force_no_tty();
        }
        if show_headings {
            inner.set_header(headings.iter().map(|heading| Cell::new(*heading)).collect::<Vec<_>>());
        }
        Self { inner, colours }
    }

    /// Adds a row. Text is cleaned; what is empty is shown as `<none>`.
    pub fn row(&mut self, cells: Vec<Text>) {
        let cells: Vec<_> = cells
            .into_iter()
            .map(|cell| {
                let text = clean(&cell.text);
                let shown = Cell::new(if text.trim().is_empty() { "<none>".to_owned() } else { text });
                let Some(shade) = cell.shade.filter(|_| self.colours) else { return shown };
                shown.fg(match shade {
                    Shade::Green => Color::Green,
                    Shade::Yellow => Color::Yellow,
                    Shade::Red => Color::Red,
                    Shade::Bold => Color::Reset,
                })
            })
            .collect();
        self.inner.add_row(cells);
    }

    /// The lines, each with a line end.
    pub fn text(&mut self) -> String {
        for column in self.inner.column_iter_mut() {
            column.set_padding((0, 3)).set_cell_alignment(CellAlignment::Left);
        }
        let mut text = String::new();
        for line in self.inner.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Text of a cell, perhaps with a colour.
pub struct Text {
    text: String,
    shade: Option<Shade>,
}

impl Text {
    /// In a colour.
    pub fn shaded(text: impl Into<String>, shade: Shade) -> Self {
        Self { text: text.into(), shade: Some(shade) }
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self { text: text.into(), shade: None }
    }
}
