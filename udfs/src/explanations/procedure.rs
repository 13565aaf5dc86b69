//! `CALL embed_explanations(…)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use latentdb_engine::{Engine, Notices, Parameter, Procedure, Result, ScalarValue};

use crate::arguments::internal;
use crate::library::WeakModels;
use crate::procedures::{Arguments, attached, optional};
use crate::progress::Told;

/// The procedure.
#[derive(Debug)]
pub(crate) struct EmbedExplanations {
    models: WeakModels,
}

impl EmbedExplanations {
    pub(crate) fn new(models: WeakModels) -> Self {
        Self { models }
    }
}

#[async_trait]
impl Procedure for EmbedExplanations {
    fn name(&self) -> &'static str {
        "embed_explanations"
    }

    fn description(&self) -> &'static str {
        "Gives explanations the vectors that search by meaning compares"
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            optional("model", ScalarValue::Utf8(None), "model id; all models if none is given"),
            optional("anew", ScalarValue::from(false), "whether vectors of another embedding model are replaced"),
        ]
    }

    fn columns(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("model_id", DataType::Utf8, false),
            Field::new("source_id", DataType::Utf8, false),
            Field::new("explanations", DataType::Int64, false),
        ]))
    }

    async fn call(&self, engine: &Engine, arguments: Vec<ScalarValue>, notices: &Notices) -> Result<Vec<RecordBatch>> {
        let models = attached(&self.models)?;
        let arguments = Arguments::new(self, arguments);
        let model = arguments.text_or_none("model")?;
        let anew = arguments.flag_or_none("anew")?.unwrap_or(false);
        let told = Arc::new(Told::new(notices));
        let made = models.embed_explanations(engine, model.as_deref(), anew, told).await?;
        let columns = vec![
            Arc::new(StringArray::from_iter_values(made.iter().map(|one| &one.model))) as ArrayRef,
            Arc::new(StringArray::from_iter_values(made.iter().map(|one| &one.source))),
            Arc::new(Int64Array::from_iter_values(made.iter().map(|one| one.explanations as i64))),
        ];
        Ok(vec![RecordBatch::try_new(self.columns(), columns).map_err(internal)?])
    }
}
