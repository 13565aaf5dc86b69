//! From a corpus to prompts: what the model is run on.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, UInt32Type};
use latentdb_engine::{Engine, Error, ErrorKind, Result};
use latentdb_runtime::model::Model;
use latentdb_runtime::tokens::Bos;

use super::Packing;
use super::prompts::{Prompt, Prompts};
use crate::arguments::internal;
use crate::failure::from_runtime;
use crate::progress::Stages;

/// How documents become prompts; the context length is one that the model can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) n_prompts: usize,
    pub(crate) context_length: usize,
    pub(crate) packing: Packing,
    pub(crate) prepend_bos: bool,
}

/// The first prompts of the corpus that the statement `query` gives: in its first column, texts or lists of token ids.
pub(super) async fn read(
    engine: &Engine,
    query: &str,
    model: &Arc<Model>,
    cut: Cut,
    heard: &dyn Stages,
) -> Result<Prompts> {
    let mut rows = engine.session("latentdb").query(query).await.map_err(of_corpus)?;
    let mut cutter = Cutter::new(cut, model);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(of_corpus)?;
        let column = batch.columns().first().cloned().ok_or_else(|| no_text("it gives no column"))?;
        let (own, before) = (Arc::clone(model), cutter.prompts.len());
        let work = move || cutter.take(&own, &column).map(|()| cutter);
        cutter = tokio::task::spawn_blocking(work).await.map_err(internal)??;
        heard.advance((cutter.prompts.len() - before) as u64);
        if cutter.is_full() {
            break;
        }
    }
    cutter.finish()
}

fn of_corpus(error: Error) -> Error {
    let message = format!("the corpus: {}", error.message());
    let renamed = Error::new(error.kind(), message);
    match error.hint() {
        Some(hint) => renamed.with_hint(hint),
        None => renamed,
    }
}

pub(super) fn no_text(what: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("the corpus cannot be used: {what}"))
}

/// Cuts documents into prompts, until there are enough.
pub(super) struct Cutter {
    cut: Cut,
    bos: Option<u32>,
    separator: Option<u32>,
    documents: i64,
    /// Tokens that wait for more, when documents are packed.
    left: Vec<u32>,
    prompts: Prompts,
}

impl Cutter {
    pub(super) fn new(cut: Cut, model: &Model) -> Self {
        let tokenizer = model.tokenizer();
        let bos = tokenizer.bos().filter(|_| cut.prepend_bos);
        let separator = tokenizer.eos().or(tokenizer.bos());
        Self { cut, bos, separator, documents: 0, left: Vec::new(), prompts: Prompts::default() }
    }

    /// The prompts.
    pub(super) fn finish(self) -> Result<Prompts> {
        if self.prompts.len() == 0 {
            return Err(no_text("no document of it makes a prompt")
                .with_hint("with packing => 'full', documents shorter than context_length are left out"));
        }
        Ok(self.prompts)
    }

    pub(super) fn is_full(&self) -> bool {
        self.prompts.len() >= self.cut.n_prompts
    }

    /// Takes a column of documents in.
    pub(super) fn take(&mut self, model: &Model, column: &ArrayRef) -> Result<()> {
        let (wanted, is_list) = match column.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => (DataType::Utf8, false),
            DataType::List(_) | DataType::LargeList(_) => (DataType::new_list(DataType::UInt32, true), true),
            other => {
                return Err(no_text(&format!("its first column is {other}, neither text nor a list of token ids")));
            }
        };
        let strictly = CastOptions { safe: false, ..CastOptions::default() };
        let column = cast_with_options(column, &wanted, &strictly)
            .map_err(|error| no_text(&format!("not token ids: {error}")))?;
        for row in 0..column.len() {
            if self.is_full() {
                return Ok(());
            }
            match (column.is_null(row), is_list) {
                (true, _) => self.documents += 1,
                (false, true) => {
                    let tokens = column.as_list::<i32>().value(row);
                    self.take_tokens(tokens.as_primitive::<UInt32Type>().values().to_vec());
                }
                (false, false) => self.take_text(model, column.as_string::<i32>().value(row))?,
            }
        }
        Ok(())
    }

    /// Takes one document in: a text.
    pub(super) fn take_text(&mut self, model: &Model, text: &str) -> Result<()> {
        let number = self.documents;
        self.documents += 1;
        if !text.is_empty() {
            self.document(number, model.tokenizer().encode(text, Bos::Omit).map_err(from_runtime)?);
        }
        Ok(())
    }

    /// Takes one document in: its tokens.
    pub(super) fn take_tokens(&mut self, tokens: Vec<u32>) {
        let number = self.documents;
        self.documents += 1;
        self.document(number, tokens);
    }

    fn document(&mut self, number: i64, mut tokens: Vec<u32>) {
        let length = self.cut.context_length;
        if self.cut.packing == Packing::Packed {
            self.left.extend(tokens);
            self.left.extend(self.separator);
            let own = length - self.bos.iter().len();
            while self.left.len() >= own && !self.is_full() {
                let rest = self.left.split_off(own);
                let row = std::mem::replace(&mut self.left, rest);
                self.push(number, row);
            }
            return;
        }
        if self.bos.is_some_and(|bos| tokens.first() == Some(&bos)) {
            tokens.remove(0);
        }
        tokens.truncate(length - self.bos.iter().len());
        let is_short = tokens.len() + self.bos.iter().len() < length;
        if !(tokens.is_empty() || is_short && self.cut.packing == Packing::Full) {
            self.push(number, tokens);
        }
    }

    fn push(&mut self, document: i64, tokens: Vec<u32>) {
        let tokens: Vec<u32> = self.bos.into_iter().chain(tokens).collect();
        self.prompts.push(Prompt { document, tokens });
    }
}
