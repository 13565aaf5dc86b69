//! Postgres' type names that the planner does not know, or means differently.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};
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
            _ => return PgOidTypePlanner.plan_type_field(sql_type),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}
