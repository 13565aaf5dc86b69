//! Dashboards as rows of `features`, `activations` and `contexts`.

mod activations;
mod contexts;
mod features;

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use latentdb_engine::Result;
use latentdb_runtime::dashboard::{Activity, Aligned, LogitWeights};

pub(super) use self::activations::activations;
pub(super) use self::contexts::{context_ids, contexts};
pub(super) use self::features::features;
use super::correlations::Correlations;
use crate::arguments::internal;
use crate::user_vectors::StoredVector;

/// What is known of one feature.
#[derive(Debug)]
pub(super) struct Dashboard {
    pub(super) index: u32,
    pub(super) activity: Activity,
    pub(super) logits: Option<LogitWeights>,
    /// Of the source itself.
    pub(super) nearest: Vec<(u32, f32)>,
    /// Of another source.
    pub(super) nearest_elsewhere: Vec<(u32, f32)>,
    pub(super) decoder_norm: Option<f32>,
    pub(super) alignment: Option<Vec<Aligned>>,
    pub(super) head_shares: Option<Vec<f32>>,
    pub(super) correlations: Option<Correlations>,
    /// By example: what came from each position of its prompt to the one where the feature fires most. Empty for a source
    /// that reads no attention heads.
    pub(super) attributions: Vec<Vec<f32>>,
}

/// What rows say of the source that they are of.
#[derive(Debug, Clone)]
pub(super) struct SourceName {
    pub(super) model: String,
    pub(super) source: String,
    /// The other source of [`Dashboard::nearest_elsewhere`].
    pub(super) other: Option<String>,
    /// The vector that the source is.
    pub(super) vector: Option<Arc<StoredVector>>,
}

type Column = (&'static str, ArrayRef);

impl SourceName {
    fn columns(&self, rows: usize) -> [Column; 2] {
        let same = |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows))) as ArrayRef;
        [("model_id", same(&self.model)), ("source_id", same(&self.source))]
    }
}

fn batch(columns: impl Iterator<Item = Column>) -> Result<RecordBatch> {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).map_err(internal)
}
