//! Building catalogue tables column by column.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int16Builder, Int32Array, Int64Array, ListBuilder, RecordBatch,
    StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion_pg_catalog::pg_catalog::oid_field::oid_field;

/// A table of a known number of rows, of which columns are added from the left.
pub(super) struct Columns {
    rows: usize,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    pub(super) fn new(rows: usize) -> Self {
        Self { rows, fields: Vec::new(), arrays: Vec::new() }
    }

    fn add(mut self, field: Field, array: ArrayRef) -> Self {
        self.fields.push(field);
        self.arrays.push(array);
        self
    }

    /// Object ids of `kind` (`oid`, `regclass`, …).
    pub(super) fn oids(self, name: &str, kind: &str, values: impl IntoIterator<Item = i32>) -> Self {
        self.add(oid_field(name, kind, true), Arc::new(values.into_iter().collect::<Int32Array>()))
    }

    pub(super) fn int4(self, name: &str, values: impl IntoIterator<Item = i32>) -> Self {
        self.add(Field::new(name, DataType::Int32, true), Arc::new(values.into_iter().collect::<Int32Array>()))
    }

    pub(super) fn int2(self, name: &str, values: impl IntoIterator<Item = i16>) -> Self {
        self.add(Field::new(name, DataType::Int16, true), Arc::new(values.into_iter().collect::<Int16Array>()))
    }

    pub(super) fn int8(self, name: &str, values: impl IntoIterator<Item = i64>) -> Self {
        self.add(Field::new(name, DataType::Int64, true), Arc::new(values.into_iter().collect::<Int64Array>()))
    }

    pub(super) fn float4(self, name: &str, values: impl IntoIterator<Item = f32>) -> Self {
        let values: Float32Array = values.into_iter().map(Some).collect();
        self.add(Field::new(name, DataType::Float32, true), Arc::new(values))
    }

    pub(super) fn bools(self, name: &str, values: impl IntoIterator<Item = bool>) -> Self {
        let values: BooleanArray = values.into_iter().map(Some).collect();
        self.add(Field::new(name, DataType::Boolean, true), Arc::new(values))
    }

    pub(super) fn texts<T: AsRef<str>>(self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values: StringArray = values.into_iter().map(Some).collect();
        self.add(Field::new(name, DataType::Utf8, true), Arc::new(values))
    }

    pub(super) fn maybe_texts<T: AsRef<str>>(self, name: &str, values: impl IntoIterator<Item = Option<T>>) -> Self {
        let values: StringArray = values.into_iter().collect();
        self.add(Field::new(name, DataType::Utf8, true), Arc::new(values))
    }

    /// Lists of column numbers.
    pub(super) fn numbers(self, name: &str, values: impl IntoIterator<Item = Vec<i16>>) -> Self {
        let mut builder = ListBuilder::new(Int16Builder::new());
        for list in values {
            builder.append_value(list.into_iter().map(Some));
        }
        let array = builder.finish();
        let data_type = DataType::List(Arc::new(Field::new_list_field(DataType::Int16, true)));
        self.add(Field::new(name, data_type, true), Arc::new(array))
    }

    pub(super) fn all_int4(self, name: &str, value: i32) -> Self {
        let rows = self.rows;
        self.int4(name, std::iter::repeat_n(value, rows))
    }

    pub(super) fn all_oids(self, name: &str, kind: &str, value: i32) -> Self {
        let rows = self.rows;
        self.oids(name, kind, std::iter::repeat_n(value, rows))
    }

    pub(super) fn all_int2(self, name: &str, value: i16) -> Self {
        let rows = self.rows;
        self.int2(name, std::iter::repeat_n(value, rows))
    }

    pub(super) fn all_bools(self, name: &str, value: bool) -> Self {
        let rows = self.rows;
        self.bools(name, std::iter::repeat_n(value, rows))
    }

    pub(super) fn all_texts(self, name: &str, value: &str) -> Self {
        let rows = self.rows;
        self.texts(name, std::iter::repeat_n(value, rows))
    }

    pub(super) fn null_texts(self, name: &str) -> Self {
        let rows = self.rows;
        self.maybe_texts(name, std::iter::repeat_n(None::<&str>, rows))
    }

    /// Lists of text, all null: access privileges and options, of which there are none.
    pub(super) fn null_lists(self, name: &str) -> Self {
        let data_type = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
        let values = new_null_array(&data_type, self.rows);
        self.add(Field::new(name, data_type, true), values)
    }

    pub(super) fn null_times(self, name: &str) -> Self {
        let values = TimestampMicrosecondArray::from(vec![None::<i64>; self.rows]).with_timezone("UTC");
        let data_type = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
        self.add(Field::new(name, data_type, true), Arc::new(values))
    }

    /// The rows as one batch.
    pub(super) fn batch(self) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)?)
    }

    /// The table.
    pub(super) fn table(self) -> Result<Arc<dyn TableProvider>> {
        let batch = self.batch()?;
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    }
}
