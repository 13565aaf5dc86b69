//! What each key of a Neuronpedia record is called here. Import and export go by the same lists, so that
//! what comes in goes out again.

use latentdb_engine::schema::{ColumnDefinition, TableDefinition, delta_table};
use latentdb_engine::{Error, ErrorKind, Result};

use super::layout::Kind;

/// A key of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// Key in the JSON.
    pub key: &'static str,
    /// What it stands for.
    pub meaning: Meaning,
}

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The column of this name.
    Column(&'static str),
    /// The source's model; the same on every line.
    Model,
    /// The source; the same on every line.
    Source,
    /// An activation's tokens.
    Tokens,
    /// An activation's values, one for each token.
    Values,
    /// Head attribution: a list of key positions and a list of query positions.
    HeadPositions,
    /// A row id that nothing refers to; exports make new ones.
    RowId,
}

use Meaning::{Column, HeadPositions, Model, RowId, Source, Tokens, Values};

const fn field(key: &'static str, meaning: Meaning) -> Field {
    Field { key, meaning }
}

/// Keys of a feature ("Neuron" in Neuronpedia's schema).
const FEATURE: &[Field] = &[
    field("modelId", Model),
    field("layer", Source),
    field("index", Column("index")),
    field("creatorId", Column("creator_id")),
    field("createdAt", Column("created_at")),
    field("maxActApprox", Column("max_activation")),
    field("hasVector", Column("has_vector")),
    field("vector", Column("vector")),
    field("vectorLabel", Column("vector_label")),
    field("vectorDefaultSteerStrength", Column("steer_strength")),
    field("hookName", Column("hook_point")),
    field("topkCosSimIndices", Column("nearest_indices")),
    field("topkCosSimValues", Column("nearest_cosines")),
    field("neuron_alignment_indices", Column("neuron_alignment_indices")),
    field("neuron_alignment_values", Column("neuron_alignment_values")),
    field("neuron_alignment_l1", Column("neuron_alignment_l1")),
    field("correlated_neurons_indices", Column("correlated_neuron_indices")),
    field("correlated_neurons_pearson", Column("correlated_neuron_pearson")),
    field("correlated_neurons_l1", Column("correlated_neuron_l1")),
    field("correlated_features_indices", Column("correlated_feature_indices")),
    field("correlated_features_pearson", Column("correlated_feature_pearson")),
    field("correlated_features_l1", Column("correlated_feature_l1")),
    field("neg_str", Column("bottom_logit_tokens")),
    field("neg_values", Column("bottom_logits")),
    field("pos_str", Column("top_logit_tokens")),
    field("pos_values", Column("top_logits")),
    field("frac_nonzero", Column("density")),
    field("freq_hist_data_bar_heights", Column("act_hist_counts")),
    field("freq_hist_data_bar_values", Column("act_hist_edges")),
    field("logits_hist_data_bar_heights", Column("logit_hist_counts")),
    field("logits_hist_data_bar_values", Column("logit_hist_edges")),
    field("decoder_weights_dist", Column("decoder_weights_dist")),
    field("umap_x", Column("umap_x")),
    field("umap_y", Column("umap_y")),
    field("umap_cluster", Column("umap_cluster")),
    field("umap_log_feature_sparsity", Column("umap_log_sparsity")),
    field("sourceSetName", Column("set_id")),
    // Ours, under our own names: Neuronpedia's import passes over keys it does not know.
    field("nearest_sources", Column("nearest_sources")),
    field("decoder_norm", Column("decoder_norm")),
];

/// Keys of an activation.
const ACTIVATION: &[Field] = &[
    field("id", RowId),
    field("tokens", Tokens),
    field("index", Column("index")),
    field("layer", Source),
    field("modelId", Model),
    field("dataSource", Column("origin")),
    field("dataIndex", Column("origin_index")),
    field("maxValue", Column("max_value")),
    field("maxValueTokenIndex", Column("max_position")),
    field("minValue", Column("min_value")),
    field("values", Values),
    field("creatorId", Column("creator_id")),
    field("dfaValues", Column("dfa_values")),
    field("dfaTargetIndex", Column("dfa_target")),
    field("dfaMaxValue", Column("dfa_max")),
    field("createdAt", Column("created_at")),
    field("lossValues", Column("loss_values")),
    field("logitContributions", Column("logit_contributions")),
    field("binMin", Column("bin_min")),
    field("binMax", Column("bin_max")),
    field("binContains", Column("bin_fraction")),
    field("qualifyingTokenIndex", Column("qualifying_position")),
    field("zIndices", HeadPositions),
    field("zKIndices", Column("zk_indices")),
    field("zQIndices", Column("zq_indices")),
    field("zValues", Column("z_values")),
];

/// Keys of an explanation.
const EXPLANATION: &[Field] = &[
    field("id", Column("explanation_id")),
    field("modelId", Model),
    field("layer", Source),
    field("index", Column("index")),
    field("authorId", Column("author")),
    field("triggeredByUserId", Column("triggered_by")),
    field("triggeredById", Column("triggered_by")),
    field("description", Column("description")),
    field("notes", Column("notes")),
    field("embedding", Column("embedding")),
    field("typeName", Column("method")),
    field("explanationModelName", Column("explainer_model")),
    field("scoreV1", Column("score_v1")),
    field("scoreV2", Column("score_v2")),
    field("umap_x", Column("umap_x")),
    field("umap_y", Column("umap_y")),
    field("umap_cluster", Column("umap_cluster")),
    field("umap_log_feature_sparsity", Column("umap_log_sparsity")),
    field("createdAt", Column("created_at")),
    field("updatedAt", Column("updated_at")),
    field("embedding_model", Column("embedding_model")),
];

impl Kind {
    /// The keys of this kind's records.
    pub(crate) fn fields(self) -> &'static [Field] {
        match self {
            Kind::Features => FEATURE,
            Kind::Activations => ACTIVATION,
            Kind::Explanations => EXPLANATION,
        }
    }

    /// The table of this kind's records.
    pub(crate) fn table(self) -> Result<&'static TableDefinition> {
        table(self.name())
    }
}

/// A built-in table.
pub(crate) fn table(name: &str) -> Result<&'static TableDefinition> {
    delta_table(name).ok_or_else(|| Error::new(ErrorKind::Internal, format!("there is no built-in table {name}")))
}

/// A column of a built-in table, with its place.
pub(crate) fn column(table: &'static TableDefinition, name: &str) -> Result<(usize, &'static ColumnDefinition)> {
    let found = table.columns.iter().enumerate().find(|(_, column)| column.name == name);
    found.ok_or_else(|| Error::new(ErrorKind::Internal, format!("table {} has no column {name}", table.name)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_field_has_its_column() {
        for kind in Kind::ALL {
            let table = kind.table().unwrap();
            for field in kind.fields() {
                if let Column(name) = field.meaning {
                    column(table, name).unwrap();
                }
            }
        }
    }

    #[test]
    fn every_column_has_its_field() {
        // Filled by the import itself, from more than one key.
        let derived = ["model_id", "source_id", "rank", "context_id", "positions", "acts"];
        for kind in Kind::ALL {
            for column in kind.table().unwrap().columns {
                let named = kind.fields().iter().any(|field| field.meaning == Column(column.name));
                assert!(named || derived.contains(&column.name), "{}.{}", kind.name(), column.name);
            }
        }
    }
}
