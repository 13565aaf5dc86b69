//! Rows in the shape Neuronpedia's API gives them: its Prisma column names, `index` as a string, lists
//! that are never null, other nulls explicit, times in ISO 8601 with milliseconds and a `Z`.
//!
//! A [`Shape`] lists a record's members once; the look-up's SQL and the JSON are both made from it, so
//! they cannot drift apart. Beyond Neuronpedia's own members, activations and explanations name their
//! `source` (and explanations `modelId` and `index`), which its Python client asks for.

use arrow::json::writer::EncoderOptions;
use arrow::record_batch::RecordBatch;
use latentdb_engine::Result;

use crate::json::{ValueWriter, encoder_options};

/// One member of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// Name in JSON.
    name: &'static str,
    /// SQL expression it is read from.
    sql: &'static str,
    /// What stands for null.
    null: &'static str,
    /// Whether a number is written as a string.
    quoted: bool,
}

impl Member {
    /// Whether this is the member called `name` in JSON.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name
    }
}

/// The members of a record, in order.
pub(super) type Shape = &'static [Member];

/// A member that may be null.
const fn nullable(name: &'static str, sql: &'static str) -> Member {
    Member { name, sql, null: "null", quoted: false }
}

/// A list; null reads as an empty one.
const fn list(name: &'static str, sql: &'static str) -> Member {
    Member { name, sql, null: "[]", quoted: false }
}

/// A member with a default, given as JSON.
const fn or(name: &'static str, sql: &'static str, null: &'static str) -> Member {
    Member { name, sql, null, quoted: false }
}

/// A number that Neuronpedia keeps as text.
const fn text_number(name: &'static str, sql: &'static str) -> Member {
    Member { name, sql, null: "null", quoted: true }
}

pub(super) const FEATURE: Shape = &[
    nullable("modelId", "model_id"),
    nullable("layer", "source_id"),
    text_number("index", "index"),
    nullable("sourceSetName", "set_id"),
    nullable("creatorId", "creator_id"),
    nullable("createdAt", "created_at"),
    or("maxActApprox", "max_activation", "0"),
    or("hasVector", "has_vector", "false"),
    list("vector", "vector"),
    nullable("vectorLabel", "vector_label"),
    or("vectorDefaultSteerStrength", "steer_strength", "10"),
    nullable("hookName", "hook_point"),
    list("topkCosSimIndices", "nearest_indices"),
    list("topkCosSimValues", "nearest_cosines"),
    list("neuron_alignment_indices", "neuron_alignment_indices"),
    list("neuron_alignment_values", "neuron_alignment_values"),
    list("neuron_alignment_l1", "neuron_alignment_l1"),
    list("correlated_neurons_indices", "correlated_neuron_indices"),
    list("correlated_neurons_pearson", "correlated_neuron_pearson"),
    list("correlated_neurons_l1", "correlated_neuron_l1"),
    list("correlated_features_indices", "correlated_feature_indices"),
    list("correlated_features_pearson", "correlated_feature_pearson"),
    list("correlated_features_l1", "correlated_feature_l1"),
    list("neg_str", "bottom_logit_tokens"),
    list("neg_values", "bottom_logits"),
    list("pos_str", "top_logit_tokens"),
    list("pos_values", "top_logits"),
    or("frac_nonzero", "density", "0"),
    list("freq_hist_data_bar_heights", "act_hist_counts"),
    list("freq_hist_data_bar_values", "act_hist_edges"),
    list("logits_hist_data_bar_heights", "logit_hist_counts"),
    list("logits_hist_data_bar_values", "logit_hist_edges"),
    list("decoder_weights_dist", "decoder_weights_dist"),
    nullable("umap_cluster", "umap_cluster"),
    nullable("umap_log_feature_sparsity", "umap_log_sparsity"),
    nullable("umap_x", "umap_x"),
    nullable("umap_y", "umap_y"),
];

pub(super) const ACTIVATION: Shape = &[
    nullable("id", "concat(model_id, '/', source_id, '/', index, '/', rank)"),
    list("tokens", "tokens"),
    nullable("dataIndex", "origin_index"),
    text_number("index", "index"),
    nullable("layer", "source_id"),
    nullable("source", "source_id"),
    nullable("modelId", "model_id"),
    nullable("dataSource", "origin"),
    nullable("maxValue", "max_value"),
    or("maxValueTokenIndex", "max_position", "0"),
    or("minValue", "min_value", "0"),
    list("values", "acts"),
    list("dfaValues", "dfa_values"),
    nullable("dfaTargetIndex", "dfa_target"),
    nullable("dfaMaxValue", "dfa_max"),
    list("zQIndices", "zq_indices"),
    list("zKIndices", "zk_indices"),
    list("zValues", "z_values"),
    nullable("creatorId", "creator_id"),
    nullable("createdAt", "created_at"),
    list("lossValues", "loss_values"),
    nullable("logitContributions", "logit_contributions"),
    nullable("binMin", "bin_min"),
    nullable("binMax", "bin_max"),
    // Exporters write -1 for rows that no interval was sampled for; clients take shares from 0 to 1 only.
    nullable("binContains", "CASE WHEN bin_fraction >= 0 THEN bin_fraction END"),
    nullable("qualifyingTokenIndex", "qualifying_position"),
];

pub(super) const EXPLANATION: Shape = &[
    nullable("id", "explanation_id"),
    nullable("modelId", "model_id"),
    nullable("layer", "source_id"),
    nullable("source", "source_id"),
    text_number("index", "index"),
    nullable("description", "description"),
    nullable("explanationModelName", "explainer_model"),
    nullable("typeName", "method"),
    nullable("authorId", "author"),
    nullable("notes", "notes"),
    or("scoreV1", "score_v1", "0"),
    nullable("scoreV2", "score_v2"),
    nullable("umap_x", "umap_x"),
    nullable("umap_y", "umap_y"),
    nullable("umap_cluster", "umap_cluster"),
    nullable("umap_log_feature_sparsity", "umap_log_sparsity"),
    nullable("createdAt", "created_at"),
    nullable("updatedAt", "updated_at"),
    nullable("triggeredByUserId", "triggered_by"),
];

pub(super) const SCORE: Shape = &[
    nullable("id", "s.score_id"),
    nullable("explanationId", "s.explanation_id"),
    nullable("value", "s.value"),
    nullable("explanationScoreTypeName", "s.method"),
    nullable("explanationScoreModelName", "s.scorer_model"),
    or("jsonDetails", "s.details", "\"\""),
    nullable("initiatedByUserId", "s.initiated_by"),
    nullable("createdAt", "s.created_at"),
];

pub(super) const MODEL: Shape = &[
    nullable("id", "model_id"),
    nullable("displayNameShort", "coalesce(display_name, model_id)"),
    nullable("displayName", "coalesce(display_name, model_id)"),
    nullable("creatorId", "creator_id"),
    nullable("dimension", "d_model"),
    nullable("layers", "n_layers"),
    nullable("neuronsPerLayer", "d_mlp"),
    or("instruct", "instruct", "false"),
    nullable("owner", "owner"),
    nullable("website", "website"),
    nullable("createdAt", "created_at"),
];

pub(super) const SOURCE_SET: Shape = &[
    nullable("modelId", "model_id"),
    nullable("name", "set_id"),
    nullable("type", "kind"),
    nullable("description", "description"),
    nullable("creatorName", "creator_name"),
    nullable("creatorId", "creator_id"),
    list("urls", "urls"),
    nullable("releaseName", "release_id"),
    nullable("createdAt", "created_at"),
];

pub(super) const SOURCE: Shape = &[
    nullable("id", "source_id"),
    nullable("modelId", "model_id"),
    nullable("setName", "set_id"),
    nullable("saelensRelease", "saelens_release"),
    nullable("saelensSaeId", "saelens_id"),
    nullable("hfRepoId", "hf_repo"),
    nullable("hfFolderId", "hf_folder"),
    nullable("dataset", "dataset"),
    nullable("num_prompts", "n_prompts"),
    nullable("num_tokens_in_prompt", "tokens_per_prompt"),
    nullable("cosSimMatchModelId", "nearest_model_id"),
    nullable("cosSimMatchSourceId", "nearest_source_id"),
    nullable("notes", "notes"),
    nullable("creatorId", "creator_id"),
    nullable("createdAt", "created_at"),
];

pub(super) const COMMENT: Shape = &[
    nullable("id", "c.comment_id"),
    nullable("modelId", "c.model_id"),
    nullable("layer", "c.source_id"),
    text_number("index", "c.index"),
    nullable("text", "c.text"),
    nullable("userId", "c.user_id"),
    nullable("createdAt", "c.created_at"),
];

pub(super) const LIST_ITEM: Shape = &[
    nullable("modelId", "i.model_id"),
    nullable("layer", "i.source_id"),
    text_number("index", "i.index"),
    nullable("listId", "i.list_id"),
    nullable("description", "i.description"),
    nullable("addedAt", "i.added_at"),
];

pub(super) const LIST: Shape = &[
    nullable("id", "l.list_id"),
    nullable("name", "l.name"),
    nullable("description", "l.description"),
    nullable("defaultTestText", "l.test_text"),
    nullable("userId", "l.user_id"),
    nullable("createdAt", "l.created_at"),
    nullable("updatedAt", "l.updated_at"),
];

/// The select list that reads `shape`.
pub(super) fn select_list(shape: Shape) -> String {
    let columns: Vec<_> =
        shape.iter().enumerate().map(|(position, member)| format!("{} AS m{position}", member.sql)).collect();
    columns.join(", ")
}

/// Options of the values' encoders: times as Prisma writes them.
pub(super) fn prisma_options() -> EncoderOptions {
    encoder_options().with_timestamp_tz_format("%Y-%m-%dT%H:%M:%S%.3fZ".into())
}

/// Writes records of `shape` from rows whose first columns are its select list.
pub(super) struct RecordWriter<'a> {
    shape: Shape,
    values: Vec<ValueWriter<'a>>,
    batch: &'a RecordBatch,
}

impl<'a> RecordWriter<'a> {
    pub(super) fn new(shape: Shape, batch: &'a RecordBatch, options: &'a EncoderOptions) -> Result<Self> {
        let fields = batch.schema_ref().fields();
        let columns = fields.iter().zip(batch.columns()).take(shape.len());
        let values = columns.map(|(field, array)| ValueWriter::new(field, array.as_ref(), options));
        Ok(Self { shape, values: values.collect::<Result<_>>()?, batch })
    }

    /// Appends `"name":value,…` of one row, without braces, so that the caller can add members.
    pub(super) fn write_members(&mut self, row: usize, out: &mut Vec<u8>) {
        for (position, (member, value)) in self.shape.iter().zip(&mut self.values).enumerate() {
            if position > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(member.name.as_bytes());
            out.extend_from_slice(b"\":");
            if self.batch.column(position).is_null(row) {
                out.extend_from_slice(member.null.as_bytes());
            } else if member.quoted {
                out.push(b'"');
                value.write(row, out);
                out.push(b'"');
            } else {
                value.write(row, out);
            }
        }
    }

    /// Appends one row as an object.
    pub(super) fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_members(row, out);
        out.push(b'}');
    }
}
