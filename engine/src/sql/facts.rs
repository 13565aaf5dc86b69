//! What the system catalogues and session functions are told about the database and the session.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use super::catalog::CATALOG;
use super::lateral::FunctionDefinition;
use super::vars::SessionVars;
use crate::Result;
use crate::engine::Shared;
use crate::pg_catalog::{Activity, CatalogFacts, Relation, Setting};
use crate::schema::VIEWS;
use crate::storage::database::TableFacts;

/// The facts of one session.
#[derive(Debug)]
pub(crate) struct SessionFacts {
    shared: Arc<Shared>,
    vars: Arc<SessionVars>,
}

impl SessionFacts {
    pub(crate) fn new(shared: &Arc<Shared>, vars: &Arc<SessionVars>) -> Arc<dyn CatalogFacts> {
        Arc::new(Self { shared: Arc::clone(shared), vars: Arc::clone(vars) })
    }
}

impl CatalogFacts for SessionFacts {
    fn database(&self) -> String {
        CATALOG.to_owned()
    }

    fn user(&self) -> String {
        self.vars.user().to_owned()
    }

    fn process_id(&self) -> i32 {
        self.vars.process_id()
    }

    fn relations(&self) -> Vec<Relation> {
        let tables = self.shared.database.facts().into_iter().chain(self.shared.community.facts()).map(table);
        let built_in = VIEWS.iter().map(|definition| {
            view(&self.shared, definition.name, definition.sql, Some(definition.comment.to_owned()))
        });
        let made = self.shared.community.views().unwrap_or_else(|error| {
            tracing::warn!(%error, "views could not be read");
            Vec::new()
        });
        let made = made.into_iter().map(|stored| view(&self.shared, &stored.name, &stored.sql, stored.comment));
        tables.chain(built_in).chain(made).collect()
    }

    fn roles(&self) -> Vec<String> {
        self.shared.community.roles().unwrap_or_else(|error| {
            tracing::warn!(%error, "roles could not be read");
            Vec::new()
        })
    }

    fn settings(&self) -> Vec<Setting> {
        let settings = self.vars.all_settings().into_iter();
        settings.map(|row| Setting { name: row.name, value: row.value, description: row.description }).collect()
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.vars.setting(name)
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        self.vars.set(name, value)
    }

    fn activity(&self) -> Vec<Activity> {
        self.shared.sessions.activity()
    }

    fn functions(&self) -> Vec<Arc<FunctionDefinition>> {
        self.shared.functions.all()
    }
}

fn table(facts: TableFacts) -> Relation {
    Relation {
        name: facts.name,
        id: facts.id,
        schema: facts.schema,
        comment: facts.comment,
        primary_key: facts.primary_key,
        rows: Some(facts.rows),
        bytes: facts.bytes,
        definition: None,
    }
}

fn view(shared: &Shared, name: &str, sql: &str, comment: Option<String>) -> Relation {
    let schema: SchemaRef = shared.view_schemas.get(name).unwrap_or_else(|| Arc::new(Schema::empty()));
    Relation {
        name: name.to_owned(),
        id: format!("view/{name}"),
        schema,
        comment,
        primary_key: Vec::new(),
        rows: None,
        bytes: 0,
        definition: Some(sql.to_owned()),
    }
}
