//! Tables for people, in psql's manner. Column widths follow the first rows; on a terminal that is too
//! narrow for a row each column gets a line of its own.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use latentdb_engine::{Result, RowStream};

use super::cells::{CellOptions, Cells, is_nested, is_number};
use super::{Style, emit};
use crate::cli::CliResult;

/// Rows that are laid out together.
const ROWS_PER_LAYOUT: usize = 1000;
/// Header line, its crossings and the lines between columns; see comfy-table's presets.
const PRESET: &str = "     ─┼ │          ";
/// Columns of a terminal that a table column needs to be readable.
const READABLE_WIDTH: usize = 12;
/// Characters of a list that a terminal shows.
const SHORT_LIST: usize = 60;
/// Characters of any other value that a terminal shows.
const SHORT_TEXT: usize = 400;
/// What null looks like.
const NULL: &str = "∅";

pub(super) async fn print(mut rows: RowStream, style: &Style) -> CliResult<u64> {
    let schema = Arc::clone(rows.schema());
    if schema.fields().is_empty() {
        return count_only(rows).await;
    }
    let is_narrow = |width: u16| schema.fields().len() * READABLE_WIDTH > usize::from(width);
    let mut layout = match style.terminal_width {
        Some(width) if is_narrow(width) => Layout::Records { printed: 0 },
        _ => Layout::Columns { widths: None },
    };
    let options = CellOptions::new();
    let mut count = 0;
    let mut lines: Vec<Vec<String>> = Vec::new();
    while let Some(batch) = rows.next().await.transpose()? {
        count += batch.num_rows() as u64;
        for start in (0..batch.num_rows()).step_by(ROWS_PER_LAYOUT) {
            let length = ROWS_PER_LAYOUT.min(batch.num_rows() - start);
            read_cells(&batch.slice(start, length), &options, style, &mut lines)?;
            if lines.len() >= ROWS_PER_LAYOUT {
                layout.print(&schema, std::mem::take(&mut lines), style)?;
            }
        }
    }
    if !lines.is_empty() || count == 0 {
        layout.print(&schema, lines, style)?;
    }
    Ok(count)
}

async fn count_only(mut rows: RowStream) -> CliResult<u64> {
    let mut count = 0;
    while let Some(batch) = rows.next().await.transpose()? {
        count += batch.num_rows() as u64;
    }
    Ok(count)
}

fn read_cells(batch: &RecordBatch, options: &CellOptions, style: &Style, lines: &mut Vec<Vec<String>>) -> Result<()> {
    let schema = batch.schema_ref();
    let mut columns = Cells::of(batch, options)?;
    for row in 0..batch.num_rows() {
        let mut line = Vec::with_capacity(columns.len());
        for (column, field) in columns.iter_mut().zip(schema.fields()) {
            let mut text = String::new();
            if column.write(row, &mut text)? {
                line.push(NULL.to_owned());
                continue;
            }
            if style.is_terminal() {
                text = shorten(&text, if is_nested(field.data_type()) { SHORT_LIST } else { SHORT_TEXT });
            }
            line.push(escape(&text));
        }
        lines.push(line);
    }
    Ok(())
}

enum Layout {
    Columns {
        /// Widths of the columns as first laid out.
        widths: Option<Vec<u16>>,
    },
    Records {
        printed: usize,
    },
}

impl Layout {
    fn print(&mut self, schema: &SchemaRef, lines: Vec<Vec<String>>, style: &Style) -> CliResult {
        let mut text = match self {
            Self::Columns { widths } => layout_columns(schema, lines, style, widths),
            Self::Records { printed } => layout_records(schema, &lines, printed),
        };
        text.push('\n');
        emit(&mut text.into_bytes())?;
        Ok(())
    }
}

fn layout_columns(schema: &SchemaRef, lines: Vec<Vec<String>>, style: &Style, widths: &mut Option<Vec<u16>>) -> String {
    let mut table = Table::new();
    table.load_preset(PRESET);
    match style.terminal_width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    if widths.is_none() {
        table.set_header(schema.fields().iter().map(|field| field.name().as_str()));
    }
    table.add_rows(lines);
    for (column, field) in table.column_iter_mut().zip(schema.fields()) {
        if is_number(field.data_type()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let content_widths = table.column_max_content_widths();
    match widths {
        // Cells have a blank on either side.
        Some(widths) => {
            let at_least = widths.iter().map(|width| ColumnConstraint::LowerBoundary(Width::Fixed(width + 2)));
            table.set_constraints(at_least);
        }
        None => *widths = Some(content_widths),
    }
    table.trim_fmt()
}

fn layout_records(schema: &SchemaRef, lines: &[Vec<String>], printed: &mut usize) -> String {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let width = names.iter().map(|name| console::measure_text_width(name)).max().unwrap_or_default();
    let mut text = Vec::new();
    for line in lines {
        *printed += 1;
        text.push(format!("─[ row {printed} ]{}", "─".repeat(40)));
        for (name, cell) in names.iter().zip(line) {
            let padding = " ".repeat(width - console::measure_text_width(name));
            text.push(format!("{name}{padding} │ {cell}"));
        }
    }
    text.join("\n")
}

/// The first `limit` characters of `text`, marked if there were more.
fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Control characters would tear the table apart; tokens are full of them.
fn escape(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("token", DataType::Utf8, true), Field::new("n", DataType::Int64, true)]))
    }

    #[test]
    fn columns_stay_aligned_from_one_layout_to_the_next() {
        let mut widths = None;
        let first = vec![vec!["a long token".to_owned(), "1".to_owned()], vec![NULL.to_owned(), "10".to_owned()]];
        let text = layout_columns(&schema(), first, &Style::plain(), &mut widths);
        assert_eq!(text, " token        │  n\n──────────────┼────\n a long token │  1\n ∅            │ 10");
        let text = layout_columns(&schema(), vec![vec!["b".to_owned(), "2".to_owned()]], &Style::plain(), &mut widths);
        assert_eq!(text, " b            │  2");
    }

    #[test]
    fn records_list_one_column_a_line() {
        let mut printed = 0;
        let text = layout_records(&schema(), &[vec!["a".to_owned(), "1".to_owned()]], &mut printed);
        assert!(text.ends_with("\ntoken │ a\nn     │ 1"), "{text}");
    }

    #[test]
    fn cells_are_one_line_and_whole_characters() {
        assert_eq!(escape("a\nb\u{0}"), "a\\nb\\u{0}");
        assert_eq!(shorten("äöü", 2), "äö…");
        assert_eq!(shorten("äöü", 3), "äöü");
    }
}
