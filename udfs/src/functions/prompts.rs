//! Texts to tokens, for the functions that take a prompt.

use latentdb_engine::Result;
use latentdb_runtime::model::Model;
use latentdb_runtime::tokens::Bos;

use crate::arguments::Arguments;
use crate::failure::from_runtime;

/// The tokens of the parameter `text` in some rows, with or without a BOS token as `prepend_bos` says.
pub(super) fn tokens(model: &Model, arguments: &Arguments, rows: &[usize]) -> Result<Vec<Vec<u32>>> {
    let tokenizer = model.tokenizer();
    rows.iter()
        .map(|row| {
            let bos = if arguments.flag("prepend_bos", *row)? { Bos::Prepend } else { Bos::Omit };
            tokenizer.encode(arguments.text("text", *row)?, bos).map_err(from_runtime)
        })
        .collect()
}

/// The text of each token.
pub(super) fn token_texts(model: &Model, prompts: &[Vec<u32>]) -> Vec<Vec<String>> {
    prompts.iter().map(|prompt| model.tokenizer().token_texts(prompt)).collect()
}

/// Puts answers of groups of rows back into the order of the rows.
#[derive(Debug)]
pub(super) struct InOrder<T> {
    slots: Vec<Option<T>>,
}

impl<T> InOrder<T> {
    pub(super) fn new(rows: usize) -> Self {
        Self { slots: (0..rows).map(|_| None).collect() }
    }

    /// Takes the answers of `rows`.
    pub(super) fn put(&mut self, rows: &[usize], answers: impl IntoIterator<Item = T>) {
        for (row, answer) in rows.iter().zip(answers) {
            if let Some(slot) = self.slots.get_mut(*row) {
                *slot = Some(answer);
            }
        }
    }

    /// All answers, in the order of the rows.
    pub(super) fn into_answers(self) -> impl Iterator<Item = Option<T>> {
        self.slots.into_iter()
    }
}
