//! From tokens to text, as they come.

use crate::Result;
use crate::tokens::Tokenizer;

/// Tokens of the prompt that the first generated ones are decoded behind.
const CONTEXT: usize = 6;

/// Decodes a growing text; gives out whole characters only. All pieces together are what the tokens decode to behind the
/// prompt.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The last tokens. A token's text depends on those before it: whether a space belongs to it, and which bytes its character
    /// began with.
    tokens: Vec<u32>,
    /// Bytes of their text that were given out, or are the prompt's.
    given: usize,
}

/// What a decoder shows for bytes that are no character. At the end, they may be the start of one.
const OPEN: char = '\u{fffd}';

impl Decoder {
    pub(super) fn new(tokenizer: &Tokenizer, prompt: &[u32]) -> Result<Self> {
        let start = prompt.len().saturating_sub(CONTEXT);
        let tokens = prompt.get(start..).unwrap_or_default().to_vec();
        let given = certain(&tokenizer.decode(&tokens)?);
        Ok(Self { tokens, given })
    }

    /// The text that is certain once `token` has come.
    pub(super) fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> Result<String> {
        self.tokens.push(token);
        let text = tokenizer.decode(&self.tokens)?;
        let end = certain(&text);
        let new = text.get(self.given..end).unwrap_or_default().to_owned();
        self.given = end.max(self.given);
        if self.tokens.len() > 3 * CONTEXT {
            self.tokens.drain(..self.tokens.len() - CONTEXT);
            self.given = certain(&tokenizer.decode(&self.tokens)?);
        }
        Ok(new)
    }

    /// What is open at the end, whatever it is.
    pub(super) fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String> {
        let text = tokenizer.decode(&self.tokens)?;
        Ok(text.get(std::mem::replace(&mut self.given, text.len())..).unwrap_or_default().to_owned())
    }
}

/// Bytes of a text that no further token can change.
fn certain(text: &str) -> usize {
    text.strip_suffix(OPEN).unwrap_or(text).len()
}
