//! Postgres' type names that the planner does not know, or means differently.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ObjectName, TimezoneInfo};
use datafusion_pg_catalog::pg_catalog::oid_field::OID_ALIAS_TYPE_NAMES;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;

/// Names of types as Postgres means them.
#[derive(Debug)]
pub(crate) struct PostgresTypes {
    /// The session's time zone, which `timestamptz` values are shown in.
    pub zone: Option<String>,
}

impl TypePlanner for PostgresTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> Result<Option<FieldRef>> {
        let data_type = match sql_type {
            // Documents and ids are text here.
            SqlType::JSON | SqlType::JSONB | SqlType::Uuid => DataType::Utf8,
            // Postgres counts microseconds, and so do the tables.
            SqlType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) | SqlType::Datetime(_) => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            SqlType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
                let zone = self.zone.clone().unwrap_or_else(|| "UTC".to_owned());
                DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))
            }
            SqlType::Custom(name, _) if names_an_oid(name) => DataType::UInt32,
            // How many components a vector has is told by its values.
            SqlType::Custom(name, _) if is_named(name, "vector") => DataType::new_list(DataType::Float32, true),
            _ => return PgOidTypePlanner.plan_type_field(sql_type),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}

fn is_named(name: &ObjectName, wanted: &str) -> bool {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|ident| ident.value.eq_ignore_ascii_case(wanted))
}

/// `oid` and its aliases: `regclass`, `pg_catalog.regtype`, …
fn names_an_oid(name: &ObjectName) -> bool {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|ident| OID_ALIAS_TYPE_NAMES.contains(&ident.value.to_lowercase().as_str()))
}
