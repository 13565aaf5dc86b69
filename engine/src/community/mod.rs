//! Community tables: users, lists, bookmarks, comments and votes, kept in SQLite beside the Delta tables.
//!
//! They hold few rows that change often, one at a time, which is what SQLite is for. SQL sees them as
//! any other table. The file also holds what the database itself must remember and nobody queries:
//! password verifiers and the text of user views.
//!
//! One connection writes, behind a lock; readers take connections from a pool and, in WAL mode, never
//! wait for the writer. A write is one SQLite transaction and is synced to disk before it is
//! acknowledged. All of it blocks, so it runs on threads that may block.

mod change;
mod filter;
mod merge;
mod provider;
mod state;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::datasource::TableProvider;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::schema::{COMMUNITY_TABLES, TableDefinition};
use crate::storage::database::TableFacts;
use crate::{Error, ErrorKind, Result};
use provider::CommunityTable;
pub(crate) use state::StoredView;

/// Version of the layout, in SQLite's `user_version`.
const LAYOUT_VERSION: i64 = 1;
/// Connections that idle readers leave behind.
const IDLE_READERS: usize = 8;

/// The SQLite file of a database.
pub(crate) struct Community {
    path: PathBuf,
    /// `None` if the database was opened read-only.
    writer: Option<Mutex<Connection>>,
    readers: Mutex<Vec<Connection>>,
}

impl fmt::Debug for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Community").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Community {
    /// Opens the file at `path`, makes it if it is not there, and brings its layout up to date.
    pub(crate) async fn open(path: &Path) -> Result<Arc<Self>> {
        let path = path.to_owned();
        blocking(move || {
            let mut connection = Connection::open(&path).map_err(|error| failed(&path, error))?;
            prepare_writer(&mut connection).map_err(|error| keep_or_wrap(&path, error))?;
            Ok(Arc::new(Self { path, writer: Some(Mutex::new(connection)), readers: Mutex::default() }))
        })
        .await
    }

    /// Opens the file at `path` for reading; every write fails with [`ErrorKind::ReadOnly`].
    pub(crate) async fn open_read_only(path: &Path) -> Result<Arc<Self>> {
        let path = path.to_owned();
        blocking(move || {
            let community = Self { path, writer: None, readers: Mutex::default() };
            let reader = community.take_reader()?;
            community.give_back(reader);
            Ok(Arc::new(community))
        })
        .await
    }

    /// The table called `name`.
    pub(crate) fn table(self: &Arc<Self>, name: &str) -> Option<Arc<dyn TableProvider>> {
        let definition = COMMUNITY_TABLES.iter().find(|table| table.name == name)?;
        Some(Arc::new(CommunityTable::new(Arc::clone(self), definition)))
    }

    /// Names of the tables.
    pub(crate) fn table_names(&self) -> Vec<String> {
        COMMUNITY_TABLES.iter().map(|table| table.name.to_owned()).collect()
    }

    /// Facts of every table, for the catalogue.
    pub(crate) fn facts(&self) -> Vec<TableFacts> {
        let sizes = |definition: &TableDefinition| {
            self.read(|connection| {
                let rows = connection
                    .query_row(&format!("SELECT count(*) FROM \"{}\"", definition.name), [], |row| row.get::<_, i64>(0))
                    .map_err(|error| self.failed(error))?;
                let bytes = connection
                    .query_row(
                        "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = ?1",
                        [definition.name],
                        |row| row.get::<_, i64>(0),
                    )
                    .map_err(|error| self.failed(error))?;
                Ok((rows.unsigned_abs(), bytes.unsigned_abs()))
            })
        };
        COMMUNITY_TABLES
            .iter()
            .map(|definition| {
                let (rows, bytes) = sizes(definition).unwrap_or_else(|error| {
                    tracing::warn!(table = definition.name, %error, "size of a community table is unknown");
                    (0, 0)
                });
                TableFacts {
                    name: definition.name.to_owned(),
                    schema: definition.schema(),
                    comment: Some(definition.comment.to_owned()),
                    primary_key: definition.primary_key.iter().map(|&name| name.to_owned()).collect(),
                    rows,
                    bytes,
                    id: format!("community/{}", definition.name),
                }
            })
            .collect()
    }

    /// Runs `job` on a reader.
    fn read<T>(&self, job: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.take_reader()?;
        let result = job(&connection);
        self.give_back(connection);
        result
    }

    /// Runs `job` as one transaction; its failure leaves nothing behind.
    fn write<T>(&self, job: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T>) -> Result<T> {
        let Some(writer) = &self.writer else {
            return Err(Error::new(ErrorKind::ReadOnly, "the database is open read-only"));
        };
        let mut connection = lock(writer);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| self.failed(error))?;
        let result = job(&transaction)?;
        transaction.commit().map_err(|error| self.failed(error))?;
        Ok(result)
    }

    fn take_reader(&self) -> Result<Connection> {
        if let Some(connection) = lock(&self.readers).pop() {
            return Ok(connection);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|error| self.failed(error))?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(|error| self.failed(error))?;
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        let mut readers = lock(&self.readers);
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        failed(&self.path, error)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // SQLite rolls a transaction back when it is dropped, so a panic leaves the connection usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `job` on a thread that may block.
async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(job).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Internal, format!("a community table's thread died: {error}")))
    })
}

fn failed(path: &Path, error: rusqlite::Error) -> Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            let message = error.to_string();
            return Error::new(ErrorKind::Constraint, describe_constraint(&message));
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Corrupt,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Conflict,
        Some(ErrorCode::ReadOnly) => ErrorKind::ReadOnly,
        Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory) => ErrorKind::Resources,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("{}: {error}", path.display()))
}

/// SQLite says `UNIQUE constraint failed: votes.user_id, votes.explanation_id`.
fn describe_constraint(message: &str) -> String {
    match message.split_once(" constraint failed: ") {
        Some(("UNIQUE", columns)) => format!("a row with this key exists already ({columns})"),
        Some(("NOT NULL", column)) => format!("{column} must not be null"),
        _ => message.to_owned(),
    }
}

fn keep_or_wrap(path: &Path, error: LayoutError) -> Error {
    match error {
        LayoutError::TooNew(version) => Error::new(
            ErrorKind::Unsupported,
            format!("{} was written by a newer LatentDB (layout {version})", path.display()),
        )
        .with_hint("open the database with that version"),
        LayoutError::Sqlite(error) => failed(path, error),
    }
}

enum LayoutError {
    TooNew(i64),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for LayoutError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn prepare_writer(connection: &mut Connection) -> Result<(), LayoutError> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > LAYOUT_VERSION {
        return Err(LayoutError::TooNew(version));
    }
    if version < LAYOUT_VERSION {
        let transaction = connection.transaction()?;
        for definition in COMMUNITY_TABLES {
            transaction.execute_batch(&create_statement(definition))?;
        }
        transaction.execute_batch(state::TABLES)?;
        transaction.pragma_update(None, "user_version", LAYOUT_VERSION)?;
        transaction.commit()?;
    }
    Ok(())
}

fn create_statement(definition: &TableDefinition) -> String {
    let columns: Vec<String> = definition
        .columns
        .iter()
        .map(|column| {
            let not_null = if column.nullable { "" } else { " NOT NULL" };
            format!("\"{}\" {}{not_null}", column.name, column.column_type.to_sqlite())
        })
        .collect();
    let key: Vec<String> = definition.primary_key.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS \"{}\" ({}, PRIMARY KEY ({}))",
        definition.name,
        columns.join(", "),
        key.join(", ")
    )
}
