//! The engine: one open database and everything its sessions share.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use futures::future::BoxFuture;

use crate::community::Community;
use crate::erased::Erased;
use crate::models::{self, ModelService, Models};
use crate::runtime::QueryRuntime;
use crate::schema::{self, COMMUNITY_TABLES};
use crate::search::{self, Indexes};
use crate::sql::lateral::Functions;
use crate::sql::{self, Procedure, Procedures, Sessions, ViewSchemas, base, text_literal};
use crate::storage::database::Database;
use crate::storage::transaction::Transaction;
use crate::storage::{CheckReport, Location};
use crate::{Error, ErrorKind, Result, Session};

/// How to open a database.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Open without taking the writer's lock; every write fails with [`ErrorKind::ReadOnly`].
    pub read_only: bool,
    /// If another process holds the writer's lock, open read-only instead of failing.
    pub read_only_if_locked: bool,
    /// Create the database if the location holds none.
    pub create: bool,
    /// Memory that queries may take before they spill to disk, in bytes; `None` for 70 % of the machine's.
    pub memory_bytes: Option<usize>,
    /// Where queries spill to; `None` for a folder inside a local database, or the system's for a remote one.
    pub spill_directory: Option<PathBuf>,
    /// Where the community tables (SQLite) of a database in an object store are kept.
    pub state_directory: Option<PathBuf>,
    /// Threads that run queries; `None` for one per core.
    pub threads: Option<usize>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            read_only_if_locked: false,
            create: true,
            memory_bytes: None,
            spill_directory: None,
            state_directory: None,
            threads: None,
        }
    }
}

/// Share of the machine's memory that queries may take, in percent.
const MEMORY_SHARE: usize = 70;

impl EngineOptions {
    /// Memory that queries may take, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes.unwrap_or_else(|| machine_memory() / 100 * MEMORY_SHARE)
    }
}

/// Memory this process may use, in bytes: the machine's, or its control group's if that is less.
fn machine_memory() -> usize {
    const FALLBACK: usize = 4 << 30;
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes << 10)
    });
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let machine = machine.unwrap_or(FALLBACK);
    group.map_or(machine, |group: usize| group.min(machine))
}

/// Who opens a session.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// Name of the user; `current_user` answers it.
    pub user: String,
    /// Name the client gives itself.
    pub application_name: String,
    /// Number that `pg_backend_pid()` answers.
    pub process_id: i32,
}

/// An open database. Cheap to clone; the last clone to go closes it.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Erased<Shared>,
}

/// A bulk load's turn: see [`Engine::bulk_turn`].
#[derive(Debug)]
pub struct BulkTurn {
    _guard: tokio::sync::OwnedMutexGuard<()>,
}

/// Folder of indexes.
const INDEXES: &str = "_index";
/// Folder for unfinished results of long work.
const SCRATCH: &str = "_staging";

/// What the sessions of an open database share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Tables.
    pub database: Arc<Database>,
    /// Community tables, roles and the views that users made.
    pub community: Arc<Community>,
    /// Functions with named parameters.
    pub functions: Arc<Functions>,
    /// The sessions that are open.
    pub sessions: Sessions,
    /// Columns of views.
    pub view_schemas: ViewSchemas,
    /// Functions, planner rules and settings that sessions start from; no catalogue.
    pub base: SessionState,
    /// Where queries run.
    pub runtime: QueryRuntime,
    /// Who answers model functions.
    pub models: Arc<Models>,
    /// Indexes of words and vectors.
    pub indexes: Arc<Indexes>,
    /// What `CALL` can run.
    pub procedures: Procedures,
    /// Held by the bulk load that is under way.
    pub bulk: Arc<tokio::sync::Mutex<()>>,
    /// Whether writes are refused.
    pub read_only: bool,
}

impl Shared {
    async fn open(location: &str, options: EngineOptions, runtime: QueryRuntime) -> Result<Arc<Self>> {
        let database = Database::open(location, &options).await?;
        let read_only = database.is_read_only();
        let community = open_community(database.location(), &options, read_only).await?;
        let functions = Arc::new(Functions::default());
        sql::functions::register(&functions);
        let models = Arc::new(Models::default());
        let indexes = Arc::new(Indexes::open(state_directory(database.location(), &options)?.join(INDEXES), read_only));
        let base = base::state(&options, database.location(), &functions, &models, &indexes)?;
        let shared = Arc::new(Self {
            database,
            community,
            functions,
            sessions: Sessions::default(),
            view_schemas: ViewSchemas::default(),
            base,
            runtime,
            models,
            indexes,
            procedures: Procedures::built_in(),
            bulk: Arc::default(),
            read_only,
        });
        sql::plan_views(&shared).await?;
        if !read_only {
            shared.runtime.forget(search::upkeep::keep_up(Arc::downgrade(&shared)));
        }
        Ok(shared)
    }

    /// Merges a table's small files.
    pub(crate) async fn optimize(&self, table: &str) -> Result<(usize, usize)> {
        self.database.optimize(table, &self.base).await
    }

    /// Names of a table's columns.
    pub(crate) fn columns(&self, transaction: &Arc<Transaction>, table: &str) -> Result<Vec<String>> {
        let provider = self.writable(transaction, table)?;
        Ok(provider.schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    /// A table that rows can be put into.
    pub(crate) fn writable(&self, transaction: &Arc<Transaction>, table: &str) -> Result<Arc<dyn TableProvider>> {
        transaction
            .table(table)
            .or_else(|| self.community.table(table))
            .ok_or_else(|| Error::new(ErrorKind::UndefinedTable, format!("relation \"{table}\" does not exist")))
    }

    /// Columns that identify a row of `table`; none if it has no key.
    pub(crate) fn primary_key(&self, table: &str) -> Vec<String> {
        let community = COMMUNITY_TABLES.iter().find(|definition| definition.name == table);
        match schema::delta_table(table).or(community) {
            Some(definition) => definition.primary_key.iter().map(|column| (*column).to_owned()).collect(),
            None => {
                let facts = self.database.facts().into_iter().find(|facts| facts.name == table);
                facts.map(|facts| facts.primary_key).unwrap_or_default()
            }
        }
    }
}

impl Engine {
    /// Opens the database at `location`: a directory, or an `s3://bucket/prefix` URL.
    pub fn open(location: &str, options: EngineOptions) -> BoxFuture<'static, Result<Self>> {
        let location = location.to_owned();
        Box::pin(async move {
            let runtime = QueryRuntime::new(options.threads.unwrap_or_else(base::cores))?;
            let pool = runtime.clone();
            let shared = runtime.run(async move { Shared::open(&location, options, pool).await }).await?;
            Ok(Self { shared: shared.into() })
        })
    }

    pub(crate) fn from_shared(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared).into() }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Adds a procedure for `CALL`; one of the same name is replaced.
    pub fn register_procedure(&self, procedure: Arc<dyn Procedure>) {
        self.shared.procedures.register(procedure);
    }

    /// Lets `service` answer its functions, in sessions that are open too; a function of the same name is replaced.
    pub fn attach_models(&self, service: Arc<dyn ModelService>) -> Result<()> {
        let functions = service.functions().into_iter().map(models::definition).collect::<Result<Vec<_>>>()?;
        self.shared.models.attach(&service);
        functions.into_iter().for_each(|function| self.shared.functions.register(function));
        Ok(())
    }

    /// Starts a bulk load.
    pub async fn load(&self) -> Result<crate::Load> {
        crate::Load::new(Arc::clone(&self.shared.database), self.shared.base.clone(), self.shared.runtime.clone())
    }

    /// Waits until no other bulk load of this process is under way, and keeps others waiting until the answer is dropped. Two
    /// loads of one model at once would both store the contexts that they share.
    pub async fn bulk_turn(&self) -> BulkTurn {
        BulkTurn { _guard: Arc::clone(&self.shared.bulk).lock_owned().await }
    }

    /// Ids of the contexts that a model has, so that each is stored once.
    pub async fn context_ids(&self, model_id: &str) -> Result<HashSet<i64>> {
        let query = format!("SELECT context_id FROM contexts WHERE model_id = {}", text_literal(model_id));
        let mut rows = self.session("latentdb").query(&query).await?;
        let mut known = HashSet::new();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let ids: Option<&Int64Array> = batch.columns().first().and_then(|ids| ids.as_primitive_opt::<Int64Type>());
            let ids = ids.ok_or_else(|| Error::new(ErrorKind::Internal, "context_id is not a bigint"))?;
            known.extend(ids.iter().flatten());
        }
        Ok(known)
    }

    /// A directory of this machine for the unfinished results of long work: within a local database, else among the user's
    /// files. It may not be there yet.
    ///
    /// # Errors
    /// If the database is remote and there is no place for its state.
    pub fn scratch_directory(&self) -> Result<PathBuf> {
        let location = self.shared.database.location();
        match location.local_directory() {
            Some(directory) => Ok(directory.join(SCRATCH)),
            None => Ok(default_state_directory(location)?.join(SCRATCH)),
        }
    }

    /// Verifies every table and file; `progress` is told the table, and files done and in all.
    pub fn check<'a>(
        &'a self,
        progress: &'a (dyn Fn(&str, usize, usize) + Send + Sync),
    ) -> BoxFuture<'a, Result<CheckReport>> {
        Box::pin(self.shared.database.check(progress))
    }

    /// A new session for `user`.
    pub fn session(&self, user: &str) -> Session {
        self.session_with(SessionOptions { user: user.to_owned(), ..SessionOptions::default() })
    }

    /// A new session.
    pub fn session_with(&self, options: SessionOptions) -> Session {
        Session::new(&self.shared, options)
    }

    /// Whether writes are refused.
    pub fn is_read_only(&self) -> bool {
        self.shared.read_only
    }

    /// The stored SCRAM-SHA-256 verifier of a user
    /// (`SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, as Postgres stores it);
    /// `None` if there is no such user or it has no password. Users are made by
    /// `CREATE USER name PASSWORD '…'`.
    pub fn password_verifier<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(self.shared.community.password_verifier(user))
    }

    /// Waits for writes under way, gives the writer's lock back, and lets go of who answers model calls. Sessions fail
    /// afterwards.
    pub async fn close(&self) -> Result<()> {
        self.shared.models.detach_all();
        self.shared.database.close().await;
        Ok(())
    }
}

/// File of the community tables, within the database or the state directory.
const COMMUNITY_FILE: &str = "community.sqlite";

/// Opens the community tables: beside the Delta tables of a local database; for one in an object store,
/// in the state directory.
async fn open_community(location: &Location, options: &EngineOptions, read_only: bool) -> Result<Arc<Community>> {
    let directory = state_directory(location, options)?;
    std::fs::create_dir_all(&directory).map_err(|error| {
        Error::new(ErrorKind::Io, format!("cannot make the state directory {}: {error}", directory.display()))
            .with_hint("name another one")
    })?;
    let file = directory.join(COMMUNITY_FILE);
    if read_only && file.is_file() { Community::open_read_only(&file).await } else { Community::open(&file).await }
}

/// Where what is no table is kept: within a local database; for one in an object store, in a directory of this machine.
fn state_directory(location: &Location, options: &EngineOptions) -> Result<PathBuf> {
    match (location.local_directory(), &options.state_directory) {
        (Some(directory), _) => Ok(directory.to_owned()),
        (None, Some(directory)) => Ok(directory.clone()),
        (None, None) => default_state_directory(location),
    }
}

/// `$XDG_STATE_HOME/latentdb/…`, one folder for each database.
fn default_state_directory(location: &Location) -> Result<PathBuf> {
    let home = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .ok_or_else(|| {
            Error::new(ErrorKind::InvalidValue, "nowhere to keep the community tables of a remote database")
                .with_hint("name a state directory")
        })?;
    let name: String = location
        .url()
        .as_str()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    Ok(home.join("latentdb").join(name))
}
