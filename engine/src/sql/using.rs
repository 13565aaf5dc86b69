//! Columns that a join shares, in conditions: `a JOIN b USING (x) WHERE x = 1`.
//!
//! DataFusion 55 takes such a column for an ambiguous one in `WHERE`, and nowhere else. It is given the table whose value it has:
//! the right one of an inner or right join, the left one of a left join. Where that cannot be told from the text, as in a full
//! join, the column stays as it is.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, Query, Select, Statement, TableFactor, VisitMut, VisitorMut,
};

/// Names the tables of shared columns in every `WHERE` of `statement`.
pub(crate) fn name_tables(statement: &mut Statement) {
    let ControlFlow::Continue(()) = statement.visit(&mut Selects);
}

/// Never breaks.
type Never = std::convert::Infallible;

struct Selects;

impl VisitorMut for Selects {
    type Break = Never;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Never> {
        // With further tables beside the join, a column that they have too is ambiguous indeed.
        if let ([from], Some(condition)) = (select.from.as_slice(), &mut select.selection) {
            let owners = owners(&from.relation, &from.joins);
            if !owners.is_empty() {
                return condition.visit(&mut Condition { owners, depth: 0 });
            }
        }
        ControlFlow::Continue(())
    }
}

/// The table that each shared column has its value from, by the column's name.
fn owners(first: &TableFactor, joins: &[Join]) -> HashMap<String, Ident> {
    let mut owners: HashMap<String, Option<Ident>> = HashMap::new();
    for (number, join) in joins.iter().enumerate() {
        let (constraint, side) = match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint) => (constraint, Side::Right),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (constraint, Side::Left),
            JoinOperator::FullOuter(constraint) => (constraint, Side::Neither),
            _ => continue,
        };
        let JoinConstraint::Using(columns) = constraint else { continue };
        for column in columns.iter().filter_map(|name| name.0.last()?.as_ident()) {
            let known = owners.get(&folded(column)).cloned();
            let owner = match side {
                Side::Right => name_of(&join.relation),
                Side::Left => known.unwrap_or_else(|| if number == 0 { name_of(first) } else { None }),
                Side::Neither => None,
            };
            owners.insert(folded(column), owner);
        }
    }
    owners.into_iter().filter_map(|(column, owner)| Some((column, owner?))).collect()
}

/// Whose value a join's shared column has.
enum Side {
    Left,
    Right,
    Neither,
}

/// The name that a table goes by in its statement, if it has one.
fn name_of(table: &TableFactor) -> Option<Ident> {
    match table {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::TableFunction { alias: Some(alias), .. } => Some(alias.name.clone()),
        TableFactor::Table { name, alias: None, .. } => name.0.last()?.as_ident().cloned(),
        _ => None,
    }
}

/// An identifier as it is looked up.
fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Puts tables before the shared columns of one condition; queries within have names of their own.
struct Condition {
    owners: HashMap<String, Ident>,
    depth: usize,
}

impl VisitorMut for Condition {
    type Break = Never;

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Never> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Never> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Never> {
        if self.depth == 0
            && let Expr::Identifier(column) = expr
            && let Some(owner) = self.owners.get(&folded(column))
        {
            *expr = Expr::CompoundIdentifier(vec![owner.clone(), column.clone()]);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn condition_of(from: &str, condition: &str) -> String {
        let text = format!("SELECT * FROM {from} WHERE {condition}");
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, &text).unwrap().remove(0);
        name_tables(&mut statement);
        statement.to_string().split_once(" WHERE ").unwrap().1.to_owned()
    }

    #[test]
    fn a_shared_column_has_the_value_of_the_side_that_is_always_there() {
        assert_eq!(condition_of("a JOIN b USING (x)", "x = 1 AND y = 2"), "b.x = 1 AND y = 2");
        assert_eq!(condition_of("a LEFT JOIN s.b AS c USING (x)", "X = 1"), "a.X = 1");
        assert_eq!(condition_of("a RIGHT JOIN b USING (x)", "abs(x) > 1"), "abs(b.x) > 1");
        assert_eq!(condition_of("a JOIN b USING (x) LEFT JOIN c USING (x, y)", "x = y"), "b.x = y");
        assert_eq!(condition_of("a FULL JOIN b USING (x)", "x = 1"), "x = 1");
    }

    #[test]
    fn names_of_other_queries_stay() {
        let within = "x IN (SELECT x FROM t WHERE x > 1)";
        assert_eq!(condition_of("a JOIN b USING (x)", within), "b.x IN (SELECT x FROM t WHERE x > 1)");
        assert_eq!(condition_of("a JOIN b ON a.x = b.x", "x = 1"), "x = 1");
        assert_eq!(condition_of("a JOIN b USING (x), c", "x = 1"), "x = 1");
    }
}
