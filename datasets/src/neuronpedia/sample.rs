//! The two long lists of an activation: its tokens and its values.
//!
//! Tokens are laid one after the other in one buffer, which is the context's identity. Of the values only those that are not zero are kept.

use std::fmt;

use latentdb_engine::schema::ContextKey;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};

/// Tokens and values of one activation. Reused from line to line.
#[derive(Debug)]
pub(crate) struct Sample {
    key: ContextKey,
    token_count: Option<usize>,
    /// Positions with a value that is not zero, ascending.
    pub(crate) positions: Vec<i32>,
    /// The values there.
    pub(crate) acts: Vec<f32>,
    values: Option<Extent>,
    /// Head attribution: key positions and query positions.
    pub(crate) head_positions: Option<(Vec<i32>, Vec<i32>)>,
}

/// What is known of the dense list of values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Number of values, zeros included.
    pub count: usize,
    /// Largest value; 0 if there is none.
    pub max: f32,
    /// Position of the first largest value.
    pub max_position: i32,
    /// Smallest value; 0 if there is none.
    pub min: f32,
}

impl Sample {
    pub(crate) fn new(model_id: &str) -> Self {
        Self {
            key: ContextKey::new(model_id),
            token_count: None,
            positions: Vec::new(),
            acts: Vec::new(),
            values: None,
            head_positions: None,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.key.clear();
        self.token_count = None;
        self.positions.clear();
        self.acts.clear();
        self.values = None;
        self.head_positions = None;
    }

    /// Number of tokens, if the line had any list of them.
    pub(crate) fn token_count(&self) -> Option<usize> {
        self.token_count
    }

    /// What the line's list of values came to, if it had one.
    pub(crate) fn extent(&self) -> Option<Extent> {
        self.values
    }

    /// The context's id.
    pub(crate) fn context_id(&self) -> i64 {
        self.key.id()
    }

    /// The tokens, one by one.
    pub(crate) fn each_token(&self) -> impl Iterator<Item = &str> {
        self.key.tokens()
    }

    /// Reads a list of tokens.
    pub(crate) fn tokens(&mut self) -> TokenList<'_> {
        TokenList(self)
    }

    /// Reads a list of values.
    pub(crate) fn values(&mut self) -> ValueList<'_> {
        ValueList(self)
    }
}

/// Reads a list of tokens into a sample.
pub(crate) struct TokenList<'a>(&'a mut Sample);

impl<'de> DeserializeSeed<'de> for TokenList<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for TokenList<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tokens")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.key.clear();
        let mut count = 0;
        while list.next_element_seed(Token(&mut self.0.key))?.is_some() {
            count += 1;
        }
        self.0.token_count = Some(count);
        Ok(())
    }
}

/// Appends one token.
struct Token<'a>(&'a mut ContextKey);

impl<'de> DeserializeSeed<'de> for Token<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Token<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    #[inline]
    fn visit_str<E: serde::de::Error>(self, token: &str) -> Result<(), E> {
        self.0.push(token).map_err(E::custom)
    }
}

/// Reads a list of values into a sample.
pub(crate) struct ValueList<'a>(&'a mut Sample);

impl<'de> DeserializeSeed<'de> for ValueList<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ValueList<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self(sample) = self;
        sample.positions.clear();
        sample.acts.clear();
        let (mut count, mut max, mut max_position, mut min) = (0_i32, f32::NEG_INFINITY, 0, f32::INFINITY);
        while let Some(value) = list.next_element::<f32>()? {
            if value != 0.0 {
                if !value.is_finite() {
                    return Err(A::Error::custom(format!("the value at position {count} is not finite")));
                }
                sample.positions.push(count);
                sample.acts.push(value);
            }
            if value > max {
                (max, max_position) = (value, count);
            }
            min = min.min(value);
            count += 1;
        }
        let empty = count == 0;
        sample.values = Some(Extent {
            count: count as usize,
            max: if empty { 0.0 } else { max },
            max_position,
            min: if empty { 0.0 } else { min },
        });
        Ok(())
    }
}
