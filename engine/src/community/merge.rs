//! `MERGE` into a community table, and through it `INSERT … ON CONFLICT`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{cast, concat_batches, take};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::catalog::Session;
use datafusion::common::DFSchemaRef;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::dml::{MergeIntoAction, MergeIntoClause, MergeIntoClauseKind};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;

use super::change::{Assignment, TableWriter, evaluation, select};
use crate::{Error, ErrorKind, Result};

/// A planned `MERGE`: conditions and values over the columns of the target followed by the source's.
#[derive(Debug, Clone)]
pub(super) struct Merge {
    schema: SchemaRef,
    targets: usize,
    on: Arc<dyn PhysicalExpr>,
    /// Pairs (target column, source column) if `ON` is nothing but their equality.
    keys: Option<Vec<(usize, usize)>>,
    clauses: Vec<Clause>,
}

#[derive(Debug, Clone)]
struct Clause {
    kind: MergeIntoClauseKind,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Update(Vec<Assignment>),
    Insert(Vec<Assignment>),
    Delete,
}

impl Merge {
    pub(super) fn plan(
        state: &dyn Session,
        target: &SchemaRef,
        merged: &DFSchemaRef,
        on: Expr,
        clauses: Vec<MergeIntoClause>,
    ) -> datafusion::error::Result<Self> {
        let assign = |column: &str, value: Expr| -> datafusion::error::Result<Assignment> {
            Ok(Assignment { column: target.index_of(column)?, value: state.create_physical_expr(value, merged)? })
        };
        let clauses = clauses
            .into_iter()
            .map(|clause| {
                let action = match clause.action {
                    MergeIntoAction::Delete => Action::Delete,
                    MergeIntoAction::Update(assignments) => Action::Update(
                        assignments
                            .into_iter()
                            .map(|(column, value)| assign(&column, value))
                            .collect::<Result<_, _>>()?,
                    ),
                    MergeIntoAction::Insert { columns, values } => Action::Insert(
                        insert_columns(target, columns)
                            .into_iter()
                            .zip(values)
                            .map(|(column, value)| assign(&column, value))
                            .collect::<Result<_, _>>()?,
                    ),
                };
                let predicate =
                    clause.predicate.map(|predicate| state.create_physical_expr(predicate, merged)).transpose()?;
                Ok(Clause { kind: clause.kind, predicate, action })
            })
            .collect::<Result<Vec<_>, DataFusionError>>()?;
        let targets = target.fields().len();
        let keys = equality_keys(&on, merged, targets);
        let on = state.create_physical_expr(on, merged)?;
        Ok(Self { schema: Arc::clone(merged.inner()), targets, on, keys, clauses })
    }

    /// Makes the changes; answers how many rows they touched.
    pub(super) fn apply(&self, table: &TableWriter<'_>, source: &SchemaRef, input: &[RecordBatch]) -> Result<u64> {
        let source = concat_batches(source, input).map_err(|error| evaluation(&error))?;
        let (numbers, target) = table.rows()?;
        let pairs = self.matches(&target, &source)?;
        let mut seen = vec![false; target.num_rows()];
        for (row, _) in &pairs {
            if let Some(seen) = seen.get_mut(*row as usize)
                && std::mem::replace(seen, true)
            {
                return Err(Error::new(ErrorKind::Constraint, "MERGE cannot change a row a second time")
                    .with_hint("make sure that no two rows of the source have the same key"));
            }
        }
        let mut matched_sources = vec![false; source.num_rows()];
        for (_, row) in &pairs {
            if let Some(matched) = matched_sources.get_mut(*row as usize) {
                *matched = true;
            }
        }
        let unmatched = |flags: &[bool]| -> Vec<u32> {
            (0u32..).zip(flags).filter(|(_, matched)| !**matched).map(|(row, _)| row).collect()
        };
        let both: Vec<(Option<u32>, Option<u32>)> =
            pairs.iter().map(|(target, source)| (Some(*target), Some(*source))).collect();
        let new: Vec<_> = unmatched(&matched_sources).into_iter().map(|source| (None, Some(source))).collect();
        let lone: Vec<_> = unmatched(&seen).into_iter().map(|target| (Some(target), None)).collect();
        // New rows last: a row that is inserted here must not collide with one that is deleted here.
        let mut changed = 0;
        for (rows, is_of_kind) in [
            (both, is_matched as fn(MergeIntoClauseKind) -> bool),
            (lone, |kind| kind == MergeIntoClauseKind::NotMatchedBySource),
            (new, |kind| matches!(kind, MergeIntoClauseKind::NotMatched | MergeIntoClauseKind::NotMatchedByTarget)),
        ] {
            let clauses: Vec<&Clause> = self.clauses.iter().filter(|clause| is_of_kind(clause.kind)).collect();
            changed += self.run(table, &clauses, rows, &numbers, &target, &source)?;
        }
        Ok(changed)
    }

    /// Applies to each row the first clause whose condition holds.
    fn run(
        &self,
        table: &TableWriter<'_>,
        clauses: &[&Clause],
        mut rows: Vec<(Option<u32>, Option<u32>)>,
        numbers: &[i64],
        target: &RecordBatch,
        source: &RecordBatch,
    ) -> Result<u64> {
        let mut changed = 0;
        for clause in clauses {
            let combined = self.combine(target, source, &rows)?;
            let chosen = match &clause.predicate {
                Some(predicate) => select(predicate, &combined)?,
                None => vec![true; rows.len()],
            };
            let (taken, rest): (Vec<_>, Vec<_>) = rows.into_iter().zip(chosen).partition(|(_, chosen)| *chosen);
            let taken: Vec<_> = taken.into_iter().map(|(row, _)| row).collect();
            rows = rest.into_iter().map(|(row, _)| row).collect();
            let combined = self.combine(target, source, &taken)?;
            let taken_numbers: Vec<i64> =
                taken.iter().filter_map(|(target, _)| numbers.get((*target)? as usize).copied()).collect();
            changed += match &clause.action {
                Action::Delete => table.delete(taken_numbers.into_iter())?,
                Action::Update(assignments) => table.update(&taken_numbers, &combined, assignments)?,
                Action::Insert(assignments) => table.insert(&[self.new_rows(table, assignments, &combined)?])?,
            };
        }
        Ok(changed)
    }

    fn new_rows(&self, table: &TableWriter<'_>, values: &[Assignment], combined: &RecordBatch) -> Result<RecordBatch> {
        let rows = combined.num_rows();
        let mut columns: Vec<ArrayRef> =
            table.schema.fields().iter().map(|field| new_null_array(field.data_type(), rows)).collect();
        for value in values {
            let array = value
                .value
                .evaluate(combined)
                .and_then(|value| value.into_array(rows))
                .map_err(|error| evaluation(&error))?;
            let field = table.schema.field(value.column);
            if let Some(column) = columns.get_mut(value.column) {
                *column = cast(&array, field.data_type()).map_err(|error| evaluation(&error))?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(nullable(table.schema), columns, &options).map_err(|error| evaluation(&error))
    }

    /// Pairs of rows (target, source) for which `ON` holds.
    fn matches(&self, target: &RecordBatch, source: &RecordBatch) -> Result<Vec<(u32, u32)>> {
        if let Some(keys) = &self.keys {
            return matches_by_key(keys, self.targets, target, source);
        }
        let mut pairs = Vec::new();
        for row in 0..source.num_rows() as u32 {
            let candidates: Vec<_> = (0..target.num_rows() as u32).map(|target| (Some(target), Some(row))).collect();
            let combined = self.combine(target, source, &candidates)?;
            let chosen = select(&self.on, &combined)?;
            pairs.extend((0u32..).zip(chosen).filter(|(_, chosen)| *chosen).map(|(target, _)| (target, row)));
        }
        Ok(pairs)
    }

    /// Rows of the target beside rows of the source; nulls where there is none.
    fn combine(
        &self,
        target: &RecordBatch,
        source: &RecordBatch,
        rows: &[(Option<u32>, Option<u32>)],
    ) -> Result<RecordBatch> {
        let targets = UInt32Array::from(rows.iter().map(|(target, _)| *target).collect::<Vec<_>>());
        let sources = UInt32Array::from(rows.iter().map(|(_, source)| *source).collect::<Vec<_>>());
        let left = target.columns().iter().map(|column| take(column, &targets, None));
        let right = source.columns().iter().map(|column| take(column, &sources, None));
        let columns = left.chain(right).collect::<Result<Vec<_>, _>>().map_err(|error| evaluation(&error))?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(nullable(&self.schema), columns, &options).map_err(|error| evaluation(&error))
    }
}

fn is_matched(kind: MergeIntoClauseKind) -> bool {
    kind == MergeIntoClauseKind::Matched
}

fn insert_columns(target: &SchemaRef, columns: Vec<String>) -> Vec<String> {
    if columns.is_empty() { target.fields().iter().map(|field| field.name().clone()).collect() } else { columns }
}

/// Without the metadata and null-ness of either side: rows without a partner hold nulls.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

fn equality_keys(on: &Expr, merged: &DFSchemaRef, targets: usize) -> Option<Vec<(usize, usize)>> {
    split_conjunction(on)
        .into_iter()
        .map(|condition| {
            let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return None };
            let (Expr::Column(left), Expr::Column(right)) = (left.as_ref(), right.as_ref()) else { return None };
            let (left, right) = (merged.index_of_column(left).ok()?, merged.index_of_column(right).ok()?);
            match (left < targets, right < targets) {
                (true, false) => Some((left, right)),
                (false, true) => Some((right, left)),
                _ => None,
            }
        })
        .collect()
}

fn matches_by_key(
    keys: &[(usize, usize)],
    targets: usize,
    target: &RecordBatch,
    source: &RecordBatch,
) -> Result<Vec<(u32, u32)>> {
    let mut left = Vec::new();
    let mut right = Vec::new();
    for (target_column, source_column) in keys {
        let own = Arc::clone(target.column(*target_column));
        let other = source.column(source_column - targets);
        right.push(cast(other, own.data_type()).map_err(|error| evaluation(&error))?);
        left.push(own);
    }
    let fields = left.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(|error| evaluation(&error))?;
    let target_rows = converter.convert_columns(&left).map_err(|error| evaluation(&error))?;
    let source_rows = converter.convert_columns(&right).map_err(|error| evaluation(&error))?;
    let has_null = |columns: &[ArrayRef], row: usize| columns.iter().any(|column| column.is_null(row));
    let mut by_key: HashMap<_, Vec<u32>> = HashMap::new();
    for (row, key) in target_rows.iter().enumerate() {
        if !has_null(&left, row) {
            by_key.entry(key).or_default().push(row as u32);
        }
    }
    let mut pairs = Vec::new();
    for (row, key) in source_rows.iter().enumerate() {
        if !has_null(&right, row)
            && let Some(found) = by_key.get(&key)
        {
            pairs.extend(found.iter().map(|target| (*target, row as u32)));
        }
    }
    Ok(pairs)
}
