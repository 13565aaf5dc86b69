//! What clients get to see, cell by cell.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, Float32Array, Int32Array,
    LargeStringArray, ListArray, NullArray, StringArray, StringViewArray, StructArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Float32Type, Int8Type, Int32Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::{Buf, BytesMut};
use latentdb_engine::{CopyFormat, CopyOptions};

use super::*;

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().enumerate().map(|(position, column)| (names[position], column, true)),
    )
    .unwrap()
}

/// Cells of the `DataRow` messages in `wire`.
fn cells(mut wire: &[u8]) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut rows = Vec::new();
    while !wire.is_empty() {
        assert_eq!(wire.get_u8(), b'D');
        let length = wire.get_i32() as usize - 4;
        let (mut row, rest) = wire.split_at(length);
        wire = rest;
        let count = row.get_u16();
        let mut cell = || match row.get_i32() {
            -1 => None,
            length => Some(row.copy_to_bytes(length as usize).to_vec()),
        };
        rows.push((0..count).map(|_| cell()).collect());
        assert!(row.is_empty());
    }
    rows
}

fn encoded(batch: &RecordBatch, announced: &SchemaRef, format: Format) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut rows = Rows::new(batch, announced).unwrap();
    let mut out = BytesMut::new();
    let encoder = RowEncoder::new(vec![format; batch.num_columns()], Style::with_zone(None));
    assert_eq!(encoder.encode(&mut rows, usize::MAX, usize::MAX, &mut out), batch.num_rows());
    cells(&out)
}

/// The text of each value of one column; `None` for null.
fn texts(column: ArrayRef) -> Vec<Option<String>> {
    let batch = batch(vec![column]);
    let rows = encoded(&batch, &batch.schema(), Format::Text);
    rows.into_iter().map(|mut row| row.remove(0).map(|cell| String::from_utf8(cell).unwrap())).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn values_read_as_in_postgres() {
    assert_eq!(texts(Arc::new(BooleanArray::from(vec![true, false]))), some(&["t", "f"]));
    assert_eq!(texts(Arc::new(UInt64Array::from(vec![u64::MAX]))), some(&["18446744073709551615"]));
    assert_eq!(texts(Arc::new(NullArray::new(1))), [None]);
    assert_eq!(texts(Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))), some(&["\\x00ff"]));
    let half = arrow::compute::cast(&Float32Array::from(vec![0.5]), &DataType::Float16).unwrap();
    assert_eq!(texts(half), some(&["0.5"]));
    let decimal = Decimal128Array::from(vec![-1250]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(texts(Arc::new(decimal)), some(&["-12.50"]));
    let moment = TimestampNanosecondArray::from(vec![1_500_000_000]).with_timezone("Europe/Paris");
    assert_eq!(texts(Arc::new(moment)), some(&["1970-01-01 00:00:01.5+00"]));
}

#[test]
fn every_layout_of_text_reads_the_same() {
    let expected = vec![Some(" the".to_owned()), None, Some(String::new())];
    let values = || vec![Some(" the"), None, Some("")];
    assert_eq!(texts(Arc::new(StringArray::from(values()))), expected);
    assert_eq!(texts(Arc::new(StringViewArray::from(values()))), expected);
    assert_eq!(texts(Arc::new(LargeStringArray::from(values()))), expected);
    let dictionary: DictionaryArray<Int8Type> = values().into_iter().collect();
    assert_eq!(texts(Arc::new(dictionary)), expected);
}

#[test]
fn lists_are_arrays() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None, Some(-3)]),
        Some(vec![]),
        None,
        Some(vec![Some(7)]),
    ]);
    let expected = vec![Some("{1,NULL,-3}".into()), Some("{}".into()), None, Some("{7}".into())];
    assert_eq!(texts(Arc::new(lists.clone())), expected);
    // A slice sees its own lists only.
    assert_eq!(texts(Arc::new(lists.slice(3, 1))), some(&["{7}"]));

    let batch = batch(vec![Arc::new(lists)]);
    let binary = encoded(&batch, &batch.schema(), Format::Binary);
    let words = |cell: &Option<Vec<u8>>| -> Vec<i32> {
        cell.as_ref().unwrap().chunks(4).map(|word| i32::from_be_bytes(word.try_into().unwrap())).collect()
    };
    let int4 = Type::INT4.oid() as i32;
    assert_eq!(words(&binary[0][0]), [1, 1, int4, 3, 1, 4, 1, -1, 4, -3]);
    assert_eq!(words(&binary[1][0]), [0, 0, int4]);
    assert_eq!(words(&binary[3][0]), [1, 0, int4, 1, 1, 4, 7]);
}

#[test]
fn structs_and_lists_of_lists_are_json() {
    let token: ArrayRef = Arc::new(StringArray::from(vec![Some("\"cat\""), None]));
    let value: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.5), Some(f32::NAN)]));
    let structs = StructArray::from(vec![
        (Arc::new(Field::new("token", DataType::Utf8, true)), token),
        (Arc::new(Field::new("value", DataType::Float32, true)), value),
    ]);
    assert_eq!(
        texts(Arc::new(structs)),
        some(&[r#"{"token":"\"cat\"","value":1.5}"#, r#"{"token":null,"value":null}"#])
    );

    let inner = ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(1.0)]), Some(vec![])]);
    let field = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([2]);
    let ragged = ListArray::new(field, offsets, Arc::new(inner), None);
    assert_eq!(texts(Arc::new(ragged)), some(&["[[1.0],[]]"]));
}

#[test]
fn a_column_of_another_type_than_announced_is_cast() {
    let batch = batch(vec![Arc::new(Int32Array::from(vec![7]))]);
    let announced = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    assert_eq!(encoded(&batch, &announced, Format::Binary), [[Some(7_i64.to_be_bytes().to_vec())]]);
}

#[test]
fn encoding_stops_when_the_buffer_is_full_and_goes_on_from_there() {
    let batch = batch(vec![Arc::new(Int32Array::from_iter_values(0..1000))]);
    let mut rows = Rows::new(&batch, &batch.schema()).unwrap();
    let encoder = RowEncoder::new(vec![Format::Text], Style::with_zone(None));
    let (mut out, mut written) = (BytesMut::new(), 0);
    while rows.remaining() > 0 {
        let mut piece = BytesMut::new();
        let rows = encoder.encode(&mut rows, usize::MAX, 100, &mut piece);
        assert!(rows > 0 && piece.len() < 120);
        written += rows;
        out.extend_from_slice(&piece);
    }
    assert_eq!(written, 1000);
    assert_eq!(cells(&out)[999][0].as_deref(), Some(&b"999"[..]));
}

/// The lines of a `COPY … TO STDOUT`, of which each is a message.
fn copied(batch: &RecordBatch, options: CopyOptions) -> Vec<String> {
    let mut rows = Rows::new(batch, &batch.schema()).unwrap();
    let mut out = BytesMut::new();
    let mut encoder = CopyEncoder::new(options, Style::with_zone(None));
    encoder.header(&batch.schema(), &mut out);
    encoder.encode(&mut rows, usize::MAX, &mut out);
    let mut lines = Vec::new();
    while out.has_remaining() {
        assert_eq!(out.get_u8(), b'd');
        let length = out.get_i32() as usize - 4;
        lines.push(String::from_utf8(out.split_to(length).to_vec()).unwrap());
    }
    lines
}

fn awkward() -> RecordBatch {
    batch(vec![
        Arc::new(StringArray::from(vec![Some("tab\t, \"quote\" \\ \n"), None, Some("")])),
        Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
    ])
}

#[test]
fn copied_text_escapes_as_postgres_does() {
    let lines = copied(&awkward(), CopyOptions::new(CopyFormat::Text));
    assert_eq!(lines, ["tab\\t, \"quote\" \\\\ \\n\t1\n", "\\N\t\\N\n", "\t3\n"]);
}

#[test]
fn copied_csv_quotes_as_postgres_does() {
    let options = CopyOptions { header: true, ..CopyOptions::new(CopyFormat::Csv) };
    let lines = copied(&awkward(), options);
    assert_eq!(lines, ["a,b\n", "\"tab\t, \"\"quote\"\" \\ \n\",1\n", ",\n", "\"\",3\n"]);
    // Alone on its line this would end the data.
    let lone = batch(vec![Arc::new(StringArray::from(vec!["\\."]))]);
    assert_eq!(copied(&lone, CopyOptions::new(CopyFormat::Csv)), ["\"\\.\"\n"]);
}
