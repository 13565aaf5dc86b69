//! `INSERT … ON CONFLICT`, rewritten to `MERGE`, which the planner and the tables understand.
//!
//! ```sql
//! INSERT INTO t (k, v) VALUES (1, 2) ON CONFLICT (k) DO UPDATE SET v = excluded.v
//! MERGE INTO t USING (VALUES (1, 2)) AS excluded (k, v) ON t.k = excluded.k
//!   WHEN MATCHED THEN UPDATE SET v = excluded.v
//!   WHEN NOT MATCHED THEN INSERT (k, v) VALUES (excluded.k, excluded.v)
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    self, Assignment, BinaryOperator, ConflictTarget, DoUpdate, Expr, Ident, Insert, MergeAction, MergeClause,
    MergeClauseKind, MergeInsertExpr, MergeInsertKind, MergeUpdateExpr, ObjectName, OnConflictAction, OnInsert, Parens,
    Statement, TableAlias, TableAliasColumnDef, TableFactor, TableObject, Values, VisitMut, VisitorMut,
};

use super::conversation::Conversation;
use super::grammar::{fold, table_name};
use crate::storage::transaction::Transaction;
use crate::{Error, ErrorKind, Result};

/// What the rows that were to be inserted are called.
const EXCLUDED: &str = "excluded";

/// `insert` as a `MERGE`.
pub(crate) async fn to_merge(
    session: &Arc<Conversation>,
    transaction: &Arc<Transaction>,
    insert: &Insert,
) -> Result<Statement> {
    let TableObject::TableName(target) = &insert.table else {
        return Err(Error::new(ErrorKind::Unsupported, "INSERT into this kind of target is not supported"));
    };
    let table = table_name(target)?;
    let Some(OnInsert::OnConflict(conflict)) = &insert.on else {
        return Err(Error::new(ErrorKind::Unsupported, "ON DUPLICATE KEY is not supported").with_hint("ON CONFLICT"));
    };
    let all = session.shared().columns(transaction, &table)?;
    let columns: Vec<String> = match insert.columns.is_empty() {
        true => all.clone(),
        false => insert.columns.iter().filter_map(|name| name.0.last()?.as_ident().map(fold)).collect(),
    };
    let key = key(session, &table, conflict)?;
    if let Some(missing) = key.iter().find(|column| !columns.contains(column)) {
        return Err(Error::new(ErrorKind::InvalidValue, format!("ON CONFLICT by \"{missing}\", which gets no value"))
            .with_hint("name it among the inserted columns"));
    }
    let qualifier = match &insert.table_alias {
        Some(alias) => alias.alias.clone(),
        None => ident(&table),
    };
    let mut clauses = vec![];
    if let OnConflictAction::DoUpdate(update) = &conflict.action {
        // Without this clause, DO NOTHING, rows that are there already match nothing and stay.
        clauses.push(when_matched(update, &qualifier, &all));
    }
    clauses.push(when_not_matched(&columns));
    Ok(Statement::Merge(ast::Merge {
        merge_token: AttachedToken::empty(),
        optimizer_hints: vec![],
        into: true,
        table: target_factor(&table, insert),
        source: source(insert, &columns)?,
        on: Box::new(same_key(&qualifier, &key)),
        clauses,
        output: None,
    }))
}

/// The columns that tell whether a row is there already.
fn key(session: &Arc<Conversation>, table: &str, conflict: &ast::OnConflict) -> Result<Vec<String>> {
    let primary = session.shared().primary_key(table);
    match &conflict.conflict_target {
        Some(ConflictTarget::Columns(columns)) => {
            let named: Vec<String> = columns.iter().map(fold).collect();
            let mut sorted = (named.clone(), primary.clone());
            sorted.0.sort();
            sorted.1.sort();
            if sorted.0 == sorted.1 {
                return Ok(named);
            }
            Err(Error::new(
                ErrorKind::InvalidValue,
                "there is no unique constraint matching the ON CONFLICT specification",
            )
            .with_hint(match primary.is_empty() {
                true => format!("\"{table}\" has no primary key"),
                false => format!("the primary key of \"{table}\" is ({})", primary.join(", ")),
            }))
        }
        Some(ConflictTarget::OnConstraint(_)) | None if !primary.is_empty() => Ok(primary),
        _ => Err(Error::new(ErrorKind::InvalidValue, format!("\"{table}\" has no primary key to conflict with"))),
    }
}

fn target_factor(table: &str, insert: &Insert) -> TableFactor {
    TableFactor::Table {
        name: ObjectName::from(vec![ident(table)]),
        alias: insert.table_alias.as_ref().map(|alias| TableAlias {
            explicit: true,
            name: alias.alias.clone(),
            columns: vec![],
            at: None,
        }),
        args: None,
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    }
}

/// The inserted rows, under the name that `SET` refers to them by.
fn source(insert: &Insert, columns: &[String]) -> Result<TableFactor> {
    let query = insert.source.clone().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "INSERT … DEFAULT VALUES with ON CONFLICT is not supported")
    })?;
    let columns = columns.iter().map(|column| TableAliasColumnDef { name: ident(column), data_type: None }).collect();
    let alias = TableAlias { explicit: true, name: ident(EXCLUDED), columns, at: None };
    Ok(TableFactor::Derived { lateral: false, subquery: query, alias: Some(alias), sample: None })
}

fn same_key(target: &Ident, key: &[String]) -> Expr {
    let equal = |column: &String| Expr::BinaryOp {
        left: Box::new(Expr::CompoundIdentifier(vec![target.clone(), ident(column)])),
        op: BinaryOperator::Eq,
        right: Box::new(excluded(column)),
    };
    let and = |left: Expr, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    };
    key.iter().map(equal).reduce(and).unwrap_or_else(|| Expr::Value(ast::Value::Boolean(false).with_empty_span()))
}

fn when_matched(update: &DoUpdate, target: &Ident, columns: &[String]) -> MergeClause {
    let mut assignments: Vec<Assignment> = update.assignments.clone();
    let mut predicate = update.selection.clone();
    let mut qualifier = Qualifier { target, columns };
    for assignment in &mut assignments {
        let _ = VisitMut::visit(&mut assignment.value, &mut qualifier);
    }
    let _ = VisitMut::visit(&mut predicate, &mut qualifier);
    MergeClause {
        when_token: AttachedToken::empty(),
        clause_kind: MergeClauseKind::Matched,
        predicate,
        action: MergeAction::Update(MergeUpdateExpr {
            update_token: AttachedToken::empty(),
            assignments,
            update_predicate: None,
            delete_predicate: None,
        }),
    }
}

/// A bare column in `SET` or `WHERE` is the stored row's; to `MERGE` it would be ambiguous.
struct Qualifier<'a> {
    target: &'a Ident,
    columns: &'a [String],
}

impl VisitorMut for Qualifier<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.columns.contains(&fold(name))
        {
            *expr = Expr::CompoundIdentifier(vec![self.target.clone(), name.clone()]);
        }
        ControlFlow::Continue(())
    }
}

fn when_not_matched(columns: &[String]) -> MergeClause {
    MergeClause {
        when_token: AttachedToken::empty(),
        clause_kind: MergeClauseKind::NotMatched,
        predicate: None,
        action: MergeAction::Insert(MergeInsertExpr {
            insert_token: AttachedToken::empty(),
            columns: columns.iter().map(|column| ObjectName::from(vec![ident(column)])).collect(),
            kind_token: AttachedToken::empty(),
            kind: MergeInsertKind::Values(Values {
                explicit_row: false,
                value_keyword: false,
                rows: vec![Parens {
                    opening_token: AttachedToken::empty(),
                    content: columns.iter().map(|column| excluded(column)).collect(),
                    closing_token: AttachedToken::empty(),
                }],
            }),
            insert_predicate: None,
        }),
    }
}

fn excluded(column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![ident(EXCLUDED), ident(column)])
}

fn ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}
