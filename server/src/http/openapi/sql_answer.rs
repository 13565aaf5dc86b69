//! The description of what `POST /v1/sql` answers. Rows are written as they come, so no type stands for them.

use std::borrow::Cow;

use utoipa::openapi::schema::{self, AnyOfBuilder, ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::http::sql::{Changed, Done};

/// What a statement answers in JSON: its rows, or what it did.
#[derive(Debug)]
pub(in crate::http) enum SqlAnswer {}

impl PartialSchema for SqlAnswer {
    fn schema() -> RefOr<Schema> {
        let item = |name: &str| Ref::from_schema_name(name);
        AnyOfBuilder::new().item(item("Rows")).item(item("Changed")).item(item("Done")).into()
    }
}

impl ToSchema for SqlAnswer {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SqlAnswer")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let named = [("Rows", rows()), ("Changed", Changed::schema()), ("Done", Done::schema())];
        schemas.extend(named.map(|(name, schema)| (name.to_owned(), schema)));
    }
}

fn rows() -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let column = ObjectBuilder::new()
        .property("name", text())
        .required("name")
        .property("type", text().description(Some("Postgres' name of the type")))
        .required("type");
    let row = ArrayBuilder::new().items(RefOr::T(schema::empty()));
    ObjectBuilder::new()
        .description(Some("Rows, each with a value for every column"))
        .property("columns", ArrayBuilder::new().items(RefOr::from(column)))
        .required("columns")
        .property("rows", ArrayBuilder::new().items(RefOr::from(row)))
        .required("rows")
        .property("row_count", ObjectBuilder::new().schema_type(Type::Integer))
        .required("row_count")
        .into()
}
