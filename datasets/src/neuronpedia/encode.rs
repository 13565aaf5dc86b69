//! Rows back into the lines of a Neuronpedia export, in the dialect of its database: indices as text, lists that
//! are absent as empty ones.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, SecondsFormat};
use latentdb_engine::{Error, ErrorKind, Result};

use super::fields::{Meaning, column};
use super::layout::{Kind, SourceAddress};

/// Writes rows of one kind as lines.
pub(crate) struct LineEncoder {
    kind: Kind,
    address: SourceAddress,
    /// Columns to ask for, in the order in which [`LineEncoder::write`] expects them.
    columns: Vec<&'static str>,
    types: Vec<DataType>,
    /// What each line is made of, in order.
    parts: Vec<(&'static str, Part)>,
}

/// How a key's value is made.
#[derive(Debug, Clone, Copy)]
enum Part {
    Model,
    Source,
    /// The number in column …, as text.
    Index(usize),
    /// The value of column …
    Value(usize),
    /// A dense list of the values at these positions, as long as the tokens.
    Dense {
        positions: usize,
        acts: usize,
        tokens: usize,
    },
    /// A list of key positions and a list of query positions.
    HeadPositions {
        keys: usize,
        queries: usize,
    },
    /// An id made of the feature and the rank.
    RowId {
        index: usize,
        rank: usize,
    },
}

impl LineEncoder {
    pub(crate) fn new(kind: Kind, address: &SourceAddress) -> Result<Self> {
        let mut encoder =
            Self { kind, address: address.clone(), columns: Vec::new(), types: Vec::new(), parts: Vec::new() };
        for field in kind.fields() {
            let part = match field.meaning {
                Meaning::Model => Part::Model,
                Meaning::Source => Part::Source,
                Meaning::Column("index") => Part::Index(encoder.ask("index")?),
                // Written as one key.
                Meaning::Column("zk_indices" | "zq_indices") => continue,
                // A second key for the same column.
                Meaning::Column(name) if encoder.columns.contains(&name) => continue,
                Meaning::Column(name) => Part::Value(encoder.ask(name)?),
                Meaning::Tokens => Part::Value(encoder.ask_tokens()),
                Meaning::Values => Part::Dense {
                    positions: encoder.ask("positions")?,
                    acts: encoder.ask("acts")?,
                    tokens: encoder.ask_tokens(),
                },
                Meaning::HeadPositions => {
                    Part::HeadPositions { keys: encoder.ask("zk_indices")?, queries: encoder.ask("zq_indices")? }
                }
                Meaning::RowId => Part::RowId { index: encoder.ask("index")?, rank: encoder.ask("rank")? },
            };
            encoder.parts.push((field.key, part));
        }
        Ok(encoder)
    }

    fn ask(&mut self, name: &'static str) -> Result<usize> {
        let (_, definition) = column(self.kind.table()?, name)?;
        Ok(self.place(definition.name, definition.column_type.to_arrow()))
    }

    fn ask_tokens(&mut self) -> usize {
        self.place("tokens", latentdb_engine::schema::ColumnType::Texts.to_arrow())
    }

    fn place(&mut self, name: &'static str, data_type: DataType) -> usize {
        if let Some(at) = self.columns.iter().position(|column| *column == name) {
            return at;
        }
        self.columns.push(name);
        self.types.push(data_type);
        self.columns.len() - 1
    }

    /// The query for the rows of features `first..=last`.
    pub(crate) fn query(&self, first: i32, last: i32) -> String {
        let list = |table: &str| {
            let column = |name: &&str| match *name {
                "tokens" => "c.tokens".to_owned(),
                name => format!("{table}.\"{name}\""),
            };
            self.columns.iter().map(column).collect::<Vec<_>>().join(", ")
        };
        let range = format!("{} AND t.\"index\" BETWEEN {first} AND {last}", self.address.predicate_on("t"));
        let columns = list("t");
        match self.kind {
            Kind::Features => format!("SELECT {columns} FROM features t WHERE {range} ORDER BY t.\"index\""),
            Kind::Activations => format!(
                "SELECT {columns} FROM activations t LEFT JOIN contexts c ON t.context_id = c.context_id WHERE {range} \
                 ORDER BY t.\"index\", t.\"rank\""
            ),
            Kind::Explanations => format!(
                "SELECT {columns} FROM explanations t WHERE {range} ORDER BY t.\"index\", t.created_at, t.explanation_id"
            ),
        }
    }

    /// Appends a line for each of `rows`.
    pub(crate) fn write(&self, rows: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let columns = rows
            .columns()
            .iter()
            .zip(&self.types)
            .map(|(column, data_type)| cast(column, data_type).map_err(|error| internal(&error)))
            .collect::<Result<Vec<ArrayRef>>>()?;
        let columns = Columns(columns);
        for row in 0..rows.num_rows() {
            for (at, (key, part)) in self.parts.iter().enumerate() {
                out.push(if at == 0 { b'{' } else { b',' });
                write_json(*key, out)?;
                out.push(b':');
                self.write_part(*part, &columns, row, out)?;
            }
            out.extend_from_slice(b"}\n");
        }
        Ok(())
    }

    fn write_part(&self, part: Part, columns: &Columns, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match part {
            Part::Model => write_json(self.address.model_id.as_str(), out),
            Part::Source => write_json(self.address.source_id.as_str(), out),
            Part::Index(index) => write_json(columns.integer(index, row)?.to_string().as_str(), out),
            Part::RowId { index, rank } => {
                let (index, rank) = (columns.integer(index, row)?, columns.integer(rank, row)?);
                write_json(format!("{}-{index}-{rank}", self.address.source_id).as_str(), out)
            }
            Part::Value(at) => write_value(self.columns.get(at).copied(), columns.get(at)?, row, out),
            Part::Dense { positions, acts, tokens } => {
                let tokens = columns.list(tokens, row)?.ok_or_else(|| self.without_context(columns, row))?;
                let positions = columns.list(positions, row)?;
                let acts = columns.list(acts, row)?;
                let (Some(positions), Some(acts)) = (&positions, &acts) else {
                    return Err(internal(&"an activation has no positions"));
                };
                write_dense(
                    positions.as_primitive::<Int32Type>().values(),
                    acts.as_primitive::<Float32Type>().values(),
                    tokens.len(),
                    out,
                )
            }
            Part::HeadPositions { keys, queries } => {
                match (columns.list(keys, row)?, columns.list(queries, row)?) {
                    (None, None) => out.extend_from_slice(b"null"),
                    (keys, queries) => {
                        out.push(b'[');
                        write_list(keys.as_ref(), out)?;
                        out.push(b',');
                        write_list(queries.as_ref(), out)?;
                        out.push(b']');
                    }
                }
                Ok(())
            }
        }
    }

    fn without_context(&self, columns: &Columns, row: usize) -> Error {
        let at = self.columns.iter().position(|column| *column == "index").unwrap_or(0);
        let index = columns.integer(at, row).unwrap_or_default();
        Error::new(
            ErrorKind::Corrupt,
            format!("an activation of {}/{index} refers to a context that is not there", self.address),
        )
        .with_hint("run the check command")
    }
}

/// The columns of a batch, in the encoder's types.
struct Columns(Vec<ArrayRef>);

impl Columns {
    fn get(&self, at: usize) -> Result<&ArrayRef> {
        self.0.get(at).ok_or_else(|| internal(&"the query gave fewer columns than asked"))
    }

    fn integer(&self, at: usize, row: usize) -> Result<i32> {
        let column = self.get(at)?.as_primitive_opt::<Int32Type>();
        column.map(|column| column.value(row)).ok_or_else(|| internal(&"a number is not an integer"))
    }

    fn list(&self, at: usize, row: usize) -> Result<Option<ArrayRef>> {
        let column = self.get(at)?;
        let list = column.as_list_opt::<i32>().ok_or_else(|| internal(&"a list is none"))?;
        Ok(column.is_valid(row).then(|| list.value(row)))
    }
}

/// Writes values that are not zero at their positions, and zeros between.
fn write_dense(positions: &[i32], acts: &[f32], length: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut sparse = positions.iter().zip(acts).peekable();
    for at in 0..length {
        out.push(if at == 0 { b'[' } else { b',' });
        match sparse.next_if(|(position, _)| usize::try_from(**position) == Ok(at)) {
            Some((_, act)) => write_json(act, out)?,
            None => out.extend_from_slice(b"0.0"),
        }
    }
    if length == 0 {
        out.push(b'[');
    }
    out.push(b']');
    match sparse.next() {
        Some((position, _)) => {
            Err(Error::new(ErrorKind::Corrupt, format!("an activation has a value at position {position} of {length}")))
        }
        None => Ok(()),
    }
}

/// Writes one value of a column.
fn write_value(name: Option<&str>, column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<()> {
    if column.is_null(row) {
        let is_list = matches!(column.data_type(), DataType::List(_)) && name != Some("embedding");
        out.extend_from_slice(if is_list { b"[]" } else { b"null" });
        return Ok(());
    }
    match column.data_type() {
        DataType::Boolean => write_json(&column.as_boolean().value(row), out),
        DataType::Int32 => write_json(&column.as_primitive::<Int32Type>().value(row), out),
        DataType::Int64 => write_json(&column.as_primitive::<Int64Type>().value(row), out),
        DataType::Float32 => write_json(&column.as_primitive::<Float32Type>().value(row), out),
        DataType::Float64 => write_json(&column.as_primitive::<Float64Type>().value(row), out),
        DataType::Utf8 => write_json(column.as_string::<i32>().value(row), out),
        DataType::Timestamp(..) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            let time = DateTime::from_timestamp_micros(micros).ok_or_else(|| internal(&"a time is out of range"))?;
            write_json(time.to_rfc3339_opts(SecondsFormat::AutoSi, true).as_str(), out)
        }
        DataType::List(_) => write_list(Some(&column.as_list::<i32>().value(row)), out),
        other => Err(internal(&format!("no export of {other} values"))),
    }
}

fn write_list(values: Option<&ArrayRef>, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'[');
    if let Some(values) = values {
        for at in 0..values.len() {
            if at > 0 {
                out.push(b',');
            }
            write_value(None, values, at, out)?;
        }
    }
    out.push(b']');
    Ok(())
}

fn write_json<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, value).map_err(|error| internal(&error))
}

fn internal(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("cannot write a row: {error}"))
}

/// A registry row as the JSON object it came from: its columns under their keys, and what was kept in `extra`.
pub(crate) fn registry_row(
    fields: &[(&'static str, &'static str)],
    batch: &RecordBatch,
) -> Result<serde_json::Map<String, serde_json::Value>> {
    let mut row = serde_json::Map::new();
    for (key, name) in fields {
        let column = batch.column_by_name(name).ok_or_else(|| internal(&format!("column {name} is missing")))?;
        let column = plain(column)?;
        let mut json = Vec::new();
        write_value(None, &column, 0, &mut json)?;
        let value: serde_json::Value = serde_json::from_slice(&json).map_err(|error| internal(&error))?;
        // Settings are kept as the text of an object.
        let value = match (*name, value.as_str()) {
            ("settings", Some(text)) => serde_json::from_str(text).unwrap_or(value),
            _ => value,
        };
        row.insert((*key).to_owned(), value);
    }
    let extra = batch.column_by_name("extra").map(plain).transpose()?;
    if let Some(extra) = extra.filter(|extra| extra.is_valid(0)) {
        let object = serde_json::from_str(extra.as_string::<i32>().value(0));
        row.extend(object.unwrap_or_else(|_| serde_json::Map::new()));
    }
    Ok(row)
}

/// The column without dictionary or view encodings.
fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    let data_type = match column.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        other => other.clone(),
    };
    cast(column, &data_type).map_err(|error| internal(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dense_values_are_zeros_but_where_sparse_ones_are() {
        let dense = |positions: &[i32], acts: &[f32], length| {
            let mut out = Vec::new();
            write_dense(positions, acts, length, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(dense(&[1, 3], &[0.1, -2.0], 4).unwrap(), "[0.0,0.1,0.0,-2.0]");
        assert_eq!(dense(&[], &[], 0).unwrap(), "[]");
        assert!(dense(&[4], &[1.0], 4).is_err());
    }

    #[test]
    fn every_key_is_written_once() {
        let address = SourceAddress::parse("m/0-s").unwrap();
        for kind in Kind::ALL {
            let encoder = LineEncoder::new(kind, &address).unwrap();
            let mut keys: Vec<_> = encoder.parts.iter().map(|(key, _)| *key).collect();
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), count);
        }
    }
}
