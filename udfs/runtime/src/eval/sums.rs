//! What is added up over tokens, before anything is divided.

use super::fit::Fit;
use super::loss::Loss;
use super::report::Report;
use super::sparsity::Sparsity;
use crate::source::Config;
use crate::{Error, ErrorKind, Result};

/// What a source did on some tokens; adds up with what it did on others.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    pub(super) sparsity: Sparsity,
    pub(super) fit: Fit,
    pub(super) loss: Loss,
}

impl Sums {
    /// Of a source that has seen no tokens.
    pub fn new(source: &Config) -> Self {
        Self { sparsity: Sparsity::new(source.d_sae), fit: Fit::new(source.d_out), loss: Loss::default() }
    }

    /// Adds what the same source did on other tokens. Sequences must not be cut in two.
    ///
    /// # Errors
    /// `InvalidInput` if the other is of a source of another shape.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        if self.shape() != other.shape() {
            let ((features, width), (others, other_width)) = (self.shape(), other.shape());
            let message = format!(
                "sums of a source with {features} features and outputs of width {width} do not add up with those of one \
                 with {others} and {other_width}"
            );
            return Err(Error::new(ErrorKind::InvalidInput, message).with_hint("add up sums of one source at a time"));
        }
        self.sparsity.add(&other.sparsity);
        self.fit.add(&other.fit);
        self.loss.add(&other.loss);
        Ok(())
    }

    /// The metrics so far.
    pub fn report(&self) -> Report {
        Report::new(self)
    }

    fn shape(&self) -> (usize, usize) {
        (self.sparsity.feature_tokens.len(), self.fit.width())
    }
}

/// Adds up numbers, one by one.
pub(super) fn add_each<T: Copy + std::ops::AddAssign>(sums: &mut [T], others: &[T]) {
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += *other);
}
