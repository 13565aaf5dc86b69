//! A batch: the tokens of several sequences, one after another, without padding.

use std::ops::Range;

use crate::{Error, ErrorKind, Result};

/// Sequences of tokens that go through a model together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    tokens: Vec<u32>,
    sequences: Vec<Range<usize>>,
}

impl Batch {
    /// Packs `sequences`.
    ///
    /// # Errors
    /// `InvalidInput` if one of them is empty, or there is none.
    pub fn new(sequences: &[impl AsRef<[u32]>]) -> Result<Self> {
        let mut tokens = Vec::with_capacity(sequences.iter().map(|sequence| sequence.as_ref().len()).sum());
        let mut ranges = Vec::with_capacity(sequences.len());
        for sequence in sequences.iter().map(AsRef::as_ref) {
            if sequence.is_empty() {
                return Err(Error::new(ErrorKind::InvalidInput, "the prompt has no tokens")
                    .with_hint("give it some text, or let a BOS token be put in front"));
            }
            let start = tokens.len();
            tokens.extend_from_slice(sequence);
            ranges.push(start..tokens.len());
        }
        if ranges.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "a batch needs a prompt"));
        }
        Ok(Self { tokens, sequences: ranges })
    }

    /// The rows of each sequence in the packed activations.
    pub fn sequences(&self) -> &[Range<usize>] {
        &self.sequences
    }

    /// All tokens, packed.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }
}
