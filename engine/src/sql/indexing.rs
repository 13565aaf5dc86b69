//! `CREATE INDEX … USING text|vector (column)`, and `DROP INDEX`.
//!
//! An index is there, and used, as soon as it is defined; `CREATE INDEX` waits until it covers the table, and
//! `CREATE INDEX CONCURRENTLY` does not. A wait that is cancelled leaves the index, which is built in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::sql::sqlparser::ast;

use super::conversation::Conversation;
use super::grammar::{fold, table_name};
use super::notices::Reached;
use crate::search::definition::{IndexDefinition, IndexKind, VectorOptions};
use crate::search::upkeep;
use crate::{Error, ErrorKind, Result};

/// Parts of a build between two notices, in percent.
const STEP: u64 = 10;

/// Makes an index; a remark if there was one already.
pub(crate) async fn create(session: &Arc<Conversation>, create: &ast::CreateIndex) -> Result<Option<String>> {
    let definition = definition(session, create)?;
    let shared = session.shared();
    if create.if_not_exists && shared.indexes.get(&definition.name).is_some() {
        return Ok(Some(format!("relation \"{}\" already exists, skipping", definition.name)));
    }
    let index = shared.indexes.create(definition)?;
    if create.concurrently {
        return Ok(None);
    }
    let name = index.definition.name.clone();
    let (notices, shown, told) = (session.notices().clone(), name.clone(), AtomicU64::new(0));
    let progress = move |done: u64, total: u64| {
        notices.reach(Reached { stage: format!("building {shown}"), unit: "rows", done, total: Some(total) });
        let share = (done * 100).checked_div(total).unwrap_or(0);
        if share >= told.load(Ordering::Relaxed) + STEP {
            told.store(share, Ordering::Relaxed);
            notices.say(format!("building {shown}: {done} of {total} rows ({share} %)"));
        }
    };
    let (own, pool) = (Arc::clone(shared), shared.runtime.clone());
    let built =
        session.stop().race(pool.run(async move { upkeep::build(&own, &index, Arc::new(progress)).await })).await;
    if let Err(error) = built {
        // A column that cannot be indexed has no index; one that was only not waited for has.
        if error.kind() != ErrorKind::Cancelled {
            shared.indexes.remove(&name)?;
        }
        return Err(error);
    }
    Ok(None)
}

/// Deletes an index.
pub(crate) fn drop(session: &Arc<Conversation>, name: &str) -> Result<()> {
    session.shared().indexes.remove(name)
}

fn definition(session: &Arc<Conversation>, create: &ast::CreateIndex) -> Result<IndexDefinition> {
    let unsupported = |what: &str| Error::new(ErrorKind::Unsupported, format!("{what} is not supported"));
    if create.unique {
        return Err(unsupported("CREATE UNIQUE INDEX")
            .with_hint("keys are declared with the table, and not enforced on append"));
    }
    if create.predicate.is_some() {
        return Err(unsupported("a partial index"));
    }
    let table = table_name(&create.table_name)?;
    let mut kind = match create.using.as_ref().map(ToString::to_string).unwrap_or_default().to_lowercase().as_str() {
        "text" | "bm25" => IndexKind::Text,
        "vector" | "hnsw" => IndexKind::Vector(VectorOptions::default()),
        "" | "btree" | "hash" => {
            return Err(unsupported("an index of a key")
                .with_hint("tables are sorted by their key; USING text and USING vector index words and vectors"));
        }
        other => {
            return Err(Error::new(ErrorKind::UndefinedObject, format!("access method \"{other}\" does not exist"))
                .with_hint("there are text and vector"));
        }
    };
    let [indexed] = create.columns.as_slice() else {
        return Err(unsupported("an index of several columns").with_hint("make one index for each column"));
    };
    let ast::Expr::Identifier(column) = &indexed.column.expr else {
        return Err(unsupported("an index of an expression").with_hint("name a column"));
    };
    let column = fold(column);
    check_column(session, &table, &column, &kind)?;
    if let (IndexKind::Vector(options), Some(class)) = (&mut kind, &indexed.operator_class) {
        options.set_operator_class(&class.to_string().to_lowercase())?;
    }
    for option in &create.with {
        set_option(&mut kind, option)?;
    }
    let name = match &create.name {
        Some(name) => table_name(name)?,
        None => format!("{table}_{column}_{}", kind.name()),
    };
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(Error::new(ErrorKind::InvalidValue, format!("\"{name}\" cannot be the name of an index")));
    }
    Ok(IndexDefinition { name, table, column, kind })
}

fn check_column(session: &Arc<Conversation>, table: &str, column: &str, kind: &IndexKind) -> Result<()> {
    use arrow::datatypes::DataType;
    let transaction = session.current().transaction;
    let provider = transaction.table(table).ok_or_else(|| {
        Error::new(ErrorKind::UndefinedTable, format!("relation \"{table}\" does not exist"))
            .with_hint("community tables are small, and need no index")
    })?;
    let schema = provider.schema();
    let field = schema.field_with_name(column).map_err(|_| {
        Error::new(ErrorKind::UndefinedColumn, format!("column \"{column}\" of relation \"{table}\" does not exist"))
    })?;
    let element = match field.data_type() {
        DataType::List(element) => Some(element.data_type()),
        _ => None,
    };
    let fits = match kind {
        IndexKind::Text => field.data_type() == &DataType::Utf8 || element == Some(&DataType::Utf8),
        IndexKind::Vector(_) => element.is_some_and(DataType::is_floating),
    };
    if fits {
        return Ok(());
    }
    let wanted = if *kind == IndexKind::Text { "text or text[]" } else { "real[] or vector" };
    Err(Error::new(
        ErrorKind::TypeMismatch,
        format!("column \"{column}\" cannot have a {} index: it is not {wanted}", kind.name()),
    ))
}

/// `name = value` of `WITH (…)`.
fn set_option(kind: &mut IndexKind, option: &ast::Expr) -> Result<()> {
    let malformed = || Error::new(ErrorKind::Syntax, format!("{option} is no option")).with_hint("write name = value");
    let ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } = option else { return Err(malformed()) };
    let ast::Expr::Identifier(name) = left.as_ref() else { return Err(malformed()) };
    let value = right.to_string();
    match kind {
        IndexKind::Text => Err(Error::new(ErrorKind::InvalidValue, format!("a text index has no option {name}"))),
        IndexKind::Vector(options) => options.set(&fold(name), value.trim_matches('\'')),
    }
}
