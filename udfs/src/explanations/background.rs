//! Embedding explanations as they arrive.

use std::sync::Arc;
use std::time::Duration;

use latentdb_engine::Engine;

use crate::library::WeakModels;
use crate::progress::Logged;

/// Time between two looks at the table.
const INTERVAL: Duration = Duration::from_secs(5);
/// Time after which a model that could not be asked is asked again.
const PAUSE: Duration = Duration::from_secs(300);

/// Embeds what comes until the models are gone. Nothing is read while the number of explanations stays as it was.
pub(crate) async fn keep_up(models: WeakModels, engine: Engine) {
    let mut known: Option<Vec<String>> = None;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(models) = models.upgrade() else { return };
        let Ok(count) = count(&engine).await else { continue };
        if known.as_ref() == Some(&count) {
            continue;
        }
        match models.embed_explanations(&engine, None, false, Arc::new(Logged)).await {
            Ok(embedded) => {
                known = Some(count);
                for one in embedded {
                    tracing::info!(model = %one.model, source = %one.source, explanations = one.explanations, "embedded");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "explanations cannot be embedded; they are not found by meaning");
                drop(models);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn count(engine: &Engine) -> latentdb_engine::Result<Vec<String>> {
    let rows = engine.session("latentdb").query("SELECT count(*) AS n FROM explanations").await?;
    Ok(rows.collect().await?.iter().map(|batch| format!("{:?}", batch.columns())).collect())
}
