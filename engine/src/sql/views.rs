//! Views that users make: stored as the text of their query, planned anew by every statement that
//! reads them.

use std::sync::Arc;

use datafusion::sql::parser::Statement as PlannerStatement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::command::Command;
use super::conversation::Conversation;
use super::dialect::EngineDialect;
use super::grammar::table_name;
use super::parse::{self, Offsets};
use super::prepared;
use crate::community::StoredView;
use crate::schema::VIEWS;
use crate::{Error, ErrorKind, Result};

/// What a `CREATE VIEW` asks for, its query apart.
pub(crate) struct NewView<'a> {
    pub name: &'a ast::ObjectName,
    pub columns: &'a [ast::Ident],
    pub or_replace: bool,
    pub if_not_exists: bool,
}

/// Makes a view of the query in `text`, a whole `CREATE VIEW`; answers a remark if there is one.
pub(crate) async fn create(session: &Arc<Conversation>, view: &NewView<'_>, text: &str) -> Result<Option<String>> {
    let shared = session.shared();
    let name = table_name(view.name)?;
    let stored = shared.community.views()?;
    let transaction = shared.database.begin();
    let is_table = transaction.table(&name).is_some() || shared.community.table(&name).is_some();
    if is_table || VIEWS.iter().any(|built_in| built_in.name == name) {
        return Err(Error::new(ErrorKind::Duplicate, format!("relation \"{name}\" already exists")));
    }
    if view.if_not_exists && stored.iter().any(|other| other.name == name) {
        return Ok(Some(format!("relation \"{name}\" already exists, skipping")));
    }
    let query = query_text(text)?;
    let sql = match view.columns.is_empty() {
        true => query.to_owned(),
        false => {
            let columns: Vec<String> = view.columns.iter().map(ToString::to_string).collect();
            format!("SELECT * FROM ({query}) AS v ({})", columns.join(", "))
        }
    };
    if reads(&sql, &name, &stored)? {
        return Err(Error::new(ErrorKind::InvalidValue, format!("view \"{name}\" would read itself")));
    }
    let planner = session.planner()?;
    let definition = sql.clone();
    let plan = async move { Ok(planner.plan_view(&transaction, &definition).await?) };
    let plan = shared.runtime.run(plan).await?;
    if prepared::count_parameters_in(&plan)? > 0 {
        return Err(Error::new(ErrorKind::Syntax, "a view cannot have parameters"));
    }
    shared.community.put_view(StoredView { name: name.clone(), sql, comment: None }, view.or_replace).await?;
    shared.view_schemas.put(&name, prepared::columns(&plan));
    Ok(None)
}

/// Drops the view called `name`.
pub(crate) async fn drop(session: &Arc<Conversation>, name: &str) -> Result<()> {
    if VIEWS.iter().any(|view| view.name == name) {
        return Err(Error::new(ErrorKind::Permission, format!("view \"{name}\" is built in and cannot be dropped")));
    }
    if !session.shared().community.drop_view(name).await? {
        return Err(Error::new(ErrorKind::UndefinedTable, format!("view \"{name}\" does not exist")));
    }
    session.shared().view_schemas.remove(name);
    Ok(())
}

/// What follows the first `AS` outside parentheses.
fn query_text(text: &str) -> Result<&str> {
    let malformed = || Error::new(ErrorKind::Syntax, "CREATE VIEW needs AS and a query");
    let tokens = Tokenizer::new(&EngineDialect, text).tokenize_with_location().map_err(|_| malformed())?;
    let mut depth = 0_usize;
    for token in tokens {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && word.quote_style.is_none() && word.value.eq_ignore_ascii_case("as") => {
                let after = Offsets::new(text).byte(text, token.span.end);
                return text.get(after..).map(str::trim).ok_or_else(malformed);
            }
            _ => {}
        }
    }
    Err(malformed())
}

/// Whether `sql` reads the view called `name`, by itself or through other views.
fn reads(sql: &str, name: &str, stored: &[StoredView]) -> Result<bool> {
    let mut seen: Vec<String> = Vec::new();
    let mut waiting = vec![sql.to_owned()];
    while let Some(sql) = waiting.pop() {
        for table in tables_of(&sql)? {
            if table == name {
                return Ok(true);
            }
            if !seen.contains(&table)
                && let Some(view) = stored.iter().find(|view| view.name == table)
            {
                waiting.push(view.sql.clone());
                seen.push(table);
            }
        }
    }
    Ok(false)
}

fn tables_of(sql: &str) -> Result<Vec<String>> {
    let statement = parse::parse_one(sql)?;
    let Command::Query(query) = statement.command.as_ref() else {
        return Err(Error::new(ErrorKind::Syntax, "a view is made of a query"));
    };
    let (references, _) = resolve_table_references(&PlannerStatement::Statement(query.clone()), true)?;
    Ok(references.iter().map(|reference| reference.table().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_views_query_is_what_follows_as() {
        let text = "CREATE VIEW v (\"as\", b) AS SELECT 1 AS x, 2";
        assert_eq!(query_text(text).unwrap(), "SELECT 1 AS x, 2");
    }

    #[test]
    fn views_that_read_themselves_are_found_through_others() {
        let view = |name: &str, sql: &str| StoredView { name: name.into(), sql: sql.into(), comment: None };
        let stored = [view("a", "SELECT * FROM b"), view("b", "SELECT * FROM c, t")];
        assert!(reads("SELECT * FROM a", "c", &stored).unwrap());
        assert!(!reads("SELECT * FROM b", "a", &stored).unwrap());
    }
}
