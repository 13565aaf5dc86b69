//! One column of a batch, brought to one of a few layouts and downcast.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    Decimal256Array, DurationMicrosecondArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray, StringBuilder, StringViewArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, Field, FieldRef, Float32Type,
    Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use latentdb_engine::{Error, ErrorKind, Result};
use pgwire::api::Type;

use super::super::types;

/// A downcast column. Cloning shares the data.
#[derive(Debug)]
pub(super) enum Column {
    Null,
    Bool(BooleanArray),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    Oid(UInt32Array),
    UInt64(UInt64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Decimal128(Decimal128Array),
    Decimal256(Decimal256Array),
    Text(StringArray),
    TextView(StringViewArray),
    Bytes(BinaryArray),
    BytesView(BinaryViewArray),
    FixedBytes(FixedSizeBinaryArray),
    Uuid(FixedSizeBinaryArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    Timestamp(TimestampMicrosecondArray),
    TimestampTz(TimestampMicrosecondArray),
    Interval(IntervalMonthDayNanoArray),
    Duration(DurationMicrosecondArray),
    List(Box<List>),
}

/// A list column: where each list lies in the column of elements.
#[derive(Debug)]
pub(super) struct List {
    pub lists: ListArray,
    pub elements: Column,
    /// Offset that the first of `elements` has in `lists`.
    pub base: usize,
    /// Type of the elements, for the binary form.
    pub element_type: Type,
    /// Elements never need quotes in the text form.
    pub bare: bool,
}

impl Column {
    /// The column `array`, as `announced` tells its type to the client.
    pub(super) fn new(array: &ArrayRef, announced: &Field) -> Result<Self> {
        let pg_type = types::of_field(announced);
        if types::of_data_type(array.data_type()) == types::of_data_type(announced.data_type()) {
            Self::of_type(array, &pg_type)
        } else {
            Self::of_type(&cast(array, announced.data_type())?, &pg_type)
        }
    }

    fn of_type(array: &ArrayRef, pg_type: &Type) -> Result<Self> {
        if *pg_type == Type::JSON {
            return Ok(Self::Text(as_json(array)?));
        }
        let array = match layout(array.data_type()) {
            Some(data_type) => cast(array, &data_type)?,
            None => Arc::clone(array),
        };
        Self::downcast(&array, pg_type)
    }

    fn downcast(array: &ArrayRef, pg_type: &Type) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            DataType::Int16 => Self::Int16(array.as_primitive::<Int16Type>().clone()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>().clone()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>().clone()),
            DataType::UInt32 => Self::Oid(array.as_primitive::<UInt32Type>().clone()),
            DataType::UInt64 => Self::UInt64(array.as_primitive::<UInt64Type>().clone()),
            DataType::Float32 => Self::Float32(array.as_primitive::<Float32Type>().clone()),
            DataType::Float64 => Self::Float64(array.as_primitive::<Float64Type>().clone()),
            DataType::Decimal128(..) => Self::Decimal128(array.as_primitive::<Decimal128Type>().clone()),
            DataType::Decimal256(..) => Self::Decimal256(array.as_primitive::<Decimal256Type>().clone()),
            DataType::Utf8 => Self::Text(array.as_string::<i32>().clone()),
            DataType::Utf8View => Self::TextView(array.as_string_view().clone()),
            DataType::Binary => Self::Bytes(array.as_binary::<i32>().clone()),
            DataType::BinaryView => Self::BytesView(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(16) if *pg_type == Type::UUID => Self::Uuid(array.as_fixed_size_binary().clone()),
            DataType::FixedSizeBinary(_) => Self::FixedBytes(array.as_fixed_size_binary().clone()),
            DataType::Date32 => Self::Date(array.as_primitive::<Date32Type>().clone()),
            DataType::Time64(TimeUnit::Microsecond) => {
                Self::Time(array.as_primitive::<Time64MicrosecondType>().clone())
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let timestamps = array.as_primitive::<TimestampMicrosecondType>().clone();
                if zone.is_some() { Self::TimestampTz(timestamps) } else { Self::Timestamp(timestamps) }
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                Self::Interval(array.as_primitive::<IntervalMonthDayNanoType>().clone())
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                Self::Duration(array.as_primitive::<DurationMicrosecondType>().clone())
            }
            DataType::List(element) => Self::list(array.as_list::<i32>().clone(), element)?,
            _ => Self::Text(as_display(array)?),
        })
    }

    fn list(lists: ListArray, element: &FieldRef) -> Result<Self> {
        let element_type = types::of_field(element);
        // A list column may be a small window on many elements: only those in it are worth preparing.
        let offsets = lists.value_offsets();
        let base = offsets.first().map_or(0, |first| *first as usize);
        let end = offsets.last().map_or(0, |last| *last as usize);
        let elements = Self::of_type(&lists.values().slice(base, end - base), &element_type)?;
        let bare = super::is_bare_in_arrays(element.data_type());
        Ok(Self::List(Box::new(List { lists, elements, base, element_type, bare })))
    }

    /// Whether there are nulls among the values, or may be.
    pub(super) fn may_be_null(&self) -> bool {
        match self {
            Self::Int32(values) => values.null_count() > 0,
            Self::Float32(values) => values.null_count() > 0,
            Self::Text(values) => values.null_count() > 0,
            _ => true,
        }
    }

    /// Whether the value at `row` is null.
    pub(super) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(values) => values.is_null(row),
            Self::Int16(values) => values.is_null(row),
            Self::Int32(values) => values.is_null(row),
            Self::Int64(values) => values.is_null(row),
            Self::Oid(values) => values.is_null(row),
            Self::UInt64(values) => values.is_null(row),
            Self::Float32(values) => values.is_null(row),
            Self::Float64(values) => values.is_null(row),
            Self::Decimal128(values) => values.is_null(row),
            Self::Decimal256(values) => values.is_null(row),
            Self::Text(values) => values.is_null(row),
            Self::TextView(values) => values.is_null(row),
            Self::Bytes(values) => values.is_null(row),
            Self::BytesView(values) => values.is_null(row),
            Self::FixedBytes(values) | Self::Uuid(values) => values.is_null(row),
            Self::Date(values) => values.is_null(row),
            Self::Time(values) => values.is_null(row),
            Self::Timestamp(values) | Self::TimestampTz(values) => values.is_null(row),
            Self::Interval(values) => values.is_null(row),
            Self::Duration(values) => values.is_null(row),
            Self::List(list) => list.lists.is_null(row),
        }
    }
}

/// The layout that values of `data_type` are brought to; `None` if they are in it already.
fn layout(data_type: &DataType) -> Option<DataType> {
    let microseconds = TimeUnit::Microsecond;
    match data_type {
        DataType::Int8 | DataType::UInt8 => Some(DataType::Int16),
        DataType::UInt16 => Some(DataType::Int32),
        DataType::Float16 => Some(DataType::Float32),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            Some(DataType::Decimal128(*precision, *scale))
        }
        DataType::LargeUtf8 => Some(DataType::Utf8View),
        DataType::LargeBinary => Some(DataType::BinaryView),
        DataType::Date64 => Some(DataType::Date32),
        DataType::Time32(_) | DataType::Time64(TimeUnit::Nanosecond) => Some(DataType::Time64(microseconds)),
        DataType::Timestamp(unit, zone) if *unit != microseconds => {
            Some(DataType::Timestamp(microseconds, zone.clone()))
        }
        DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime) => {
            Some(DataType::Interval(IntervalUnit::MonthDayNano))
        }
        DataType::Duration(unit) if *unit != microseconds => Some(DataType::Duration(microseconds)),
        DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => Some(DataType::List(Arc::clone(element))),
        DataType::Dictionary(_, values) => Some(layout(values).unwrap_or_else(|| values.as_ref().clone())),
        DataType::RunEndEncoded(_, values) => {
            Some(layout(values.data_type()).unwrap_or_else(|| values.data_type().clone()))
        }
        _ => None,
    }
}

/// Casts, failing on a value that the target cannot hold.
fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    cast_with_options(array, target, &CastOptions { safe: false, ..CastOptions::default() }).map_err(|fault| {
        Error::new(ErrorKind::InvalidValue, "a value of the result cannot be sent").with_detail(fault.to_string())
    })
}

fn as_json(array: &ArrayRef) -> Result<StringArray> {
    let field = Arc::new(Field::new("", array.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, array.as_ref(), &options).map_err(unsendable)?;
    let mut json = StringBuilder::with_capacity(array.len(), array.len() * 32);
    let mut value = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            json.append_null();
            continue;
        }
        value.clear();
        encoder.encode(row, &mut value);
        json.append_value(String::from_utf8_lossy(&value));
    }
    Ok(json.finish())
}

fn as_display(array: &ArrayRef) -> Result<StringArray> {
    let formatter = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default()).map_err(unsendable)?;
    (0..array.len())
        .map(|row| (!array.is_null(row)).then(|| formatter.value(row).try_to_string()).transpose())
        .collect::<std::result::Result<_, _>>()
        .map_err(unsendable)
}

fn unsendable(fault: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Unsupported, format!("a column of the result cannot be sent: {fault}"))
}
