//! `CALL layout_features(model, source, …)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use latentdb_engine::{Engine, Notices, Parameter, Procedure, Result, ScalarValue};
use latentdb_runtime::layout::LayoutSettings;

use super::{LayoutOptions, Vectors};
use crate::arguments::internal;
use crate::library::WeakModels;
use crate::procedures::{Arguments, attached, count, needed, optional};
use crate::progress::Told;

/// The procedure.
#[derive(Debug)]
pub(crate) struct LayoutFeatures {
    models: WeakModels,
}

impl LayoutFeatures {
    pub(crate) fn new(models: WeakModels) -> Self {
        Self { models }
    }
}

#[async_trait]
impl Procedure for LayoutFeatures {
    fn name(&self) -> &'static str {
        "layout_features"
    }

    fn description(&self) -> &'static str {
        "Lays the features of a source, or their explanations, out in the plane (UMAP), with clusters"
    }

    fn parameters(&self) -> Vec<Parameter> {
        let defaults = LayoutSettings::default();
        vec![
            needed("model", "model id, as in the table models"),
            needed("source", "source id"),
            optional(
                "of",
                ScalarValue::from(Vectors::default().to_string()),
                "whose vectors: decoder (directions of features), or explanations (their embeddings)",
            ),
            count("neighbors", defaults.neighbors, "neighbours that each keeps near, itself included"),
            optional("min_dist", ScalarValue::from(f64::from(defaults.min_dist)), "least distance of two points"),
            count("seed", 0, "of the layout"),
        ]
    }

    fn columns(&self) -> SchemaRef {
        let integer = |name: &str| Field::new(name, DataType::Int64, false);
        Arc::new(Schema::new(vec![integer("placed"), integer("unplaced"), integer("clusters")]))
    }

    async fn call(&self, engine: &Engine, arguments: Vec<ScalarValue>, notices: &Notices) -> Result<Vec<RecordBatch>> {
        let models = attached(&self.models)?;
        let options = options(&Arguments::new(self, arguments))?;
        let found = Box::pin(models.layout_features(engine, options, Arc::new(Told::new(notices)))).await?;
        let counts = [found.placed, found.unplaced, found.clusters];
        let columns = counts.iter().map(|count| Arc::new(Int64Array::from(vec![*count as i64])) as ArrayRef);
        Ok(vec![RecordBatch::try_new(self.columns(), columns.collect()).map_err(internal)?])
    }
}

fn options(arguments: &Arguments) -> Result<LayoutOptions> {
    let settings = LayoutSettings {
        neighbors: arguments.count("neighbors")?,
        min_dist: arguments.real("min_dist")? as f32,
        seed: arguments.count("seed")? as u64,
        ..LayoutSettings::default()
    };
    Ok(LayoutOptions {
        model: arguments.text("model")?,
        source: arguments.text("source")?,
        of: arguments.text("of")?.parse()?,
        settings,
    })
}
