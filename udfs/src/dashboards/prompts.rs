//! The prompts of a run, kept beside its results so that a run that is taken up again sees the same ones.

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

/// A token sequence that the model is run on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prompt {
    /// Number of the row of the corpus that it comes from (or ends in).
    pub(super) document: i64,
    pub(super) tokens: Vec<u32>,
}

/// The prompts of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Prompts {
    all: Vec<Prompt>,
}

impl Prompts {
    pub(super) fn push(&mut self, prompt: Prompt) {
        self.all.push(prompt);
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Prompt> {
        self.all.get(number)
    }

    /// Up to `count` prompts from `first` on.
    pub(super) fn some(&self, first: usize, count: usize) -> Vec<Vec<u32>> {
        self.all.iter().skip(first).take(count).map(|prompt| prompt.tokens.clone()).collect()
    }

    /// Tokens of all prompts.
    pub(super) fn tokens(&self) -> u64 {
        self.all.iter().map(|prompt| prompt.tokens.len() as u64).sum()
    }

    /// Writes them to a file, all or nothing.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let documents = Int64Array::from_iter_values(self.all.iter().map(|prompt| prompt.document));
        let mut tokens = ListBuilder::new(UInt32Builder::new());
        for prompt in &self.all {
            tokens.values().append_slice(&prompt.tokens);
            tokens.append(true);
        }
        let columns =
            [("document", Arc::new(documents) as ArrayRef), ("tokens", Arc::new(tokens.finish()) as ArrayRef)];
        write_whole(path, &RecordBatch::try_from_iter(columns).map_err(internal)?)
    }

    /// Reads them back.
    pub(super) fn load(path: &Path) -> Result<Self> {
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
                let tokens =
                    tokens.as_primitive_opt::<UInt32Type>().ok_or_else(|| damaged(&"tokens are no numbers"))?;
                all.push(Prompt { document: *document, tokens: tokens.values().to_vec() });
            }
        }
        Ok(Self { all })
    }
}
