//! What the system catalogues and session functions are told about the database and the session.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use super::catalog::CATALOG;
use super::conversation::Conversation;
use super::lateral::FunctionDefinition;
use super::vars::SessionVars;
use crate::engine::Shared;
use crate::pg_catalog::{Activity, CatalogFacts, ColumnIndex, OWNER_NAME, Relation, Setting};
use crate::schema::VIEWS;
use crate::search::{Index, upkeep};
use crate::storage::database::TableFacts;
use crate::{Error, ErrorKind, Result};

/// The facts of one session.
#[derive(Debug)]
pub(crate) struct SessionFacts {
    shared: Arc<Shared>,
    vars: Arc<SessionVars>,
}

impl SessionFacts {
    pub(crate) fn new(shared: &Arc<Shared>, vars: &Arc<SessionVars>) -> Self {
        Self { shared: Arc::clone(shared), vars: Arc::clone(vars) }
    }
}

impl SessionFacts {
    /// The session whose number is `process_id`, if its user is this one's; the owner may stop anyone's.
    fn own_session(&self, process_id: i32) -> Result<Option<Arc<Conversation>>> {
        let Some(session) = self.shared.sessions.find(process_id) else { return Ok(None) };
        if self.user() == session.vars().user() || self.user() == OWNER_NAME {
            return Ok(Some(session));
        }
        Err(Error::new(ErrorKind::Permission, format!("session {process_id} belongs to another user")))
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
        let indexes = self.shared.indexes.all();
        let own = |name: &str| -> Vec<ColumnIndex> {
            let own = indexes.iter().filter(|index| index.definition.table == name);
            own.map(|index| shown(&self.shared, index)).collect()
        };
        let tables = self.shared.database.facts().into_iter().chain(self.shared.community.facts());
        let tables = tables.map(|facts| Relation { indexes: own(&facts.name), ..table(facts) });
        let built_in = VIEWS
            .iter()
            .map(|definition| view(&self.shared, definition.name, definition.sql, Some(definition.comment.to_owned())));
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

    fn cancel(&self, process_id: i32) -> Result<bool> {
        Ok(self.own_session(process_id)?.inspect(|session| session.cancel()).is_some())
    }

    fn terminate(&self, process_id: i32) -> Result<bool> {
        Ok(self.own_session(process_id)?.inspect(|session| session.terminate()).is_some())
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
        indexes: Vec::new(),
    }
}

fn shown(shared: &Arc<Shared>, index: &Index) -> ColumnIndex {
    let is_ready = upkeep::is_ready(shared, index);
    let definition = &index.definition;
    ColumnIndex {
        name: definition.name.clone(),
        column: definition.column.clone(),
        definition: definition.to_string(),
        is_ready,
        build: index.build(),
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
        indexes: Vec::new(),
    }
}
