//! Rows of one scan, seen from above: what became of its columns, and which of its rows are left.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::logical_plan::TableScan;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::question::Question;

/// Rows of a scan, as projections, filters and aliases leave them. Expressions here are over the scan's columns, without
/// qualifiers.
pub(crate) struct ScannedRows<'a> {
    pub(crate) scan: &'a TableScan,
    outputs: Vec<Expr>,
    /// Those that the scan knows.
    pushed: Vec<Expr>,
    /// Those above it that it does not know.
    above: Vec<Expr>,
}

impl<'a> ScannedRows<'a> {
    /// The rows that `plan` gives; none if it does anything else with them.
    pub(crate) fn below(plan: &'a LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
                let columns = scan.projected_schema.columns().into_iter();
                let outputs = columns.map(|column| Expr::Column(Column::from_name(column.name))).collect();
                let pushed = Question::among(&scan.filters).1.into_iter().map(unnormalize_col).collect();
                Some(Self { scan, outputs, pushed, above: Vec::new() })
            }
            LogicalPlan::SubqueryAlias(alias) => Self::below(&alias.input),
            LogicalPlan::Projection(projection) => {
                let below = Self::below(&projection.input)?;
                let over = |expr: &Expr| below.over_scan(expr, projection.input.schema());
                let outputs = projection.expr.iter().map(over).collect::<Option<_>>()?;
                Some(Self { outputs, ..below })
            }
            LogicalPlan::Filter(filter) => {
                let mut below = Self::below(&filter.input)?;
                for part in split_conjunction(&filter.predicate) {
                    let part = below.over_scan(part, filter.input.schema())?;
                    if !below.filters().any(|known| *known == part) {
                        below.above.push(part);
                    }
                }
                Some(below)
            }
            _ => None,
        }
    }

    /// What column `index` is.
    pub(crate) fn output(&self, index: usize) -> Option<&Expr> {
        self.outputs.get(index)
    }

    /// The conditions on the rows.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &Expr> {
        self.pushed.iter().chain(&self.above)
    }

    /// Whether the scan knows all conditions.
    pub(crate) fn are_known_to_scan(&self) -> bool {
        self.above.is_empty()
    }

    /// What `expr`, over columns of `schema`, the rows' own, is over those of the scan.
    pub(crate) fn over_scan(&self, expr: &Expr, schema: &DFSchemaRef) -> Option<Expr> {
        let mut is_whole = true;
        let over = expr.clone().unalias_nested().data.transform_up(|part| {
            let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
            let output = schema.maybe_index_of_column(column).and_then(|index| self.outputs.get(index)).cloned();
            is_whole &= output.is_some();
            Ok(output.map_or_else(|| Transformed::no(part), Transformed::yes))
        });
        over.ok().filter(|_| is_whole).map(|over| over.data)
    }
}
