//! What names mean to one statement: the catalogue `latentdb` with its schemas, as one transaction sees them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::error::Result as PlanResult;

use super::planner::Planner;
use crate::engine::Shared;
use crate::schema::VIEWS;
use crate::storage::transaction::Transaction;

/// Name of the catalogue, which is the database's.
pub(crate) const CATALOG: &str = "latentdb";
/// Name of the schema that holds the tables.
pub(crate) const PUBLIC: &str = "public";

/// Name of the schema of the system catalogues.
const SYSTEM: &str = "pg_catalog";

/// The one catalogue, by whatever name the client connected to it.
#[derive(Debug)]
pub(crate) struct StatementCatalogs {
    catalog: Arc<StatementCatalog>,
}

impl StatementCatalogs {
    /// The catalogue as `transaction` sees it. `pinned` are older states of tables, by the names that
    /// the statement was given for them.
    pub(crate) fn new(
        planner: &Arc<Planner>,
        transaction: &Arc<Transaction>,
        pinned: HashMap<String, Arc<dyn TableProvider>>,
    ) -> Arc<Self> {
        let public = Arc::new(PublicSchema {
            planner: Arc::downgrade(planner),
            shared: Arc::clone(planner.shared()),
            transaction: Arc::clone(transaction),
            pinned,
        });
        let system = Arc::clone(planner.system());
        Arc::new(Self { catalog: Arc::new(StatementCatalog { public, system }) })
    }
}

impl CatalogProviderList for StatementCatalogs {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::clone(&self.catalog) as Arc<dyn CatalogProvider>)
    }
}

#[derive(Debug)]
struct StatementCatalog {
    public: Arc<PublicSchema>,
    system: Arc<dyn SchemaProvider>,
}

impl CatalogProvider for StatementCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![SYSTEM.to_owned(), PUBLIC.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            PUBLIC => Some(Arc::clone(&self.public) as Arc<dyn SchemaProvider>),
            SYSTEM => Some(Arc::clone(&self.system)),
            _ => None,
        }
    }
}

/// Schema `public`: Delta tables, community tables and views.
#[derive(Debug)]
struct PublicSchema {
    planner: Weak<Planner>,
    shared: Arc<Shared>,
    transaction: Arc<Transaction>,
    pinned: HashMap<String, Arc<dyn TableProvider>>,
}

impl PublicSchema {
    /// The query of a view, built in or made by a user.
    fn view_sql(&self, name: &str) -> PlanResult<Option<String>> {
        if let Some(view) = VIEWS.iter().find(|view| view.name == name) {
            return Ok(Some(view.sql.to_owned()));
        }
        Ok(self.shared.community.views()?.into_iter().find(|view| view.name == name).map(|view| view.sql))
    }

    async fn view(&self, sql: String) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let Some(planner) = self.planner.upgrade() else { return Ok(None) };
        let plan = Box::pin(planner.plan_view(&self.transaction, &sql)).await?;
        Ok(Some(Arc::new(ViewTable::new(plan, Some(sql)))))
    }
}

#[async_trait]
impl SchemaProvider for PublicSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names: BTreeSet<String> = self.transaction.table_names().into_iter().collect();
        names.extend(self.shared.community.table_names());
        names.extend(self.shared.community.views().into_iter().flatten().map(|view| view.name));
        names.extend(VIEWS.iter().map(|view| view.name.to_owned()));
        names.into_iter().collect()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = self.pinned.get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        if let Some(table) = self.transaction.table(name) {
            return Ok(Some(table));
        }
        if let Some(table) = self.shared.community.table(name) {
            return Ok(Some(table));
        }
        match self.view_sql(name)? {
            Some(sql) => self.view(sql).await,
            None => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.pinned.contains_key(name) || self.table_names().iter().any(|table| table == name)
    }
}
