//! Embeddings of explanations: `CALL embed_explanations()`, and what keeps them up in the background.
//!
//! Each vector is stored with the name of the model that made it, so that vectors of two models are never compared. One source
//! is one commit: a run that is stopped goes on with the sources that are left.

mod background;
mod procedure;

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use futures::future::BoxFuture;
use latentdb_engine::{Engine, ErrorKind, Outcome, Result, text_literal};

pub(crate) use self::background::keep_up;
pub(crate) use self::procedure::EmbedExplanations;
use crate::library::{Models, column, text_at};
use crate::progress::{Stage, Stages};
use crate::tables::of_source;

/// How often a source is tried whose explanations others change meanwhile.
const ATTEMPTS: u32 = 5;

/// What was embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Embedded {
    pub(crate) model: String,
    pub(crate) source: String,
    pub(crate) explanations: u64,
}

/// Explanations without a vector, or with one of another model if `anew`; by source.
async fn missing(engine: &Engine, condition: &str) -> Result<Vec<(String, String, u64)>> {
    let sql = format!(
        "SELECT model_id, source_id, count(*) AS n FROM explanations WHERE {condition} GROUP BY 1, 2 ORDER BY 1, 2"
    );
    let rows = engine.session("latentdb").query(&sql).await?;
    let mut found = Vec::new();
    for batch in rows.collect().await? {
        let counts = column(&batch, 2, &DataType::Int64)?;
        let counts: &Int64Array = counts.as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let text = |number| text_at(&batch, number, row).map(Option::unwrap_or_default);
            found.push((text(0)?, text(1)?, counts.value(row).max(0) as u64));
        }
    }
    Ok(found)
}

/// Runs an `UPDATE`, again where others wrote at the same time; how many rows it changed.
async fn update(engine: &Engine, sql: &str) -> Result<u64> {
    let session = engine.session("latentdb");
    let mut changed = 0;
    for statement in session.parse(sql)? {
        let mut attempts = 1;
        let outcome = loop {
            match Box::pin(session.run(&statement)).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempts < ATTEMPTS => attempts += 1,
                other => break other?,
            }
        };
        if let Outcome::Changed { rows, .. } = outcome {
            changed += rows;
        }
    }
    Ok(changed)
}

impl Models {
    /// Embeds the explanations of a model, or of all, that have no vector; those with a vector of another model too if `anew`.
    /// Boxed, because the engine's futures are large, and callers wait within others.
    pub(crate) fn embed_explanations<'a>(
        &'a self,
        engine: &'a Engine,
        model: Option<&'a str>,
        anew: bool,
        progress: Arc<dyn Stages>,
    ) -> BoxFuture<'a, Result<Vec<Embedded>>> {
        Box::pin(self.embed_missing(engine, model, anew, progress))
    }

    async fn embed_missing(
        &self,
        engine: &Engine,
        model: Option<&str>,
        anew: bool,
        progress: Arc<dyn Stages>,
    ) -> Result<Vec<Embedded>> {
        let _turn = self.embedding_turn().await;
        let of_model = model.map_or_else(String::new, |model| format!(" AND model_id = {}", text_literal(model)));
        let without = format!("embedding IS NULL{of_model}");
        if !anew && missing(engine, &without).await?.is_empty() {
            return Ok(Vec::new());
        }
        let name = text_literal(&self.embedding_model().await?);
        let wanted = match anew {
            true => format!("(embedding IS NULL OR embedding_model IS DISTINCT FROM {name})"),
            false => "embedding IS NULL".to_owned(),
        };
        let sources = missing(engine, &format!("{wanted}{of_model}")).await?;
        let total = sources.iter().map(|(.., count)| count).sum();
        progress.begin(Stage::Embedding, 0, total);
        let mut embedded = Vec::new();
        for (model, source, count) in sources {
            let sql = format!(
                "UPDATE explanations SET embedding = embed(description), embedding_model = {name} WHERE {} AND {wanted}",
                of_source(&model, &source)
            );
            let explanations = update(engine, &sql).await?;
            progress.advance(count);
            embedded.push(Embedded { model, source, explanations });
        }
        Ok(embedded)
    }
}
