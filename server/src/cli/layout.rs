//! `latentdb layout`: the map of a source's features.

use std::sync::Arc;

use clap::Args;
use latentdb_udfs::{LayoutOptions, LayoutSettings, Stages, Vectors};

use super::database::{self, Purpose};
use super::progress::Shown;
use super::{CliResult, Global, interruptible};

/// What to lay out.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LayoutArgs {
    /// Model id
    model: String,
    /// Source id
    source: String,
    /// Whose vectors: decoder (directions of features), explanations (their embeddings)
    #[arg(long, default_value_t = Vectors::Decoder, value_name = "WHOSE")]
    of: Vectors,
    /// Neighbours that each keeps near, itself included
    #[arg(long, default_value_t = 15, value_name = "N")]
    neighbors: usize,
    /// Least distance of two points
    #[arg(long, default_value_t = 0.1, value_name = "DISTANCE")]
    min_dist: f32,
    /// Seed of the layout
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

const EXAMPLES: &str = "\
Places and clusters (UMAP, HDBSCAN) go to umap_x, umap_y and umap_cluster of the table features or explanations.
In SQL: CALL layout_features('MODEL', 'SOURCE').

Examples:
  latentdb layout gpt2-small 10-res-jb --data ./mydb
  latentdb layout gpt2-small 10-res-jb --of explanations --neighbors 30 --data ./mydb";

pub(super) async fn run(global: &Global, args: LayoutArgs) -> CliResult {
    let (engine, models) = database::open_with_models(global, Purpose::Write).await?;
    let progress: Arc<dyn Stages> = Arc::new(Shown::on_stderr());
    let settings = LayoutSettings {
        neighbors: args.neighbors,
        min_dist: args.min_dist,
        seed: args.seed,
        ..LayoutSettings::default()
    };
    let options = LayoutOptions { model: args.model, source: args.source, of: args.of, settings };
    let outcome = interruptible(Box::pin(models.layout_features(&engine, options, Arc::clone(&progress)))).await;
    drop((progress, models));
    engine.close().await?;
    let found = outcome?;
    println!("{} placed in {} clusters, {} without a place", found.placed, found.clusters, found.unplaced);
    Ok(())
}
