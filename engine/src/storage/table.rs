//! One Delta table: its log, its newest snapshot, and the order in which writers commit.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Transaction as AppTransaction};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;

use super::failure::delta_error;
use super::files::{LiveFile, live_files};
use super::group_commit::AppendQueue;
use crate::schema;
use crate::{Error, ErrorKind, Result};

/// Table property that keeps the primary key.
pub(crate) const PRIMARY_KEY: &str = "latentdb.primaryKey";
/// Table property that keeps the sort key.
pub(crate) const SORT_KEY: &str = "latentdb.sortKey";
/// Application id of the transaction marks that recovery goes by.
pub(crate) const APP_ID: &str = "latentdb";
/// Rows of a page of tables that users make. Who looks for one row decompresses a page for it.
const OWN_PAGE_ROWS: usize = 1024;

/// A table's state at one version. Immutable; statements hold on to the one they began with.
#[derive(Debug)]
pub(crate) struct TableSnapshot {
    pub state: DeltaTableState,
    pub schema: SchemaRef,
    pub files: Vec<Arc<LiveFile>>,
    pub primary_key: Vec<String>,
    pub sort_key: Vec<String>,
    /// Whether `files` show a change that is certain to happen, but that `state` lacks.
    pub runs_ahead: bool,
}

impl TableSnapshot {
    /// Reads `state`; `known` are files that an older snapshot has read already.
    pub(crate) fn new(state: DeltaTableState, known: &[Arc<LiveFile>]) -> Result<Self> {
        let schema = without_comments(&state.snapshot().arrow_schema());
        let files = live_files(&state, &schema, known)?;
        let columns = |property: &str| -> Vec<String> {
            let list = state.metadata().configuration().get(property).map_or("", String::as_str);
            list.split(',').filter(|column| !column.is_empty()).map(str::to_owned).collect()
        };
        let (primary_key, sort_key) = (columns(PRIMARY_KEY), columns(SORT_KEY));
        Ok(Self { state, schema, files, primary_key, sort_key, runs_ahead: false })
    }

    /// [`Self::new`], with `actions` applied that `state` lacks.
    pub(crate) fn ahead(state: DeltaTableState, known: &[Arc<LiveFile>], actions: &[Action]) -> Result<Self> {
        let mut snapshot = Self::new(state, known)?;
        for action in actions {
            match action {
                Action::Add(add) => {
                    let known = known.iter().find(|file| file.path() == add.path).map(Arc::clone);
                    let file = match known {
                        Some(file) => file,
                        None => Arc::new(LiveFile::new(add.clone(), &snapshot.schema)?),
                    };
                    snapshot.files.push(file);
                }
                Action::Remove(remove) => snapshot.files.retain(|file| file.path() != remove.path),
                _ => {}
            }
        }
        snapshot.runs_ahead = true;
        Ok(snapshot)
    }

    /// Delta version.
    pub(crate) fn version(&self) -> u64 {
        self.state.version()
    }

    /// Columns with their comments, for catalogues.
    pub(crate) fn commented_schema(&self) -> SchemaRef {
        self.state.snapshot().arrow_schema()
    }

    /// Rows in all files; files of foreign writers that do not say count as none.
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().filter_map(|file| file.rows).sum()
    }

    /// Bytes in all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size()).sum()
    }
}

/// Comments are field metadata, and the planner takes fields that differ in metadata for different types.
fn without_comments(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_metadata(HashMap::new()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A table of an open database.
#[derive(Debug)]
pub(crate) struct Table {
    pub name: String,
    pub log_store: LogStoreRef,
    current: RwLock<Arc<TableSnapshot>>,
    /// Held while a commit is prepared and written: commits of one table are in line, not in a race.
    pub commit_lock: tokio::sync::Mutex<()>,
    pub appends: AppendQueue,
}

impl Table {
    /// Opens the table whose log is in `log_store`.
    async fn open(name: &str, log_store: LogStoreRef) -> Result<Self> {
        let state = DeltaTableState::try_new(log_store.as_ref(), None)
            .await
            .map_err(|error| delta_error(error).with_detail(format!("while opening table \"{name}\"")))?;
        Self::with_state(name, log_store, state)
    }

    /// [`Self::open`]; `None` for a folder without a log, which is a table that was being created or
    /// dropped when a crash came.
    pub(crate) async fn open_if_there(name: &str, log_store: LogStoreRef) -> Result<Option<Self>> {
        match log_store.is_delta_table_location().await.map_err(delta_error)? {
            true => Self::open(name, log_store).await.map(Some),
            false => Ok(None),
        }
    }

    /// The table in `state`.
    pub(crate) fn with_state(name: &str, log_store: LogStoreRef, state: DeltaTableState) -> Result<Self> {
        let snapshot = TableSnapshot::new(state, &[])?;
        Ok(Self {
            name: name.to_owned(),
            log_store,
            current: RwLock::new(Arc::new(snapshot)),
            commit_lock: tokio::sync::Mutex::new(()),
            appends: AppendQueue::default(),
        })
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Arc<TableSnapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes `snapshot` the newest.
    pub(crate) fn publish(&self, snapshot: TableSnapshot) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if snapshot.version() >= current.version() {
            *current = Arc::new(snapshot);
        }
    }

    /// The state of an older version.
    pub(crate) async fn snapshot_at(&self, version: u64) -> Result<TableSnapshot> {
        let state = DeltaTableState::try_new(self.log_store.as_ref(), Some(version)).await.map_err(|_| {
            Error::new(
                ErrorKind::UndefinedObject,
                format!("version {version} of table \"{}\" does not exist", self.name),
            )
            .with_hint(format!("the newest version is {}", self.snapshot().version()))
        })?;
        TableSnapshot::new(state, &self.snapshot().files)
    }

    /// Commits `actions` on top of the newest version and answers the new snapshot, unpublished.
    /// The caller holds [`Self::commit_lock`]. `mark` is a transaction mark for recovery.
    pub(crate) async fn commit(
        &self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        mark: Option<i64>,
    ) -> Result<TableSnapshot> {
        let base = self.snapshot();
        let mut properties = CommitProperties::default().with_cleanup_expired_logs(Some(false));
        if let Some(version) = mark {
            properties = properties.with_application_transaction(AppTransaction::new(APP_ID, version));
        }
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(base.state.snapshot()), Arc::clone(&self.log_store), operation)
            .into_prepared_commit_future()
            .await
            .map_err(delta_error)?
            .await
            .map_err(delta_error)?;
        let version = committed.version;
        // From here on the commit is durable: a failing checkpoint must not look like a failing write.
        let state = match committed.await {
            Ok(finalized) => finalized.snapshot(),
            Err(error) => {
                tracing::warn!(table = %self.name, version, %error, "commit is durable, but its checkpoint failed");
                DeltaTableState::try_new(self.log_store.as_ref(), Some(version)).await.map_err(delta_error)?
            }
        };
        TableSnapshot::new(state, &base.files)
    }

    /// Whether lists and floats of this table are written with dictionaries.
    pub(crate) fn dictionaries(&self) -> bool {
        schema::delta_table(&self.name).is_none_or(|definition| definition.dictionaries)
    }

    /// Whether a column holds vectors: they share nothing with each other, and a few are read at a time. What lists of reals
    /// are in tables that users make is not known, but this is what they are made for.
    pub(crate) fn holds_vectors(&self, column: &Field) -> bool {
        let is_of_reals =
            matches!(column.data_type(), DataType::List(element) if *element.data_type() == DataType::Float32);
        is_of_reals && (schema::delta_table(&self.name).is_none() || column.name() == "embedding")
    }

    /// Rows of a page in files of this table.
    pub(crate) fn page_rows(&self) -> usize {
        schema::delta_table(&self.name).map_or(OWN_PAGE_ROWS, |definition| definition.page_rows)
    }
}

/// Tables by name.
pub(crate) type TableMap = HashMap<String, Arc<Table>>;
