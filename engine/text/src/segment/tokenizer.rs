//! The words of [`crate::analysis`] as tantivy takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use crate::analysis::{Analysis, Words, words};

/// Cuts texts into words, and says how many the last one had.
#[derive(Clone)]
pub(crate) struct WordTokenizer {
    pub(crate) analysis: Analysis,
    pub(crate) count: Arc<AtomicU32>,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'t> = WordStream<'t>;

    fn token_stream<'t>(&'t mut self, text: &'t str) -> WordStream<'t> {
        self.count.store(0, Ordering::Relaxed);
        WordStream { words: words(text), tokenizer: self, token: Token::default() }
    }
}

/// The words of one text.
pub(crate) struct WordStream<'t> {
    words: Words<'t>,
    tokenizer: &'t WordTokenizer,
    token: Token,
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.next() else { return false };
        self.tokenizer.analysis.term(word.raw, &mut self.token.text);
        self.token.position = word.position as usize;
        self.token.offset_from = word.start;
        self.token.offset_to = word.start + word.raw.len();
        self.tokenizer.count.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
