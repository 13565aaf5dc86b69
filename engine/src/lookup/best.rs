//! Telling searches for the best rows of a table from other statements by their plans.
//!
//! A search sorts a table's rows by how well they match a query that is also their only condition, or by their distance to a
//! vector without any condition, and takes the first few. What it makes of the rows' other columns may be anything.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::logical_plan::Sort;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::recognize::{Recognizer, is_plain, table_of};
use super::{By, Node, TableColumns};
use crate::search::ScannedRows;
use crate::search::bm25::Score;
use crate::search::distances::comparison;
use crate::search::text_functions::MATCH;

/// Most rows that are asked for in this way; more are better read by a scan.
const MOST: usize = 1000;

/// Column of a row's score.
pub(super) const SCORE: &str = "__score";

/// Whether it is worth optimising `plan` to see whether it is a search: it ranks the rows of one table.
pub(super) fn is_promising(plan: &LogicalPlan) -> bool {
    let (mut tables, mut ranks, mut fits) = (0, false, true);
    let _ = plan.apply(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                tables += 1;
                fits &= table_of(scan).is_some();
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_) => {}
            _ => fits = false,
        }
        for expr in node.expressions() {
            fits &= is_plain(&expr, |call| Score::of(call).is_some());
            ranks |= expr.exists(|part| Ok(Score::of(part).is_some() || comparison(part).is_some())).unwrap_or(false);
        }
        Ok(if fits { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    fits && ranks && tables == 1
}

impl Recognizer<'_> {
    /// The search that `sort` asks for. Of its columns only those in `needed` will be looked at; all, if it is none.
    pub(super) fn best(&self, sort: &Sort, needed: Option<&[usize]>) -> Option<Node> {
        let k = sort.fetch.filter(|k| *k <= MOST)?;
        let [key] = sort.expr.as_slice() else { return None };
        let rows = ScannedRows::below(&sort.input)?;
        let ranked = rows.over_scan(&key.expr, sort.input.schema())?;
        let (name, schema) = table_of(rows.scan)?;
        let (column, by) = match Score::of(&ranked) {
            Some(score) if !key.asc => {
                let (column, query) = score.parts(&ranked)?;
                has_only_match(&rows, &column, &query).then_some(())?;
                (column, By::Words { query: self.value(&query, &Arc::new(DFSchema::empty()))? })
            }
            None if key.asc && !key.nulls_first => {
                let (column, metric, vector) = comparison(&ranked)?;
                rows.filters().all(|filter| is_present(filter, &column)).then_some(())?;
                (column, By::Nearest { vector: self.value(&vector, &Arc::new(DFSchema::empty()))?, metric })
            }
            _ => return None,
        };
        let outputs: Vec<Expr> = (0..sort.input.schema().fields().len())
            .map(|index| {
                let is_needed = needed.is_none_or(|needed| needed.contains(&index));
                let unused = || {
                    let of_type = ScalarValue::try_from(sort.input.schema().field(index).data_type());
                    of_type.ok().map(|null| Expr::Literal(null, None))
                };
                let output = if is_needed { rows.output(index).cloned() } else { unused() };
                output.and_then(|output| score_column(output, &ranked))
            })
            .collect::<Option<_>>()?;
        let mut columns: Vec<usize> = outputs
            .iter()
            .flat_map(Expr::column_refs)
            .filter(|column| column.name != SCORE)
            .map(|column| schema.index_of(&column.name).ok())
            .collect::<Option<_>>()?;
        columns.sort_unstable();
        columns.dedup();
        let is_scored = matches!(by, By::Words { .. });
        // A distance that is asked for has to be exact, and to be in order.
        if !is_scored && outputs.iter().any(|output| reads(output, &column)) {
            return None;
        }
        let found = DFSchema::try_from(found_schema(&schema, &columns, is_scored)?).ok().map(Arc::new)?;
        let values = outputs.iter().map(|output| self.value(output, &found)).collect::<Option<_>>()?;
        let table = TableColumns { name, schema, key: vec![column.name], columns };
        let input = Box::new(Node::Best { table, by, k });
        Some(Node::Project { input, values, schema: Arc::clone(sort.input.schema().inner()) })
    }
}

/// What [`Node::Best`] gives: columns of the table, and the score.
pub(super) fn found_schema(schema: &SchemaRef, columns: &[usize], is_scored: bool) -> Option<Schema> {
    let fields = schema.project(columns).ok()?.fields().iter().cloned().collect::<Vec<_>>();
    let score = is_scored.then(|| Arc::new(Field::new(SCORE, DataType::Float32, false)));
    Some(Schema::new(fields.into_iter().chain(score).collect::<Vec<_>>()))
}

fn reads(expr: &Expr, column: &Column) -> bool {
    expr.column_refs().iter().any(|read| read.name == column.name)
}

/// `expr` with the score's column in the place of its call.
fn score_column(expr: Expr, score: &Expr) -> Option<Expr> {
    let replaced = expr.transform_down(|part| {
        let is_score = part == *score && Score::of(&part).is_some();
        Ok(if is_score {
            Transformed::new(Expr::Column(Column::from_name(SCORE)), true, TreeNodeRecursion::Jump)
        } else {
            Transformed::no(part)
        })
    });
    let replaced = replaced.ok()?.data;
    // Another score than the one that rows are sorted by is not known.
    let is_whole = !replaced.exists(|part| Ok(Score::of(part).is_some())).ok()?;
    is_whole.then_some(replaced)
}

/// Whether the rows that match are asked for, and no others are left out.
fn has_only_match(rows: &ScannedRows<'_>, column: &Column, query: &Expr) -> bool {
    let is_match = |filter: &Expr| match filter {
        Expr::ScalarFunction(call) if call.func.name() == MATCH => match call.args.as_slice() {
            [Expr::Column(matched), text] => matched.name == column.name && text == query,
            _ => false,
        },
        _ => false,
    };
    // Where a match is asked for, texts that are null are left out anyway.
    rows.filters().any(is_match) && rows.filters().all(|filter| is_match(filter) || is_present(filter, column))
}

/// Whether `filter` asks that the column is not null.
fn is_present(filter: &Expr, column: &Column) -> bool {
    matches!(filter, Expr::IsNotNull(inner) if matches!(inner.as_ref(), Expr::Column(own) if own.name == column.name))
}
