//! `CREATE TABLE`, empty or from a query.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::sql::sqlparser::ast::{self, ColumnOption, TableConstraint};

use super::conversation::Conversation;
use super::grammar::{fold, table_name};
use super::transaction::commit_durably;
use super::{constants, prepared, run};
use crate::storage::database::NewTable;
use crate::{Error, ErrorKind, Outcome, Result};

/// Creates a table.
pub(crate) async fn create(session: &Arc<Conversation>, create: &ast::CreateTable) -> Result<Outcome> {
    refuse_options(create)?;
    let shared = session.shared();
    let name = table_name(&create.name)?;
    let transaction = shared.database.begin();
    if transaction.table(&name).is_some()
        || shared.community.table(&name).is_some()
        || shared.view_schemas.get(&name).is_some()
    {
        if create.if_not_exists {
            let notice = Some(format!("relation \"{name}\" already exists, skipping"));
            return Ok(Outcome::Done { command: "CREATE TABLE", notice });
        }
        return Err(Error::new(ErrorKind::Duplicate, format!("relation \"{name}\" already exists")));
    }
    let Some(query) = &create.query else {
        let (schema, primary_key) = definition(session, create)?;
        add(session, NewTable { name, schema: Arc::new(schema), primary_key, comment: None }).await?;
        return Ok(Outcome::Done { command: "CREATE TABLE", notice: None });
    };
    let mut query = ast::Statement::Query(query.clone());
    super::names::assign(&mut query);
    let planning = prepared::on_query_threads(session, &transaction, query, Vec::new());
    let planned = session.stop().race(planning).await?;
    let schema = storable_schema(&prepared::columns(&planned.plan))?;
    add(session, NewTable { name: name.clone(), schema: Arc::new(schema), primary_key: Vec::new(), comment: None })
        .await?;
    match fill(session, &name, planned).await {
        Ok(rows) => Ok(Outcome::Changed { command: "SELECT", rows }),
        Err(error) => {
            let database = Arc::clone(&shared.database);
            let undone = shared.runtime.finish(async move { database.drop_table(&name).await }).await;
            if let Err(error) = undone {
                tracing::warn!(%error, "the table of a failed CREATE TABLE AS is left behind, empty");
            }
            Err(error)
        }
    }
}

async fn add(session: &Arc<Conversation>, table: NewTable) -> Result<()> {
    let database = Arc::clone(&session.shared().database);
    session.shared().runtime.finish(async move { database.create_table(table).await }).await
}

/// Puts the rows of a query into the new table.
async fn fill(session: &Arc<Conversation>, name: &str, planned: super::planner::Planned) -> Result<u64> {
    let transaction = session.shared().database.begin();
    let target = session.shared().writable(&transaction, name)?;
    let plan = insertion(planned.plan, name, target)?;
    let rows = run::count(&session.shared().runtime, planned.state, plan, &session.stop()).await?;
    commit_durably(session, transaction).await?;
    Ok(rows)
}

fn insertion(
    rows: LogicalPlan,
    name: &str,
    target: Arc<dyn datafusion::catalog::TableProvider>,
) -> Result<LogicalPlan> {
    let schema = target.schema();
    let columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    let casts = columns
        .into_iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type().clone()).alias(field.name()));
    let input = LogicalPlanBuilder::from(rows).project(casts.collect::<Vec<_>>())?.build()?;
    Ok(LogicalPlanBuilder::insert_into(input, name, provider_as_source(target), InsertOp::Append)?.build()?)
}

fn refuse_options(create: &ast::CreateTable) -> Result<()> {
    let refused = |what: &str| Err(Error::new(ErrorKind::Unsupported, format!("{what} is not supported")));
    if create.temporary {
        return refused("CREATE TEMPORARY TABLE");
    }
    if create.or_replace {
        return refused("CREATE OR REPLACE TABLE");
    }
    if create.like.is_some() || create.inherits.is_some() || create.partition_by.is_some() {
        return refused("CREATE TABLE with LIKE, INHERITS or PARTITION BY");
    }
    if create.query.is_some() && !create.columns.is_empty() {
        return refused("CREATE TABLE with both columns and a query");
    }
    Ok(())
}

/// Columns and primary key.
fn definition(session: &Arc<Conversation>, create: &ast::CreateTable) -> Result<(Schema, Vec<String>)> {
    let mut fields: Vec<Field> = Vec::new();
    let mut key: Vec<String> = Vec::new();
    for column in &create.columns {
        let name = fold(&column.name);
        if fields.iter().any(|field| *field.name() == name) {
            return Err(Error::new(ErrorKind::Duplicate, format!("column \"{name}\" specified more than once")));
        }
        let data_type = storable(&constants::data_type(session, &column.data_type)?)
            .ok_or_else(|| not_storable(&name, &column.data_type.to_string()))?;
        let mut nullable = true;
        for option in &column.options {
            match &option.option {
                ColumnOption::Null => {}
                ColumnOption::NotNull => nullable = false,
                ColumnOption::PrimaryKey(_) => {
                    nullable = false;
                    key.push(name.clone());
                }
                other => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        format!("{other} on column \"{name}\" is not supported"),
                    )
                    .with_hint("columns can be NOT NULL and PRIMARY KEY"));
                }
            }
        }
        fields.push(Field::new(name, data_type, nullable));
    }
    for constraint in &create.constraints {
        let TableConstraint::PrimaryKey(primary) = constraint else {
            return Err(Error::new(ErrorKind::Unsupported, format!("{constraint} is not supported"))
                .with_hint("tables can have a PRIMARY KEY"));
        };
        key.extend(primary.columns.iter().map(|column| column.column.expr.to_string().trim_matches('"').to_owned()));
    }
    for column in &key {
        match fields.iter_mut().find(|field| field.name() == column) {
            Some(field) => *field = field.clone().with_nullable(false),
            None => {
                let message = format!("column \"{column}\" named in key does not exist");
                return Err(Error::new(ErrorKind::UndefinedColumn, message));
            }
        }
    }
    if fields.is_empty() {
        return Err(Error::new(ErrorKind::Syntax, "a table needs a column"));
    }
    Ok((Schema::new(fields), key))
}

fn storable_schema(schema: &Schema) -> Result<Schema> {
    let mut fields: Vec<Field> = Vec::new();
    for field in schema.fields() {
        if fields.iter().any(|other| other.name() == field.name()) {
            return Err(Error::new(
                ErrorKind::Duplicate,
                format!("column \"{}\" specified more than once", field.name()),
            )
            .with_hint("give one of them another name with AS"));
        }
        let data_type =
            storable(field.data_type()).ok_or_else(|| not_storable(field.name(), &field.data_type().to_string()))?;
        fields.push(Field::new(field.name(), data_type, true));
    }
    Ok(Schema::new(fields))
}

fn not_storable(column: &str, data_type: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("column \"{column}\" is of type {data_type}, which cannot be stored"))
        .with_hint("cast it to text, or to another type")
}

/// The type that tables keep values of `data_type` as: Delta knows no unsigned numbers, no half floats,
/// and times in microseconds.
fn storable(data_type: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match data_type {
        T::Boolean
        | T::Int8
        | T::Int16
        | T::Int32
        | T::Int64
        | T::Float32
        | T::Float64
        | T::Date32
        | T::Decimal128(..) => data_type.clone(),
        T::Null | T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 | T::UInt64 => T::Int64,
        T::Float16 => T::Float32,
        T::Date64 => T::Date32,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Timestamp(_, None) => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, Some(_)) => T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Dictionary(_, values) => storable(values)?,
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) | T::ListView(item) => {
            T::List(Arc::new(Field::new("element", storable(item.data_type())?, true)))
        }
        T::Struct(fields) => {
            let fields = fields.iter().map(|field| Some(Field::new(field.name(), storable(field.data_type())?, true)));
            T::Struct(fields.collect::<Option<Vec<_>>>()?.into())
        }
        _ => return None,
    })
}
