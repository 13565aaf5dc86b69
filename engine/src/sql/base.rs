//! What every session starts from: functions, planner rules, settings, memory and spill space.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::config::SpillCompression;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use super::catalog::{CATALOG, PUBLIC};
use super::cooperative::CooperativeJoins;
use super::functions;
use super::lateral::{self, Functions};
use super::operators::{QuotedTruth, SearchOperators};
use crate::models::{HoistModelCalls, ModelQueryPlanner, Models, OnDemand};
use crate::pg_catalog;
use crate::search::{self, AskIndexes, Indexes};
use crate::storage::Location;
use crate::{EngineOptions, Error, ErrorKind, Result};

/// Share of the queries' memory for decoded file footers, in percent.
const METADATA_SHARE: usize = 5;
/// Operators named when memory runs out.
const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(5).unwrap();

/// The state that sessions start from.
pub(crate) fn state(
    options: &EngineOptions,
    location: &Location,
    named: &Arc<Functions>,
    models: &Arc<Models>,
    indexes: &Arc<Indexes>,
) -> Result<SessionState> {
    let environment = environment(options, location)?;
    environment.register_object_store(&location.store_url()?, Arc::clone(location.store()));
    let mut state = SessionStateBuilder::new()
        .with_config(
            config(options)
                .with_extension(Arc::clone(models))
                .with_extension(Arc::clone(named))
                .with_extension(Arc::clone(indexes)),
        )
        .with_runtime_env(environment)
        .with_expr_planners(vec![Arc::new(QuotedTruth), Arc::new(SearchOperators)])
        .with_default_features()
        .with_query_planner(Arc::new(ModelQueryPlanner))
        .with_optimizer_rule(Arc::new(AskIndexes))
        .with_optimizer_rule(Arc::new(HoistModelCalls))
        .with_physical_optimizer_rule(Arc::new(CooperativeJoins))
        .with_physical_optimizer_rule(Arc::new(OnDemand))
        .with_relation_planners(vec![lateral::planner(Arc::clone(named))])
        .build();
    for function in functions::plain() {
        state.register_udf(function)?;
    }
    for function in functions::aggregates() {
        state.register_udaf(function)?;
    }
    for function in search::functions() {
        state.register_udf(function)?;
    }
    for function in named.all() {
        state.register_udf(Arc::clone(&function.scalar))?;
    }
    for (name, function) in pg_catalog::table_functions()? {
        state.register_udtf(name, function);
    }
    Ok(state)
}

fn config(options: &EngineOptions) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(options.threads.unwrap_or_else(cores))
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, PUBLIC)
        .with_spill_compression(SpillCompression::Lz4Frame);
    let planner = config.options_mut();
    planner.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    planner.sql_parser.collect_spans = true;
    planner.sql_parser.map_string_types_to_utf8view = false;
    planner.sql_parser.default_null_ordering = "nulls_max".to_owned();
    planner.execution.collect_statistics = true;
    planner.execution.parquet.metadata_size_hint = Some(512 << 10);
    planner.execution.parquet.pushdown_filters = true;
    planner.execution.parquet.bloom_filter_on_read = true;
    planner.execution.parquet.schema_force_view_types = false;
    // Splitting a small file costs more than reading it.
    planner.optimizer.repartition_file_min_size = 10 << 20;
    config
}

fn environment(options: &EngineOptions, location: &Location) -> Result<Arc<RuntimeEnv>> {
    let memory = options.memory_bytes();
    let pool = TrackConsumersPool::new(FairSpillPool::new(memory), NAMED_CONSUMERS);
    let mut disk = DiskManagerBuilder::default();
    let beside_data =
        || location.local_directory().filter(|_| !options.read_only).map(|directory| directory.join("_tmp"));
    if let Some(directory) = options.spill_directory.clone().or_else(beside_data) {
        std::fs::create_dir_all(&directory).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot make the spill directory {}: {error}", directory.display()))
        })?;
        disk = disk.with_mode(DiskManagerMode::Directories(vec![directory]));
    }
    let environment = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .with_metadata_cache_limit(memory / 100 * METADATA_SHARE)
        .build_arc()?;
    Ok(environment)
}

/// Cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
