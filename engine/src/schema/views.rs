//! Built-in views: wide forms of what is stored compactly.

/// A built-in view.
#[derive(Debug, Clone, Copy)]
pub struct ViewDefinition {
    /// Name in schema `public`.
    pub name: &'static str,
    /// What one row is.
    pub comment: &'static str,
    /// The query it stands for.
    pub sql: &'static str,
}

/// The built-in views.
pub const VIEWS: &[ViewDefinition] = &[ViewDefinition {
    name: "activation_records",
    comment: "Activations with their tokens and a value for every token, as dashboards show them",
    sql: "SELECT a.model_id, a.source_id, a.index, a.rank, a.context_id, c.tokens, \
          densify(a.positions, a.acts, cardinality(c.tokens)) AS acts, a.max_value, a.max_position, a.min_value, \
          a.bin_min, a.bin_max, a.bin_fraction, a.qualifying_position, a.dfa_values, a.dfa_target, a.dfa_max, \
          a.loss_values, a.logit_contributions, a.zq_indices, a.zk_indices, a.z_values, a.origin, a.origin_index, \
          a.creator_id, a.created_at, c.token_ids \
          FROM activations a JOIN contexts c ON a.context_id = c.context_id",
}];
