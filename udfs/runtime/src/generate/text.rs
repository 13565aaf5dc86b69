//! From tokens to text, as they come.

use crate::Result;
use crate::tokens::Tokenizer;

/// Tokens of the prompt that the first generated ones are decoded after.
const CONTEXT: usize = 6;

/// Decodes a growing text; gives out whole characters only. All pieces together are what the tokens decode to behind the
/// prompt.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The last tokens that were given out, and those that are still open. A token's text depends on those before it: whether
    /// a space belongs to it, and which bytes its character began with.
    tokens: Vec<u32>,
    /// How many of them were given out.
    done: usize,
}

/// What a decoder shows for bytes that are no character, or not yet.
const OPEN: char = '\u{fffd}';

impl Decoder {
    pub(super) fn new(prompt: &[u32]) -> Self {
        let start = prompt.len().saturating_sub(CONTEXT);
        let tokens = prompt.get(start..).unwrap_or_default().to_vec();
        Self { done: tokens.len(), tokens }
    }

    /// The text that `token` completes; empty while a character is open.
    pub(super) fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> Result<String> {
        self.tokens.push(token);
        self.give(tokenizer, false)
    }

    /// What is open at the end, whatever it is.
    pub(super) fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String> {
        self.give(tokenizer, true)
    }

    fn give(&mut self, tokenizer: &Tokenizer, at_end: bool) -> Result<String> {
        let before = tokenizer.decode(self.tokens.get(..self.done).unwrap_or_default())?;
        let all = tokenizer.decode(&self.tokens)?;
        if all.ends_with(OPEN) && !at_end && !self.is_long() {
            return Ok(String::new());
        }
        let new = all.get(before.len()..).unwrap_or_default().to_owned();
        self.tokens.drain(..self.tokens.len().saturating_sub(CONTEXT));
        self.done = self.tokens.len();
        Ok(new)
    }

    /// Whether more tokens are open than any character has bytes: what they are will never be a character.
    fn is_long(&self) -> bool {
        self.tokens.len() - self.done > 4
    }
}
