//! Comma-separated values, as Postgres writes and reads them: an empty cell is null, an empty string is
//! quoted. Lists and structs are JSON in a cell.

use latentdb_engine::RowStream;

use super::cells::{CellOptions, Cells};
use super::emit;
use crate::cli::CliResult;

pub(super) async fn print(mut rows: RowStream, header: bool) -> CliResult<u64> {
    let options = CellOptions::new();
    let mut out = Vec::new();
    if header {
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        for (position, name) in names.iter().enumerate() {
            separate(position, &mut out);
            quote(name, &mut out);
        }
        out.push(b'\n');
        emit(&mut out)?;
    }
    let mut count = 0;
    let mut cell = String::new();
    while let Some(batch) = rows.next().await.transpose()? {
        let mut columns = Cells::of(&batch, &options)?;
        for row in 0..batch.num_rows() {
            for (position, column) in columns.iter_mut().enumerate() {
                separate(position, &mut out);
                cell.clear();
                if !column.write(row, &mut cell)? {
                    quote(&cell, &mut out);
                }
            }
            out.push(b'\n');
        }
        count += batch.num_rows() as u64;
        emit(&mut out)?;
    }
    Ok(count)
}

fn separate(position: usize, out: &mut Vec<u8>) {
    if position > 0 {
        out.push(b',');
    }
}

/// Appends `text`, in quotes if a reader could misread it bare.
fn quote(text: &str, out: &mut Vec<u8>) {
    let bare = !text.is_empty() && !text.contains([',', '"', '\n', '\r']) && text.trim() == text && text != "\\.";
    if bare {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        quote(text, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn cells_are_quoted_when_they_could_be_misread() {
        assert_eq!(quoted("plain text"), "plain text");
        assert_eq!(quoted(""), "\"\"", "an empty string is not a null");
        assert_eq!(quoted(" the"), "\" the\"", "tokens keep their leading blank");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"hi\"\n"), "\"say \"\"hi\"\"\n\"");
    }
}
