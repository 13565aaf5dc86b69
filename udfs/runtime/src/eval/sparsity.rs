//! How many features are active, and which.

use rayon::prelude::*;

use super::sums::add_each;

/// Features that one thread counts at a time.
const COLUMNS: usize = 1024;

/// Sums over features. A feature is active where it is not 0, as SAELens counts it: some architectures have negative
/// values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sparsity {
    /// Tokens looked at.
    pub(super) tokens: u64,
    /// Active features, over all tokens.
    pub(super) active: u64,
    /// Of all features' magnitudes.
    pub(super) magnitude: f64,
    /// `[F]`: tokens at which each feature is active.
    pub(super) feature_tokens: Vec<u64>,
    /// `[F]`: sequences in which each feature is active somewhere.
    pub(super) feature_sequences: Vec<u64>,
}

/// A row of a block of features that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Its number in the block.
    pub(super) row: usize,
    /// Number of its sequence, above 0.
    pub(super) sequence: u32,
}

impl Sparsity {
    pub(super) fn new(features: usize) -> Self {
        let none = vec![0; features];
        Self { tokens: 0, active: 0, magnitude: 0.0, feature_tokens: none.clone(), feature_sequences: none }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.active += other.active;
        self.magnitude += other.magnitude;
        add_each(&mut self.feature_tokens, &other.feature_tokens);
        add_each(&mut self.feature_sequences, &other.feature_sequences);
    }

    /// Counts some `rows` of features `values` `[N, F]`, which are in the order of their sequences. `latest` `[F]` has the
    /// number of the sequence in which each feature was last active.
    pub(super) fn read(&mut self, values: &[f32], rows: &[Row], latest: &mut [u32]) {
        let width = self.feature_tokens.len();
        let tokens = self.feature_tokens.par_chunks_mut(COLUMNS);
        let columns = tokens.zip(self.feature_sequences.par_chunks_mut(COLUMNS)).zip(latest.par_chunks_mut(COLUMNS));
        let found: Vec<(u64, f64)> = columns
            .enumerate()
            .map(|(number, ((tokens, sequences), latest))| {
                let mut columns = Columns { tokens, sequences, latest, active: 0, magnitude: 0.0 };
                for row in rows {
                    let start = row.row * width + number * COLUMNS;
                    let own = values.get(start..start + columns.tokens.len()).unwrap_or_default();
                    columns.read(own, row.sequence);
                }
                (columns.active, columns.magnitude)
            })
            .collect();
        self.tokens += rows.len() as u64;
        for (active, magnitude) in found {
            self.active += active;
            self.magnitude += magnitude;
        }
    }
}

/// Some neighbouring features.
struct Columns<'a> {
    tokens: &'a mut [u64],
    sequences: &'a mut [u64],
    latest: &'a mut [u32],
    active: u64,
    magnitude: f64,
}

impl Columns<'_> {
    fn read(&mut self, values: &[f32], sequence: u32) {
        let counts = self.tokens.iter_mut().zip(self.sequences.iter_mut()).zip(self.latest.iter_mut());
        for (value, ((tokens, sequences), latest)) in values.iter().zip(counts).filter(|(value, _)| **value != 0.0) {
            self.active += 1;
            self.magnitude += f64::from(value.abs());
            *tokens += 1;
            if *latest != sequence {
                *latest = sequence;
                *sequences += 1;
            }
        }
    }
}
