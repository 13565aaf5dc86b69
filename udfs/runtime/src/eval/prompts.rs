//! The sequences of a batch, with the tokens that count.

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::evaluate::EvalSettings;
use super::loss::Position;
use super::sparsity::Row;
use crate::Result;
use crate::model::Batch;
use crate::service::Parts;

/// Some whole sequences.
pub(super) struct Prompts {
    pub(super) batch: Batch,
    /// Which rows count.
    counts: Vec<bool>,
}

impl Prompts {
    pub(super) fn new(parts: &Parts<'_>, settings: &EvalSettings) -> Result<Self> {
        let tokens: Vec<Vec<u32>> = parts.iter().map(|part| part.tokens().to_vec()).collect();
        let batch = Batch::new(&tokens)?;
        let counts = batch.tokens().iter().map(|token| !settings.ignored.contains(token)).collect();
        Ok(Self { batch, counts })
    }

    pub(super) fn sequences(&self) -> &[Range<usize>] {
        self.batch.sequences()
    }

    /// The rows that count of a range, numbered from 0 in it; sequences from 1.
    pub(super) fn rows_in(&self, range: &Range<usize>) -> Vec<Row> {
        let numbered = (1u32..).zip(self.sequences());
        let rows = numbered.flat_map(|(sequence, rows)| {
            let own = rows.start.max(range.start)..rows.end.min(range.end);
            self.counting(own).map(move |row| Row { row: row - range.start, sequence })
        });
        rows.collect()
    }

    /// The rows that count among these.
    pub(super) fn counting(&self, rows: Range<usize>) -> impl Iterator<Item = usize> {
        rows.filter(|row| self.counts.get(*row).copied().unwrap_or(false))
    }

    /// The tokens whose losses count: a token's loss is that of the next one, as SAELens aligns it.
    pub(super) fn positions(&self) -> Vec<Position> {
        let tokens = self.batch.tokens();
        let of_sequence = |rows: &Range<usize>| {
            let end = rows.end;
            let next = move |row: usize| tokens.get(row + 1).copied().filter(|_| row + 1 < end);
            self.counting(rows.clone()).map(move |row| Position { row: row as u32, next: next(row) })
        };
        self.sequences().iter().flat_map(of_sequence).collect()
    }

    /// `[N, width]`: 1 where the row counts.
    pub(super) fn mask(&self, width: usize, device: &Device) -> Result<Tensor> {
        let counts: Vec<u8> = self.counts.iter().map(|counts| u8::from(*counts)).collect();
        let rows = counts.len();
        Ok(Tensor::from_vec(counts, (rows, 1), device)?.broadcast_as((rows, width))?)
    }
}
