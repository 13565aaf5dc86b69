//! Telling look-ups from other statements by their plans.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{Cast, Sort as SortKey, TryCast};
use datafusion::logical_expr::{
    BinaryExpr, Expr, FetchType, Join, JoinType, LogicalPlan, Operator, SkipType, TableScan, Volatility,
};

use super::{Lookup, Node, TableColumns, Value, best};
use crate::schema;
use crate::storage::provider::DeltaTableProvider;

/// The look-up that `plan`, which [`is_promising`], asks for, if it is one.
pub(crate) fn recognize(plan: &LogicalPlan, state: &SessionState) -> Option<Lookup> {
    let optimized = state.optimize(plan).ok()?;
    Some(Lookup { root: Recognizer { state }.node(&optimized)? })
}

/// Whether it is worth optimising `plan` to see whether it is a look-up.
pub(crate) fn is_promising(plan: &LogicalPlan) -> bool {
    asks_by_key(plan) || best::is_promising(plan)
}

/// Whether `plan` is made of the right nodes over tables with a key, and its functions give the same today and
/// tomorrow (the optimiser works them out ahead).
fn asks_by_key(plan: &LogicalPlan) -> bool {
    let mut tables = 0;
    let mut fits = true;
    let _ = plan.apply(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                tables += 1;
                fits &= provider(scan, |table| few_rows_key(table.table_name()).is_some()).unwrap_or(false);
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Join(_) => {}
            _ => fits = false,
        }
        fits &= node.expressions().iter().all(|expr| is_plain(expr, |_| false));
        Ok(if fits { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    fits && (1..=2).contains(&tables)
}

/// Whether an expression has no subqueries, aggregates or windows, and no function whose value may change but those
/// that are `allowed`.
pub(super) fn is_plain(expr: &Expr, allowed: impl Fn(&Expr) -> bool) -> bool {
    let mut plain = true;
    let _ = expr.apply(|expr| {
        plain &= match expr {
            call if allowed(call) => true,
            Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
            Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::ScalarVariable(..) => false,
            _ => true,
        };
        Ok(if plain { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    plain
}

/// Calls `look` with the Delta table that `scan` reads, if it is one.
fn provider<T>(scan: &TableScan, look: impl FnOnce(&DeltaTableProvider) -> T) -> Option<T> {
    let provider = source_as_provider(&scan.source).ok()?;
    Some(look(provider.downcast_ref::<DeltaTableProvider>()?))
}

/// The first columns of a built-in table's sort key that a few rows have in common.
fn few_rows_key(table: &str) -> Option<&'static [&'static str]> {
    let definition = schema::delta_table(table)?;
    definition.sort_key.get(..definition.lookup_columns).filter(|key| !key.is_empty())
}

pub(super) struct Recognizer<'a> {
    state: &'a SessionState,
}

impl Recognizer<'_> {
    fn node(&self, plan: &LogicalPlan) -> Option<Node> {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input),
            LogicalPlan::TableScan(scan) => self.rows(scan),
            LogicalPlan::Filter(filter) => {
                let predicate = self.value(&filter.predicate, filter.input.schema())?;
                Some(Node::Filter { input: Box::new(self.node(&filter.input)?), predicate })
            }
            LogicalPlan::Projection(projection) => {
                let read = projection.input.schema();
                let values = projection.expr.iter().map(|expr| self.value(expr, read)).collect::<Option<_>>()?;
                let schema = Arc::clone(projection.schema.inner());
                let best = || {
                    let LogicalPlan::Sort(sort) = projection.input.as_ref() else { return None };
                    let columns = projection.expr.iter().flat_map(Expr::column_refs);
                    let needed: Option<Vec<_>> = columns.map(|column| read.maybe_index_of_column(column)).collect();
                    self.best(sort, Some(&needed?))
                };
                let input = Box::new(best().or_else(|| self.node(&projection.input))?);
                Some(Node::Project { input, values, schema })
            }
            LogicalPlan::Sort(sort) => {
                if let Some(best) = self.best(sort, None) {
                    return Some(best);
                }
                let by = sort.expr.iter().map(|key| self.sort_key(key, sort.input.schema())).collect::<Option<_>>()?;
                Some(Node::Sort { input: Box::new(self.node(&sort.input)?), by, fetch: sort.fetch })
            }
            LogicalPlan::Limit(limit) => {
                let SkipType::Literal(skip) = limit.get_skip_type().ok()? else { return None };
                let FetchType::Literal(fetch) = limit.get_fetch_type().ok()? else { return None };
                Some(Node::Limit { input: Box::new(self.node(&limit.input)?), skip, fetch })
            }
            LogicalPlan::Join(join) => self.matches(join),
            _ => None,
        }
    }

    fn sort_key(&self, key: &SortKey, schema: &DFSchemaRef) -> Option<(Value, SortOptions)> {
        let options = SortOptions { descending: !key.asc, nulls_first: key.nulls_first };
        Some((self.value(&key.expr, schema)?, options))
    }

    pub(super) fn value(&self, expr: &Expr, schema: &DFSchemaRef) -> Option<Value> {
        let has_parameters = expr.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_)))).ok()?;
        if has_parameters {
            return Some(Value::Open(Box::new(expr.clone()), Arc::clone(schema)));
        }
        self.state.create_physical_expr(expr.clone(), schema).ok().map(Value::Ready)
    }

    fn rows(&self, scan: &TableScan) -> Option<Node> {
        let (name, schema) = table_of(scan)?;
        let key_columns = few_rows_key(&name)?;
        let key = key_columns
            .iter()
            .map(|column| {
                let data_type = schema.field_with_name(column).ok()?.data_type().clone();
                let value = scan.filters.iter().find_map(|filter| equal_to(filter, column, &data_type))?;
                self.value(&value, &Arc::new(DFSchema::empty()))
            })
            .collect::<Option<Vec<_>>>()?;
        let columns = columns_of(scan, &schema);
        let names = key_columns.iter().map(|column| (*column).to_owned()).collect();
        let rows = Node::Rows { table: TableColumns { name, schema, key: names, columns }, key };
        match scan.fetch {
            None => Some(rows),
            // Filters above could still take rows away, so that a limit below them would be wrong.
            Some(_) => None,
        }
    }

    /// An inner join of a look-up to a table by that table's whole key.
    fn matches(&self, join: &Join) -> Option<Node> {
        let [(left, right)] = join.on.as_slice() else { return None };
        if join.join_type != JoinType::Inner || join.filter.is_some() {
            return None;
        }
        let (Expr::Column(left), Expr::Column(right)) = (left, right) else { return None };
        let column = join.left.schema().index_of_column(left).ok()?;
        let scan = bare_scan(&join.right)?;
        let (name, schema) = table_of(scan)?;
        let [key] = few_rows_key(&name)? else { return None };
        if schema::delta_table(&name)?.sort_key.len() != 1 || right.name != *key {
            return None;
        }
        let left_type = join.left.schema().field(column).data_type();
        if left_type != schema.field_with_name(key).ok()?.data_type() {
            return None;
        }
        let columns = columns_of(scan, &schema);
        let table = TableColumns { name, schema, key: vec![(*key).to_owned()], columns };
        let input = Box::new(self.node(&join.left)?);
        Some(Node::Matches { input, column, table, schema: Arc::clone(join.schema.inner()) })
    }
}

/// Name and columns of the Delta table that `scan` reads.
pub(super) fn table_of(scan: &TableScan) -> Option<(String, SchemaRef)> {
    provider(scan, |table| {
        use datafusion::datasource::TableProvider;
        table.is_current().then(|| (table.table_name().to_owned(), table.schema()))
    })?
}

fn columns_of(scan: &TableScan, schema: &SchemaRef) -> Vec<usize> {
    scan.projection.clone().unwrap_or_else(|| (0..schema.fields().len()).collect())
}

/// A scan without filters, under nothing but aliases.
fn bare_scan(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => bare_scan(&alias.input),
        LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => Some(scan),
        _ => None,
    }
}

/// The value that `filter` asks of `column`, brought to the column's type.
fn equal_to(filter: &Expr, column: &str, data_type: &DataType) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else { return None };
    let value = match (is_column(left, column), is_column(right, column)) {
        (true, _) => right,
        (_, true) => left,
        _ => return None,
    };
    let has_columns = !value.column_refs().is_empty();
    (!has_columns).then(|| Expr::TryCast(TryCast::new(value.clone(), data_type.clone())))
}

/// Whether `expr` is the column, or the column as a wider integer (as when a parameter is a bigint).
fn is_column(expr: &Expr, column: &str) -> bool {
    match expr {
        Expr::Column(found) => found.name == column,
        Expr::Cast(Cast { expr, field }) if field.data_type().is_integer() => is_column(expr, column),
        _ => false,
    }
}
