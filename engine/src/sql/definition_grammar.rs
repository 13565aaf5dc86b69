//! Statements that change definitions: tables, views, comments, users.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::command::{Command, Definition};
use super::grammar::{Reader, table_name};
use crate::{Error, ErrorKind, Result};

/// Sorts a statement of the planner's grammar that changes definitions.
pub(crate) fn from_ast(statement: ast::Statement) -> Result<Command> {
    use ast::Statement as S;
    let definition = match statement {
        S::CreateTable(create) => Definition::CreateTable(Box::new(create)),
        S::CreateView(view) => create_view(view)?,
        S::Drop { object_type: ast::ObjectType::Table, names, if_exists, .. } => {
            Definition::DropTable { names, if_exists }
        }
        S::Drop { object_type: ast::ObjectType::View, names, if_exists, .. } => {
            Definition::DropView { names, if_exists }
        }
        S::CreateSchema { .. } => return Err(unsupported("CREATE SCHEMA").with_hint("tables are in schema public")),
        S::CreateIndex(create) => Definition::CreateIndex(Box::new(create)),
        S::Drop { object_type: ast::ObjectType::Index, names, if_exists, .. } => {
            Definition::DropIndex { names, if_exists }
        }
        S::AlterTable(_) => {
            return Err(
                unsupported("ALTER TABLE").with_hint("CREATE TABLE new AS SELECT … FROM old, then drop the old one")
            );
        }
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            return Err(unsupported(&words.join(" ")));
        }
    };
    Ok(Command::Definition(definition))
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{what} is not supported"))
}

fn create_view(view: ast::CreateView) -> Result<Definition> {
    if view.materialized {
        return Err(unsupported("a materialized view").with_hint("CREATE TABLE … AS SELECT …"));
    }
    if view.temporary {
        return Err(unsupported("a temporary view").with_hint("leave TEMPORARY out, or use WITH"));
    }
    Ok(Definition::CreateView {
        name: view.name,
        columns: view.columns.into_iter().map(|column| column.name).collect(),
        or_replace: view.or_replace,
        if_not_exists: view.if_not_exists,
    })
}

/// `CREATE|ALTER|DROP USER|ROLE`; `None` if it is about something else.
pub(crate) fn read_role(reader: &mut Reader<'_>, verb: &str) -> Result<Option<Command>> {
    if !reader.accept("USER") && !reader.accept("ROLE") {
        return Ok(None);
    }
    let definition = if verb == "DROP" {
        let if_exists = reader.accept_all(&["IF", "EXISTS"]);
        let mut names = vec![reader.name()?];
        while reader.accept_token(&Token::Comma) {
            names.push(reader.name()?);
        }
        Definition::DropUser { names, if_exists }
    } else {
        let name = reader.name()?;
        let password = role_options(reader)?;
        Definition::PutUser { name, password, create: verb == "CREATE" }
    };
    Ok(Some(Command::Definition(definition)))
}

/// `[WITH] [LOGIN] [PASSWORD '…']`, in any order.
fn role_options(reader: &mut Reader<'_>) -> Result<Option<String>> {
    let mut password = None;
    let _ = reader.accept("WITH");
    while !reader.is_at_end() {
        let _ = reader.accept("ENCRYPTED");
        if reader.accept("PASSWORD") {
            password = match reader.accept("NULL") {
                true => None,
                false => Some(reader.parser.parse_literal_string().map_err(|error| reader.error(error))?),
            };
        } else if !reader.accept("LOGIN") && !reader.accept("SUPERUSER") && !reader.accept("INHERIT") {
            return Err(reader.unexpected());
        }
    }
    Ok(password)
}

/// `COMMENT ON TABLE|VIEW|COLUMN name IS '…'|NULL`.
pub(crate) fn read_comment(reader: &mut Reader<'_>) -> Result<Command> {
    reader.expect("ON")?;
    let kind = reader.next_word().ok_or_else(|| reader.unexpected())?;
    let mut name = reader.parser.parse_object_name(false).map_err(|error| reader.error(error))?;
    let column = match kind.as_str() {
        "TABLE" | "VIEW" => None,
        "COLUMN" => match name.0.pop().as_ref().and_then(|part| part.as_ident()) {
            Some(column) if !name.0.is_empty() => Some(super::grammar::fold(column)),
            _ => return Err(Error::new(ErrorKind::Syntax, "a column is named as table.column")),
        },
        other => return Err(unsupported(&format!("COMMENT ON {other}"))),
    };
    reader.expect("IS")?;
    let comment = match reader.accept("NULL") {
        true => None,
        false => Some(reader.parser.parse_literal_string().map_err(|error| reader.error(error))?),
    };
    Ok(Command::Definition(Definition::Comment { table: table_name(&name)?, column, comment }))
}
