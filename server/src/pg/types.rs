//! Which Postgres type stands for which Arrow type, in both directions: the one place that decides.
//!
//! Types without a Postgres counterpart travel as the nearest one that loses nothing: `UInt64` as
//! `numeric`, structs, maps and lists of them as `json`, unions as `text`. `UInt32` is what object ids
//! are kept as, and travels as `oid`.

use arrow::datatypes::{DataType, Field, TimeUnit};
use pgwire::api::Type;

/// Arrow's canonical extension name of a UUID.
const UUID_EXTENSION: &str = "arrow.uuid";
/// Metadata key that carries an extension's name.
const EXTENSION_KEY: &str = "ARROW:extension:name";

/// The type that clients see for a column. A `vector(n)` type would be recognised here, by the
/// extension name of its field.
pub(super) fn of_field(field: &Field) -> Type {
    match (field.metadata().get(EXTENSION_KEY).map(String::as_str), field.data_type()) {
        (Some(UUID_EXTENSION), DataType::FixedSizeBinary(16)) => Type::UUID,
        (_, data_type) => of_data_type(data_type),
    }
}

/// The type that clients see for values of `data_type`.
pub(super) fn of_data_type(data_type: &DataType) -> Type {
    match data_type {
        DataType::Boolean => Type::BOOL,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => Type::INT2,
        DataType::UInt16 | DataType::Int32 => Type::INT4,
        DataType::UInt32 => Type::OID,
        DataType::Int64 => Type::INT8,
        DataType::UInt64 => Type::NUMERIC,
        DataType::Float16 | DataType::Float32 => Type::FLOAT4,
        DataType::Float64 => Type::FLOAT8,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Type::NUMERIC
        }
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Union(..) => Type::TEXT,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Type::BYTEA,
        DataType::Date32 | DataType::Date64 => Type::DATE,
        DataType::Time32(_) | DataType::Time64(_) => Type::TIME,
        DataType::Timestamp(_, None) => Type::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => Type::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => Type::INTERVAL,
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => array_of(&of_field(element)).unwrap_or(Type::JSON),
        DataType::Struct(_) | DataType::Map(..) => Type::JSON,
        DataType::Dictionary(_, values) => of_data_type(values),
        DataType::RunEndEncoded(_, values) => of_field(values),
    }
}

/// Element types and their array types.
static ARRAYS: [(Type, Type); 21] = [
    (Type::BOOL, Type::BOOL_ARRAY),
    (Type::INT2, Type::INT2_ARRAY),
    (Type::INT4, Type::INT4_ARRAY),
    (Type::INT8, Type::INT8_ARRAY),
    (Type::NUMERIC, Type::NUMERIC_ARRAY),
    (Type::FLOAT4, Type::FLOAT4_ARRAY),
    (Type::FLOAT8, Type::FLOAT8_ARRAY),
    (Type::TEXT, Type::TEXT_ARRAY),
    (Type::BYTEA, Type::BYTEA_ARRAY),
    (Type::DATE, Type::DATE_ARRAY),
    (Type::TIME, Type::TIME_ARRAY),
    (Type::TIMESTAMP, Type::TIMESTAMP_ARRAY),
    (Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY),
    (Type::INTERVAL, Type::INTERVAL_ARRAY),
    (Type::UUID, Type::UUID_ARRAY),
    (Type::VARCHAR, Type::VARCHAR_ARRAY),
    (Type::BPCHAR, Type::BPCHAR_ARRAY),
    (Type::NAME, Type::NAME_ARRAY),
    (Type::OID, Type::OID_ARRAY),
    (Type::JSON, Type::JSON_ARRAY),
    (Type::JSONB, Type::JSONB_ARRAY),
];

/// The array type over `element`; `None` where a list travels as `json`: lists of lists (a Postgres
/// array must be rectangular) and lists of structs.
fn array_of(element: &Type) -> Option<Type> {
    if *element == Type::JSON {
        return None;
    }
    ARRAYS.iter().find(|(of, _)| of == element).map(|(_, array)| array.clone())
}

/// The element type of an array type.
pub(super) fn element_of(array: &Type) -> Option<Type> {
    ARRAYS.iter().find(|(_, candidate)| candidate == array).map(|(element, _)| element.clone())
}

/// Bytes of a value of `pg_type`, as `pg_type.typlen` has it; negative for variable length.
pub(super) fn size(pg_type: &Type) -> i16 {
    match *pg_type {
        Type::BOOL => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::OID | Type::FLOAT4 | Type::DATE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::INTERVAL | Type::UUID => 16,
        _ => -1,
    }
}

/// The type modifier: precision and scale of a `numeric`, -1 for everything else.
pub(super) fn modifier(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *scale >= 0 =>
        {
            ((i32::from(*precision) << 16) | i32::from(*scale)) + 4
        }
        _ => -1,
    }
}

/// The Arrow type of a parameter that a client declared by OID; `None` leaves it to the planner.
///
/// `numeric` is left to the planner because a declared parameter has no scale, and the character
/// types of a declared parameter say no more than "some text".
pub(super) fn of_oid(oid: u32) -> Option<DataType> {
    let pg_type = Type::from_oid(oid)?;
    Some(match pg_type {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::OID => DataType::UInt32,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON | Type::JSONB | Type::UUID => {
            DataType::Utf8
        }
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::INTERVAL => DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano),
        _ => {
            let element = element_of(&pg_type)?;
            DataType::new_list(of_oid(element.oid())?, true)
        }
    })
}
