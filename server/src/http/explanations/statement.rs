//! The statement that finds a page of explanations: by meaning, by words, or both.
//!
//! What always holds: filters are met before the page is cut. Without filters on features and scores an index ranks; with them,
//! what fits the query is joined with features and scores first, and sorted.

use latentdb_engine::text_literal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::error::ApiError;

const COLUMNS: &str = "explanation_id, model_id, source_id, index, description, explainer_model, method";
/// Reciprocal rank fusion's constant, and how many more than a page of either ranking are merged.
const MERGED: usize = 60;

/// By what: by the meanings that an embedding model tells (as Neuronpedia), by words (BM25), or by both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ExplanationSearchMode)]
pub(super) enum Mode {
    #[default]
    Meaning,
    Words,
    Both,
}

/// What the features and the explanations must be like. What is not known of one fits no filter on it.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExplanationFilters)]
pub(super) struct Filters {
    /// Features that fire on this share of tokens at least, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.0001)]
    min_density: Option<f64>,
    /// Features that fire on this share of tokens at most, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.01)]
    max_density: Option<f64>,
    /// Explanations whose scores are this on average, or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0.7)]
    min_score: Option<f64>,
}

impl Filters {
    /// Whether their values make sense.
    ///
    /// # Errors
    /// Names the filter that does not.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        for (name, value) in [("minDensity", self.min_density), ("maxDensity", self.max_density)] {
            if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
                return Err(ApiError::bad_request(format!("{name} is a share of tokens, from 0 to 1")));
            }
        }
        Ok(())
    }

    /// The joins that leave what fits of the explanations `e`; empty if all do.
    fn joins(&self) -> String {
        let mut joins = String::new();
        let least = self.min_density.map(|least| format!("density >= {least}"));
        let most = self.max_density.map(|most| format!("density <= {most}"));
        let densities: Vec<String> = least.into_iter().chain(most).collect();
        if !densities.is_empty() {
            joins += &format!(
                " JOIN (SELECT model_id, source_id, index FROM features WHERE {}) AS n \
                 ON n.model_id = e.model_id AND n.source_id = e.source_id AND n.index = e.index",
                densities.join(" AND ")
            );
        }
        if let Some(least) = self.min_score {
            joins += &format!(
                " JOIN (SELECT explanation_id FROM explanation_scores GROUP BY explanation_id HAVING avg(value) >= {least}) AS s \
                 ON s.explanation_id = e.explanation_id"
            );
        }
        joins
    }
}

/// What is looked for, where, and which page of it.
pub(super) struct Statement<'a> {
    pub query: &'a str,
    /// On the explanations that are searched, in SQL.
    pub condition: &'a str,
    pub filters: &'a Filters,
    /// Whose embeddings are compared with the query's.
    pub embedding_model: &'a str,
    pub limit: usize,
    pub offset: usize,
}

impl Statement<'_> {
    /// The explanations with `score` and `similarity`, the best first.
    pub(super) fn by(&self, mode: Mode) -> String {
        let page = format!("LIMIT {} OFFSET {}", self.limit, self.offset);
        match mode {
            Mode::Words => self.words(&page),
            Mode::Meaning => self.meanings(&page),
            Mode::Both => self.both(&page),
        }
    }

    fn words(&self, page: &str) -> String {
        let (condition, query) = (self.condition, text_literal(self.query));
        let matching = format!(
            "SELECT {COLUMNS}, bm25(description) AS score, NULL::double precision AS similarity FROM explanations \
             WHERE {condition} AND description @@ {query}"
        );
        self.best(&matching, ["bm25(description) DESC", "e.score DESC"], page)
    }

    fn meanings(&self, page: &str) -> String {
        let (condition, query, model) = (self.condition, text_literal(self.query), text_literal(self.embedding_model));
        let embedded = format!(
            "SELECT {COLUMNS}, NULL::real AS score, 1 - (embedding <=> embed({query})) AS similarity FROM explanations \
             WHERE {condition} AND embedding_model = {model}"
        );
        let distance = format!("embedding <=> embed({query})");
        self.best(&embedded, [&distance, "e.similarity DESC"], page)
    }

    /// Reciprocal rank fusion of both.
    fn both(&self, page: &str) -> String {
        let first = format!("LIMIT {}", self.offset + self.limit + MERGED);
        let (words, meanings) = (self.words(&first), self.meanings(&first));
        format!(
            "SELECT e.explanation_id, e.model_id, e.source_id, e.index, e.description, e.explainer_model, e.method, f.score, \
             f.similarity FROM (\
               SELECT explanation_id, sum(1.0 / ({MERGED} + place)) AS score, max(similarity) AS similarity FROM (\
                 SELECT explanation_id, similarity, row_number() OVER (ORDER BY score DESC, explanation_id) AS place \
                 FROM ({words}) AS w \
                 UNION ALL \
                 SELECT explanation_id, similarity, row_number() OVER (ORDER BY similarity DESC, explanation_id) AS place \
                 FROM ({meanings}) AS m\
               ) AS ranked GROUP BY explanation_id) AS f \
             JOIN explanations AS e USING (explanation_id) ORDER BY f.score DESC, e.explanation_id {page}"
        )
    }

    /// The explanations that `found` gives and filters leave, sorted by the first key; by the second, on `e`, where filters join.
    fn best(&self, found: &str, [key, joined_key]: [&str; 2], page: &str) -> String {
        let joins = self.filters.joins();
        if joins.is_empty() {
            return format!("{found} ORDER BY {key}, explanation_id {page}");
        }
        format!("SELECT e.* FROM ({found}) AS e{joins} ORDER BY {joined_key}, e.explanation_id {page}")
    }
}
