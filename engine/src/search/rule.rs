//! The rule that tells scans what is wanted of their rows beyond filters.
//!
//! Two things are told. A scan below `ORDER BY … LIMIT k` whose first key is the distance of one of its columns to a constant,
//! or how well one matches a query, is told so, and may give the best rows alone: the sort stays, and ranks them exactly. And a
//! scan whose rows are ranked by `bm25` has to know the words of its whole table first. Questions are filters that are always
//! true ([`Question`]), so nothing depends on whether anybody answers them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::{Sort, TableScan};
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::bm25::{Ranking, Score};
use super::distances::Comparison;
use super::question::{Question, Wanted};
use super::scanned::ScannedRows;
use crate::storage::provider::DeltaTableProvider;

/// Puts questions among the filters of scans.
#[derive(Debug)]
pub(crate) struct AskIndexes;

impl OptimizerRule for AskIndexes {
    fn name(&self) -> &str {
        "ask_indexes"
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !is_about_search(&plan)? {
            return Ok(Transformed::no(plan));
        }
        let mut rankings = Rankings::default();
        let bound = plan.transform_up_with_subqueries(|node| rankings.bind(node))?;
        let told = bound.data.transform_down_with_subqueries(|node| match node {
            LogicalPlan::Sort(sort) => tell_best(sort),
            other => Ok(Transformed::no(other)),
        })?;
        let all = told.data.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) => rankings.tell(scan),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(if bound.transformed || told.transformed || all.transformed {
            Transformed::yes(all.data)
        } else {
            Transformed::no(all.data)
        })
    }
}

/// Whether anything in `plan` measures distances or ranks by words.
fn is_about_search(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|part| Ok(Score::of(part).is_some() || Comparison::of(part).is_some()))?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// A column of a table.
type Origin = (String, String);

/// The rankings of a statement: calls of `bm25` for one column and query share theirs.
#[derive(Default)]
struct Rankings {
    known: HashMap<(Origin, String), Arc<Ranking>>,
}

impl Rankings {
    /// Gives the calls in `node` their rankings.
    fn bind(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
        node.map_expressions(|expr| {
            expr.transform_up(|part| {
                let Some(score) = Score::of(&part) else { return Ok(Transformed::no(part)) };
                let Some((column, query)) = score.unbound(&part) else { return Ok(Transformed::no(part)) };
                let Some(origin) = inputs.iter().find_map(|input| origin(input, &column)) else {
                    return Ok(Transformed::no(part));
                };
                let key = (origin, query.clone());
                let ranking = match self.known.get(&key) {
                    Some(ranking) => Arc::clone(ranking),
                    None => {
                        let ranking = Arc::new(Ranking::new(&query)?);
                        self.known.insert(key, Arc::clone(&ranking));
                        ranking
                    }
                };
                Ok(Transformed::yes(Score::bound(part, ranking)))
            })
        })
    }

    /// Tells a scan the rankings of its table that it does not know of.
    fn tell(&self, mut scan: TableScan) -> Result<Transformed<LogicalPlan>> {
        let Some(table) = table_of(&scan) else { return Ok(Transformed::no(LogicalPlan::TableScan(scan))) };
        let mut told = false;
        for (((_, column), _), ranking) in self.known.iter().filter(|(((of, _), _), _)| *of == table) {
            let knows = scan.filters.iter().filter_map(Question::of).any(|question| question.ranks_by(ranking));
            if !knows {
                let wanted = Wanted::Statistics(Arc::clone(ranking));
                scan.filters.push(Question { column: column.clone(), wanted }.into_filter());
                told = true;
            }
        }
        let plan = LogicalPlan::TableScan(scan);
        Ok(if told { Transformed::yes(plan) } else { Transformed::no(plan) })
    }
}

/// The table that `scan` reads, if it is one of the database as it is now.
fn table_of(scan: &TableScan) -> Option<String> {
    let provider = source_as_provider(&scan.source).ok()?;
    let provider: &dyn std::any::Any = provider.as_ref();
    provider.downcast_ref::<DeltaTableProvider>().map(|table| table.table_name().to_owned())
}

/// The table and column that `column` of `plan` comes from unchanged.
fn origin(plan: &LogicalPlan, column: &Column) -> Option<Origin> {
    let index = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::TableScan(scan) => Some((table_of(scan)?, column.name.clone())),
        LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, &alias.input.schema().columns().get(index)?.clone()),
        LogicalPlan::Projection(projection) => match projection.expr.get(index)?.clone().unalias() {
            Expr::Column(inner) => origin(&projection.input, &inner),
            _ => None,
        },
        other => other.inputs().into_iter().find_map(|input| origin(input, column)),
    }
}

/// Tells the scan below `sort` that the best rows are enough, if they are.
fn tell_best(sort: Sort) -> Result<Transformed<LogicalPlan>> {
    let told = match (sort.fetch, sort.expr.first()) {
        (Some(k), Some(key)) => with_best(&sort.input, key, k)?,
        _ => None,
    };
    Ok(match told {
        Some(input) => Transformed::yes(LogicalPlan::Sort(Sort { input: Arc::new(input), ..sort })),
        None => Transformed::no(LogicalPlan::Sort(sort)),
    })
}

/// `plan` with its scan told that the `k` rows that come first by `key` are wanted.
fn with_best(plan: &LogicalPlan, key: &SortExpr, k: usize) -> Result<Option<LogicalPlan>> {
    let rows = ScannedRows::below(plan).filter(|rows| table_of(rows.scan).is_some() && rows.are_known_to_scan());
    let Some(rows) = rows else { return Ok(None) };
    let Some(expr) = rows.over_scan(&key.expr, plan.schema()) else { return Ok(None) };
    let Some(question) = best(&expr, key, k) else { return Ok(None) };
    if rows.scan.filters.iter().any(|filter| Question::of(filter).is_some()) {
        return Ok(None);
    }
    let marker = question.into_filter();
    let told = plan.clone().transform_down(|node| match node {
        LogicalPlan::TableScan(mut scan) => {
            scan.filters.push(marker.clone());
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(Some(told.data))
}

/// The question that a sort key asks.
fn best(expr: &Expr, key: &SortExpr, k: usize) -> Option<Question> {
    if let Some(comparison) = Comparison::of(expr).filter(|_| key.asc && !key.nulls_first) {
        let Comparison { column, vector, metric } = comparison;
        return Some(Question { column: column.name, wanted: Wanted::Nearest { vector: Arc::new(vector), metric, k } });
    }
    let score = Score::of(expr).filter(|_| !key.asc)?;
    let (column, ranking) = score.ranked(expr)?;
    Some(Question { column: column.name, wanted: Wanted::Best { ranking, k } })
}
