//! Column types: the subset of Arrow that Delta can store and Postgres can name.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

/// Type of a column, by its Postgres name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `boolean`
    Boolean,
    /// `integer`, 32 bits
    Integer,
    /// `bigint`, 64 bits
    BigInt,
    /// `real`, 32-bit float
    Real,
    /// `double precision`
    Double,
    /// `text`
    Text,
    /// `text` that holds a JSON document
    Json,
    /// `timestamp with time zone`, microseconds
    Timestamp,
    /// `integer[]`
    Integers,
    /// `real[]`
    Reals,
    /// `text[]`
    Texts,
}

impl ColumnType {
    /// The Arrow type that holds it.
    pub fn to_arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Text | Self::Json => DataType::Utf8,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Integers => list_of(DataType::Int32),
            Self::Reals => list_of(DataType::Float32),
            Self::Texts => list_of(DataType::Utf8),
        }
    }

    /// The name SQLite gives it; lists are kept as JSON text there.
    pub(crate) fn to_sqlite(self) -> &'static str {
        match self {
            Self::Boolean | Self::Integer | Self::BigInt => "INTEGER",
            Self::Real | Self::Double => "REAL",
            Self::Text | Self::Json | Self::Timestamp | Self::Integers | Self::Reals | Self::Texts => "TEXT",
        }
    }
}

/// Delta names list elements `element`.
fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}
