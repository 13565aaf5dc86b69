//! One Arrow column, filled straight from JSON values.
//!
//! A column takes every form in which Neuronpedia's two dialects write its values: numbers as numbers or text,
//! vectors as lists or as `"[0.1,0.2]"`, times with and without a zone. An empty list counts as absent where the
//! column may be null: that is the default of the database the exports come from. Numbers must be finite.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field};
use chrono::{DateTime, NaiveDateTime};
use latentdb_engine::schema::{ColumnDefinition, ColumnType};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A column under construction. As a [`DeserializeSeed`] it appends the one value it is given.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) definition: &'static ColumnDefinition,
    pub(crate) values: Values,
    /// Bytes appended to variable-length values, to know when to write the rows out.
    bytes: usize,
}

/// The values by type.
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(BooleanBuilder),
    Integer(Int32Builder),
    BigInt(Int64Builder),
    Real(Float32Builder),
    Double(Float64Builder),
    Text(StringBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Integers(ListBuilder<Int32Builder>),
    Reals(ListBuilder<Float32Builder>),
    Texts(ListBuilder<StringBuilder>),
}

/// Runs the same expression on whichever builder there is.
macro_rules! each {
    ($values:expr, $builder:ident => $body:expr) => {
        match $values {
            Values::Boolean($builder) => $body,
            Values::Integer($builder) => $body,
            Values::BigInt($builder) => $body,
            Values::Real($builder) => $body,
            Values::Double($builder) => $body,
            Values::Text($builder) => $body,
            Values::Timestamp($builder) => $body,
            Values::Integers($builder) => $body,
            Values::Reals($builder) => $body,
            Values::Texts($builder) => $body,
        }
    };
}

impl Column {
    pub(crate) fn new(definition: &'static ColumnDefinition) -> Self {
        let element = |data_type| Arc::new(Field::new("element", data_type, true));
        let values = match definition.column_type {
            ColumnType::Boolean => Values::Boolean(BooleanBuilder::new()),
            ColumnType::Integer => Values::Integer(Int32Builder::new()),
            ColumnType::BigInt => Values::BigInt(Int64Builder::new()),
            ColumnType::Real => Values::Real(Float32Builder::new()),
            ColumnType::Double => Values::Double(Float64Builder::new()),
            ColumnType::Text | ColumnType::Json => Values::Text(StringBuilder::new()),
            ColumnType::Timestamp => Values::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ColumnType::Integers => {
                Values::Integers(ListBuilder::new(Int32Builder::new()).with_field(element(DataType::Int32)))
            }
            ColumnType::Reals => {
                Values::Reals(ListBuilder::new(Float32Builder::new()).with_field(element(DataType::Float32)))
            }
            ColumnType::Texts => {
                Values::Texts(ListBuilder::new(StringBuilder::new()).with_field(element(DataType::Utf8)))
            }
        };
        Self { definition, values, bytes: 0 }
    }

    /// Rows so far.
    pub(crate) fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        each!(&self.values, builder => builder.len())
    }

    /// Rough size in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.len() * 8 + self.bytes
    }

    /// Whether the row appended last has no value.
    pub(crate) fn last_is_null(&self) -> bool {
        use arrow::array::ArrayBuilder;
        let validity = each!(&self.values, builder => (builder.len(), builder.validity_slice()));
        match validity {
            (0, _) | (_, None) => false,
            (rows, Some(bits)) => !arrow::util::bit_util::get_bit(bits, rows - 1),
        }
    }

    pub(crate) fn push_null(&mut self) {
        each!(&mut self.values, builder => builder.append_null());
    }

    /// The finished array; the column is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        self.bytes = 0;
        each!(&mut self.values, builder => Arc::new(builder.finish()) as ArrayRef)
    }

    /// Appends an integer to a column of numbers.
    pub(crate) fn push_integer(&mut self, value: i64) -> Result<(), Mismatch> {
        match &mut self.values {
            Values::Integer(builder) => {
                builder.append_value(i32::try_from(value).map_err(|_| Mismatch::Range(value.to_string()))?);
            }
            Values::BigInt(builder) => builder.append_value(value),
            Values::Real(builder) => builder.append_value(value as f32),
            Values::Double(builder) => builder.append_value(value as f64),
            Values::Text(builder) => {
                fmt::Write::write_fmt(builder, format_args!("{value}")).map_err(|_| Mismatch::Kind("a number"))?;
                builder.append_value("");
            }
            _ => return Err(Mismatch::Kind("a number")),
        }
        Ok(())
    }

    /// Appends a number to a column of numbers.
    pub(crate) fn push_number(&mut self, value: f64) -> Result<(), Mismatch> {
        match &mut self.values {
            Values::Real(builder) => builder.append_value(finite(value as f32)?),
            Values::Double(builder) if value.is_finite() => builder.append_value(value),
            Values::Double(_) => return Err(Mismatch::NotFinite),
            // JavaScript writes whole numbers either way.
            Values::Integer(_) | Values::BigInt(_) if value.fract() == 0.0 && value.abs() < 9.0e15 => {
                return self.push_integer(value as i64);
            }
            _ => return Err(Mismatch::Kind("a fractional number")),
        }
        Ok(())
    }

    /// Appends text, or what the text says.
    pub(crate) fn push_text(&mut self, text: &str) -> Result<(), Mismatch> {
        match &mut self.values {
            Values::Text(builder) => {
                builder.append_value(text);
                self.bytes += text.len();
            }
            Values::Timestamp(builder) => {
                builder.append_value(parse_time(text).ok_or_else(|| Mismatch::Time(text.to_owned()))?);
            }
            Values::Integer(_) | Values::BigInt(_) => {
                let number = text.parse().map_err(|_| Mismatch::Number(text.to_owned()))?;
                return self.push_integer(number);
            }
            Values::Real(_) | Values::Double(_) => {
                let number = text.parse().map_err(|_| Mismatch::Number(text.to_owned()))?;
                return self.push_number(number);
            }
            Values::Reals(_) => {
                let vector: Vec<f32> = sonic_rs::from_str(text).map_err(|_| Mismatch::Kind("text"))?;
                return self.push_reals(&vector);
            }
            _ => return Err(Mismatch::Kind("text")),
        }
        Ok(())
    }

    /// Appends a list of numbers.
    pub(crate) fn push_reals(&mut self, values: &[f32]) -> Result<(), Mismatch> {
        let Values::Reals(builder) = &mut self.values else { return Err(Mismatch::Kind("a list of numbers")) };
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Mismatch::NotFinite);
        }
        builder.values().append_slice(values);
        builder.append(!values.is_empty() || !self.definition.nullable);
        self.bytes += values.len() * 4;
        Ok(())
    }

    /// Appends a list of integers.
    pub(crate) fn push_integers(&mut self, values: &[i32]) -> Result<(), Mismatch> {
        let Values::Integers(builder) = &mut self.values else { return Err(Mismatch::Kind("a list of integers")) };
        builder.values().append_slice(values);
        builder.append(!values.is_empty() || !self.definition.nullable);
        self.bytes += values.len() * 4;
        Ok(())
    }
}

/// Why a value does not fit its column.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error("{0} does not fit")]
    Kind(&'static str),
    #[error("{0} is out of range")]
    Range(String),
    #[error("\"{0}\" is not a number")]
    Number(String),
    #[error("\"{0}\" is not a time")]
    Time(String),
    #[error("a value is not finite")]
    NotFinite,
}

fn finite(value: f32) -> Result<f32, Mismatch> {
    if value.is_finite() { Ok(value) } else { Err(Mismatch::NotFinite) }
}

/// Microseconds since 1970 of an ISO 8601 time; without a zone it is UTC.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    Some(naive.and_utc().timestamp_micros())
}

impl<'de> DeserializeSeed<'de> for &mut Column {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Column {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for {}", self.definition.name)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.push_null();
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        match &mut self.values {
            Values::Boolean(builder) => builder.append_value(value),
            _ => return Err(E::custom(Mismatch::Kind("true or false"))),
        }
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.push_integer(value).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.push_integer(value).map_err(E::custom),
            Err(_) => self.push_number(value as f64).map_err(E::custom),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.push_number(value).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.push_text(value).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut length = 0;
        let nullable = self.definition.nullable;
        match &mut self.values {
            Values::Reals(builder) => {
                while let Some(value) = list.next_element::<Option<f32>>()? {
                    if value.is_some_and(|value| !value.is_finite()) {
                        return Err(A::Error::custom(Mismatch::NotFinite));
                    }
                    builder.values().append_option(value);
                    length += 1;
                }
                builder.append(length > 0 || !nullable);
            }
            Values::Integers(builder) => {
                while let Some(value) = list.next_element::<Option<i32>>()? {
                    builder.values().append_option(value);
                    length += 1;
                }
                builder.append(length > 0 || !nullable);
            }
            Values::Texts(builder) => {
                while list.next_element_seed(Element(builder.values()))?.is_some() {
                    length += 1;
                }
                builder.append(length > 0 || !nullable);
                length *= 2;
            }
            _ => return Err(A::Error::custom(Mismatch::Kind("a list"))),
        }
        self.bytes += length * 4;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        if self.definition.column_type != ColumnType::Json {
            return Err(A::Error::custom(Mismatch::Kind("an object")));
        }
        let value = serde_json::Value::deserialize(MapAccessDeserializer::new(map))?;
        self.push_text(&value.to_string()).map_err(A::Error::custom)
    }
}

/// An element of a list of texts.
struct Element<'a>(&'a mut StringBuilder);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.0.append_null();
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.0.append_value(value);
        Ok(())
    }
}
