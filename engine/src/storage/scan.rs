//! Scans: the live files of a snapshot, handed to DataFusion's own Parquet source.
//!
//! What is ours is thin: leave out files whose bounds rule the filters out, put the rest in order, and
//! declare that order. Everything inside a file (row groups, pages, filters, late materialisation) is
//! DataFusion's work.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;
use parquet::arrow::RowNumber;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use roaring::RoaringBitmap;

use super::files::LiveFile;
use super::location::Location;
use crate::search::RowsOfFiles;

/// Bytes from which a scan of several files is shared among threads.
const WORTH_DIVIDING: u64 = 4 << 20;

/// Column that tells which of the scanned files a row came from, where a scan asks for it.
pub(crate) const FILE_COLUMN: &str = "__file";

/// Column that tells the number of a row within its file, from 0, where a scan asks for it.
pub(crate) const ROW_COLUMN: &str = "__row";

/// What to scan.
#[derive(Debug, Clone)]
pub(crate) struct ScanTarget {
    pub location: Location,
    /// Folder of the table within the database.
    pub folder: String,
    pub schema: SchemaRef,
    pub sort_key: Vec<String>,
    pub files: Vec<Arc<LiveFile>>,
    /// Adds [`FILE_COLUMN`]: the file's place in `files`.
    pub with_file_column: bool,
    /// Adds [`ROW_COLUMN`].
    pub with_row_column: bool,
    /// The rows to read, by the file's place in `files`; none for all.
    pub rows: Option<Arc<RowsOfFiles>>,
}

impl ScanTarget {
    /// Columns the scan yields.
    pub(crate) fn schema(&self) -> SchemaRef {
        if !self.with_file_column && !self.with_row_column {
            return Arc::clone(&self.schema);
        }
        let mut fields: Vec<FieldRef> = self.schema.fields().iter().cloned().collect();
        fields.extend(self.with_file_column.then(file_column));
        fields.extend(self.with_row_column.then(row_column));
        Arc::new(arrow::datatypes::Schema::new(fields))
    }

    /// Plans the scan of `projection` (indices into [`Self::schema`]).
    pub(crate) fn plan(
        &self,
        session: &dyn Session,
        projection: Option<&[usize]>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let kept = self.prune(session, filters)?;
        if kept.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema().project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let (groups, ordered) = self.group(session, &kept);
        let store_url = self.location.store_url()?;
        let cache = session.runtime_env().cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(Arc::clone(self.location.store()), cache);
        let table_schema = TableSchema::builder(Arc::clone(&self.schema))
            .with_table_partition_cols(self.with_file_column.then(file_column).into_iter().collect::<Vec<_>>())
            .with_virtual_columns(self.with_row_column.then(row_column).into_iter().collect::<Fields>())
            .build();
        let source = ParquetSource::new(table_schema)
            .with_parquet_file_reader_factory(Arc::new(reader))
            .with_pushdown_filters(true)
            .with_reorder_filters(true)
            .with_enable_page_index(true);
        let mut config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(store_url)?, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(self.statistics(&kept, !filters.is_empty() || self.rows.is_some())?)
            .with_limit(limit)
            .with_projection_indices(projection.map(<[usize]>::to_vec))?;
        if let Some(ordering) = ordered {
            config = config.with_output_ordering(vec![ordering]);
        }
        Ok(DataSourceExec::from_data_source(config.build()))
    }

    /// Files that may hold rows for which `filters` are true, with their place in `files`.
    fn prune(&self, session: &dyn Session, filters: &[Expr]) -> PlanResult<Vec<(usize, Arc<LiveFile>)>> {
        let all = || {
            let has_rows = |place: &usize| self.rows.as_ref().is_none_or(|rows| rows.contains_key(place));
            let files = self.files.iter().cloned().enumerate();
            files.filter(|(place, _)| has_rows(place)).collect::<Vec<_>>()
        };
        let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(all()) };
        let df_schema = DFSchema::try_from(self.schema())?;
        let predicate = session.create_physical_expr(filter, &df_schema)?;
        let pruning = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema)).try_build(predicate)?;
        if pruning.always_true() {
            return Ok(all());
        }
        let bounds = all().iter().map(|(_, file)| Arc::clone(&file.bounds)).collect();
        let keep = pruning.prune(&PrunableStatistics::new(bounds, Arc::clone(&self.schema)))?;
        Ok(all().into_iter().zip(keep).filter_map(|(file, keep)| keep.then_some(file)).collect())
    }

    /// Divides files among partitions; answers the order of rows that every partition keeps, if any.
    fn group(&self, session: &dyn Session, files: &[(usize, Arc<LiveFile>)]) -> (Vec<FileGroup>, Option<LexOrdering>) {
        let partitions = session.config().target_partitions().max(1);
        if let Some(groups) = self.ordered_groups(files, partitions) {
            let groups = groups.into_iter().map(|group| self.file_group(&group)).collect();
            return (groups, self.ordering());
        }
        let mut sized: Vec<_> = files.to_vec();
        sized.sort_by_key(|(_, file)| std::cmp::Reverse(file.size()));
        let mut groups = vec![(0, Vec::new()); partitions.min(files.len())];
        for file in sized {
            if let Some(smallest) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                smallest.0 += file.1.size();
                smallest.1.push(file);
            }
        }
        (groups.into_iter().map(|(_, group)| self.file_group(&group)).collect(), None)
    }

    /// Groups of sorted files that follow each other without overlap: at most `partitions` of them,
    /// else `None`, because merging many streams costs more than the order is worth.
    fn ordered_groups(&self, files: &[(usize, Arc<LiveFile>)], partitions: usize) -> Option<Vec<Group>> {
        let key: Vec<usize> = self.sort_key.iter().filter_map(|name| self.schema.index_of(name).ok()).collect();
        if key.is_empty() || key.len() != self.sort_key.len() {
            return None;
        }
        if files.iter().any(|(_, file)| !file.is_sorted_by(&self.sort_key)) {
            return None;
        }
        if let [only] = files {
            return Some(vec![vec![only.clone()]]);
        }
        let mut ranged = files
            .iter()
            .map(|file| file.1.key_range(&key).map(|(low, high)| (low, high, file.clone())))
            .collect::<Option<Vec<_>>>()?;
        ranged.sort_by(|a, b| compare_keys(&a.0, &b.0));
        let mut groups: Vec<(Vec<ScalarValue>, Group)> = Vec::new();
        for (low, high, file) in ranged {
            let fits = groups.iter().position(|(last, _)| compare_keys(last, &low) != Ordering::Greater);
            if fits.is_none() && groups.len() == partitions {
                return None;
            }
            match fits.and_then(|at| groups.get_mut(at)) {
                Some(group) => {
                    group.0 = high;
                    group.1.push(file);
                }
                None => groups.push((high, vec![file])),
            }
        }
        let mut groups = groups.into_iter().map(|(_, files)| files).collect();
        divide(&mut groups, partitions);
        Some(groups)
    }

    fn ordering(&self) -> Option<LexOrdering> {
        let ascending = SortOptions { descending: false, nulls_first: false };
        let columns = self.sort_key.iter().filter_map(|name| {
            let index = self.schema.index_of(name).ok()?;
            Some(PhysicalSortExpr::new(Arc::new(Column::new(name, index)), ascending))
        });
        LexOrdering::new(columns)
    }

    fn file_group(&self, files: &[(usize, Arc<LiveFile>)]) -> FileGroup {
        FileGroup::new(files.iter().map(|(place, file)| self.partitioned_file(*place, file)).collect())
    }

    /// Path of a file within the store.
    pub(super) fn path_of(&self, file: &LiveFile) -> object_store::path::Path {
        self.location.path(&format!("{}/{}", self.folder, file.path()))
    }

    fn partitioned_file(&self, place: usize, file: &LiveFile) -> PartitionedFile {
        let meta = ObjectMeta {
            location: self.path_of(file),
            // Files never change, so caches need no time to tell versions apart.
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: file.size(),
            e_tag: None,
            version: None,
        };
        let mut partitioned = PartitionedFile::new_from_meta(meta);
        if self.with_file_column {
            let place = i32::try_from(place).unwrap_or(i32::MAX);
            partitioned = partitioned.with_partition_values(vec![ScalarValue::Int32(Some(place))]);
        }
        if let Some(rows) = self.rows.as_ref().and_then(|rows| rows.get(&place))
            && let Some(total) = file.rows
        {
            partitioned = partitioned.with_extension(ParquetRowSelection::new(selection(rows, total)));
        }
        partitioned.with_statistics(Arc::clone(&file.statistics))
    }

    fn statistics(&self, files: &[(usize, Arc<LiveFile>)], filtered: bool) -> PlanResult<Statistics> {
        let mut merged =
            Statistics::try_merge_iter(files.iter().map(|(_, file)| file.statistics.as_ref()), &self.schema)?;
        if self.with_file_column {
            merged.column_statistics.push(datafusion::common::ColumnStatistics::new_unknown());
        }
        if self.with_row_column {
            merged.column_statistics.push(datafusion::common::ColumnStatistics::new_unknown());
        }
        Ok(if filtered { merged.to_inexact() } else { merged })
    }
}

/// Files that follow each other in a partition, with their places in the target.
type Group = Vec<(usize, Arc<LiveFile>)>;

/// Cuts the largest groups in two until there is one for every partition, where that is worth a thread.
fn divide(groups: &mut Vec<Group>, partitions: usize) {
    let bytes = |group: &Group| group.iter().map(|(_, file)| file.size()).sum::<u64>();
    while groups.len() < partitions {
        let largest = groups.iter_mut().filter(|group| group.len() > 1).max_by_key(|group| bytes(group));
        let Some(group) = largest.filter(|group| bytes(group) >= WORTH_DIVIDING) else { return };
        let half = bytes(group) / 2;
        let mut before = 0;
        let middle = group.iter().take_while(|(_, file)| {
            before += file.size();
            before <= half
        });
        let middle = middle.count().clamp(1, group.len() - 1);
        let second = group.split_off(middle);
        groups.push(second);
    }
}

fn file_column() -> FieldRef {
    Arc::new(Field::new(FILE_COLUMN, DataType::Int32, false))
}

fn row_column() -> FieldRef {
    Arc::new(Field::new(ROW_COLUMN, DataType::Int64, false).with_extension_type(RowNumber))
}

/// `rows` of a file of `total` rows, as runs to skip and to read.
fn selection(rows: &RoaringBitmap, total: u64) -> RowSelection {
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    let mut runs = Vec::new();
    let mut next = 0;
    for row in rows.iter().map(|row| row as usize).take_while(|row| *row < total) {
        match runs.last_mut() {
            Some(RowSelector { row_count, skip: false }) if row == next => *row_count += 1,
            _ => {
                if row > next {
                    runs.push(RowSelector::skip(row - next));
                }
                runs.push(RowSelector::select(1));
            }
        }
        next = row + 1;
    }
    if next < total {
        runs.push(RowSelector::skip(total - next));
    }
    runs.into()
}

/// Compares keys column by column.
pub(super) fn compare_keys(a: &[ScalarValue], b: &[ScalarValue]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        match a.partial_cmp(b) {
            Some(Ordering::Equal) => {}
            Some(order) => return order,
            // Values that do not compare count as overlapping: the order is then not declared.
            None => return Ordering::Greater,
        }
    }
    Ordering::Equal
}
