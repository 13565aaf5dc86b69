//! The end of a run: dashboards into data files, and one commit that puts them in the place of the old.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use latentdb_engine::{Load, Result, StagedFile};
use latentdb_runtime::dashboard::ComponentSums;
use serde_json::{Value, json};

use super::features::{Ingredients, Maker};
use super::rows::{self, SourceName};
use super::{Generated, Run};
use crate::address::layer_of;
use crate::arguments::internal;
use crate::corpus::{Prompt, Prompts};
use crate::library::NamedSource;
use crate::progress::Stage;
use crate::tables::{of_source, with_columns};
use crate::user_vectors::VECTORS;

/// Contexts that go into one file.
const CONTEXTS_AT_ONCE: usize = 16 << 10;

/// Files of a source that are written, and what they amount to.
struct Written {
    files: Vec<StagedFile>,
    /// Prompts that examples are from.
    prompts: BTreeSet<u32>,
    alive: u64,
    activations: u64,
}

impl Run {
    /// Makes the dashboards of all sources and commits them.
    pub(super) async fn publish(&self, prompts: &Arc<Prompts>, sums: Vec<ComponentSums>) -> Result<Vec<Generated>> {
        let mut sums = sums.into_iter();
        let features: usize = self.sources.iter().map(|source| source.source.config().d_sae).sum();
        self.progress.begin(Stage::Dashboards, 0, features as u64);
        let contexts = Arc::new(self.context_ids(prompts).await?);
        let mut load = self.engine.load().await?;
        let (mut made, mut files, mut used) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (number, source) in (0u32..).zip(&self.sources) {
            let written = self.source(&load, (number, source), prompts, &contexts, sums.next()).await?;
            made.push(Generated {
                source: source.id.clone(),
                features: source.source.config().d_sae as u64,
                alive: written.alive,
                activations: written.activations,
                prompts: prompts.len() as u64,
                resumed_prompts: 0,
                tokens: prompts.tokens(),
                elapsed: Duration::ZERO,
            });
            used.extend(written.prompts);
            files.extend(written.files);
        }
        self.progress.begin(Stage::Committing, 0, 0);
        let _turn = self.engine.bulk_turn().await;
        files.extend(self.contexts(&load, prompts, &contexts, &used).await?);
        for source in &self.sources {
            let name = self.name(source);
            let row = self.source_row(source, prompts.len()).await?;
            for table in ["features", "activations", "sources"] {
                load.delete(table, &of_source(&name.model, &name.source));
            }
            files.extend(load.write("sources", vec![row]).await?);
        }
        files.into_iter().for_each(|file| load.add(file));
        Box::pin(load.commit(&format!("generate dashboards {}/{}", self.options.model, self.options.sources))).await?;
        Ok(made)
    }

    fn name(&self, source: &NamedSource) -> SourceName {
        SourceName {
            model: self.options.model.clone(),
            source: source.id.clone(),
            other: self.other.as_ref().map(|other| other.id.clone()),
            vector: source.vector.clone(),
        }
    }

    async fn context_ids(&self, prompts: &Arc<Prompts>) -> Result<Vec<i64>> {
        let (model, prompts) = (Arc::clone(self.worker.model()), Arc::clone(prompts));
        let id = self.options.model.clone();
        let work = move || rows::context_ids(&id, &model, (0..prompts.len()).filter_map(|number| prompts.get(number)));
        tokio::task::spawn_blocking(work).await.map_err(internal)?
    }

    /// What the dashboards of a source are made of.
    fn ingredients(
        &self,
        number: u32,
        source: &NamedSource,
        prompts: &Prompts,
        sums: Option<ComponentSums>,
    ) -> Ingredients {
        let masked = self.masked();
        let seen = prompts.iter().flat_map(|prompt| &prompt.tokens).filter(|token| !masked.contains(token)).count();
        Ingredients {
            model: Arc::clone(self.worker.model()),
            source: Arc::clone(&source.source),
            number,
            other: self.other.as_ref().map(|other| Arc::clone(&other.source)),
            scratch: self.scratch.clone(),
            options: Arc::new(self.options.clone()),
            tokens: (prompts.tokens(), seen as u64),
            sums,
        }
    }

    /// Writes the features and activations of one source.
    async fn source(
        &self,
        load: &Load,
        (number, source): (u32, &NamedSource),
        prompts: &Arc<Prompts>,
        contexts: &Arc<Vec<i64>>,
        sums: Option<ComponentSums>,
    ) -> Result<Written> {
        let ingredients = self.ingredients(number, source, prompts, sums);
        let start = move || -> Result<_> {
            let maker = Maker::new(ingredients)?;
            Ok((maker.parts()?, Arc::new(maker)))
        };
        let (parts, maker) = tokio::task::spawn_blocking(start).await.map_err(internal)??;
        let mut written = Written { files: Vec::new(), prompts: BTreeSet::new(), alive: 0, activations: 0 };
        for part in parts {
            let count = part.len() as u64;
            let own = Arc::clone(&maker);
            let made = tokio::task::spawn_blocking(move || own.make(part)).await.map_err(internal)?;
            let mut made = made?;
            self.attribute(source, prompts, &mut made).await?;
            written.prompts.extend(made.iter().flat_map(|one| &one.activity.examples).map(|one| one.prompt));
            written.alive += made.iter().filter(|one| one.activity.max > 0.0).count() as u64;
            let (model, name, contexts) = (Arc::clone(&maker.model), self.name(source), Arc::clone(contexts));
            let to_rows = move || -> Result<_> {
                Ok((rows::features(&name, &model, &made)?, rows::activations(&name, &made, &contexts)?))
            };
            let (features, activations) = tokio::task::spawn_blocking(to_rows).await.map_err(internal)??;
            written.activations += activations.num_rows() as u64;
            written.files.extend(load.write("features", vec![features]).await?);
            written.files.extend(load.write("activations", vec![activations]).await?);
            self.progress.advance(count);
        }
        Ok(written)
    }

    /// Writes the contexts that examples are from and that are not stored yet, each once.
    async fn contexts(
        &self,
        load: &Load,
        prompts: &Prompts,
        ids: &[i64],
        used: &BTreeSet<u32>,
    ) -> Result<Vec<StagedFile>> {
        let mut known = self.engine.context_ids(&self.options.model).await?;
        let new: Vec<(i64, &Prompt)> = used
            .iter()
            .filter_map(|number| Some((*ids.get(*number as usize)?, prompts.get(*number as usize)?)))
            .filter(|(id, _)| known.insert(*id))
            .collect();
        let mut files = Vec::new();
        for some in new.chunks(CONTEXTS_AT_ONCE) {
            let rows = rows::contexts(&self.options.model, self.worker.model(), &self.options.dataset(), some)?;
            files.extend(load.write("contexts", vec![rows]).await?);
        }
        load.merge("contexts", files).await
    }

    /// The source's row with what was generated from what; a new row for neurons.
    async fn source_row(&self, source: &NamedSource, prompts: usize) -> Result<RecordBatch> {
        let name = self.name(source);
        let query = format!("SELECT * FROM sources WHERE {}", of_source(&name.model, &name.source));
        let found = self.engine.session("latentdb").query(&query).await?;
        let schema = Arc::clone(found.schema());
        let batches = found.collect().await?;
        let old = batches.iter().find(|batch| batch.num_rows() > 0);
        let old = match old {
            Some(batch) => batch.slice(0, 1),
            None => self.new_row(source, &schema)?,
        };
        let settings = old.column_by_name("settings").map(|column| cast(column, &DataType::Utf8)).transpose();
        let settings = settings.map_err(internal)?;
        let settings =
            settings.as_ref().filter(|column| column.is_valid(0)).map(|column| column.as_string::<i32>().value(0));
        let mut settings: Value = settings
            .and_then(|text| serde_json::from_str(text).ok())
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({}));
        if let Some(settings) = settings.as_object_mut() {
            settings.insert("dashboards".to_owned(), self.options.to_json(self.cut));
        }
        with_columns(
            &old,
            &[
                ("dataset", text(&self.options.dataset())),
                ("n_prompts", number(prompts)),
                ("tokens_per_prompt", number(self.cut.context_length)),
                ("nearest_model_id", text(&name.model)),
                ("nearest_source_id", text(&name.source)),
                ("settings", text(&settings.to_string())),
            ],
        )
    }

    /// A row for neurons or a vector, which need none to be measured.
    fn new_row(&self, source: &NamedSource, schema: &Arc<Schema>) -> Result<RecordBatch> {
        let columns = schema.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
        let nullable: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let empty = RecordBatch::try_new(Arc::new(Schema::new(nullable)), columns).map_err(internal)?;
        let config = source.source.config();
        with_columns(
            &empty,
            &[
                ("model_id", text(&self.options.model)),
                ("source_id", text(&source.id)),
                ("set_id", text(if source.vector.is_some() { VECTORS } else { "neurons" })),
                ("layer", number(layer_of(&source.id).map_or(config.point.layer, |(layer, _)| layer))),
                ("hook_point", text(&config.point.to_string())),
                ("architecture", text(&config.architecture.to_string())),
                ("d_sae", number(config.d_sae)),
            ],
        )
    }
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn number(value: usize) -> ArrayRef {
    Arc::new(Int64Array::from(vec![i64::try_from(value).ok()]))
}
