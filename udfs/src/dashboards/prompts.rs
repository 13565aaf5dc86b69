//! The prompts of a run in a file, kept beside its results so that a run that is taken up again sees the same ones.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, ListBuilder, UInt32Builder};
use arrow::datatypes::{Int64Type, UInt32Type};
use arrow::record_batch::RecordBatch;
use latentdb_engine::{Error, ErrorKind, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::scratch::write_whole;
use crate::arguments::internal;
use crate::corpus::{Prompt, Prompts};

/// Writes prompts to a file, all or nothing.
pub(super) fn save(prompts: &Prompts, path: &Path) -> Result<()> {
    let documents = Int64Array::from_iter_values(prompts.iter().map(|prompt| prompt.document));
    let mut tokens = ListBuilder::new(UInt32Builder::new());
    for prompt in prompts.iter() {
        tokens.values().append_slice(&prompt.tokens);
        tokens.append(true);
    }
    let columns = [("document", Arc::new(documents) as ArrayRef), ("tokens", Arc::new(tokens.finish()) as ArrayRef)];
    write_whole(path, &RecordBatch::try_from_iter(columns).map_err(internal)?)
}

/// Reads prompts back.
pub(super) fn load(path: &Path) -> Result<Prompts> {
    let damaged = |reason: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Corrupt, format!("{} cannot be read: {reason}", path.display()))
            .with_hint("delete it, and the run starts from the beginning")
    };
    let file = File::open(path).map_err(|error| damaged(&error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let mut all = Vec::new();
    for batch in reader.map_err(|error| damaged(&error))? {
        let batch = batch.map_err(|error| damaged(&error))?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| damaged(&"a column is missing"));
        let documents = column("document")?.as_primitive_opt::<Int64Type>();
        let tokens = column("tokens")?.as_list_opt::<i32>();
        let (Some(documents), Some(tokens)) = (documents, tokens) else {
            return Err(damaged(&"a column has another type"));
        };
        for (document, tokens) in documents.values().iter().zip(tokens.iter().flatten()) {
            let tokens = tokens.as_primitive_opt::<UInt32Type>().ok_or_else(|| damaged(&"tokens are no numbers"))?;
            all.push(Prompt { document: *document, tokens: tokens.values().to_vec() });
        }
    }
    Ok(all.into_iter().collect())
}
