//! `text_match` and `snippet`: matching words without an index.
//!
//! What a query means is what `text_match` says of a text; an index must give the same rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanBuilder, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};
use latentdb_text::{Limits, Query, SnippetStyle};

use super::failure::from_text;
use super::values::Texts;
use crate::sql::functions::Function;

/// Name of the function that `@@` stands for.
pub(crate) const MATCH: &str = "text_match";

/// Letters of a snippet, about.
const SNIPPET: usize = 150;

/// Reads a query.
pub(crate) fn parse(text: &str) -> crate::Result<Query> {
    Query::parse(text, &Limits::default()).map_err(from_text)
}

/// The functions.
pub(crate) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::any(MATCH, &[2], DataType::Boolean, Volatility::Immutable, matches),
        Function::any("snippet", &[2, 3], DataType::Utf8, Volatility::Immutable, snippet),
    ]
}

/// The queries of a column, each read once as long as rows repeat it.
struct Queries {
    texts: Texts,
    last: Option<(String, Arc<Query>)>,
}

impl Queries {
    fn new(column: &ArrayRef) -> crate::Result<Self> {
        Ok(Self { texts: Texts::new(column)?, last: None })
    }

    fn get(&mut self, row: usize) -> crate::Result<Option<Arc<Query>>> {
        let Some(text) = self.texts.get(row) else { return Ok(None) };
        if let Some((_, query)) = self.last.as_ref().filter(|(known, _)| *known == text) {
            return Ok(Some(Arc::clone(query)));
        }
        let query = Arc::new(parse(&text)?);
        self.last = Some((text.into_owned(), Arc::clone(&query)));
        Ok(Some(query))
    }
}

fn matches(columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let [texts, queries, ..] = columns else { return Err(wrong_count(MATCH)) };
    let (texts, mut queries) = (Texts::new(texts)?, Queries::new(queries)?);
    let mut found = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        found.append_option(match (texts.get(row), queries.get(row)?) {
            (Some(text), Some(query)) => Some(query.matches(&text)),
            _ => None,
        });
    }
    Ok(Arc::new(found.finish()))
}

fn snippet(columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let [texts, queries, ..] = columns else { return Err(wrong_count("snippet")) };
    let (texts, mut queries) = (Texts::new(texts)?, Queries::new(queries)?);
    let lengths = columns.get(2).map(|column| arrow::compute::cast(column, &DataType::Int64)).transpose()?;
    let mut found = StringBuilder::new();
    for row in 0..rows {
        let length = lengths.as_ref().and_then(|lengths| {
            use arrow::array::AsArray;
            let lengths = lengths.as_primitive_opt::<arrow::datatypes::Int64Type>()?;
            lengths.is_valid(row).then(|| usize::try_from(lengths.value(row)).unwrap_or(0))
        });
        let style = SnippetStyle { max_chars: length.unwrap_or(SNIPPET), ..SnippetStyle::default() };
        found.append_option(match (texts.get(row), queries.get(row)?) {
            (Some(text), Some(query)) => Some(latentdb_text::snippet_as(&text, &query, &style)),
            _ => None,
        });
    }
    Ok(Arc::new(found.finish()))
}

fn wrong_count(name: &str) -> datafusion::error::DataFusionError {
    crate::Error::new(crate::ErrorKind::UndefinedFunction, format!("{name} takes a text and a query")).into()
}
