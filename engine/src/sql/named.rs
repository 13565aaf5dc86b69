//! `PREPARE`, `EXECUTE`, `DEALLOCATE`: statements prepared by name, in SQL.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast;

use super::conversation::Conversation;
use super::{constants, dispatch};
use crate::{Error, ErrorKind, Outcome, Result, Statement};

/// `PREPARE name (types) AS statement`.
pub(crate) async fn prepare(
    session: &Arc<Conversation>,
    name: &str,
    types: &[ast::DataType],
    statement: &Statement,
) -> Result<Outcome> {
    if session.named().contains_key(name) {
        return Err(Error::new(ErrorKind::Duplicate, format!("prepared statement \"{name}\" already exists"))
            .with_hint(format!("DEALLOCATE {name}")));
    }
    let hints: Vec<Option<DataType>> =
        types.iter().map(|written| constants::data_type(session, written).map(Some)).collect::<Result<_>>()?;
    let prepared = Box::pin(super::prepared::prepare(session, statement, &hints)).await?;
    session.named().insert(name.to_owned(), prepared);
    Ok(Outcome::Done { command: "PREPARE", notice: None })
}

/// `EXECUTE name(arguments)`.
pub(crate) async fn execute(session: &Arc<Conversation>, name: &str, arguments: &[ast::Expr]) -> Result<Outcome> {
    let prepared = session.named().get(name).cloned().ok_or_else(|| undefined(name))?;
    let values: Vec<ScalarValue> =
        arguments.iter().map(|argument| constants::value(session, argument)).collect::<Result<_>>()?;
    dispatch::execute(session, &prepared, values).await
}

/// `DEALLOCATE name`, or of all.
pub(crate) fn deallocate(session: &Arc<Conversation>, name: Option<&str>) -> Result<Outcome> {
    match name {
        Some(name) => {
            session.named().remove(name).ok_or_else(|| undefined(name))?;
            Ok(Outcome::Done { command: "DEALLOCATE", notice: None })
        }
        None => {
            session.named().clear();
            Ok(Outcome::Done { command: "DEALLOCATE ALL", notice: None })
        }
    }
}

fn undefined(name: &str) -> Error {
    Error::new(ErrorKind::UndefinedObject, format!("prepared statement \"{name}\" does not exist"))
}
