//! Rows in the shape Neuronpedia's API gives them: its Prisma column names, `index` as a string, lists
//! that are never null, other nulls explicit, times in ISO 8601 with milliseconds and a `Z`.
//!
//! A [`Shape`] lists a record's members once; the look-up's SQL, the JSON and its description (`openapi::records`) are
//! made from it, so they cannot drift apart. Beyond Neuronpedia's own members, activations and explanations name their
//! `source` (and explanations `modelId` and `index`), which its Python client asks for.

use arrow::json::writer::EncoderOptions;
use arrow::record_batch::RecordBatch;
use latentdb_engine::Result;

use crate::json::{ValueWriter, encoder_options};

/// What a member holds in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    Text,
    Integer,
    Number,
    Flag,
    /// ISO 8601 with milliseconds and a `Z`.
    Time,
    Texts,
    Integers,
    /// Numbers that are not finite are null.
    Numbers,
}

/// One member of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// Name in JSON.
    pub(super) name: &'static str,
    pub(super) json: Json,
    /// SQL expression it is read from.
    sql: &'static str,
    /// Whether null is written as null.
    pub(super) nullable: bool,
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

/// A member that no row is without.
const fn given(name: &'static str, json: Json, sql: &'static str) -> Member {
    Member { name, json, sql, nullable: false, null: "null", quoted: false }
}

/// A member that may be null.
const fn nullable(name: &'static str, json: Json, sql: &'static str) -> Member {
    Member { name, json, sql, nullable: true, null: "null", quoted: false }
}

/// A list; null reads as an empty one.
const fn list(name: &'static str, json: Json, sql: &'static str) -> Member {
    Member { name, json, sql, nullable: false, null: "[]", quoted: false }
}

/// A member with a default, given as JSON.
const fn or(name: &'static str, json: Json, sql: &'static str, null: &'static str) -> Member {
    Member { name, json, sql, nullable: false, null, quoted: false }
}

/// A number that Neuronpedia keeps as text.
const fn text_number(name: &'static str, sql: &'static str) -> Member {
    Member { name, json: Json::Text, sql, nullable: false, null: "null", quoted: true }
}

pub(super) const FEATURE: Shape = &[
    given("modelId", Json::Text, "model_id"),
    given("layer", Json::Text, "source_id"),
    text_number("index", "index"),
    nullable("sourceSetName", Json::Text, "set_id"),
    nullable("creatorId", Json::Text, "creator_id"),
    nullable("createdAt", Json::Time, "created_at"),
    or("maxActApprox", Json::Number, "max_activation", "0"),
    or("hasVector", Json::Flag, "has_vector", "false"),
    list("vector", Json::Numbers, "vector"),
    nullable("vectorLabel", Json::Text, "vector_label"),
    or("vectorDefaultSteerStrength", Json::Number, "steer_strength", "10"),
    nullable("hookName", Json::Text, "hook_point"),
    list("topkCosSimIndices", Json::Integers, "nearest_indices"),
    list("topkCosSimValues", Json::Numbers, "nearest_cosines"),
    list("neuron_alignment_indices", Json::Integers, "neuron_alignment_indices"),
    list("neuron_alignment_values", Json::Numbers, "neuron_alignment_values"),
    list("neuron_alignment_l1", Json::Numbers, "neuron_alignment_l1"),
    list("correlated_neurons_indices", Json::Integers, "correlated_neuron_indices"),
    list("correlated_neurons_pearson", Json::Numbers, "correlated_neuron_pearson"),
    list("correlated_neurons_l1", Json::Numbers, "correlated_neuron_l1"),
    list("correlated_features_indices", Json::Integers, "correlated_feature_indices"),
    list("correlated_features_pearson", Json::Numbers, "correlated_feature_pearson"),
    list("correlated_features_l1", Json::Numbers, "correlated_feature_l1"),
    list("neg_str", Json::Texts, "bottom_logit_tokens"),
    list("neg_values", Json::Numbers, "bottom_logits"),
    list("pos_str", Json::Texts, "top_logit_tokens"),
    list("pos_values", Json::Numbers, "top_logits"),
    or("frac_nonzero", Json::Number, "density", "0"),
    list("freq_hist_data_bar_heights", Json::Numbers, "act_hist_counts"),
    list("freq_hist_data_bar_values", Json::Numbers, "act_hist_edges"),
    list("logits_hist_data_bar_heights", Json::Numbers, "logit_hist_counts"),
    list("logits_hist_data_bar_values", Json::Numbers, "logit_hist_edges"),
    list("decoder_weights_dist", Json::Numbers, "decoder_weights_dist"),
    nullable("umap_cluster", Json::Integer, "umap_cluster"),
    nullable("umap_log_feature_sparsity", Json::Number, "umap_log_sparsity"),
    nullable("umap_x", Json::Number, "umap_x"),
    nullable("umap_y", Json::Number, "umap_y"),
];

pub(super) const ACTIVATION: Shape = &[
    given("id", Json::Text, "concat(model_id, '/', source_id, '/', index, '/', rank)"),
    list("tokens", Json::Texts, "tokens"),
    nullable("dataIndex", Json::Text, "origin_index"),
    text_number("index", "index"),
    given("layer", Json::Text, "source_id"),
    given("source", Json::Text, "source_id"),
    given("modelId", Json::Text, "model_id"),
    nullable("dataSource", Json::Text, "origin"),
    given("maxValue", Json::Number, "max_value"),
    or("maxValueTokenIndex", Json::Integer, "max_position", "0"),
    or("minValue", Json::Number, "min_value", "0"),
    list("values", Json::Numbers, "acts"),
    list("dfaValues", Json::Numbers, "dfa_values"),
    nullable("dfaTargetIndex", Json::Integer, "dfa_target"),
    nullable("dfaMaxValue", Json::Number, "dfa_max"),
    list("zQIndices", Json::Integers, "zq_indices"),
    list("zKIndices", Json::Integers, "zk_indices"),
    list("zValues", Json::Numbers, "z_values"),
    nullable("creatorId", Json::Text, "creator_id"),
    nullable("createdAt", Json::Time, "created_at"),
    list("lossValues", Json::Numbers, "loss_values"),
    nullable("logitContributions", Json::Text, "logit_contributions"),
    nullable("binMin", Json::Number, "bin_min"),
    nullable("binMax", Json::Number, "bin_max"),
    // Exporters write -1 for rows that no interval was sampled for; clients take shares from 0 to 1 only.
    nullable("binContains", Json::Number, "CASE WHEN bin_fraction >= 0 THEN bin_fraction END"),
    nullable("qualifyingTokenIndex", Json::Integer, "qualifying_position"),
];

pub(super) const EXPLANATION: Shape = &[
    given("id", Json::Text, "explanation_id"),
    given("modelId", Json::Text, "model_id"),
    given("layer", Json::Text, "source_id"),
    given("source", Json::Text, "source_id"),
    text_number("index", "index"),
    given("description", Json::Text, "description"),
    nullable("explanationModelName", Json::Text, "explainer_model"),
    nullable("typeName", Json::Text, "method"),
    nullable("authorId", Json::Text, "author"),
    nullable("notes", Json::Text, "notes"),
    or("scoreV1", Json::Number, "score_v1", "0"),
    nullable("scoreV2", Json::Number, "score_v2"),
    nullable("umap_x", Json::Number, "umap_x"),
    nullable("umap_y", Json::Number, "umap_y"),
    nullable("umap_cluster", Json::Integer, "umap_cluster"),
    nullable("umap_log_feature_sparsity", Json::Number, "umap_log_sparsity"),
    nullable("createdAt", Json::Time, "created_at"),
    nullable("updatedAt", Json::Time, "updated_at"),
    nullable("triggeredByUserId", Json::Text, "triggered_by"),
];

pub(super) const SCORE: Shape = &[
    given("id", Json::Text, "s.score_id"),
    given("explanationId", Json::Text, "s.explanation_id"),
    given("value", Json::Number, "s.value"),
    given("explanationScoreTypeName", Json::Text, "s.method"),
    nullable("explanationScoreModelName", Json::Text, "s.scorer_model"),
    or("jsonDetails", Json::Text, "s.details", "\"\""),
    nullable("initiatedByUserId", Json::Text, "s.initiated_by"),
    nullable("createdAt", Json::Time, "s.created_at"),
];

pub(super) const MODEL: Shape = &[
    given("id", Json::Text, "model_id"),
    given("displayNameShort", Json::Text, "coalesce(display_name, model_id)"),
    given("displayName", Json::Text, "coalesce(display_name, model_id)"),
    nullable("creatorId", Json::Text, "creator_id"),
    nullable("dimension", Json::Integer, "d_model"),
    nullable("layers", Json::Integer, "n_layers"),
    nullable("neuronsPerLayer", Json::Integer, "d_mlp"),
    or("instruct", Json::Flag, "instruct", "false"),
    nullable("owner", Json::Text, "owner"),
    nullable("website", Json::Text, "website"),
    nullable("createdAt", Json::Time, "created_at"),
];

pub(super) const SOURCE_SET: Shape = &[
    given("modelId", Json::Text, "model_id"),
    given("name", Json::Text, "set_id"),
    nullable("type", Json::Text, "kind"),
    nullable("description", Json::Text, "description"),
    nullable("creatorName", Json::Text, "creator_name"),
    nullable("creatorId", Json::Text, "creator_id"),
    list("urls", Json::Texts, "urls"),
    nullable("releaseName", Json::Text, "release_id"),
    nullable("createdAt", Json::Time, "created_at"),
];

pub(super) const SOURCE: Shape = &[
    given("id", Json::Text, "source_id"),
    given("modelId", Json::Text, "model_id"),
    given("setName", Json::Text, "set_id"),
    nullable("saelensRelease", Json::Text, "saelens_release"),
    nullable("saelensSaeId", Json::Text, "saelens_id"),
    nullable("hfRepoId", Json::Text, "hf_repo"),
    nullable("hfFolderId", Json::Text, "hf_folder"),
    nullable("dataset", Json::Text, "dataset"),
    nullable("num_prompts", Json::Integer, "n_prompts"),
    nullable("num_tokens_in_prompt", Json::Integer, "tokens_per_prompt"),
    nullable("cosSimMatchModelId", Json::Text, "nearest_model_id"),
    nullable("cosSimMatchSourceId", Json::Text, "nearest_source_id"),
    nullable("notes", Json::Text, "notes"),
    nullable("creatorId", Json::Text, "creator_id"),
    nullable("createdAt", Json::Time, "created_at"),
];

pub(super) const COMMENT: Shape = &[
    given("id", Json::Text, "c.comment_id"),
    given("modelId", Json::Text, "c.model_id"),
    given("layer", Json::Text, "c.source_id"),
    text_number("index", "c.index"),
    given("text", Json::Text, "c.text"),
    given("userId", Json::Text, "c.user_id"),
    nullable("createdAt", Json::Time, "c.created_at"),
];

pub(super) const LIST_ITEM: Shape = &[
    given("modelId", Json::Text, "i.model_id"),
    given("layer", Json::Text, "i.source_id"),
    text_number("index", "i.index"),
    given("listId", Json::Text, "i.list_id"),
    nullable("description", Json::Text, "i.description"),
    nullable("addedAt", Json::Time, "i.added_at"),
];

pub(super) const LIST: Shape = &[
    given("id", Json::Text, "l.list_id"),
    given("name", Json::Text, "l.name"),
    nullable("description", Json::Text, "l.description"),
    nullable("defaultTestText", Json::Text, "l.test_text"),
    given("userId", Json::Text, "l.user_id"),
    nullable("createdAt", Json::Time, "l.created_at"),
    nullable("updatedAt", Json::Time, "l.updated_at"),
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
