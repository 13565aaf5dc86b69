//! Schema `pg_catalog`: which table comes from where.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field};
use async_trait::async_trait;
use datafusion::catalog::{MemoryCatalogProviderList, SchemaProvider, TableProvider};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{LogicalPlanBuilder, ident};
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::oid_field::OID_ALIAS_KEY;
use datafusion_pg_catalog::pg_catalog::oid_field::kind::REGPROC;
use datafusion_pg_catalog::pg_catalog::{PG_CATALOG_TABLES, PgCatalogSchemaProvider, PgCatalogStaticTables};

use super::{CatalogFacts, database, indexes, procedures, relations};

/// What is the same on every server; decoded once.
static POSTGRES: LazyLock<std::result::Result<Arc<PgCatalogStaticTables>, String>> =
    LazyLock::new(|| PgCatalogStaticTables::try_new().map(Arc::new).map_err(|error| error.to_string()));

pub(super) fn postgres() -> Result<Arc<PgCatalogStaticTables>> {
    POSTGRES.clone().map_err(DataFusionError::Internal)
}

/// The tables that are ours.
const OWN: [&str; 21] = [
    "pg_attribute",
    "pg_authid",
    "pg_class",
    "pg_constraint",
    "pg_database",
    "pg_description",
    "pg_index",
    "pg_namespace",
    "pg_proc",
    "pg_roles",
    "pg_settings",
    "pg_shadow",
    "pg_stat_activity",
    "pg_stat_progress_create_index",
    "pg_stat_user_tables",
    "pg_stat_all_tables",
    "pg_tables",
    "pg_user",
    "pg_views",
    "pg_auth_members",
    "pg_shdescription",
];

/// Whether `name` is one of the tables that are ours.
pub(super) fn is_own(name: &str) -> bool {
    OWN.contains(&name)
}

/// Schema `pg_catalog` for one statement.
pub(crate) fn schema(facts: Arc<dyn CatalogFacts>) -> Result<Arc<dyn SchemaProvider>> {
    let catalogs = Arc::new(MemoryCatalogProviderList::new()) as Arc<dyn datafusion::catalog::CatalogProviderList>;
    let rest = PgCatalogSchemaProvider::try_new(catalogs, postgres()?, EmptyContextProvider)?;
    Ok(Arc::new(PgCatalog { facts, rest: Arc::new(rest) }))
}

/// Columns of type `oid` that are not marked as such where they come from.
const UNMARKED_OIDS: [&str; 18] = [
    "relowner",
    "relam",
    "relfilenode",
    "reltablespace",
    "attcollation",
    "typowner",
    "typcollation",
    "typelem",
    "typarray",
    "typrelid",
    "datdba",
    "dattablespace",
    "nspowner",
    "pronamespace",
    "proowner",
    "prolang",
    "provariadic",
    "prorettype",
];

/// Object ids are kept as signed numbers, by us and by `datafusion-pg-catalog`; clients see them as `oid`,
/// which is unsigned.
fn with_oids(name: &str, table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let is_oid = |field: &Field| {
        let marked = field.metadata().get(OID_ALIAS_KEY).is_some_and(|kind| kind != REGPROC);
        *field.data_type() == DataType::Int32 && (marked || UNMARKED_OIDS.contains(&field.name().as_str()))
    };
    if !schema.fields().iter().any(|field| is_oid(field)) {
        return Ok(table);
    }
    let columns = schema.fields().iter().map(|field| match is_oid(field) {
        true => datafusion::logical_expr::cast(ident(field.name()), DataType::UInt32).alias(field.name()),
        false => ident(field.name()),
    });
    let columns: Vec<_> = columns.collect();
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

struct PgCatalog {
    facts: Arc<dyn CatalogFacts>,
    rest: Arc<dyn SchemaProvider>,
}

impl fmt::Debug for PgCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgCatalog").field("facts", &self.facts).finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for PgCatalog {
    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = PG_CATALOG_TABLES.iter().chain(&OWN).map(|name| (*name).to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let facts = self.facts.as_ref();
        let table = match name {
            "pg_attribute" => relations::pg_attribute(facts)?,
            "pg_authid" | "pg_roles" | "pg_shadow" => database::pg_roles(facts)?,
            "pg_class" => relations::pg_class(facts)?,
            "pg_constraint" => indexes::pg_constraint(facts)?,
            "pg_database" => database::pg_database(facts)?,
            "pg_description" => relations::pg_description(facts)?,
            "pg_index" => indexes::pg_index(facts)?,
            "pg_namespace" => relations::pg_namespace()?,
            "pg_proc" => procedures::pg_proc(facts, &postgres()?.pg_proc)?,
            "pg_settings" => database::pg_settings(facts)?,
            "pg_stat_progress_create_index" => indexes::pg_stat_progress_create_index(facts)?,
            "pg_stat_activity" => database::pg_stat_activity(facts)?,
            "pg_stat_user_tables" | "pg_stat_all_tables" => relations::pg_stat_user_tables(facts)?,
            "pg_tables" => relations::pg_tables(facts)?,
            "pg_user" => database::pg_user(facts)?,
            "pg_views" => relations::pg_views(facts)?,
            other => match self.rest.table(other).await? {
                Some(table) => table,
                None => return Ok(None),
            },
        };
        with_oids(name, table).map(Some)
    }

    fn table_exist(&self, name: &str) -> bool {
        is_own(name) || self.rest.table_exist(name)
    }
}
