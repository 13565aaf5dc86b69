//! Lines of JSON into columns.
//!
//! A [`RecordReader`] takes the lines of one kind of record and appends each value straight to its column, with no
//! tree of JSON values between. Keys usually come in the same order on every line, so the key after the one
//! just seen is tried first.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use arrow::array::ArrayRef;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use latentdb_engine::Result;

use super::column::{Column, Values};
use super::fields::{Field, Meaning};
use super::layout::{Kind, SourceAddress};
use super::sample::Sample;

/// Columns that are the same on every row or known only when all rows are.
const DERIVED: [&str; 3] = ["model_id", "source_id", "rank"];

/// Collects lines of one kind.
pub(crate) struct RecordReader {
    fields: &'static [Field],
    by_key: HashMap<&'static str, usize>,
    /// Where each field goes, in the order of `fields`.
    targets: Vec<Target>,
    /// The field that most likely comes next.
    expected: usize,
    address: SourceAddress,
    columns: Vec<Column>,
    rows: usize,
    unknown: BTreeMap<String, u64>,
    /// Tokens and values of the line read last.
    pub(crate) sample: Sample,
}

/// Where a value goes.
#[derive(Debug, Clone, Copy)]
enum Target {
    Column(usize),
    Model,
    Source,
    Tokens,
    Values,
    HeadPositions,
    Nowhere,
}

/// Number of a column in its reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot(usize);

impl RecordReader {
    pub(crate) fn new(kind: Kind, address: &SourceAddress) -> Result<Self> {
        let table = kind.table()?;
        let fields = kind.fields();
        let columns: Vec<Column> =
            table.columns.iter().filter(|column| !DERIVED.contains(&column.name)).map(Column::new).collect();
        let target = |field: &Field| match field.meaning {
            Meaning::Column(name) => {
                columns.iter().position(|column| column.definition.name == name).map_or(Target::Nowhere, Target::Column)
            }
            Meaning::Model => Target::Model,
            Meaning::Source => Target::Source,
            Meaning::Tokens => Target::Tokens,
            Meaning::Values => Target::Values,
            Meaning::HeadPositions => Target::HeadPositions,
            Meaning::RowId => Target::Nowhere,
        };
        Ok(Self {
            by_key: fields.iter().enumerate().map(|(at, field)| (field.key, at)).collect(),
            targets: fields.iter().map(target).collect(),
            fields,
            expected: 0,
            address: address.clone(),
            columns,
            rows: 0,
            unknown: BTreeMap::new(),
            sample: Sample::new(&address.model_id),
        })
    }

    /// Reads a line. Columns that the line has no value for are left for [`RecordReader::close_row`].
    pub(crate) fn read(&mut self, line: &[u8]) -> Result<(), String> {
        self.sample.clear();
        let mut json = sonic_rs::Deserializer::from_slice(line);
        json.deserialize_map(&mut *self).and_then(|()| json.end()).map_err(|error| explain(line, &error))
    }

    /// Ends the row: absent values become null, and it is an error if they may not be.
    pub(crate) fn close_row(&mut self) -> Result<(), String> {
        for column in &mut self.columns {
            if column.len() == self.rows {
                if !column.definition.nullable {
                    return Err(format!("there is no {}", column.definition.name));
                }
                column.push_null();
            } else if !column.definition.nullable && column.last_is_null() {
                return Err(format!("{} is null", column.definition.name));
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Finished rows that have not been taken.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Rough size of these rows in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.columns.iter().map(Column::bytes).sum()
    }

    /// The column `name`, which must be one of the kind's.
    pub(crate) fn slot(&self, name: &str) -> Result<Slot> {
        let found = self.columns.iter().position(|column| column.definition.name == name);
        found.map(Slot).ok_or_else(|| {
            latentdb_engine::Error::new(latentdb_engine::ErrorKind::Internal, format!("there is no column {name}"))
        })
    }

    /// The column in `slot`, if the current row has no value for it yet.
    pub(crate) fn vacant(&mut self, Slot(slot): Slot) -> Option<&mut Column> {
        let rows = self.rows;
        self.columns.get_mut(slot).filter(|column| column.len() == rows)
    }

    /// Integers of all rows, the current one included.
    pub(crate) fn integers(&self, Slot(slot): Slot) -> &[i32] {
        match self.columns.get(slot).map(|column| &column.values) {
            Some(Values::Integer(builder)) => builder.values_slice(),
            _ => &[],
        }
    }

    /// Numbers of all rows, the current one included.
    pub(crate) fn reals(&self, Slot(slot): Slot) -> &[f32] {
        match self.columns.get(slot).map(|column| &column.values) {
            Some(Values::Real(builder)) => builder.values_slice(),
            _ => &[],
        }
    }

    /// Takes the rows out as named columns.
    pub(crate) fn take(&mut self) -> Vec<(&'static str, ArrayRef)> {
        self.rows = 0;
        self.columns.iter_mut().map(|column| (column.definition.name, column.finish())).collect()
    }

    /// Keys that mean nothing here, and how often they came.
    pub(crate) fn unknown(&self) -> &BTreeMap<String, u64> {
        &self.unknown
    }

    fn find(&mut self, key: &str) -> Option<usize> {
        let guess = self.fields.get(self.expected).filter(|field| field.key == key).map(|_| self.expected);
        let found = guess.or_else(|| self.by_key.get(key).copied());
        match found {
            Some(at) => self.expected = at + 1,
            None => *self.unknown.entry(key.to_owned()).or_default() += 1,
        }
        found
    }

    fn read_value<'de, A: MapAccess<'de>>(&mut self, at: usize, map: &mut A) -> Result<(), A::Error> {
        match self.targets.get(at).copied().unwrap_or(Target::Nowhere) {
            Target::Column(slot) => match self.vacant(Slot(slot)) {
                Some(column) => map.next_value_seed(column),
                // Two keys for one column, as with triggeredById and triggeredByUserId: the first holds.
                None => map.next_value::<IgnoredAny>().map(drop),
            },
            Target::Model => map.next_value_seed(Same(&self.address.model_id)),
            Target::Source => map.next_value_seed(Same(&self.address.source_id)),
            Target::Tokens => map.next_value_seed(self.sample.tokens()),
            Target::Values => map.next_value_seed(self.sample.values()),
            Target::HeadPositions => {
                let positions: Option<(Vec<i32>, Vec<i32>)> = map.next_value()?;
                self.sample.head_positions = positions;
                Ok(())
            }
            Target::Nowhere => map.next_value::<IgnoredAny>().map(drop),
        }
    }
}

impl<'de> Visitor<'de> for &mut RecordReader {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.expected = 0;
        while let Some(found) = map.next_key_seed(Key(&mut *self))? {
            match found {
                Some(at) => {
                    let key = self.fields.get(at).map_or("", |field| field.key);
                    self.read_value(at, &mut map)
                        .map_err(|error| A::Error::custom(format!("{key}: {}", without_place(&error.to_string()))))?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads a key and finds its field.
struct Key<'a>(&'a mut RecordReader);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.find(key))
    }
}

/// Reads an id that must be this one.
struct Same<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Same<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Same<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }

    fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<(), E> {
        if id == self.0 {
            Ok(())
        } else {
            Err(E::custom(format!("the row belongs to \"{id}\", not to \"{}\"", self.0)))
        }
    }

    /// A bare layer number is the id of a layer of neurons.
    fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<(), E> {
        self.visit_str(&id.to_string())
    }
}

/// The reason without the parser's own idea of the place: to it, every line is the first.
fn without_place(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

fn explain(line: &[u8], error: &sonic_rs::Error) -> String {
    let message = error.to_string();
    let reason = without_place(&message);
    // Python writes them all the same; the parser only says that it met something odd.
    let odd = reason.ends_with("Invalid JSON value") || reason.ends_with("Invalid number");
    if odd && [&b"NaN"[..], b"Infinity"].iter().any(|word| memchr::memmem::find(line, word).is_some()) {
        return format!("{reason} (NaN and Infinity are not JSON)");
    }
    reason.to_owned()
}
