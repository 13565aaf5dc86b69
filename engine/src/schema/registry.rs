//! What there is: models, their lenses, releases, source sets, sources, steering vectors, graphs, evals.

use super::ColumnType::{BigInt, Boolean, Double, Integer, Integers, Json, Real, Reals, Text, Texts, Timestamp};
use super::{TableDefinition, optional, required};

/// Language models.
pub(super) const MODELS: TableDefinition = TableDefinition {
    name: "models",
    comment: "Language models whose features are stored here",
    primary_key: &["model_id"],
    sort_key: &["model_id"],
    lookup_columns: 1,
    dictionaries: true,
    page_rows: 1024,
    columns: &[
        required("model_id", Text, "Short id, as in a feature's address: gpt2-small"),
        optional("display_name", Text, "Name for people"),
        optional("family", Text, "Architecture family: gpt2, gpt-neox, llama, mistral, qwen, gemma"),
        optional("n_layers", Integer, "Number of transformer blocks"),
        optional("d_model", Integer, "Width of the residual stream"),
        optional("n_heads", Integer, "Attention heads per block"),
        optional("d_head", Integer, "Width of one attention head"),
        optional("d_mlp", Integer, "Neurons per MLP"),
        optional("d_vocab", Integer, "Tokens in the vocabulary"),
        optional("n_ctx", Integer, "Longest context, in tokens"),
        optional("weights_uri", Text, "Where the weights are: a directory or hf:org/repo"),
        optional("dtype", Text, "Number type of the weights: f32, f16, bf16"),
        optional("instruct", Boolean, "Whether the model follows a chat template"),
        optional("owner", Text, "Who made the model"),
        optional("website", Text, "Page about the model"),
        optional("creator_id", Text, "User who added it"),
        optional("created_at", Timestamp, "When it was added"),
        optional("extra", Json, "Fields of the imported record that have no column here"),
    ],
};

/// Published collections of source sets.
pub(super) const RELEASES: TableDefinition = TableDefinition {
    name: "releases",
    comment: "Releases: published collections of source sets, with their authors",
    primary_key: &["release_id"],
    sort_key: &["release_id"],
    lookup_columns: 1,
    dictionaries: true,
    page_rows: 1024,
    columns: &[
        required("release_id", Text, "Name of the release: gemma-scope"),
        optional("description", Text, "What was released"),
        optional("creator_name", Text, "Who made it"),
        optional("creator_email", Text, "Address of the makers"),
        optional("urls", Texts, "Papers, posts and weights"),
        optional("created_at", Timestamp, "When it was added"),
        optional("extra", Json, "Fields of the imported record that have no column here"),
    ],
};

/// Sets of sources, one per layer.
pub(super) const SOURCE_SETS: TableDefinition = TableDefinition {
    name: "source_sets",
    comment: "Source sets: the SAEs, transcoders or neurons of one kind over a model's layers",
    primary_key: &["model_id", "set_id"],
    sort_key: &["model_id", "set_id"],
    lookup_columns: 2,
    dictionaries: true,
    page_rows: 1024,
    columns: &[
        required("model_id", Text, "Model the set belongs to"),
        required("set_id", Text, "Name of the set: res-jb"),
        optional("kind", Text, "sae, transcoder, clt, neurons or vectors"),
        optional("release_id", Text, "Release the set came with"),
        optional("description", Text, "What the set is"),
        optional("creator_name", Text, "Who made it"),
        optional("creator_id", Text, "User who added it"),
        optional("urls", Texts, "Papers, posts and weights"),
        optional("created_at", Timestamp, "When it was added"),
        optional("extra", Json, "Display defaults and other fields of the imported record"),
    ],
};

/// Single dictionaries: one SAE, transcoder or neuron layer.
pub(super) const SOURCES: TableDefinition = TableDefinition {
    name: "sources",
    comment: "Sources: one SAE, transcoder or layer of neurons each; its features share a source_id",
    primary_key: &["model_id", "source_id"],
    sort_key: &["model_id", "source_id"],
    lookup_columns: 2,
    dictionaries: true,
    page_rows: 1024,
    columns: &[
        required("model_id", Text, "Model the source belongs to"),
        required("source_id", Text, "{layer}-{set}[__extra], or a bare layer number for MLP neurons: 10-res-jb"),
        required("set_id", Text, "Source set it is part of"),
        optional("layer", Integer, "Layer number"),
        optional("hook_point", Text, "Where it reads the model: blocks.10.hook_resid_pre"),
        optional("architecture", Text, "standard, gated, jumprelu, topk, batchtopk, matryoshka, transcoder, …"),
        optional("d_sae", Integer, "Number of features"),
        optional("weights_uri", Text, "Where the weights are: a directory or hf:org/repo/folder"),
        optional("saelens_release", Text, "Release name in SAELens' registry"),
        optional("saelens_id", Text, "SAE id in SAELens' registry"),
        optional("hf_repo", Text, "Hugging Face repository of the weights"),
        optional("hf_folder", Text, "Folder in that repository"),
        optional("dataset", Text, "Corpus that the dashboards were made from"),
        optional("n_prompts", Integer, "Prompts that the dashboards were made from"),
        optional("tokens_per_prompt", Integer, "Tokens of each of those prompts"),
        optional("nearest_model_id", Text, "Model that nearest features were searched in"),
        optional("nearest_source_id", Text, "Source that nearest features were searched in"),
        optional("notes", Text, "Remarks of its makers"),
        optional("creator_id", Text, "User who added it"),
        optional("created_at", Timestamp, "When it was added"),
        optional("settings", Json, "Every setting that changes the maths, as its training library wrote it"),
        optional("extra", Json, "Fields of the imported record that have no column here"),
    ],
};

/// Steering vectors of users.
pub(super) const VECTORS: TableDefinition = TableDefinition {
    name: "vectors",
    comment: "Vectors in activation space that users made: for steering and for probing",
    primary_key: &["vector_id"],
    sort_key: &["model_id", "vector_id"],
    lookup_columns: 2,
    dictionaries: true,
    page_rows: 256,
    columns: &[
        required("vector_id", Text, "Id"),
        required("model_id", Text, "Model whose activations it lives in"),
        required("hook_point", Text, "Where it applies: blocks.6.hook_resid_pre"),
        optional("label", Text, "What it stands for"),
        required("vector", Reals, "Components, d_model of them"),
        optional("default_strength", Real, "Steering strength to start from"),
        optional("owner", Text, "User who made it"),
        optional("created_at", Timestamp, "When it was made"),
    ],
};

/// Jacobian lenses.
pub(super) const LENSES: TableDefinition = TableDefinition {
    name: "lenses",
    comment: "Jacobian lenses of models: where the file is with the average Jacobian of each layer",
    primary_key: &["model_id"],
    sort_key: &["model_id"],
    lookup_columns: 1,
    dictionaries: true,
    page_rows: 1024,
    columns: &[
        required("model_id", Text, "Model that it is a lens of"),
        required("weights_uri", Text, "Where the file is: a path or hf:org/repo/path"),
        optional("layers", Integers, "Layers that have a Jacobian"),
        optional("n_prompts", Integer, "Prompts that the Jacobians are averages over"),
        optional("created_at", Timestamp, "When it was added"),
    ],
};

/// Attribution graphs.
pub(super) const GRAPHS: TableDefinition = TableDefinition {
    name: "graphs",
    comment: "Attribution graphs: which features led a model to its next token",
    primary_key: &["graph_id"],
    sort_key: &["model_id", "graph_id"],
    lookup_columns: 2,
    dictionaries: true,
    page_rows: 8,
    columns: &[
        required("graph_id", Text, "Slug"),
        required("model_id", Text, "Model"),
        optional("source_set_id", Text, "Transcoders that replaced the MLPs"),
        required("prompt", Text, "Prompt"),
        optional("prompt_tokens", Texts, "Tokens of the prompt"),
        optional("parameters", Json, "Settings of the attribution and of the pruning"),
        optional("replacement_score", Double, "Share of influence that passes through features, 0 to 1"),
        optional("completeness_score", Double, "Share of influence on features that is explained, 0 to 1"),
        optional("nodes", Json, "Nodes, in Neuronpedia's form"),
        optional("links", Json, "Links, in Neuronpedia's form"),
        optional("owner", Text, "User who made it"),
        optional("created_at", Timestamp, "When it was made"),
    ],
};

/// Evaluations of sources.
pub(super) const EVALS: TableDefinition = TableDefinition {
    name: "evals",
    comment: "Evaluations of sources: one number per metric, with details",
    primary_key: &["model_id", "source_id", "metric"],
    sort_key: &["model_id", "source_id", "metric"],
    lookup_columns: 3,
    dictionaries: true,
    page_rows: 1024,
    columns: &[
        required("model_id", Text, "Model"),
        required("source_id", Text, "Source"),
        required("metric", Text, "Name of the metric: l0, explained_variance, ce_loss_score"),
        required("value", Double, "Value"),
        optional("details", Json, "What went into it"),
        optional("n_tokens", BigInt, "Tokens it was measured on"),
        optional("created_at", Timestamp, "When it was measured"),
    ],
};
