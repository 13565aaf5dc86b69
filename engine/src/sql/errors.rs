//! From the planner's and the executor's errors to ours: an SQLSTATE, a message that names the object,
//! a hint and a position where there is one.

use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::parse::Offsets;
use crate::{Error, ErrorKind};

/// The error of a statement that a timeout ended.
pub(crate) fn timed_out() -> Error {
    Error::new(ErrorKind::Cancelled, "canceling statement due to statement timeout")
}

/// An error of the parser, with its position in `sql`.
pub(crate) fn from_parser(error: ParserError, sql: &str) -> Error {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => {
            return Error::new(ErrorKind::Syntax, "the statement is nested too deeply")
                .with_hint("split it with WITH, or into several statements");
        }
    };
    let (message, location) = split_location(&message);
    let error = Error::new(ErrorKind::Syntax, format!("syntax error: {}", lower_first(message)));
    match location {
        Some(location) => error.with_position(character(sql, location)),
        None => error,
    }
}

/// The error of a token that has no place where it stands.
pub(crate) fn unexpected(token: &TokenWithSpan, sql: &str) -> Error {
    if token.token == Token::EOF {
        return Error::new(ErrorKind::Syntax, "syntax error at end of input")
            .with_position(sql.chars().count().saturating_add(1));
    }
    Error::new(ErrorKind::Syntax, format!("syntax error at or near \"{}\"", token.token))
        .with_position(character(sql, token.span.start))
}

/// An error of the planner's parser, with its position in `sql`.
pub(crate) fn from_planner_at(error: DataFusionError, sql: &str) -> Error {
    match error {
        DataFusionError::SQL(error, _) => from_parser(*error, sql),
        DataFusionError::Context(_, inner) => from_planner_at(*inner, sql),
        other => placed(other.into(), sql),
    }
}

/// `error` with its position, if it knows its line and column in `sql`.
pub(crate) fn placed(error: Error, sql: &str) -> Error {
    match error.place() {
        Some((line, column)) => error.with_position(character(sql, Location { line, column })),
        None => error,
    }
}

/// `message at Line: 1, Column: 5` taken apart.
fn split_location(message: &str) -> (&str, Option<Location>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (message, None) };
    match (line.parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (text, Some(Location { line, column })),
        _ => (message, None),
    }
}

/// Character offset of `location`, counted from 1.
fn character(sql: &str, location: Location) -> usize {
    let byte = Offsets::new(sql).byte(sql, location);
    sql.get(..byte).map_or(0, |before| before.chars().count()) + 1
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let second_is_upper = text.chars().nth(1).is_some_and(char::is_uppercase);
    match chars.next() {
        Some(first) if !second_is_upper => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::Context(_, inner) => (*inner).into(),
            DataFusionError::Diagnostic(diagnostic, inner) => {
                let error = Error::from(*inner);
                match diagnostic.span.filter(|span| span.start.line > 0) {
                    Some(span) => error.with_place((span.start.line, span.start.column)),
                    None => error,
                }
            }
            DataFusionError::External(inner) => from_external(inner),
            DataFusionError::Collection(errors) => match errors.into_iter().next() {
                Some(first) => first.into(),
                None => Error::new(ErrorKind::Internal, "an error without a message"),
            },
            DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
                Ok(inner) => inner.into(),
                Err(shared) => from_shared(&shared),
            },
            DataFusionError::SQL(error, _) => from_parser(*error, ""),
            DataFusionError::SchemaError(error, _) => from_schema(&error),
            DataFusionError::ArrowError(error, _) => from_arrow(*error),
            DataFusionError::ParquetError(error) => Error::new(ErrorKind::Corrupt, lower_first(&error.to_string())),
            DataFusionError::ObjectStore(error) => Error::new(ErrorKind::Io, lower_first(&error.to_string())),
            DataFusionError::IoError(error) => Error::new(ErrorKind::Io, lower_first(&error.to_string())),
            DataFusionError::NotImplemented(message) => {
                Error::new(ErrorKind::Unsupported, lower_first(message.trim_end_matches('.')))
            }
            DataFusionError::ResourcesExhausted(message) => from_exhausted(&message),
            DataFusionError::Configuration(message) => Error::new(ErrorKind::InvalidValue, lower_first(&message)),
            DataFusionError::Plan(message) => from_plan(&message),
            DataFusionError::Execution(message) => from_execution(&message),
            other => Error::new(ErrorKind::Internal, lower_first(&other.strip_backtrace())),
        }
    }
}

/// An error that several readers share: what its parts say, without taking them.
fn from_shared(error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => Error::new(ErrorKind::Internal, inner.to_string()),
        },
        DataFusionError::ResourcesExhausted(message) => from_exhausted(message),
        DataFusionError::Execution(message) => from_execution(message),
        DataFusionError::Plan(message) => from_plan(message),
        DataFusionError::ArrowError(error, _) => Error::new(ErrorKind::InvalidValue, lower_first(&error.to_string())),
        other => Error::new(ErrorKind::Internal, lower_first(&other.strip_backtrace())),
    }
}

fn from_external(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(other) => match other.downcast::<DataFusionError>() {
            Ok(inner) => (*inner).into(),
            Err(other) => Error::new(ErrorKind::Io, lower_first(&other.to_string())),
        },
    }
}

fn from_exhausted(message: &str) -> Error {
    let first = message.lines().next().unwrap_or_default();
    Error::new(ErrorKind::Resources, format!("out of memory for queries: {}", lower_first(first)))
        .with_detail(message.to_owned())
        .with_hint("ask for less at once (LIMIT, fewer columns), or start the database with more memory")
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => undefined_column(field, valid_fields),
        SchemaError::AmbiguousReference { field } => {
            Error::new(ErrorKind::Ambiguous, format!("column reference \"{}\" is ambiguous", field.name()))
                .with_hint("write the table's name or alias before it")
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(ErrorKind::Ambiguous, format!("column \"{name}\" is there more than once"))
                .with_hint("give one of them another name with AS")
        }
    }
}

fn undefined_column(field: &Column, valid_fields: &[Column]) -> Error {
    let name = match &field.relation {
        Some(relation) => format!("{}.{}", relation.table(), field.name()),
        None => format!("\"{}\"", field.name()),
    };
    let error = Error::new(ErrorKind::UndefinedColumn, format!("column {name} does not exist"));
    match closest(field.name(), valid_fields.iter().map(Column::name)) {
        Some(other) => error.with_hint(format!("perhaps you meant \"{other}\"")),
        None => error,
    }
}

/// The candidate that differs from `name` by few letters.
pub(crate) fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to change, add or drop to get from one word to the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, letter) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        let mut next = vec![before];
        for (other, above) in right.iter().zip(row.iter().skip(1)) {
            let here = (before + 1).min(above + 1).min(diagonal + usize::from(letter != *other));
            diagonal = *above;
            before = here;
            next.push(here);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

fn from_arrow(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => from_external(inner),
        ArrowError::DivideByZero => Error::new(ErrorKind::DivisionByZero, "division by zero"),
        ArrowError::CastError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::ArithmeticOverflow(message)
        | ArrowError::InvalidArgumentError(message) => Error::new(ErrorKind::InvalidValue, lower_first(&message)),
        ArrowError::MemoryError(message) => from_exhausted(&message),
        ArrowError::IoError(message, _) => Error::new(ErrorKind::Io, lower_first(&message)),
        ArrowError::NotYetImplemented(message) => Error::new(ErrorKind::Unsupported, lower_first(&message)),
        other => Error::new(ErrorKind::Internal, lower_first(&other.to_string())),
    }
}

/// The planner tells most of its refusals by text alone.
fn from_plan(message: &str) -> Error {
    let text = message.trim_end_matches('.');
    let lower = text.to_lowercase();
    let kind = if lower.starts_with("table '") && lower.contains("not found") {
        return undefined_table(text);
    } else if lower.contains("table function") && lower.contains("not found") || lower.contains("invalid function") {
        ErrorKind::UndefinedFunction
    } else if lower.contains("no field named") {
        ErrorKind::UndefinedColumn
    } else if lower.contains("ambiguous") {
        ErrorKind::Ambiguous
    } else if lower.contains("must appear in the group by") || lower.contains("must be in group by") {
        return Error::new(ErrorKind::Syntax, lower_first(text));
    } else if lower.contains("no function matches")
        || lower.contains("failed to match any signature")
        || lower.contains("failed to coerce arguments")
    {
        ErrorKind::UndefinedFunction
    } else if ["coerce", "cast", "type", "cannot infer common"].iter().any(|word| lower.contains(word)) {
        ErrorKind::TypeMismatch
    } else if lower.contains("not supported") || lower.contains("not implemented") || lower.contains("unsupported") {
        ErrorKind::Unsupported
    } else {
        ErrorKind::Syntax
    };
    Error::new(kind, lower_first(text))
}

fn undefined_table(text: &str) -> Error {
    let name = text.split('\'').nth(1).unwrap_or(text);
    let short = name.trim_start_matches("latentdb.").trim_start_matches("public.");
    Error::new(ErrorKind::UndefinedTable, format!("relation \"{short}\" does not exist"))
}

fn from_execution(message: &str) -> Error {
    let lower = message.to_lowercase();
    let kind = if lower.contains("memory") && lower.contains("exhausted") {
        return from_exhausted(message);
    } else if lower.contains("null") && lower.contains("non-nullable") {
        ErrorKind::Constraint
    } else {
        ErrorKind::InvalidValue
    };
    Error::new(kind, lower_first(message.trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_suggested_and_far_ones_are_not() {
        let columns = ["model_id", "source_id", "index"];
        assert_eq!(closest("modelid", columns.into_iter()), Some("model_id"));
        assert_eq!(closest("indx", columns.into_iter()), Some("index"));
        assert_eq!(closest("weather", columns.into_iter()), None);
    }

    #[test]
    fn our_own_errors_come_through_unharmed() {
        let inner: DataFusionError = Error::new(ErrorKind::Conflict, "lost").with_hint("again").into();
        let error: Error = inner.context("while writing").into();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::Conflict, Some("again")));
    }
}
