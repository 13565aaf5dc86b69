//! `GET /api/feature/{model}/{source}/{index}`: one feature with all that is known of it, in
//! Neuronpedia's shape.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::json::writer::EncoderOptions;
use arrow::record_batch::RecordBatch;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use latentdb_engine::{Engine, Error, ErrorKind, RepeatedQuery, Result, ScalarValue};

use super::App;
use super::cells::text_at;
use super::error::ApiError;
use super::openapi::Feature;
use super::prisma::{self, RecordWriter, Shape, prisma_options, select_list};

/// Condition that picks a feature's rows in any table that refers to features.
const OF_FEATURE: &str = "model_id = $1 AND source_id = $2 AND index = $3";

/// A feature with its activations and explanations, as Neuronpedia gives it.
#[utoipa::path(
    get, path = "/api/feature/{model}/{source}/{index}", tag = "Features", operation_id = "feature",
    params(
        ("model" = String, Path, description = "Model", example = "gpt2-small"),
        ("source" = String, Path, description = "Source", example = "10-res-jb"),
        ("index" = String, Path, description = "Number of the feature, from 0", example = "14057"),
    ),
    responses((status = 200, description = "The feature", body = Feature), ApiError)
)]
pub(super) async fn get_feature(
    State(app): State<Arc<App>>,
    Path((model, source, index)): Path<(String, String, String)>,
) -> Result<impl IntoResponse, ApiError> {
    let missing = || ApiError::not_found(format!("there is no feature {model}/{source}/{index}"));
    let number: i32 = index.parse().map_err(|_| missing())?;
    let body = app.features.read(&model, &source, number).await?.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body))
}

/// The look-ups that make up a feature's page.
#[derive(Debug)]
pub(super) struct FeatureReader {
    feature: RepeatedQuery,
    activations: RepeatedQuery,
    explanations: RepeatedQuery,
    scores: RepeatedQuery,
    model: RepeatedQuery,
    source: RepeatedQuery,
    source_set: RepeatedQuery,
    comments: RareRows,
    lists: RareRows,
    user: RepeatedQuery,
}

/// Rows that most features have none of: looked for before the query that joins them is run.
#[derive(Debug)]
struct RareRows {
    any: RepeatedQuery,
    all: RepeatedQuery,
}

impl RareRows {
    /// The rows; a batch without columns if there are none.
    async fn rows(&self, key: &[ScalarValue]) -> Result<RecordBatch> {
        let any = self.any.rows(key).await?;
        if any.num_rows() == 0 {
            return Ok(RecordBatch::new_empty(Arc::new(Schema::empty())));
        }
        self.all.rows(key).await
    }
}

/// What the look-ups found.
struct Found {
    feature: RecordBatch,
    activations: RecordBatch,
    explanations: RecordBatch,
    /// Of each explanation.
    scores: Vec<RecordBatch>,
    model: RecordBatch,
    source: RecordBatch,
    source_set: RecordBatch,
    comments: RecordBatch,
    lists: RecordBatch,
    /// Names of the users that the rows refer to.
    users: HashMap<String, String>,
}

impl FeatureReader {
    pub(super) fn new(engine: &Engine) -> Self {
        let lookup = |sql: String| RepeatedQuery::new(engine.clone(), "http", sql);
        let select = |shape: Shape, rest: &str| lookup(format!("SELECT {} FROM {rest}", select_list(shape)));
        let list_columns = format!("{}, {}", select_list(prisma::LIST_ITEM), select_list_of_lists());
        Self {
            feature: select(prisma::FEATURE, &format!("features WHERE {OF_FEATURE}")),
            activations: select(
                prisma::ACTIVATION,
                &format!("activation_records WHERE {OF_FEATURE} ORDER BY max_value DESC, rank"),
            ),
            explanations: select(
                prisma::EXPLANATION,
                &format!(
                    "explanations WHERE {OF_FEATURE} \
                     ORDER BY score_v2 DESC NULLS LAST, score_v1 DESC NULLS LAST, created_at DESC NULLS LAST"
                ),
            ),
            scores: select(
                prisma::SCORE,
                "explanation_scores s WHERE s.explanation_id = $1 ORDER BY s.created_at, s.score_id",
            ),
            model: lookup(format!("SELECT {}, extra FROM models WHERE model_id = $1", select_list(prisma::MODEL))),
            source: lookup(format!(
                "SELECT {}, extra FROM sources WHERE model_id = $1 AND source_id = $2",
                select_list(prisma::SOURCE)
            )),
            source_set: lookup(format!(
                "SELECT {}, extra FROM source_sets WHERE model_id = $1 AND set_id = $2",
                select_list(prisma::SOURCE_SET)
            )),
            comments: RareRows {
                any: lookup(format!("SELECT comment_id FROM comments WHERE {OF_FEATURE} LIMIT 1")),
                all: lookup(format!(
                    "SELECT {}, u.name AS user_name FROM comments c LEFT JOIN users u ON c.user_id = u.user_id \
                     WHERE c.model_id = $1 AND c.source_id = $2 AND c.index = $3 ORDER BY c.created_at",
                    select_list(prisma::COMMENT)
                )),
            },
            lists: RareRows {
                any: lookup(format!("SELECT list_id FROM list_items WHERE {OF_FEATURE} LIMIT 1")),
                all: lookup(format!(
                    "SELECT {list_columns} FROM list_items i JOIN lists l ON i.list_id = l.list_id \
                     WHERE i.model_id = $1 AND i.source_id = $2 AND i.index = $3 ORDER BY i.added_at"
                )),
            },
            user: lookup("SELECT name FROM users WHERE user_id = $1".to_owned()),
        }
    }

    /// The JSON of a feature; `None` if there is none of that address.
    pub(super) async fn read(&self, model: &str, source: &str, index: i32) -> Result<Option<Vec<u8>>> {
        let key = [ScalarValue::from(model), ScalarValue::from(source), ScalarValue::from(index)];
        let (feature, activations, (explanations, scores), model, (source, source_set), comments, lists) = futures::try_join!(
            self.feature.rows(&key),
            self.activations.rows(&key),
            self.explanations_with_scores(&key),
            self.model.rows(&key[..1]),
            self.source_with_set(&key[..2]),
            self.comments.rows(&key),
            self.lists.rows(&key),
        )?;
        if feature.num_rows() == 0 {
            return Ok(None);
        }
        let users = self.names_of(users_in(&feature, &explanations)).await?;
        let found =
            Found { feature, activations, explanations, scores, model, source, source_set, comments, lists, users };
        found.write().map(Some)
    }

    /// A feature's explanations, and the scores of each.
    async fn explanations_with_scores(&self, key: &[ScalarValue]) -> Result<(RecordBatch, Vec<RecordBatch>)> {
        let explanations = self.explanations.rows(key).await?;
        let mut scores = Vec::with_capacity(explanations.num_rows());
        for row in 0..explanations.num_rows() {
            let id = member_at(prisma::EXPLANATION, &explanations, "id", row).unwrap_or_default();
            scores.push(self.scores.rows(&[ScalarValue::from(id)]).await?);
        }
        Ok((explanations, scores))
    }

    /// A source, and the set that it is of.
    async fn source_with_set(&self, key: &[ScalarValue]) -> Result<(RecordBatch, RecordBatch)> {
        let source = self.source.rows(key).await?;
        let set = member_at(prisma::SOURCE, &source, "setName", 0).unwrap_or_default();
        let of_set = [key.first().cloned().unwrap_or(ScalarValue::Null), ScalarValue::from(set)];
        let set = self.source_set.rows(&of_set).await?;
        Ok((source, set))
    }

    async fn names_of(&self, ids: BTreeSet<&str>) -> Result<HashMap<String, String>> {
        let mut names = HashMap::new();
        for id in ids {
            if let Some(name) = text_at(&self.user.rows(&[ScalarValue::from(id)]).await?, 0, 0) {
                names.insert(id.to_owned(), name.to_owned());
            }
        }
        Ok(names)
    }
}

fn users_in<'a>(feature: &'a RecordBatch, explanations: &'a RecordBatch) -> BTreeSet<&'a str> {
    let creator = member_at(prisma::FEATURE, feature, "creatorId", 0);
    let askers = (0..explanations.num_rows())
        .filter_map(|row| member_at(prisma::EXPLANATION, explanations, "triggeredByUserId", row));
    creator.into_iter().chain(askers).collect()
}

/// The select list of [`prisma::LIST`], under names of its own: it follows another one.
fn select_list_of_lists() -> String {
    select_list(prisma::LIST).replace(" AS m", " AS l")
}

impl Found {
    fn write(&self) -> Result<Vec<u8>> {
        let options = prisma_options();
        let mut out = Vec::with_capacity(64 * 1024);
        out.push(b'{');
        RecordWriter::new(prisma::FEATURE, &self.feature, &options)?.write_members(0, &mut out);
        out.extend_from_slice(b",\"model\":");
        write_registry(prisma::MODEL, &self.model, &options, &mut out)?;
        out.extend_from_slice(b",\"source\":");
        write_registry(prisma::SOURCE, &self.source, &options, &mut out)?;
        out.extend_from_slice(b",\"sourceSet\":");
        write_registry(prisma::SOURCE_SET, &self.source_set, &options, &mut out)?;
        out.extend_from_slice(b",\"creator\":");
        let creator = member_at(prisma::FEATURE, &self.feature, "creatorId", 0);
        write_user(creator.and_then(|id| self.users.get(id)).map(String::as_str), &mut out);
        out.extend_from_slice(b",\"lists\":");
        self.write_lists(&options, &mut out)?;
        out.extend_from_slice(b",\"comments\":");
        self.write_comments(&options, &mut out)?;
        out.extend_from_slice(b",\"activations\":");
        let mut activations = RecordWriter::new(prisma::ACTIVATION, &self.activations, &options)?;
        write_all(self.activations.num_rows(), &mut out, |row, out| activations.write(row, out));
        out.extend_from_slice(b",\"explanations\":");
        self.write_explanations(&options, &mut out)?;
        out.push(b'}');
        Ok(out)
    }

    fn write_explanations(&self, options: &EncoderOptions, out: &mut Vec<u8>) -> Result<()> {
        let writers = self.scores.iter().map(|scores| RecordWriter::new(prisma::SCORE, scores, options));
        let mut writers = writers.collect::<Result<Vec<_>>>()?;
        let mut explanations = RecordWriter::new(prisma::EXPLANATION, &self.explanations, options)?;
        write_all(self.explanations.num_rows(), out, |row, out| {
            out.push(b'{');
            explanations.write_members(row, out);
            out.extend_from_slice(b",\"triggeredByUser\":");
            let asker = member_at(prisma::EXPLANATION, &self.explanations, "triggeredByUserId", row);
            let asker = asker.and_then(|id| Some(serde_json::json!({"id": id, "name": self.users.get(id)?})));
            out.extend_from_slice(serde_json::Value::from(asker).to_string().as_bytes());
            out.extend_from_slice(b",\"scores\":");
            match (self.scores.get(row), writers.get_mut(row)) {
                (Some(scores), Some(writer)) => write_all(scores.num_rows(), out, |row, out| writer.write(row, out)),
                _ => out.extend_from_slice(b"[]"),
            }
            out.push(b'}');
        });
        Ok(())
    }

    fn write_comments(&self, options: &EncoderOptions, out: &mut Vec<u8>) -> Result<()> {
        let mut comments = RecordWriter::new(prisma::COMMENT, &self.comments, options)?;
        write_all(self.comments.num_rows(), out, |row, out| {
            out.push(b'{');
            comments.write_members(row, out);
            out.extend_from_slice(b",\"user\":");
            write_user(text_at(&self.comments, prisma::COMMENT.len(), row), out);
            out.push(b'}');
        });
        Ok(())
    }

    fn write_lists(&self, options: &EncoderOptions, out: &mut Vec<u8>) -> Result<()> {
        let columns: Vec<usize> = (prisma::LIST_ITEM.len()..self.lists.num_columns()).collect();
        let list_columns =
            self.lists.project(&columns).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        let mut items = RecordWriter::new(prisma::LIST_ITEM, &self.lists, options)?;
        let mut lists = RecordWriter::new(prisma::LIST, &list_columns, options)?;
        write_all(self.lists.num_rows(), out, |row, out| {
            out.push(b'{');
            items.write_members(row, out);
            out.extend_from_slice(b",\"list\":");
            lists.write(row, out);
            out.push(b'}');
        });
        Ok(())
    }
}

/// A row of a registry table, with the members of the imported record that have no column of their own
/// (they are kept in `extra`, the last column); `null` if there is no row.
fn write_registry(shape: Shape, batch: &RecordBatch, options: &EncoderOptions, out: &mut Vec<u8>) -> Result<()> {
    if batch.num_rows() == 0 {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    out.push(b'{');
    RecordWriter::new(shape, batch, options)?.write_members(0, out);
    let extra = text_at(batch, shape.len(), 0).and_then(|extra| serde_json::from_str(extra).ok());
    if let Some(serde_json::Value::Object(extra)) = extra {
        for (name, value) in extra.into_iter().filter(|(name, _)| !shape.iter().any(|member| member.is_named(name))) {
            out.extend_from_slice(format!(",{}:{value}", serde_json::Value::from(name)).as_bytes());
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_user(name: Option<&str>, out: &mut Vec<u8>) {
    let user = name.map_or(serde_json::Value::Null, |name| serde_json::json!({ "name": name }));
    out.extend_from_slice(user.to_string().as_bytes());
}

fn write_all(rows: usize, out: &mut Vec<u8>, mut write: impl FnMut(usize, &mut Vec<u8>)) {
    out.push(b'[');
    for row in 0..rows {
        if row > 0 {
            out.push(b',');
        }
        write(row, out);
    }
    out.push(b']');
}

fn member_at<'a>(shape: Shape, batch: &'a RecordBatch, name: &str, row: usize) -> Option<&'a str> {
    text_at(batch, shape.iter().position(|member| member.is_named(name))?, row)
}
