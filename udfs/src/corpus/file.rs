//! A corpus in a file: text with empty lines between documents, JSON lines, or Parquet.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_runtime::model::Model;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::cut::{Cut, Cutter};
use super::prompts::Prompts;
use crate::arguments::internal;

/// Names that a column or a key with documents goes by; the first there is of them is taken.
const NAMES: [&str; 4] = ["text", "content", "tokens", "input_ids"];

/// The first prompts of the file.
pub(super) async fn read(path: PathBuf, model: Arc<Model>, cut: Cut) -> Result<Prompts> {
    let work = move || {
        let mut cutter = Cutter::new(cut, &model);
        let file = File::open(&path).map_err(|error| unusable(&path, &error))?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => parquet(&path, file, &model, &mut cutter)?,
            Some("jsonl" | "ndjson" | "json") => json_lines(&path, file, &model, &mut cutter)?,
            _ => paragraphs(&path, file, &model, &mut cutter)?,
        }
        cutter.finish()
    };
    tokio::task::spawn_blocking(work).await.map_err(internal)?
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("the corpus {} cannot be read: {reason}", path.display())).with_hint(
        "a corpus is .parquet or .jsonl with a column or key text, or text with empty lines between documents",
    )
}

fn parquet(path: &Path, file: File, model: &Model, cutter: &mut Cutter) -> Result<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unusable(path, &error))?;
    let name = NAMES.into_iter().find(|name| builder.schema().column_with_name(name).is_some());
    let name = name.ok_or_else(|| unusable(path, &format!("it has no column {}", NAMES.join(", "))))?;
    for batch in builder.build().map_err(|error| unusable(path, &error))? {
        let batch = batch.map_err(|error| unusable(path, &error))?;
        if let Some(column) = batch.column_by_name(name) {
            cutter.take(model, column)?;
        }
        if cutter.is_full() {
            break;
        }
    }
    Ok(())
}

fn json_lines(path: &Path, file: File, model: &Model, cutter: &mut Cutter) -> Result<()> {
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| unusable(path, &error))?;
        if cutter.is_full() {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let bad = |reason: &dyn std::fmt::Display| unusable(path, &format!("line {number}: {reason}"));
        let value: Value = serde_json::from_str(&line).map_err(|error| bad(&error))?;
        let document = match &value {
            Value::Object(object) => NAMES.into_iter().find_map(|name| object.get(name)),
            other => Some(other),
        };
        match document {
            Some(Value::String(text)) => cutter.take_text(model, text)?,
            Some(Value::Array(tokens)) => {
                let token = |token: &Value| token.as_u64().and_then(|token| u32::try_from(token).ok());
                let tokens = tokens.iter().map(token).collect::<Option<Vec<u32>>>();
                cutter.take_tokens(tokens.ok_or_else(|| bad(&"a token id is no number"))?);
            }
            _ => return Err(bad(&format!("it has no {}", NAMES.join(", ")))),
        }
    }
    Ok(())
}

fn paragraphs(path: &Path, file: File, model: &Model, cutter: &mut Cutter) -> Result<()> {
    let mut document = String::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| unusable(path, &error))?;
        if cutter.is_full() {
            return Ok(());
        }
        if line.trim().is_empty() {
            cutter.take_text(model, document.trim_end())?;
            document.clear();
        } else {
            document.push_str(&line);
            document.push('\n');
        }
    }
    if !cutter.is_full() {
        cutter.take_text(model, document.trim_end())?;
    }
    Ok(())
}
