//! `MERGE`, and with it `INSERT … ON CONFLICT`: source rows update, delete or join a table's rows.
//!
//! The source is read whole into memory: it is the small side. Target files without a match stay as
//! they are. In the plans below the target's columns are called `t0, t1, …` and the source's `s0, s1, …`,
//! so that no name of one hides a name of the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchemaRef, JoinType, Result as PlanResult, ScalarValue};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::TaskContext;
use datafusion::execution::context::SessionState;
use datafusion::functions_aggregate::count::count;
use datafusion::functions_aggregate::min_max::{max, min};
use datafusion::functions_window::row_number::row_number;
use datafusion::logical_expr::dml::{MergeIntoAction, MergeIntoClause, MergeIntoClauseKind};
use datafusion::logical_expr::utils::{disjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, cast, ident, lit, when};
use datafusion::physical_plan::{ExecutionPlan, collect, execute_stream};
use futures::TryStreamExt;

use super::change::ChangeExec;
use super::files::LiveFile;
use super::provider::DeltaTableProvider;
use super::scan::{FILE_COLUMN, ScanTarget};
use super::subset::SubsetProvider;
use super::table::Table;
use super::transaction::Transaction;
use super::writer::write_sorted_stream;
use crate::{Error, ErrorKind};

const SOURCE_ROW: &str = "s_row";
const TARGET_ROW: &str = "t_row";
const ACTION: &str = "m_action";

/// Plans a `MERGE` into the provider's table.
pub(super) fn plan_merge(
    provider: &DeltaTableProvider,
    state: &dyn Session,
    source: Arc<dyn ExecutionPlan>,
    merge_schema: DFSchemaRef,
    on: Expr,
    clauses: Vec<MergeIntoClause>,
) -> PlanResult<Arc<dyn ExecutionPlan>> {
    let transaction = Arc::clone(provider.transaction()?);
    let state = state
        .as_any()
        .downcast_ref::<SessionState>()
        .cloned()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "MERGE needs a full session"))?;
    let target = provider.scan_target().clone();
    let merge = Merge::new(Arc::clone(provider.table()), &target.schema, &merge_schema, on, clauses)?;
    let source_schema = source.schema();
    let label = format!("DeltaMerge(table={})", provider.table_name());
    Ok(Arc::new(ChangeExec::new(label, vec![source], move |inputs, context| {
        let (transaction, merge, target) = (Arc::clone(&transaction), merge.clone(), target.clone());
        let (state, source_schema) = (state.clone(), Arc::clone(&source_schema));
        Box::pin(async move {
            let mut batches = Vec::new();
            for input in inputs {
                batches.extend(input.try_collect::<Vec<_>>().await?);
            }
            let source = Source::new(&source_schema, batches)?;
            merge.run(&transaction, target, source, &state, context).await
        })
    })))
}

/// The source's rows, numbered.
struct Source {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Source {
    fn new(schema: &SchemaRef, batches: Vec<RecordBatch>) -> PlanResult<Self> {
        let mut fields: Vec<Field> = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(place, field)| Field::new(format!("s{place}"), field.data_type().clone(), true))
            .collect();
        fields.push(Field::new(SOURCE_ROW, DataType::Int64, false));
        let schema = Arc::new(Schema::new(fields));
        let mut next = 0_i64;
        let batches = batches
            .into_iter()
            .map(|batch| {
                let end = next + i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
                let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(next..end));
                next = end;
                let mut columns = batch.columns().to_vec();
                columns.push(numbers);
                Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
            })
            .collect::<PlanResult<Vec<_>>>()?;
        Ok(Self { schema, batches })
    }

    fn scan(&self) -> PlanResult<LogicalPlanBuilder> {
        let table = MemTable::try_new(Arc::clone(&self.schema), vec![self.batches.clone()])?;
        LogicalPlanBuilder::scan("source", provider_as_source(Arc::new(table)), None)
    }
}

/// A `MERGE`, its expressions over `t*` and `s*`.
#[derive(Debug, Clone)]
struct Merge {
    table: Arc<Table>,
    on: Expr,
    matched: Vec<Clause>,
    by_source: Vec<Clause>,
    by_target: Vec<Clause>,
}

#[derive(Debug, Clone)]
struct Clause {
    predicate: Option<Expr>,
    action: MergeIntoAction,
}

impl Merge {
    fn new(
        table: Arc<Table>,
        target: &SchemaRef,
        schema: &DFSchemaRef,
        on: Expr,
        clauses: Vec<MergeIntoClause>,
    ) -> PlanResult<Self> {
        let width = target.fields().len();
        let rename = |expr: Expr| rename(expr, schema, width);
        let mut merge = Self { table, on: rename(on)?, matched: vec![], by_source: vec![], by_target: vec![] };
        for clause in clauses {
            let predicate = clause.predicate.map(&rename).transpose()?;
            let action = match clause.action {
                MergeIntoAction::Update(values) => MergeIntoAction::Update(
                    values.into_iter().map(|(name, value)| Ok((name, rename(value)?))).collect::<PlanResult<_>>()?,
                ),
                MergeIntoAction::Insert { columns, values } => MergeIntoAction::Insert {
                    columns,
                    values: values.into_iter().map(&rename).collect::<PlanResult<_>>()?,
                },
                MergeIntoAction::Delete => MergeIntoAction::Delete,
            };
            let list = match clause.kind {
                MergeIntoClauseKind::Matched => &mut merge.matched,
                MergeIntoClauseKind::NotMatchedBySource => &mut merge.by_source,
                MergeIntoClauseKind::NotMatched | MergeIntoClauseKind::NotMatchedByTarget => &mut merge.by_target,
            };
            list.push(Clause { predicate, action });
        }
        if !merge.by_source.is_empty() && merge.matched.iter().any(|clause| clause.predicate.is_some()) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "MERGE with both WHEN NOT MATCHED BY SOURCE and a conditional WHEN MATCHED is not there",
            )
            .with_hint("split it into two statements in one transaction")
            .into());
        }
        Ok(merge)
    }

    async fn run(
        &self,
        transaction: &Arc<Transaction>,
        mut target: ScanTarget,
        source: Source,
        state: &SessionState,
        context: Arc<TaskContext>,
    ) -> PlanResult<u64> {
        transaction.flush(&self.table).await?;
        let (_, snapshot) = transaction.entry(&self.table.name)?;
        target.files = transaction.files(&self.table.name, &snapshot);
        let run = Run { merge: self, target, source, state, context };
        let bounds = run.key_bounds().await?;
        let affected = run.affected_files(&bounds).await?;
        let (mut adds, mut changed) = (Vec::new(), 0);
        if !affected.is_empty() {
            changed += run.count_actions(&affected).await?;
            let rows = run.rewritten(&affected)?;
            adds.extend(run.write(rows).await?.0);
        }
        if !self.by_target.is_empty() {
            let rows = run.inserted(&bounds)?;
            let (files, inserted) = run.write(rows).await?;
            adds.extend(files);
            changed += inserted;
        }
        transaction.stage_replacement(&self.table, &affected, adds)?;
        Ok(changed)
    }
}

/// One execution of a `MERGE`.
struct Run<'a> {
    merge: &'a Merge,
    target: ScanTarget,
    source: Source,
    state: &'a SessionState,
    context: Arc<TaskContext>,
}

impl Run<'_> {
    /// Bounds of the target's columns that `on` equates with source columns: what lies outside cannot match.
    async fn key_bounds(&self) -> PlanResult<Vec<Expr>> {
        let pairs: Vec<(&Expr, &Expr)> =
            split_conjunction(&self.merge.on).into_iter().filter_map(equated_columns).collect();
        if pairs.is_empty() || !self.merge.by_source.is_empty() {
            return Ok(Vec::new());
        }
        let aggregates: Vec<Expr> =
            pairs.iter().flat_map(|(_, source)| [min((*source).clone()), max((*source).clone())]).collect();
        let plan = self.source.scan()?.aggregate(Vec::<Expr>::new(), aggregates)?.build()?;
        let batches = collect(self.state.create_physical_plan(&plan).await?, Arc::clone(&self.context)).await?;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() == 1) else { return Ok(Vec::new()) };
        let mut bounds = Vec::new();
        for (place, (column, _)) in pairs.iter().enumerate() {
            let low = ScalarValue::try_from_array(batch.column(2 * place), 0)?;
            let high = ScalarValue::try_from_array(batch.column(2 * place + 1), 0)?;
            if !low.is_null() {
                bounds.push((*column).clone().between(Expr::Literal(low, None), Expr::Literal(high, None)));
            }
        }
        Ok(bounds)
    }

    /// Rows of `files`, as `t0, t1, …` and the file's number.
    fn target_rows(&self, files: &[Arc<LiveFile>], bounds: &[Expr]) -> PlanResult<LogicalPlanBuilder> {
        let scanned = ScanTarget { files: files.to_vec(), with_file_column: true, ..self.target.clone() };
        let columns: Vec<Expr> = scanned
            .schema
            .fields()
            .iter()
            .enumerate()
            .map(|(place, field)| ident(field.name()).alias(format!("t{place}")))
            .chain([ident(FILE_COLUMN)])
            .collect();
        let mut rows =
            LogicalPlanBuilder::scan("target", provider_as_source(Arc::new(SubsetProvider::new(scanned))), None)?
                .project(columns)?;
        for bound in bounds {
            rows = rows.filter(bound.clone())?;
        }
        Ok(rows)
    }

    /// Files with rows that a clause changes. Fails if one row would be changed twice.
    async fn affected_files(&self, bounds: &[Expr]) -> PlanResult<Vec<Arc<LiveFile>>> {
        if !self.merge.by_source.is_empty() {
            self.pairs(bounds).await?;
            return Ok(self.target.files.clone());
        }
        if self.merge.matched.is_empty() {
            return Ok(Vec::new());
        }
        let places = self.pairs(bounds).await?;
        Ok(places.into_iter().filter_map(|place| self.target.files.get(place).cloned()).collect())
    }

    /// Numbers of the files with matched rows.
    async fn pairs(&self, bounds: &[Expr]) -> PlanResult<BTreeSet<usize>> {
        let numbered =
            self.target_rows(&self.target.files, bounds)?.window(vec![row_number().alias(TARGET_ROW)])?.build()?;
        let plan = LogicalPlanBuilder::from(numbered)
            .join_on(self.source.scan()?.build()?, JoinType::Inner, [self.join_condition()])?
            .aggregate(vec![ident(FILE_COLUMN), ident(TARGET_ROW)], vec![count(lit(1_i64)).alias("n")])?
            .aggregate(vec![ident(FILE_COLUMN)], vec![max(ident("n")).alias("n")])?
            .build()?;
        let batches = collect(self.state.create_physical_plan(&plan).await?, Arc::clone(&self.context)).await?;
        let mut places = BTreeSet::new();
        for batch in &batches {
            let files = batch.column(0).as_any().downcast_ref::<Int32Array>();
            let counts = batch.column(1).as_any().downcast_ref::<Int64Array>();
            let (Some(files), Some(counts)) = (files, counts) else {
                return Err(Error::new(ErrorKind::Internal, "unexpected types while matching").into());
            };
            if counts.iter().flatten().any(|count| count > 1) {
                return Err(Error::new(
                    ErrorKind::Constraint,
                    format!("MERGE would change a row of table \"{}\" more than once", self.merge.table.name),
                )
                .with_hint("make sure that no two source rows match the same target row")
                .into());
            }
            places.extend(files.iter().flatten().filter_map(|file| usize::try_from(file).ok()));
        }
        Ok(places)
    }

    /// `on`, and that some `WHEN MATCHED` clause applies.
    fn join_condition(&self) -> Expr {
        let predicates: Option<Vec<Expr>> = self.merge.matched.iter().map(|clause| clause.predicate.clone()).collect();
        match predicates.and_then(disjunction) {
            Some(any) => self.merge.on.clone().and(any),
            None => self.merge.on.clone(),
        }
    }

    /// Target rows of `files` beside the source row that changes them, and the number of the action.
    fn joined(&self, files: &[Arc<LiveFile>]) -> PlanResult<LogicalPlanBuilder> {
        let rows = self.target_rows(files, &[])?.join_on(
            self.source.scan()?.build()?,
            JoinType::Left,
            [self.join_condition()],
        )?;
        let matched = ident(SOURCE_ROW).is_not_null();
        let mut action = lit(-1_i32);
        for (number, clause) in self.actions().into_iter().rev() {
            let applies = match number < self.merge.matched.len() {
                true => matched.clone(),
                false => Expr::Not(Box::new(matched.clone())),
            };
            let applies = match &clause.predicate {
                Some(predicate) => applies.and(predicate.clone()),
                None => applies,
            };
            action = when(applies, lit(number_of(number))).otherwise(action)?;
        }
        let columns: Vec<Expr> =
            rows.schema().columns().into_iter().map(Expr::Column).chain([action.alias(ACTION)]).collect();
        rows.project(columns)
    }

    /// Clauses that change target rows, numbered: matched ones first.
    fn actions(&self) -> Vec<(usize, &Clause)> {
        self.merge.matched.iter().chain(&self.merge.by_source).enumerate().collect()
    }

    /// How many rows of `files` a clause changes.
    async fn count_actions(&self, files: &[Arc<LiveFile>]) -> PlanResult<u64> {
        let plan = self
            .joined(files)?
            .filter(ident(ACTION).gt_eq(lit(0_i32)))?
            .aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64))])?
            .build()?;
        let batches = collect(self.state.create_physical_plan(&plan).await?, Arc::clone(&self.context)).await?;
        let counts = batches.iter().filter_map(|batch| batch.column(0).as_any().downcast_ref::<Int64Array>());
        Ok(counts.flat_map(|counts| counts.iter().flatten()).map(i64::unsigned_abs).sum())
    }

    /// The rows of `files` after the change.
    fn rewritten(&self, files: &[Arc<LiveFile>]) -> PlanResult<LogicalPlan> {
        let mut rows = self.joined(files)?;
        for (number, clause) in self.actions() {
            if matches!(clause.action, MergeIntoAction::Delete) {
                rows = rows.filter(ident(ACTION).not_eq(lit(number_of(number))))?;
            }
        }
        let mut columns = Vec::new();
        for (place, field) in self.target.schema.fields().iter().enumerate() {
            let mut value = ident(format!("t{place}"));
            for (number, clause) in self.actions() {
                let MergeIntoAction::Update(values) = &clause.action else { continue };
                if let Some((_, new)) = values.iter().find(|(name, _)| name == field.name()) {
                    let new = cast(new.clone(), field.data_type().clone());
                    value = when(ident(ACTION).eq(lit(number_of(number))), new).otherwise(value)?;
                }
            }
            columns.push(value.alias(field.name()));
        }
        rows.project(columns)?.build()
    }

    /// Source rows without a match, as rows of the target.
    fn inserted(&self, bounds: &[Expr]) -> PlanResult<LogicalPlan> {
        let target = self.target_rows(&self.target.files, bounds)?.build()?;
        let unmatched = self.source.scan()?.join_on(target, JoinType::LeftAnti, [self.merge.on.clone()])?.build()?;
        let mut plan: Option<LogicalPlanBuilder> = None;
        let mut earlier: Vec<Expr> = Vec::new();
        for clause in &self.merge.by_target {
            let MergeIntoAction::Insert { columns, values } = &clause.action else { continue };
            let mut rows = LogicalPlanBuilder::from(unmatched.clone());
            for taken in &earlier {
                rows = rows.filter(Expr::IsNotTrue(Box::new(taken.clone())))?;
            }
            if let Some(predicate) = &clause.predicate {
                rows = rows.filter(predicate.clone())?;
            }
            earlier.push(clause.predicate.clone().unwrap_or_else(|| lit(true)));
            let fields = self.target.schema.fields();
            let projected: Vec<Expr> = fields
                .iter()
                .enumerate()
                .map(|(place, field)| {
                    let given = match columns.is_empty() {
                        true => values.get(place),
                        false => columns.iter().position(|name| name == field.name()).and_then(|at| values.get(at)),
                    };
                    let value = given.cloned().unwrap_or_else(|| lit(ScalarValue::Null));
                    cast(value, field.data_type().clone()).alias(field.name())
                })
                .collect();
            rows = rows.project(projected)?;
            plan = Some(match plan {
                Some(plan) => plan.union(rows.build()?)?,
                None => rows,
            });
        }
        plan.unwrap_or_else(|| LogicalPlanBuilder::empty(false)).build()
    }

    async fn write(&self, rows: LogicalPlan) -> PlanResult<(Vec<deltalake_core::kernel::Add>, u64)> {
        let mut rows = LogicalPlanBuilder::from(rows);
        if !self.target.sort_key.is_empty() {
            rows = rows.sort(self.target.sort_key.iter().map(|name| ident(name).sort(true, false)))?;
        }
        let plan = self.state.create_physical_plan(&rows.build()?).await?;
        let stream = execute_stream(plan, Arc::clone(&self.context))?;
        Ok(write_sorted_stream(&self.merge.table, stream).await?)
    }
}

fn number_of(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}

/// `t = s` or `s = t`, as (target, source).
fn equated_columns(expr: &Expr) -> Option<(&Expr, &Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return None };
    let side = |expr: &Expr| match expr {
        Expr::Column(Column { name, .. }) => name.chars().next(),
        _ => None,
    };
    match (side(left)?, side(right)?) {
        ('t', 's') => Some((left, right)),
        ('s', 't') => Some((right, left)),
        _ => None,
    }
}

/// Columns of the merge schema by place: the first `width` are the target's.
fn rename(expr: Expr, schema: &DFSchemaRef, width: usize) -> PlanResult<Expr> {
    expr.transform_up(|node| match node {
        Expr::Column(column) => {
            let place = schema.index_of_column(&column)?;
            let name = if place < width { format!("t{place}") } else { format!("s{}", place - width) };
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
        }
        other => Ok(Transformed::no(other)),
    })
    .map(|transformed| transformed.data)
}
