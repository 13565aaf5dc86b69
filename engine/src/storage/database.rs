//! The database: every Delta table's newest snapshot, and the operations on whole tables.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use arrow::datatypes::{Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use deltalake_core::DeltaTable;
use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::operations::create::CreateBuilder;
use futures::future::try_join_all;
use object_store::ObjectStore;

use super::blocks::BlockCache;
use super::failure::{delta_error, store_error};
use super::location::Location;
use super::lock::WriterLock;
use super::table::{PRIMARY_KEY, SORT_KEY, Table, TableMap, TableSnapshot};
use super::transaction::{Transaction, undefined};
use super::{follow, journal};
use crate::schema::{self, DELTA_TABLES};
use crate::{EngineOptions, Error, ErrorKind, Result};

/// Share of the queries' memory for blocks that look-ups have read, in percent.
const BLOCKS_SHARE: usize = 5;

/// Folder of the tables within the database.
const TABLES: &str = "tables";

/// Folder of a table, relative to the database.
///
/// Names are quoted identifiers and may hold anything; on disk, bytes other than letters, digits, `_`
/// and `-` are written as `=` and two hexadecimal digits.
pub(crate) fn folder_of(table: &str) -> String {
    use std::fmt::Write;
    let mut folder = format!("{TABLES}/");
    for byte in table.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => folder.push(char::from(byte)),
            // Writing to a String cannot fail.
            byte => drop(write!(folder, "={byte:02x}")),
        }
    }
    folder
}

/// The table whose folder is called `folder`; `None` for a folder that is none of ours.
fn table_of(folder: &str) -> Option<String> {
    let mut name = Vec::with_capacity(folder.len());
    let mut rest = folder.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'=' {
            name.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        name.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(name).ok()
}

/// A table's facts for catalogues (`pg_class`, `\d+`).
#[derive(Debug, Clone)]
pub(crate) struct TableFacts {
    /// Name.
    pub name: String,
    /// Columns; field metadata `comment` holds the column's comment.
    pub schema: SchemaRef,
    /// The table's comment.
    pub comment: Option<String>,
    /// Columns that identify a row.
    pub primary_key: Vec<String>,
    /// Rows, as the newest snapshot counts them.
    pub rows: u64,
    /// Bytes of data files.
    pub bytes: u64,
    /// Stable id of the table (its Delta metadata id).
    pub id: String,
}

/// What a user's `CREATE TABLE` asks for.
#[derive(Debug, Clone)]
pub(crate) struct NewTable {
    pub name: String,
    pub schema: SchemaRef,
    pub primary_key: Vec<String>,
    pub comment: Option<String>,
}

/// All tables of one open database.
#[derive(Debug)]
pub(crate) struct Database {
    location: Location,
    /// Written under the lock when several tables change at once, so that no reader sees half of it.
    tables: RwLock<TableMap>,
    /// Snapshots that statements may still read, by table: vacuum keeps their files.
    pinned: Mutex<HashMap<String, Vec<Weak<TableSnapshot>>>>,
    sequence: AtomicI64,
    blocks: BlockCache,
    read_only: bool,
    lock: Mutex<Option<WriterLock>>,
}

impl Database {
    /// Opens the database at `location`, creating it if `options` allow, and finishes what a crash
    /// interrupted.
    pub(crate) async fn open(location: &str, options: &EngineOptions) -> Result<Arc<Self>> {
        let location = Location::parse(location)?;
        let exists = exists(&location).await?;
        if !exists && (!options.create || options.read_only) {
            return Err(Error::new(ErrorKind::Io, format!("there is no database at {}", location.url()))
                .with_hint("check the path, or run a command that writes to create one"));
        }
        let lock = take_lock(&location, options).await?;
        let read_only = lock.is_none();
        let mut tables = open_tables(&location).await?;
        if !read_only {
            create_missing(&location, &mut tables).await?;
            journal::recover(&location, &tables).await?;
        }
        let database = Arc::new(Self {
            location,
            tables: RwLock::new(tables),
            pinned: Mutex::default(),
            sequence: AtomicI64::new(Utc::now().timestamp_micros()),
            blocks: BlockCache::new(options.memory_bytes() / 100 * BLOCKS_SHARE),
            read_only,
            lock: Mutex::new(lock),
        });
        if !database.refresh().await? {
            return Err(Error::new(ErrorKind::Conflict, "the database changes faster than it can be read")
                .with_hint("try again, or ask the process that writes it"));
        }
        Ok(database)
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// Blocks of data files that look-ups have read.
    pub(super) fn blocks(&self) -> &BlockCache {
        &self.blocks
    }

    /// Whether writes are refused.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Fails if writes are refused.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if let Some(lock) = self.lock.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return lock.check();
        }
        Err(match self.location.local_directory() {
            Some(directory) => WriterLock::held(directory),
            None => Error::new(ErrorKind::ReadOnly, "the database is open read-only"),
        })
    }

    /// Takes in other processes' commits, if there can be any. Answers false, and leaves what was read
    /// before, if they come too fast to be read.
    pub(crate) async fn refresh(&self) -> Result<bool> {
        if !self.read_only {
            return Ok(true);
        }
        let known = self.tables.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(moment) = follow::moment(&self.location, &known).await? else { return Ok(false) };
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        *tables = moment
            .into_iter()
            .map(|(table, snapshot)| {
                if let Some(snapshot) = snapshot {
                    table.publish(snapshot);
                }
                (table.name.clone(), table)
            })
            .collect();
        Ok(true)
    }

    /// Begins a transaction on the newest snapshot.
    pub(crate) fn begin(self: &Arc<Self>) -> Arc<Transaction> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let snapshots: HashMap<_, _> =
            tables.iter().map(|(name, table)| (name.clone(), (Arc::clone(table), table.snapshot()))).collect();
        drop(tables);
        for (name, (_, snapshot)) in &snapshots {
            self.pin(name, snapshot);
        }
        Transaction::new(Arc::clone(self), snapshots)
    }

    /// Makes new snapshots visible, all at once.
    pub(crate) fn publish(&self, snapshots: Vec<(&str, TableSnapshot)>) {
        let tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for (name, snapshot) in snapshots {
            if let Some(table) = tables.get(name) {
                table.publish(snapshot);
            }
        }
    }

    /// Keeps the files of `snapshot` from vacuum for as long as somebody holds it.
    pub(crate) fn pin(&self, table: &str, snapshot: &Arc<TableSnapshot>) {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let list = pinned.entry(table.to_owned()).or_default();
        list.retain(|held| held.strong_count() > 0);
        if !list.iter().any(|held| std::ptr::eq(held.as_ptr(), Arc::as_ptr(snapshot))) {
            list.push(Arc::downgrade(snapshot));
        }
    }

    /// Versions of `table` that somebody still reads.
    pub(super) fn pinned_versions(&self, table: &str) -> Vec<u64> {
        let pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let held = pinned.get(table).into_iter().flatten().filter_map(Weak::upgrade);
        let mut versions: Vec<u64> = held.map(|snapshot| snapshot.version()).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    /// A number that rises with every journal entry, across restarts too.
    pub(crate) fn next_sequence(&self) -> i64 {
        let now = Utc::now().timestamp_micros();
        self.sequence.fetch_max(now, Ordering::SeqCst);
        self.sequence.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The open table called `name`.
    pub(crate) fn table(&self, name: &str) -> Result<Arc<Table>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(name).cloned().ok_or_else(|| undefined(name))
    }

    /// All tables, by name.
    pub(crate) fn table_list(&self) -> Vec<Arc<Table>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let ordered: BTreeMap<_, _> = tables.iter().collect();
        ordered.into_values().cloned().collect()
    }

    /// Facts of every Delta table, by the newest snapshot.
    pub(crate) fn facts(&self) -> Vec<TableFacts> {
        self.table_list()
            .iter()
            .map(|table| {
                let snapshot = table.snapshot();
                let metadata = snapshot.state.metadata();
                TableFacts {
                    name: table.name.clone(),
                    schema: snapshot.commented_schema(),
                    comment: metadata.description().map(str::to_owned),
                    primary_key: snapshot.primary_key.clone(),
                    rows: snapshot.rows(),
                    bytes: snapshot.bytes(),
                    id: metadata.id().to_owned(),
                }
            })
            .collect()
    }

    /// The newest version of `table` that was there at `time`.
    pub(super) async fn version_at(&self, table: &Table, newest: &TableSnapshot, time: DateTime<Utc>) -> Result<u64> {
        let mut delta = DeltaTable::new(Arc::clone(&table.log_store));
        delta.load_with_datetime(time).await.map_err(delta_error)?;
        let version = delta.version().unwrap_or_else(|| newest.version());
        let first = delta.snapshot().map_err(delta_error)?.version_timestamp(version);
        if first.is_some_and(|first| first > time.timestamp_millis()) {
            return Err(Error::new(
                ErrorKind::UndefinedObject,
                format!("table \"{}\" did not exist at {}", table.name, time.to_rfc3339()),
            ));
        }
        Ok(version)
    }

    /// Creates an empty table; fails with [`ErrorKind::Duplicate`] if the name is taken.
    pub(crate) async fn create_table(&self, table: NewTable) -> Result<()> {
        self.check_writable()?;
        if self.table(&table.name).is_ok() {
            return Err(Error::new(ErrorKind::Duplicate, format!("table \"{}\" already exists", table.name)));
        }
        let name = table.name.clone();
        let created = create_delta_table(&self.location, table, &[]).await?;
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.insert(name, Arc::new(created));
        Ok(())
    }

    /// Drops a table that a user created; built-in tables are refused.
    pub(crate) async fn drop_table(&self, name: &str) -> Result<()> {
        self.check_writable()?;
        if schema::delta_table(name).is_some() {
            return Err(Error::new(
                ErrorKind::Permission,
                format!("table \"{name}\" is built in and cannot be dropped"),
            )
            .with_hint(format!("DELETE FROM {name} empties it")));
        }
        let table = self.table(name)?;
        let _in_line = table.commit_lock.lock().await;
        self.tables.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        // The log goes first: without it the rest is rubbish, never half a table.
        delete_folder(&self.location, &format!("{}/_delta_log", folder_of(name))).await?;
        delete_folder(&self.location, &folder_of(name)).await
    }

    /// Sets the comment of a table, or of one of its columns.
    pub(crate) async fn comment_on(&self, name: &str, column: Option<&str>, comment: Option<&str>) -> Result<()> {
        self.check_writable()?;
        let table = self.table(name)?;
        let _in_line = table.commit_lock.lock().await;
        let mut delta = DeltaTable::new(Arc::clone(&table.log_store));
        delta.load().await.map_err(delta_error)?;
        let state = match column {
            None => {
                let update = deltalake_core::operations::update_table_metadata::TableMetadataUpdate {
                    name: None,
                    description: Some(comment.unwrap_or_default().to_owned()),
                };
                delta.update_table_metadata().with_update(update).await.map_err(delta_error)?
            }
            Some(column) => {
                if table.snapshot().schema.field_with_name(column).is_err() {
                    return Err(Error::new(
                        ErrorKind::UndefinedColumn,
                        format!("column \"{column}\" of table \"{name}\" does not exist"),
                    ));
                }
                let metadata = HashMap::from([("comment".to_owned(), comment.unwrap_or_default().into())]);
                delta
                    .update_field_metadata()
                    .with_field_name(column)
                    .with_metadata(metadata)
                    .await
                    .map_err(delta_error)?
            }
        };
        let state = state.snapshot().map_err(delta_error)?.clone();
        self.publish(vec![(name, TableSnapshot::new(state, &table.snapshot().files)?)]);
        Ok(())
    }

    /// Waits for commits under way and gives the writer's lock back.
    pub(crate) async fn close(&self) {
        for table in self.table_list() {
            let _done = table.commit_lock.lock().await;
        }
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lock) = lock {
            lock.release().await;
        }
    }
}

/// Whether `location` holds a database.
async fn exists(location: &Location) -> Result<bool> {
    use futures::StreamExt;
    let folder = location.path(TABLES);
    match location.store().list(Some(&folder)).next().await {
        None => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(object_store::Error::NotFound { .. })) => Ok(false),
        Some(Err(error)) => Err(store_error(error)),
    }
}

async fn take_lock(location: &Location, options: &EngineOptions) -> Result<Option<WriterLock>> {
    if options.read_only {
        return Ok(None);
    }
    match WriterLock::acquire(location).await {
        Err(error) if error.kind() == ErrorKind::ReadOnly && options.read_only_if_locked => Ok(None),
        acquired => acquired.map(Some),
    }
}

/// Names of the tables that have a folder.
pub(crate) async fn table_names(location: &Location) -> Result<Vec<String>> {
    let folder = location.path(TABLES);
    let listed = match location.store().list_with_delimiter(Some(&folder)).await {
        Ok(listed) => listed.common_prefixes,
        Err(object_store::Error::NotFound { .. }) => vec![],
        Err(error) => return Err(store_error(error)),
    };
    Ok(listed.iter().filter_map(|path| table_of(path.parts().next_back()?.as_ref())).collect())
}

async fn open_tables(location: &Location) -> Result<TableMap> {
    let names = table_names(location).await?;
    let opened = names.into_iter().map(|name| async move {
        let table = Table::open_if_there(&name, location.log_store(&folder_of(&name))?).await?;
        Ok::<_, Error>(table.map(|table| (name, Arc::new(table))))
    });
    Ok(try_join_all(opened).await?.into_iter().flatten().collect())
}

async fn create_missing(location: &Location, tables: &mut TableMap) -> Result<()> {
    let missing: Vec<_> = DELTA_TABLES.iter().filter(|definition| !tables.contains_key(definition.name)).collect();
    let created = missing.into_iter().map(|definition| async move {
        let table = NewTable {
            name: definition.name.to_owned(),
            schema: definition.schema(),
            primary_key: definition.primary_key.iter().map(|&name| name.to_owned()).collect(),
            comment: Some(definition.comment.to_owned()),
        };
        create_delta_table(location, table, definition.sort_key).await
    });
    for table in try_join_all(created).await? {
        tables.insert(table.name.clone(), Arc::new(table));
    }
    Ok(())
}

async fn create_delta_table(location: &Location, table: NewTable, sort_key: &[&str]) -> Result<Table> {
    let log_store = location.log_store(&folder_of(&table.name))?;
    let schema = storable(&table)?;
    let kernel: StructType = schema.as_ref().try_into_kernel().map_err(|error| {
        Error::new(ErrorKind::Unsupported, format!("table \"{}\" cannot be stored: {error}", table.name))
    })?;
    let configuration = [
        (PRIMARY_KEY.to_owned(), Some(table.primary_key.join(","))),
        (SORT_KEY.to_owned(), Some(sort_key.join(","))),
        ("delta.checkpointInterval".to_owned(), Some("100".to_owned())),
    ];
    let delta = CreateBuilder::new()
        .with_log_store(Arc::clone(&log_store))
        .with_table_name(&table.name)
        .with_comment(table.comment.as_deref().unwrap_or_default())
        .with_columns(kernel.fields().cloned())
        .with_configuration(configuration)
        .with_raise_if_key_not_exists(false)
        .await
        .map_err(delta_error)?;
    let state = delta.snapshot().map_err(delta_error)?.clone();
    Table::with_state(&table.name, log_store, state)
}

/// The table's schema in types that Delta has.
fn storable(table: &NewTable) -> Result<SchemaRef> {
    let mut fields: Vec<Field> = Vec::with_capacity(table.schema.fields().len());
    for field in table.schema.fields() {
        let data_type = super::delta_types::storable_type(field.data_type()).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "column \"{}\" of table \"{}\" has a type that cannot be stored: {}",
                    field.name(),
                    table.name,
                    field.data_type()
                ),
            )
        })?;
        let nullable = field.is_nullable() && !table.primary_key.contains(field.name());
        fields.push(Field::new(field.name(), data_type, nullable).with_metadata(field.metadata().clone()));
    }
    if fields.is_empty() {
        return Err(Error::new(ErrorKind::InvalidValue, format!("table \"{}\" has no columns", table.name)));
    }
    Ok(Arc::new(Schema::new(fields)))
}

async fn delete_folder(location: &Location, relative: &str) -> Result<()> {
    use futures::StreamExt;
    let folder = location.path(relative);
    let listed = location.store().list(Some(&folder)).map(|meta| meta.map(|meta| meta.location)).boxed();
    let mut deleted = location.store().delete_stream(listed);
    while let Some(result) = deleted.next().await {
        match result {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(store_error(error)),
        }
    }
    if let Some(directory) = location.local_directory() {
        // Empty folders are all that is left; they do no harm if they stay.
        let _ = std::fs::remove_dir_all(directory.join(relative));
    }
    Ok(())
}
