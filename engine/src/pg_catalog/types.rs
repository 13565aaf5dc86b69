//! Postgres' types for Arrow's, as `pg_attribute` and `pg_proc` give them.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};

/// A Postgres type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PgType {
    /// Object id in `pg_type`.
    pub(super) oid: i32,
    /// Bytes of a value; -1 if they vary.
    pub(super) length: i16,
    /// Alignment: `c`, `s`, `i` or `d`.
    pub(super) align: &'static str,
    /// Object id of the array over it.
    array: i32,
}

const fn fixed(oid: i32, length: i16, align: &'static str, array: i32) -> PgType {
    PgType { oid, length, align, array }
}

const BOOL: PgType = fixed(16, 1, "c", 1000);
const BYTEA: PgType = fixed(17, -1, "i", 1001);
const INT8: PgType = fixed(20, 8, "d", 1016);
const INT2: PgType = fixed(21, 2, "s", 1005);
const INT4: PgType = fixed(23, 4, "i", 1007);
const OID: PgType = fixed(26, 4, "i", 1028);
const TEXT: PgType = fixed(25, -1, "i", 1009);
const JSON: PgType = fixed(114, -1, "i", 199);
const FLOAT4: PgType = fixed(700, 4, "i", 1021);
const FLOAT8: PgType = fixed(701, 8, "d", 1022);
const DATE: PgType = fixed(1082, 4, "i", 1182);
const TIME: PgType = fixed(1083, 8, "d", 1183);
const TIMESTAMP: PgType = fixed(1114, 8, "d", 1115);
const TIMESTAMPTZ: PgType = fixed(1184, 8, "d", 1185);
const INTERVAL: PgType = fixed(1186, 16, "d", 1187);
const NUMERIC: PgType = fixed(1700, -1, "i", 1231);

/// The Postgres type that stands for `data_type` on the wire.
pub(super) fn pg_type(data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => INT2,
        DataType::Int32 | DataType::UInt16 => INT4,
        DataType::Int64 => INT8,
        DataType::UInt32 => OID,
        DataType::UInt64 | DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => NUMERIC,
        DataType::Float16 | DataType::Float32 => FLOAT4,
        DataType::Float64 => FLOAT8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => BYTEA,
        DataType::Date32 | DataType::Date64 => DATE,
        DataType::Time32(_) | DataType::Time64(_) => TIME,
        DataType::Timestamp(_, None) => TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
        DataType::Struct(_) | DataType::Map(_, _) | DataType::Union(_, _) => JSON,
        DataType::Dictionary(_, values) => pg_type(values),
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            let element = pg_type(element.data_type());
            PgType { oid: element.array, length: -1, align: "d", array: element.array }
        }
        _ => TEXT,
    }
}

/// Number of array dimensions.
pub(super) fn dimensions(data_type: &DataType) -> i32 {
    match data_type {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            1 + dimensions(element.data_type())
        }
        _ => 0,
    }
}

/// The type called `name` in Postgres; text for names of no single type.
pub(super) fn by_name(name: &str) -> i32 {
    let (element, is_array) = match name.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (name.strip_prefix("SETOF ").unwrap_or(name), false),
    };
    let found = match element {
        "boolean" => BOOL,
        "smallint" => INT2,
        "integer" => INT4,
        "bigint" => INT8,
        "real" => FLOAT4,
        "double precision" => FLOAT8,
        "record" => return 2249,
        table if table.starts_with("TABLE(") => return 2249,
        _ => TEXT,
    };
    if is_array { found.array } else { found.oid }
}

/// Object ids of Postgres' types by the names in `pg_type`.
pub(super) fn by_internal_name() -> HashMap<String, i32> {
    names_and_oids().into_iter().collect()
}

/// Names of Postgres' types as `regtype` shows them: `integer` for `int4`, `text[]` for `_text`.
pub(super) fn display_names() -> HashMap<i32, String> {
    let shown = |name: &str| match name {
        "bool" => "boolean".to_owned(),
        "int2" => "smallint".to_owned(),
        "int4" => "integer".to_owned(),
        "int8" => "bigint".to_owned(),
        "float4" => "real".to_owned(),
        "float8" => "double precision".to_owned(),
        "bpchar" => "character".to_owned(),
        "varchar" => "character varying".to_owned(),
        "varbit" => "bit varying".to_owned(),
        "time" => "time without time zone".to_owned(),
        "timetz" => "time with time zone".to_owned(),
        "timestamp" => "timestamp without time zone".to_owned(),
        "timestamptz" => "timestamp with time zone".to_owned(),
        "char" => "\"char\"".to_owned(),
        other => other.to_owned(),
    };
    let display = |(name, oid): (String, i32)| match name.strip_prefix('_') {
        Some(element) => (oid, format!("{}[]", shown(element))),
        None => (oid, shown(&name)),
    };
    names_and_oids().into_iter().map(display).collect()
}

fn names_and_oids() -> Vec<(String, i32)> {
    let Ok(postgres) = super::schema::postgres() else { return Vec::new() };
    let mut oids = Vec::new();
    for batch in postgres.pg_type.data() {
        let (Some(names), Some(numbers)) = (batch.column_by_name("typname"), batch.column_by_name("oid")) else {
            continue;
        };
        let (Ok(names), Ok(numbers)) = (cast(names, &DataType::Utf8), cast(numbers, &DataType::Int32)) else {
            continue;
        };
        let numbers = numbers.as_primitive::<Int32Type>();
        let pairs = names.as_string::<i32>().iter().zip(numbers);
        oids.extend(pairs.filter_map(|(name, oid)| Some((name?.to_owned(), oid?))));
    }
    oids
}
