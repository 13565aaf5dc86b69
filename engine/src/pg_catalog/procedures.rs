//! `pg_proc`: Postgres' own functions, and ours with their parameters and defaults.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Builder, ListBuilder, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion_pg_catalog::pg_catalog::ArrowTable;

use super::CatalogFacts;
use super::columns::Columns;
use super::oids::{OWNER, PUBLIC, oid};
use super::types::by_name;
use crate::sql::lateral::FunctionDefinition;

/// Object id of language `internal`.
const INTERNAL: i32 = 12;

/// The object id of one of our functions.
pub(super) fn procedure_oid(function: &FunctionDefinition) -> i32 {
    oid("function", function.name())
}

/// `{a,b}`, as Postgres prints arrays of plain words.
fn braces(items: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", items.collect::<Vec<_>>().join(","))
}

fn own_rows(functions: &[Arc<FunctionDefinition>]) -> Result<RecordBatch> {
    let types = |function: &FunctionDefinition| -> Vec<String> {
        function.parameters.iter().map(|parameter| by_name(parameter.sql_type).to_string()).collect()
    };
    Columns::new(functions.len())
        .oids("oid", "oid", functions.iter().map(|function| procedure_oid(function)))
        .texts("proname", functions.iter().map(|function| function.name()))
        .all_int4("pronamespace", PUBLIC)
        .all_int4("proowner", OWNER)
        .all_int4("prolang", INTERNAL)
        .float4("procost", functions.iter().map(|_| 1.0))
        .float4("prorows", functions.iter().map(|function| if function.gives_rows { 1000.0 } else { 0.0 }))
        .all_int4("provariadic", 0)
        .all_texts("prokind", "f")
        .all_bools("prosecdef", false)
        .all_bools("proleakproof", false)
        .all_bools("proisstrict", false)
        .bools("proretset", functions.iter().map(|function| function.gives_rows))
        .all_texts("provolatile", "i")
        .all_texts("proparallel", "s")
        .int2("pronargs", functions.iter().map(|function| function.parameters.len() as i16))
        .int2(
            "pronargdefaults",
            functions.iter().map(|function| {
                function.parameters.iter().filter(|parameter| parameter.default.is_some()).count() as i16
            }),
        )
        .int4("prorettype", functions.iter().map(|function| by_name(&function.result)))
        .texts("proargtypes", functions.iter().map(|function| types(function).join(" ")))
        .texts(
            "proargnames",
            functions
                .iter()
                .map(|function| braces(function.parameters.iter().map(|parameter| parameter.name.to_owned()))),
        )
        .texts("prosrc", functions.iter().map(|function| function.name()))
        .batch()
}

/// Columns that hold lists of types, which the recorded tables have as text.
const TYPE_LISTS: [&str; 2] = ["proargtypes", "proallargtypes"];
/// Columns that hold lists of privileges and settings; nobody has any here.
const TEXT_LISTS: [&str; 2] = ["proacl", "proconfig"];

fn with_lists(field: &Field) -> Field {
    let element = match field.name().as_str() {
        name if TYPE_LISTS.contains(&name) => DataType::Int32,
        name if TEXT_LISTS.contains(&name) => DataType::Utf8,
        _ => return field.clone().with_nullable(true),
    };
    Field::new(field.name(), DataType::List(Arc::new(Field::new_list_field(element, true))), true)
}

/// `25 23` and `[25, 23]` as lists of numbers.
fn type_lists(column: &ArrayRef) -> Result<ArrayRef> {
    let texts = cast(column, &DataType::Utf8)?;
    let mut builder = ListBuilder::new(Int32Builder::new());
    for text in texts.as_string::<i32>() {
        match text {
            Some(text) => {
                let words = text.split(|letter: char| !letter.is_ascii_digit());
                builder.append_value(words.filter_map(|word| word.parse().ok()).map(Some));
            }
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Our rows under Postgres' columns, then Postgres' own.
pub(super) fn pg_proc(facts: &dyn CatalogFacts, postgres: &ArrowTable) -> Result<Arc<dyn TableProvider>> {
    let own = own_rows(&facts.functions())?;
    let fields: Vec<Field> = postgres.schema().fields().iter().map(|field| with_lists(field)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    for batch in std::iter::once(&own).chain(postgres.data()) {
        let columns = schema
            .fields()
            .iter()
            .map(|field| match batch.column_by_name(field.name()) {
                Some(column) if TYPE_LISTS.contains(&field.name().as_str()) => Ok(type_lists(column)?),
                Some(column) if !TEXT_LISTS.contains(&field.name().as_str()) => Ok(cast(column, field.data_type())?),
                _ => Ok(new_null_array(field.data_type(), batch.num_rows())),
            })
            .collect::<Result<Vec<_>>>()?;
        batches.push(RecordBatch::try_new(Arc::clone(&schema), columns)?);
    }
    Ok(Arc::new(MemTable::try_new(schema, vec![batches])?))
}
