//! The identity of a context: its tokens laid one after the other, and the hash of that.

use xxhash_rust::xxh3::xxh3_128;

/// A token sequence of a model, as its identity is made of it: the model's id and a separator, then each token: its
/// length (u32, little endian) and its bytes. Reused from context to context.
#[derive(Debug, Clone)]
pub struct ContextKey {
    buffer: Vec<u8>,
    prefix: usize,
}

impl ContextKey {
    /// No tokens yet.
    pub fn new(model_id: &str) -> Self {
        let mut buffer = model_id.as_bytes().to_vec();
        buffer.push(0x1f);
        Self { prefix: buffer.len(), buffer }
    }

    /// Takes all tokens away.
    pub fn clear(&mut self) {
        self.buffer.truncate(self.prefix);
    }

    /// Appends a token.
    ///
    /// # Errors
    /// If it has four gibibytes.
    pub fn push(&mut self, token: &str) -> Result<(), std::num::TryFromIntError> {
        self.buffer.extend_from_slice(&u32::try_from(token.len())?.to_le_bytes());
        self.buffer.extend_from_slice(token.as_bytes());
        Ok(())
    }

    /// `contexts.context_id`: the first 63 bits of the hash over the model and the tokens.
    pub fn id(&self) -> i64 {
        (xxh3_128(&self.buffer) >> 65) as i64
    }

    /// The tokens, one by one.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.buffer.get(self.prefix..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let (token, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = tail;
            // Only whole texts were appended.
            std::str::from_utf8(token).ok()
        })
    }
}
